"""What keeps modules honest: their documentation is read by people and must be what the code takes."""

import importlib
import runpy
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.holdfast import arguments, inventory
from ansible.module_utils.holdfast.repositories import settings

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted(path.stem for path in (ROOT / "library").glob("*.py"))
CHECKED = ("type", "elements", "required", "choices", "default")


def module(name):
    return importlib.import_module(name)


def documented(options):
    return {
        name: {
            **{key: option[key] for key in CHECKED if key in option},
            **({"options": documented(option["suboptions"])} if "suboptions" in option else {}),
        }
        for name, option in options.items()
    }


def taken(arguments):
    return {
        name: {
            **{key: option[key] for key in CHECKED if key in option},
            **({"options": taken(option["options"])} if "options" in option else {}),
        }
        for name, option in arguments.items()
    }


def shared(fragment):
    """The options that a module's documentation takes from a fragment."""
    if not fragment:
        return {}
    found = runpy.run_path(str(ROOT / "module_utils" / "doc_fragments" / f"{fragment}.py"))
    return yaml.safe_load(found["ModuleDocFragment"].DOCUMENTATION)["options"]


@pytest.mark.parametrize("name", MODULES)
def test_the_documentation_is_what_the_module_takes(name):
    documentation = yaml.safe_load(module(name).DOCUMENTATION)
    options = {**documentation["options"], **shared(documentation.get("extends_documentation_fragment"))}
    assert documented(options) == taken(module(name).ARGUMENTS)
    assert documentation["module"] == name
    assert set(documentation["attributes"]) == {"check_mode", "diff_mode", "idempotent"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_use_the_module_with_options_that_it_has(name):
    examples = yaml.safe_load(module(name).EXAMPLES)
    used = [example[name] or {} for example in examples if name in example]
    assert used
    assert [key for options in used for key in options if key not in module(name).ARGUMENTS] == []


@pytest.mark.parametrize("name", MODULES)
def test_results_are_documented(name):
    returned = yaml.safe_load(module(name).RETURN)
    assert [key for key, value in returned.items() if not {"description", "returned", "type"} <= set(value)] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_fails_and_ends_in_main_alone(name):
    source = (ROOT / "library" / f"{name}.py").read_text()
    body = source[source.index("\ndef main(") :]
    others = source[: source.index("\ndef main(")] + body[body.index("\n\n\n") :]
    assert ".fail_json(" not in others
    assert ".exit_json(" not in others


def test_the_settings_of_repositories_are_those_of_the_package():
    known = {name for names in settings._SETTINGS.values() for name in names}
    secret = {name for names in settings._SECRETS.values() for name in names}
    assert set(arguments.SETTINGS) == {"type", *known, *secret, *settings._FOR_PEOPLE}
    assert {name for name, option in arguments.SETTINGS.items() if option.get("no_log")} == secret


def test_the_keys_of_instances_are_those_of_the_package():
    assert tuple(arguments.INSTANCE) == inventory._INSTANCE_KEYS
