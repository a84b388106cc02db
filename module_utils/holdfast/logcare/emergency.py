"""A disk that is full or nearly so: what can go, in the order of least harm, and no more of it than is needed.

What recovery needs is never a candidate: data directories are entered for nothing but rotated messages, and log for
recovery goes by the server's own means, as far as :mod:`.purge` lets it.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..config import LOGS
from ..engines.logs import LOGROTATE
from ..errors import HoldfastError
from ..model import Place
from ..units import format_bytes
from . import chain, collect
from .host import Told
from .settings import Share

MINIMUM = 2  # rotated files of each log that stay
_TEMPORARY = (("/tmp", 10), ("/var/tmp", 30))  # noqa: S108 - days, as systemd-tmpfiles has them
_DAY = 86400
_ROTATED = re.compile(r"(\.\d+|-\d{8}(-\d+)?|\.\d{4}-\d\d-\d\d[0-9-]*)(\.gz|\.xz|\.bz2|\.zst)?$")
# What no step may touch, wherever it is found.
_NEVER = re.compile(
    r"/pg_wal(/|$)|/pg_xlog(/|$)|/[0-9A-F]{24}(\.(partial|backup|ready|done))?$|\.history$|\.\d{6}$|\.index$"
    r"|/ib_logfile|/ibdata|/undo\d|/aria_log|/redo|/relay-|\.state$|/gtid"
)
_ABOVE = ("tmp", "var", "run", "")


@dataclass(frozen=True)
class Candidate:
    """One thing that can go. ``paths`` are removed with everything in them."""

    what: str
    paths: tuple[str, ...]
    size: int


@dataclass
class Step:
    """Things of one kind, with the harm that it does when they go. ``why_not`` says why a step has nothing to do."""

    id: str
    harm: str
    candidates: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)  # that must be held meanwhile
    freed: int = 0
    done: bool = False

    @property
    def size(self) -> int:
        """Bytes that it can free."""
        return sum(item.size for item in self.candidates)

    def as_dict(self) -> dict[str, Any]:
        """The step as records and modules have it."""
        return {
            "id": self.id,
            "harm": self.harm,
            "bytes": self.size,
            "freed_bytes": self.freed,
            "done": self.done,
            "notes": self.notes,
            "candidates": [{"what": item.what, "bytes": item.size} for item in self.candidates],
        }


@dataclass(frozen=True)
class Goal:
    """How much is to be free, and on which file system."""

    path: str
    wanted: int
    total: int
    device: int

    def free(self) -> int:
        """Bytes that are free now for those who are not root."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    @property
    def reached(self) -> bool:
        """Whether enough is free."""
        return self.free() >= self.wanted


def goal(path: str, share: Share) -> Goal:
    """The goal on the file system of a path. Raises HoldfastError where there is no such place."""
    try:
        status = os.statvfs(path)
        total = status.f_blocks * status.f_frsize
        return Goal(path, share.of(total), total, os.stat(path).st_dev)
    except OSError as error:
        raise HoldfastError(f"cannot be looked at: {error.strerror}", where=path) from None


def steps(asked: Sequence[Told], places: Sequence[Place], device: int, aside: Sequence[str]) -> list[Step]:
    """What can go from a file system, least harm first. ``aside`` are kept data directories that somebody has named.

    The last steps, retention and purge, are those of an instance and not found here.
    """
    # Whatever a server holds open or could be started on: found by what the servers said, not by names alone.
    on = _On(device, [item.data_directory for item in places])
    found = [
        Step(
            "rotated_logs", f"old messages are gone; {MINIMUM} rotated files of each log stay", on.all(_rotated(asked))
        ),
        Step("package_cache", "packages are downloaded again when they are needed", on.all(_package_cache())),
        Step("temporary_files", "files that nobody has touched for days", on.all(_temporary())),
        Step("leftovers", "scratch copies of jobs that were killed", on.all(_leftovers(asked)), locks=_locks(asked)),
        Step("core_dumps", "nobody can examine the crashes that they are of", on.all(_core_dumps(places))),
        Step("set_aside", "the data of before a restore cannot be looked at any more", on.all(_aside(places, aside))),
    ]
    named = {item for step in found for candidate in step.candidates for item in candidate.paths}
    others = [path for path in _kept_aside(places) if path not in named]
    found[-1].notes += [f"{path} is kept until it is named in disk_emergency_aside" for path in others]
    found[-1].notes += [f"{path} is no data that a restore has set aside" for path in aside if path not in named]
    return found


class _On:
    """Keeps what is on one file system and may go."""

    def __init__(self, device: int, data: Sequence[str]) -> None:
        self._device = device
        self._data = [os.path.realpath(path) for path in data]

    def all(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        found = [item for item in candidates if item.size and all(map(self._may_go, item.paths))]
        return [replace(item, paths=tuple(map(_resolved, item.paths))) for item in found]

    def _may_go(self, path: str) -> bool:
        with suppress(OSError):
            return os.lstat(path).st_dev == self._device and not self._is_needed(path)
        return False

    def _is_needed(self, path: str) -> bool:
        real = os.path.realpath(path)
        above = any(directory == real or directory.startswith(real + "/") for directory in self._data)
        return above or bool(_NEVER.search(real)) or real.strip("/") in _ABOVE


def _rotated(asked: Sequence[Told]) -> Iterator[Candidate]:
    for told in asked:
        for source in told.sources or ():
            if source.rotated_by != LOGROTATE:
                continue
            safe = _copied(told) if source.also_audit else None
            yield from _older(f"{told.instance.name}: {source.kind} log", source.path, safe)
        yield from _older(
            f"{told.instance.name}: log of the runner", os.path.join(LOGS, f"{told.instance.name}.log"), None
        )


def _older(what: str, path: str, safe: set[int] | None) -> Iterator[Candidate]:
    """Rotated files beyond the minimum, oldest first. ``safe`` are inodes of an audit log that are copied in full."""
    rotated = [name for name in glob.glob(f"{glob.escape(path)}*") if name != path and _ROTATED.search(name)]
    rotated.sort(key=os.path.getmtime)
    for name in rotated[: max(0, len(rotated) - MINIMUM)]:
        if safe is None or os.stat(name).st_ino in safe:
            yield Candidate(f"{what}, {name}", (name,), _allocated(name))


def _copied(told: Told) -> set[int]:
    """The rotated files of an audit log that are in the chain of copies up to their end."""
    links, _ = chain.read(collect.directory_of(told.instance.name))
    reached = {link["inode"]: int(link["to"]) for link in links if link["kind"] == chain.SEGMENT}
    source = told.audit()
    files = collect.parts(source.path, source.names)
    return {part.inode for part in files if not part.live and reached.get(part.inode, -1) >= part.size}


def _package_cache() -> Iterator[Candidate]:
    for path in sorted(glob.glob("/var/cache/apt/archives/*.deb")):
        yield Candidate(path, (path,), _allocated(path))


def _temporary() -> Iterator[Candidate]:
    for directory, days in _TEMPORARY:
        oldest = time.time() - days * _DAY
        for path in _below(directory):
            with suppress(OSError):
                status = os.lstat(path)
                if _inside(path, directory) and max(status.st_mtime, status.st_atime, status.st_ctime) < oldest:
                    yield Candidate(path, (path,), _allocated(path))


def _below(directory: str) -> Iterator[str]:
    """Ordinary files of a directory for temporary ones, without those that services have of their own."""
    for path, inner, names in os.walk(directory):
        inner[:] = [name for name in inner if not name.startswith(("systemd-private-", ".X11", ".ICE", ".font"))]
        for name in names:
            whole = os.path.join(path, name)
            if os.path.isfile(whole) and not os.path.islink(whole):
                yield whole


def _leftovers(asked: Sequence[Told]) -> Iterator[Candidate]:
    for told in asked:
        for name in ("scratch", "tmp"):
            for path in sorted(glob.glob(os.path.join(glob.escape(told.instance.state_directory), name, "*"))):
                if _inside(path, told.instance.state_directory):
                    yield Candidate(path, (path,), _tree(path))


def _locks(asked: Sequence[Told]) -> list[str]:
    return [os.path.join(told.instance.state_directory, "backup.lock") for told in asked]


def _core_dumps(places: Sequence[Place]) -> Iterator[Candidate]:
    patterns = ["/var/lib/systemd/coredump/core.*", "/var/crash/*", "/core", "/core.[0-9]*"]
    for place in places:
        inside = glob.escape(place.data_directory)
        patterns += [f"{inside}/core", f"{inside}/core.[0-9]*"]
    for path in sorted(path for pattern in patterns for path in glob.glob(pattern)):
        if os.path.isfile(path) and not os.path.islink(path):
            yield Candidate(path, (path,), _allocated(path))


def _kept_aside(places: Sequence[Place]) -> list[str]:
    found = []
    for place in places:
        found += glob.glob(f"{glob.escape(place.data_directory)}.before-*")
        if place.unseen:
            found += glob.glob(f"{glob.escape(os.path.join(place.data_directory, place.unseen))}-before-*")
    return sorted({path for path in found if os.path.isdir(path)})


def _aside(places: Sequence[Place], named: Sequence[str]) -> Iterator[Candidate]:
    for path in _kept_aside(places):
        if path in named:
            yield Candidate(path, (path,), _tree(path))


def free(found: Sequence[Step], target: Goal) -> None:
    """Carry steps out, one thing after the other, until enough is free. What cannot be removed is in the notes."""
    for step in found:
        if target.reached:
            return
        with ExitStack() as locks:
            if all(_locked(path, locks, step) for path in step.locks):
                _free(step, target)


def _free(step: Step, target: Goal) -> None:
    for candidate in step.candidates:
        if target.reached:
            return
        before = target.free()
        for path in candidate.paths:
            _remove(path, step)
        # Measured: a file that somebody holds open gives nothing back, and others write meanwhile.
        step.freed += max(0, min(target.free() - before, candidate.size))
        step.done = True


def _locked(path: str, locks: ExitStack, step: Step) -> bool:
    """Hold the lock of an instance's jobs, so that none begins that would use what is removed."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True  # no job has ever run
    locks.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        step.notes.append(f"left alone: a job runs and may use it ({path})")
        return False
    return True


def _remove(path: str, step: Step) -> None:
    """Remove what is at that place. Who may write to a directory above cannot have something else removed by a link."""
    directory, name = os.path.split(path)
    try:
        descriptor = _open(directory)
        try:
            held = f"/proc/self/fd/{descriptor}/{name}"
            if os.path.isdir(held) and not os.path.islink(held):
                shutil.rmtree(held)
            else:
                os.unlink(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        step.notes.append(f"{path} cannot be removed: {error.strerror}")


def _open(directory: str) -> int:
    """A descriptor of a directory that was reached without a link. Raises OSError."""
    descriptor = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    for part in filter(None, directory.split("/")):
        above = descriptor
        try:
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def _resolved(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _inside(path: str, directory: str) -> bool:
    """Whether it is below a directory in which others than root may make links, also with all of them resolved."""
    return _resolved(path).startswith(os.path.realpath(directory) + "/")


def _allocated(path: str) -> int:
    with suppress(OSError):
        return os.lstat(path).st_blocks * 512
    return 0


def _tree(path: str) -> int:
    if not os.path.isdir(path) or os.path.islink(path):
        return _allocated(path)
    return sum(_allocated(os.path.join(inside, name)) for inside, _, names in os.walk(path) for name in names)


def describe(found: Sequence[dict[str, Any]], target: Goal) -> str:
    """Steps as a person reads them."""
    free_now = target.free()
    amounts = [format_bytes(amount) for amount in (free_now, target.total, target.wanted)]
    lines = ["{}: {} of {} free, wanted {}".format(target.path, *amounts)]
    for number, step in enumerate(found, start=1):
        amount = (
            f"freed {format_bytes(step['freed_bytes'])}" if step["done"] else f"can free {format_bytes(step['bytes'])}"
        )
        lines.append(f"{number}. {step['id']}: {amount}; {step['harm']}")
        lines += [f"   - {item['what']} ({format_bytes(item['bytes'])})" for item in step["candidates"][:10]]
        more = len(step["candidates"]) - 10
        lines += [f"   - and {more} more"] if more > 0 else []
        lines += [f"   note: {text}" for text in step["notes"]]
    return "\n".join(lines)
