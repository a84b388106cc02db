"""MariaDB 10.6 and newer over its unix socket."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import import_module
from typing import Any

from .. import files
from ..errors import AccessDenied, CommandFailed, HoldfastError, NotInstalled, RestartRequired, ServerUnavailable
from ..model import CheckResult, Instance, LogExposure, Marker, ServerInfo, Setting
from ..owner import run_as_owner
from ..process import run
from . import _binlog as binlog
from ._mariadb_host import data_size, service_of
from ._mariadb_rescue import MariaDBRescuer
from ._mariadb_scratch import MariaDBScratch
from ._mariadb_settings import is_dynamic, same_meaning, written
from .base import Scratch

SOCKET_DIRECTORY = "/run/mysqld"
_CONNECT_SECONDS = 5
_QUERY_SECONDS = 60
_SYSTEM = ("information_schema", "performance_schema", "mysql", "sys", "holdfast")
_DENIED = {1044, 1045, 1142, 1227, 1370, 1698, 4151}
_UNAVAILABLE = {1040, 1053, 1203, 2002, 2003, 2006, 2013, 2055}
_USER_TABLES = """
    SELECT table_schema, table_name, coalesce(table_rows, 0) FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema NOT IN
           ('information_schema', 'performance_schema', 'mysql', 'sys', 'holdfast') ORDER BY 1, 2
"""
_RESTART_SECONDS = 300.0
_RESET = "the server began a new binary log (RESET MASTER): changes before it that were not saved are gone"


@dataclass(frozen=True)
class Dialect:
    """What MariaDB and MySQL call differently."""

    name: str = "mariadb"
    title: str = "MariaDB"
    replica_status: str = "SHOW ALL SLAVES STATUS"
    log_status: str = "SHOW MASTER STATUS"
    gtid: str = "@@gtid_binlog_pos"
    server_uid: str = "@@server_uid"
    driver_package: str = "python3-pymysql"


class MariaDB:
    """A MariaDB server, as the operating system user that owns it (unix_socket authentication)."""

    dialect = Dialect()
    name = dialect.name

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._connection: Any = None

    @property
    def socket(self) -> str:
        """The path of the server's unix socket."""
        directory = self.instance.socket_directory or SOCKET_DIRECTORY
        return os.path.join(directory, self.instance.options.get("socket", "mysqld.sock"))

    @property
    def where(self) -> str:
        """What error messages call this server."""
        return f"{self.instance.name} ({self.dialect.title}, {self.socket})"

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            connection.close()

    def inspect(self) -> ServerInfo:
        version, directory, uptime = self.row(
            "SELECT @@version, @@datadir, (SELECT variable_value FROM information_schema.global_status"
            " WHERE variable_name = 'UPTIME')"
        )
        databases = [name for (name,) in self.rows("SHOW DATABASES") if name not in _SYSTEM]
        return ServerInfo(
            version=version.split("-")[0],
            data_directory=directory,
            role="replica" if self.is_replica() else "primary",
            size_bytes=data_size(directory, self._log_basename()),
            databases=tuple(databases),
            system_identifier=self.system_identifier(),
            started=datetime.fromtimestamp(int(time.time()) - int(uptime), timezone.utc),
        )

    def system_identifier(self) -> str:
        """The identity that its marker schema gave this database; before there is one, that of the host and port."""
        if self._has("identity"):
            rows = self.rows("SELECT id FROM holdfast.identity LIMIT 1")
            if rows:
                return str(rows[0][0])
        return str(self.row(f"SELECT {self.dialect.server_uid}")[0])

    def is_replica(self) -> bool:
        """Whether it follows another server and takes no writes of its own."""
        return bool(self.row("SELECT @@read_only")[0]) and bool(self.rows(self.dialect.replica_status))

    def log_position(self) -> str:
        rows = self.rows(self.dialect.log_status)
        if not rows:
            return ""
        gtid = self.row(f"SELECT {self.dialect.gtid}")[0]
        return f"{rows[0][0]}:{rows[0][1]}" + (f" {gtid}" if gtid else "")

    def log_directory(self) -> tuple[str, str] | None:
        """Directory and base name of the binary log; None when it is off."""
        path = self._log_basename()
        return os.path.split(path) if path else None

    def log_names(self) -> list[str]:
        """Names of the binary log files that the server knows, oldest first; the last one is being written."""
        return [row[0] for row in self.rows("SHOW BINARY LOGS")] if self._log_basename() else []

    def close_log_file(self) -> None:
        """Begin a new binary log file, so that what is written so far is in a closed one."""
        self.execute("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")

    def log_exposure(self, newest_saved: str | None) -> LogExposure:
        """See the protocol. ``newest_saved`` is the end of a file, ``mysql-bin.000012:345``."""
        place = self.log_directory()
        if place is None:
            return LogExposure(0, 0.0, "log_bin is off: no change since the newest backup is saved", newest_saved)
        directory, names = place[0], self.log_names()
        sizes = {row[0]: int(row[1]) for row in self.rows("SHOW BINARY LOGS")}
        failing = None
        start = len(binlog.MAGIC)
        unsaved = names
        if newest_saved:
            saved, offset = binlog.parse_position(newest_saved)
            later = [name for name in names if binlog.split_name(name)[1] > binlog.split_name(saved)[1]]
            if saved in names:
                unsaved, start = [saved, *later], offset
                if sizes[saved] < offset:
                    failing, unsaved, start = _RESET, names, len(binlog.MAGIC)
            elif not later:
                failing = _RESET
            else:
                unsaved = later
                if binlog.split_name(later[0])[1] != binlog.split_name(saved)[1] + 1:
                    failing = f"{later[0]} follows {saved} in the repository: the server purged what was between"
        changed = binlog.unsaved_change([os.path.join(directory, name) for name in unsaved], start)
        if changed is None:
            return LogExposure(0, 0.0, failing, newest_saved)
        lost = sum(sizes.get(name, 0) for name in unsaved) - (start if unsaved[0] in sizes else 0)
        return LogExposure(max(0, lost), max(0.0, time.time() - changed), failing, newest_saved)

    def settings(self, wanted: Mapping[str, str]) -> list[Setting]:
        on_disk = written(files.read(self.configuration_file()) or "")
        result = []
        for name, value in wanted.items():
            current = str(self.row(f"SELECT @@GLOBAL.{name}")[0])
            if same_meaning(name, value, current):
                result.append(Setting(name, current, current, restart=False))
                continue
            restart = not is_dynamic(name)
            pending = restart and same_meaning(name, value, on_disk.get(name, ""))
            result.append(Setting(name, current, value, restart=restart, pending=pending))
        return result

    def configuration_file(self) -> str:
        """The file with the parameters that backups need. The server reads it before the administrator's own."""
        directory = self.instance.options.get("configuration_directory", "/etc/mysql/mariadb.conf.d")
        return os.path.join(directory, f"05-holdfast-{self.instance.name}.cnf")

    def apply_settings(self, settings: Sequence[Setting]) -> None:
        """Set what can be set while the server runs. The file that outlives a restart is written by root beforehand."""
        for item in settings:
            if item.current != item.wanted and not item.restart:
                self.execute(f"SET GLOBAL {item.name} = %s", (_value(item.wanted),))

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

    def ensure_marker(self) -> bool:
        if self.is_replica() or (self._has("marker") and self._has("identity")):
            return False
        self.execute("CREATE DATABASE IF NOT EXISTS holdfast")
        self.execute(
            "CREATE TABLE IF NOT EXISTS holdfast.marker (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
            " written TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY (written)) ENGINE=InnoDB"
            " COMMENT 'Heartbeat of Holdfast: shows after a restore what was lost'"
        )
        self.execute(
            "CREATE TABLE IF NOT EXISTS holdfast.identity (id CHAR(36) PRIMARY KEY) ENGINE=InnoDB"
            " COMMENT 'Tells this database from any other'"
        )
        if not self.rows("SELECT id FROM holdfast.identity"):
            self.execute("INSERT INTO holdfast.identity SELECT uuid()")
        return True

    def write_marker(self) -> Marker | None:
        if self.is_replica():
            return None
        self.ensure_marker()
        self.execute("DELETE FROM holdfast.marker WHERE written < now() - INTERVAL 30 DAY")
        self.execute("INSERT INTO holdfast.marker () VALUES ()")
        return _marker(self.row("SELECT id, written FROM holdfast.marker WHERE id = last_insert_id()"))

    def newest_marker(self) -> Marker | None:
        if not self._has("marker"):
            return None
        rows = self.rows("SELECT id, written FROM holdfast.marker ORDER BY id DESC LIMIT 1")
        return _marker(rows[0]) if rows else None

    def tables(self) -> Mapping[str, int]:
        return {f"{schema}.{table}": int(rows) for schema, table, rows in self.rows(_USER_TABLES)}

    def row_counts(self) -> Mapping[str, int]:
        counts = {}
        for schema, table, _ in self.rows(_USER_TABLES):
            (count,) = self.row(f"SELECT count(*) FROM {quoted(schema, table)}", patience=None)  # noqa: S608  quoted
            counts[f"{schema}.{table}"] = int(count)
        return counts

    def check(self) -> CheckResult:
        """Run CHECK TABLE ... EXTENDED over every base table, system tables included."""
        tables = self.rows(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('information_schema', 'performance_schema') ORDER BY 1, 2"
        )
        problems: list[str] = []
        for schema, table in tables:
            try:
                answer = self.rows(f"CHECK TABLE {quoted(schema, table)} EXTENDED", patience=None)
            except ServerUnavailable as error:
                # InnoDB ends the server rather than read some kinds of damage.
                problems.append(f"{schema}.{table}: the server went away while checking it ({error.what})")
                break
            problems.extend(check_problems(answer))
        return CheckResult("CHECK TABLE ... EXTENDED", len(tables), tuple(problems))

    def scratch(self, directory: str, *, expected_size: int) -> Scratch:
        try:
            live: str | None = str(self.row("SELECT @@datadir")[0])
        except HoldfastError:
            live = None
        return MariaDBScratch(
            self.instance,
            directory,
            live_data_directory=live,
            expected_size=expected_size,
            connect=lambda sockets, name: type(self)(
                replace(self.instance, socket_directory=sockets, options=dict(self.instance.options, socket=name))
            ),
        )

    def rescuer(self) -> MariaDBRescuer:
        return MariaDBRescuer(self)

    def rows(
        self, statement: str, arguments: Sequence[object] = (), *, patience: float | None = _QUERY_SECONDS
    ) -> list[tuple[Any, ...]]:
        """The rows that a statement returns; ``patience`` is in seconds, None waits for ever."""
        with self._errors():
            connection = self._connect()
            connection._read_timeout = patience  # noqa: SLF001  the driver has no other way to change it
            with connection.cursor() as cursor:
                cursor.execute(statement, tuple(arguments) or None)
                return list(cursor.fetchall())

    def row(
        self, statement: str, arguments: Sequence[object] = (), *, patience: float | None = _QUERY_SECONDS
    ) -> tuple[Any, ...]:
        """The first row that a statement returns."""
        return self.rows(statement, arguments, patience=patience)[0]

    def execute(self, statement: str, arguments: Sequence[object] = ()) -> None:
        """Run a statement that returns nothing."""
        self.rows(statement, arguments)

    def _log_basename(self) -> str:
        return str(self.row("SELECT @@log_bin_basename")[0] or "")

    def _has(self, table: str) -> bool:
        return bool(
            self.rows(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = 'holdfast' AND table_name = %s", (table,)
            )
        )

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

    def _connect(self) -> Any:
        if self._connection is None or not self._connection.open:
            self._connection = self._driver().connect(
                unix_socket=self.socket,
                user=self.instance.os_user,
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_QUERY_SECONDS,
                charset="utf8mb4",
                autocommit=True,
                init_command="SET time_zone = '+00:00'",
            )
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        driver = self._driver()
        try:
            yield
        except driver.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if code in _UNAVAILABLE or code == 0:
                self.close()
            raise translate(code, str(error.args[-1] if error.args else error), self.where) from None

    def _driver(self) -> Any:
        try:
            return import_module("pymysql")
        except ImportError:
            raise NotInstalled(
                f"the {self.dialect.title} driver is not installed",
                remedy=f"Install the package {self.dialect.driver_package}",
            ) from None


def translate(code: int, message: str, where: str) -> HoldfastError:
    """The error of ours that a driver's error stands for; ``code`` is the server's or client's error number."""
    if code in _DENIED:
        return AccessDenied(
            message,
            where=where,
            remedy="Run as the owner of the data directory; its account must use unix_socket and have all privileges",
        )
    if code in _UNAVAILABLE or code == 0:
        return ServerUnavailable(
            message, where=where, remedy="Check that the server runs: systemctl status mariadb, and its error log"
        )
    return CommandFailed(f"{message} (error {code})", where=where)


def quoted(*names: str) -> str:
    """Names joined by dots, each an identifier that SQL takes literally."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def check_problems(answer: Sequence[Sequence[Any]]) -> list[str]:
    """What the rows of one CHECK TABLE complain about: errors and warnings, and a status that is not OK."""
    problems = []
    for table, _, kind, text in answer:
        fine = str(text) in ("OK", "Table is already up to date")
        if kind in ("error", "Error", "warning", "Warning") or (kind == "status" and not fine):
            problems.append(f"{table}: {text}")
    return problems


def _marker(row: Sequence[Any]) -> Marker:
    return Marker(int(row[0]), row[1].replace(tzinfo=timezone.utc))


def _value(text: str) -> object:
    return int(text) if text.isdigit() else text
