"""Where a roll-forward of MariaDB's log ends: by the listing of the repository, then by the events in the files."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.engines import _binlog as binlog
from ansible.module_utils.holdfast.engines import _mariadb_gtid as gtid
from ansible.module_utils.holdfast.engines._binlog import LogFile
from ansible.module_utils.holdfast.model import Backup, BackupType, RestoreTarget
from ansible.module_utils.holdfast.repositories.restic import Snapshot
from ansible.module_utils.holdfast.tools import _mariadb_log_files as rules
from ansible.module_utils.holdfast.tools import _mariadb_target as targets

FORMAT, GTID_LIST, GTID, QUERY, XID, ROTATE, ENCRYPTION, ROWS, ANNOTATION = 15, 163, 162, 2, 16, 4, 164, 23, 160
CRC = b"\1\2\3\4"


def event(time: int, kind: int, body: bytes = b"", server: int = 1) -> bytes:
    return struct.pack("<IBIIIH", time, kind, server, 19 + len(body) + 4, 0, 0) + body + CRC


def begin(time: int, *gtids: tuple[int, int, int]) -> bytes:
    listed = struct.pack("<I", len(gtids)) + b"".join(struct.pack("<IIQ", *item) for item in gtids)
    return binlog.MAGIC + event(time, FORMAT, bytes(200)) + event(time, GTID_LIST, listed)


def change(time: int, sequence: int, domain: int = 0, server: int = 1, began: int | None = None) -> bytes:
    """A transaction with rows, whose statements began at another time than its commit if ``began`` is given."""
    first = event(time, GTID, struct.pack("<QIB6x", sequence, domain, 4), server)
    return (
        first + event(began or time, ANNOTATION, b"insert") + event(began or time, ROWS, bytes(30)) + event(time, XID)
    )


def statement(time: int, sequence: int, text: bytes, flags: int = 1) -> bytes:
    return event(time, GTID, struct.pack("<QIB6x", sequence, 0, flags)) + event(time, QUERY, text)


HEAD = len(begin(0, (0, 1, 4)))
STEP = len(change(0, 0))


class Log:
    """Files that were begun at 1000, 2000, ..., with transactions at given times, and a listing that holds them."""

    def __init__(self, directory: Path, *files: tuple[int, list[int]]) -> None:
        self.directory, self.files, sequence = directory, [], 5
        for number, times in files:
            content = begin(number * 1000, (0, 1, sequence - 1))
            for time in times:
                content += change(time, sequence)
                sequence += 1
            content += event(max([*times, number * 1000]) + 1, ROTATE, b"next")
            path = directory / f"b.{number:06d}"
            path.write_bytes(content)
            self.files.append(LogFile(number * 1000, path.name, len(content)))

    def snapshots(self, until: int | None = None, gtids: str = "") -> list[Snapshot]:
        reach = {"until": str(until or ""), "gtids": gtids}
        return [Snapshot("s", datetime.fromtimestamp(9999, UTC), rules.window_tags(self.files, reach))]

    def end(self, target: RestoreTarget, stop: str = f"b.000001:{HEAD} 0-1-4", until: int | None = None) -> targets.End:
        selection = targets.select(self.snapshots(until), backup(stop), target)
        assert selection.range.gap is None
        return targets.find(selection, str(self.directory), backup(stop), target, "here")

    def gap(self, target: RestoreTarget, stop: str = f"b.000001:{HEAD} 0-1-4", until: int | None = None) -> str | None:
        return targets.select(self.snapshots(until), backup(stop), target).range.gap


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """GTIDs 0-1-5 to 0-1-10, two in each file."""
    return Log(tmp_path, (1, [1100, 1200]), (2, [2100, 2200]), (3, [3100, 3200]))


def backup(stop: str | None, finished: int = 1050) -> Backup:
    when = datetime.fromtimestamp(finished, UTC)
    return Backup("F", BackupType.FULL, "mariadb-backup", "local", when, when, log_stop=stop, details={"to_lsn": "77"})


def at(seconds: float) -> RestoreTarget:
    return RestoreTarget(datetime.fromtimestamp(seconds, UTC))


def test_reads_transactions_and_the_gtids_before_them(tmp_path: Path) -> None:
    path = tmp_path / "b.000001"
    content = begin(100, (0, 1, 4), (3, 2, 9)) + change(107, 5) + change(109, 10, 3, 2, began=101)
    path.write_bytes(content + event(120, ROTATE))
    first, second = binlog.transactions(str(path), len(content))
    assert (first.gtid, first.time, second.gtid, second.time) == ("0-1-5", 107, "3-2-10", 109)
    assert (first.end, second.end) == (second.start, len(content))
    assert binlog.gtids_before(str(path)) == {0: "0-1-4", 3: "3-2-9"}
    assert [item.gtid for item in binlog.transactions(str(path), first.end)] == ["0-1-5"]
    assert binlog.newest_event(str(path), path.stat().st_size) == 120
    assert binlog.gtids_at(str(path), first.end) == {0: "0-1-5", 3: "3-2-9"}
    assert binlog.state_after(str(path)) == {(0, 1): 5, (3, 2): 10}


@pytest.mark.parametrize(
    ("state", "shared"),
    [
        ("0-1-7", "0-1-7"),  # restored to 7, and nothing since
        ("0-1-7,0-2-20", "0-1-7"),
        ("0-1-6,0-2-8", "0-1-6"),  # at the end of a file
        ("0-1-10,0-2-11", "0-1-10"),
        ("0-1-4", "0-1-4"),
        ("0-1-3", ""),  # begins before the log
        ("", ""),
    ],
)
def test_where_a_log_left_the_history_of_another_server(log: Log, state: str, shared: str) -> None:
    paths = [str(log.directory / file.name) for file in log.files]
    assert gtid.last_shared(paths, gtid.history(state)) == shared


@pytest.mark.parametrize(
    ("last", "whole"),
    [
        (change(107, 5), True),
        (change(107, 5)[: -len(event(0, XID))], False),
        (change(107, 5)[:-3], False),
        (statement(107, 5, b"DROP TABLE t"), True),
        (statement(107, 5, b"INSERT", 0), False),
        (statement(107, 5, b"INSERT", 0) + event(107, QUERY, b"COMMIT"), True),
        (event(107, GTID, struct.pack("<QIB6x", 5, 0, 1)) + event(107, ANNOTATION, b"x"), False),
        (event(107, GTID, struct.pack("<QIB6x", 5, 0, 1)), False),
    ],
)
def test_a_transaction_that_a_crash_cut_short_is_none(tmp_path: Path, last: bytes, whole: bool) -> None:
    path = tmp_path / "b.000001"
    path.write_bytes(begin(100) + last)
    assert [item.gtid for item in binlog.transactions(str(path), path.stat().st_size)] == ["0-1-5"] * whole


def test_an_encrypted_log_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "b.000001"
    path.write_bytes(binlog.MAGIC + event(100, FORMAT, bytes(200)) + event(100, ENCRYPTION, bytes(17)) + bytes(99))
    with pytest.raises(errors.Unsupported, match="encrypted"):
        list(binlog.transactions(str(path), path.stat().st_size))


@pytest.mark.parametrize(
    ("target", "position", "time", "files"),
    [
        (RestoreTarget(), f"b.000003:{HEAD + 2 * STEP} 0-1-10", 3200, 3),
        (at(2100), f"b.000002:{HEAD + STEP} 0-1-7", 2100, 2),
        (at(2199.9), f"b.000002:{HEAD + STEP} 0-1-7", 2100, 2),
        (at(2200), f"b.000002:{HEAD + 2 * STEP} 0-1-8", 2200, 2),
        (at(2999), f"b.000002:{HEAD + 2 * STEP} 0-1-8", 2200, 2),
        (at(3050), f"b.000002:{HEAD + 2 * STEP} 0-1-8", 2200, 2),
        (at(1099), f"b.000001:{HEAD} 0-1-4", None, 0),
        (at(3201), f"b.000003:{HEAD + 2 * STEP} 0-1-10", 3200, 3),
        (RestoreTarget(position="0-1-7"), f"b.000002:{HEAD + STEP} 0-1-7", 2100, 2),
        (RestoreTarget(transaction="0-1-10"), f"b.000003:{HEAD + 2 * STEP} 0-1-10", 3200, 3),
        (RestoreTarget(position="0-1-4"), f"b.000001:{HEAD} 0-1-4", None, 0),
        (RestoreTarget(position=f"b.000002:{HEAD + STEP} 0-1-7"), f"b.000002:{HEAD + STEP} 0-1-7", 2100, 2),
        (RestoreTarget(position=f"b.000002:{HEAD}"), f"b.000001:{HEAD + 2 * STEP} 0-1-6", 1200, 1),
        (RestoreTarget(position=f"b.000001:{HEAD}"), f"b.000001:{HEAD} 0-1-4", None, 0),
        (RestoreTarget(consistent=True), f"b.000001:{HEAD} 0-1-4", None, 0),
    ],
)
def test_ends_with_the_change_that_the_target_names(
    log: Log, target: RestoreTarget, position: str, time: int | None, files: int
) -> None:
    end = log.end(target, until=3300)
    assert end.reached.position == position
    assert end.reached.time == (datetime.fromtimestamp(time, UTC) if time else None)
    assert len(end.paths) == files
    if files:
        assert position.split(" ", maxsplit=1)[0] == f"b.{files:06d}:{end.offset}"
        assert position.split(" ")[1] == end.gtid


def test_what_the_backup_holds_is_not_replayed_again(log: Log) -> None:
    stop = f"b.000001:{HEAD + STEP} 0-1-5"
    assert log.end(at(1150), stop).paths == ()
    assert log.end(at(1150), stop).reached.position == stop
    assert log.end(RestoreTarget(position="0-1-6"), stop).gtid == "0-1-6"


def test_gtids_of_several_domains_are_one_target(tmp_path: Path) -> None:
    log = Log(tmp_path, (1, []))
    content = begin(1000, (0, 1, 4)) + change(1100, 5) + change(1101, 1, 3) + change(1102, 6) + change(1103, 2, 3)
    (tmp_path / "b.000001").write_bytes(content)
    log.files = [LogFile(1000, "b.000001", len(content))]
    assert log.end(RestoreTarget(position="0-1-6,3-1-1")).reached.position.endswith(" 0-1-6,3-1-1")
    assert log.end(RestoreTarget(position="0-1-5, 3-1-1")).reached.position.endswith(" 0-1-5,3-1-1")
    with pytest.raises(errors.TargetNotReached):
        log.end(RestoreTarget(position="0-1-6,3-1-3"))


@pytest.mark.parametrize(
    ("target", "until"),
    [
        (at(4000), 3300),
        (at(3301), 3300),
        (RestoreTarget(position=f"b.000004:{HEAD}"), None),
        (RestoreTarget(position="b.000002:99999"), None),
        (RestoreTarget(position="c.000002:500"), None),
    ],
)
def test_the_listing_tells_what_the_log_does_not_reach(log: Log, target: RestoreTarget, until: int | None) -> None:
    assert log.gap(target, until=until)


@pytest.mark.parametrize("target", [at(3202), RestoreTarget(position="0-1-11"), RestoreTarget(transaction="0-2-7")])
def test_the_files_tell_what_the_log_does_not_reach(log: Log, target: RestoreTarget) -> None:
    with pytest.raises(errors.TargetNotReached, match=r"ends at 1970-01-01T00:53:21.000Z.*b\.000003:\d+ 0-1-10"):
        log.end(target, until=9999)


@pytest.mark.parametrize(
    ("wanted", "missed"), [("0-1-10", False), ("0-1-11", True), ("3-1-1", True), ("0-1-10,3-1-1", True)]
)
def test_the_listing_tells_which_gtids_the_log_does_not_reach(log: Log, wanted: str, missed: bool) -> None:
    snapshots = log.snapshots(gtids="0-1-10")
    found = targets.select(snapshots, backup(f"b.000001:{HEAD} 0-1-4"), RestoreTarget(position=wanted))
    assert bool(found.range.gap) == missed
    assert "0-1-10" in (found.range.gap or "0-1-10")


def test_an_offset_within_a_transaction_is_no_target(log: Log) -> None:
    with pytest.raises(errors.InvalidInput, match=rf"{HEAD + STEP} or {HEAD + 2 * STEP}"):
        log.end(RestoreTarget(position=f"b.000002:{HEAD + STEP + 50}"))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (at(1049), "before the end"),
        (RestoreTarget(position="0-1-3"), "before the end"),
        (RestoreTarget(position="0-9-4"), "before the end"),
        (RestoreTarget(position="b.000001:4"), "before the end"),
        (RestoreTarget(position="16/B374D848"), "no log position"),
        (RestoreTarget(transaction="4711"), "no GTID"),
    ],
)
def test_refuses_targets_that_are_none(log: Log, target: RestoreTarget, words: str) -> None:
    with pytest.raises(errors.InvalidInput, match=words):
        log.gap(target)


@pytest.mark.parametrize("target", [RestoreTarget(point="x"), RestoreTarget(timeline="2")])
def test_says_what_only_others_have(log: Log, target: RestoreTarget) -> None:
    with pytest.raises(errors.Unsupported, match="MariaDB has none"):
        log.gap(target)


def test_the_newest_change_is_not_reached_across_a_gap(tmp_path: Path) -> None:
    log = Log(tmp_path, (1, [1100]), (3, [3100]))
    assert "b.000003 does not follow" in (log.gap(RestoreTarget()) or "")
    assert log.end(at(1101), until=3300).gtid == "0-1-5"
    with pytest.raises(errors.TargetNotReached):
        log.end(at(1150), until=3300)  # the log may have gone on in the file that is missing
    restored = Log(tmp_path, (1, [1100]), (100_001, [3100]))
    assert "after a restore" in (restored.gap(RestoreTarget()) or "")


def test_a_backup_that_no_saved_log_continues(log: Log) -> None:
    # The file that a fresh backup ends in is not closed yet.
    assert log.gap(RestoreTarget(), "b.000004:300 0-1-10") is not None
    late = targets.select(log.snapshots(), backup("b.000004:300", finished=3500), RestoreTarget())
    assert (late.range.gap, late.files) == (None, ())
    assert targets.select([], backup("b.000001:300"), RestoreTarget()).range.gap is None
    assert targets.select([], backup("b.000001:300"), at(2000)).range.gap
    assert targets.select([], backup(None), RestoreTarget()).range.gap is None
    assert "the server wrote no log when F was taken" in (targets.select([], backup(None), at(2000)).range.gap or "")
    nothing = targets.find(targets.Selection((), late.range), "/nowhere", backup(None), RestoreTarget(), "here")
    assert nothing.reached.position == "LSN 77"


def test_a_listing_says_how_far_the_log_reaches(log: Log) -> None:
    found = targets.select(log.snapshots(3300), backup(f"b.000002:{HEAD}", finished=2050), RestoreTarget()).range
    assert (found.files, found.first, found.last, found.gap) == (2, "b.000002", "b.000003", None)
    assert found.size_bytes == sum(file.size for file in log.files[1:])
    assert found.until == datetime.fromtimestamp(3300, UTC)
    unknown = targets.select(log.snapshots(), backup(f"b.000002:{HEAD}", finished=2050), RestoreTarget()).range
    assert unknown.until == datetime.fromtimestamp(3000, UTC)
