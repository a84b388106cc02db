"""What keeps the tree whole."""

import re
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.holdfast import cli
from ansible.module_utils.holdfast.completion import BASH
from ansible.module_utils.holdfast.engines import catalog
from ansible.module_utils.holdfast.engines.registry import adapters
from ansible.module_utils.holdfast.errors import Unsupported

ROOT = Path(__file__).resolve().parents[3]
# Where a text of this project may not point: a package registry, or a directory of one machine.
FOREIGN = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs|quay\.io|docker\.io|ghcr\.io)\b|/(?:root|work)/"
)
GENERATED = {"requirements.lock"}


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", catalog.supported())
def test_a_supported_engine_has_its_adapters(name):
    engine, physical, logical = (adapter() for adapter in adapters(name))
    facts = catalog.ENGINES[name]
    assert engine.name == name
    assert physical.name == facts.physical_tool
    assert logical.name == facts.logical_tool


@pytest.mark.parametrize("name", sorted(set(catalog.ENGINES) - set(catalog.supported())))
def test_an_engine_without_adapters_says_so(name):
    with pytest.raises(Unsupported):
        adapters(name)


def test_the_tree_names_no_registry_and_no_machine():
    found = []
    for path in tracked():
        if path.name in GENERATED or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found.extend(
            f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), start=1)
            if FOREIGN.search(line)
        )
    assert found == []


def test_the_completion_knows_every_command():
    words = re.search(r'local commands="([^"]*)"', BASH)[1].split()
    assert sorted(words) == sorted(cli.commands())


def test_files_of_the_package_stay_readable():
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.glob("module_utils/holdfast/**/*.py")}
    assert [f"{path.relative_to(ROOT)}: {lines}" for path, lines in lengths.items() if lines > 400] == []
