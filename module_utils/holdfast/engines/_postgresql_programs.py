"""Where PostgreSQL's own programs are: distributions keep one directory a major version."""

from __future__ import annotations

import glob
import os
import re

from ..errors import NotInstalled

_DIRECTORIES = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin", "/usr/bin")


def major(version: str) -> str:
    """``15`` of ``15.18``."""
    return version.split(".", maxsplit=1)[0]


def installed_version() -> str:
    """The newest major version whose server is installed. Raises NotInstalled when there is none."""
    patterns = (os.path.join(directory.format(major="*"), "postgres") for directory in _DIRECTORIES[:2])
    found = [re.sub(r"\D", "", path.split(os.sep)[-3]) for pattern in patterns for path in glob.glob(pattern)]
    if not found:
        raise NotInstalled("no PostgreSQL server is installed", remedy="Install its package")
    return max(found, key=int)


def program(name: str, version: str) -> str:
    """Path of a program of this server version. Raises NotInstalled when it is not installed."""
    for directory in _DIRECTORIES:
        path = os.path.join(directory.format(major=major(version)), name)
        if os.access(path, os.X_OK):
            return path
    raise NotInstalled(
        f"{name} of PostgreSQL {major(version)} is not installed",
        remedy=f"Install the server and client packages of PostgreSQL {major(version)}",
    )
