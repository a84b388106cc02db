"""Logical backups of PostgreSQL: what goes into the scratch cluster, and what a failure says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from ansible.module_utils.holdfast.errors import (
    CommandFailed,
    CorruptBackup,
    InvalidInput,
    RepositoryFull,
    ServerUnavailable,
    Unsupported,
)
from ansible.module_utils.holdfast.model import Backup, BackupType, RestoreTarget, ServerInfo
from ansible.module_utils.holdfast.repositories.restic import Snapshot
from ansible.module_utils.holdfast.tools import _pg_dump_restore, pg_dump
from ansible.module_utils.holdfast.tools._pg_dump_restore import adapted_globals
from ansible.module_utils.holdfast.tools.pg_dump import PgDump, backup_of, card, failure

from .test_postgresql import an_instance

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_globals_leave_the_live_tablespaces_alone() -> None:
    text = (
        "CREATE ROLE anna;\n"
        "CREATE ROLE postgres;\n"
        "ALTER ROLE postgres WITH SUPERUSER;\n"
        "CREATE TABLESPACE fast OWNER postgres LOCATION '/srv/o''clock';\n"
        "CREATE TABLESPACE \"LOCATION x\" OWNER postgres LOCATION '/srv/x';\n"
    )
    adapted, directories = adapted_globals(text, "postgres", "/scratch/ts")
    assert adapted == (
        "CREATE ROLE anna;\n"
        "ALTER ROLE postgres WITH SUPERUSER;\n"
        "CREATE TABLESPACE fast OWNER postgres LOCATION '/scratch/ts/1';\n"
        "CREATE TABLESPACE \"LOCATION x\" OWNER postgres LOCATION '/scratch/ts/2';\n"
    )
    assert directories == ["/scratch/ts/1", "/scratch/ts/2"]


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("pg_dump: error: could not write to file: No space left on device", RepositoryFull),
        ('pg_dump: error: connection to server on socket "/x" failed: Connection refused', ServerUnavailable),
        ('pg_dump: error: connection to server failed: FATAL:  database "x" does not exist', CommandFailed),
        ("pg_dump: error: query failed: ERROR:  could not read block 3", CommandFailed),
    ],
)
def test_a_failed_dump_names_its_database(stderr: str, kind: type) -> None:
    error = failure("pg_dump", "database shop", stderr, an_instance())
    assert type(error) is kind
    assert "database shop" in error.what


@pytest.mark.parametrize(
    ("code", "stderr", "kind"),
    [
        (0, "pg_restore: warning: errors ignored on restore: 3", CorruptBackup),
        (1, "pg_restore: error: could not execute query", CorruptBackup),
        (1, "PANIC:  could not write: No space left on device", RepositoryFull),
    ],
)
def test_a_restore_with_errors_is_a_failed_restore(code: int, stderr: str, kind: type) -> None:
    with pytest.raises(kind, match="loading database shop"):
        _pg_dump_restore._check(_pg_dump_restore.process.Result([], code, "", stderr), "loading database shop", "x")
    _pg_dump_restore._check(_pg_dump_restore.process.Result([], 0, "", "errors ignored on restore: 0"), "x", "x")


def a_backup() -> Backup:
    return Backup(
        id="20260131-120000L",
        type=BackupType.LOGICAL,
        tool="pg_dump",
        repository="local",
        started=NOW,
        finished=NOW,
        size_bytes=5,
        log_start="0/1",
        details={"version": "15.18", "databases": ["shop", "a,b"]},
    )


def test_a_backup_survives_its_tags() -> None:
    found = backup_of(Snapshot(id="s", time=NOW, tags=card(a_backup())), "local")
    assert found == replace(a_backup(), details={**a_backup().details, "major": "15"})


class FakeServer:
    socket_directory = "/run"

    def inspect(self) -> ServerInfo:
        return ServerInfo("15.18", "/data", "primary", 5, ("shop", "other"), "1")

    def log_position(self) -> str:
        return "0/1"


class FakeStore:
    def __init__(self) -> None:
        self.stored: list[list[str]] = []

    def backup_paths(self, paths: list[str], tags: dict[str, str], *, directory: str) -> Snapshot:
        self.stored.append(sorted(item.name for item in Path(directory, paths[0]).iterdir()))
        return Snapshot(id="s", time=NOW, tags=tags, added_bytes=3)


@pytest.fixture
def dumping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[PgDump, FakeStore, list[list[str]]]:
    tool = PgDump(an_instance(str(tmp_path)), cast("Any", FakeServer()))
    store = FakeStore()
    commands: list[list[str]] = []

    def run(argv: list[str], **_options: Any) -> Any:
        commands.append(argv)
        failed = any("bad" in word for word in argv)
        return pg_dump.process.Result(argv, int(failed), "", "pg_dump: error: broken page" if failed else "")

    monkeypatch.setattr(pg_dump, "program", lambda name, _version: name)
    monkeypatch.setattr(pg_dump.process, "run", run)
    monkeypatch.setattr(PgDump, "_store", lambda *_: store)
    return tool, store, commands


def test_every_database_and_the_roles_are_dumped(dumping: Any, tmp_path: Path) -> None:
    tool, store, commands = dumping
    (tmp_path / "staging" / "dump" / "left-by-a-killed-run").mkdir(parents=True)
    backup = tool.backup(BackupType.LOGICAL, tool.instance.primary_repository)
    assert [command[0] for command in commands] == ["pg_dumpall", "pg_dump", "pg_dump"]
    assert [command[-1] for command in commands[1:]] == ["--dbname=dbname='shop'", "--dbname=dbname='other'"]
    assert store.stored == [["databases.json", "globals.sql"]]
    assert backup.stored_bytes == 3
    assert list((tmp_path / "staging").iterdir()) == []


def test_one_broken_database_spoils_the_backup_and_leaves_nothing(dumping: Any, tmp_path: Path) -> None:
    tool, store, _ = dumping
    tool.instance = replace(tool.instance, databases=("shop", "bad"))
    with pytest.raises(CommandFailed, match="database bad"):
        tool.backup(BackupType.LOGICAL, tool.instance.primary_repository)
    assert store.stored == []
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_name_is_data_and_no_connection_string(dumping: Any) -> None:
    tool, _, commands = dumping
    tool.instance = replace(tool.instance, databases=("a' host=evil",))
    tool.backup(BackupType.LOGICAL, tool.instance.primary_repository)
    assert commands[-1][-1] == "--dbname=dbname='a\\' host=evil'"


def test_other_types_are_refused(dumping: Any) -> None:
    tool, _, commands = dumping
    with pytest.raises(InvalidInput):
        tool.backup(BackupType.FULL, tool.instance.primary_repository)
    for call in (tool.archive, tool.save_log):
        with pytest.raises(Unsupported):
            call()
    with pytest.raises(InvalidInput):
        tool.restore(a_backup(), tool.instance.primary_repository, RestoreTarget(), cast("Any", object()))
    assert commands == []
