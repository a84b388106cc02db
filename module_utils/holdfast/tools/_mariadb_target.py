"""Where a roll-forward of the binary log ends: first by the listing of the repository, then exactly, by the files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..engines import _binlog as binlog
from ..engines._binlog import LogFile, Transaction
from ..engines._mariadb_history import gtids_in
from ..errors import InvalidInput, TargetNotReached, Unsupported
from ..model import Backup, LogRange, Reached, RestoreTarget
from ..repositories.restic import Snapshot
from ..units import format_instant
from . import _mariadb_log_files as rules

_POSITION = re.compile(r"^[^:\s]+\.\d{6,}:\d+(\s+[\d,-]+)?$")


@dataclass(frozen=True)
class Selection:
    """The saved log files that a restore replays, oldest first, and whether the log goes on after them."""

    files: tuple[LogFile, ...]
    range: LogRange
    goes_on: bool = False
    start: int = 0  # offset in the first file


@dataclass(frozen=True)
class End:
    """Where a roll-forward ends: ``paths`` are the files to replay, the last one up to ``offset``.

    There are none when nothing was changed since the backup.
    """

    reached: Reached
    paths: tuple[str, ...] = ()
    offset: int = 0
    gtid: str = ""  # of the last transaction


def check(backup: Backup, target: RestoreTarget) -> None:
    """Raise InvalidInput for a target that is no target of MariaDB, or one before the end of the backup.

    Raises Unsupported for what only other engines have.
    """
    _check_kind(target)
    if target.time and target.time < backup.finished:
        raise InvalidInput(f"{format_instant(target.time)} lies before the end of backup {backup.id}")
    if not backup.log_stop:
        return
    known = _by_domain(gtids_in(backup.log_stop))
    for domain, wanted in _by_domain(gtid_of(target)).items():
        held = known.get(domain, wanted)
        if held != wanted and _sequence(wanted) <= _sequence(held):
            raise InvalidInput(f"{wanted} lies before the end of backup {backup.id}, {held}")
    if target.position and not gtid_of(target) and _order(target.position) < _order(backup.log_stop):
        raise InvalidInput(f"{target.position} lies before the end of backup {backup.id}, {backup.log_stop}")


def _check_kind(target: RestoreTarget) -> None:
    if target.point:
        raise Unsupported("mariadb", "a named restore point", "MariaDB has none", remedy="Give a time or a GTID")
    if target.timeline:
        raise Unsupported("mariadb", "a timeline", "MariaDB has none", remedy="Choose the backup whose log to follow")
    gtid = gtid_of(target)
    if target.transaction and not gtid:
        raise InvalidInput(f"{target.transaction!r} is no GTID", remedy="Give one like 0-1-4711")
    if target.position and not gtid and not _POSITION.match(target.position):
        raise InvalidInput(
            f"{target.position!r} is no log position", remedy="Give a GTID like 0-1-4711, or mysql-bin.000012:345"
        )


def gtid_of(target: RestoreTarget) -> str:
    """The GTID that the target is, or one of each domain, separated by commas; empty when it is none.

    A GTID is what MariaDB has for a transaction id.
    """
    return gtids_in((target.transaction or target.position or "").replace(" ", ""))


def select(snapshots: Sequence[Snapshot], backup: Backup, target: RestoreTarget) -> Selection:
    """The log that a restore to the target replays, as the listing tells. Calls :func:`check`."""
    check(backup, target)
    ended = int(backup.finished.timestamp())
    if target.consistent or _is_end(backup, target):
        return Selection((), _range((), ended))
    if not backup.log_stop:
        # A service level without log backup needs none, and no server setting is changed for it.
        unlogged = f"the server wrote no log when {backup.id} was taken, as it does with log: continuous"
        return Selection((), _range((), ended, unlogged if target.ends_early else None))
    name, offset = binlog.parse_position(backup.log_stop)
    holders = rules.saved(snapshots)
    found = rules.from_position(holders, name, backup.finished.timestamp() + 1)
    files, gap = found, None
    until, limit = _reach(found[-1], holders[found[-1]]) if found else (ended, ended)
    if target.time:
        moment = int(target.time.timestamp())
        files = [file for file in found if file.created <= moment]
        if moment > limit and len(files) == len(found):
            gap = f"the saved log ends at {_instant(limit)}{_after(found, holders, name)}"
    elif target.position and not gtid_of(target):
        wanted, stop = binlog.parse_position(target.position)
        files = [file for file in found if file.number <= binlog.split_name(wanted)[1]]
        if not files or files[-1].name != wanted:
            gap = f"the saved log ends at {found[-1].position if found else name}{_after(found, holders, name)}"
        elif files[-1].size < stop:
            gap = f"{wanted} ends at {files[-1].size}"
    elif gtid_of(target):
        gap = _gtid_gap(target, holders[found[-1]]) if found else f"the log from {name} on is not saved"
    elif not target.ends_early and _after(found, holders, name) and (found or max(holders).created > ended):
        gap = f"the log has a gap{_after(found, holders, name)}"
    return Selection(tuple(files), _range(files, until, gap), len(files) < len(found), offset)


def find(selection: Selection, directory: str, backup: Backup, target: RestoreTarget, where: str) -> End:
    """The end of a roll-forward with the selected files, which are in ``directory``.

    With a time as the target, every transaction comes back until the first one that the log dates later. It dates them
    in whole seconds: what was committed in the second of the target comes back whatever its fraction, and the change
    to be undone must lie in a later second. Raises TargetNotReached with what the log reaches, InvalidInput for an
    offset within a transaction, and Unsupported for an encrypted log.
    """
    logs = [_Log(file, os.path.join(directory, file.name)) for file in selection.files]
    if logs:
        logs[0].start = selection.start
    chosen, wanted = len(logs) - 1, _by_domain(gtid_of(target))
    if wanted:
        chosen = next((number for number, log in enumerate(logs) if log.scan(gtids=wanted)), -1)
    elif logs:
        log = logs[-1]
        log.scan(time=int(target.time.timestamp()) if target.time else None, offset=_offset(target))
    if wanted and chosen < 0 and logs:
        raise _missed(target, logs, len(logs) - 1, backup, where)
    if target.time and logs and not selection.goes_on and not logs[-1].stopped:
        newest = binlog.newest_event(logs[-1].path, logs[-1].file.size)
        if newest < int(target.time.timestamp()):
            raise _missed(target, logs, len(logs) - 1, backup, where)
    return _end(logs, chosen, backup)


@dataclass
class _Log:
    """A log file, and what was found in it up to where the roll-forward ends."""

    file: LogFile
    path: str
    start: int = 0
    last: Transaction | None = None  # after the start
    gtids: dict[int, str] = field(default_factory=dict)
    scanned: bool = False
    stopped: bool = False  # before the end of the file

    def scan(
        self, *, time: int | None = None, offset: int | None = None, gtids: Mapping[int, str] | None = None
    ) -> bool:
        """Look for the last transaction to be replayed. Returns whether the wanted GTIDs, by domain, were reached."""
        self.scanned, self.gtids = True, binlog.gtids_before(self.path)
        for item in binlog.transactions(self.path, self.file.size):
            if offset is not None and item.start < offset < item.end:
                raise InvalidInput(
                    f"{self.file.name}:{offset} is in the middle of a transaction",
                    remedy=f"Give {item.start} or {item.end} as the offset, before and after {item.gtid}",
                )
            if (time is not None and item.time > time) or (offset is not None and item.start >= offset):
                self.stopped = item.start >= self.start
                if self.stopped:
                    break
            self.gtids[item.domain] = item.gtid
            if item.start >= self.start:
                self.last = item
                if gtids and item.gtid == gtids.get(item.domain) and gtids.items() <= self.gtids.items():
                    return True
        return False


def _end(logs: Sequence[_Log], chosen: int, backup: Backup) -> End:
    for number in range(chosen, -1, -1):
        log = logs[number]
        if not log.scanned:
            log.scan()
        if log.last:
            gtids = {**_by_domain(gtids_in(backup.log_stop or "")), **log.gtids}
            position = f"{log.file.name}:{log.last.end} {','.join(gtids[domain] for domain in sorted(gtids))}"
            moment = datetime.fromtimestamp(log.last.time, timezone.utc)
            paths = tuple(item.path for item in logs[: number + 1])
            return End(Reached(position, moment), paths, log.last.end, log.last.gtid)
    return End(Reached(backup.log_stop or f"LSN {backup.details.get('to_lsn', 'unknown')}"))


def _missed(target: RestoreTarget, logs: Sequence[_Log], number: int, backup: Backup, where: str) -> TargetNotReached:
    reached = _end(logs, number, backup).reached
    newest = binlog.newest_event(logs[number].path, logs[number].file.size)
    return TargetNotReached(
        f"the log after backup {backup.id} does not reach {target.describe()}: it ends at {_instant(newest)},"
        f" with the last change at {reached.position}",
        where=where,
        remedy="Choose a target up to there, or save the log of the server first if it still has more",
    )


def _offset(target: RestoreTarget) -> int | None:
    return binlog.parse_position(target.position)[1] if target.position else None


def _is_end(backup: Backup, target: RestoreTarget) -> bool:
    """Whether the backup itself ends with what the target names."""
    stop, gtids = backup.log_stop or "", _by_domain(gtid_of(target))
    if gtids:
        return gtids.items() <= _by_domain(gtids_in(stop)).items()
    return bool(stop and target.position and binlog.parse_position(stop) == binlog.parse_position(target.position))


def _range(files: Sequence[LogFile], until: int, gap: str | None = None) -> LogRange:
    return LogRange(
        len(files),
        sum(file.size for file in files),
        files[0].name if files else None,
        files[-1].name if files else None,
        datetime.fromtimestamp(until, timezone.utc),
        gap,
    )


def _reach(last: LogFile, holder: Snapshot) -> tuple[int, int]:
    """A moment that the log up to this file is known to reach, and one after which it has certainly ended."""
    noted = holder.tags.get("until", "")
    if noted and rules.decode(holder.tags["files"])[-1] == last:
        until = max(last.created, int(noted))
        return until, until
    return last.created, max(last.created, int(holder.time.timestamp()))


def _gtid_gap(target: RestoreTarget, holder: Snapshot) -> str | None:
    """Why the log up to the end of this snapshot does not hold the GTIDs; None where only the files can tell."""
    noted = holder.tags.get("gtids", "")
    known = _by_domain(noted)
    for domain, wanted in _by_domain(gtid_of(target)).items():
        if noted and (domain not in known or _sequence(known[domain]) < _sequence(wanted)):
            return f"the saved log ends at GTID {noted}, before {wanted}"
    return None


def _after(found: Sequence[LogFile], holders: Mapping[LogFile, Snapshot], name: str) -> str:
    """What follows in the repository although it cannot be rolled forward to."""
    later = [file for file in holders if not found or file > found[-1]]
    if not later:
        return ""
    if not found:
        return f": {name}, with which the roll-forward begins, is not saved"
    why = "is of after a restore" if binlog.begins_history(min(later).name) else "does not follow it"
    return f" after {found[-1].name}: {min(later).name} {why}"


def _order(position: str) -> tuple[int, int]:
    name, offset = binlog.parse_position(position)
    return binlog.split_name(name)[1], offset


def _sequence(gtid: str) -> int:
    return int(gtid.rpartition("-")[2])


def _by_domain(gtids: str) -> dict[int, str]:
    return {int(gtid.partition("-")[0]): gtid for gtid in filter(None, gtids.split(","))}


def _instant(seconds: int) -> str:
    return format_instant(datetime.fromtimestamp(seconds, timezone.utc)) or ""
