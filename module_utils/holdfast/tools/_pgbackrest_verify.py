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
_STATUS = re.compile(r"^\s*status: (?P<status>\w+)")
_SEGMENT = re.compile(r"(?:invalid (?:checksum|size|result)|file missing) '?\S*/([0-9A-F]{24})-")
_INDENTED = re.compile(r"^\s{2,}(?P<text>No usable \S+ file|.*\berror\b.*)$")


@dataclass
class Verdict:
    """``damaged`` backups with the reason, and ``problems`` that belong to no single one."""

    damaged: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def verdict(output: str) -> Verdict | None:
    """The outcome of one run; None when it cannot be read, which must not pass for a success."""
    outcome = Verdict()
    status = None
    subject: tuple[str, str] = ("", "")
    for line in output.splitlines():
        backup, archive, overall = _BACKUP.match(line), _ARCHIVE.match(line), _STATUS.match(line)
        if backup:
            bad = backup["status"] not in ("valid", "in-progress") or backup["valid"] != backup["all"]
            subject = ("backup", backup["label"]) if bad else ("", "")
            if bad:
                outcome.damaged[backup["label"]] = _reason(backup["status"], backup["all"], backup["valid"])
        elif archive:
            bad = archive["valid"] != archive["all"]
            subject = ("archive", archive["id"]) if bad else ("", "")
            if bad:
                wrong = int(archive["all"]) - int(archive["valid"])
                outcome.problems.append(f"log {archive['id']}: {wrong} of {archive['all']} segments are damaged")
        elif overall and status is None:
            status = overall["status"]
        elif _COUNTS.match(line) and subject[0]:
            detail = ", ".join(part.strip() for part in line.split(",") if not part.strip().endswith(": 0"))
            if detail and subject[0] == "backup":
                outcome.damaged[subject[1]] += f" ({detail})"
            elif detail:
                outcome.problems[-1] += f" ({detail})"
        else:
            match = _INDENTED.match(line)
            if match:
                outcome.problems.append(match["text"].strip())
    if status is None:
        return None
    if status != "ok" and not outcome.damaged and not outcome.problems:
        outcome.problems.append(f"pgbackrest verify ended with status {status}")
    return outcome


def _reason(status: str, checked: str, valid: str) -> str:
    if status == "manifest missing":
        return "its manifest is missing"
    return f"{int(checked) - int(valid)} of {checked} files are damaged"


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
