"""What is asked of a patch, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..guard import Override
from .packages import Change, Kind

NOTHING = "nothing due"
PLANNED = "planned"
PATCHED = "patched"
UNTOUCHED = "nothing was changed"  # it failed before the first package
UNDONE = "rolled back"  # the versions before are back, and the servers answer with them
HALF = "half done"  # neither: a person is needed

ALL_KINDS = tuple(map(str, Kind))


@dataclass(frozen=True)
class Wish:
    """What is to be patched, and what stands in the way of it. Times are in seconds."""

    kinds: Sequence[str] = ALL_KINDS
    security: bool = False
    hold: bool = True
    maximum_lag: float = 30.0
    longest_transaction: float = 60.0
    drain: float = 10.0
    patience: float = 120.0
    expected: timedelta = timedelta(minutes=10)
    verified_within: timedelta | None = timedelta(days=8)
    backup_within: timedelta | None = timedelta(hours=26)
    checks: Sequence[Mapping[str, Any]] = ()
    override: Override | None = None


@dataclass
class Outcome:
    """How it ended. ``steps`` are sentences in the order of what was done."""

    result: str = NOTHING
    changes: list[Change] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)  # changes to what is held, as sentences
    restarts: list[str] = field(default_factory=list)  # instances
    seconds_down: dict[str, float] = field(default_factory=dict)  # without an answer to new sessions, by instance
    versions: dict[str, str] = field(default_factory=dict)  # of the servers, at the end
    error: dict[str, Any] | None = None

    @property
    def changed(self) -> bool:
        """Whether anything on the host is, or would be, another than before."""
        return self.result in (PLANNED, PATCHED, HALF) or bool(self.holds) or bool(self.steps)

    def fields(self) -> dict[str, Any]:
        """It as records hold it."""
        return {
            "outcome": self.result,
            "packages": [{name: vars(item)[name] for name in ("package", "before", "after")} for item in self.changes],
            "steps": list(self.steps),
            "holds": list(self.holds),
            "notes": list(self.notes),
            "seconds_down": dict(self.seconds_down),
            "versions": dict(self.versions),
        }
