"""Copying what was written to an audit log since the last time, whatever rotated it meanwhile.

How far it was read is in the newest link: the file by its inode, the offset, and the hash of everything before it. A
file is known again by that hash, also when it was renamed, copied or compressed; one that has another hash was altered.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from ..config import STATE
from ..errors import HoldfastError
from ..units import format_instant, parse_instant, utcnow
from . import chain
from .chain import Link

DIRECTORY = os.path.join(STATE, ".audit")  # no instance can have this name
_CHUNK = 8 << 20  # bytes of one link
_NUMBER = re.compile(r"\.(\d+)(?:\.gz)?$")


@dataclass(frozen=True)
class Part:
    """One file of a log: the one that is written, or a rotated one."""

    path: str
    inode: int
    size: int  # of the file; of a compressed one more than that is read
    modified: float
    live: bool

    @property
    def order(self) -> tuple[float, int]:
        """Oldest first; of two that were written in the same moment the one with the higher number."""
        match = _NUMBER.search(self.path)
        return self.modified, -int(match[1]) if match else 0

    def open(self) -> IO[bytes]:
        """The file, decompressed."""
        return gzip.open(self.path) if self.path.endswith(".gz") else open(self.path, "rb")  # type: ignore[return-value]


@dataclass(frozen=True)
class Collected:
    """What a run copied."""

    links: list[Link]
    size: int


def directory_of(instance: str) -> str:
    """Where the chain of an instance is on its host. Root's alone: who can write the log must not write the chain."""
    return os.path.join(DIRECTORY, instance)


def parts(path: str, pattern: str = "") -> list[Part]:
    """The files of a log, oldest first, the one that is written last; without a path that is the newest one."""
    names = set(glob.glob(pattern or f"{glob.escape(path)}.*"))
    found = [item for item in (_part(name, live=False) for name in names - {path}) if item]
    found.sort(key=lambda item: item.order)
    if path:
        live = _part(path, live=True)
        return [*found, live] if live else found
    return [*found[:-1], *(item for item in (_part(found[-1].path, live=True),) if item)] if found else []


def _part(path: str, *, live: bool) -> Part | None:
    with suppress(FileNotFoundError):
        status = os.stat(path)
        return Part(path, status.st_ino, status.st_size, status.st_mtime, live)
    return None


def pending(directory: str, files: Sequence[Part]) -> int:
    """Bytes that a run would copy, as far as it can be told without reading."""
    links, _ = chain.read(directory)
    last = _last_read(links)
    if last is None:
        return sum(part.size for part in files if part.live)
    return sum(part.size - (last["to"] if part.inode == last["inode"] else 0) for part in files if part.live)


def collect(directory: str, files: Sequence[Part], *, forget: int = 0) -> Collected:
    """Copy everything that was written since the newest link, and say what is missing or was altered.

    Copies up to link ``forget`` are elsewhere by now, and are removed here.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    verdict = chain.verify(directory, segments=True, since=forget)
    links, _ = chain.read(directory)
    broken = [item for item in verdict.findings if item.check == "LG10" and item not in _told(links)]
    if broken:
        raise HoldfastError(
            f"the chain of copies was altered: {broken[0].subject}: {broken[0].found}",
            where=directory,
            remedy="Keep the directory as evidence under another name; the next run begins a new chain, which is told",
        )
    run = _Run(directory, links)
    for part, start, prefix in run.where_from(files):
        run.copy(part, start, prefix)
    for link in links:
        if link["number"] <= forget and link["kind"] == chain.SEGMENT:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, chain.segment_name(link["number"])))
    return Collected(run.made, sum(int(link.get("bytes", 0)) for link in run.made))


def _told(links: Sequence[Link]) -> list[Any]:
    return [item for link in links for item in chain.told(link)]


def _last_read(links: Sequence[Link]) -> Link | None:
    return next((link for link in reversed(links) if link["kind"] == chain.SEGMENT), None)


class _Run:
    """One pass over the files of a log."""

    def __init__(self, directory: str, links: list[Link]) -> None:
        self.directory = directory
        self.made: list[Link] = []
        self._links = links
        self._newest = links[-1] if links else None

    def where_from(self, files: Sequence[Part]) -> Iterator[tuple[Part, int, Any]]:
        """The files that hold something new, each with the offset to read from and the hash of what is before it."""
        last = _last_read(self._links)
        if last is None:
            for part in files[-1:]:
                yield part, 0, hashlib.sha256()
            return
        place = self._find(files, last)
        if place is None:
            yield from self._lost(files, last)
            return
        number, prefix = place
        yield files[number], int(last["to"]), prefix
        for part in files[number + 1 :]:
            yield part, 0, hashlib.sha256()

    def _find(self, files: Sequence[Part], last: Link) -> tuple[int, Any] | None:
        """The file that was read last, under whatever name, by the hash of what was read of it."""
        by_inode = sorted(range(len(files)), key=lambda number: (files[number].inode != last["inode"], -number))
        for number in by_inode:
            part = files[number]
            if int(last["to"]) == 0:
                if part.inode == last["inode"]:
                    return number, hashlib.sha256()
                continue
            prefix = _prefix(part, int(last["to"]))
            if prefix is not None and prefix.hexdigest() == last["prefix"]:
                return number, prefix
        return None

    def _lost(self, files: Sequence[Part], last: Link) -> Iterator[tuple[Part, int, Any]]:
        same = next((part for part in files if part.inode == last["inode"]), None)
        if same and same.size >= int(last["to"]) and not same.path.endswith(".gz"):
            self._say(chain.ALTERED, same.path, f"{self._place(same, last)}; what it holds now is copied anew")
        else:
            how = "was emptied" if same else "is gone"
            self._say(
                chain.GAP,
                str(last["file"]),
                f"the file that was read up to byte {last['to']} at {str(last['time'])[:19]}Z {how}, and no rotated"
                " file begins with what was read: what was written after that is not copied",
            )
        since = _seconds(last)
        for part in files:
            if part.live or part.modified > since:
                yield part, 0, hashlib.sha256()

    def _place(self, part: Part, last: Link) -> str:
        """Which of the bytes that were copied are different now."""
        for link in self._links:
            if link["kind"] == chain.SEGMENT and link["inode"] == last["inode"] and link["file"] == last["file"]:
                with part.open() as stream:
                    stream.seek(int(link["from"]))
                    data = stream.read(int(link["to"]) - int(link["from"]))
                if hashlib.sha256(data).hexdigest() != link["sha256"]:
                    return (
                        f"bytes {link['from']} to {link['to']} are not those that were copied as link {link['number']}"
                    )
        return f"the first {last['to']} bytes are not those that were copied"

    def copy(self, part: Part, start: int, prefix: Any) -> None:
        """Copy a file from an offset on: to its end, or to its last whole line while it is written."""
        position = start
        with part.open() as stream:
            stream.seek(start)
            while True:
                data = stream.read(_CHUNK)
                if part.live and len(data) < _CHUNK:
                    data = data[: data.rfind(b"\n") + 1]
                if not data:
                    return
                prefix.update(data)
                self._store(part, position, data, prefix.hexdigest())
                position += len(data)

    def _store(self, part: Part, position: int, data: bytes, prefix: str) -> None:
        said = {
            "kind": chain.SEGMENT,
            "time": format_instant(utcnow()),
            "file": part.path,
            "inode": part.inode,
            "from": position,
            "to": position + len(data),
            "bytes": len(data),
            "lines": data.count(b"\n"),
            "sha256": hashlib.sha256(data).hexdigest(),
            "prefix": prefix,
        }
        link = chain.seal(self._newest, said)
        path = os.path.join(self.directory, chain.segment_name(link["number"]))
        try:
            with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
                # The time of day in its header would make two copies of the same bytes differ.
                with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as stream:
                    stream.write(data)
                raw.flush()
                os.fsync(raw.fileno())
            os.replace(f"{path}.new", path)
            self._add(link)
        except OSError as error:
            for name in (f"{path}.new", path):
                with suppress(FileNotFoundError):
                    os.unlink(name)
            raise HoldfastError(
                f"cannot be written: {error.strerror}", where=path, remedy="Make room; the next run goes on from here"
            ) from None

    def _say(self, kind: str, file: str, what: str) -> None:
        self._add(
            chain.seal(self._newest, {"kind": kind, "time": format_instant(utcnow()), "file": file, "what": what})
        )

    def _add(self, link: Link) -> None:
        chain.append(self.directory, link)
        self._newest = link
        self.made.append(link)


def _prefix(part: Part, length: int) -> Any:
    """The hash of the first bytes of a file; None when it has fewer."""
    found, left = hashlib.sha256(), length
    try:
        with part.open() as stream:
            while left:
                data = stream.read(min(left, 1 << 20))
                if not data:
                    return None
                found.update(data)
                left -= len(data)
    except (OSError, EOFError):
        return None  # a compressed file that is being written
    return found


def _seconds(link: Link) -> float:
    moment = parse_instant(str(link["time"]))
    return moment.timestamp() if moment else 0.0
