"""Reading a log that is written and rotated meanwhile, from where the last reading ended."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO, NamedTuple

from ..errors import HoldfastError, InvalidInput

_HEAD = 1024  # bytes that tell one file from another, whatever it is called by now
_ROTATED = re.compile(r"\.(\d+)$")


class Position(NamedTuple):
    """The end of what was read: of which file, how far, what it began with, and what the reader keeps in mind."""

    inode: int
    offset: int
    head: str
    kept: str = ""

    def __str__(self) -> str:
        return f"{self.inode}:{self.offset}:{self.head}" + (f":{self.kept}" if self.kept else "")

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """A position that was written down; None for the beginning."""
        if not text:
            return None
        inode, _, rest = text.partition(":")
        offset, _, rest = rest.partition(":")
        head, _, kept = rest.partition(":")
        if not (inode.isdigit() and offset.isdigit()):
            raise InvalidInput(f"{text!r} is no position in a log of MariaDB", remedy="Begin anew with an empty one")
        return cls(int(inode), int(offset), head, kept)


class _Part(NamedTuple):
    stream: IO[bytes]
    inode: int
    size: int

    def is_at(self, position: Position) -> bool:
        if self.size < position.offset or _head(self.stream, position.offset) != position.head:
            return False
        # An empty file is like any other at its beginning.
        return bool(position.offset) or self.inode == position.inode


class Tail:
    """The complete lines after a position, from rotated files too. Use it as a context manager."""

    def __init__(self, path: str, since: Position | None) -> None:
        self._stack = ExitStack()
        self._parts = self._opened(path)
        self._start = 0
        self.gap = False  # what followed the position was rotated away
        self._first = 0  # part to begin with
        if since is not None:
            found = [number for number, part in enumerate(self._parts) if part.is_at(since)]
            same = [number for number in found if self._parts[number].inode == since.inode]
            self.gap = not found
            if found:
                self._first, self._start = (same or found)[0], since.offset
        self._end = self._last_line()

    def __enter__(self) -> Tail:  # noqa: PYI034  Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def lines(self) -> Iterator[bytes]:
        """The lines, without their ends."""
        for number in range(self._first, len(self._parts)):
            start = self._start if number == self._first else 0
            last = number == len(self._parts) - 1
            yield from _lines(self._parts[number].stream, start, self._end if last else self._parts[number].size)

    def before(self) -> Iterator[bytes]:
        """The lines before the position in the file that it is in."""
        if self._parts:
            yield from _lines(self._parts[self._first].stream, 0, self._start)

    def recent(self, limit: int) -> Iterator[bytes]:
        """The lines of the last so many bytes of all files, those of newer files first."""
        for part in reversed(self._parts):
            start = max(0, part.size - limit)
            yield from _lines(part.stream, start, part.size)
            limit -= part.size
            if limit <= 0:
                return

    def position(self, kept: str = "") -> Position:
        """The end of the last complete line."""
        if not self._parts:
            return Position(0, 0, _digest(b""), kept)
        part = self._parts[-1]
        return Position(part.inode, self._end, _head(part.stream, self._end), kept)

    def _opened(self, path: str) -> list[_Part]:
        # The newest first: a file that is rotated between two opens is then met twice, and not missed.
        found: dict[int, _Part] = {}
        for name in (path, *reversed(rotated(path))):
            try:
                stream = self._stack.enter_context(open(name, "rb"))  # noqa: SIM115  closed with the stack
            except FileNotFoundError:
                continue
            except OSError as error:
                self._stack.close()
                raise HoldfastError(
                    f"cannot be read: {error.strerror}",
                    where=name,
                    remedy="Let the owner of the server read it, or audit as who can",
                ) from None
            status = os.fstat(stream.fileno())
            found.setdefault(status.st_ino, _Part(stream, status.st_ino, status.st_size))
        return list(reversed(found.values()))

    def _last_line(self) -> int:
        if not self._parts:
            return 0
        stream, size = self._parts[-1].stream, self._parts[-1].size
        start = self._start if self._first == len(self._parts) - 1 else 0
        while size > start:
            begin = max(start, size - 65536)
            stream.seek(begin)
            end = stream.read(size - begin).rfind(b"\n")
            if end >= 0:
                return begin + end + 1
            size = begin
        return start


def rotated(path: str) -> Sequence[str]:
    """The rotated files of a log, oldest first: server_audit.log.2, server_audit.log.1."""
    directory, base = os.path.split(path)
    try:
        names = os.listdir(directory)
    except OSError:
        return ()
    numbered = [(int(match[1]), name) for name in names for match in [_ROTATED.search(name)] if match]
    ours = sorted(((number, name) for number, name in numbered if _ROTATED.sub("", name) == base), reverse=True)
    return [os.path.join(directory, name) for _, name in ours]


def _lines(stream: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    stream.seek(start)
    while start < end:
        line = stream.readline(end - start)
        if not line:
            return
        start += len(line)
        yield line.rstrip(b"\r\n")


def _head(stream: IO[bytes], offset: int) -> str:
    stream.seek(0)
    return _digest(stream.read(min(offset, _HEAD)))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
