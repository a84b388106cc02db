"""Maintenance windows: what may begin at a moment, until when, and when the next window opens. Pure.

Windows are written by the clock of a named time zone and compared as instants. What begins in an hour that the clock
skips begins right after it; a window that lies in that hour as a whole does not open. What begins in an hour that the
clock repeats begins the first time; there, what allows ends the first time and what forbids ends the second time.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum
from typing import Any

from .errors import InvalidInput
from .model import ON_REQUEST, Job, Window, WindowKind
from .schedule import LONGEST_DELAY, Cron, parse
from .units import format_instant

Span = tuple[datetime, datetime]  # instants in UTC; the second is not part of it

_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)
_HORIZONS = tuple(timedelta(days=days) for days in (8, 64, 800))  # of a search; most ends in the first
_ANYWHERE = tuple(timezone(timedelta(minutes=30 * count)) for count in sorted(range(-24, 29), key=abs))


class Work(str, Enum):
    """Classes of work, by what they do to those who use an instance."""

    DESTRUCTIVE = "destructive"  # replaces data, or swaps roles
    RESTART = "restart"
    HEAVY = "heavy"  # a job that takes throughput: backup, verification, restore test
    LIGHT = "light"  # nothing ever keeps it from running

    def __str__(self) -> str:
        return self.value


# An audit reads the catalog alone, who must lose access loses it at once, and a full disk waits for no window.
_LIGHT = frozenset({Job.LOG, Job.ACCESS_AUDIT, Job.ACCESS_CHANGE, Job.LOG_CHANGE})
# Work of a class is bound to windows as soon as one of the first kind applies; any of the second lets it in then.
_BOUND_BY = {
    Work.DESTRUCTIVE: WindowKind.MAINTENANCE,
    Work.RESTART: WindowKind.MAINTENANCE,
    Work.HEAVY: WindowKind.LOW_IMPACT,
}
_LETS_IN = {
    Work.DESTRUCTIVE: (WindowKind.MAINTENANCE,),
    Work.RESTART: (WindowKind.MAINTENANCE,),
    Work.HEAVY: (WindowKind.LOW_IMPACT, WindowKind.MAINTENANCE),
}
# A freeze forbids changes. Backups are none, and go on.
_KEEPS_OUT = {
    Work.DESTRUCTIVE: (WindowKind.BLACKOUT, WindowKind.FREEZE),
    Work.RESTART: (WindowKind.BLACKOUT, WindowKind.FREEZE),
    Work.HEAVY: (WindowKind.BLACKOUT,),
}
_FORBIDDING = (WindowKind.BLACKOUT, WindowKind.FREEZE)
_WORDS = {
    WindowKind.MAINTENANCE: "maintenance window",
    WindowKind.LOW_IMPACT: "low-impact window",
    WindowKind.BLACKOUT: "blackout",
    WindowKind.FREEZE: "freeze",
}


@dataclass(frozen=True)
class Verdict:
    """Whether work may begin. ``why`` is a sentence; ``window`` is the one that decides, or that will end it."""

    allowed: bool
    why: str
    window: str = ""
    until: datetime | None = None  # of what is allowed; None when nothing that is known ends it
    opens: datetime | None = None  # the next time that it is; None when that is not in sight

    def fields(self) -> dict[str, Any]:
        """The verdict as records hold it."""
        return {
            "allowed": self.allowed,
            "why": self.why,
            "window": self.window,
            "until": format_instant(self.until),
            "opens": format_instant(self.opens),
        }


def is_light(job: Job) -> bool:
    """Whether nothing ever keeps the job from running."""
    return job in _LIGHT


def work_of(job: Job) -> Work:
    """The class that a job belongs to."""
    if is_light(job):
        return Work.LIGHT
    if job is Job.PATCH:
        return Work.RESTART
    return Work.DESTRUCTIVE if job in ON_REQUEST else Work.HEAVY


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises InvalidInput, and says so when this host knows no zone at all."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    if zoneinfo.available_timezones():
        raise InvalidInput(f"there is no time zone {name!r}", remedy="Give one like Europe/Berlin or UTC")
    raise InvalidInput(
        f"the time zone {name!r} cannot be looked up: this host has no time zone database",
        remedy="Install the package tzdata",
    )


def ask(windows: Sequence[Window], work: Work, now: datetime) -> Verdict:
    """Whether work of this class may begin now, and until when, or when it may next."""
    if work is Work.LIGHT:
        return Verdict(True, "light work is never kept out")
    found: list[Span] = []
    for horizon in _HORIZONS:
        found = stretches(windows, work, now, now + horizon)
        if found and found[0][0] > now:
            return _refused(windows, work, now, found[0][0])
        if found and found[0][1] < now + horizon:
            return _allowed(windows, work, found[0][1])
    return _allowed(windows, work, None) if found else _refused(windows, work, now, None)


def is_open(windows: Sequence[Window], kind: WindowKind, now: datetime) -> bool:
    """Whether a window of this kind is open now, and nothing that forbids is on."""
    on = {window.kind for window in windows if any(spans(window, now, now + _MOMENT))}
    return kind in on and not on.intersection(_FORBIDDING)


def stretches(windows: Sequence[Window], work: Work, begin: datetime, end: datetime) -> list[Span]:
    """When work of this class may go on between two moments, in order, each as long as it is without a break."""
    allowed = [(begin, end)]
    if any(window.kind is _BOUND_BY[work] for window in windows):
        allowed = _union(windows, _LETS_IN[work], begin, end)
    for first, last in _union(windows, _KEEPS_OUT[work], begin, end):
        allowed = [part for span in allowed for part in ((span[0], min(span[1], first)), (max(span[0], last), span[1]))]
        allowed = [span for span in allowed if span[0] < span[1]]
    return allowed


def next_run(windows: Sequence[Window], cron: Cron, after: datetime) -> datetime | None:
    """The next run of a heavy job of this host, after a moment, that its windows let in; None when none is in sight.

    A run may come as late as schedulers delay it, and must still find its window open.
    """
    for horizon in _HORIZONS:
        run = _first_run(stretches(windows, Work.HEAVY, after, after + horizon), cron, after, None)
        if run:
            return run
    return None


def can_run(windows: Sequence[Window], cron: Cron, after: datetime, *, here: bool) -> bool:
    """Whether a heavy job has a run in sight: on this host, or on a host of whatever time zone."""
    hosts: tuple[tzinfo | None, ...] = (None,) if here else _ANYWHERE
    for horizon in _HORIZONS:
        found = stretches(windows, Work.HEAVY, after, after + horizon)
        if any(_first_run(found, cron, after, host) for host in hosts):
            return True
    return False


def _first_run(found: Iterable[Span], cron: Cron, after: datetime, host: tzinfo | None) -> datetime | None:
    for first, last in found:
        run = cron.next(_local(first, host) - _MOMENT)
        while _instant(run, host) < max(first, after + _MOMENT):
            run = cron.next(run)
        if _instant(run, host) + LONGEST_DELAY <= last:
            return _instant(run, host)
    return None


def last_run(windows: Sequence[Window], cron: Cron, before: datetime) -> datetime | None:
    """The newest run of a heavy job of this host, before a moment, that its windows let in; None without one."""
    for horizon in _HORIZONS:
        for first, last in reversed(stretches(windows, Work.HEAVY, before - horizon, before + LONGEST_DELAY)):
            run = cron.previous(_local(last - LONGEST_DELAY, None) + _MOMENT)
            if _instant(run, None) >= first:
                return _instant(run, None)
    return None


def spans(window: Window, begin: datetime, end: datetime) -> Iterator[Span]:
    """Every time that a window is open between two moments, in order, cut to them."""
    for first, last in _openings(window, begin, end):
        span = max(first, begin), min(last, end)
        if span[0] < span[1]:
            yield span


def _openings(window: Window, begin: datetime, end: datetime) -> Iterator[Span]:
    at = zone(window.time_zone)
    late = 1 if window.kind in _FORBIDDING else 0
    if window.first and window.last:
        yield _instant(window.first, at), _instant(window.last, at, late)
        return
    cron = parse(window.start)
    # One that began before and is still open counts, whatever the clock did meanwhile.
    run = cron.next(_local(begin, at) - (window.duration or _DAY) - _DAY)
    while _instant(run, at) < end:
        first = _instant(run, at)
        yield first, first + window.duration if window.duration else _instant(_end_of(window, run), at, late)
        run = cron.next(run)


def _end_of(window: Window, run: datetime) -> datetime:
    assert window.end is not None
    end = datetime.combine(run.date(), window.end)
    return end if end > run else end + _DAY


def _local(moment: datetime, at: tzinfo | None) -> datetime:
    return moment.astimezone(at).replace(tzinfo=None)


def _instant(clock: datetime, at: tzinfo | None, late: int = 0) -> datetime:
    """The instant at which a clock shows a time: the end of the gap for one that it skips, the first of two else."""
    # Only the host's own zone has no name; its rules are those of the C library.
    one, other = (clock.replace(tzinfo=at, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
    if one <= other:
        return other if late else one
    return _turn(other, one, at)


def _turn(low: datetime, high: datetime, at: tzinfo | None) -> datetime:
    """The moment between these two at which the clock is set forward."""
    before = low.astimezone(at).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if middle.astimezone(at).utcoffset() == before else (low, middle)
    return high.replace(microsecond=0)


def _union(windows: Sequence[Window], kinds: Iterable[WindowKind], begin: datetime, end: datetime) -> list[Span]:
    merged: list[Span] = []
    for first, last in sorted(span for item in windows if item.kind in kinds for span in spans(item, begin, end)):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _allowed(windows: Sequence[Window], work: Work, until: datetime | None) -> Verdict:
    if until is None:
        return Verdict(True, "no window ends it")
    for window in windows:
        for first, last in _openings(window, until - _MOMENT, until + _MOMENT):
            if window.kind in _KEEPS_OUT[work] and first == until:
                return Verdict(True, f"{describe(window)} begins at {_clock(until, window)}", window.name, until)
            if window.kind in _LETS_IN[work] and last == until:
                return Verdict(True, f"{describe(window)} ends at {_clock(until, window)}", window.name, until)
    raise AssertionError("unreachable")


def _refused(windows: Sequence[Window], work: Work, now: datetime, opens: datetime | None) -> Verdict:
    at = _clock(opens, windows[0]) if opens else ""
    for window in windows:
        if window.kind in _KEEPS_OUT[work] and any(spans(window, now, now + _MOMENT)):
            why, name = f"{describe(window)} forbids {work} work", window.name
            break
    else:
        inside = [window for window in windows if window.kind in _LETS_IN[work]]
        why = f"{work} work may begin in {' or '.join(describe(window) for window in inside)}"
        name = inside[0].name
    then = f"the next time is {at}" if opens else f"and no such time comes in {_HORIZONS[-1].days} days"
    return Verdict(False, f"{why}; {then}", name, None, opens)


def describe(window: Window) -> str:
    """A window in words: its kind, its name, and what it is for."""
    return f"{_WORDS[window.kind]} {window.name}" + (f" ({window.reason})" if window.reason else "")


def _clock(moment: datetime, window: Window) -> str:
    return moment.astimezone(zone(window.time_zone)).strftime("%a %Y-%m-%d %H:%M %Z")
