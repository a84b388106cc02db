"""A throwaway PostgreSQL server: everything in one directory, reachable through one socket, silent to the outside."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable

from .. import process
from ..errors import (
    AccessDenied,
    CommandFailed,
    CorruptBackup,
    InvalidInput,
    RepositoryFull,
    ServerUnavailable,
    TargetNotReached,
)
from ..model import Instance
from ..units import format_bytes
from ._postgresql_programs import program

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

log = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 107
_PROGRESS_SECONDS = 10
_STOP_SECONDS = 30
RECOVERY_SETTING = re.compile(r"^\s*(restore_command|recovery_target\w*)\s*=")
# A standby-capable recovery refuses to start with less than what the primary had.
_REQUIRED = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
# Not those that tell a client, here the one waiting for the end of recovery, to come back later.
_FATAL = re.compile(r"\b(?:FATAL|PANIC):  (?!the database system is )")
_TOO_SHORT = "recovery ended before configured recovery target was reached"
_LAST_COMMIT = re.compile(r"last completed transaction was at log time (\S+ \S+)")
_LAST_RECORD = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_CONFIGURATION = """\
data_directory = '{data}'
hba_file = '{directory}/pg_hba.conf'
ident_file = '{directory}/pg_ident.conf'
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
port = {port}
listen_addresses = ''
ssl = off
archive_mode = {archive_mode}
hot_standby = on
logging_collector = off
log_destination = 'stderr'
autovacuum = off
max_logical_replication_workers = 0
shared_preload_libraries = ''
shared_buffers = '{buffers}MB'
maintenance_work_mem = '128MB'
max_wal_size = '8GB'
checkpoint_timeout = '30min'
"""
_HBA = "local all all trust\n"  # the directory of the socket is open to its owner alone


class PostgreSQLScratch:
    """See the protocol. ``connect`` makes an engine from a socket directory and a port."""

    archive_mode = "off"

    def __init__(
        self,
        instance: Instance,
        directory: str,
        *,
        live_data_directory: str | None,
        expected_size: int,
        connect: Callable[[str, int], PostgreSQL],
    ) -> None:
        self.instance = instance
        self.directory = os.path.realpath(directory)
        self.data_directory = os.path.join(self.directory, "data")
        self.tablespace_directory = os.path.join(self.directory, "tablespaces")
        self._live = live_data_directory
        self._expected_size = expected_size
        self._connect = connect
        self._engine: PostgreSQL | None = None
        self._stack = ExitStack()
        self._check_place()

    @property
    def log_file(self) -> str:
        return os.path.join(self.directory, "server.log")

    @property
    def socket_directory(self) -> str:
        """The directory itself, or a private one below /tmp where the path would be too long for a socket."""
        if len(os.path.join(self.directory, f".s.PGSQL.{self.instance.port}")) <= _SOCKET_PATH_LIMIT:
            return self.directory
        # Made with mode 0700, and refused when it belongs to anybody else.
        return "/tmp/holdfast-" + hashlib.sha256(self.directory.encode()).hexdigest()[:16]  # noqa: S108

    def prepare(self) -> None:
        """Make the directory, open to its owner alone. Raises InvalidInput when something is in it."""
        self._check_place()
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.chmod(self.directory, 0o700)
        if os.listdir(self.directory):
            raise InvalidInput("a scratch directory must be empty", where=self.directory)

    def start(self) -> PostgreSQL:
        """See the protocol. Raises CorruptBackup when the server cannot recover, with its last words."""
        self._check_place()
        if os.path.exists(os.path.join(self.data_directory, "postmaster.pid")):
            raise InvalidInput("a server runs there, or did not stop cleanly", where=self.data_directory)
        self._make_socket_directory()
        self._configure()
        server = program("postgres", self._version())
        argv = [server, "-D", self.data_directory, "-c", f"config_file={self.directory}/postgresql.conf"]
        with open(self.log_file, "ab") as output:
            running = self._stack.enter_context(process.start(argv, stdout=output, stderr=subprocess.STDOUT))
        self._engine = self._connect(self.socket_directory, self.instance.port)
        self._await_recovery(self._engine, running)
        return self._engine

    def destroy(self) -> None:
        """See the protocol. Stops also a server that an earlier, killed job left in the directory."""
        self._check_place()
        if self._engine:
            self._engine.close()
        self._stop()
        self._stack.close()
        if os.path.lexists(self.directory):
            shutil.rmtree(self.directory)
        if self.socket_directory != self.directory and os.path.isdir(self.socket_directory):
            self._check_private(self.socket_directory)
            shutil.rmtree(self.socket_directory)

    def _check_place(self) -> None:
        """Refuse every directory but one below the instance's scratch space, away from the live data."""
        root = os.path.realpath(os.path.join(self.instance.state_directory, "scratch"))
        if os.path.realpath(self.directory) != self.directory or os.path.commonpath([root, self.directory]) != root:
            raise InvalidInput(f"a scratch server belongs below {root}", where=self.directory)
        if self.directory == root:
            raise InvalidInput("a scratch server needs a directory of its own", where=self.directory)
        if self._live:
            live = os.path.realpath(self._live)
            if os.path.commonpath([live, self.directory]) in (live, self.directory):
                raise InvalidInput(f"a scratch server must not touch the live data in {live}", where=self.directory)

    def _make_socket_directory(self) -> None:
        if self.socket_directory == self.directory:
            return
        try:
            os.mkdir(self.socket_directory, 0o700)
        except FileExistsError:
            self._check_private(self.socket_directory)

    def _check_private(self, directory: str) -> None:
        status = os.lstat(directory)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise AccessDenied("the socket directory belongs to somebody else", where=directory, remedy="Remove it")

    def _version(self) -> str:
        with open(os.path.join(self.data_directory, "PG_VERSION"), encoding="ascii") as stream:
            return stream.read().strip()

    def _configure(self) -> None:
        """Write the only configuration that the server reads; of the restored one, keep what steers the recovery."""
        ours = _CONFIGURATION.format(
            data=_quoted(self.data_directory),
            directory=_quoted(self.directory),
            sockets=_quoted(self.socket_directory),
            port=self.instance.port,
            archive_mode=self.archive_mode,
            buffers=shared_buffers(self._expected_size),
        )
        controldata = (
            process.run([program("pg_controldata", self._version()), "-D", self.data_directory]).check().stdout
        )
        required = "".join(f"{name} = {value}\n" for name, value in required_settings(controldata).items())
        automatic = os.path.join(self.data_directory, "postgresql.auto.conf")
        write(automatic, recovery_settings(read(automatic)))
        for name, content in (("postgresql.conf", ours + required), ("pg_hba.conf", _HBA), ("pg_ident.conf", "")):
            write(os.path.join(self.directory, name), content)

    def _await_recovery(self, engine: PostgreSQL, running: subprocess.Popen[bytes]) -> None:
        spoken = time.monotonic()
        position = ""
        while True:
            if running.poll() is not None:
                raise self._failure()
            try:
                recovering, position = engine.recovery_state()
                if not recovering:
                    return
            except ServerUnavailable:
                pass
            if time.monotonic() - spoken > _PROGRESS_SECONDS:
                log.info("scratch server recovers, log replayed up to %s", position or "the start")
                spoken = time.monotonic()
            time.sleep(0.1)

    def _failure(self) -> Exception:
        text = read(self.log_file)
        words = last_failure(text)
        if _TOO_SHORT in words:
            return TargetNotReached(f"the log ends before the target, at {end_of_log(text)}", where=self.instance.name)
        if "No space left on device" in words:
            return RepositoryFull(f"the scratch server ran out of space: {words}", where=self.directory)
        if "FATAL" in words or "PANIC" in words:
            return CorruptBackup(
                f"the restored server does not recover: {words}",
                where=self.instance.name,
                remedy="Verify the repository and test an older backup",
            )
        return CommandFailed(f"the scratch server ended: {words}", where=self.directory)

    def _stop(self) -> None:
        try:
            pid = int(read(os.path.join(self.data_directory, "postmaster.pid")).split("\n", 1)[0])
            # A stale file may name a process of somebody else by now; a postmaster stands in its data directory.
            if os.path.realpath(f"/proc/{pid}/cwd") != os.path.realpath(self.data_directory):
                return
        except (ValueError, OSError):
            return
        for number in (signal.SIGQUIT, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline:
                if not process.runs(pid):
                    return
                time.sleep(0.05)


def shared_buffers(expected_size: int) -> int:
    """Megabytes of shared memory: enough for recovery not to write every page twice, never a burden on the host."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = max(32 << 20, min(expected_size // 4, memory // 16, 512 << 20))
    log.debug("scratch server takes %s of shared memory", format_bytes(wanted))
    return wanted >> 20


def required_settings(controldata: str) -> dict[str, str]:
    """The parameters that recovery wants at least as large as they were, from the output of pg_controldata."""
    values = dict(line.split(":", 1) for line in controldata.splitlines() if ":" in line)
    return {name: values[label].strip() for name, label in _REQUIRED.items() if label in values}


def recovery_settings(automatic: str) -> str:
    """The lines of postgresql.auto.conf that steer recovery. Replication, libraries and the like stay behind."""
    return "".join(f"{line}\n" for line in automatic.splitlines() if RECOVERY_SETTING.match(line))


def last_failure(text: str) -> str:
    """What a server log says about its end: the last FATAL or PANIC with its details, or the last lines."""
    lines = text.splitlines()
    fatal = [index for index, line in enumerate(lines) if _FATAL.search(line)]
    if not fatal:
        return process.last_words(text)
    end = fatal[-1] + 1
    while end < len(lines) and re.search(r"\b(DETAIL|HINT):", lines[end]):
        end += 1
    return process.last_words("\n".join(lines[fatal[-1] : end]))


def end_of_log(text: str) -> str:
    """Where a recovery ended, from the server's log: the time of the last transaction and the position."""
    found = [pattern.findall(text) for pattern in (_LAST_COMMIT, _LAST_RECORD)]
    return " and ".join(values[-1] for values in found if values) or "the backup itself"


def _quoted(path: str) -> str:
    return path.replace("'", "''")


def read(path: str) -> str:
    """The content of a text file; empty when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def write(path: str, content: str) -> None:
    """Write a file that its owner alone can read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(content)
