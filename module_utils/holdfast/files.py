"""Files that Holdfast keeps on a host: compared, written atomically, shown as a diff without their secrets."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file as it should be. ``secret`` keeps its content out of every diff and log."""

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False


def read(path: str) -> str | None:
    """Content of a file; None when there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def differs(file: File) -> bool:
    """Whether the file on disk is not as it should be, in content, mode or owner."""
    if read(file.path) != file.content:
        return True
    status = os.stat(file.path)
    return (status.st_mode & 0o7777, status.st_uid, status.st_gid) != (
        file.mode,
        pwd.getpwnam(file.owner).pw_uid,
        grp.getgrnam(file.group).gr_gid,
    )


def write(file: File) -> None:
    """Put the file in place in one step: a reader sees the old one or the new one, never a part."""
    import tempfile  # takes its time, and jobs only read

    directory = os.path.dirname(file.path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".holdfast-", dir=directory)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(file.content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chown(temporary, pwd.getpwnam(file.owner).pw_uid, grp.getgrnam(file.group).gr_gid)
        os.chmod(temporary, file.mode)
        os.replace(temporary, file.path)
    except BaseException:
        os.unlink(temporary)
        raise
