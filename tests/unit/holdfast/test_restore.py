"""What a restore refuses before it looks at any server."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.module_utils.holdfast import restore
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput
from ansible.module_utils.holdfast.model import BackupType, LogRange, Place
from ansible.module_utils.holdfast.restore_plan import Candidate, Plan
from ansible.module_utils.holdfast.restore_request import Request
from fakes import FakeEngine, FakeTool, instance


def test_backups_of_another_engine_are_refused(tmp_path):
    owner, source = instance(tmp_path), instance(tmp_path, name="shop", engine="mariadb")
    with pytest.raises(InvalidInput, match="backups of mariadb cannot be restored into a server of postgresql"):
        restore._tool(owner, FakeEngine(owner), Request(source=source))


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_the_tool_is_that_of_the_source(tmp_path, engine):
    owner, source = instance(tmp_path, engine=engine), instance(tmp_path, name="source", engine=engine)
    tool = restore._tool(owner, FakeEngine(owner), Request(source=source))
    assert tool.instance is source


class Server(FakeEngine):
    """An engine whose staging server is there, and fails where it is told to."""

    def staging(self, directory, *, expected_size, onto_live):
        return self

    def destroy(self):
        raise OSError("the disk is gone")


@pytest.mark.parametrize("broken", ["stop", "prepare"])
def test_the_server_is_started_again_whatever_fails_before_the_new_data_are_in_place(tmp_path, broken):
    owner = instance(tmp_path)
    asked = []

    def ask(name, *arguments):
        asked.append(name)
        if name in (broken, "tidy"):
            raise HoldfastError(f"{name} failed")

    planned = Plan(owner, owner, Request(), Place(str(tmp_path / "main"), "postgresql.service", True), "x")
    with pytest.raises(HoldfastError, match=f"{broken} failed"):
        restore._make_aside(planned, None, SimpleNamespace(engine=Server(owner)), {"restore": {}}, ask)
    assert asked[0] == "stop"
    assert asked[-1] == "start"


def test_new_data_that_cannot_be_put_in_place_leave_the_old_ones_in_service(tmp_path):
    asked = []

    def ask(name, *arguments):
        asked.append(name)
        if name == "swap":
            raise HoldfastError("swap failed")

    owner = instance(tmp_path)
    planned = Plan(owner, owner, Request(), Place(str(tmp_path / "main"), "postgresql.service", True), "x")
    with pytest.raises(HoldfastError, match="swap failed"):
        restore._put_in_place(planned, ask)
    assert asked == ["swap", "start"]


def test_what_was_planned_is_not_looked_for_again_until_it_cannot_be_read(tmp_path, monkeypatch):
    owner = instance(tmp_path)
    repository = owner.repositories[0]
    tool = FakeTool("physical", owner, FakeEngine(owner))
    older, newer = (tool.backup(BackupType.FULL, repository) for _ in range(2))
    asked = []

    def listed(planned, given):
        asked.append(given)
        return iter([Candidate(repository, backup, (backup,), LogRange(0, 0)) for backup in (newer, older)])

    monkeypatch.setattr(restore, "candidates", listed)
    planned = Plan(owner, owner, Request(), Place(str(tmp_path / "main"), "postgresql.service", True), "x")
    planned.candidate = Candidate(repository, newer, (newer,), LogRange(0, 0))
    order = restore._in_order(planned, tool)
    assert next(order).backup is newer
    assert asked == []
    assert [item.backup for item in order] == [older]
