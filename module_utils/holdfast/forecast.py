"""How long a restore will take, and when it will take longer than allowed: from measured restores, never from guesses.

Copying grows with the size of the database, rolling forward with the log since the last backup, starting with neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import combinations
from statistics import median
from typing import Any

from . import config, schedule
from .errors import HoldfastError
from .model import Instance, Job
from .records import Record, Records
from .units import format_bytes, format_duration, parse_instant

LOG_PHASES = ("recovery", "log")  # of a restore: they grow with the log
FIXED_PHASES = ("start",)
WARN_AHEAD = timedelta(days=90)

_MEASURED = (str(Job.RESTORE_TEST), str(Job.RESTORE))
_SIZED = (str(Job.FULL), str(Job.DIFFERENTIAL), str(Job.INCREMENTAL), str(Job.ARCHIVE))
_NEWEST = 5  # measurements that count: an old one was made on other disks
_LEAST_LOG = timedelta(minutes=10)  # less says how long a server takes to start, and nothing of the log
_LEAST_DAYS = 14  # of history before a trend is believed
_LEAST_POINTS = 7
_FAR = timedelta(days=3650)


@dataclass(frozen=True)
class Measurement:
    """One restore that was measured.

    ``copy_seconds`` grow with the size, ``replay_seconds`` with the log since the backup, whose age then was
    ``log_seconds``; the rest of ``total_seconds`` is always the same.
    """

    instance: str
    finished: datetime
    size_bytes: int
    total_seconds: float
    copy_seconds: float
    replay_seconds: float
    log_seconds: float | None

    @property
    def bytes_per_second(self) -> float:
        """Throughput of everything that grows with the size."""
        return self.size_bytes / max(self.copy_seconds, 0.1)


@dataclass(frozen=True)
class Forecast:
    """``seconds`` is None when nothing was measured; ``basis`` says from what it is derived, or what is missing."""

    seconds: float | None
    basis: str
    size_bytes: int | None = None
    growth_per_day: float | None = None  # bytes
    exceeds: date | None = None  # the day on which the objective is no longer met, as the trend goes

    def as_dict(self) -> dict[str, Any]:
        """The forecast as status and JSON show it."""
        return {
            "forecast_seconds": None if self.seconds is None else round(self.seconds, 1),
            "forecast_basis": self.basis,
            "growth_bytes_per_day": None if self.growth_per_day is None else round(self.growth_per_day),
            "exceeds_on": self.exceeds.isoformat() if self.exceeds else None,
        }


def measurements(records: Iterable[Record]) -> list[Measurement]:
    """The restores that records measured, oldest first."""
    backups: dict[str, datetime] = {}
    found: list[Measurement] = []
    for record in records:
        backup = record.get("backup")
        if isinstance(backup, Mapping):
            when = parse_instant(backup.get("finished"))
            if when:
                backups[str(backup.get("id"))] = when
        measured = record.get(record.get("job", ""))
        if record.get("job") in _MEASURED and isinstance(measured, Mapping):
            one = _measurement(record, measured, backups)
            if one:
                found.append(one)
    return found


def _measurement(record: Record, measured: Mapping[str, Any], backups: Mapping[str, datetime]) -> Measurement | None:
    total, size = measured.get("rto_seconds"), measured.get("size_bytes")
    finished, started = parse_instant(record["finished"]), parse_instant(record["started"])
    if not total or not size or finished is None or started is None:
        return None
    phases: Mapping[str, float] = measured.get("phases", {})
    replay = sum(seconds for name, seconds in phases.items() if name in LOG_PHASES)
    copy = sum(seconds for name, seconds in phases.items() if name not in (*LOG_PHASES, *FIXED_PHASES))
    taken = backups.get(str(measured.get("backup_id") or measured.get("backup", {}).get("id")))
    log = (started - taken).total_seconds() if taken else None
    return Measurement(
        record["instance"], finished, int(size), float(total), float(copy or total - replay), float(replay), log
    )


def sizes(records: Iterable[Record]) -> list[tuple[date, int]]:
    """The size of the database on each day: the largest that a backup of that day saw."""
    days: dict[date, int] = {}
    for record in records:
        backup = record.get("backup")
        if record.get("job") in _SIZED and isinstance(backup, Mapping) and backup.get("size_bytes"):
            when = parse_instant(backup.get("finished")) or parse_instant(record["finished"])
            if when:
                days[when.date()] = max(days.get(when.date(), 0), int(backup["size_bytes"]))
    return sorted(days.items())


def growth(history: Sequence[tuple[date, int]]) -> float | None:
    """Bytes a day: the median of the slopes between all pairs of days; None when the history is too short."""
    if len(history) < _LEAST_POINTS or (history[-1][0] - history[0][0]).days < _LEAST_DAYS:
        return None
    return median((late - early) / (last - first).days for (first, early), (last, late) in combinations(history, 2))


def log_span(cron_by_job: Mapping[Job, str]) -> timedelta:
    """The longest time between two backups on the schedule: so much log a restore may have to replay."""
    crons = [schedule.parse(cron) for job, cron in cron_by_job.items() if str(job) in _SIZED and job is not Job.ARCHIVE]
    return schedule.longest_gap(*crons) if crons else timedelta(0)


def forecast(
    own: Sequence[Record],
    others: Mapping[str, Sequence[Record]],
    *,
    rto: timedelta,
    longest_log: timedelta,
) -> Forecast:
    """How long a restore of an instance takes now at most, and when that will exceed its RTO.

    ``own`` are its records, ``others`` those of the other instances of the same engine on the same host, which are
    asked when it has no measurement of its own. ``longest_log`` is the time between backups, or zero when the log is
    not backed up.
    """
    history = sizes(own)
    size = history[-1][1] if history else None
    if size is None:
        return Forecast(None, "unknown: no backup has told the size yet")
    known = measurements(own)[-_NEWEST:]
    basis = f"{_count(len(known))} of its own, the newest on {known[-1].finished.date()}" if known else ""
    if not known:
        for _, records in sorted(others.items()):
            known.extend(measurements(records)[-_NEWEST:])
        names = ", ".join(sorted({one.instance for one in known}))
        basis = f"{_count(len(known))} of {names} on the same host, as there is none of its own"
    if not known:
        return Forecast(None, "unknown: no restore test has measured it yet", size)
    speed = median(one.bytes_per_second for one in known)
    rest = median(one.total_seconds - one.copy_seconds - one.replay_seconds for one in known)
    rest += median(_replay(one, longest_log) for one in known)
    seconds = size / speed + rest
    slope = growth(history)
    basis = f"{format_bytes(size)} at {format_bytes(int(speed))}/s, {basis}"
    exceeds = _exceeds(history[-1][0], seconds, slope, speed, rto.total_seconds()) if slope and slope > 0 else None
    return Forecast(seconds, basis, size, slope, exceeds)


def of_instance(instance: Instance) -> Forecast:
    """The forecast of an instance of this host, from its records and those of its neighbours."""
    level = instance.service_level
    longest = log_span(level.schedule) if level.log_interval else timedelta(0)
    return forecast(list(Records(instance)), _neighbours(instance), rto=level.rto, longest_log=longest)


def _neighbours(instance: Instance) -> dict[str, list[Record]]:
    """Records of the other instances of the same engine on this host, as far as this user may read them."""
    found = {}
    for name in config.names():
        with suppress(HoldfastError, OSError):
            other = config.load(name)
            if other.engine == instance.engine and name != instance.name:
                found[name] = list(Records(other))
    return found


def problems(found: Forecast, rto: timedelta, today: date) -> list[str]:
    """What a person should know before a disaster shows it."""
    if found.seconds is None:
        return []
    target = format_duration(rto)
    if found.seconds > rto.total_seconds():
        takes = format_duration(timedelta(seconds=found.seconds))
        return [f"a restore would take about {takes}, RTO is {target} ({found.basis})"]
    if found.exceeds and found.exceeds - today <= WARN_AHEAD:
        days = max(0, (found.exceeds - today).days)
        grows = f"the database grows by {format_bytes(int(found.growth_per_day or 0))} a day"
        return [f"a restore will exceed the RTO of {target} in {days} days, on {found.exceeds}: {grows}"]
    return []


def _replay(one: Measurement, longest_log: timedelta) -> float:
    if one.log_seconds is None or one.log_seconds < _LEAST_LOG.total_seconds():
        return one.replay_seconds
    return one.replay_seconds * max(1.0, longest_log.total_seconds() / one.log_seconds)


def _exceeds(newest: date, seconds: float, slope: float, speed: float, rto: float) -> date | None:
    days = (rto - seconds) * speed / slope
    return newest + timedelta(days=max(0, int(days))) if days < _FAR.days else None


def _count(number: int) -> str:
    return "one restore" if number == 1 else f"{number} restores"
