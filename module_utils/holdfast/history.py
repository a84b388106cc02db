"""What the records say of the past: which backups were proven intact, when a job last went well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .records import OVERRIDE, Record


@dataclass
class History:
    """The records of one instance, read once. ``last`` and ``last_ok`` are by job name."""

    last: dict[str, Record] = field(default_factory=dict)
    last_ok: dict[str, Record] = field(default_factory=dict)
    access: Record | None = None  # what the newest audit that saw anything says
    power: list[dict[str, str]] = field(default_factory=list)  # that audits saw as new and nobody has looked at yet
    outside_window: int = 0  # changes of power that their logs told of, likewise
    _seen: bool = False  # whether somebody asked for the newest audit
    _verified: dict[str, dict[str, str]] = field(default_factory=dict)
    _damaged: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, records: Iterable[Record]) -> History:
        """Go through records, oldest first."""
        history = cls()
        for record in records:
            if "skipped" in record or record["job"] == OVERRIDE:
                continue  # it neither succeeded nor failed
            history.last[record["job"]] = record
            if record["result"] == "ok":
                history.last_ok[record["job"]] = record
            for repository, outcome in record.get("verified", {}).items():
                history._note(repository, outcome, record["finished"])
            if "access" in record:
                history._note_power(record["access"])
        return history

    def _note_power(self, access: Record) -> None:
        """An audit that somebody asked for shows what those of the schedule saw before it, and ends their alarms."""
        scheduled = access.get("scheduled", False)
        self.access = access
        on = scheduled and not self._seen
        self.power = [*(self.power if on else []), *access["power"]]
        self.outside_window = (self.outside_window if on else 0) + access.get("outside_window", 0)
        self._seen = not scheduled

    def _note(self, repository: str, outcome: Any, when: str) -> None:
        verified = self._verified.setdefault(repository, {})
        damaged = self._damaged.setdefault(repository, set())
        for backup in outcome.get("intact", ()):
            verified[backup] = when
            damaged.discard(backup)
        for backup in outcome.get("damaged", {}):
            verified.pop(backup, None)
            damaged.add(backup)

    def verified(self, repository: str) -> frozenset[str]:
        """Backups whose newest verification found them intact."""
        return frozenset(self._verified.get(repository, {}))

    def verified_at(self, repository: str, backup: str) -> str | None:
        """When a backup was last found intact; None when it was not, or was found damaged since."""
        return self._verified.get(repository, {}).get(backup)

    def damaged(self, repository: str) -> frozenset[str]:
        """Backups whose newest verification found damage."""
        return frozenset(self._damaged.get(repository, set()))
