"""What restic said that a repository on a disk holds, for as long as it is true.

To open a repository costs restic most of a second of thinking about the key, in every job and every status. A snapshot
is a file that is written once, so names, sizes and times, with the key, tell whether the last answer still holds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from contextlib import suppress
from typing import Callable

_PARTS = ("keys", "snapshots")


class Listing:
    """An answer that is kept in a file of the owner of the key."""

    def __init__(self, path: str, directory: str, key: str) -> None:
        self._path = path
        self._directory = directory
        self._key = key.encode()

    def get(self, ask: Callable[[], str | None]) -> str | None:
        """The answer of before if the repository is as it was, else that of ``ask``; None is not kept."""
        before = self._state()
        if before and before == self._kept().get("state"):
            return str(self._kept()["answer"])
        answer = ask()
        # Somebody may have written meanwhile: then it is not known of which state this is the answer.
        if answer is not None and before and before == self._state():
            with suppress(OSError):
                self._keep({"state": before, "answer": answer})
        return answer

    def _state(self) -> str:
        """What changes with the repository, its snapshots and its key.

        Empty when that cannot be read, or where nothing can be written: restic, which locks what it reads, says why.
        """
        try:
            if not os.access(os.path.join(self._directory, "locks"), os.W_OK) or not _has_room(self._directory):
                return ""
            with open(os.path.join(self._directory, "config"), "rb") as stream:
                state = hmac.new(self._key, stream.read(), hashlib.sha256)
            for part in _PARTS:
                with os.scandir(os.path.join(self._directory, part)) as entries:
                    found = sorted((item.name, item.stat().st_size, item.stat().st_mtime_ns) for item in entries)
                state.update(f"{part} {found}".encode())
        except OSError:
            return ""
        return state.hexdigest()

    def _keep(self, found: dict[str, str]) -> None:
        fresh = f"{self._path}.{os.getpid()}"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(found, stream)
        os.replace(fresh, self._path)

    def _kept(self) -> dict[str, str]:
        try:
            with open(self._path, encoding="utf-8") as stream:
                found: dict[str, str] = json.load(stream)
        except (OSError, ValueError):
            return {}
        return found


def _has_room(directory: str) -> bool:
    room = os.statvfs(directory)
    # A file system that counts no inodes says that it has none.
    return room.f_bavail > 0 and (room.f_favail > 0 or room.f_files == 0)
