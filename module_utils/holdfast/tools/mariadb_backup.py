"""mariadb-backup: physical backups of MariaDB, streamed into restic, and the continuous backup of its binary log."""

from __future__ import annotations

import glob
import logging
import os
import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ..engines._mariadb_history import number_in, read_note
from ..engines._mariadb_scratch import MariaDBScratch
from ..engines._mariadb_settings import render
from ..engines._mariadb_staging import MariaDBStaging
from ..engines.base import Scratch
from ..engines.mariadb import MariaDB
from ..errors import (
    STOPS,
    AccessDenied,
    CommandFailed,
    CorruptBackup,
    ForeignRepository,
    HoldfastError,
    InvalidInput,
    ServerUnavailable,
)
from ..files import File
from ..model import Backup, BackupType, Instance, Job, LogRange, Repository, RestoreTarget, ServerInfo, Verification
from ..process import require
from ..repositories.pipes import Command
from ..repositories.restic import Restic, Snapshot
from ..units import utcnow
from . import _mariadb_catalog as catalog
from . import _mariadb_log_files as rules
from . import _mariadb_target as targets
from ._mariadb_log import BinaryLog
from ._mariadb_restore import Restore, stream_name
from .base import Restored, SavedLog

log = logging.getLogger(__name__)

_PROGRAMS = ("mariadb-backup", "mbstream", "mariadb-binlog", "restic", "zstd")


class MariaDBBackup:
    """See the protocol. Needs mariadb-backup of the server's own version."""

    name = "mariadb-backup"
    types = frozenset({BackupType.FULL, BackupType.DIFFERENTIAL, BackupType.INCREMENTAL, BackupType.LOG})

    def __init__(self, instance: Instance, engine: MariaDB) -> None:
        self.instance = instance
        self.engine = engine

    def store(self, repository: Repository) -> Restic:
        """The restic repository of this instance."""
        return Restic(self.instance, repository)

    def notes(self) -> list[str]:
        if not self._logged:
            return []
        found = []
        sync, updates, encrypted = self.engine.row("SELECT @@sync_binlog, @@log_slave_updates, @@encrypt_binlog")
        if not sync:
            found.append(
                "sync_binlog is 0: after a power failure the binary log may lack changes that the server kept, and so"
                " may every restore that rolls it forward; 1 costs a disk flush for each group of commits"
            )
        if self.engine.is_replica() and not updates:
            found.append("log_slave_updates is off: the binary log of this replica holds no change of its primary")
        if encrypted:
            found.append("encrypt_binlog is on: saved log files can be read with this server's key only")
        return found

    def files(self) -> list[File]:
        for program in _PROGRAMS:
            require(program)
        wanted = self.server_settings()
        return [File(self.engine.configuration_file(), render(dict(wanted, log_bin="mysql-bin")))] if wanted else []

    def server_settings(self) -> Mapping[str, str]:
        if not self._logged:
            return {}  # a backup is consistent by itself
        # Without an expiry a log that was just switched on would fill the disk.
        return {"log_bin": "ON", "binlog_format": "MIXED", "binlog_expire_logs_seconds": "864000"}

    def is_initialised(self, repository: Repository) -> bool:
        store = self.store(repository)
        snapshots = store.listing()
        if snapshots is None:
            return False
        self._check_owner(store, snapshots, repository)
        return True

    def initialise(self, repository: Repository) -> None:
        if self.is_initialised(repository):
            return
        first = self.instance.primary_repository
        self.store(repository).initialise(self.store(first) if repository != first else None)
        self._log(repository).forget_state()

    def backup(self, type_: BackupType, repository: Repository) -> Backup:
        if type_ not in catalog.LETTERS or type_ not in self.types:
            raise InvalidInput(f"{self.name} takes no {type_} backup", where=self.instance.name)
        store = self.store(repository)
        snapshots = store.snapshots()
        self._check_owner(store, snapshots, repository)
        store.forget(catalog.leftovers(snapshots), prune=False)
        self._remove_leftovers()
        server = self.engine.inspect()
        known = catalog.backups_of(snapshots, self.name, repository.name)
        parent, reason = self._parent(type_, known, server)
        if reason:
            log.warning("%s: a full backup instead of a %s one: %s", self.instance.name, type_, reason)
        actual = type_ if parent else BackupType.FULL
        id_ = catalog.new_id(actual, catalog.full_of(parent.id) if parent else None, (item.id for item in known))
        planned = Backup(
            id=id_,
            type=actual,
            tool=self.name,
            repository=repository.name,
            started=utcnow(),
            finished=utcnow(),
            size_bytes=server.size_bytes,
            parent=parent.id if parent else None,
            log_start=self.engine.log_position() or None,
            details={
                "version": server.version,
                "system": server.system_identifier,
                "host": catalog.this_host(),
                "requested": str(type_) if reason else "",
                "reason": reason,
            },
        )
        done = self._stream(store, planned, parent)
        self._log(repository).bridge_gap()
        return done

    def archive(self) -> Backup:
        first, last = self.instance.primary_repository, self.instance.archive_repository
        source, target = self.store(first), self.store(last)
        if first == last or not source.copies_to(target):
            return self.backup(BackupType.FULL, last)
        there = {item.id for item in self.backups(last)}
        fulls = [item for item in self.backups(first) if item.type is BackupType.FULL and not item.error]
        newest = fulls[-1] if fulls and fulls[-1].id not in there else self.backup(BackupType.FULL, first)
        source.copy(catalog.of_backups(source.snapshots(), [newest.id]), target)
        self._log(last).bridge_gap()
        return next(item for item in self.backups(last) if item.id == newest.id)

    def save_log(self) -> SavedLog:
        """See the protocol. It goes to every repository: the one off the site is what is left when the site is lost."""
        saved: list[SavedLog] = []
        failed: list[HoldfastError] = []
        for repository in self.instance.repositories:
            try:
                saved.append(self._log(repository).save())
            except STOPS:
                raise
            except HoldfastError as error:  # what one repository lacks the others shall have
                failed.append(error)
        if failed:
            raise failed[0]
        return saved[0]

    def newest_log(self, repository: Repository) -> str | None:
        if repository == self.instance.primary_repository:
            return self._log(repository).newest()
        files = rules.saved(self.store(repository).snapshots())
        return max(files).position if files else None

    def backups(self, repository: Repository) -> list[Backup]:
        return catalog.backups_of(self.store(repository).snapshots(), self.name, repository.name)

    def verify(self, repository: Repository, backups: Sequence[Backup]) -> Verification:
        store = self.store(repository)
        snapshots = store.snapshots()
        damaged: dict[str, str] = {}
        problems: list[str] = []
        try:
            store.check()
        except CorruptBackup as error:
            problems.append(error.what)
        for backup in backups:
            reason = backup.error or self._read(store, catalog.of_backups(snapshots, [backup.id]))
            if reason:
                damaged[backup.id] = reason
        for backup in sorted(backups, key=lambda item: item.started):
            if backup.parent in damaged and backup.id not in damaged:
                damaged[backup.id] = f"it needs {backup.parent}, which is damaged"
        oldest = min((item.started for item in backups), default=None)
        problems.extend(self._log_problems(store, snapshots, oldest))
        return Verification(tuple(item.id for item in backups if item.id not in damaged), damaged, tuple(problems))

    def expire(self, repository: Repository, backups: Sequence[Backup], oldest_log_of: Backup | None) -> None:
        store = self.store(repository)
        snapshots = store.snapshots()
        newest_first = sorted(backups, key=lambda item: item.started, reverse=True)
        going = catalog.of_backups(snapshots, [item.id for item in newest_first])
        windows = rules.current(snapshots)
        kept = {item.id for item in windows if oldest_log_of is None or item.time >= oldest_log_of.started}
        kept.update(item.id for item in windows[-1:])  # the next log file joins it
        logs = [item.id for item in snapshots if item.tags.get("kind") == rules.LOG and item.id not in kept]
        store.forget([*going, *logs, *catalog.leftovers(snapshots)])

    def restore(self, backup: Backup, repository: Repository, target: RestoreTarget, scratch: Scratch) -> Restored:
        if not isinstance(scratch, MariaDBScratch):
            raise InvalidInput(f"{self.name} restores into a MariaDB server only", where=self.instance.name)
        store = self.store(repository)
        snapshots = store.snapshots()
        chain = self.chain(backup, repository, snapshots)
        if isinstance(scratch, MariaDBStaging):
            scratch.newest_log_number = self._newest_log_number(snapshots)
        return Restore(store, snapshots, scratch, store.where).run(chain, target)

    def chain(self, backup: Backup, repository: Repository, snapshots: Sequence[Snapshot]) -> list[Backup]:
        """The backups that a restore of this one reads, beginning with a full one. Raises CorruptBackup."""
        known = {item.id: item for item in catalog.backups_of(snapshots, self.name, repository.name)}
        chain = [known.get(backup.id, backup)]
        while chain[0].parent:
            if chain[0].error:
                where = self.store(repository).where
                raise CorruptBackup(f"backup {chain[0].id}: {chain[0].error}", where=where)
            chain.insert(0, known[chain[0].parent])
        return chain

    def log_range(self, backup: Backup, repository: Repository, target: RestoreTarget) -> LogRange:
        return targets.select(self.store(repository).snapshots(), backup, target).range

    def prove_log(self) -> str:
        repository = self.instance.primary_repository
        name, store = self._log(repository).close_and_save(), self.store(repository)
        if name not in {file.name for file in rules.saved(store.snapshots())}:
            raise CommandFailed(
                f"{name} was closed and did not arrive in the repository",
                where=store.where,
                remedy="Take a full backup now and look at the job's log",
            )
        return name

    def _newest_log_number(self, snapshots: Sequence[Snapshot]) -> int:
        """The highest number of a log file in this repository and in that of the instance that is restored."""
        numbers = [file.number for file in rules.saved(snapshots)]
        destination = self.engine.instance
        try:
            newest = BinaryLog(destination, self.engine, Restic(destination, destination.primary_repository)).newest()
            numbers.append(number_in(newest or ""))
        except HoldfastError as error:
            log.warning("%s: the newest log file is not known: %s", destination.name, error.what)
        return max(numbers, default=0)

    @property
    def _logged(self) -> bool:
        return self.instance.service_level.runs(Job.LOG)

    def _log(self, repository: Repository) -> BinaryLog:
        return BinaryLog(self.instance, self.engine, self.store(repository))

    def _check_owner(self, store: Restic, snapshots: Sequence[Snapshot], repository: Repository) -> None:
        """Refuse a repository whose newest backup is of another server on another host."""
        known = catalog.backups_of(snapshots, self.name, repository.name)
        if not known or known[-1].details.get("host") == catalog.this_host():
            return
        try:
            system = self.engine.system_identifier()
        except HoldfastError:
            return  # a server that is down owns what its name says
        if known[-1].details.get("system") != system:
            raise ForeignRepository(
                f"it holds backups of another server, taken on {known[-1].details.get('host')}",
                where=store.where,
                remedy="Give this instance another name or repository path, or move the old repository away",
            )

    def _parent(self, type_: BackupType, known: Sequence[Backup], server: ServerInfo) -> tuple[Backup | None, str]:
        """The backup that an incremental one builds on, or why there is none."""
        if type_ is BackupType.FULL:
            return None, ""
        usable = [item for item in known if not item.error]
        if type_ is BackupType.DIFFERENTIAL:
            usable = [item for item in usable if item.type is BackupType.FULL]
        if not usable:
            return None, "there is no full backup to build on"
        restored = read_note(self.instance.state_directory)
        if restored and usable[-1].started <= restored.when:
            return None, f"the server was restored after {usable[-1].id}"
        parent = usable[-1]
        if parent.details.get("system") != server.system_identifier:
            return None, f"the server is not the one of {parent.id}, it was created anew"
        (lsn,) = self.engine.row(
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_LSN_CURRENT'"
        )
        if int(lsn) < int(str(parent.details.get("to_lsn", 0))):
            return None, f"the server is behind {parent.id}, it was restored or created anew"
        return parent, ""

    def _stream(self, store: Restic, planned: Backup, parent: Backup | None) -> Backup:
        directory = os.path.join(self.instance.state_directory, "tmp", f"backup-{planned.id}")
        os.makedirs(directory, mode=0o700)
        try:
            argv = self._command(directory)
            if parent:
                argv.append(f"--incremental-lsn={parent.details['to_lsn']}")
            tags = {"kind": catalog.STREAM, "id": planned.id}
            # Compressed by zstd in blocks that depend on the data alone: several times as fast as restic's own
            # compression, and what did not change is still recognised. See docs/decisions/0003.
            producers = [Command(argv), Command(["zstd", "-q", "-1", "-T0", "--rsyncable"])]
            try:
                stream = store.backup_stdin(producers, stream_name(planned.id), tags, compress=False)
            except CommandFailed as error:
                raise explain(error, self.engine.where) from None
            notes = os.path.join(directory, "notes")
            found = catalog.read_info({name: _read(os.path.join(notes, name)) for name in os.listdir(notes)})
            position = found.get("position")
            gtid = found.get("gtid")
            done = replace(
                planned,
                finished=utcnow(),
                stored_bytes=stream.added_bytes,
                log_stop=" ".join(part for part in (position, gtid) if part) or None,
                details=dict({key: value for key, value in planned.details.items() if value}, **found),
            )
            store.backup_paths(sorted(os.listdir(notes)), catalog.card(done), directory=notes)
            return done
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        # The job holds the lock: whatever is there is of a backup that was killed.
        for path in glob.glob(os.path.join(glob.escape(self.instance.state_directory), "tmp", "backup-*")):
            shutil.rmtree(path, ignore_errors=True)

    def _command(self, directory: str) -> list[str]:
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        argv = ["mariadb-backup", "--backup", "--stream=xbstream", f"--target-dir={directory}/target"]
        argv += [f"--extra-lsndir={directory}/notes", f"--tmpdir={directory}", f"--open-files-limit={limit}"]
        argv += [f"--socket={self.engine.socket}", f"--user={self.instance.os_user}"]
        # In one thread, so that two streams of the same data are the same: it is not what the pipeline waits for.
        return [*argv, "--parallel=1", *(["--slave-info"] if self.engine.is_replica() else [])]

    def _read(self, store: Restic, snapshots: Sequence[str]) -> str:
        try:
            for snapshot in snapshots:
                store.read(snapshot)
        except CorruptBackup as error:
            return error.what
        return ""

    def _log_problems(self, store: Restic, snapshots: Sequence[Snapshot], since: datetime | None) -> list[str]:
        """Damage and gaps in the log that the backups since then would be rolled forward with."""
        if since is None:
            return []
        problems = []
        for window in rules.current(snapshots):
            reason = self._read(store, [window.id]) if window.time >= since else ""
            if reason:
                problems.append(f"log {window.tags['window']}: {reason}")
        for one, other in rules.gaps(rules.saved(snapshots)):
            if other.created >= since.timestamp():
                problems.append(f"the log has a gap between {one.name} and {other.name}")
        return problems


def explain(error: CommandFailed, where: str) -> HoldfastError:
    """The error that the last words of mariadb-backup stand for."""
    if "Failed to connect" in error.what and "Access denied" not in error.what:
        return ServerUnavailable(error.what, where=where, remedy="Check that the server runs: systemctl status mariadb")
    if "Access denied" in error.what:
        return AccessDenied(error.what, where=where, remedy="Its account must use unix_socket and have all privileges")
    return error


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
