"""A throwaway MariaDB server: everything in one directory, reachable through one socket, silent to the outside."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import stat
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable

from .. import process
from ..errors import AccessDenied, CorruptBackup, InvalidInput, RepositoryFull, ServerUnavailable
from ..model import Instance

if TYPE_CHECKING:
    from .mariadb import MariaDB

log = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 107
_STOP_SECONDS = 60
_START_SECONDS = 600.0  # and a second for every 20 MB, for the recovery of a large buffer pool
_NETWORK_OFF = ["--skip-networking", "--skip-log-bin", "--skip-slave-start", "--event-scheduler=OFF", "--read-only=OFF"]
# Of the configuration that mariadb-backup stores: what the files on disk were made with.
_OF_THE_FILES = ("innodb_", "lower_case_table_names")


class MariaDBScratch:
    """See the protocol. ``connect`` makes an engine from a socket directory and the name of a socket."""

    def __init__(
        self,
        instance: Instance,
        directory: str,
        *,
        live_data_directory: str | None,
        expected_size: int,
        connect: Callable[[str, str], MariaDB],
    ) -> None:
        self.instance = instance
        self.directory = os.path.realpath(directory)
        self.data_directory = os.path.join(self.directory, "data")
        self._live = live_data_directory
        self._expected_size = expected_size
        self._connect = connect
        self._engine: MariaDB | None = None
        self._stack = ExitStack()
        self._check_place()

    @property
    def log_file(self) -> str:
        """The server's error log."""
        return os.path.join(self.directory, "server.log")

    @property
    def pid_file(self) -> str:
        """Where the server notes its process while it runs; one that stops in order removes it."""
        return os.path.join(self.directory, "scratch.pid")

    @property
    def memory(self) -> int:
        """Bytes of buffer pool: enough for the log to be applied from memory, never a burden on the host."""
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(128 << 20, min(self._expected_size // 2, available // 8, 2 << 30))

    @property
    def socket_directory(self) -> str:
        """The directory itself, or a private one below /tmp where the path would be too long for a socket."""
        if len(os.path.join(self.directory, "scratch.sock")) <= _SOCKET_PATH_LIMIT:
            return self.directory
        return "/tmp/holdfast-" + hashlib.sha256(self.directory.encode()).hexdigest()[:16]  # noqa: S108  checked below

    def prepare(self) -> None:
        """Make the directory, open to its owner alone. Raises InvalidInput when something is in it."""
        self._check_place()
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.chmod(self.directory, 0o700)
        if os.listdir(self.directory):
            raise InvalidInput("a scratch directory must be empty", where=self.directory)

    def start(self) -> MariaDB:
        """See the protocol. Makes an empty server when no tool has filled the data directory."""
        self._check_place()
        if not os.path.isdir(self.data_directory):
            self._install()
        if self.socket_directory != self.directory:
            self._make_socket_directory()
        argv = ["mariadbd", "--no-defaults", *self._arguments()]
        with open(self.log_file, "ab") as output:
            running = self._stack.enter_context(process.start(argv, stdout=output, stderr=subprocess.STDOUT))
        self._engine = self._connect(self.socket_directory, "scratch.sock")
        self._await_answer(self._engine, running)
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

    def _install(self) -> None:
        if not os.path.isdir(self.directory):
            self.prepare()
        argv = ["mariadb-install-db", "--no-defaults", f"--datadir={self.data_directory}", "--skip-test-db"]
        argv += ["--auth-root-authentication-method=socket", f"--auth-root-socket-user={self.instance.os_user}"]
        process.run(argv).check()

    def _arguments(self) -> list[str]:
        return [
            f"--datadir={self.data_directory}",
            f"--socket={self.socket_directory}/scratch.sock",
            f"--pid-file={self.pid_file}",
            f"--tmpdir={self._made('tmp')}",
            f"--innodb-buffer-pool-size={self.memory}",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-load-at-startup=OFF",
            "--innodb-buffer-pool-dump-at-shutdown=OFF",
            "--max-allowed-packet=1G",
            *_NETWORK_OFF,
            *stored_options(read(os.path.join(self.data_directory, "backup-my.cnf"))),
        ]

    def _made(self, name: str) -> str:
        path = os.path.join(self.directory, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def _await_answer(self, engine: MariaDB, running: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS + self._expected_size / 20e6
        while True:
            if running.poll() is not None:
                raise self._failure()
            try:
                engine.row("SELECT 1")
            except ServerUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _failure(self) -> Exception:
        text = read(self.log_file)
        words = last_failure(text)
        if "No space left on device" in text or "Disk is full" in text:
            return RepositoryFull(f"the scratch server ran out of space: {words}", where=self.directory)
        return CorruptBackup(
            f"the restored server does not start: {words}",
            where=self.instance.name,
            remedy="Verify the repository and test an older backup",
        )

    def _make_socket_directory(self) -> None:
        try:
            os.mkdir(self.socket_directory, 0o700)
        except FileExistsError:
            self._check_private(self.socket_directory)

    def _check_private(self, directory: str) -> None:
        status = os.lstat(directory)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise AccessDenied("the socket directory belongs to somebody else", where=directory, remedy="Remove it")

    def _pid(self) -> int | None:
        """The process of the server; None when it does not run."""
        try:
            pid = int(read(self.pid_file))
            # A stale file may name a process of somebody else by now; the server works in its data directory.
            return pid if os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(self.data_directory) else None
        except (ValueError, OSError):
            return None

    def _stop(self) -> None:
        pid = self._pid()
        if pid is None:
            return
        # Its data are about to go: there is nothing to shut down in order.
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and process.runs(pid):
            time.sleep(0.05)


def stored_options(content: str) -> list[str]:
    """The options of a ``backup-my.cnf`` that a server needs to open the files beside it."""
    options = []
    for line in content.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.startswith(_OF_THE_FILES) and os.sep not in value:
            options.append(f"--loose-{name}={value}")
    return options


def last_failure(text: str) -> str:
    """What an error log says about the end of its server: its last errors, or its last lines."""
    errors = [line for line in text.splitlines() if "[ERROR]" in line]
    return process.last_words("\n".join(errors) or text)


def read(path: str) -> str:
    """The text of a file; empty when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""
