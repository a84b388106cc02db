"""What keeps roles honest: their specification is their documentation, so it must say what the role does."""

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.holdfast.engines import catalog
from ansible.module_utils.holdfast.model import ON_REQUEST, UPKEEP, Job

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
TASK_FILES = sorted(ROOT.glob("roles/*/tasks/*.yml"))


def load(path):
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def specification(role):
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]


def name_of(path):
    return str(path.relative_to(ROOT))


def walk(value):
    """Every mapping inside a YAML document."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_defaults_are_what_the_specification_says(role):
    specified = {}
    for entry in specification(role).values():
        for option, details in entry["options"].items():
            specified.setdefault(option, details)
    defaults = load(role / "defaults" / "main.yml")
    assert sorted(defaults) == sorted(specified)
    wired = {option for option, value in defaults.items() if isinstance(value, str) and "db_" in value}
    literal = {option: value for option, value in defaults.items() if option not in wired}
    assert literal == {option: details.get("default") for option, details in specified.items() if option not in wired}
    assert {option for option, details in specified.items() if details.get("required")} <= wired


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_every_entry_point_exists_and_every_variable_has_the_prefix_of_its_role(role):
    for entry, details in specification(role).items():
        assert (role / "tasks" / f"{entry}.yml").exists()
        assert details["short_description"]
        assert [option for option in details["options"] if not option.startswith(f"{role.name}_")] == []
        assert [option for option in details["options"].values() if not option.get("description")] == []
    internal = {name for path in role.glob("vars/*.yml") for name in load(path)}
    assert [name for name in internal if not name.startswith(f"__{role.name}_")] == []


@pytest.mark.parametrize("path", TASK_FILES, ids=name_of)
def test_task_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= (40 if path.name == "main.yml" else 80)


@pytest.mark.parametrize("path", [*TASK_FILES, *PLAYBOOKS], ids=name_of)
def test_no_task_asks_which_engine_it_has(path):
    conditions = [str(task["when"]) for task in walk(load(path)) if "when" in task]
    assert [condition for condition in conditions if "engine" in condition] == []


@pytest.mark.parametrize("path", TASK_FILES, ids=name_of)
def test_no_handler_or_task_restarts_a_server(path):
    modules = {"ansible.builtin.service", "ansible.builtin.systemd", "ansible.builtin.systemd_service"}
    assert [task for task in walk(load(path)) if modules & set(task)] == []


@pytest.mark.parametrize("path", PLAYBOOKS, ids=name_of)
def test_a_playbook_is_hosts_and_roles_that_exist(path):
    assert len(path.read_text().splitlines()) <= 40
    for play in load(path):
        assert play["hosts"]
        assert play["gather_facts"] in (True, False)
        roles = [item["role"] for item in play.get("roles", ())]
        for task in play.get("tasks", ()):
            (step,) = (task[key] for key in task if key.endswith("import_role"))
            assert (ROOT / "roles" / step["name"] / "tasks" / f"{step.get('tasks_from', 'main')}.yml").exists()
        assert [role for role in roles if not (ROOT / "roles" / role / "tasks" / "main.yml").exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "roles" / "backup" / "vars").glob("[A-Z]*.yml")), ids=name_of)
def test_every_system_has_the_packages_of_every_engine_and_scheduler(path):
    packages = load(path)["__backup_packages"]
    schedulers = specification(ROOT / "roles" / "backup")["main"]["options"]["backup_scheduler"]["choices"]
    assert {"common", "windows", *catalog.supported(), *schedulers} == set(packages)


def test_choices_of_roles_are_those_of_the_package():
    backup = specification(ROOT / "roles" / "backup")
    engine = backup["main"]["options"]["backup_instances"]["options"]["engine"]
    assert engine["choices"] == list(catalog.supported())
    other = set(map(str, (*UPKEEP, *ON_REQUEST)))
    assert backup["take"]["options"]["backup_take_type"]["choices"] == [
        str(job) for job in Job if str(job) not in other
    ]
