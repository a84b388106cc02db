"""pg_dump: logical backups of PostgreSQL, database by database with the roles, stored in restic."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from .. import process
from ..engines._postgresql_programs import major, program
from ..engines._postgresql_scratch import PostgreSQLScratch
from ..engines.base import Scratch
from ..engines.postgresql import PostgreSQL
from ..errors import (
    CommandFailed,
    CorruptBackup,
    HoldfastError,
    InvalidInput,
    RepositoryFull,
    ServerUnavailable,
    Unsupported,
)
from ..files import File
from ..model import Backup, BackupType, Instance, LogRange, Repository, RestoreTarget, Verification
from ..repositories.restic import Restic, Snapshot
from ..units import format_instant, parse_instant, utcnow
from ._pg_dump_restore import load, make_cluster
from .base import Restored, SavedLog

_TREE = "dump"  # the directory that a snapshot holds
_LIST = "databases.json"
_TAGS = {"tool": "pg_dump", "type": "logical"}
_LOCK_WAIT = "5min"


class PgDump:
    """See the protocol. Parallel directory format, uncompressed: restic compresses, and finds what has not changed."""

    name = "pg_dump"
    types = frozenset({BackupType.LOGICAL})

    def __init__(self, instance: Instance, engine: PostgreSQL) -> None:
        self.instance = instance
        self.engine = engine

    def notes(self) -> list[str]:
        return []

    def files(self) -> list[File]:
        process.require("restic")
        return []

    def server_settings(self) -> Mapping[str, str]:
        return {}

    def is_initialised(self, repository: Repository) -> bool:
        return self._store(repository).is_initialised()

    def initialise(self, repository: Repository) -> None:
        self._store(repository).initialise()

    def backup(self, type_: BackupType, repository: Repository) -> Backup:
        """See the protocol. Raises CommandFailed with the name of the database that could not be dumped."""
        if type_ is not BackupType.LOGICAL:
            raise InvalidInput(f"{self.name} takes no {type_} backup", where=self.instance.name)
        server = self.engine.inspect()
        names = self.instance.databases or server.databases
        started = utcnow()
        planned = Backup(
            id=started.strftime("%Y%m%d-%H%M%SL"),
            type=type_,
            tool=self.name,
            repository=repository.name,
            started=started,
            finished=started,
            size_bytes=server.size_bytes,
            log_start=self.engine.log_position(),
            details={"version": server.version, "databases": list(names)},
        )
        store = self._store(repository)
        with self._staging() as staging:
            self._dump_globals(server.version, staging)
            listed = [{"name": name, "directory": f"database-{number}"} for number, name in enumerate(names, start=1)]
            for database in listed:
                self._dump_database(server.version, database["name"], os.path.join(staging, database["directory"]))
            with open(os.path.join(staging, _LIST), "w", encoding="utf-8") as stream:
                json.dump(listed, stream)
            planned = replace(planned, finished=utcnow())
            snapshot = store.backup_paths([_TREE], card(planned), directory=os.path.dirname(staging))
        return replace(planned, stored_bytes=snapshot.added_bytes)

    def archive(self) -> Backup:
        raise Unsupported(self.name, "archive", "archive copies are physical backups")

    def save_log(self) -> SavedLog:
        raise Unsupported(self.name, "log backup", "no log rolls a dump forward")

    def prove_log(self) -> str:
        raise Unsupported(self.name, "log backup", "no log rolls a dump forward")

    def log_range(self, backup: Backup, repository: Repository, target: RestoreTarget) -> LogRange:
        del backup, repository, target
        raise Unsupported(self.name, "a restore to a point in time", "no log rolls a dump forward")

    def newest_log(self, repository: Repository) -> str | None:
        del repository
        return None

    def backups(self, repository: Repository) -> list[Backup]:
        return [backup_of(snapshot, repository.name) for snapshot in self._store(repository).snapshots(_TAGS)]

    def verify(self, repository: Repository, backups: Sequence[Backup]) -> Verification:
        store = self._store(repository)
        snapshots = {item.tags["id"]: item.id for item in store.snapshots(_TAGS)}
        damaged: dict[str, str] = {}
        for backup in backups:
            if backup.id not in snapshots:
                damaged[backup.id] = "it is no longer in the repository"
                continue
            try:
                store.read(snapshots[backup.id])
            except CorruptBackup as error:
                damaged[backup.id] = error.what
        return Verification(tuple(item.id for item in backups if item.id not in damaged), damaged)

    def expire(self, repository: Repository, backups: Sequence[Backup], oldest_log_of: Backup | None) -> None:
        del oldest_log_of
        store = self._store(repository)
        going = {backup.id for backup in backups}
        store.forget([item.id for item in store.snapshots(_TAGS) if item.tags["id"] in going])

    def restore(self, backup: Backup, repository: Repository, target: RestoreTarget, scratch: Scratch) -> Restored:
        if not isinstance(scratch, PostgreSQLScratch):
            raise InvalidInput(f"{self.name} restores into a PostgreSQL server only", where=self.instance.name)
        if target.time:
            raise Unsupported(self.name, "restore to a time", "no log rolls a dump forward")
        store = self._store(repository)
        found = store.snapshots({**_TAGS, "id": backup.id})
        if not found:
            raise CorruptBackup(f"backup {backup.id} is not in the repository", where=store.where)
        version = found[0].tags["version"]
        scratch.prepare()
        begun = time.monotonic()
        store.restore(found[0].id, scratch.directory)
        fetched = time.monotonic()
        engine = make_cluster(scratch, self.instance.os_user, version)
        ready = time.monotonic()
        dump = os.path.join(scratch.directory, _TREE)
        with open(os.path.join(dump, _LIST), encoding="utf-8") as stream:
            listed = [item for item in json.load(stream) if not target.databases or item["name"] in target.databases]
        load(scratch, engine, version, dump, listed)
        phases = {"fetch": fetched - begun, "start": ready - fetched, "load": time.monotonic() - ready}
        return Restored(engine, phases)

    def _store(self, repository: Repository) -> Restic:
        return Restic(self.instance, repository)

    @contextmanager
    def _staging(self) -> Iterator[str]:
        """A directory for the dump, open to its owner alone. What a killed run left there goes first."""
        root = os.path.join(self.instance.state_directory, "staging")
        path = os.path.join(root, _TREE)
        os.makedirs(root, mode=0o700, exist_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path, 0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def _dump_globals(self, version: str, staging: str) -> None:
        path = os.path.join(staging, "globals.sql")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        argv = [program("pg_dumpall", version), *self._reach(), "--globals-only", "--no-sync", f"--file={path}"]
        self._run([*argv, "--database=postgres"], "roles and tablespaces")

    def _dump_database(self, version: str, name: str, directory: str) -> None:
        argv = [program("pg_dump", version), *self._reach(), "--format=directory", "--compress=0", "--no-sync"]
        argv += [f"--jobs={self._jobs()}", f"--lock-wait-timeout={_LOCK_WAIT}", f"--file={directory}"]
        # As a connection string, in which a name is data: pg_dump would take one with = in it for a string itself.
        quoted = name.replace("\\", "\\\\").replace("'", "\\'")
        self._run([*argv, f"--dbname=dbname='{quoted}'"], f"database {name}")

    def _jobs(self) -> int:
        return int(self.instance.options.get("process_max") or max(1, (os.cpu_count() or 1) // 2))

    def _reach(self) -> list[str]:
        host, port, user = self.engine.socket_directory, self.instance.port, self.instance.os_user
        return [f"--host={host}", f"--port={port}", f"--username={user}", "--no-password"]

    def _run(self, argv: Sequence[str], subject: str) -> None:
        result = process.run(argv, env={"PGAPPNAME": "holdfast", "PGCONNECT_TIMEOUT": "5"})
        if result.returncode:
            raise failure(os.path.basename(argv[0]), subject, result.stderr, self.instance)


def failure(program_name: str, subject: str, stderr: str, instance: Instance) -> HoldfastError:
    """The error of a dump that failed."""
    what = f"{program_name} of {subject} failed: {process.last_words(stderr)}"
    if "No space left on device" in stderr:
        staging = os.path.join(instance.state_directory, "staging")
        return RepositoryFull(
            what, where=staging, remedy="Free space there: a dump is put together before it is stored"
        )
    if "connection to server" in stderr and "does not exist" not in stderr:
        return ServerUnavailable(what, where=instance.name, remedy="Check that the server runs, and its log")
    return CommandFailed(
        what, where=instance.name, remedy="Nothing of this backup was kept; correct the cause and retry"
    )


def card(backup: Backup) -> dict[str, str]:
    """A backup as the tags of its snapshot."""
    return {
        **_TAGS,
        "id": backup.id,
        "started": format_instant(backup.started) or "",
        "finished": format_instant(backup.finished) or "",
        "size": str(backup.size_bytes or 0),
        "log": backup.log_start or "",
        "version": str(backup.details["version"]),
        "databases": json.dumps(backup.details["databases"]),
    }


def backup_of(snapshot: Snapshot, repository: str) -> Backup:
    """The reverse of :func:`card`."""
    tags = snapshot.tags
    return Backup(
        id=tags["id"],
        type=BackupType.LOGICAL,
        tool="pg_dump",
        repository=repository,
        started=parse_instant(tags["started"]) or snapshot.time,
        finished=parse_instant(tags["finished"]) or snapshot.time,
        size_bytes=int(tags["size"]),
        log_start=tags["log"] or None,
        details={
            "version": tags["version"],
            "major": major(tags["version"]),
            "databases": json.loads(tags["databases"]),
        },
    )
