"""What a patch leaves on the host while it works, so that whoever comes next can undo it, and whose holds are ours."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import Busy


class Journal:
    """The files of patches on one host; root alone uses them."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.new = os.path.join(directory, "new")
        self.old = os.path.join(directory, "old")
        self._path = os.path.join(directory, "journal.json")
        self._held = os.path.join(directory, "held.json")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who patches this host. Raises Busy."""
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        descriptor = os.open(os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Busy("this host is being patched already", remedy="Wait for it to end") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def read(self) -> dict[str, Any] | None:
        """What a run began with and did not end; None when there is nothing."""
        found = _read(self._path)
        return found if isinstance(found, dict) else None

    def write(self, entry: dict[str, Any]) -> None:
        """Say what is about to be changed, before it is."""
        _write(self._path, entry)

    def clear(self) -> None:
        """It is finished or undone."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)

    def empty(self) -> None:
        """Forget the packages of an earlier run."""
        for directory in (self.new, self.old):
            shutil.rmtree(directory, ignore_errors=True)

    def held(self) -> list[str]:
        """The packages that Holdfast holds; what else is held, a person wants so."""
        found = _read(self._held)
        return list(map(str, found)) if isinstance(found, list) else []

    def hold(self, names: Sequence[str]) -> None:
        """Remember them."""
        _write(self._held, sorted(names))


def _read(path: str) -> Any:
    with suppress(FileNotFoundError, ValueError), open(path, encoding="utf-8") as stream:
        return json.load(stream)
    return None


def _write(path: str, value: Any) -> None:
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=2, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".new", path)
