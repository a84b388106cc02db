"""What a MariaDB replica takes out of repositories: a backup to begin with, the newest log of a lost primary."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Callable

from ..errors import Refused, RepositoryFull
from ..files import read
from ..model import Backup, Instance, Repository
from ..process import run
from ..repositories.pipes import Command, pipeline
from ..tools import _mariadb_log_files as rules
from ..tools._mariadb_restore import Restore, failure
from ..tools.mariadb_backup import MariaDBBackup
from ..units import format_bytes
from . import _mariadb_gtid as gtid
from ._mariadb_history import write_note
from ._mariadb_scratch import MariaDBScratch

if TYPE_CHECKING:
    from .mariadb import MariaDB

_LOG_BEFORE = 3600.0  # seconds of log before what is missing that are looked through: clocks differ


def scratch_directory(instance: Instance) -> str:
    """Where a replica is restored before its data are put in place."""
    return os.path.join(instance.state_directory, "scratch", "replica")


class Fill:
    """The repositories of one instance, in which it looks for what another one, or itself, put there."""

    def __init__(self, instance: Instance, engine: MariaDB) -> None:
        self._instance = instance
        self._engine = engine

    def extract(self, names: Sequence[str], fork: str) -> tuple[str, Backup, Repository]:
        """Restore the newest backup of one of these instances, in their order, ready to be started on.

        ``fork``, when given, is the last position that the new primary shares with what was before.
        """
        for name, repository, tool in self._homes(names):
            fits = [item for item in tool.backups(repository) if self._fits(item, fork if name != names[0] else "")]
            if fits:
                return self._restore(tool, repository, fits[-1]), fits[-1], repository
        raise Refused(
            f"no repository of {self._instance.name} holds a backup of {' or '.join(names)} to begin with",
            where=self._instance.name,
            remedy="Give both a repository in common, and take a backup into it: playbooks/backup.yml -e type=archive",
        )

    def position(self, backup: Backup) -> str:
        """The GTID position of the end of a backup."""
        return str(backup.details.get("gtid") or "")

    def replay_log(self, name: str, position: Callable[[], str], since: float) -> None:
        """Replay what the repositories hold of the log of an instance that the server has not.

        ``position`` tells what it has; what was written before ``since``, in seconds since the epoch, it surely has.
        """
        since -= _LOG_BEFORE
        for _, repository, tool in self._homes([name]):
            snapshots = tool.store(repository).snapshots()
            holders = rules.saved(snapshots)
            files = sorted(holders)
            later = [
                file for file, following in zip(files, [*files[1:], None]) if not following or following.created > since
            ]
            if not later:
                continue
            directory = os.path.join(self._instance.state_directory, "tmp", "replica-log")
            shutil.rmtree(directory, ignore_errors=True)
            for snapshot in dict.fromkeys(holders[file].id for file in later):
                wanted = [file.name for file in later if holders[file].id == snapshot]
                tool.store(repository).restore(snapshot, directory, include=wanted)
            self._apply([os.path.join(directory, file.name) for file in later], position())
            shutil.rmtree(directory)

    def _apply(self, paths: Sequence[str], position: str) -> None:
        reader = ["mariadb-binlog", "--no-defaults", "--verify-binlog-checksum", f"--start-position={position}", *paths]
        writer = ["mariadb", "--no-defaults", "--binary-mode", f"--socket={self._engine.socket}"]
        writer += [f"--user={self._instance.os_user}", "--max-allowed-packet=1G"]
        self._engine.execute("STOP SLAVE SQL_THREAD")
        outcome = pipeline([Command(reader, {"TZ": "UTC"}), Command(writer)])
        if outcome.failed:
            raise failure(outcome.failed, "replaying the saved log", self._instance.name)

    def _newest_log_number(self) -> int:
        homes = self._homes([self._instance.name])
        saved = (rules.saved(tool.store(repository).snapshots()) for _, repository, tool in homes)
        return max((file.number for files in saved for file in files), default=0)

    def _homes(self, names: Sequence[str]) -> Iterator[tuple[str, Repository, MariaDBBackup]]:
        for name in names:
            tool = MariaDBBackup(replace(self._instance, name=name), self._engine)
            for repository in self._instance.repositories:
                if tool.store(repository).is_initialised():
                    yield name, repository, tool

    def _fits(self, backup: Backup, fork: str) -> bool:
        position = self.position(backup)
        return not backup.error and bool(position) and not (fork and gtid.goes_further(position, fork))

    def _restore(self, tool: MariaDBBackup, repository: Repository, backup: Backup) -> str:
        directory = scratch_directory(self._instance)
        needed = int((backup.size_bytes or 0) * 1.3)
        free = shutil.disk_usage(self._instance.state_directory).free
        if needed > free:
            raise RepositoryFull(
                f"the replica needs {format_bytes(needed)}, {format_bytes(free)} are free",
                where=self._instance.state_directory,
            )
        os.makedirs(os.path.dirname(directory), mode=0o700, exist_ok=True)
        scratch = self._engine.scratch(directory, expected_size=backup.size_bytes or 0)
        assert isinstance(scratch, MariaDBScratch)
        scratch.destroy()  # of a run that was cut short
        store = tool.store(repository)
        snapshots = store.snapshots()
        Restore(store, snapshots, scratch, store.where).extract(tool.chain(backup, repository, snapshots))
        write_note(self._instance.state_directory, self._newest_log_number())
        return scratch.data_directory


def filled_up_to(data_directory: str) -> str:
    """The GTID position of the backup that a data directory was made from; empty when it was not made from one."""
    for name in ("mariadb_backup_binlog_info", "xtrabackup_binlog_info"):
        fields = (read(os.path.join(data_directory, name)) or "").split()
        if len(fields) > 2:
            return fields[2]
    return ""


def set_in_place(instance: Instance, directory: str) -> str | None:
    """Put restored data into a server's data directory and say where those of before are. Needs root."""
    filled = os.path.join(scratch_directory(instance), "data")
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    previous = None
    if os.path.ismount(directory):
        if os.listdir(directory):
            previous = os.path.join(instance.state_directory, f"before-{stamp}")
            _move_content(directory, previous)
        _move_content(filled, directory)
        return previous
    if os.path.isdir(directory) and os.listdir(directory):
        previous = f"{directory}.before-{stamp}"
        os.rename(directory, previous)
    elif os.path.isdir(directory):
        os.rmdir(directory)
    run(["mv", filled, directory]).check()
    return previous


def _move_content(source: str, target: str) -> None:
    if not os.path.isdir(target):
        os.mkdir(target, 0o700)
        status = os.stat(source)
        os.chown(target, status.st_uid, status.st_gid)
    for entry in os.scandir(source):
        # mv keeps owners also where it has to copy.
        run(["mv", entry.path, target]).check()
