"""The logs of MariaDB: where they are and who rotates them, and what of the binary log nobody needs any more."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import pair
from ..errors import HoldfastError, Refused, Unsupported
from ..files import File
from ..history import History
from ..model import Backup, Job
from ..records import Records
from ..tools import _mariadb_log_files as rules
from ..tools.mariadb_backup import MariaDBBackup
from . import _binlog as binlog
from ._binlog import LogFile
from .logs import ENGINE, JOURNAL, LOGROTATE, LogSpace, Need, Purge, Source

if TYPE_CHECKING:
    from .mariadb import MariaDB

_PACKAGES = ("mariadb", "mariadb-server", "mysql-server")
_STATUS = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = %s"
_VARIABLE = "SELECT variable_name, variable_value FROM information_schema.global_variables WHERE variable_name IN ({})"
_AUDIT = (
    "SERVER_AUDIT_LOGGING", "SERVER_AUDIT_OUTPUT_TYPE", "SERVER_AUDIT_FILE_PATH", "SERVER_AUDIT_FILE_ROTATE_SIZE",
    "SERVER_AUDIT_FILE_ROTATIONS",
)  # fmt: skip
_HOUR = 3600
_FILE = "holdfast-logs"


class MariaDBLogs:
    """See the protocol."""

    def __init__(self, engine: MariaDB) -> None:
        self._engine = engine

    def sources(self) -> tuple[Sequence[Source], Mapping[str, str]]:
        errors, slow, general, data = self._engine.row(
            "SELECT @@log_error, @@slow_query_log_file, @@general_log_file, @@datadir"
        )
        files = [self._file("slow", os.path.join(data, name)) for name in dict.fromkeys((slow, general))]
        found, missing = [self._server(str(errors or ""), data), *files], {}
        try:
            found.append(self._audit(data))
        except Unsupported as error:
            missing["audit"] = error.reason
        return found, missing

    def _server(self, errors: str, data: str) -> Source:
        if errors:
            return self._file("server", os.path.join(data, errors))
        return Source(
            "server", "", JOURNAL, "log_error is empty, so its service gives it to the journal", program="mariadbd"
        )

    def _file(self, kind: str, path: str) -> Source:
        owner, socket = self._engine.instance.os_user, self._engine.socket
        flush = "flush-error-log flush-slow-log flush-general-log"
        reopen = f"runuser -u {owner} -- mariadb-admin --no-defaults --socket={socket} --local {flush}"
        return Source(
            kind, path, LOGROTATE, user=owner, group=owner, su=f"{owner} {owner}", reopen=(reopen,),
            distribution=_PACKAGES, program="mariadbd",
        )  # fmt: skip

    def _audit(self, data: str) -> Source:
        marks = ", ".join(["%s"] * len(_AUDIT))
        found = {str(name).upper(): str(value) for name, value in self._engine.rows(_VARIABLE.format(marks), _AUDIT)}
        if not found:
            raise Unsupported("mariadb", "an audit log", "the plugin server_audit is not loaded")
        if found["SERVER_AUDIT_LOGGING"] != "ON":
            raise Unsupported("mariadb", "an audit log", "server_audit_logging is OFF")
        if found["SERVER_AUDIT_OUTPUT_TYPE"].lower() != "file":
            raise Unsupported("mariadb", "an audit log", "the audit trail is no file: server_audit writes to syslog")
        path = os.path.join(data, found["SERVER_AUDIT_FILE_PATH"])
        owner = self._engine.instance.os_user
        current = {name.lower(): found[name] for name in _AUDIT[3:]}
        why = "server_audit renames its own files and cannot be told to reopen one"
        return Source("audit", path, ENGINE, why, owner, owner, parameters=current, names=f"{path}.*", also_audit=True)

    def space(self) -> LogSpace:
        engine = self._engine
        data, expires, redo, redo_dir = engine.row(
            "SELECT @@datadir, @@binlog_expire_logs_seconds, @@innodb_log_file_size, @@innodb_log_group_home_dir"
        )
        uptime, written = (max(1, int(engine.row(_STATUS, (name,))[0])) for name in ("UPTIME", "INNODB_OS_LOG_WRITTEN"))
        place = engine.log_directory()
        sizes = {str(row[0]): int(row[1]) for row in engine.rows("SHOW BINARY LOGS")} if place else {}
        redo_rate = written / uptime
        return LogSpace(
            directory=place[0] if place else data,
            size=sum(sizes.values()),
            files=len(sizes),
            rate=_rate(place[0], sizes) if place else 0.0,
            keeps=float(expires) if place and int(expires) else None,
            redo_size=int(redo),
            redo_rate=redo_rate,
            redo_wanted=int(redo_rate * _HOUR),
            redo_parameter="innodb_log_file_size",
            archiving=place is not None,
            unlimited_reason="MariaDB has no slots: a replica that is away holds nothing",
            directories=tuple(dict.fromkeys((data, os.path.join(data, redo_dir or "."), place[0] if place else data))),
        )

    def need(self) -> Need | None:
        instance = self._engine.instance
        rows = self._engine.dict_rows(self._engine.dialect.replica_status)
        if not rows:
            return None
        # What was received and not applied is read again from the primary where the relay log is lost.
        files = [str(row["Relay_Master_Log_File"] or row["Master_Log_File"]) for row in rows]
        known = pair.read(instance)
        return Need(known.peer.name if known else instance.replica_of, instance.name, min(files))

    def limit_rotation(self, source: Source, *, size: int, keep: int, minutes: int) -> Mapping[str, str]:
        del minutes  # server_audit rotates by size alone
        if source.kind != "audit":
            return {}
        return {"server_audit_file_rotate_size": str(size), "server_audit_file_rotations": str(min(keep, 999))}

    def apply(self, parameters: Mapping[str, str]) -> None:
        for name, value in parameters.items():
            self._engine.execute(f"SET GLOBAL {name} = {int(value)}")

    def lasting(self, parameters: Mapping[str, str]) -> File | None:
        if not parameters:
            return None
        # Loose: the server must start also when the plugin is gone.
        lines = "".join(f"loose_{name} = {value}\n" for name, value in sorted(parameters.items()))
        path = os.path.join(
            os.path.dirname(self._engine.configuration_file()), f"06-{_FILE}-{self._engine.instance.name}.cnf"
        )
        return File(path, f"# Written by Holdfast; changes made here are lost.\n[mariadbd]\n{lines}")

    def plan_purge(self, needs: Sequence[Need], drop: Sequence[str]) -> Purge:
        if drop:
            raise Unsupported("mariadb", "dropping a slot", "MariaDB has no slots")
        place = self._engine.log_directory()
        if place is None:
            raise Unsupported("mariadb", "purging the binary log", "log_bin is off")
        paths = [os.path.join(place[0], name) for name in self._engine.log_names()]
        files = [file for file in (binlog.read(path, complete=False) for path in paths[:-1]) if file]
        unread = {os.path.basename(path) for path in paths[:-1]} - {file.name for file in files}
        if unread:
            raise HoldfastError(f"cannot be read: {', '.join(sorted(unread))}", where=self._engine.where)
        return decide(files, replace(self._facts(needs), current=os.path.basename(paths[-1])))

    def _facts(self, needs: Sequence[Need]) -> Facts:
        instance = self._engine.instance
        tool, history = MariaDBBackup(instance, self._engine), History.read(Records(instance))
        facts = Facts(needs=needs, readers=len(self._engine.rows(_READERS)))
        logged = instance.service_level.runs(Job.LOG)
        for repository in instance.repositories:
            verified = history.verified(repository.name)
            backups = tool.backups(repository)
            whole = [item for item in backups if not item.error]
            facts.backups.extend(item for item in whole if item.id in verified)
            if backups:
                facts.oldest[repository.name] = min(item.started for item in backups).timestamp()
            if logged:
                facts.saved[repository.name] = list(rules.saved(tool.store(repository).snapshots()))
            elif whole:
                facts.begins[repository.name] = max(whole, key=lambda item: item.finished)
        return facts

    def purge(self, planned: Purge) -> int:
        before = sum(int(row[1]) for row in self._engine.rows("SHOW BINARY LOGS"))
        for statement in planned.statements:
            self._engine.execute(statement)
        return max(0, before - sum(int(row[1]) for row in self._engine.rows("SHOW BINARY LOGS")))


_READERS = "SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'"


@dataclass
class Facts:
    """What decides which binary log files can go."""

    needs: Sequence[Need] = ()
    readers: int = 0  # connections that read the binary log
    current: str = ""  # the file that is being written
    backups: list[Backup] = field(default_factory=list)  # verified ones
    saved: dict[str, list[LogFile]] = field(default_factory=dict)  # by repository, where the log is backed up
    oldest: dict[str, float] = field(default_factory=dict)  # when the first backup of a repository began
    begins: dict[str, Backup] = field(default_factory=dict)  # the newest by repository, where the log is not backed up


def decide(files: Sequence[LogFile], facts: Facts) -> Purge:
    """Which of the closed files, oldest first, can go: a run of them from the oldest on, as the server purges.

    Raises Refused when it is not known what a replica needs.
    """
    _check_replicas(facts)
    newest = max(facts.backups, key=lambda item: item.finished, default=None)
    held = _last_file(newest)
    kept: dict[str, str] = {}
    going: list[LogFile] = []
    for number, file in enumerate(files):
        ended = files[number + 1].created if number + 1 < len(files) else None
        why = _why_kept(file, ended, held, newest, facts)
        if why or kept:
            kept[file.name] = why or "the server removes from the oldest on, and one before it stays"
        else:
            going.append(file)
    after = files[len(going)].name if len(going) < len(files) else facts.current
    statements = (f"PURGE BINARY LOGS TO '{after}'",) if going else ()
    return Purge(tuple(file.name for file in going), sum(file.size for file in going), kept, statements)


def _check_replicas(facts: Facts) -> None:
    for need in facts.needs:
        if need.problem or not need.file:
            raise Refused(
                f"what its replica {need.replica} still needs is not known: {need.problem or 'it does not say'}",
                where=need.primary,
                remedy="Bring the replica back, or take it out of the inventory",
            )
    if facts.readers > len(facts.needs):
        raise Refused(
            f"{facts.readers} replicas read the binary log and the inventory knows {len(facts.needs)}",
            remedy="Write the others into the inventory with replica_of, so that they can be asked what they need",
        )


def _why_kept(file: LogFile, ended: float | None, held: str, newest: Backup | None, facts: Facts) -> str:
    if newest is None:
        return "no backup is verified"
    if not held or not _before(file.name, held):
        return f"no verified backup holds it: the newest is {newest.id}, which ends in {held or 'an unknown file'}"
    for repository, saved in facts.saved.items():
        if ended is not None and ended < facts.oldest.get(repository, 0.0):
            continue  # every backup there has what is in it, and none is rolled forward with it
        if not any((item.created, item.name) == (file.created, file.name) and item.size >= file.size for item in saved):
            return f"it is not in repository {repository}"
    for need in facts.needs:
        if not _before(file.name, need.file):
            return f"replica {need.replica} still needs {need.file}"
        for repository, backup in facts.begins.items():
            # Nobody else has what a replica lacks that is made anew.
            if not _before(file.name, _last_file(backup) or file.name):
                return f"replica {need.replica} would need it when made from {backup.id}, the newest in {repository}"
    return ""


def _last_file(backup: Backup | None) -> str:
    return binlog.parse_position(backup.log_stop)[0] if backup and backup.log_stop else ""


def _before(name: str, other: str) -> bool:
    (base, number), (other_base, other_number) = binlog.split_name(name), binlog.split_name(other)
    return base == other_base and number < other_number


def _rate(directory: str, sizes: Mapping[str, int]) -> float:
    """Bytes of binary log a second since the oldest file that is still there was begun."""
    first: Any = next(iter(sizes), None)
    found = binlog.read(os.path.join(directory, first), complete=False) if first else None
    return sum(sizes.values()) / max(1.0, time.time() - found.created) if found else 0.0
