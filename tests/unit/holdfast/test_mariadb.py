"""The parts of the MariaDB adapters that need no server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.engines import _mariadb_connection as connection
from ansible.module_utils.holdfast.engines import mariadb
from ansible.module_utils.holdfast.engines._mariadb_host import data_size
from ansible.module_utils.holdfast.engines._mariadb_scratch import MariaDBScratch, last_failure, stored_options
from ansible.module_utils.holdfast.engines._mariadb_settings import render, same_meaning, written
from ansible.module_utils.holdfast.model import (
    Backup,
    BackupType,
    Instance,
    Job,
    Keep,
    Repository,
    Retention,
    ServiceLevel,
)
from ansible.module_utils.holdfast.repositories.pipes import Command, Stage
from ansible.module_utils.holdfast.repositories.restic import Restic, Snapshot
from ansible.module_utils.holdfast.tools import _mariadb_catalog as catalog
from ansible.module_utils.holdfast.tools import mariadb_backup
from ansible.module_utils.holdfast.tools._mariadb_restore import failure
from ansible.module_utils.holdfast.tools.base import SavedLog
from ansible.module_utils.holdfast.tools.mariadb_backup import explain

NOW = datetime(2025, 1, 1, 1, 2, 3, tzinfo=UTC)
KEEP = Retention(Keep(), Keep(), Keep(), timedelta(days=7), Keep(), Keep())
LEVEL = ServiceLevel("standard", timedelta(minutes=15), timedelta(hours=1), KEEP, {})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2002, errors.ServerUnavailable),
        (2013, errors.ServerUnavailable),
        (1040, errors.ServerUnavailable),
        (0, errors.ServerUnavailable),
        (1045, errors.AccessDenied),
        (1698, errors.AccessDenied),
        (1227, errors.AccessDenied),
        (1064, errors.CommandFailed),
    ],
)
def test_translates_driver_errors(code: int, kind: type[errors.HoldfastError]) -> None:
    assert type(connection.translate(code, "words", "here")) is kind


@pytest.mark.parametrize(
    ("name", "wanted", "current", "same"),
    [
        ("log_bin", "ON", "1", True),
        ("log_bin", "ON", "0", False),
        ("log_bin", "ON", "mysql-bin", True),
        ("log_bin", "ON", "", False),
        ("binlog_format", "MIXED", "ROW", True),
        ("binlog_format", "MIXED", "STATEMENT", False),
        ("binlog_expire_logs_seconds", "864000", "3600", True),
        ("binlog_expire_logs_seconds", "864000", "0", False),
        ("other", "ON", "1", True),
        ("other", "5", "6", False),
    ],
)
def test_settings_that_serve_backups_as_well(name: str, wanted: str, current: str, same: bool) -> None:
    assert same_meaning(name, wanted, current) is same


def test_reads_back_the_file_that_it_writes() -> None:
    values = {"log_bin": "mysql-bin", "binlog_format": "MIXED"}
    assert written(render(values)) == values
    assert written("# log_bin = x\n[mariadbd]\nlog-bin=y\nskip-name-resolve\n") == {"log_bin": "y"}


@pytest.mark.parametrize(("schedule", "asked"), [({Job.LOG: "* * * * *"}, True), ({Job.FULL: "0 1 * * *"}, False)])
def test_the_binary_log_is_asked_for_where_it_is_backed_up(
    monkeypatch: pytest.MonkeyPatch, schedule: dict[Job, str], asked: bool
) -> None:
    monkeypatch.setattr(mariadb_backup, "require", str)
    level = replace(LEVEL, schedule=schedule)
    instance = Instance("orders", "mariadb", 3306, level, (), "mysql", "/var/lib/holdfast/orders")
    tool = mariadb_backup.MariaDBBackup(instance, mariadb.MariaDB(instance))
    assert ("log_bin" in tool.server_settings()) is asked
    assert ["log_bin" in file.content for file in tool.files()] == [True] * asked


def test_a_repository_that_is_out_of_reach_keeps_the_log_from_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repositories = tuple(Repository(name, "posix", {"path": str(tmp_path / name)}) for name in ("a", "b", "c"))
    instance = Instance("orders", "mariadb", 3306, LEVEL, repositories, "mysql", str(tmp_path))
    saved = []

    class Log:
        def __init__(self, _instance: Instance, _engine: object, store: Restic) -> None:
            self.name = store.repository.name

        def save(self) -> SavedLog:
            if self.name == "a":
                raise errors.RepositoryUnavailable("nobody answers")
            saved.append(self.name)
            return SavedLog("bin.000001:9", 9)

    monkeypatch.setattr(mariadb_backup, "require", str)
    monkeypatch.setattr(mariadb_backup, "BinaryLog", Log)
    tool = mariadb_backup.MariaDBBackup(instance, mariadb.MariaDB(instance))
    with pytest.raises(errors.RepositoryUnavailable):
        tool.save_log()
    assert saved == ["b", "c"]


def test_the_end_of_a_log_job_is_not_taken_for_a_repository_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repositories = tuple(Repository(name, "posix", {"path": str(tmp_path / name)}) for name in ("a", "b"))
    instance = Instance("orders", "mariadb", 3306, LEVEL, repositories, "mysql", str(tmp_path))
    asked = []

    def log(_instance: Instance, _engine: object, store: Restic) -> object:
        asked.append(store.repository.name)
        raise errors.TimeLimitExceeded("10 min are over")

    monkeypatch.setattr(mariadb_backup, "require", str)
    monkeypatch.setattr(mariadb_backup, "BinaryLog", log)
    with pytest.raises(errors.TimeLimitExceeded):
        mariadb_backup.MariaDBBackup(instance, mariadb.MariaDB(instance)).save_log()
    assert asked == ["a"]


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ([("a.b", "check", "status", "OK")], []),
        ([("a.b", "check", "status", "Table is already up to date")], []),
        ([("a.b", "check", "note", "The storage engine for the table doesn't support check")], []),
        ([("a.b", "check", "status", "Operation failed")], ["a.b: Operation failed"]),
        (
            [("a.b", "check", "Warning", "InnoDB: index i is damaged"), ("a.b", "check", "error", "Corrupt")],
            ["a.b: InnoDB: index i is damaged", "a.b: Corrupt"],
        ),
        (
            [("a.b", "check", "warning", "1 client is using it"), ("a.b", "check", "status", "OK")],
            ["a.b: 1 client is using it"],
        ),
    ],
)
def test_check_problems(rows: list[tuple[str, ...]], problems: list[str]) -> None:
    assert mariadb.check_problems(rows) == problems


def test_quotes_names() -> None:
    assert connection.quoted("a`b", "select") == "`a``b`.`select`"


def test_size_leaves_logs_and_temporary_files_out(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    for name in ("ibdata1", "ib_logfile0", "ibtmp1", "mysql-bin.000001", "mysql-bin.index", "aria_log.1", "shop/t.ibd"):
        (tmp_path / name).write_bytes(bytes(100))
    assert data_size(str(tmp_path), "/var/lib/mysql/mysql-bin") == 200
    assert data_size(str(tmp_path), "") == 400


def scratch(state: Path, directory: str, live: str | None = None) -> MariaDBScratch:
    instance = Instance("orders", "mariadb", 3306, LEVEL, (), "mysql", str(state))
    return MariaDBScratch(
        instance, directory, live_data_directory=live, expected_size=0, connect=lambda *_: pytest.fail("no server here")
    )


@pytest.mark.parametrize("directory", ["/var/lib/mysql", "{state}", "{state}/scratch", "{state}/scratch/../live"])
def test_scratch_refuses_every_other_directory(tmp_path: Path, directory: str) -> None:
    with pytest.raises(errors.InvalidInput, match="scratch server"):
        scratch(tmp_path, directory.format(state=tmp_path))


@pytest.mark.parametrize("live", ["scratch/t", "scratch/t/data", "scratch"])
def test_scratch_keeps_away_from_live_data(tmp_path: Path, live: str) -> None:
    (tmp_path / live).mkdir(parents=True)
    with pytest.raises(errors.InvalidInput, match="live data"):
        scratch(tmp_path, f"{tmp_path}/scratch/t", f"{tmp_path}/{live}")


def test_scratch_refuses_a_link_out_of_its_place(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/t").symlink_to(tmp_path / "live")
    with pytest.raises(errors.InvalidInput, match="belongs below"):
        scratch(tmp_path, f"{tmp_path}/scratch/t")


def test_scratch_is_removed_also_when_it_never_started(tmp_path: Path) -> None:
    made = scratch(tmp_path, f"{tmp_path}/scratch/t")
    made.prepare()
    (tmp_path / "scratch/t/x").touch()
    with pytest.raises(errors.InvalidInput, match="empty"):
        made.prepare()
    made.destroy()
    made.destroy()
    assert not (tmp_path / "scratch/t").exists()


def test_takes_from_the_stored_configuration_what_the_files_need() -> None:
    text = "[mysqld]\ninnodb_page_size=16384\ninnodb_undo_directory=./x\nplugin=y\ninnodb_data_file_path=ibdata1:12M\n"
    assert stored_options(text) == ["--loose-innodb_page_size=16384", "--loose-innodb_data_file_path=ibdata1:12M"]


def test_last_failure_prefers_errors() -> None:
    assert last_failure("a\n2025 0 [ERROR] InnoDB: broken\nb\n") == "2025 0 [ERROR] InnoDB: broken"
    assert last_failure("a\nb\n") == "a | b"


INFO = (
    "uuid = x\ntool_name = mariadb-backup\n"
    "binlog_pos = filename 'mysql-bin.000003', position '385', GTID of the last change '0-1-18,1-1-4'\n"
)
CHECKPOINTS = "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 50548\nlast_lsn = 50564\n"


@pytest.mark.parametrize("prefix", ["xtrabackup", "mariadb_backup"])
def test_reads_what_mariadb_backup_notes(prefix: str) -> None:
    found = catalog.read_info({f"{prefix}_info": INFO, f"{prefix}_checkpoints": CHECKPOINTS})
    assert found == {
        "from_lsn": "0", "to_lsn": "50548", "position": "mysql-bin.000003:385", "gtid": "0-1-18,1-1-4",
    }  # fmt: skip


def test_reads_notes_of_a_server_without_binary_log() -> None:
    found = catalog.read_info({"xtrabackup_info": "binlog_pos = \n", "xtrabackup_checkpoints": CHECKPOINTS})
    assert found == {"from_lsn": "0", "to_lsn": "50548"}


def test_ids_sort_and_never_return() -> None:
    assert catalog.new_id(BackupType.FULL, None, [], NOW) == "20250101-010203F"
    assert catalog.new_id(BackupType.INCREMENTAL, "20250101-000000F", [], NOW) == "20250101-000000F_20250101-010203I"
    assert catalog.full_of("20250101-000000F_20250101-010203I") == "20250101-000000F"
    assert catalog.new_id(BackupType.FULL, None, ["20250101-010203F"], NOW) > "20250101-010203F"


def backup(id_: str, parent: str | None = None, minutes: int = 0) -> Backup:
    when = NOW + timedelta(minutes=minutes)
    return Backup(
        id_, BackupType.INCREMENTAL if parent else BackupType.FULL, "mariadb-backup", "local", when, when, 100, 10,
        parent, "b.000001:4", "b.000001:9 0-1-2,3-4-5", None, {"to_lsn": "7", "system": "s", "host": "h"},
    )  # fmt: skip


def stored(*items: Backup, streams: bool = True) -> list[Snapshot]:
    snapshots = [Snapshot(f"card-{item.id}", item.started, catalog.card(item)) for item in items]
    if streams:
        tags = ({"kind": catalog.STREAM, "id": item.id} for item in items)
        snapshots += [Snapshot(f"stream-{entry['id']}", NOW, entry) for entry in tags]
    return snapshots


def test_lists_what_it_stored() -> None:
    chain = [backup("F"), backup("F_I", "F", 1), backup("F_J", "F_I", 2)]
    assert catalog.backups_of(stored(*chain)[::-1], "mariadb-backup", "local") == chain


def test_a_chain_with_a_hole_is_unfit() -> None:
    chain = [backup("F_I", "F", 1), backup("F_J", "F_I", 2)]
    assert [item.error for item in catalog.backups_of(stored(*chain), "t", "local")] == [
        "it needs F, which is missing or unfit", "it needs F_I, which is missing or unfit",
    ]  # fmt: skip
    (alone,) = catalog.backups_of(stored(backup("F"), streams=False), "t", "local")
    assert alone.error == "its data is not in the repository"


def test_a_stream_without_a_card_is_no_backup() -> None:
    killed = Snapshot("half", NOW, {"kind": catalog.STREAM, "id": "G"})
    snapshots = [*stored(backup("F")), killed]
    assert [item.id for item in catalog.backups_of(snapshots, "t", "local")] == ["F"]
    assert catalog.leftovers(snapshots) == ["half"]
    assert sorted(catalog.of_backups(snapshots, ["F"])) == ["card-F", "stream-F"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("mariadb-backup exited with 1: Failed to connect to MariaDB server: Can't connect", errors.ServerUnavailable),
        ("mariadb-backup exited with 1: Failed to connect to MariaDB server: Access denied", errors.AccessDenied),
        ("mariadb-backup exited with 1: log copying failed", errors.CommandFailed),
    ],
)
def test_explains_mariadb_backup(words: str, kind: type[errors.HoldfastError]) -> None:
    assert type(explain(errors.CommandFailed(words), "here")) is kind


@pytest.mark.parametrize(
    ("program", "stderr", "kind"),
    [
        (
            "mbstream",
            "mbstream: Error writing file 'x' (Errcode: 28 \"No space left on device\")",
            errors.RepositoryFull,
        ),
        ("mbstream", "mbstream: wrong chunk magic", errors.CorruptBackup),
        ("mariadb-binlog", "ERROR: Error in Log_event::read_log_event()", errors.CorruptBackup),
        ("mariadb", "ERROR 1062 (23000) at line 7: Duplicate entry", errors.CommandFailed),
    ],
)
def test_explains_a_failed_restore(program: str, stderr: str, kind: type[errors.HoldfastError]) -> None:
    assert type(failure(Stage(Command([program]), 1, stderr), "restoring", "here")) is kind
