"""From snapshots to a running server: extract, prepare, start, roll the log forward."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timezone

from ..engines import _binlog as binlog
from ..engines._binlog import LogFile
from ..engines._mariadb_scratch import MariaDBScratch
from ..engines.mariadb import MariaDB
from ..errors import CommandFailed, CorruptBackup, HoldfastError, RepositoryFull
from ..model import Backup, RestoreTarget
from ..process import run
from ..repositories.pipes import Command, Stage, pipeline
from ..repositories.restic import Restic, Snapshot
from . import _mariadb_catalog as catalog
from . import _mariadb_log_files as rules
from .base import Restored

log = logging.getLogger(__name__)


class Restore:
    """One restore into one scratch server."""

    def __init__(self, store: Restic, snapshots: Sequence[Snapshot], scratch: MariaDBScratch) -> None:
        self._store = store
        self._snapshots = snapshots
        self._scratch = scratch
        self._phases: dict[str, float] = {}

    def run(self, chain: Sequence[Backup], target: RestoreTarget) -> Restored:
        """Restore the last backup of the chain, which begins with a full one, and roll forward to the target."""
        newest = chain[-1]
        if target.time and target.time < newest.finished:
            raise CorruptBackup(
                f"backup {newest.id} is newer than the target {target.time}",
                where=newest.repository,
                remedy="Choose a backup that ended before the target",
            )
        self.extract(chain)
        with self._phase("start"):
            engine = self._scratch.start()
        with self._phase("log"):
            self._roll_forward(engine, newest, target)
        return Restored(engine, dict(self._phases))

    def extract(self, chain: Sequence[Backup]) -> None:
        """Bring the data of the last backup of the chain into the scratch directory, ready for a server to start on."""
        self._scratch.prepare()
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

    def _roll_forward(self, engine: MariaDB, backup: Backup, target: RestoreTarget) -> None:
        if not backup.log_stop:
            return
        name, offset = binlog.parse_position(backup.log_stop)
        holders = rules.saved(self._snapshots)
        files = rules.from_position(holders, name, backup.finished.timestamp() + 1)
        if target.time:
            files = [file for file in files if file.created <= target.time.timestamp()]
        if holders and files and max(holders) != files[-1] and not target.time:
            log.warning("the log rolls forward up to %s; what follows in the repository has a gap", files[-1].name)
        if not files or (files[-1].name == name and files[-1].size <= offset):
            return
        directory = os.path.join(self._scratch.directory, "log")
        for snapshot in dict.fromkeys(holders[file].id for file in files):
            names = [file.name for file in files if holders[file].id == snapshot]
            self._store.restore(snapshot, directory, include=names)
        self._apply(engine, [os.path.join(directory, file.name) for file in files], offset, files[-1], target)
        shutil.rmtree(directory)

    def _apply(self, engine: MariaDB, paths: Sequence[str], offset: int, last: LogFile, target: RestoreTarget) -> None:
        reader = ["mariadb-binlog", "--no-defaults", "--verify-binlog-checksum", f"--start-position={offset}"]
        if target.time:
            # Whole seconds are all that mariadb-binlog knows; it stops before the first event at or after this.
            reader.append(f"--stop-datetime={target.time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}")
        elif last.size < os.path.getsize(paths[-1]):
            reader.append(f"--stop-position={last.size}")
        writer = ["mariadb", "--no-defaults", "--binary-mode", f"--socket={engine.socket}"]
        writer += [f"--user={engine.instance.os_user}", "--max-allowed-packet=1G"]
        outcome = pipeline([Command([*reader, *paths], {"TZ": "UTC"}), Command(writer)])
        if outcome.failed:
            raise failure(outcome.failed, "rolling the log forward", self._scratch.directory)


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
