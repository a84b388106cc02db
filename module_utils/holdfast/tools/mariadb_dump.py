"""mariadb-dump: logical backups of MariaDB, stored in restic."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..engines._mariadb_scratch import MariaDBScratch
from ..engines.base import Scratch
from ..engines.mariadb import MariaDB
from ..errors import CommandFailed, CorruptBackup, InvalidInput, Unsupported
from ..files import File
from ..model import Backup, BackupType, Instance, LogRange, Reached, Repository, RestoreTarget, Verification
from ..process import require
from ..repositories.pipes import Command
from ..repositories.restic import Restic
from ..units import utcnow
from . import _mariadb_catalog as catalog
from ._mariadb_restore import failure
from .base import Restored, SavedLog

_PARTS = ("accounts.sql", "data.sql")
_KIND = "dump"  # the snapshot of one part; the card of the last part makes the backup complete
_CARD = "logical"


class MariaDBDump:
    """See the protocol. One stream for accounts and grants, one for the data."""

    name = "mariadb-dump"
    types = frozenset({BackupType.LOGICAL})

    def __init__(self, instance: Instance, engine: MariaDB) -> None:
        self.instance = instance
        self.engine = engine

    def store(self, repository: Repository) -> Restic:
        """The restic repository of this instance, which it shares with the physical backups."""
        return Restic(self.instance, repository)

    def notes(self) -> list[str]:
        return []

    def files(self) -> list[File]:
        for program in ("mariadb-dump", "mariadb", "restic"):
            require(program)
        return []

    def server_settings(self) -> Mapping[str, str]:
        return {}

    def is_initialised(self, repository: Repository) -> bool:
        return self.store(repository).is_initialised()

    def initialise(self, repository: Repository) -> None:
        self.store(repository).initialise()

    def backup(self, type_: BackupType, repository: Repository) -> Backup:
        if type_ is not BackupType.LOGICAL:
            raise InvalidInput(f"{self.name} takes no {type_} backup", where=self.instance.name)
        store = self.store(repository)
        snapshots = store.snapshots()
        finished = {item.tags["id"] for item in snapshots if item.tags.get("kind") == _CARD}
        killed = [item.id for item in snapshots if item.tags.get("kind") == _KIND and item.tags["id"] not in finished]
        store.forget(killed, prune=False)
        server = self.engine.inspect()
        id_ = catalog.new_id(type_, None, finished)
        planned = Backup(
            id=id_,
            type=type_,
            tool=self.name,
            repository=repository.name,
            started=utcnow(),
            finished=utcnow(),
            size_bytes=server.size_bytes,
            log_start=self.engine.log_position() or None,
            details={"version": server.version, "system": server.system_identifier, "host": catalog.this_host()},
        )
        stored = 0
        for part, command in zip(_PARTS, (self._accounts(), self._data(bool(planned.log_start)))):
            tags = {"kind": _KIND, "id": id_, "part": part}
            stored += store.backup_stdin([command], part, tags).added_bytes
        done = replace(planned, finished=utcnow(), stored_bytes=stored)
        tags = dict(catalog.card(done), kind=_CARD)
        store.backup_stdin([Command(["echo", id_])], "id", tags)
        return done

    def archive(self) -> Backup:
        raise Unsupported(self.name, "archive", "archive copies are physical backups")

    def save_log(self) -> SavedLog:
        raise Unsupported(self.name, "log backup", "no log rolls a dump forward")

    def newest_log(self, repository: Repository) -> str | None:
        del repository
        return None

    def backups(self, repository: Repository) -> list[Backup]:
        return catalog.backups_of(self.store(repository).snapshots(), self.name, repository.name, _CARD)

    def verify(self, repository: Repository, backups: Sequence[Backup]) -> Verification:
        store = self.store(repository)
        snapshots = store.snapshots()
        damaged = {}
        for backup in backups:
            try:
                for snapshot in catalog.of_backups(snapshots, [backup.id]):
                    store.read(snapshot)
            except CorruptBackup as error:
                damaged[backup.id] = error.what
        return Verification(tuple(item.id for item in backups if item.id not in damaged), damaged)

    def expire(self, repository: Repository, backups: Sequence[Backup], oldest_log_of: Backup | None) -> None:
        del oldest_log_of
        store = self.store(repository)
        store.forget(catalog.of_backups(store.snapshots(), [item.id for item in backups]))

    def restore(self, backup: Backup, repository: Repository, target: RestoreTarget, scratch: Scratch) -> Restored:
        if not isinstance(scratch, MariaDBScratch):
            raise InvalidInput(f"{self.name} restores into a MariaDB server only", where=self.instance.name)
        self._check(target)
        store = self.store(repository)
        parts = {item.tags.get("part"): item.id for item in store.snapshots({"kind": _KIND, "id": backup.id})}
        phases = {}
        began = time.monotonic()
        engine = scratch.start()
        phases["start"] = time.monotonic() - began
        for part in reversed(_PARTS):
            began = time.monotonic()
            if part not in parts:
                raise CorruptBackup(f"{part} of {backup.id} is not in the repository", where=store.where)
            client = ["mariadb", "--no-defaults", "--binary-mode", f"--socket={engine.socket}"]
            client += [f"--user={self.instance.os_user}", "--max-allowed-packet=1G"]
            # The accounts of this server itself are there already.
            client += ["--force"] if part == "accounts.sql" else []
            outcome = store.dump(parts[part], part, [Command(client)])
            if outcome.failed and part == "data.sql":
                raise failure(outcome.failed, f"loading {part}", scratch.directory)
            phases[part.split(".")[0]] = time.monotonic() - began
        return Restored(engine, phases, Reached(backup.log_start or backup.id))

    def log_range(self, backup: Backup, repository: Repository, target: RestoreTarget) -> LogRange:
        del repository
        self._check(target)
        return LogRange(0, 0, until=backup.started)

    def prove_log(self) -> str:
        raise Unsupported(self.name, "log backup", "no log rolls a dump forward")

    def _check(self, target: RestoreTarget) -> None:
        if target.ends_early and not target.consistent:
            raise Unsupported(self.name, f"a restore to {target.describe()}", "no log rolls a dump forward")

    def _common(self) -> list[str]:
        return ["mariadb-dump", f"--socket={self.engine.socket}", f"--user={self.instance.os_user}"]

    def _accounts(self) -> Command:
        return Command([*self._common(), "--system=users"])

    def _data(self, logged: bool) -> Command:
        argv = [*self._common(), "--single-transaction", "--quick", "--routines", "--events", "--triggers"]
        argv += ["--hex-blob", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"]
        if logged:
            argv += ["--master-data=2", "--gtid"]
        databases = self.instance.databases or self.engine.inspect().databases
        if not databases:
            raise CommandFailed("there is no database to dump", where=self.engine.where)
        return Command([*argv, "--databases", *databases])
