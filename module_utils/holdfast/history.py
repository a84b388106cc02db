"""What the records say of the past: which backups were proven intact, when a job last went well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Iterable, Optional, Set

from .model import Job
from .records import Record


@dataclass
class History:
    """The records of one instance, read once. ``last`` and ``last_ok`` are by job name."""

    last: Dict[str, Record] = field(default_factory=dict)
    last_ok: Dict[str, Record] = field(default_factory=dict)
    _verified: Dict[str, Dict[str, str]] = field(default_factory=dict)
    _damaged: Dict[str, Set[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, records: Iterable[Record]) -> History:
        history = cls()
        for record in records:
            history.last[record["job"]] = record
            if record["result"] == "ok":
                history.last_ok[record["job"]] = record
            for repository, outcome in record.get("verified", {}).items():
                history._note(repository, outcome, record["finished"])
        return history

    def _note(self, repository: str, outcome: Any, when: str) -> None:
        verified = self._verified.setdefault(repository, {})
        damaged = self._damaged.setdefault(repository, set())
        for backup in outcome.get("intact", ()):
            verified[backup] = when
            damaged.discard(backup)
        for backup in outcome.get("damaged", {}):
            verified.pop(backup, None)
            damaged.add(backup)

    def verified(self, repository: str) -> FrozenSet[str]:
        """Backups whose newest verification found them intact."""
        return frozenset(self._verified.get(repository, {}))

    def verified_at(self, repository: str, backup: str) -> Optional[str]:
        return self._verified.get(repository, {}).get(backup)

    def damaged(self, repository: str) -> FrozenSet[str]:
        """Backups whose newest verification found damage."""
        return frozenset(self._damaged.get(repository, set()))

    def result(self, job: Job) -> Optional[str]:
        record = self.last.get(str(job))
        return record["result"] if record else None
