"""A MariaDB server as its host knows it: place, service, files, and who else uses it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence

from ..errors import RestartRequired, ServerUnavailable
from ..model import Place
from ..owner import run_as_owner
from ..process import run
from ._mariadb_connection import Connection
from ._mariadb_service import directory_without_service, installed_version, service_of, service_on
from ._mariadb_staging import UNSEEN

_RESTART_SECONDS = 300.0
_FROM_THE_START = frozenset({"mysql", "performance_schema", "sys", "test", "lost+found"})
# Threads of the server itself and of replication are not clients, nor is the owner, as whom Holdfast works.
_CLIENTS = """
    SELECT user, host, coalesce(db, ''), command FROM information_schema.processlist
     WHERE id <> connection_id() AND user NOT IN ('system user', 'event_scheduler', %s)
       AND command NOT IN ('Daemon', 'Binlog Dump') ORDER BY id
"""
_REPLICAS = "SELECT user, host FROM information_schema.processlist WHERE command = 'Binlog Dump' ORDER BY id"


class MariaDBHost(Connection):
    """The part of the engine that looks at the server from outside."""

    def place(self) -> Place:
        service, answers = service_on(self.socket), _listens(self.socket)
        if service is None:
            return Place(directory_without_service(), None, answers, UNSEEN)
        # A server that somebody started by hand in the place of its service must not be taken for the service.
        by_hand = answers and not service.active
        return Place(service.data_directory, None if by_hand else service.unit, service.active or answers, UNSEEN)

    def create(self, version: str | None) -> bool:
        """Nothing: the package of the server makes its service, and more of them need a configuration of their own."""
        del version
        place = self.place()
        self._unit(place)
        return not databases_in(place.data_directory)

    def unfit(self, version: str) -> str | None:
        own = installed_version()
        if version.split(".")[:2] == own.split(".")[:2]:
            return None
        return f"its data files are of MariaDB {version}, and the server here is {own}"

    def stop(self) -> None:
        self.close()
        place = self.place()
        if place.running:
            run(["systemctl", "stop", self._unit(place)]).check()

    def start(self) -> None:
        unit = self._unit(self.place())
        # One that failed again and again before it was repaired would be refused.
        run(["systemctl", "reset-failed", unit])
        run(["systemctl", "start", unit]).check()
        run_as_owner(self.instance, self._await_answer)

    def restart(self) -> None:
        # Root manages the service, and only the owner can log in.
        pid = run_as_owner(self.instance, self._pid)
        self.close()
        unit = service_of(pid) if pid else None
        if unit is None:
            raise RestartRequired(
                "no systemd service is known for this server", where=self.where, remedy="Restart the server by hand"
            )
        run(["systemctl", "restart", unit]).check()
        run_as_owner(self.instance, self._await_answer)

    def replicas(self) -> Sequence[str]:
        registered = [
            f"{host or 'a server'} (server id {server})" for server, host, *_ in self.rows("SHOW SLAVE HOSTS")
        ]
        threads = [f"{user} from {host}" for user, host in self.rows(_REPLICAS)]
        return registered if len(registered) >= len(threads) else threads

    def clients(self) -> Sequence[str]:
        rows = self.rows(_CLIENTS, (self.instance.os_user,))
        return [f"{user}@{host}{f' in {base}' if base else ''} ({command})" for user, host, base, command in rows]

    def query(self, statement: str, database: str | None = None) -> str:
        rows = self.rows(statement, patience=None, database=database)
        value = rows[0][0] if rows else None
        return "" if value is None else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _unit(self, place: Place) -> str:
        if place.service is None:
            raise RestartRequired(
                "no systemd service is known for this server",
                where=self.where,
                remedy="Make it one: mariadb.service, or mariadb@NAME.service with its own socket in the configuration",
            )
        return place.service

    def _pid(self) -> int | None:
        try:
            with open(str(self.row("SELECT @@pid_file")[0]), encoding="ascii") as stream:
                return int(stream.read())
        except (OSError, ValueError):
            return None

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _RESTART_SECONDS
        while True:
            try:
                self.row("SELECT 1")
            except ServerUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return


def databases_in(directory: str) -> list[str]:
    """The databases in a data directory, beside those that every server has from the start."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    directories = (name for name in names if os.path.isdir(os.path.join(directory, name)))
    return sorted(name for name in directories if name not in _FROM_THE_START and not name.startswith(("#", ".")))


def data_size(directory: str, log_basename: str) -> int:
    """Bytes of the files below a data directory that a backup copies: logs and temporary files are not."""
    total = 0
    left_out = ("ib_logfile", "ibtmp", "ib_buffer_pool", "aria_log.", "#sql")
    logs = os.path.basename(log_basename) + "." if log_basename else None
    for path, inner, names in os.walk(directory):
        inner[:] = [name for name in inner if not name.startswith("#sql")]
        for name in names:
            if name.startswith(left_out) or (logs and name.startswith(logs)):
                continue
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue  # dropped while we looked
    return total


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True
