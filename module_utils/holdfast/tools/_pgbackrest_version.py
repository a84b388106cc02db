"""Which pgBackRest is installed, and what it can do."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from .. import process
from ..errors import InvalidInput
from ..files import read
from ..model import Instance

Version = tuple[int, ...]

BLOCK_INCREMENTAL: Version = (2, 46)
VERIFY_SET: Version = (2, 55)


def installed(instance: Instance) -> Version:
    """The version of the program. Raises NotInstalled.

    It is kept beside the records and asked for again when the program was replaced: every job needs it.
    """
    program = os.stat(process.require("pgbackrest"))
    # The change time cannot be set back, as a package does with the modification time.
    identity = f"{program.st_ino}:{program.st_size}:{program.st_ctime_ns}"
    path = os.path.join(instance.state_directory, "pgbackrest-version")
    kept, _, text = (read(path) or "").partition(" ")
    if kept == identity:
        return parse(text)
    text = process.run(["pgbackrest", "version"]).check().stdout.strip()
    version = parse(text)
    if os.geteuid() != 0:  # the directory belongs to the owner
        with suppress(OSError):
            _keep(path, f"{identity} {text}")
    return version


def _keep(path: str, content: str) -> None:
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(content)
    os.replace(temporary, path)


def parse(text: str) -> Version:
    """(2, 45) of ``pgBackRest 2.45``. Raises InvalidInput."""
    match = re.search(r"pgBackRest (\d+(?:\.\d+)*)", text)
    if not match:
        raise InvalidInput(f"not a version of pgBackRest: {text.strip()!r}")
    return tuple(int(part) for part in match[1].split("."))
