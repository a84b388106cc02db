"""The continuous backup of the binary log.

Closed log files are stored in windows: each snapshot holds all files of its window so far, so that a day of log that
was saved every minute is restored from a few snapshots. restic reads and stores only what is new in each.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from typing import Any

from ..engines import _binlog as binlog
from ..engines._binlog import LogFile
from ..engines._mariadb_history import gtids_in
from ..engines.mariadb import MariaDB
from ..errors import CommandFailed, CorruptBackup, RestartRequired, ServerUnavailable, Unsupported
from ..model import Instance
from ..repositories.restic import Restic
from ..units import format_instant, utcnow
from . import _mariadb_log_files as rules
from .base import SavedLog

log = logging.getLogger(__name__)


@dataclass
class State:
    """What is saved, kept beside the server so that a run with nothing new asks no repository."""

    directory: str = ""  # of the log on disk, for when the server is down
    base: str = ""
    snapshot: str = ""  # of the newest window
    files: list[LogFile] = field(default_factory=list)  # in it
    gap: str = ""  # what is missing behind the newest backup

    @property
    def last(self) -> LogFile | None:
        """The newest saved file."""
        return self.files[-1] if self.files else None


class BinaryLog:
    """Saves the binary log of one instance into one of its restic repositories."""

    def __init__(self, instance: Instance, engine: MariaDB, store: Restic) -> None:
        self._instance = instance
        self._engine = engine
        self._store = store
        self._is_first = store.repository == instance.primary_repository
        self._path = os.path.join(instance.state_directory, f"binary-log-{store.repository.name}.json")

    def save(self) -> SavedLog:
        """Save every file that is not in the repository yet. Also works while the server is down, from its directory.

        Raises RestartRequired while log_bin is off, and CorruptBackup, after everything is saved, as long as there is a
        gap behind the newest backup of the first repository. In the others it waits for the next archive copy.
        """
        state, saved = self._save()
        if state.gap and self._is_first:
            raise CorruptBackup(
                f"the binary log in the repository has a gap: {state.gap}",
                where=self._instance.name,
                remedy="Take a backup now, an incremental one will do: log after it can be rolled forward again",
            )
        return saved

    def close_and_save(self) -> str:
        """Close the current file, save everything, whatever is missing before it, and return the name of the file.

        Raises RestartRequired while log_bin is off and ServerUnavailable while the server is down.
        """
        names = self._engine.log_names()
        if names:
            self._engine.close_log_file()
        self._save()
        return names[-1] if names else ""

    def _save(self) -> tuple[State, SavedLog]:
        state = self._read() or self._rebuild()
        found, reach = self._on_disk(state)
        fresh, gap = rules.unsaved(state.last, found)
        if gap and not rules.hold_newest_backup(fresh, self._store.snapshots()):
            state.gap = f"{gap} (seen {format_instant(utcnow())})"
            log.error("%s: %s", self._instance.name, state.gap)
        if state.last is None:
            fresh = self._first(fresh)
        begin = state.last.position if state.last else None
        whole = not gap and all(os.path.exists(os.path.join(state.directory, file.name)) for file in state.files)
        pieces = rules.windows(state.files if whole else [], fresh)
        # One that was out of reach for long catches up piece by piece: the first has the newest meanwhile.
        for window in pieces if self._is_first else pieces[:1]:
            same = bool(state.files) and whole and window[0] == state.files[0]
            noted = reach if window[-1] == fresh[-1] else {}
            state.snapshot = self._store_window(state, window, state.snapshot if same else None, noted)
            state.files = window
            self._write(state)
        self._write(state)
        newest = state.last.position if state.last else None
        return state, SavedLog(newest, sum(file.size for file in fresh), begin, newest)

    def bridge_gap(self) -> None:
        """A backup was taken: what is missing before it no longer matters for the newest state."""
        state = self._read()
        if state and state.gap:
            state.gap = ""
            self._write(state)

    def newest(self) -> str | None:
        """The end of the newest saved file."""
        state = self._read() or self._rebuild()
        return state.last.position if state.last else None

    def forget_state(self) -> None:
        """The repository is new: whatever was saved before is not in it."""
        if os.path.exists(self._path):
            os.unlink(self._path)

    def _store_window(self, state: State, window: list[LogFile], parent: str | None, reach: Mapping[str, str]) -> str:
        names, tags = [file.name for file in window], rules.window_tags(window, reach)
        try:
            return self._store.backup_paths(names, tags, directory=state.directory, parent=parent).id
        except (CommandFailed, CorruptBackup) as error:
            if parent is None:
                raise
            log.warning("the previous snapshot of the log is gone, storing its files again: %s", error.what)
            return self._store.backup_paths(names, tags, directory=state.directory).id

    def _on_disk(self, state: State) -> tuple[list[LogFile], dict[str, str]]:
        """The files that can be saved, oldest first, from the newest saved one on where that is still there.

        With them, as far as known, the moment ``until`` which they hold everything, and ``gtids`` that they do not go
        beyond.
        """
        reach = {"until": str(int(time.time()))}
        try:
            place = self._engine.log_directory()
            if place is None:
                raise RestartRequired(
                    "log_bin is off, so there is no log to save",
                    where=self._instance.name,
                    remedy="Restart the server once playbooks/site.yml has configured it",
                )
            state.directory, state.base = place
            names = self._engine.log_names()
            if names and binlog.first_change(os.path.join(state.directory, names[-1])) is not None:
                self._engine.close_log_file()
                names = self._engine.log_names()
            names, running = names[:-1], True
            reach["gtids"] = gtids_in(self._engine.log_position())
        except ServerUnavailable:
            if not os.path.isdir(state.directory):
                raise
            log.warning("the server is down; saving its log from %s", state.directory)
            names, running = binlog.names_of(os.listdir(state.directory), state.base), False
        if state.last and state.last.name in names:
            same = binlog.read(os.path.join(state.directory, state.last.name))
            if same and same.created == state.last.created:
                names = names[names.index(state.last.name) :]
        paths = (os.path.join(state.directory, name) for name in names)
        found = [file for file in (binlog.read(path, complete=not running) for path in paths) if file]
        return found, reach if running or not found else _reach(
            os.path.join(state.directory, found[-1].name), found[-1]
        )

    def _first(self, files: list[LogFile]) -> list[LogFile]:
        """Of a log that was never saved: what the oldest backup can be rolled forward with, else the newest file."""
        starts = [item.tags["log_stop"] for item in self._store.snapshots() if item.tags.get("log_stop")]
        names = [file.name for file in files]
        wanted = [names.index(name) for name, _ in map(binlog.parse_position, starts) if name in names]
        return files[min(wanted) :] if wanted else files[-1:]

    def _rebuild(self) -> State:
        windows = rules.current(self._store.snapshots({"kind": rules.LOG}))
        if not windows:
            return State()
        newest = max(windows, key=lambda item: rules.decode(item.tags["files"])[-1])
        return State(snapshot=newest.id, files=rules.decode(newest.tags["files"]))

    def _read(self) -> State | None:
        try:
            with open(self._path, encoding="utf-8") as stream:
                raw: dict[str, Any] = json.load(stream)
        except (FileNotFoundError, ValueError):
            return None
        return State(**dict(raw, files=[LogFile(*entry) for entry in raw["files"]]))

    def _write(self, state: State) -> None:
        raw = dict(vars(state), files=[astuple(file) for file in state.files])
        with open(self._path + ".new", "w", encoding="utf-8") as stream:
            json.dump(raw, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(self._path + ".new", self._path)


def _reach(path: str, last: LogFile) -> dict[str, str]:
    """What the newest file of a server that is down says of itself."""
    reach = {"until": str(binlog.newest_event(path, last.size))}
    with suppress(Unsupported):
        gtids = binlog.gtids_at(path, last.size)
        reach["gtids"] = ",".join(gtids[domain] for domain in sorted(gtids))
    return reach
