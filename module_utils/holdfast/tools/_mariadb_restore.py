"""From snapshots to a running server: extract, prepare, start, roll the log forward."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..engines._mariadb_scratch import MariaDBScratch
from ..engines.mariadb import MariaDB
from ..errors import CommandFailed, CorruptBackup, HoldfastError, RepositoryFull, TargetNotReached
from ..model import Backup, RestoreTarget
from ..process import run
from ..repositories.pipes import Command, Stage, pipeline
from ..repositories.restic import Restic, Snapshot
from . import _mariadb_catalog as catalog
from . import _mariadb_log_files as rules
from . import _mariadb_target as targets
from .base import Restored

log = logging.getLogger(__name__)

# The session that executes the log is asked at its end which transaction came last: $0 is mariadb-binlog.
_READ_AND_ASK = (
    '"$0" "$@" && echo "SELECT CONCAT_WS(CHAR(45), @@session.gtid_domain_id, @@session.server_id,'
    ' @@session.gtid_seq_no);"'
)


class Restore:
    """One restore into one scratch server."""

    def __init__(self, store: Restic, snapshots: Sequence[Snapshot], scratch: MariaDBScratch, where: str) -> None:
        self._store = store
        self._snapshots = snapshots
        self._scratch = scratch
        self._where = where
        self._phases: dict[str, float] = {}

    def run(self, chain: Sequence[Backup], target: RestoreTarget) -> Restored:
        """Restore the last backup of the chain, which begins with a full one, and roll forward to the target.

        Whether the log reaches the target is known before the data are read.
        """
        newest = chain[-1]
        selection = targets.select(self._snapshots, newest, target)
        if selection.range.gap:
            raise TargetNotReached(
                f"backup {newest.id} cannot be rolled forward to {target.describe()}: {selection.range.gap}",
                where=self._where,
                remedy="Choose a target that the log reaches, or a backup after the gap",
            )
        self._scratch.prepare()
        with self._phase("fetch"):
            self._fetch(selection)
            end = targets.find(selection, self._log_directory, newest, target, self._where)
        self._extract_all(chain)
        with self._phase("start"):
            engine = self._scratch.start()
        with self._phase("log"):
            if end.paths:
                self._apply(engine, selection, end)
            shutil.rmtree(self._log_directory, ignore_errors=True)
        return Restored(engine, dict(self._phases), end.reached)

    def extract(self, chain: Sequence[Backup]) -> None:
        """Bring the data of the last backup of the chain into the scratch directory, ready for a server to start on."""
        self._scratch.prepare()
        self._extract_all(chain)

    def _extract_all(self, chain: Sequence[Backup]) -> None:
        with self._phase("extract"):
            for number, backup in enumerate(chain):
                self._extract(backup, self._directory(number))
        with self._phase("prepare"):
            self._prepare(len(chain))

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        log.info("restore: %s", name)
        began = time.monotonic()
        yield
        self._phases[name] = time.monotonic() - began

    def _directory(self, number: int) -> str:
        base = self._scratch.data_directory
        return base if number == 0 else os.path.join(self._scratch.directory, f"incremental-{number}")

    def _extract(self, backup: Backup, directory: str) -> None:
        os.makedirs(directory, mode=0o700)
        stream = catalog.stream_of(self._snapshots, backup.id)
        if stream is None:
            raise CorruptBackup(f"the data of {backup.id} is not in the repository", where=backup.repository)
        outcome = self._store.dump(
            stream.id,
            stream_name(backup.id),
            [Command(["zstd", "-q", "-d", "-c"]), Command(["mbstream", "-x", "-C", directory])],
        )
        if outcome.failed:
            raise failure(outcome.failed, f"extracting {backup.id}", directory)

    def _prepare(self, count: int) -> None:
        common = ["mariadb-backup", "--no-defaults", "--prepare", f"--use-memory={self._scratch.memory}"]
        common += [f"--target-dir={self._scratch.data_directory}", f"--tmpdir={self._scratch.directory}"]
        for number in range(count):
            step = [f"--incremental-dir={self._directory(number)}"] if number else []
            result = run([*common, *step])
            if result.returncode:
                raise failure(Stage(Command(common), result.returncode, result.stderr), "preparing", common[-2])
            if number:
                shutil.rmtree(self._directory(number))

    @property
    def _log_directory(self) -> str:
        return os.path.join(self._scratch.directory, "log")

    def _fetch(self, selection: targets.Selection) -> None:
        holders = rules.saved(self._snapshots)
        for snapshot in dict.fromkeys(holders[file].id for file in selection.files):
            names = [file.name for file in selection.files if holders[file].id == snapshot]
            try:
                self._store.restore(snapshot, self._log_directory, include=names)
            except CorruptBackup as error:
                raise self._unreadable(error.what) from None

    def _unreadable(self, words: str) -> TargetNotReached:
        # No fault of the backup, and every older one needs the same log.
        return TargetNotReached(
            f"the log cannot be read: {words}",
            where=self._where,
            remedy="Restore to the end of a backup, or take a full backup now if the server still has its data",
        )

    def _apply(self, engine: MariaDB, selection: targets.Selection, end: targets.End) -> None:
        reader = ["mariadb-binlog", "--no-defaults", "--verify-binlog-checksum", f"--start-position={selection.start}"]
        reader += [f"--stop-position={end.offset}", *end.paths]
        writer = ["mariadb", "--no-defaults", "--binary-mode", "--batch", "--skip-column-names"]
        writer += [f"--socket={engine.socket}", f"--user={engine.instance.os_user}", "--max-allowed-packet=1G"]
        outcome = pipeline([Command(["sh", "-c", _READ_AND_ASK, *reader]), Command(writer)])
        if outcome.failed and outcome.failed.command.program != writer[0]:
            raise self._unreadable(outcome.failed.words())
        if outcome.failed:
            raise failure(outcome.failed, "rolling the log forward", self._scratch.directory)
        applied = (outcome.stdout.split("\n")[-2:] or [""])[0]
        if applied != end.gtid:
            raise TargetNotReached(
                f"the server executed the log up to GTID {applied or 'none'} and not up to {end.gtid}",
                where=self._where,
                remedy="Verify the repository and restore an older backup",
            )


def stream_name(backup: str) -> str:
    """The file in a snapshot that holds the stream of a backup."""
    return f"{backup}.xb.zst"


def failure(stage: Stage, doing: str, where: str) -> HoldfastError:
    """The error that a failed program of a restore stands for."""
    words = f"{doing}: {stage.words()}"
    if "No space left on device" in stage.stderr or ("rror writing file" in stage.stderr and "28" in stage.stderr):
        return RepositoryFull(words, where=where, remedy="Free space for the restore")
    if stage.command.program == "mariadb":
        return CommandFailed(words, where=where, remedy="Look at the statement: the log does not fit the restored data")
    return CorruptBackup(words, where=where, remedy="Verify the repository and restore an older backup")
