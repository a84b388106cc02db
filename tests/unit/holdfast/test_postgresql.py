"""What PostgreSQL's names, values, messages and files mean, without a server."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from ansible.module_utils.holdfast.engines import _postgresql_wal as wal
from ansible.module_utils.holdfast.engines._postgresql_check import problems
from ansible.module_utils.holdfast.engines._postgresql_errors import translate
from ansible.module_utils.holdfast.engines._postgresql_scratch import (
    PostgreSQLScratch,
    last_failure,
    recovery_settings,
    required_settings,
    shared_buffers,
)
from ansible.module_utils.holdfast.engines._postgresql_service import clusters, unit_of
from ansible.module_utils.holdfast.engines._postgresql_settings import same_meaning
from ansible.module_utils.holdfast.errors import AccessDenied, CommandFailed, InvalidInput, ServerUnavailable
from ansible.module_utils.holdfast.model import Instance, Keep, Repository, Retention, ServiceLevel

MB = 1 << 20
HISTORY = "1\t0/1A0000A0\tno recovery target specified\n2\t0/30000000\tbefore 2026\n"


def an_instance(state: str = "/var/lib/holdfast/orders") -> Instance:
    keep = Keep(count=1)
    retention = Retention(keep, keep, keep, timedelta(days=7), keep, keep)
    level = ServiceLevel("standard", timedelta(minutes=15), timedelta(hours=1), retention, {})
    place = Repository("local", "posix", {"path": "/backup"}, {"passphrase": "x"})
    return Instance("orders", "postgresql", 5432, level, (place,), "postgres", state)


@pytest.mark.parametrize(
    ("name", "size", "number"),
    [
        ("000000010000000000000001", 16 * MB, 1),
        ("0000000200000001000000FF", 16 * MB, 511),
        ("000000010000000100000003", 64 * MB, 67),
        ("000000010000000200000000", 1024 * MB, 8),
    ],
)
def test_segment_number_depends_on_the_segment_size(name: str, size: int, number: int) -> None:
    segment = wal.Segment.parse(name, size)
    assert segment.number == number
    assert segment.name(size) == name


@pytest.mark.parametrize(
    ("archived", "segment"),
    [
        ("000000010000000000000007", "000000010000000000000007"),
        ("000000010000000000000007.00000028.backup", "000000010000000000000007"),
        ("000000010000000000000007.partial", "000000010000000000000007"),
        ("00000002.history", None),
        ("", None),
        (None, None),
    ],
)
def test_segment_of_an_archived_file(archived: str | None, segment: str | None) -> None:
    assert wal.segment_name(archived) == segment


@pytest.mark.parametrize(
    ("saved", "timeline", "position"),
    [
        ("00000001000000000000001A", 1, 0x1B000000),
        ("00000001000000000000001A", 3, 0x1A0000A0),  # the old timeline counts up to where the server left it
        ("000000010000000000000010", 3, 0x11000000),
        ("000000020000000000000031", 3, 0x30000000),
        ("000000040000000000000031", 3, None),  # another server has been promoted
    ],
)
def test_how_far_the_own_log_is_saved(saved: str, timeline: int, position: int | None) -> None:
    history = HISTORY if timeline > 1 else ""
    assert wal.saved_up_to(saved, timeline, history, 16 * MB) == position


def test_first_commit_is_the_first_one_and_no_abort() -> None:
    lines = [
        "rmgr: Transaction len (rec/tot): 34/34, tx: 735, lsn: 0/1, desc: ABORT 2026-01-31 11:59:00.1 UTC",
        "rmgr: Transaction len (rec/tot): 46/46, tx: 736, lsn: 0/2, desc: COMMIT 2026-01-31 12:00:00.250000 UTC",
        "rmgr: Transaction len (rec/tot): 46/46, tx: 737, lsn: 0/3, desc: COMMIT 2026-01-31 12:00:01 UTC",
    ]
    assert wal.first_commit(lines) == datetime(2026, 1, 31, 12, 0, 0, 250000, tzinfo=UTC)
    assert wal.first_commit(lines[2:]) == datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
    assert wal.first_commit(lines[:1]) is None


def test_gaps_are_jumps_forward_only() -> None:
    names = [f"00000001{0:08X}{number:08X}" for number in (1, 2, 4, 0xFF)] + [
        "000000010000000100000000",
        "000000020000000100000000",
        "000000020000000100000002",
    ]
    assert list(wal.gaps(names, 16 * MB)) == [
        ("000000010000000000000002", "000000010000000000000004"),
        ("000000010000000000000004", "0000000100000000000000FF"),
        ("000000020000000100000000", "000000020000000100000002"),
    ]


def test_lsn_there_and_back() -> None:
    assert wal.parse_lsn("16/B374D848") == 0x16B374D848
    assert wal.format_lsn(0x16B374D848) == "16/B374D848"


@pytest.mark.parametrize(
    ("name", "wanted", "current", "vartype", "unit", "same"),
    [
        ("archive_timeout", "1min", "60", "integer", "s", True),
        ("archive_timeout", "60s", "60", "integer", "s", True),
        ("archive_timeout", "180s", "60", "integer", "s", False),
        ("shared_buffers", "128MB", "16384", "integer", "8kB", True),
        ("shared_buffers", "128MB", "16385", "integer", "8kB", False),
        ("max_connections", "100", "100", "integer", None, True),
        ("log_autovacuum_min_duration", "10min", "600000", "integer", "ms", True),
        ("ssl", "yes", "on", "bool", None, True),
        ("ssl", "on", "off", "bool", None, False),
        ("wal_level", "replica", "logical", "enum", None, True),
        ("wal_level", "replica", "minimal", "enum", None, False),
        ("archive_mode", "on", "always", "enum", None, True),
        ("archive_mode", "on", "off", "enum", None, False),
        ("archive_command", "a %p", "b %p", "string", None, False),
        ("archive_timeout", "1 fortnight", "60", "integer", "s", False),
    ],
)
def test_same_meaning(name: str, wanted: str, current: str, vartype: str, unit: str | None, same: bool) -> None:
    assert same_meaning(name, wanted, current, vartype=vartype, unit=unit) is same


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (None, 'FATAL:  password authentication failed for user "x"', AccessDenied),
        (None, 'FATAL:  Peer authentication failed for user "postgres"', AccessDenied),
        (None, 'FATAL:  role "holdfast" does not exist', AccessDenied),
        (None, "FATAL:  no pg_hba.conf entry for host", AccessDenied),
        (None, "connection to server on socket failed: No such file or directory\n\tIs it running?", ServerUnavailable),
        (None, "FATAL:  the database system is starting up", ServerUnavailable),
        (None, "FATAL:  sorry, too many clients already", ServerUnavailable),
        ("57P01", "terminating connection due to administrator command", ServerUnavailable),
        ("57014", "canceling statement due to statement timeout", CommandFailed),
        ("42501", "permission denied for schema holdfast", AccessDenied),
        ("42P01", 'relation "x" does not exist', CommandFailed),
    ],
)
def test_driver_errors(code: str | None, message: str, kind: type) -> None:
    error = translate(code, message, "orders")
    assert type(error) is kind
    assert "\n" not in error.what
    assert not error.what.startswith("FATAL")


def test_findings_of_the_checker_name_their_relation() -> None:
    output = (
        'heap table "shop.public.orders", block 0, offset 1, attribute 2:\n'
        "    toast value 16457 not found in toast table\n"
        'btree index "shop.public.orders_pkey":\n'
        '    ERROR:  item order invariant violated for index "orders_pkey"\n'
        "    DETAIL:  Lower index tid=(1,2)\n"
    )
    assert problems(output) == (
        'heap table "shop.public.orders", block 0, offset 1, attribute 2: toast value 16457 not found in toast table',
        'btree index "shop.public.orders_pkey": item order invariant violated for index "orders_pkey"',
        'btree index "shop.public.orders_pkey": DETAIL:  Lower index tid=(1,2)',
    )
    assert problems("") == ()


def test_recovery_keeps_what_steers_it_and_nothing_that_talks_to_others() -> None:
    automatic = (
        "# Do not edit this file manually!\n"
        "primary_conninfo = 'host=live'\n"
        "shared_preload_libraries = 'pg_cron'\n"
        "restore_command = 'pgbackrest archive-get %f \"%p\"'\n"
        "recovery_end_command = 'touch /x'\n"
        "archive_command = 'pgbackrest archive-push %p'\n"
        "recovery_target_time = '2026-01-31 12:00:00+00'\n"
    )
    assert recovery_settings(automatic) == (
        "restore_command = 'pgbackrest archive-get %f \"%p\"'\nrecovery_target_time = '2026-01-31 12:00:00+00'\n"
    )


def test_recovery_gets_at_least_what_the_primary_had() -> None:
    controldata = (
        "pg_control version number:            1300\n"
        "max_connections setting:              777\n"
        "max_worker_processes setting:         8\n"
        "max_wal_senders setting:              12\n"
        "max_prepared_xacts setting:           3\n"
        "max_locks_per_xact setting:           64\n"
    )
    assert required_settings(controldata) == {
        "max_connections": "777",
        "max_worker_processes": "8",
        "max_wal_senders": "12",
        "max_prepared_transactions": "3",
        "max_locks_per_transaction": "64",
    }


def test_the_last_failure_is_not_the_answer_to_the_one_who_waits() -> None:
    text = (
        "GMT [1] LOG:  starting\n"
        "GMT [2] FATAL:  could not restore file from archive\n"
        "GMT [2] HINT:  look\n"
        "GMT [3] FATAL:  the database system is not yet accepting connections\n"
        "GMT [3] DETAIL:  Consistent recovery state has not been yet reached.\n"
        "GMT [1] LOG:  database system is shut down\n"
    )
    assert last_failure(text) == "GMT [2] FATAL:  could not restore file from archive | GMT [2] HINT:  look"


def test_shared_memory_of_a_scratch_server_has_bounds() -> None:
    assert shared_buffers(0) == 32
    assert shared_buffers(1 << 50) <= 512


@pytest.mark.parametrize(
    ("directory", "live"),
    [
        ("", None),
        ("scratch", None),
        ("scratch/../other", None),
        ("../elsewhere", None),
        ("scratch/a", "scratch/a"),
        ("scratch/a/b", "scratch/a"),
        ("scratch/a", "scratch/a/data"),
    ],
)
def test_a_scratch_server_refuses_any_place_but_its_own(tmp_path: Path, directory: str, live: str | None) -> None:
    with pytest.raises(InvalidInput):
        a_scratch(tmp_path, directory, live)


def test_a_scratch_server_refuses_a_link_to_the_live_data(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "test").symlink_to(live)
    with pytest.raises(InvalidInput):
        a_scratch(tmp_path, "scratch/test", "live")


def test_a_link_put_in_place_later_is_not_followed(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    (live / "PG_VERSION").write_text("15\n")
    scratch = a_scratch(tmp_path, "scratch/test", "live")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "test").symlink_to(live)
    with pytest.raises(InvalidInput):
        scratch.destroy()
    assert (live / "PG_VERSION").exists()


def test_destroy_removes_the_directory_and_not_what_it_links_to(tmp_path: Path) -> None:
    kept = tmp_path / "tablespace"
    kept.mkdir()
    (kept / "data").write_text("x")
    scratch = a_scratch(tmp_path, "scratch/test", None)
    scratch.prepare()
    os.makedirs(os.path.join(scratch.data_directory, "pg_tblspc"))
    os.symlink(kept, os.path.join(scratch.data_directory, "pg_tblspc", "16400"))
    # A process that is alive and stands somewhere else: a stale file must not get it killed.
    Path(scratch.data_directory, "postmaster.pid").write_text(f"{os.getpid()}\n")
    scratch.destroy()
    scratch.destroy()
    assert not os.path.exists(scratch.directory)
    assert (kept / "data").exists()


def test_a_scratch_directory_must_be_empty(tmp_path: Path) -> None:
    scratch = a_scratch(tmp_path, "scratch/test", None)
    scratch.prepare()
    assert os.stat(scratch.directory).st_mode & 0o777 == 0o700
    Path(scratch.directory, "left").touch()
    with pytest.raises(InvalidInput):
        scratch.prepare()


def test_the_socket_fits_whatever_the_instance_is_called(tmp_path: Path) -> None:
    short = a_scratch(tmp_path, "scratch/t", None)
    long = a_scratch(tmp_path, "scratch/" + "x" * 100, None)
    assert short.socket_directory == short.directory
    assert len(os.path.join(long.socket_directory, ".s.PGSQL.5432")) <= 107
    assert long.socket_directory == a_scratch(tmp_path, "scratch/" + "x" * 100, None).socket_directory


def a_scratch(tmp_path: Path, directory: str, live: str | None) -> PostgreSQLScratch:
    return PostgreSQLScratch(
        an_instance(str(tmp_path)),
        str(tmp_path / directory),
        live_data_directory=str(tmp_path / live) if live else None,
        expected_size=0,
        connect=cast("Any", None),
    )


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n", "postgresql@15-main.service"),
        ("4:memory:/x\n1:name=systemd:/system.slice/postgresql-15.service\n", "postgresql-15.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", None),
        ("0::/\n", None),
    ],
)
def test_unit_of_a_process(cgroup: str, unit: str | None) -> None:
    assert unit_of(cgroup) == unit


def test_clusters_of_a_host() -> None:
    listing = (
        '[{"version": "15", "cluster": "main", "pgdata": "/a", "port": "5432", "running": 1},'
        ' {"version": 17, "cluster": "x", "pgdata": "/b/", "port": 5433, "running": "0"}]'
    )
    main, other = clusters(listing)
    assert (main.unit, main.port, main.data_directory, main.running) == ("postgresql@15-main.service", 5432, "/a", True)
    assert (other.version, other.unit, other.running) == ("17", "postgresql@17-x.service", False)
