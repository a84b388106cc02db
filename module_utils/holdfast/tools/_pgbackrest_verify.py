"""What ``pgbackrest verify --output=text --verbose`` says, and holes in an archive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..engines import _postgresql_wal as wal

_BACKUP = re.compile(
    r"^\s*backup: (?P<label>\S+), status: (?P<status>[a-z -]+), total files checked: (?P<all>\d+),"
    r" total valid files: (?P<valid>\d+)"
)
_ARCHIVE = re.compile(r"^\s*archiveId: (?P<id>\S+), total WAL checked: (?P<all>\d+), total valid WAL: (?P<valid>\d+)")
_COUNTS = re.compile(r"^\s*(?:missing|checksum invalid|size invalid|other): \d+")
_STATUS = re.compile(r"^\s*status: (?P<status>\w+)", re.MULTILINE)
_SEGMENT = re.compile(r"(?:invalid (?:checksum|size|result)|file missing) '?\S*/([0-9A-F]{24})-")
_GENERAL = re.compile(r"^\s{2,}(?P<text>No usable \S+ file)$")


@dataclass
class Verdict:
    """``damaged`` backups with the reason, and ``problems`` that belong to no single one."""

    damaged: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def verdict(output: str) -> Verdict | None:
    """The outcome of one run; None when it cannot be read, which must not pass for a success."""
    overall = _STATUS.search(output)
    if overall is None:
        return None
    outcome = Verdict()
    lines = output.splitlines()
    for line, following in zip(lines, [*lines[1:], ""]):
        backup, archive, general = _BACKUP.match(line), _ARCHIVE.match(line), _GENERAL.match(line)
        if backup and (backup["status"] not in ("valid", "in-progress") or backup["valid"] != backup["all"]):
            outcome.damaged[backup["label"]] = _reason(backup) + _counts(following)
        elif archive and archive["valid"] != archive["all"]:
            wrong = int(archive["all"]) - int(archive["valid"])
            outcome.problems.append(
                f"log {archive['id']}: {wrong} of {archive['all']} segments are damaged{_counts(following)}"
            )
        elif general:
            outcome.problems.append(general["text"])
    if overall["status"] != "ok" and not outcome.damaged and not outcome.problems:
        outcome.problems.append(f"pgbackrest verify ended with status {overall['status']}")
    return outcome


def _reason(backup: re.Match[str]) -> str:
    if backup["status"] == "manifest missing":
        return "its manifest is missing"
    return f"{int(backup['all']) - int(backup['valid'])} of {backup['all']} files are damaged"


def _counts(line: str) -> str:
    if not _COUNTS.match(line):
        return ""
    found = [part.strip() for part in line.split(",") if not part.strip().endswith(": 0")]
    return f" ({', '.join(found)})" if found else ""


def damaged_segments(line: str) -> list[str]:
    """The log segments that a message of the verify command calls unreadable: those that no restore can use."""
    return _SEGMENT.findall(line)


def log_gaps(names: Sequence[str], backups: Sequence[Mapping[str, Any]], size: int) -> tuple[list[str], dict[str, str]]:
    """Holes in the archived log, and the backups that lack a segment they need to become consistent.

    Expiring log leaves holes that are meant: it goes from the oldest on, and keeps what backups need for themselves. So
    a hole that ends where a backup starts is meant as long as nothing before it is there for any other reason.
    """
    broken: dict[str, str] = {}
    needed: set[str] = set()
    starts: set[str] = set()
    for raw in backups:
        start, stop = raw["archive"]["start"], raw["archive"]["stop"]
        if not start or not stop:
            continue
        starts.add(start)
        needed.update(wal.span(start, stop, size))
        lacking = [name for name in wal.span(start, stop, size) if name not in names]
        if lacking:
            broken[raw["label"]] = f"the log segment {lacking[0]} that it needs is missing or damaged"
    holes = []
    for before, after in wal.gaps(names, size):
        expired = after in starts and all(name in needed for name in names if name <= before)
        if not expired:
            holes.append(f"the log has a hole between {before} and {after}: no restore can cross it")
    return holes, broken
