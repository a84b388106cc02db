"""PostgreSQL 12 and newer over its unix socket."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from .. import process
from ..errors import HoldfastError, NotInstalled, Unsupported
from ..model import CheckResult, Instance, LogExposure, Marker, Reached, ServerInfo, Setting
from . import _postgresql_settings as meaning
from . import _postgresql_wal as wal
from ._postgresql_check import problems
from ._postgresql_configuration import PostgreSQLConfiguration
from ._postgresql_errors import driver, translate
from ._postgresql_programs import major, program
from ._postgresql_rescue import PostgreSQLRescuer
from ._postgresql_scratch import PostgreSQLScratch
from ._postgresql_staging import PostgreSQLStaging
from .base import Scratch, Staging

log = logging.getLogger(__name__)

SOCKET_DIRECTORY = "/var/run/postgresql"
_CONNECT_SECONDS = 5
_QUERY_SECONDS = 60
_USER_TABLES = """
    SELECT format('%s.%s.%s', current_database(), n.nspname, c.relname), format('%I.%I', n.nspname, c.relname),
           greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::bigint
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'holdfast') AND n.nspname NOT LIKE 'pg_toast%'
     ORDER BY 1
"""
_LOG_STATE = """
    SELECT r.replica,
           CASE WHEN r.replica THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                ELSE pg_current_wal_lsn() END::text,
           CASE WHEN r.replica THEN (SELECT timeline_id FROM pg_control_checkpoint())
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END,
           (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
           current_setting('archive_mode'), current_setting('data_directory'), now(),
           a.last_archived_wal, a.last_archived_time, a.last_failed_wal, a.last_failed_time
      FROM (SELECT pg_is_in_recovery() AS replica) r, pg_stat_archiver a
"""
_RACE_SECONDS = 60.0  # a segment archived after the repository was asked is no lost one


class PostgreSQL(PostgreSQLConfiguration):
    """A PostgreSQL cluster, as the operating system user that owns it (peer authentication)."""

    name = "postgresql"

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._connections: dict[str, Any] = {}

    @property
    def socket_directory(self) -> str:
        return self.instance.socket_directory or SOCKET_DIRECTORY

    @property
    def where(self) -> str:
        return f"{self.instance.name} (PostgreSQL, port {self.instance.port})"

    def close(self) -> None:
        while self._connections:
            self._connections.popitem()[1].close()

    def inspect(self) -> ServerInfo:
        version, directory, replica, size, identifier, started = self._row(
            "SELECT current_setting('server_version'), current_setting('data_directory'), pg_is_in_recovery(),"
            " (SELECT sum(pg_database_size(oid))::bigint FROM pg_database),"
            " (SELECT system_identifier::text FROM pg_control_system()), pg_postmaster_start_time()"
        )
        return ServerInfo(
            version=version.split()[0],
            data_directory=directory,
            role="replica" if replica else "primary",
            size_bytes=size,
            databases=tuple(self.databases()),
            system_identifier=identifier,
            started=started,
        )

    def databases(self) -> list[str]:
        """The databases that users can have data in: all but the templates."""
        found = self._rows("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1")
        return [name for (name,) in found]

    def data_directory(self) -> str:
        return str(self._row("SELECT current_setting('data_directory')")[0])

    def system_identifier(self) -> str:
        return str(self._row("SELECT system_identifier FROM pg_control_system()")[0])

    def segment_size(self) -> int:
        """Bytes of one log segment."""
        return int(self._row("SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'")[0])

    def log_position(self) -> str:
        return str(self._row(_LOG_STATE)[1])

    def log_exposure(self, newest_saved: str | None) -> LogExposure:
        """See the protocol. ``newest_saved`` is a WAL segment name; seconds count from the first commit not in it."""
        (replica, text, timeline, size, archive_mode, data, now, archived, archived_at, failed, failed_at) = self._row(
            _LOG_STATE
        )
        current = wal.parse_lsn(text)
        believed = wal.segment_name(archived)
        failing = None
        if archive_mode == "off":
            failing = "archive_mode is off, so no log leaves the server"
        elif not replica and failed_at and (archived_at is None or failed_at > archived_at):
            failing = f"archiving of {failed} fails, last at {failed_at:%Y-%m-%d %H:%M:%S %Z}"
        saved: int | None = None
        if newest_saved:
            history = self._history(timeline)
            saved = wal.saved_up_to(newest_saved, timeline, history, size)
            if saved is None:
                failing = failing or (
                    f"the repository holds log of timeline {int(newest_saved[:8], 16)},"
                    f" which this server (timeline {timeline}) was never on"
                )
            elif (
                believed
                and wal.Segment.parse(believed, size) > wal.Segment.parse(newest_saved, size)
                and (now - archived_at).total_seconds() > _RACE_SECONDS
            ):
                failing = failing or (
                    f"the server believes {believed} archived, the repository ends at {newest_saved}: log was dropped"
                )
        start = saved if saved is not None else self._oldest_on_disk(size)
        lost = max(0, current - start)
        seconds = self._unsaved_seconds(data, timeline, start, now, archived_at) if lost else 0.0
        return LogExposure(lost, seconds, failing, newest_saved, believed)

    def settings(self, wanted: Mapping[str, str]) -> list[Setting]:
        rows = self._rows(
            "SELECT s.name, s.setting, s.unit, s.vartype, s.context, s.pending_restart,"
            " (SELECT f.setting FROM pg_file_settings f WHERE f.name = s.name ORDER BY f.seqno DESC LIMIT 1)"
            " FROM pg_settings s WHERE s.name = ANY(%s)",
            (list(wanted),),
        )
        found = {row[0]: row[1:] for row in rows}
        unknown = sorted(set(wanted) - set(found))
        if unknown:
            raise Unsupported(self.name, f"parameter {unknown[0]}", "this server version has no such parameter")
        result = []
        for name, value in wanted.items():
            current, unit, vartype, context, pending, written = found[name]
            if meaning.same_meaning(name, value, current, vartype=vartype, unit=unit):
                result.append(Setting(name, current, current, restart=False))
                continue
            # What archive_command is cannot be seen while archive_mode is off, and takes effect with it.
            hidden = current == "(disabled)"
            waits = (pending or hidden) and written is not None
            waits = bool(waits and meaning.same_meaning(name, value, written, vartype=vartype, unit=unit))
            result.append(Setting(name, current, value, restart=hidden or context == "postmaster", pending=waits))
        return result

    def apply_settings(self, settings: Sequence[Setting]) -> None:
        changes = [item for item in settings if item.current != item.wanted and not item.pending]
        if not changes:
            return
        sql = driver("psycopg2.sql")
        for item in changes:
            statement = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(item.name), sql.Literal(item.wanted))
            self._execute(statement)
        self._execute("SELECT pg_reload_conf()")
        self._await_reload({item.name: item.wanted for item in changes if not item.restart})

    def ensure_marker(self) -> bool:
        if self.is_replica() or self._has_marker_table():
            return False
        self._execute("CREATE SCHEMA IF NOT EXISTS holdfast")
        self._execute(
            "CREATE TABLE IF NOT EXISTS holdfast.marker ("
            " id bigserial PRIMARY KEY, written timestamptz NOT NULL DEFAULT clock_timestamp(),"
            " lsn pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn())"
        )
        self._execute(
            "COMMENT ON TABLE holdfast.marker IS 'Heartbeat of Holdfast: shows after a restore what was lost'"
        )
        self._execute("INSERT INTO holdfast.marker DEFAULT VALUES")
        return True

    def write_marker(self) -> Marker | None:
        if self.is_replica():
            return None
        self.ensure_marker()
        # Flushed here, not waited for on a standby: a standby that is away must not stop the backups.
        self._execute("SET synchronous_commit TO local")
        self._execute("DELETE FROM holdfast.marker WHERE written < now() - interval '30 days'")
        return Marker(*self._row("INSERT INTO holdfast.marker DEFAULT VALUES RETURNING id, written"))

    def newest_marker(self) -> Marker | None:
        if not self._has_marker_table():
            return None
        rows = self._rows("SELECT id, written FROM holdfast.marker ORDER BY id DESC LIMIT 1")
        return Marker(*rows[0]) if rows else None

    def tables(self) -> Mapping[str, int]:
        return {
            key: rows for database in self._each_database() for key, _, rows in self._rows(_USER_TABLES, (), database)
        }

    def row_counts(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for database in self._each_database():
            self._execute("SET statement_timeout = 0", database=database)
            for key, quoted, _ in self._rows(_USER_TABLES, database=database):
                # The server quoted the name itself, by format(%I).
                query = f"SELECT count(*) FROM ONLY {quoted}"  # noqa: S608
                counts[key] = self._row(query, database=database)[0]
        return counts

    def check(self) -> CheckResult:
        """Run pg_amcheck over every database. Installs the amcheck extension where it is missing."""
        version = self._row("SELECT current_setting('server_version')")[0].split()[0]
        if int(major(version)) < 14:
            raise Unsupported(self.name, "check", f"pg_amcheck came with PostgreSQL 14, this is {version}")
        argv = [program("pg_amcheck", version), "--all", "--heapallindexed", "--install-missing", "--no-password"]
        argv += [f"--host={self.socket_directory}", f"--port={self.instance.port}", f"--jobs={os.cpu_count() or 1}"]
        result = process.run(argv, env={"PGAPPNAME": "holdfast", "PGUSER": self.instance.os_user})
        if result.returncode not in (0, 2):
            result.check()
        found = problems(result.stdout)
        if result.returncode == 2 and not found:
            found = (process.last_words(result.stderr or result.stdout),)
        objects = sum(
            self._row("SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm', 't', 'S', 'i')", database=database)[0]
            for database in self._each_database()
        )
        return CheckResult("pg_amcheck --heapallindexed", objects, found)

    def scratch(self, directory: str, *, expected_size: int) -> Scratch:
        try:
            live: str | None = self.data_directory()
        except HoldfastError:
            live = None
        return PostgreSQLScratch(
            self.instance, directory, live_data_directory=live, expected_size=expected_size, connect=self._elsewhere
        )

    def staging(self, directory: str, *, expected_size: int, onto_live: bool = False) -> Staging:
        staging = PostgreSQLStaging(
            self.instance,
            directory,
            live_data_directory=self.place().data_directory,
            expected_size=expected_size,
            connect=self._elsewhere,
        )
        if onto_live:
            staging.restore_onto_live()
        return staging

    def _elsewhere(self, sockets: str, port: int) -> PostgreSQL:
        return PostgreSQL(replace(self.instance, socket_directory=sockets, port=port))

    def rescuer(self) -> PostgreSQLRescuer:
        return PostgreSQLRescuer(self)

    def switch_log(self) -> str:
        """Close the current log segment, so that it is archived, and return the name of the newest closed one."""
        return str(self._row("SELECT pg_walfile_name(pg_switch_wal())")[0])

    def recovery_state(self) -> tuple[bool, str]:
        """Whether the server still recovers, and the position it has replayed up to."""
        recovering, position = self._row("SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn(), '0/0')::text")
        return bool(recovering), str(position)

    def reached(self) -> Reached:
        """Where the recovery of this server ended; asked of the server process that recovered."""
        moment, position, timeline = self._row(
            "SELECT pg_last_xact_replay_timestamp(), coalesce(pg_last_wal_replay_lsn(), '0/0')::text,"
            " left(pg_walfile_name(pg_current_wal_lsn()), 8)"
        )
        return Reached(str(position), moment, str(int(timeline, 16)))

    def is_replica(self) -> bool:
        return bool(self._row("SELECT pg_is_in_recovery()")[0])

    def _each_database(self) -> Iterator[str]:
        """The databases in turn. Connections to them are not kept: they would be in the way of DROP DATABASE."""
        for database in self.databases():
            try:
                yield database
            finally:
                connection = self._connections.pop(database, None) if database != "postgres" else None
                if connection is not None:
                    connection.close()

    def _has_marker_table(self) -> bool:
        return bool(self._row("SELECT to_regclass('holdfast.marker') IS NOT NULL")[0])

    def _history(self, timeline: int) -> str:
        if timeline == 1:
            return ""
        return str(self._row("SELECT pg_read_file(%s, 0, 1000000, true)", (f"pg_wal/{timeline:08X}.history",))[0] or "")

    def _oldest_on_disk(self, size: int) -> int:
        rows = self._rows("SELECT min(right(name, 16)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'")
        name = rows[0][0]
        return wal.Segment.parse("00000001" + name, size).number * size if name else 0

    def _unsaved_seconds(
        self, data: str, timeline: int, start: int, now: datetime, archived_at: datetime | None
    ) -> float:
        """Age of the first commit from ``start`` on, read from the log itself; 0.0 when there is none."""
        version = self._row("SELECT current_setting('server_version')")[0].split()[0]
        try:
            argv = [program("pg_waldump", version), f"--path={data}/pg_wal", f"--timeline={timeline}"]
            argv += [f"--start={wal.format_lsn(start)}", "--rmgr=Transaction"]
            with process.start(argv, env={"TZ": "UTC"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as dump:
                assert dump.stdout is not None
                text = [line.decode("utf-8", "replace") for line in dump.stdout]
        except NotInstalled as error:
            log.warning("%s", error)
            text = ["pg_waldump: error: could not find file"]
        committed = wal.first_commit(text)
        if committed is None and any("could not find file" in line or "could not open" in line for line in text):
            committed = self._saved_marker(start) or archived_at or now
        return max(0.0, (now - committed).total_seconds()) if committed else 0.0

    def _saved_marker(self, position: int) -> datetime | None:
        """Time of the newest marker in the log before the position: what was saved is at least as new as this."""
        if not self._has_marker_table():
            return None
        return self._row("SELECT max(written) FROM holdfast.marker WHERE lsn < %s", (wal.format_lsn(position),))[0]  # type: ignore[no-any-return]

    def _await_reload(self, wanted: Mapping[str, str]) -> None:
        # pg_reload_conf() only sends the signal; this session sees the values when the postmaster has passed it on.
        deadline = time.monotonic() + 5
        while wanted and time.monotonic() < deadline:
            if all(item.current == item.wanted for item in self.settings(wanted)):
                return
            time.sleep(0.1)

    def _row(self, query: Any, parameters: Sequence[Any] = (), database: str = "postgres") -> tuple[Any, ...]:
        return self._rows(query, parameters, database)[0]

    def _rows(self, query: Any, parameters: Sequence[Any] = (), database: str = "postgres") -> list[tuple[Any, ...]]:
        with self._errors(), self._connection(database).cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def _execute(self, query: Any, database: str = "postgres") -> None:
        with self._errors(), self._connection(database).cursor() as cursor:
            cursor.execute(query)

    def _connection(self, database: str) -> Any:
        known = self._connections.get(database)
        if known is not None and not known.closed:
            return known
        connection = driver("psycopg2").connect(
            host=self.socket_directory,
            port=self.instance.port,
            dbname=database,
            user=self.instance.os_user,
            connect_timeout=_CONNECT_SECONDS,
            application_name="holdfast",
            options=f"-c statement_timeout={_QUERY_SECONDS}s -c lock_timeout=5s -c client_min_messages=warning",
        )
        connection.autocommit = True
        self._connections[database] = connection
        return connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except driver("psycopg2").Error as error:
            if error.pgcode is None or (error.pgcode[:2] in ("08", "57") and error.pgcode != "57014"):
                self.close()
            raise translate(error.pgcode, str(error), self.where) from None
