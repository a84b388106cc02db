"""MariaDB 10.6 and newer over its unix socket."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from .. import files
from ..errors import HoldfastError, ServerUnavailable, Unsupported
from ..model import CheckResult, LogExposure, Marker, Reached, ServerInfo, Setting
from . import _binlog as binlog
from . import _mariadb_history as history
from ._mariadb_configuration import MariaDBConfiguration
from ._mariadb_connection import quoted
from ._mariadb_host import data_size
from ._mariadb_rescue import MariaDBRescuer
from ._mariadb_scratch import MariaDBScratch
from ._mariadb_settings import configuration_directory, is_dynamic, same_meaning, written
from ._mariadb_staging import MariaDBStaging
from .base import Scratch, Staging

_SYSTEM = ("information_schema", "performance_schema", "mysql", "sys", "holdfast")
_USER_TABLES = """
    SELECT table_schema, table_name, coalesce(table_rows, 0) FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema NOT IN
           ('information_schema', 'performance_schema', 'mysql', 'sys', 'holdfast') ORDER BY 1, 2
"""
_RESET = "the server began a new binary log (RESET MASTER): changes before it that were not saved are gone"


class MariaDB(MariaDBConfiguration):
    """See the protocol. Logs in as the operating system user that owns the server (unix_socket authentication)."""

    name = MariaDBConfiguration.dialect.name

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
                if binlog.begins_history(later[0]):
                    failing = f"{later[0]} follows {saved} in the repository: the server was restored in between"
                elif binlog.split_name(later[0])[1] != binlog.split_name(saved)[1] + 1:
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
        return os.path.join(configuration_directory(self.instance), f"05-holdfast-{self.instance.name}.cnf")

    def apply_settings(self, settings: Sequence[Setting]) -> None:
        """Set what can be set while the server runs. The file that outlives a restart is written by root beforehand."""
        for item in settings:
            if item.current != item.wanted and not item.restart:
                self.execute(f"SET GLOBAL {item.name} = %s", (_value(item.wanted),))

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
            connect=self._beside,
        )

    def rescuer(self) -> MariaDBRescuer:
        return MariaDBRescuer(self)

    def staging(self, directory: str, *, expected_size: int, onto_live: bool = False) -> Staging:
        if onto_live:
            raise Unsupported(
                self.name,
                "a restore onto the live files",
                "mariadb-backup restores whole directories only",
                remedy="Make room for a second copy of the data",
            )
        return MariaDBStaging(
            self.instance,
            directory,
            live_data_directory=self.place().data_directory,
            expected_size=expected_size,
            connect=self._beside,
        )

    def adopt(self, reached: Reached) -> None:
        history.begin(self, reached)

    def _beside(self, sockets: str, name: str) -> MariaDB:
        options = dict(self.instance.options, socket=name)
        return type(self)(replace(self.instance, socket_directory=sockets, options=options))

    def _log_basename(self) -> str:
        return str(self.row("SELECT @@log_bin_basename")[0] or "")

    def _has(self, table: str) -> bool:
        return bool(
            self.rows(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = 'holdfast' AND table_name = %s", (table,)
            )
        )


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
