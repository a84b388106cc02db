"""Write-ahead log names and positions of PostgreSQL, as plain numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

SEGMENT_NAME = re.compile(r"^[0-9A-F]{24}$")
_COMMIT = re.compile(r"desc: COMMIT(?:_PREPARED)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")


@dataclass(frozen=True, order=True)
class Segment:
    """One log file: ``timeline`` and its ``number`` from the beginning of the log."""

    timeline: int
    number: int

    @classmethod
    def parse(cls, name: str, size: int) -> Segment:
        """The segment of a 24 digit file name; ``size`` is wal_segment_size in bytes. Raises ValueError."""
        if not SEGMENT_NAME.match(name):
            raise ValueError(f"not a WAL segment name: {name}")
        per_id = 0x100000000 // size
        return cls(int(name[:8], 16), int(name[8:16], 16) * per_id + int(name[16:], 16))

    def name(self, size: int) -> str:
        high, low = divmod(self.number, 0x100000000 // size)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


def parse_lsn(text: str) -> int:
    """``16/B374D848`` as a byte position."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def end(name: str, size: int) -> int:
    """Position right after a segment."""
    return (Segment.parse(name, size).number + 1) * size


def segment_name(archived: str | None) -> str | None:
    """The segment that an archived file belongs to: also of ``.backup`` and ``.partial``; None for a history file."""
    head = (archived or "")[:24]
    return head if SEGMENT_NAME.match(head) else None


def saved_up_to(name: str, timeline: int, history: str, size: int) -> int | None:
    """Position up to which this server's own log is saved when ``name`` is the newest saved segment.

    ``history`` is the content of the server's timeline history file. Log of an earlier timeline counts up to the point
    where the server left it. None when the segment is of a timeline that the server never was on.
    """
    segment = Segment.parse(name, size)
    end = (segment.number + 1) * size
    if segment.timeline == timeline:
        return end
    for line in history.splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[0].isdigit() and int(fields[0]) == segment.timeline:
            return min(end, parse_lsn(fields[1]))
    return None


def first_commit(lines: Iterable[str]) -> datetime | None:
    """Time of the first commit in the output of pg_waldump (run in UTC), reading no further than that."""
    for line in lines:
        match = _COMMIT.search(line)
        if match:
            form = "%Y-%m-%d %H:%M:%S.%f" if "." in match[1] else "%Y-%m-%d %H:%M:%S"
            return datetime.strptime(match[1], form).replace(tzinfo=timezone.utc)
    return None


def gaps(names: Iterable[str], size: int) -> Iterator[tuple[str, str]]:
    """Last segment before and first one after each hole in a set of archived segments.

    A new timeline starts in the segment in which the old one ended, so only a jump forward is a hole.
    """
    previous: Segment | None = None
    for segment in sorted({Segment.parse(name, size) for name in names}):
        if previous is not None and segment.number > previous.number + 1:
            yield previous.name(size), segment.name(size)
        previous = segment


def span(start: str, stop: str, size: int) -> list[str]:
    """Names of the segments from ``start`` to ``stop``, both included, which are of one timeline."""
    first, last = Segment.parse(start, size), Segment.parse(stop, size)
    return [Segment(first.timeline, number).name(size) for number in range(first.number, last.number + 1)]
