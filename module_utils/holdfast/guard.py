"""May this begin now? The windows of an instance, and the override by which a person lets work through them."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from . import windows
from .errors import HoldfastError, InvalidInput, Refused
from .model import Instance
from .records import OVERRIDE, Record, Records, finish, open_record
from .units import format_duration, format_instant, parse_duration, parse_instant, utcnow
from .windows import Verdict, Work

log = logging.getLogger(__name__)

_FILE = "override.json"
LASTING = timedelta(hours=2)  # of an override that says nothing else
LONGEST = timedelta(days=1)  # an emergency that takes longer is a window
HOW = (
    "In an emergency, window_override_reason and window_override_by of a playbook or `holdfast override` let it through"
)


@dataclass(frozen=True)
class Override:
    """Who lets work through closed windows, why, and for how long; on one instance."""

    by: str
    reason: str
    lasting: timedelta = LASTING

    def describe(self) -> str:
        """It in words."""
        return f"overridden by {self.by}: {self.reason}"


@dataclass(frozen=True)
class Granted:
    """An override that is in force."""

    by: str
    reason: str
    granted: str
    until: str

    def describe(self) -> str:
        """It in words."""
        return f"windows are overridden by {self.by} until {self.until}: {self.reason}"


@dataclass(frozen=True)
class Judgement:
    """What windows and override make of one piece of work. ``problem`` is why it may not begin."""

    verdict: Verdict | None = None  # None where the instance has no windows
    granted: Granted | None = None
    wish: Override | None = None

    @property
    def problem(self) -> str:
        """Why it may not begin; empty when it may."""
        closed = self.verdict is not None and not self.verdict.allowed
        return f"{self.verdict.why}. {HOW}" if self.verdict and closed and not (self.granted or self.wish) else ""

    @property
    def note(self) -> str:
        """What a person should know of work that may begin; empty for nothing."""
        if self.verdict is None:
            return ""
        if not self.verdict.allowed:
            permit = self.granted or self.wish
            return f"{self.verdict.why}; {permit.describe()}" if permit else ""
        return self.verdict.why if self.verdict.until else ""

    @property
    def closes(self) -> datetime | None:
        """When work that is bound to windows must be over; None when nothing ends it."""
        return self.verdict.until if self.verdict and not self.granted else None

    def fields(self) -> dict[str, Any]:
        """It as records hold it; empty where the instance has no windows."""
        if self.verdict is None:
            return {}
        return {**self.verdict.fields(), "override": vars(self.granted) if self.granted else None}


def wanted(by: str | None, reason: str | None, lasting: str | None = None) -> Override | None:
    """An override as a person asks for it; None without any word of it. Raises InvalidInput for half of one."""
    by, reason = (by or "").strip(), (reason or "").strip()
    if not by and not reason:
        return None
    if not by or not reason:
        raise InvalidInput(
            f"an override needs a person and a reason, and has no {'reason' if by else 'person'}",
            remedy="Give both window_override_by and window_override_reason",
        )
    try:
        period = parse_duration(lasting) if lasting else LASTING
    except ValueError as error:
        raise InvalidInput(f"{lasting!r} is no time for an override: {error}") from None
    if period > LONGEST:
        raise InvalidInput(
            f"an override lasts {format_duration(LONGEST)} at most", remedy="What takes longer is a window"
        )
    return Override(by, reason, period)


def judge(instance: Instance, work: Work, wish: Override | None = None) -> Judgement:
    """What may be done with an instance now.

    Where its time zones cannot be looked up nothing may but with an override, and InvalidInput is raised for a job.
    """
    if not instance.windows or work is Work.LIGHT:
        return Judgement()
    now = utcnow()
    granted = in_force(instance, now)
    try:
        verdict = windows.ask(instance.windows, work, now)
    except InvalidInput as error:
        if work is Work.HEAVY and not granted:
            raise
        verdict = Verdict(False, f"what its windows allow is not known: {error}")
    return Judgement(verdict, granted, wish)


def check(instance: Instance, work: Work, wish: Override | None = None) -> Judgement:
    """As :func:`judge`, for work that must not begin when its windows are closed. Raises Refused."""
    found = judge(instance, work, wish)
    if found.problem:
        raise Refused(found.problem, where=instance.name, remedy="Nothing was changed")
    return found


def use(instance: Instance, work: Work, wish: Override | None, record: Record | None = None) -> None:
    """Put an override in force for work that begins now, if its windows are closed; one in force already is enough."""
    found = judge(instance, work, wish)
    if wish and found.verdict and not found.verdict.allowed and not found.granted:
        grant(instance, wish)
        found = judge(instance, work)
    if record is not None and found.verdict:
        record["window"] = found.fields()


def grant(instance: Instance, wish: Override) -> Record:
    """Put an override in force and return the record of it. The owner of the instance does it."""
    record, now = open_record(instance, OVERRIDE), utcnow()
    granted = Granted(wish.by, wish.reason, format_instant(now) or "", format_instant(now + wish.lasting) or "")
    path = os.path.join(instance.state_directory, _FILE)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(vars(granted), stream, indent=2, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    record["override"] = vars(granted)
    done = finish(record)
    # On record before it is in force: there is none that nobody knows of.
    Records(instance).append(done)
    os.replace(path + ".new", path)
    log.warning("%s: %s", instance.name, granted.describe())
    return done


def in_force(instance: Instance, now: datetime) -> Granted | None:
    """The override of an instance; None when there is none, or its time is over."""
    try:
        with open(os.path.join(instance.state_directory, _FILE), encoding="utf-8") as stream:
            granted = Granted(**json.load(stream))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        log.warning("%s: %s cannot be read, so nothing is overridden", instance.name, _FILE)
        return None
    until = parse_instant(granted.until)
    return granted if until and until > now else None


def report(instance: Instance) -> dict[str, Any] | None:
    """What status shows of windows; None when the instance has none. Never raises what can be reported."""
    if not instance.windows:
        return None
    granted = in_force(instance, utcnow())
    found: dict[str, Any] = {"override": vars(granted) if granted else None, "notes": [], "error": None}
    if granted:
        found["notes"].append(granted.describe())
    for work in (Work.DESTRUCTIVE, Work.HEAVY):
        try:
            verdict = windows.ask(instance.windows, work, utcnow())
        except HoldfastError as error:
            found["error"] = str(error)
            return found
        found[str(work)] = verdict.fields()
        if not verdict.allowed or verdict.until:
            found["notes"].append(f"{work} work may begin: {verdict.why}" if verdict.allowed else verdict.why)
    return found
