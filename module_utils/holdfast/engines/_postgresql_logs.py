"""The logs of PostgreSQL: where messages go and who rotates them, what holds the write-ahead log, and how it goes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import Refused, Unsupported
from ..files import File
from . import _postgresql_wal as wal
from ._postgresql_session import Session, literal, quoted, session
from .logs import ENGINE, JOURNAL, LOGROTATE, SYSLOG, Holder, LogSpace, Need, Purge, Source

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_PARAMETERS = (
    "logging_collector", "log_destination", "log_directory", "log_filename", "log_rotation_age", "log_rotation_size",
    "log_truncate_on_rotation", "data_directory", "shared_preload_libraries", "log_statement", "archive_mode",
    "archive_timeout", "max_wal_size", "max_slot_wal_keep_size", "checkpoint_timeout", "wal_segment_size",
)  # fmt: skip
_WAL = "SELECT count(*), coalesce(sum(size), 0)::bigint FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
_RATE = """
    SELECT (CASE WHEN pg_is_in_recovery() THEN 0 ELSE w.wal_bytes END)::float8
           / greatest(1, extract(epoch FROM now() - w.stats_reset))
      FROM pg_stat_wal w
"""
# What a slot holds is counted from the position up to which the server must keep its log.
_SLOTS = """
    SELECT slot_name, slot_type, active, coalesce(wal_status, ''), coalesce(database, ''),
           coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                         ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint
      FROM pg_replication_slots WHERE NOT temporary ORDER BY 1
"""
_ARCHIVER = """
    SELECT coalesce(last_failed_wal, ''), last_failed_time IS NOT NULL
           AND (last_archived_time IS NULL OR last_failed_time > last_archived_time),
           (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')
      FROM pg_stat_archiver
"""
_REDO = "SELECT pg_walfile_name(redo_lsn) FROM pg_control_checkpoint()"
_NAMES = "SELECT name, size FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' ORDER BY 1"
_OWN_LOG = "postgresql-holdfast.log"


class PostgreSQLLogs:
    """See the protocol."""

    def __init__(self, engine: PostgreSQL) -> None:
        self._engine = engine

    def sources(self) -> tuple[Sequence[Source], Mapping[str, str]]:
        with session(self._engine, "postgres") as asked:
            found = _settings(asked)
            pid = int(asked.row("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")[0])
        audited = _audited(found)
        source = self._server(found, pid, bool(audited))
        missing = {"slow": "slow statements are lines of the server's log (log_min_duration_statement)"}
        if not audited:
            missing["audit"] = "nothing is audited: pgaudit is not loaded and log_statement is none"
        elif source.rotated_by in (JOURNAL, SYSLOG):
            missing["audit"] = f"the audit trail is no file: the server writes to the {source.rotated_by}"
        return [source], missing

    def _server(self, found: Mapping[str, str], pid: int, audited: bool) -> Source:
        owner = self._engine.instance.os_user
        kind = "audit" if audited else "server"
        if found["log_destination"] == "syslog":
            return Source(kind, "", SYSLOG, "log_destination is syslog", program="postgres", also_audit=audited)
        if found["logging_collector"] == "on":
            return self._collected(kind, found, audited)
        path = _standard_error(pid)
        if not path.startswith("/"):
            why = "the server writes to standard error, which its service gives to the journal"
            return Source(kind, "", JOURNAL, why, program="postgres", also_audit=audited)
        return Source(
            kind, path, LOGROTATE, user=owner, group="adm", su="root root", distribution=("postgresql-common",),
            also_audit=audited,
        )  # fmt: skip

    def _collected(self, kind: str, found: Mapping[str, str], audited: bool) -> Source:
        directory = os.path.join(found["data_directory"], found["log_directory"])
        owner = self._engine.instance.os_user
        if found["log_rotation_age"] == "0" and found["log_rotation_size"] == "0":
            if "%" in found["log_filename"]:
                return Source(kind, "", ENGINE, "every start of the server begins a new file", also_audit=audited)
            path = os.path.join(directory, found["log_filename"])
            return Source(
                kind,
                path,
                LOGROTATE,
                user=owner,
                group=owner,
                su=f"{owner} {owner}",
                reopen=self._rotate(),
                also_audit=audited,
            )
        pattern = os.path.join(directory, _as_glob(found["log_filename"]))
        adopt = {"log_rotation_age": "0", "log_rotation_size": "0", "log_filename": _OWN_LOG}
        parameters = {name: found[name] for name in ("log_rotation_age", "log_rotation_size")}
        why = "logging_collector is on and rotates by log_rotation_age and log_rotation_size"
        return Source(
            kind, "", ENGINE, why, user=owner, group=owner, su=f"{owner} {owner}", reopen=self._rotate(),
            parameters=parameters, names=pattern, also_audit=audited, adopt=adopt,
            adopted=os.path.join(directory, _OWN_LOG),
        )  # fmt: skip

    def _rotate(self) -> tuple[str, ...]:
        """The command by which the collector goes on in a new file."""
        owner, port, sockets = self._engine.instance.os_user, self._engine.instance.port, self._engine.socket_directory
        ask = f"psql -XAtq -h {sockets} -p {port} -d postgres -c 'SELECT pg_rotate_logfile()' >/dev/null"
        return (f"runuser -u {owner} -- {ask}",)

    def space(self) -> LogSpace:
        with session(self._engine, "postgres") as asked:
            found = _settings(asked)
            files, size = asked.row(_WAL)
            rate = float(asked.row(_RATE)[0] or 0.0) if int(asked.row("SHOW server_version_num")[0]) >= 140000 else 0.0
            slots = asked.rows(_SLOTS)
            failed, failing, ready = asked.row(_ARCHIVER)
        limit = int(found["max_slot_wal_keep_size"])
        timeout = int(found["checkpoint_timeout"])
        archive_timeout = int(found["archive_timeout"])
        waiting = f"archiving of {failed} fails, {ready} segments wait" if failing else ""
        return LogSpace(
            directory=os.path.join(found["data_directory"], "pg_wal"),
            size=int(size),
            files=int(files),
            rate=rate,
            redo_size=int(found["max_wal_size"]) << 20,
            redo_rate=rate,
            # A checkpoint by time comes before one by size, with the half that an ongoing one still needs.
            redo_wanted=int(rate * timeout * 2),
            redo_parameter="max_wal_size",
            interval=float(archive_timeout) if archive_timeout else None,
            archiving=found["archive_mode"] != "off",
            failing=waiting,
            holders=tuple(_holder(row, limit) for row in slots),
            slots_limited=limit >= 0,
            unlimited_reason="PostgreSQL removes nothing that is not archived",
            directories=(found["data_directory"], os.path.join(found["data_directory"], "pg_wal")),
        )

    def need(self) -> Need | None:
        """None: what a replica needs, its slot at the primary says."""
        return None

    def limit_rotation(self, source: Source, *, size: int, keep: int, minutes: int) -> Mapping[str, str]:
        del keep  # the names of the files say how many there are; what is older goes by its age
        if "log_rotation_size" not in source.parameters:
            return {}
        return {"log_rotation_age": str(minutes), "log_rotation_size": str(size >> 10)}

    def apply(self, parameters: Mapping[str, str]) -> None:
        with session(self._engine, "postgres") as asked:
            for name, value in parameters.items():
                asked.run(f"ALTER SYSTEM SET {quoted(name)} TO {literal(value)}")
            asked.run("SELECT pg_reload_conf()")

    def lasting(self, parameters: Mapping[str, str]) -> File | None:
        del parameters
        return None  # ALTER SYSTEM has done it

    def plan_purge(self, needs: Sequence[Need], drop: Sequence[str]) -> Purge:
        del needs
        with session(self._engine, "postgres") as asked:
            if asked.row("SELECT pg_is_in_recovery()")[0] and drop:
                raise Refused("a replica's slots are not dropped", where=self._engine.where, remedy="Ask its primary")
            size = int(_settings(asked)["wal_segment_size"])
            redo, slots, names = str(asked.row(_REDO)[0]), asked.rows(_SLOTS), asked.rows(_NAMES)
            failed, failing, ready = asked.row(_ARCHIVER)
        statements = [
            f"SELECT pg_drop_replication_slot({literal(name)})" for name in _droppable(slots, drop, self._engine.where)
        ]
        kept = {
            str(row[0]): f"slot holds {int(row[5])} bytes, {'in use' if row[2] else 'not in use'}"
            for row in slots
            if row[0] not in drop
        }
        notes = []
        if failing:
            notes.append(
                f"archiving of {failed} fails and {ready} segments wait: mend that first, they are in no repository"
            )
        # A checkpoint lets go of what lies before its own beginning; the server decides, and removes it itself.
        current = wal.Segment.parse(redo, size).number
        waiting = sum(int(item[1]) for item in names if wal.Segment.parse(str(item[0]), size).number < current)
        return Purge(size=waiting, kept=kept, statements=(*statements, "CHECKPOINT"), notes=tuple(notes))

    def purge(self, planned: Purge) -> int:
        with session(self._engine, "postgres") as asked:
            before = int(asked.row(_WAL)[1])
            asked.run(*planned.statements)
            return max(0, before - int(asked.row(_WAL)[1]))


def _settings(asked: Session) -> dict[str, str]:
    found = asked.rows("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(_PARAMETERS),))
    return {str(name): str(value) for name, value in found}


def _audited(found: Mapping[str, str]) -> str:
    libraries = [item.strip() for item in found.get("shared_preload_libraries", "").split(",")]
    if "pgaudit" in libraries:
        return "pgaudit"
    return "" if found["log_statement"] == "none" else f"log_statement is {found['log_statement']}"


def _standard_error(pid: int) -> str:
    try:
        # A file that somebody has removed is made again, under the same name, when the server starts again.
        return os.readlink(f"/proc/{pid}/fd/2").replace(" (deleted)", "")
    except OSError as error:
        raise Unsupported("postgresql", "its log", f"where the server writes to cannot be read: {error}") from None


def _as_glob(name: str) -> str:
    text, escaped = "", False
    for letter in name:
        if escaped:
            text, escaped = text + ("%" if letter == "%" else "*"), False
        elif letter == "%":
            escaped = True
        else:
            text += letter
    return text


def _holder(row: Sequence[object], limit: int) -> Holder:
    name, kind, active, state, database, size = row
    what = f"{kind} slot" + (f" of database {database}" if database else "")
    return Holder(str(name), bool(active), int(str(size)), limit << 20 if limit >= 0 else None, what, str(state))


def _droppable(slots: Sequence[Sequence[object]], drop: Sequence[str], where: str) -> list[str]:
    known = {str(row[0]): bool(row[2]) for row in slots}
    unknown = [name for name in drop if name not in known]
    used = [name for name in drop if known.get(name)]
    if unknown:
        raise Refused(
            f"there is no slot {', '.join(unknown)}", where=where, remedy=f"There are {', '.join(known) or 'none'}"
        )
    if used:
        raise Refused(
            f"{', '.join(used)} is in use",
            where=where,
            remedy="End its consumer first: what it still needs would be gone",
        )
    return list(drop)
