"""Root gives its rights up before it works for an instance."""

from __future__ import annotations

import ast
import inspect
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.holdfast.engines import catalog, registry
from ansible.module_utils.holdfast.errors import Busy, HoldfastError, InvalidInput
from ansible.module_utils.holdfast.owner import run_as_owner, run_with_root
from fakes import instance

ME = pwd.getpwuid(os.geteuid()).pw_name
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user takes root")


def test_the_owner_itself_works_in_its_own_process(tmp_path):
    assert run_as_owner(instance(tmp_path, os_user=ME), os.getpid) == os.getpid()


def test_an_unknown_user_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="'nosuchuser' does not exist"):
        run_as_owner(instance(tmp_path, os_user="nosuchuser"), os.getpid)


@needs_root
def test_root_works_as_the_owner_and_gets_the_result(tmp_path):
    nobody = pwd.getpwnam("nobody")
    found = run_as_owner(instance(tmp_path, os_user="nobody"), lambda: [os.getuid(), os.geteuid(), os.environ["USER"]])
    assert found == [nobody.pw_uid, nobody.pw_uid, "nobody"]
    assert os.geteuid() == 0


@needs_root
@pytest.mark.parametrize("engine", catalog.supported())
def test_the_owner_has_every_adapter_from_a_directory_that_only_root_may_read(tmp_path, engine):
    package = os.path.dirname(inspect.getfile(registry.Adapters).rpartition("/")[0])
    shutil.copytree(package, tmp_path / "holdfast")
    tmp_path.chmod(0o700)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from types import SimpleNamespace as Instance;"
        f"from holdfast.owner import run_as_owner; from holdfast.engines.registry import adapters;"
        f"owned = Instance(name='orders', engine={engine!r}, os_user='nobody');"
        "print(run_as_owner(owned, lambda: [adapter().__name__ for adapter in adapters(owned.engine)]))"
    )
    finished = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert finished.stderr == ""
    assert len(finished.stdout.split(",")) == 3


def test_nothing_but_the_program_and_the_registry_imports_a_part_of_the_package_late():
    """What an owner imports late is not found, unless the registry loads it or the program is a file all may read."""
    package = Path(inspect.getfile(registry.Adapters)).parents[1]
    late = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and node.level
    }
    assert late == {"engines/registry.py", "cli.py", "runner.py"}


@needs_root
def test_root_cannot_come_back(tmp_path):
    def try_root():
        os.setuid(0)

    with pytest.raises(HoldfastError, match="PermissionError"):
        run_as_owner(instance(tmp_path, os_user="nobody"), try_root)


@needs_root
def test_an_error_keeps_its_parts_on_the_way_back(tmp_path):
    def fail():
        raise Busy("another job", where="orders", remedy="Wait")

    with pytest.raises(Busy) as caught:
        run_as_owner(instance(tmp_path, os_user="nobody"), fail)
    assert caught.value.as_dict() == {"code": "busy", "what": "another job", "where": "orders", "remedy": "Wait"}
    assert caught.value.exit_code == 75


@needs_root
def test_a_child_that_dies_without_an_answer_is_an_error(tmp_path):
    with pytest.raises(HoldfastError, match="no answer"):
        run_as_owner(instance(tmp_path, os_user="nobody"), lambda: os._exit(9))


@needs_root
def test_work_that_needs_root_asks_for_it_by_name(tmp_path):
    asked = []

    def work(ask):
        first = ask("rename", "a", "b")
        with pytest.raises(HoldfastError, match="busy"):
            ask("refuse")
        return [first, os.geteuid()]

    def refuse():
        raise HoldfastError("busy", where="there")

    operations = {"rename": lambda *names: asked.append((os.geteuid(), *names)) or "renamed", "refuse": refuse}
    user = pwd.getpwnam("nobody")
    assert run_with_root(instance(tmp_path, os_user="nobody"), work, operations) == ["renamed", user.pw_uid]
    assert asked == [(0, "a", "b")]


@needs_root
def test_only_what_was_offered_can_be_asked_for(tmp_path):
    with pytest.raises(KeyError, match="rename"):
        run_with_root(instance(tmp_path, os_user="nobody"), lambda ask: ask("rename"), {})
