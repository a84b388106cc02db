"""Which revision of the inventory a plan is made from, and what changed before."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from .. import process
from ..errors import HoldfastError
from ..units import format_instant, parse_instant

_CHANGES = 10
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Change:
    """One committed change of the inventory."""

    id: str
    date: str
    author: str
    subject: str


@dataclass(frozen=True)
class Revision:
    """``id`` is empty without version control, ``changed`` tells of changes that were not committed."""

    id: str
    date: str | None  # of the newest input: the commit, or the files that differ from it
    changed: bool
    changes: tuple[Change, ...]

    def describe(self) -> str:
        """The revision in words."""
        if not self.id:
            return "not under version control"
        return f"{self.id}, with changes that are not committed" if self.changed else self.id


def of(sources: Sequence[str]) -> Revision:
    """The revision of the files of an inventory: the last commit that touched them, not the last of all."""
    paths = [os.path.abspath(path) for path in sources if os.path.exists(path)]
    if not paths:
        return Revision("", None, False, ())
    directory = paths[0] if os.path.isdir(paths[0]) else os.path.dirname(paths[0])
    form = _SEPARATOR.join(("%h", "%cI", "%an", "%s"))
    try:
        listed = _git(directory, "log", f"-{_CHANGES}", f"--format={form}", "--", *paths)
        state = _git(directory, "status", "--porcelain", "--", *paths)
    except HoldfastError:
        listed, state = "", ""
    changes = tuple(Change(*line.split(_SEPARATOR, 3)) for line in listed.splitlines() if line)
    if not changes:
        return Revision("", _newest(paths), False, ())
    committed = format_instant(parse_instant(changes[0].date))
    changed = bool(state.strip())
    return Revision(changes[0].id, _newest(paths) if changed else committed, changed, changes)


def _git(directory: str, *arguments: str) -> str:
    # Whoever runs the playbook need not own the working tree, and reading it is all that is done.
    trusted = ["-c", "safe.directory=*"]
    return process.run([process.require("git"), *trusted, "-C", directory, *arguments]).check().stdout


def _newest(paths: Sequence[str]) -> str | None:
    times = [os.stat(path).st_mtime for path in _files(paths)]
    return format_instant(datetime.fromtimestamp(int(max(times)), timezone.utc)) if times else None


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isfile(path):
            yield path
        for directory, _, names in os.walk(path):
            yield from (os.path.join(directory, name) for name in names if not name.startswith("."))
