"""What a MariaDB replica takes out of repositories: a backup to begin with, the newest log of a lost primary."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable

from ..errors import Refused, RepositoryFull, TargetNotReached
from ..files import read
from ..model import Backup, Instance, Repository
from ..process import run
from ..repositories.pipes import Command, pipeline
from ..repositories.restic import Restic, Snapshot
from ..tools import _mariadb_log_files as rules
from ..tools._mariadb_restore import Restore, failure
from ..tools.mariadb_backup import MariaDBBackup
from ..units import format_bytes
from . import _binlog as binlog
from . import _mariadb_gtid as gtid
from ._binlog import LogFile
from ._mariadb_history import number_in, write_note
from ._mariadb_scratch import MariaDBScratch

if TYPE_CHECKING:
    from .mariadb import MariaDB

_LOG_BEFORE = 3600.0  # seconds of log before what is missing that are looked through: clocks differ


def scratch_directory(instance: Instance) -> str:
    """Where a replica is restored before its data are put in place."""
    return os.path.join(instance.state_directory, "scratch", "replica")


@dataclass(frozen=True)
class Followed:
    """The server that a replica is to follow."""

    identity: str
    history: gtid.History
    log: str  # the oldest file of its log
    begins: str  # the position at which that file begins

    def has(self, backup: Backup, *, of_it: bool) -> bool:
        """Whether it has what a backup holds, of its own instance or of its peer's."""
        position = str(backup.details.get("gtid") or "")
        if backup.error or not position or backup.details.get("system") != self.identity:
            return False
        if of_it and binlog.begins_history(self.log):
            # A restore outside of a pair kept the server id: GTIDs may be from before it and once more from after it.
            earlier = number_in(backup.log_stop or "") < binlog.split_name(self.log)[1]
            if earlier and gtid.goes_further(position, self.begins):
                return False
        return gtid.contains(self.history, position)


@dataclass(frozen=True)
class _Part:
    """Saved log files without a gap, after which position they begin, and up to which they are replayed."""

    paths: Sequence[str]
    begins: str
    limit: str


class Fill:
    """The repositories of one instance, in which it looks for what another one, or itself, put there."""

    def __init__(self, instance: Instance, engine: MariaDB) -> None:
        self._instance = instance
        self._engine = engine

    def extract(self, names: Sequence[str], followed: Followed) -> tuple[Backup, Repository]:
        """Restore the newest backup of one of these instances, in their order, ready to be started on.

        The first is the one to be followed. A backup of what its server never was, or is no more since it was restored
        itself, is passed over.
        """
        passed = []
        for name in names:
            found = [(item, home, tool) for home, tool in self._homes(name) for item in tool.backups(home)]
            fits = [entry for entry in found if followed.has(entry[0], of_it=name == names[0])]
            if fits:
                backup, repository, tool = max(fits, key=lambda entry: entry[0].finished)
                self._restore(tool, repository, backup)
                return backup, repository
            passed += [f"{item.id} in {home.name}" for item, home, _ in found]
        others = f". Not in the history of {names[0]}, or damaged: {', '.join(passed)}" if passed else ""
        raise Refused(
            f"no repository of {self._instance.name} holds a backup of {' or '.join(names)} to begin with{others}",
            where=self._instance.name,
            remedy="Give both a repository in common, and take a backup into it: playbooks/backup.yml -e type=archive",
        )

    def replay_log(
        self, name: str, position: Callable[[], str], since: float, history: gtid.History | None = None
    ) -> None:
        """Replay what the repositories hold of the log of an instance that the server has not.

        ``position`` tells what it has; what was written before ``since``, in seconds since the epoch, it surely has.
        ``history`` is what that instance has; the default is what its newest saved log tells. What the log has beyond
        it, the instance has no more since it was restored. Raises TargetNotReached when the log does not go on here.
        """
        missed: TargetNotReached | None = None
        replayed = False
        directory = os.path.join(self._instance.state_directory, "tmp", "replica-log")
        for repository, tool in self._homes(name):
            store = tool.store(repository)
            holders = rules.saved(store.snapshots())
            files = _later(sorted(holders), since - _LOG_BEFORE)
            try:
                for part in self._parts(store, files, holders, directory, history, position()):
                    if gtid.goes_further(part.begins, position()):
                        raise self._missing(position(), part.begins)
                    if gtid.goes_further(part.limit, position()):
                        self._apply(part, position())
                replayed = True
            except TargetNotReached as error:
                missed = missed or error
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        # A server to be followed has the last word on what is missing. Without one, nobody else would tell.
        if missed and (history is None or not replayed):
            raise missed

    def _parts(
        self,
        store: Restic,
        files: Sequence[LogFile],
        holders: Mapping[LogFile, Snapshot],
        directory: str,
        history: gtid.History | None,
        position: str,
    ) -> list[_Part]:
        """What of the files goes on from a position, oldest first."""
        found: list[_Part] = []
        for number, listed in enumerate(reversed(rules.runs(files))):
            paths = _bring(store, listed, holders, os.path.join(directory, str(number)))
            if history is None:
                history = binlog.state_after(paths[-1])
                self._check_history(history, position)
            begins = ",".join(binlog.gtids_before(paths[0]).values())
            found.insert(0, _Part(paths, begins, gtid.last_shared(paths, history)))
            if not gtid.goes_further(begins, position):
                break
        return found

    def _check_history(self, history: gtid.History, position: str) -> None:
        if not gtid.contains(history, gtid.nearer(position, gtid.end(history))):
            raise TargetNotReached(
                f"the saved log does not go on from {position}: its server was restored to before that, or it is older",
                where=self._instance.name,
                remedy="Look at both; what the log has after that is lost if this server takes over",
            )

    def _missing(self, position: str, begins: str) -> TargetNotReached:
        return TargetNotReached(
            f"the saved log goes on after {begins}, and what is here ends at {position}",
            where=self._instance.name,
            remedy="Take a backup of the primary into a repository that both have, and try again",
        )

    def _apply(self, part: _Part, position: str) -> None:
        reader = ["mariadb-binlog", "--no-defaults", "--verify-binlog-checksum"]
        reader += [f"--start-position={position}", f"--stop-position={part.limit}", *part.paths]
        writer = ["mariadb", "--no-defaults", "--binary-mode", f"--socket={self._engine.socket}"]
        writer += [f"--user={self._instance.os_user}", "--max-allowed-packet=1G"]
        self._engine.execute("STOP SLAVE SQL_THREAD")
        outcome = pipeline([Command(reader, {"TZ": "UTC"}), Command(writer)])
        if outcome.failed:
            raise failure(outcome.failed, "replaying the saved log", self._instance.name)

    def _newest_log_number(self) -> int:
        homes = self._homes(self._instance.name)
        saved = (rules.saved(tool.store(repository).snapshots()) for repository, tool in homes)
        return max((file.number for files in saved for file in files), default=0)

    def _homes(self, name: str) -> Iterator[tuple[Repository, MariaDBBackup]]:
        tool = MariaDBBackup(replace(self._instance, name=name), self._engine)
        for repository in self._instance.repositories:
            if tool.store(repository).is_initialised():
                yield repository, tool

    def _restore(self, tool: MariaDBBackup, repository: Repository, backup: Backup) -> None:
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


def _later(files: Sequence[LogFile], since: float) -> list[LogFile]:
    pairs = zip(files, [*files[1:], None])
    return [file for file, following in pairs if not following or following.created > since]


def _bring(store: Restic, files: Sequence[LogFile], holders: Mapping[LogFile, Snapshot], directory: str) -> list[str]:
    for identifier in dict.fromkeys(holders[file].id for file in files):
        wanted = [file.name for file in files if holders[file].id == identifier]
        store.restore(identifier, directory, include=wanted)
    return [os.path.join(directory, file.name) for file in files]


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
