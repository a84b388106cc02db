"""Reading binary log files of MariaDB and MySQL straight from disk, also when their server is down."""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Union

from ..errors import Unsupported

Data = Union[bytes, mmap.mmap]

MAGIC = b"\xfebin"
_HEADER = struct.Struct("<IBIIIH")  # time, type, server id, size, end position, flags
_TIME_KIND_SIZE = struct.Struct("<IB4xI")
_LISTED = struct.Struct("<IIQ")  # domain, server, sequence number
_GTID_BODY = struct.Struct("<QIB")  # sequence number, domain, flags
_NAME = re.compile(r"^(?P<base>.+)\.(?P<number>\d{6,})$")
_HISTORY = 100_000  # each restore begins at the next multiple of it, plus one
_QUERY, _FORMAT_DESCRIPTION, _GTID, _GTID_LIST, _START_ENCRYPTION = 2, 15, 162, 163, 164
_ENDS = frozenset({16, 38})  # XID and XA PREPARE
_PREPARES = frozenset({_GTID, 5, 13, 14, 160})  # of a statement: its variables and its text as an annotation
_WORDS = (b"COMMIT", b"ROLLBACK")
_STANDALONE = 1  # the GTID is followed by one statement that ends by itself
# What a server writes into every file by itself: rotate and stop, format, previous GTIDs (MySQL), and MariaDB's
# annotations of the file: checkpoint, GTID list, start of encryption.
_HOUSEKEEPING = frozenset({3, 4, _FORMAT_DESCRIPTION, 35, 161, _GTID_LIST, _START_ENCRYPTION})


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


class Transaction(NamedTuple):
    """A transaction in a log file: its GTID, when it was committed, and where it lies.

    ``time`` is in whole seconds since the epoch, and of the beginning of the statement that committed it: the log knows
    nothing better. A statement that commits by itself may have ended later.
    """

    domain: int
    server: int
    sequence: int
    time: int
    start: int
    end: int

    @property
    def gtid(self) -> str:
        """Its GTID as text."""
        return f"{self.domain}-{self.server}-{self.sequence}"


_Event = tuple[int, int, int, int]  # time, type, start, end


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


def names_of(entries: Iterable[str], base: str) -> list[str]:
    """The names of the log files with this base name in a directory's listing, oldest first."""
    found = []
    for entry in entries:
        try:
            if split_name(entry)[0] == base:
                found.append(entry)
        except ValueError:
            continue
    return sorted(found, key=lambda name: split_name(name)[1])


def first_of_next_history(number: int) -> int:
    """The number of the first log file that a server writes after a restore, given the highest one before it.

    The gap is wide enough for every file that was written and never seen here.
    """
    return (number // _HISTORY + 1) * _HISTORY + 1


def begins_history(name: str) -> bool:
    """Whether a log file is the first one after a restore."""
    number = split_name(name)[1]
    return number > _HISTORY and number % _HISTORY == 1


def follows(earlier: LogFile, later: LogFile) -> bool:
    """Whether a file is the one that the server began when it ended the other."""
    return later.number == earlier.number + 1 and later.created >= earlier.created


def read(path: str, *, complete: bool = False) -> LogFile | None:
    """The file at a path; None when it has no header yet. With ``complete`` its size ends with its last whole event.

    Raises OSError when it cannot be read.
    """
    with _mapped(path) as data:
        first = next(_events(data), None)
        if first is None:
            return None
        size = max(end for *_, end in _events(data)) if complete else len(data)
        return LogFile(created=first[0], name=os.path.basename(path), size=size)


def first_change(path: str, start: int = len(MAGIC)) -> int | None:
    """Time of the first event at or after ``start`` that a client caused; None when there is none.

    Raises OSError when the file cannot be read.
    """
    with _mapped(path) as data:
        return next((time for time, kind, _, _ in _events(data, start) if kind not in _HOUSEKEEPING), None)


def unsaved_change(paths: Sequence[str], start: int) -> int | None:
    """Time of the first change from ``start`` in the first file on, through the others."""
    for path in paths:
        time = first_change(path, start)
        if time is not None:
            return time
        start = len(MAGIC)
    return None


def newest_event(path: str, end: int) -> int:
    """Time of the newest event before ``end``; 0 when there is none."""
    with _mapped(path) as data:
        return max((time for time, _, _, stop in _events(data) if stop <= end), default=0)


def gtids_before(path: str) -> dict[int, str]:
    """The newest GTID of each domain when the file was begun, by domain."""
    return {domain: f"{domain}-{server}-{sequence}" for domain, server, sequence in _listed(path)}


def _listed(path: str) -> list[tuple[int, int, int]]:
    with _mapped(path) as data:
        for _, kind, start, _ in _events(data):
            if kind == _GTID_LIST:
                (count,) = struct.unpack_from("<I", data, start + _HEADER.size)
                bodies = (start + _HEADER.size + 4 + _LISTED.size * number for number in range(count & 0xFFFFFFF))
                return [_LISTED.unpack_from(data, offset) for offset in bodies]
            if kind not in _HOUSEKEEPING:
                break
    return []


def state_after(path: str) -> dict[tuple[int, int], int]:
    """The last sequence number by domain and server at the end of a file. Raises Unsupported for an encrypted one."""
    found = {(domain, server): sequence for domain, server, sequence in _listed(path)}
    found.update({(item.domain, item.server): item.sequence for item in transactions(path, os.path.getsize(path))})
    return found


def gtids_at(path: str, end: int) -> dict[int, str]:
    """The newest GTID of each domain at an offset, by domain. Raises Unsupported for an encrypted file."""
    return {**gtids_before(path), **{item.domain: item.gtid for item in transactions(path, end)}}


def transactions(path: str, end: int) -> Iterator[Transaction]:
    """The transactions in a file of MariaDB up to ``end``, in the order in which they were committed.

    One that a crash cut short is left out. Raises Unsupported for an encrypted file.
    """
    with _mapped(path) as data:
        first: _Event | None = None
        last: _Event | None = None
        newest = 0
        for event in _events(data):
            time, kind, _, stop = event
            if stop > end:
                break
            if kind == _START_ENCRYPTION:
                raise _encrypted()
            if kind == _GTID or kind in _HOUSEKEEPING:
                if first and last:
                    yield _transaction(data, first, last, newest)
                first, last, newest = event if kind == _GTID else None, None, time
            else:
                last = event
                if time > newest:
                    newest = time
        if first and last and _is_whole(data, first, last):
            yield _transaction(data, first, last, newest)


def _encrypted() -> Unsupported:
    return Unsupported(
        "mariadb",
        "rolling the log forward",
        "the binary log is encrypted (encrypt_binlog), and only a server with its key can read it",
        remedy="Restore to the end of a backup",
    )


def _transaction(data: Data, first: _Event, last: _Event, time: int) -> Transaction:
    start, end = first[2], last[3]
    sequence, domain, _ = _GTID_BODY.unpack_from(data, start + _HEADER.size)
    return Transaction(domain, _HEADER.unpack_from(data, start)[2], sequence, time, start, end)


def _is_whole(data: Data, first: _Event, last: _Event) -> bool:
    """Whether the last event of a file ends its transaction."""
    flags = _GTID_BODY.unpack_from(data, first[2] + _HEADER.size)[2]
    _, kind, start, end = last
    if flags & _STANDALONE:
        return kind not in _PREPARES
    if kind in _ENDS:
        return True
    text = bytes(data[max(start, end - 16) : end])
    return kind == _QUERY and any(word in (text[-len(word) :], text[-len(word) - 4 : -4]) for word in _WORDS)


@contextmanager
def _mapped(path: str) -> Iterator[Data]:
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size < len(MAGIC):
            yield b""
            return
        with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as data:
            yield data


def _events(data: Data, start: int = len(MAGIC)) -> Iterator[_Event]:
    """Each event from an offset on. A part of an event at the end of the file is passed over."""
    if data[: len(MAGIC)] != MAGIC:
        return
    offset, unpack, least = max(start, len(MAGIC)), _TIME_KIND_SIZE.unpack_from, _HEADER.size
    length = len(data)
    while offset + least <= length:
        time, kind, size = unpack(data, offset)
        end = offset + size
        if size < least or end > length:
            return
        yield time, kind, offset, end
        offset = end
