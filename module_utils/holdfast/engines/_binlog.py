"""Reading binary log files of MariaDB and MySQL straight from disk, also when their server is down."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"\xfebin"
_HEADER = struct.Struct("<IBIIIH")  # time, type, server id, size, end position, flags
_NAME = re.compile(r"^(?P<base>.+)\.(?P<number>\d{6,})$")
_FORMAT_DESCRIPTION = 15
# What a server writes into every file by itself: rotate and stop, format, previous GTIDs (MySQL), and MariaDB's
# annotations of the file: checkpoint, GTID list, start of encryption.
_HOUSEKEEPING = frozenset({3, 4, _FORMAT_DESCRIPTION, 35, 161, 163, 164})


@dataclass(frozen=True, order=True)
class LogFile:
    """A binary log file. ``created`` is the time in its first event: after RESET MASTER only its name returns."""

    created: int  # seconds since the epoch
    name: str
    size: int  # bytes up to the end of the last complete event

    @property
    def number(self) -> int:
        """The sequence number in its name."""
        return split_name(self.name)[1]

    @property
    def position(self) -> str:
        """The end of the file as a log position."""
        return f"{self.name}:{self.size}"


def split_name(name: str) -> tuple[str, int]:
    """``mysql-bin.000012`` as base name and number. Raises ValueError for any other name."""
    match = _NAME.match(name)
    if not match:
        raise ValueError(f"not the name of a binary log file: {name!r}")
    return match["base"], int(match["number"])


def parse_position(position: str) -> tuple[str, int]:
    """``mysql-bin.000012:345``, with a GTID after a blank or not, as name and offset."""
    name, _, offset = position.split(" ", 1)[0].rpartition(":")
    return name, int(offset)


def follows(earlier: LogFile, later: LogFile) -> bool:
    """Whether a file is the one that the server began when it ended the other."""
    return later.number == earlier.number + 1 and later.created >= earlier.created


def read(path: str, *, complete: bool = False) -> LogFile | None:
    """The file at a path; None when it has no header yet. With ``complete`` its size ends with its last whole event.

    Raises OSError when it cannot be read.
    """
    with open(path, "rb") as stream:
        first = next(_events(stream), None)
        if first is None:
            return None
        size = os.fstat(stream.fileno()).st_size
        if complete:
            stream.seek(0)
            size = max((end for _, _, end in _events(stream) if end <= size), default=len(MAGIC))
        return LogFile(created=first[0], name=os.path.basename(path), size=size)


def first_change(path: str, start: int = len(MAGIC)) -> int | None:
    """Time of the first event at or after ``start`` that a client caused; None when there is none.

    Raises OSError when the file cannot be read.
    """
    with open(path, "rb") as stream:
        return next((time for time, kind, end in _events(stream, start) if kind not in _HOUSEKEEPING), None)


def unsaved_change(paths: Sequence[str], start: int) -> int | None:
    """Time of the first change from ``start`` in the first file on, through the others."""
    for path in paths:
        time = first_change(path, start)
        if time is not None:
            return time
        start = len(MAGIC)
    return None


def _events(stream: BinaryIO, start: int = len(MAGIC)) -> Iterator[tuple[int, int, int]]:
    """Time, type and end of each event from an offset on. A part of an event at the end of the file is passed over."""
    if stream.read(len(MAGIC)) != MAGIC:
        return
    length = os.fstat(stream.fileno()).st_size
    offset = max(start, len(MAGIC))
    while offset + _HEADER.size <= length:
        stream.seek(offset)
        time, kind, _, size, _, _ = _HEADER.unpack(stream.read(_HEADER.size))
        if size < _HEADER.size or offset + size > length:
            return
        offset += size
        yield time, kind, offset
