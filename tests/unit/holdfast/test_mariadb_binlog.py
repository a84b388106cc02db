"""Reading binary logs from disk, and which of their files are saved, missing or needed."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.module_utils.holdfast.engines import _binlog as binlog
from ansible.module_utils.holdfast.engines._binlog import LogFile
from ansible.module_utils.holdfast.repositories.restic import Snapshot
from ansible.module_utils.holdfast.tools import _mariadb_log_files as rules

FORMAT, GTID_LIST, CHECKPOINT, QUERY, GTID, ROTATE, STOP = 15, 163, 161, 2, 162, 4, 3


def event(time: int, kind: int, length: int = 40) -> bytes:
    return struct.pack("<IBIIIH", time, kind, 1, length, 0, 0) + bytes(length - 19)


def write(path: Path, *events: bytes, tail: bytes = b"") -> Path:
    path.write_bytes(binlog.MAGIC + b"".join(events) + tail)
    return path


HEADER = (event(100, FORMAT, 256), event(100, GTID_LIST), event(100, CHECKPOINT))


@pytest.mark.parametrize(
    ("events", "start", "changed"),
    [
        (HEADER, 4, None),
        ((*HEADER, event(107, GTID), event(107, QUERY)), 4, 107),
        ((*HEADER, event(107, GTID), event(109, QUERY)), 4 + 256 + 80 + 40, 109),
        ((*HEADER, event(107, GTID), event(120, ROTATE)), 4 + 256 + 80 + 40, None),
        ((*HEADER, event(120, STOP)), 4, None),
        ((), 4, None),
    ],
)
def test_first_change(tmp_path: Path, events: tuple[bytes, ...], start: int, changed: int | None) -> None:
    assert binlog.first_change(str(write(tmp_path / "b.000001", *events)), start) == changed


def test_what_no_binary_log_is_has_no_change(tmp_path: Path) -> None:
    path = tmp_path / "b.000001"
    path.write_bytes(b"something else entirely, and long enough for a header")
    assert binlog.first_change(str(path)) is None
    assert binlog.read(str(path)) is None


def test_looks_for_the_oldest_change_through_several_files(tmp_path: Path) -> None:
    first = write(tmp_path / "b.000001", *HEADER, event(107, QUERY))
    second = write(tmp_path / "b.000002", *HEADER)
    third = write(tmp_path / "b.000003", *HEADER, event(115, QUERY))
    assert binlog.unsaved_change([str(first), str(second), str(third)], first.stat().st_size) == 115
    assert binlog.unsaved_change([str(first), str(second), str(third)], 4) == 107
    assert binlog.unsaved_change([str(second)], 4) is None
    assert binlog.unsaved_change([], 4) is None


def test_a_file_that_a_crash_cut_short_ends_with_its_last_whole_event(tmp_path: Path) -> None:
    path = write(tmp_path / "b.000007", *HEADER, event(107, QUERY), tail=event(108, QUERY, 500)[:200])
    whole = 4 + 256 + 40 * 3
    assert binlog.read(str(path), complete=True) == LogFile(100, "b.000007", whole)
    assert binlog.read(str(path)) == LogFile(100, "b.000007", whole + 200)


def test_names_and_positions() -> None:
    assert binlog.split_name("db1.example-bin.000012") == ("db1.example-bin", 12)
    assert binlog.parse_position("mysql-bin.000012:345 0-1-7,1-1-9") == ("mysql-bin.000012", 345)
    assert binlog.parse_position("mysql-bin.000012:345") == ("mysql-bin.000012", 345)
    assert binlog.names_of(["b.index", "b.000010", "b.000009", "c.000001", "b.state"], "b") == ["b.000009", "b.000010"]
    with pytest.raises(ValueError, match=r"b\.index"):
        binlog.split_name("b.index")


def files(*numbers: int, created: int = 1000, size: int = 50) -> list[LogFile]:
    """Files that were begun ten seconds after each other."""
    return [LogFile(created + 10 * number, f"b.{number:06d}", size) for number in numbers]


@pytest.mark.parametrize(
    ("last", "found", "fresh", "gap"),
    [
        (None, files(1, 2), files(1, 2), ""),
        (files(2)[0], files(2), [], ""),
        (files(2)[0], files(2, 3, 4), files(3, 4), ""),
        (files(2)[0], files(1, 2, 3), files(3), ""),
        (files(2)[0], files(3, 4), files(3, 4), ""),
        (files(2)[0], files(5, 6), files(5, 6), "purged"),
        (files(2)[0], files(2, size=90) + files(3), files(2, size=90) + files(3), ""),
        (files(5)[0], files(1, created=5000), files(1, created=5000), "RESET MASTER"),
        (files(5)[0], files(*range(1, 8), created=5000), files(*range(1, 8), created=5000), "RESET MASTER"),
        (files(5)[0], [], [], ""),
    ],
)
def test_unsaved(last: LogFile | None, found: list[LogFile], fresh: list[LogFile], gap: str) -> None:
    result, reason = rules.unsaved(last, found)
    assert result == fresh
    assert gap in reason
    assert bool(gap) == bool(reason)


def test_runs_end_where_something_is_missing() -> None:
    restored = [LogFile(1030, "b.100001", 50)]
    assert rules.runs([*files(1, 2), *files(4)]) == [files(1, 2), files(4)]
    assert rules.runs([*restored, *files(2, 1)]) == [files(1, 2), restored]
    assert rules.runs([]) == []


def test_a_window_grows_until_it_is_full() -> None:
    assert rules.windows([], []) == []
    assert rules.windows(files(1, 2), []) == []
    assert rules.windows([], files(1, 2)) == [files(1, 2)]
    assert rules.windows(files(1, 2), files(3)) == [files(1, 2, 3)]
    assert rules.windows(files(1, 2), files(2, size=90)) == [files(1) + files(2, size=90)]
    many = files(*range(1, rules.WINDOW_FILES + 1))
    assert rules.windows(many, files(500)) == [files(500)]
    assert rules.windows(many[:-1], files(500, 501)) == [[*many[:-1], *files(500)], files(501)]


def test_a_window_holds_large_files_one_by_one() -> None:
    large = files(1, 2, 3, size=rules.WINDOW_BYTES)
    assert rules.windows([], large) == [[file] for file in large]


@pytest.mark.parametrize("count", [1, 7, rules.WINDOW_FILES, 3 * rules.WINDOW_FILES + 1])
def test_every_fresh_file_is_in_one_window(count: int) -> None:
    fresh = files(*range(50, 50 + count))
    stored = rules.windows(files(48, 49), fresh)
    assert [file for window in stored for file in window if file in fresh] == fresh
    assert max(map(len, stored)) <= rules.WINDOW_FILES


def snapshot(id_: str, content: list[LogFile], minutes: int) -> Snapshot:
    when = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    return Snapshot(id_, when, rules.window_tags(content))


def test_lists_saved_files_from_the_newest_snapshot_of_each_window() -> None:
    grown = files(1) + files(2, size=90)
    snapshots = [snapshot("a", files(1), 1), snapshot("b", files(1, 2), 2), snapshot("c", grown, 3)]
    snapshots.append(snapshot("d", files(3), 4))
    assert [item.id for item in rules.current(snapshots[::-1])] == ["c", "d"]
    held = rules.saved(snapshots)
    assert list(held) == [*grown, *files(3)]
    assert [item.id for item in held.values()] == ["c", "c", "d"]


def test_tags_of_a_window_survive() -> None:
    assert rules.decode(rules.encode(files(1, 22, 333))) == files(1, 22, 333)


@pytest.mark.parametrize(
    ("present", "name", "not_after", "found"),
    [
        (files(1, 2, 3), "b.000002", 9999, files(2, 3)),
        (files(1, 2, 4), "b.000001", 9999, files(1, 2)),
        (files(1, 2), "b.000007", 9999, []),
        (files(1, 2) + files(1, 2, created=5000), "b.000001", 2000, files(1, 2)),
        (files(1, 2) + files(1, 2, created=5000), "b.000001", 9999, files(1, 2, created=5000)),
        (files(1, 2, created=5000), "b.000001", 2000, []),
    ],
)
def test_files_that_a_restore_needs(present: list[LogFile], name: str, not_after: float, found: list[LogFile]) -> None:
    assert rules.from_position(present, name, not_after) == found


def test_gaps() -> None:
    assert rules.gaps(files(1, 2, 3)) == []
    assert rules.gaps(files(3, 1, 2, 5)) == [(files(3)[0], files(5)[0])]
    reset = files(1, created=5000)[0]
    assert rules.gaps([*files(1, 2), reset]) == [(files(2)[0], reset)]


@pytest.mark.parametrize(
    ("position", "taken", "held"),
    [
        ("bin.100001:400 0-1-9", 205, True),
        ("bin.100002:4", 225, True),
        ("bin.000007:400", 150, False),  # of the history before
        ("bin.100001:400", 150, False),  # of the same name, and older than the file
        ("", 205, False),
    ],
)
def test_what_is_missing_behind_the_newest_backup_alone_is_a_gap(position: str, taken: int, held: bool) -> None:
    files = [LogFile(200, "bin.100001", 900), LogFile(220, "bin.100002", 900)]
    moment = datetime.fromtimestamp(taken, UTC)
    tags = {"log_stop": position} if position else {}
    snapshots = [
        Snapshot("old", datetime.fromtimestamp(1, UTC), {"log_stop": "bin.000001:4"}),
        Snapshot("x", moment, tags),
    ]
    assert rules.hold_newest_backup(files, snapshots) is held
    assert rules.hold_newest_backup(files, []) is False
