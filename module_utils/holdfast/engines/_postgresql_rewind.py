"""pg_rewind: a server that went its own way is brought back onto the way of its new primary."""

from __future__ import annotations

import os
import re
import shutil
import time

from .. import process
from ..errors import HoldfastError
from ..model import Instance
from . import _postgresql_wal as wal
from ._postgresql_programs import program
from ._postgresql_service import cluster_on_port
from .replication import Lost

_DIVERGED = re.compile(r"servers diverged at WAL location ([0-9A-F]+/[0-9A-F]+) on timeline (\d+)")
_COMMIT = re.compile(r"\bdesc: (?:COMMIT|COMMIT_PREPARED)\b")
_LENGTH = re.compile(r"len \(rec/tot\):\s*\d+/\s*(\d+)")


class Rewind:
    """One server that is down, and the server that took over from it."""

    def __init__(self, instance: Instance, directory: str, major: str, source: str) -> None:
        self._instance = instance
        self._directory = directory
        self._major = major
        self._source = source

    def save_lost(self) -> Lost | None:
        """Save the log that only this server has, and say how much that is; None when the other one has everything."""
        self._finish_recovery()
        output = self._rewind("--dry-run")
        match = _DIVERGED.search(output)
        if match is None:
            return None
        position, timeline = match[1], int(match[2])
        transactions, size = self._after(position, timeline)
        if not transactions:
            return Lost(0, size, position)
        directory = os.path.join(
            self._instance.state_directory, f"lost-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
        )
        os.makedirs(directory, mode=0o700)
        segments = os.path.join(self._directory, "pg_wal")
        first = wal.parse_lsn(position)
        for name in sorted(os.listdir(segments)):
            if wal.SEGMENT_NAME.match(name) and int(name[:8], 16) == timeline and wal.end(name, self._size()) > first:
                shutil.copy2(os.path.join(segments, name), directory)
        return Lost(transactions, size, position, directory)

    def run(self) -> bool:
        """Rewind. Returns whether that was needed. Raises CommandFailed."""
        return "no rewind required" not in self._rewind()

    def _rewind(self, *arguments: str) -> str:
        argv = [program("pg_rewind", self._major), f"--target-pgdata={self._directory}", *arguments]
        argv.append("--restore-target-wal")  # what the server removed already, the repository has
        argv.append(f"--source-server={self._source}")
        cluster = cluster_on_port(self._instance.port)
        configuration = cluster and f"/etc/postgresql/{cluster.version}/{cluster.name}/postgresql.conf"
        if configuration and os.path.exists(configuration):
            argv.append(f"--config-file={configuration}")
        result = process.run(argv).check()
        return result.stdout + result.stderr

    def _finish_recovery(self) -> None:
        """A server that crashed has log that its data files lack; a single-user start and end replays it."""
        state = process.run([program("pg_controldata", self._major), "-D", self._directory]).check().stdout
        if re.search(r"Database cluster state:\s+shut down", state):
            return
        cluster = cluster_on_port(self._instance.port)
        if cluster is None:
            raise HoldfastError("the server crashed, and its configuration is not known", where=self._instance.name)
        signal = os.path.join(self._directory, "standby.signal")
        # Single-user mode refuses it, and takes no writes of anybody.
        aside = f"{signal}.holdfast"
        if os.path.exists(signal):
            os.rename(signal, aside)
        argv = [program("postgres", self._major), "--single", "-D", self._directory, "-F", "-c", "archive_mode=off"]
        argv += ["-c", f"config_file=/etc/postgresql/{cluster.version}/{cluster.name}/postgresql.conf", "template1"]
        try:
            process.run(argv).check()
        finally:
            if os.path.exists(aside):
                os.rename(aside, signal)

    def _after(self, position: str, timeline: int) -> tuple[int, int]:
        argv = [program("pg_waldump", self._major), f"--path={self._directory}/pg_wal", f"--timeline={timeline}"]
        # The end of the log is an error to it.
        found = process.run([*argv, f"--start={position}"]).stdout.splitlines()
        lengths = (_LENGTH.search(line) for line in found)
        return sum(1 for line in found if _COMMIT.search(line)), sum(int(match[1]) for match in lengths if match)

    def _size(self) -> int:
        state = process.run([program("pg_controldata", self._major), "-D", self._directory]).check().stdout
        match = re.search(r"Bytes per WAL segment:\s+(\d+)", state)
        return int(match[1]) if match else 16 << 20
