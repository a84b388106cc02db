import subprocess
import sys
import zipfile

import pytest
from ansible.module_utils.holdfast import __version__, runner
from ansible.module_utils.holdfast.engines import catalog


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("runner") / "holdfast.pyz"
    path.write_bytes(runner.build())
    return path


def run(archive, *arguments):
    # Isolated, as its first line says, so that it can only find what is inside.
    return subprocess.run([sys.executable, "-I", str(archive), *arguments], capture_output=True, text=True, check=False)


def test_the_same_code_gives_the_same_bytes(archive):
    assert runner.build() == archive.read_bytes()


def test_it_holds_every_source_of_the_package_and_its_bytecode(archive):
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
        assert opened.read("holdfast/units.py") == runner.sources()["holdfast/units.py"]
    assert {"holdfast/cli.py", "holdfast/tools/base.py", "holdfast/engines/__init__.py"} <= names
    assert {f"{name}c" for name in runner.sources()} <= names


def test_it_starts_with_the_interpreter_that_hosts_have(archive):
    assert archive.read_bytes().startswith(b"#!/usr/bin/python3 -I\n")


def test_it_runs(archive):
    finished = run(archive, "--help")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "holdfast backup orders" in finished.stdout


def test_it_runs_from_its_bytecode(archive):
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r}); import zipimport;"
        "zipimport._compile_source = None; import holdfast.cli"
    )
    finished = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert finished.stderr == ""


def test_the_archive_and_the_package_name_the_same_code(archive):
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r}); from holdfast import runner; print(runner.content_hash())"
    )
    finished = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == runner.content_hash()


def test_its_version_names_the_code(archive):
    assert run(archive, "--version").stdout == f"holdfast {__version__} ({runner.content_hash()})\n"


@pytest.mark.parametrize("engine", catalog.supported())
def test_a_job_loads_only_the_adapters_that_it_uses(archive, engine):
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r}); import holdfast.cli; from holdfast.engines import registry;"
        "modules = lambda: {name for name in sys.modules if name.startswith('holdfast.')};"
        f"found = registry.adapters({engine!r}); found.engine(), found.physical(); before = modules();"
        "logical = found.logical().__module__; print(logical in before, logical in modules())"
    )
    finished = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout == "False True\n"


def test_it_knows_itself(archive):
    assert runner.installed(str(archive)) == runner.content_hash()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other source", "other python"])
def test_anything_else_is_not_current(archive, tmp_path, damage, monkeypatch):
    path = tmp_path / "holdfast.pyz"
    if damage != "missing":
        path.write_bytes(archive.read_bytes())
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(archive.read_bytes()[:-100])
    elif damage == "other source":
        changed = {**runner.sources(), "holdfast/units.py": b"# changed\n"}
        monkeypatch.setattr(runner, "sources", lambda: changed)
    elif damage == "other python":
        monkeypatch.setattr(runner, "_bytecode_tag", lambda: b"bytecode 0000")
    assert runner.installed(str(path)) != runner.content_hash()
