"""What every chapter of the plan needs, and how facts are put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from .. import continuity
from ..document import Words, bad, code, gap, good
from ..units import format_duration, parse_duration
from .commands import Commands
from .facts import TEMPLATE, Facts
from .revision import Revision


@dataclass(frozen=True)
class Context:
    """The facts of one plan. ``told`` is what hosts told of instances, ``silent`` those of which nothing is known.

    ``earlier`` are the instances whose host did not answer this time, with the moment at which it last did.
    """

    facts: Facts
    told: Mapping[str, Facts]
    earlier: Mapping[str, str]
    drills: Sequence[Facts]
    commands: Commands
    revision: Revision

    @property
    def plan(self) -> Mapping[str, Any]:
        """``db_plan`` of the inventory."""
        plan: Mapping[str, Any] = self.facts["plan"]
        return plan

    @property
    def instances(self) -> list[Facts]:
        """All instances in the order of recovery."""
        by_name = {item["name"]: item for item in self.facts["instances"]}
        return [by_name[name] for wave in self.facts["order"] for name in wave]

    @property
    def contacts(self) -> Mapping[str, Mapping[str, Any]]:
        """``db_contacts`` of the inventory."""
        contacts: Mapping[str, Mapping[str, Any]] = self.facts["contacts"]
        return contacts

    @property
    def review_due(self) -> date | None:
        """The day of the next yearly review."""
        return continuity.review_due(self.plan.get("reviewed"))

    def newest(self) -> str | None:
        """The moment of the newest input, which is the date of the plan: the same inputs give the same text."""
        return max(self._moments(), default=None)

    def _moments(self) -> Iterator[str]:
        if self.revision.date:
            yield self.revision.date
        for told in self.told.values():
            yield from (item["verified"] for item in told.get("verified", ()))
            yield from (item["finished"] for item in (*told.get("tests", ()), *told.get("restores", ())))
        yield from (drill["finished"] for drill in self.drills)
        yield from self.earlier.values()

    def contact(self, name: object) -> Words:
        """A contact by role and name."""
        raw = self.contacts.get(str(name))
        if raw is None:
            return str(name)
        person = raw.get("name")
        return f"{person} ({name})" if person else (f"{name} ", gap("name"))


def human(value: object, what: str) -> Words:
    """A field that people fill in, or the gap where it should be."""
    text = "" if value is None else str(value)
    if not text:
        return gap(what)
    return TEMPLATE if "{{" in text or "{%" in text else text


def seconds(value: float | None) -> str:
    """A number of seconds as people read it."""
    return "unknown" if value is None else format_duration(timedelta(seconds=value))


def tolerable(item: Facts) -> Words:
    """The maximum tolerable downtime of an instance."""
    text = item["business"].get("mtd")
    try:
        return format_duration(parse_duration(text)) if text else gap("MTD")
    except ValueError:
        return str(text)


def forecast(item: Facts, told: Mapping[str, Any]) -> Words:
    """How long the restore of an instance is expected to take."""
    found = told.get("forecast") or {}
    expected = found.get("forecast_seconds")
    if expected is None:
        return "not measured"
    text = seconds(expected)
    late = item["rto_seconds"] is not None and expected > item["rto_seconds"]
    return bad(f"{text}, longer than the RTO") if late else good(text)


def against(achieved: float | None, target: float | None) -> Words:
    """What was achieved beside what was aimed at."""
    if achieved is None or target is None:
        return "not measured"
    text = seconds(achieved)
    return (good(text) if achieved <= target else bad(text), f" / {seconds(target)}")


def moment(text: object) -> str:
    """An instant of a record for people."""
    return str(text)[:16].replace("T", " ") + " UTC" if text else "unknown"


def names(items: Sequence[object]) -> Words:
    """Names as machines know them."""
    found: list[Any] = []
    for item in items:
        found += ([", "] if found else []) + [code(item)]
    return tuple(found) if found else "-"
