"""Maintenance windows as people write them: read, checked, and held against the schedules that they are for."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from . import schedule, windows
from .errors import InvalidInput
from .model import Window, WindowKind
from .objectives import Level
from .units import utcnow
from .validation import Checker, Issue, Path, did_you_mean

VARIABLE = "db_maintenance_windows"
_KINDS = tuple(map(str, WindowKind))
_SCOPES = ("instances", "service_levels")
_RECURRING, _ONCE = ("start", "duration", "end"), ("from", "until")
_KEYS = ("kind", "time_zone", *_RECURRING, *_ONCE, "reason", *_SCOPES)
_LONGEST = timedelta(days=31)
_MOST_A_DAY = 24
_ZONE_FORM = "a name such as Europe/Berlin or UTC"
_END_FORM = 'a time of day by the clock in quotes, for example "06:00"'
_ONCE_FORM = "a day such as 2026-12-24, or a time such as 2026-12-24T18:00 by the clock of time_zone"

HostVars = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Scoped:
    """A window and the instances that it is for; without names it is for all of them."""

    window: Window
    instances: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()

    def applies_to(self, instance: str, level: str) -> bool:
        """Whether it is for this instance of this service level."""
        return not (self.instances or self.levels) or instance in self.instances or level in self.levels


def read(raw: object, check: Checker, levels: Collection[str] | None) -> list[Scoped] | None:
    """Every window; None when a template or a mistake means that not all of them are known."""
    given = check.mapping((VARIABLE,), raw)
    if given is None:
        return None
    found = [_read_window(str(name), value, check, (VARIABLE, str(name)), levels) for name, value in given.items()]
    return None if None in found else [item for item in found if item]


def chosen(scoped: Sequence[Scoped], instance: str, level: str) -> tuple[Window, ...]:
    """The windows of one instance."""
    return tuple(item.window for item in scoped if item.applies_to(instance, level))


def unrunnable(which: Sequence[Window], level: Level, instance: str, *, here: bool) -> Iterator[tuple[str, str]]:
    """Jobs of a level that no window ever lets in, each with what would be valid.

    On the control host nobody knows the time zones of hosts: there only a job that would run in none is named.
    """
    if not which:
        return
    now = utcnow().replace(minute=0, second=0, microsecond=0)
    for job, cron in level.crons(instance).items():
        if not windows.is_light(job) and not _can_run(tuple(which), cron, now, here):
            names = ", ".join(item.name for item in which)
            yield (
                f"its {job} job ({schedule.describe(cron)}) would never run: no window is ever open for it ({names})",
                "a schedule within the windows, with 15 minutes to spare, or other windows",
            )


@cache
def _can_run(which: tuple[Window, ...], cron: schedule.Cron, now: datetime, here: bool) -> bool:
    """A fleet has many instances of one level, and the answer is found once."""
    return windows.can_run(which, cron, now, here=here)


def scope_issues(hosts: HostVars, host: str) -> list[Issue]:
    """Names of instances, in the windows of one host, that nobody in the fleet has."""
    known = {
        raw["name"]
        for variables in hosts.values()
        for raw in _listed(variables.get("db_instances"))
        if isinstance(raw, Mapping) and isinstance(raw.get("name"), str)
    }
    given = hosts[host].get(VARIABLE)
    found = []
    for name, raw in given.items() if isinstance(given, Mapping) else ():
        for index, item in enumerate(_listed(raw.get("instances")) if isinstance(raw, Mapping) else ()):
            if isinstance(item, str) and "{" not in item and item not in known:
                path = (VARIABLE, str(name), "instances", index)
                found.append(Issue(path, item, "there is no such instance", did_you_mean(item, known).strip()))
    return found


def _listed(raw: object) -> Sequence[Any]:
    return raw if isinstance(raw, (list, tuple)) else ()


def _read_window(name: str, raw: object, check: Checker, path: Path, levels: Collection[str] | None) -> Scoped | None:
    before = len(check.issues)
    given = check.mapping(path, raw, _KEYS, ("kind", "time_zone"))
    if given is None:
        return None
    fields: dict[str, Any] = {
        "kind": check.choice((*path, "kind"), given["kind"], _KINDS, "kind of window") if "kind" in given else None,
        "time_zone": _read_zone(given["time_zone"], check, (*path, "time_zone")) if "time_zone" in given else None,
    }
    if "reason" in given:
        fields["reason"] = check.text((*path, "reason"), given["reason"], "why, in words")
    fields.update(_read_times(given, check, path))
    scope = {key: _read_scope(key, given, check, path, levels) for key in _SCOPES}
    if len(check.issues) > before or None in fields.values() or None in scope.values():
        return None
    fields["kind"] = WindowKind(fields["kind"])
    return Scoped(Window(name, **fields), scope["instances"] or (), scope["service_levels"] or ())


def _read_zone(value: object, check: Checker, path: Path) -> str | None:
    text = check.text(path, value, _ZONE_FORM)
    if text is None:
        return None
    try:
        windows.zone(text)
    except InvalidInput as error:
        valid = f"{did_you_mean(text, {name.lower(): name for name in zoneinfo.available_timezones()})}{_ZONE_FORM}"
        known = zoneinfo.available_timezones()
        check.note(path, text, error.what if known else f"{error.what}: {error.remedy}", valid if known else "")
        return None
    return text


def _read_times(given: Mapping[str, Any], check: Checker, path: Path) -> dict[str, Any]:
    recurs, once = (any(key in given for key in keys) for keys in (_RECURRING, _ONCE))
    if recurs == once:
        message = "recurs and comes once at the same time" if recurs else "does not say when it opens"
        check.note(path, None, message, "start with duration or end for one that recurs, from and until for one that "
                   "comes once")  # fmt: skip
        return {}
    return _read_recurring(given, check, path) if recurs else _read_once(given, check, path)


def _read_recurring(given: Mapping[str, Any], check: Checker, path: Path) -> dict[str, Any]:
    if "start" not in given:
        check.note((*path, "start"), None, "is missing", schedule.CRON_FORM)
        return {}
    found: dict[str, Any] = {"start": None}
    cron = check.parsed((*path, "start"), given["start"], schedule.parse, valid=schedule.CRON_FORM)
    if cron and len(cron.times()) > _MOST_A_DAY:
        check.note((*path, "start"), given["start"], "opens more often than hourly", "one start for each window")
    elif cron:
        found["start"] = str(cron)
    if ("duration" in given) == ("end" in given):
        message = "has a duration and an end" if "end" in given else "does not say when it closes"
        check.note(path, None, message, 'duration, for example 4h, or end, for example "06:00"')
    elif "duration" in given:
        found["duration"] = check.duration((*path, "duration"), given["duration"])
        if found["duration"] and found["duration"] > _LONGEST:
            check.note((*path, "duration"), given["duration"], "is too long for a window that recurs", "at most 31d")
    else:
        found["end"] = check.parsed((*path, "end"), given["end"], _parse_end, "is not valid", _END_FORM)
    return found


def _parse_end(value: object) -> time:
    # Without quotes YAML reads 18:00 as the number of its minutes.
    if isinstance(value, int) and not isinstance(value, bool) and 60 <= value <= 24 * 60:
        value = f"{value // 60:02}:{value % 60:02}"
    if not isinstance(value, str) or not re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00", value):
        raise ValueError(_END_FORM)
    hour, minute = map(int, value.split(":"))
    return time(hour % 24, minute)


def _read_once(given: Mapping[str, Any], check: Checker, path: Path) -> dict[str, Any]:
    if "from" not in given:
        check.note((*path, "from"), None, "is missing", _ONCE_FORM)
        return {}
    first = check.parsed((*path, "from"), given["from"], _parse_moment, "is not valid", _ONCE_FORM)
    last = first
    if "until" in given:
        last = check.parsed((*path, "until"), given["until"], _parse_moment, "is not valid", _ONCE_FORM)
    if first is None or last is None:
        return {"first": None}
    begin, end = _midnight(first), _midnight(last)
    if not isinstance(last, datetime):
        end += timedelta(days=1)  # the last day belongs to it
    if end <= begin:
        at = "until" if "until" in given else "from"
        valid = f"a day or a time after {given['from']}" if at == "until" else "a day, or until as well"
        check.note((*path, at), str(given[at]), "is not after the begin of the window", valid)
    return {"first": begin, "last": end}


def _midnight(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001


def _parse_moment(value: object) -> date:
    """A day, or a moment by the clock. YAML reads either as what it is, JSON as text."""
    if isinstance(value, str):
        value = _from_text(value.strip())
    if isinstance(value, datetime):
        if value.tzinfo:
            raise ValueError(_ONCE_FORM)
        return value
    if isinstance(value, date):
        return value
    raise ValueError(_ONCE_FORM)


def _from_text(text: str) -> date:
    return (
        date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else datetime.fromisoformat(text)
    )


def _read_scope(
    key: str, given: Mapping[str, Any], check: Checker, path: Path, levels: Collection[str] | None
) -> tuple[str, ...] | None:
    if key not in given:
        return ()
    where, of = (*path, key), "names of service levels" if key == "service_levels" else "names of instances"
    if check.is_template(given[key]):
        return None
    items = check.sequence(where, given[key], of)
    if not items and isinstance(given[key], (list, tuple)):
        check.note(where, None, "is empty: the window is for nobody", f"{of}, or leave it out for all instances")
    found: list[str | None] = []
    for index, item in enumerate(items):
        at = (*where, index)
        if key == "service_levels" and levels is not None:
            found.append(check.choice(at, item, levels, "service level"))
        else:
            found.append(check.text(at, item, of))
    return None if None in found else tuple(item for item in found if item)
