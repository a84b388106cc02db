"""Is the log for recovery right for the disk and the RPO? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..audit.model import Check, Finding, Severity
from ..engines.logs import LogSpace
from ..model import Job, ServiceLevel
from ..records import Record
from ..units import format_bytes, format_duration, parse_instant
from .checks import CHECKS
from .settings import Settings

_HOUR = 3600
_WEEK = timedelta(days=7)
_ENOUGH_REDO = 0.8  # of what the load asks for: a finding must not come and go with every busy hour
_LEAST_REDO = 64 << 20  # below it no load is worth a word
_BUSY = 1 << 20  # bytes of log that a slot nobody uses may hold unseen: a segment is never let go of at once


@dataclass(frozen=True)
class Disk:
    """A file system as the host has it."""

    path: str
    total: int
    free: int
    device: int = 0


@dataclass(frozen=True)
class Subject:
    """Everything that is looked at for one instance."""

    name: str
    level: ServiceLevel
    space: LogSpace
    disks: Mapping[str, Disk]  # by directory
    peak: float  # bytes of log in the busiest hour
    settings: Settings


def peak_hour(records: Iterable[Record], now: datetime) -> float:
    """The most log that was saved in one hour of the last week, in bytes, as the log jobs measured it."""
    hours: dict[datetime, float] = {}
    for record in records:
        started = parse_instant(record.get("started"))
        saved = (record.get("log") or {}).get("saved_bytes")
        if record["job"] == str(Job.LOG) and saved and started and now - started < _WEEK:
            hour = started.replace(minute=0, second=0, microsecond=0)
            hours[hour] = hours.get(hour, 0.0) + float(saved)
    return max(hours.values(), default=0.0)


def of_log(subject: Subject) -> dict[str, list[Finding]]:
    """The findings of the checks that sizes answer, by check."""
    answers = {"LG01": _outage, "LG03": _unlimited, "LG04": _unused, "LG06": _redo, "LG12": _full}
    found = {id_: answer(subject, CHECKS[id_]) for id_, answer in answers.items()}
    found["LG02"] = _removed(subject, CHECKS["LG02"])
    found["LG05"] = _late(subject, CHECKS["LG05"])
    return found


def hourly(subject: Subject) -> float:
    """Bytes of log an hour to reckon with: the busiest one that was seen, else what the server wrote on average."""
    return max(subject.peak, subject.space.rate * _HOUR)


def _outage(subject: Subject, check: Check) -> list[Finding]:
    disk, rate = subject.disks[subject.space.directory], hourly(subject)
    hours = subject.settings.outage.total_seconds() / _HOUR
    if rate * hours <= disk.free:
        return []
    lasts = timedelta(hours=disk.free / rate)
    return [
        _finding(
            check,
            subject.space.directory,
            f"{format_bytes(disk.free)} are free and the busiest hour wrote {format_bytes(int(rate))}: the disk lasts"
            f" {format_duration(lasts)}, db_logs.outage is {format_duration(subject.settings.outage)}, which takes"
            f" {format_bytes(int(rate * hours))}",
        )
    ]


def _removed(subject: Subject, check: Check) -> list[Finding]:
    keeps, outage = subject.space.keeps, subject.settings.outage
    if keeps is None or keeps >= outage.total_seconds():
        return []
    kept = format_duration(timedelta(seconds=keeps))
    return [
        _finding(
            check,
            subject.space.directory,
            f"the server removes log after {kept}, db_logs.outage is {format_duration(outage)}",
        )
    ]


def _unlimited(subject: Subject, check: Check) -> list[Finding]:
    if subject.space.slots_limited is not False or not subject.space.holders:
        return []
    held = ", ".join(f"{item.name} ({format_bytes(item.size)})" for item in subject.space.holders)
    return [_finding(check, "max_slot_wal_keep_size", f"is -1, and there are slots: {held}")]


def _unused(subject: Subject, check: Check) -> list[Finding]:
    found = []
    for item in subject.space.holders:
        if item.state == "lost":
            found.append(
                _finding(check, item.name, f"{item.what} has lost log that it needs and is of no use any more")
            )
        elif not item.active and item.size > _BUSY:
            worse = item.size > subject.settings.slot_limit
            text = f"{item.what} is used by nobody and holds {format_bytes(item.size)}"
            text += f", more than db_logs.slot_limit ({format_bytes(subject.settings.slot_limit)})" if worse else ""
            found.append(_finding(check, item.name, text, Severity.CRITICAL if worse else None))
        elif item.size > subject.settings.slot_limit:
            limit = format_bytes(subject.settings.slot_limit)
            text = f"{item.what} holds {format_bytes(item.size)}, more than db_logs.slot_limit ({limit}), and is in use"
            found.append(_finding(check, item.name, text))
    return found


def _late(subject: Subject, check: Check) -> list[Finding]:
    """Only where the engine closes its log files by itself; None as interval is never."""
    space, rpo = subject.space, subject.level.rpo
    if not subject.level.runs(Job.LOG) or space.slots_limited is None:
        return []
    if not space.archiving:
        return [_finding(check, "archive_mode", "is off, so no log leaves the server", Severity.CRITICAL)]
    found = []
    if space.interval is None or space.interval > rpo.total_seconds():
        now = "never" if space.interval is None else format_duration(timedelta(seconds=space.interval))
        found.append(
            _finding(check, "archive_timeout", f"a log file is closed after {now}, RPO is {format_duration(rpo)}")
        )
    if space.failing:
        found.append(_finding(check, "archiver", space.failing, Severity.HIGH))
    return found


def _redo(subject: Subject, check: Check) -> list[Finding]:
    space = subject.space
    if space.redo_wanted < _LEAST_REDO or space.redo_size >= space.redo_wanted * _ENOUGH_REDO:
        return []
    return [
        _finding(
            check,
            space.redo_parameter,
            f"is {format_bytes(space.redo_size)}, and {format_bytes(int(space.redo_rate * _HOUR))} are written an hour:"
            f" it should be {format_bytes(space.redo_wanted)} or more",
        )
    ]


def _full(subject: Subject, check: Check) -> list[Finding]:
    found, seen = [], set()
    for disk in subject.disks.values():
        reserve = subject.settings.reserve.of(disk.total)
        if disk.free >= reserve or disk.device in seen:
            continue
        seen.add(disk.device)
        free = f"{format_bytes(disk.free)} of {format_bytes(disk.total)} are free"
        worse = Severity.CRITICAL if disk.free < reserve // 3 else None
        found.append(_finding(check, disk.path, f"{free}, db_logs.reserve is {subject.settings.reserve}", worse))
    return found


def _finding(check: Check, subject: str, text: str, severity: Severity | None = None) -> Finding:
    return Finding(check.id, subject, text, severity or check.severity)
