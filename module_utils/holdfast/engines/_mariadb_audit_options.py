"""Passwords in the option files of MariaDB: where they are, never what they are."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

_STARTS = ("/etc/my.cnf", "/etc/mysql/my.cnf")
_SECRET = re.compile(
    r"(?:loose[-_])?(?:password\d?|passwd|(?:master|admin|wsrep[-_]sst)[-_](?:password|auth)|ssl[-_]passphrase"
    r"|report[-_]password|file[-_]key[-_]management[-_]filekey|init[-_]connect)$",
    re.IGNORECASE,
)
_INCLUDE = re.compile(r"!(include|includedir)\s+(.+)")


class Place(NamedTuple):
    """Where a password stands."""

    path: str
    section: str
    option: str
    mode: int


def passwords(data_directory: str, home: str) -> list[Place]:
    """The passwords in the option files that this user can read."""
    starts = (*_STARTS, os.path.join(data_directory, "my.cnf"), os.path.join(home, ".my.cnf"))
    seen: set[str] = set()
    return [place for path in starts for place in _in_file(path, seen)]


def _in_file(path: str, seen: set[str]) -> Iterator[Place]:
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    try:
        with open(real, encoding="utf-8", errors="replace") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            lines = stream.read().splitlines()
    except OSError:
        return  # not there, or for root alone
    section = ""
    for line in map(str.strip, lines):
        include = _INCLUDE.match(line)
        if include:
            yield from _included(include[1], include[2].strip(), seen)
        elif line.startswith("["):
            section = line.strip("[]")
        else:
            option, _, value = line.partition("=")
            if not line.startswith(("#", ";")) and _holds_secret(option.strip(), value):
                yield Place(real, section, option.strip(), mode)


def _included(kind: str, path: str, seen: set[str]) -> Iterator[Place]:
    paths = sorted(glob.glob(os.path.join(glob.escape(path), "*.cnf"))) if kind == "includedir" else [path]
    for name in paths:
        yield from _in_file(name, seen)


def _holds_secret(option: str, value: str) -> bool:
    if not _SECRET.match(option):
        return False
    given = value.strip()
    given = "" if given.startswith("#") else given.strip("'\"")
    # What is read from a file, or begins a statement without one, is no password.
    if option.lower().replace("_", "-").endswith("init-connect"):
        return bool(re.search(r"identified|password", given, re.IGNORECASE))
    return bool(given) and not given.upper().startswith("FILE:")
