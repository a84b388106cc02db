"""pgBackRest: physical backups of PostgreSQL and its archived log."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

from .. import process
from ..engines import _postgresql_wal as wal
from ..engines._postgresql_scratch import PostgreSQLScratch
from ..engines.base import Scratch
from ..engines.postgresql import PostgreSQL
from ..errors import (
    CommandFailed,
    ForeignRepository,
    HoldfastError,
    InvalidInput,
    RepositoryFull,
    ServerUnavailable,
    Unsupported,
)
from ..files import File
from ..model import Backup, BackupType, Instance, LogRange, Repository, RestoreTarget, Verification
from ..owner import run_as_owner
from . import _pgbackrest_config as config
from . import _pgbackrest_version as versions
from ._pgbackrest_errors import FOREIGN, FULL, failure, is_full, spooled_error
from ._pgbackrest_info import NO_STANZA, TYPES, USABLE, backup_of, chain, segment_size, status
from ._pgbackrest_restore import ArchivedFile, Restore, archived_files, log_range
from ._pgbackrest_select import chosen_database
from ._pgbackrest_verify import damaged_segments, log_gaps, verdict
from .base import Restored, SavedLog

log = logging.getLogger(__name__)

_NEW_LABEL = re.compile(r"new backup label = (\S+)")
_NO_REPLICA = "pgBackRest begins and ends a backup at the primary, which it does not reach from here"
# A worker of a run that was killed holds the lock until it has finished its file.
_LOCK_PATIENCE = 120.0
_LOCKED = 50
_ARCHIVE_TIMEOUT = 82
_NOT_EMPTY = 40


class PgBackRest:
    """See the protocol. The stanza is named after the instance; a replica shares that of its primary."""

    name = "pgbackrest"
    types: frozenset[BackupType] = frozenset(TYPES)

    def __init__(self, instance: Instance, engine: PostgreSQL) -> None:
        self.instance = instance
        self.engine = engine
        self.stanza = instance.replica_of or instance.name

    @cached_property
    def version(self) -> versions.Version:
        return versions.installed(self.instance)

    def notes(self) -> list[str]:
        found = []
        if self.version < versions.BLOCK_INCREMENTAL:
            large = "copies every changed file whole; block-level incrementals need 2.46"
            found.append(f"Hourly incrementals will be large: pgBackRest {'.'.join(map(str, self.version))} {large}")
        if not self.instance.replica_of and self.engine.is_replica():
            found.append(f"Its jobs will fail: {_NO_REPLICA}. {self._remedy_of_replica()}")
        return found

    def files(self) -> list[File]:
        return [self.configuration(run_as_owner(self.instance, self.engine.data_directory))]

    def configuration(self, data_directory: str) -> File:
        """The stanza of the server with that data directory, for its archiving and, on a standby, its recovery."""
        path = config.config_file(self.instance)
        other = config.foreign_section(self.stanza, path)
        if other:
            raise InvalidInput(
                f"the stanza [{self.stanza}] is already configured in {other}",
                where=self.instance.name,
                remedy="Remove that section, or give the instance another name",
            )
        options = self._stanza_options(data_directory)
        for number, repository in enumerate(self.instance.repositories, start=1):
            options.update(config.repository_options(repository, number, self.version))
        content = config.section(self.stanza, options)
        return File(path, content, mode=0o640, group=config.group_of(self.instance.os_user), secret=True)

    def server_settings(self) -> Mapping[str, str]:
        wanted = {
            "wal_level": "replica",
            "archive_mode": "on",
            "archive_command": f"pgbackrest --stanza={self.stanza} archive-push %p",
        }
        interval = self.instance.service_level.log_interval
        if interval:
            wanted["archive_timeout"] = f"{int(interval.total_seconds())}s"
        return wanted

    def is_initialised(self, repository: Repository) -> bool:
        found = self._info(repository)
        if found is None:
            return False
        try:
            own = self.engine.system_identifier()
        except ServerUnavailable:
            return True
        stored = str(max(found["db"], key=lambda item: item["id"])["system-id"]) if found["db"] else own
        if stored != own:
            raise ForeignRepository(
                f"the stanza {self.stanza} there belongs to the system {stored}, this server is {own}",
                where=self._where(repository),
                remedy=FOREIGN,
            )
        return True

    def initialise(self, repository: Repository) -> None:
        if not self.is_initialised(repository):
            # The server of a replica is no primary that pgBackRest could ask.
            offline = ["--no-online"] if self.engine.is_replica() else []
            self._run("stanza-create", repository, *offline, server=True)

    def backup(self, type_: BackupType, repository: Repository) -> Backup:
        """See the protocol. Without a full backup to build on, pgBackRest takes one, and that is what is returned."""
        if type_ not in TYPES:
            raise Unsupported(self.name, f"a {type_} backup", "it takes full, differential and incremental ones")
        if self.engine.is_replica():
            raise Unsupported(self.name, "a backup of a replica", _NO_REPLICA, remedy=self._remedy_of_replica())
        arguments = [f"--type={TYPES[type_]}", "--annotation=made-by=holdfast"]
        label = ""

        def watch(line: str) -> None:
            nonlocal label
            match = _NEW_LABEL.search(line)
            label = match[1] if match else label

        self._run("backup", repository, *arguments, server=True, on_line=watch)
        taken = next((backup for backup in self.backups(repository) if backup.id == label), None)
        if taken is None:
            raise CommandFailed(f"pgbackrest ended well, but lists no backup {label!r}", where=self._where(repository))
        if taken.type is not type_:
            log.warning("there was no earlier backup to build on: a %s backup was taken", taken.type)
        return taken

    def _remedy_of_replica(self) -> str:
        return f"Back up its primary; with replica_of in the inventory the jobs of {self.instance.name} rest"

    def archive(self) -> Backup:
        return self.backup(BackupType.FULL, self.instance.archive_repository)

    def save_log(self) -> SavedLog:
        """See the protocol. Closes the current segment when a change has waited in it longer than the interval.

        The server archives by itself: this job notices when it does not. Raises what keeps the log from the repository.
        """
        repository = self.instance.primary_repository
        before = self.newest_log(repository)
        exposure = self.engine.log_exposure(before)
        if exposure.failing:
            raise self._archiving_fails(repository, exposure.failing)
        interval = self.instance.service_level.log_interval or timedelta(0)
        newest = before
        if exposure.lost_seconds >= interval.total_seconds() and exposure.lost_bytes and not self.engine.is_replica():
            newest = self._await_log(repository, self.engine.switch_log())
        size = self.engine.segment_size()
        start = wal.format_lsn(wal.end(before, size)) if before else None
        stop = wal.format_lsn(wal.end(newest, size)) if newest else None
        saved = wal.end(newest, size) - wal.end(before, size) if newest and before else 0
        return SavedLog(newest, max(0, saved), start, stop)

    def newest_log(self, repository: Repository) -> str | None:
        found = self._info(repository)
        if found is None:
            raise self._no_stanza(repository)
        archives = [item for item in found["archive"] if item["max"]]
        return str(max(archives, key=lambda item: item["database"]["id"])["max"]) if archives else None

    def backups(self, repository: Repository) -> list[Backup]:
        found = self._info(repository)
        if found is None:
            return []
        versions = {item["id"]: item["version"] for item in found.get("db", ())}
        return [backup_of(raw, repository.name, versions) for raw in found["backup"]]

    def verify(self, repository: Repository, backups: Sequence[Backup]) -> Verification:
        """Read files and log back and compare checksums, and look for holes in the archived log.

        From 2.55 on a part of the backups is read on its own; before, pgBackRest always reads the whole repository.
        """
        found = self._info(repository)
        if found is None:
            raise self._no_stanza(repository)
        stored = {raw["label"]: raw for raw in found["backup"]}
        asked = [backup.id for backup in backups]
        damaged = {label: "it is no longer in the repository" for label in asked if label not in stored}
        present = [label for label in asked if label in stored]
        # A set is read without the blocks that it takes from earlier backups, so those are read as sets of their own.
        needed = [label for label in stored if any(label in chain(wanted, stored) for wanted in present)]
        sets: list[str | None] = [None]
        if self.version >= versions.VERIFY_SET and len(needed) < len(stored):
            sets = [*needed]
        problems: list[str] = []
        unreadable: set[str] = set()

        def watch(line: str) -> None:
            unreadable.update(damaged_segments(line))

        for label in sets:
            arguments = ["--output=text", "--verbose", *([f"--set={label}"] if label else [])]
            output = self._run("verify", repository, *arguments, on_line=watch).stdout
            outcome = verdict(output)
            if outcome is None:
                raise CommandFailed(
                    f"pgbackrest verify reported nothing that can be read: {process.last_words(output)}",
                    where=self._where(repository),
                )
            damaged.update(outcome.damaged)
            problems.extend(text for text in outcome.problems if text not in problems)
        for archive in found["archive"]:
            names = [name for name in self._archived(repository, archive["id"]) if name not in unreadable]
            labels = [raw for raw in stored.values() if raw["database"]["id"] == archive["database"]["id"]]
            # What is stored can be verified when nothing but the repository is left.
            size = segment_size(labels) or self.engine.segment_size()
            holes, broken = log_gaps(names, labels, size)
            problems.extend(holes)
            damaged.update(broken)
        for label in present:
            parent = next((parent for parent in chain(label, stored)[1:] if parent in damaged), None)
            if parent and label not in damaged:
                damaged[label] = f"it needs the damaged backup {parent}"
        intact = tuple(label for label in present if label not in damaged)
        return Verification(intact, {label: text for label, text in damaged.items() if label in asked}, tuple(problems))

    def expire(self, repository: Repository, backups: Sequence[Backup], oldest_log_of: Backup | None) -> None:
        going = {backup.id for backup in backups}
        stored = self.backups(repository)
        for child in stored:
            if child.id not in going and child.parent in going:
                raise InvalidInput(
                    f"backup {child.parent} cannot go, {child.id} needs it", where=self._where(repository)
                )
        if stored and all(backup.id in going for backup in stored if backup.type is BackupType.FULL):
            raise InvalidInput(
                "the last full backup cannot go before there is a new one", where=self._where(repository)
            )
        present = [backup.id for backup in stored if backup.id in going]
        for label in config.newest_first(present):
            self._run("expire", repository, f"--set={label}")
        if oldest_log_of is not None:
            remaining = [backup.id for backup in stored if backup.id not in going]
            if oldest_log_of.id not in remaining:
                raise InvalidInput(f"no backup {oldest_log_of.id} is left", where=self._where(repository))
            # Counted in backups of any type from the newest on: the log begins where exactly this one does. What older
            # backups need to become consistent stays in any case.
            count = len(remaining) - remaining.index(oldest_log_of.id)
            kept = ("--repo1-retention-archive-type=incr", f"--repo1-retention-archive={count}")
            self._run("expire", repository, *kept)

    def restore(self, backup: Backup, repository: Repository, target: RestoreTarget, scratch: Scratch) -> Restored:
        if not isinstance(scratch, PostgreSQLScratch):
            raise InvalidInput(f"{self.name} restores into a PostgreSQL server only", where=self.instance.name)
        config.check_reachable(repository)
        expected = None if target.ends_early else self.newest_log(repository)
        options = config.repository_options(repository, 1, self.version)
        options.update(chosen_database(self._run, backup, repository, target))
        where = f"{self._where(repository)}, backup {backup.id}"
        return Restore(self.stanza, options, where, scratch).run(backup, target, expected)

    def log_range(self, backup: Backup, repository: Repository, target: RestoreTarget) -> LogRange:
        found = self._info(repository)
        if found is None:
            raise self._no_stanza(repository)
        files = [file for archive in found["archive"] for file in self._archived_files(repository, archive["id"])]
        return log_range(backup, files, target)

    def prove_log(self) -> str:
        repository = self.instance.primary_repository
        self._follow_system(repository)
        # A segment without a record in it is not closed.
        self.engine.write_marker()
        return self._await_log(repository, self.engine.switch_log()) or ""

    def _follow_system(self, repository: Repository) -> None:
        """Let the stanza follow an instance that was filled with the data of another system."""
        found = self._info(repository)
        if found is None or not found["db"]:
            return
        newest = max(found["db"], key=lambda item: item["id"])
        if str(newest["system-id"]) != self.engine.system_identifier():
            log.warning("%s: the stanza follows the instance to another system", self.instance.name)
            for each in self.instance.repositories:
                self._run("stanza-upgrade", each, server=True)

    def _await_log(self, repository: Repository, name: str) -> str | None:
        limit = float(self.instance.options.get("archive_timeout", "60"))
        deadline = time.monotonic() + limit
        while True:
            newest = self.newest_log(repository)
            if newest and newest >= name:
                return newest
            if time.monotonic() > deadline:
                raise self._archiving_fails(repository, f"{name} did not reach the repository within {limit:.0f} s")
            time.sleep(0.5)

    def _archiving_fails(self, repository: Repository, what: str) -> HoldfastError:
        said = spooled_error(os.path.join(config.SPOOL, "archive", self.stanza, "out"))
        if not said:
            return CommandFailed(
                f"archiving does not work: {what}",
                where=self._where(repository),
                remedy="See the server's log for what archive_command says",
            )
        cause = failure("archive-push", 0, said, self._where(repository))
        cause.what = f"archiving does not work: {what}; {cause.what}"
        return cause

    def _archived(self, repository: Repository, archive_id: str) -> list[str]:
        return [file.name for file in self._archived_files(repository, archive_id)]

    def _archived_files(self, repository: Repository, archive_id: str) -> list[ArchivedFile]:
        path = f"archive/{self.stanza}/{archive_id}"
        output = self._run("repo-ls", repository, "--output=json", "--recurse", path, level="warn").stdout
        return archived_files(json.loads(output))

    def _info(self, repository: Repository) -> dict[str, Any] | None:
        """What pgBackRest knows of the stanza in a repository; None when it is not there."""
        output = self._run("info", repository, "--output=json", level="warn").stdout
        try:
            # Not strict: after a wrong key the message holds raw bytes of what was decrypted.
            found: list[dict[str, Any]] = json.loads(output, strict=False)
        except ValueError:
            raise CommandFailed("pgbackrest info printed no JSON", where=self._where(repository)) from None
        if not found:
            return None
        code, message = status(found[0])
        if code in NO_STANZA:
            return None
        if code not in USABLE:
            raise failure("info", 0, f"ERROR: {message}", self._where(repository))
        return found[0]

    def _run(
        self,
        command: str,
        repository: Repository,
        *arguments: str,
        server: bool = False,
        level: str = "info",
        on_line: Any = None,
    ) -> process.Result:
        """Run a command on one repository alone, so that another one that is away does no harm.

        ``server`` gives it the server as well: what only reads the repository works when that is down.
        """
        options = self._stanza_options(self.engine.data_directory() if server else "")
        options.update(config.repository_options(repository, 1, self.version))
        options.update(
            {"io-timeout": "30", "log-level-console": "off", "log-level-stderr": level, "log-timestamp": "n"}
        )
        if not server:
            options = {name: value for name, value in options.items() if not name.startswith("pg1-")}
        config.check_reachable(repository)
        env = config.environment(self.stanza, options)
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            result = process.run(["pgbackrest", "--no-config", command, *arguments], env=env, on_line=on_line)
            if result.returncode != _LOCKED or time.monotonic() > deadline:
                break
            time.sleep(2)
        if result.returncode == 0:
            return result
        if result.returncode == _ARCHIVE_TIMEOUT:
            raise self._archiving_fails(repository, failure(command, 0, result.stderr, "").what)
        if result.returncode == _NOT_EMPTY and command == "stanza-create":
            raise ForeignRepository(
                f"the place of the stanza {self.stanza} holds files, but no stanza that can be read",
                where=self._where(repository),
                remedy="Find out whose they are; give the instance another name or the repository another path",
            )
        error = failure(command, result.returncode, result.stderr, self._where(repository))
        if is_full(repository, result.stderr):
            raise RepositoryFull(f"no space is left; {error.what}", where=error.where, remedy=FULL)
        raise error

    def _stanza_options(self, data_directory: str) -> dict[str, str]:
        return config.stanza_options(self.instance, data_directory, self.engine.socket_directory)

    def _where(self, repository: Repository) -> str:
        return f"{self.instance.name}, repository {repository.name}"

    def _no_stanza(self, repository: Repository) -> HoldfastError:
        return failure("info", 0, "ERROR: missing stanza", self._where(repository))
