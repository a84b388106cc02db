"""What stands in the way of a later major version of PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

from ..audit.model import Check, Finding, Severity
from ..errors import InvalidInput, Unsupported
from ..model import Instance
from ._postgresql_programs import major
from ._postgresql_session import session
from .postgresql import PostgreSQL

_CONTROL = "/usr/share/postgresql/{target}/extension"
# Parameters that a major version does not know any more, from its release notes: the server would not start.
_REMOVED: Mapping[int, tuple[str, ...]] = {
    13: ("wal_keep_segments",),
    14: ("operator_precedence_warning", "vacuum_cleanup_index_scale_factor"),
    15: ("stats_temp_directory",),
    16: ("force_parallel_mode", "promote_trigger_file", "vacuum_defer_cleanup_age"),
    17: ("db_user_namespace", "old_snapshot_threshold"),
}
# pg_upgrade refuses columns of types whose stored form it cannot carry over.
_TYPES = (
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
)
_COLUMNS = """
    SELECT format('%%I.%%I.%%I', n.nspname, c.relname, a.attname), t.typname
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_type t ON t.oid = a.atttypid
     WHERE c.relkind IN ('r', 'm', 'i') AND NOT a.attisdropped AND c.oid >= 16384
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_t(oast|emp)'
       AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typname = ANY (%s) ORDER BY 1
"""
_FACTS = (
    "SELECT count(*), coalesce(max(pg_relation_size(oid)), 0)::bigint FROM pg_class WHERE relkind IN ('r', 'm', 'i')"
)


def _check(id_: str, title: str, severity: Severity, why: str, remedy: str, asks: str) -> Check:
    return Check(id_, title, severity, why, remedy, asks, {"iso_27001": ("8.8", "8.32"), "pci_dss": ("6.5.1",)})


_CHECKS = (
    _check(
        "PU01",
        "Extension that the later version does not have",
        Severity.HIGH,
        "pg_upgrade refuses, and a dump does not load.",
        "Install the package of the extension for the later version, or drop the extension.",
        "pg_extension, and the files of the later version",
    ),
    _check(
        "PU02",
        "Column of a type that pg_upgrade refuses",
        Severity.HIGH,
        "What is stored in it is a number that means another thing afterwards.",
        "Change the type of the column, to text for example.",
        _COLUMNS,
    ),
    _check(
        "PU03",
        "Parameter that the later version does not know",
        Severity.HIGH,
        "The server does not start with it.",
        "Take it out of the configuration that the later version gets.",
        "pg_settings, against the parameters that were removed",
    ),
    _check(
        "PU04",
        "Prepared transaction",
        Severity.HIGH,
        "pg_upgrade refuses while there is one.",
        "Commit it or roll it back.",
        "SELECT gid, owner, database FROM pg_prepared_xacts",
    ),
    _check(
        "PU05",
        "Logical replication slot",
        Severity.MEDIUM,
        "Up to 16 it is lost with the upgrade; from 17 on it must have sent everything.",
        "Plan its subscribers' new start.",
        "SELECT slot_name, plugin FROM pg_replication_slots WHERE slot_type = 'logical'",
    ),
    _check(
        "PU06",
        "Password stored as MD5",
        Severity.LOW,
        "18 warns of them, and a later version will not take them.",
        "Have it set anew with password_encryption = scram-sha-256.",
        "pg_authid",
    ),
)


class PostgreSQLUpgrade:
    """See the protocol."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.engine = PostgreSQL(instance)

    def valid(self, target: str) -> None:
        own = int(major(self.engine.inspect().version))
        if not target.isdigit() or int(target) <= own:
            raise InvalidInput(
                f"{target!r} is no later major version than {own}",
                where=self.instance.name,
                remedy="Give one such as 17",
            )

    def checks(self) -> Sequence[Check]:
        return _CHECKS

    def answer(self, check: Check, target: str) -> Sequence[Finding]:
        return list(_ANSWERS[check.id](self, check, target))

    def facts(self) -> dict[str, Any]:
        relations, largest = 0, 0
        for database in self.engine.databases():
            with session(self.engine, database) as own:
                count, size = own.row(_FACTS)
            relations, largest = relations + int(count), max(largest, int(size))
        return {"relations": relations, "largest_bytes": largest}

    def _extensions(self, check: Check, target: str) -> Iterator[Finding]:
        directory = _CONTROL.format(target=target)
        used = []
        for database in self.engine.databases():
            with session(self.engine, database) as own:
                rows = own.rows("SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
            used += [(database, name, version) for name, version in rows]
        if used and not os.path.isdir(directory):
            names = ", ".join(sorted({name for _, name, _ in used}))
            raise Unsupported(
                self.engine.name,
                "the comparison of extensions",
                f"PostgreSQL {target} is not installed here, so nobody knows whether it has {names}",
            )
        for database, name, version in used:
            if not os.path.exists(os.path.join(directory, f"{name}.control")):
                text = f"{version} is used, and PostgreSQL {target} on this host does not have it"
                yield Finding(check.id, name, text, check.severity, database=database)

    def _columns(self, check: Check, target: str) -> Iterator[Finding]:
        names = [*_TYPES, *(["aclitem"] if int(target) >= 16 and self._own() < 16 else [])]
        for database in self.engine.databases():
            with session(self.engine, database) as own:
                for column, kind in own.rows(_COLUMNS, (names,)):
                    yield Finding(check.id, column, f"is of the type {kind}", check.severity, database=database)

    def _parameters(self, check: Check, target: str) -> Iterator[Finding]:
        gone = {name: at for at, names in _REMOVED.items() if self._own() < at <= int(target) for name in names}
        query = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s) AND source NOT IN ('default', 'override')"
        with session(self.engine, "postgres") as own:
            for name, setting in own.rows(query, (list(gone),)):
                yield Finding(check.id, name, f"is {setting}, and was removed in {gone[name]}", check.severity)

    def _prepared(self, check: Check, _target: str) -> Iterator[Finding]:
        with session(self.engine, "postgres") as own:
            for gid, owner, database in own.rows("SELECT gid, owner, database FROM pg_prepared_xacts ORDER BY 1"):
                yield Finding(check.id, gid, f"of {owner} is prepared", check.severity, database=database)

    def _slots(self, check: Check, _target: str) -> Iterator[Finding]:
        query = "SELECT slot_name, plugin FROM pg_replication_slots WHERE slot_type = 'logical' ORDER BY 1"
        with session(self.engine, "postgres") as own:
            for name, plugin in own.rows(query):
                yield Finding(check.id, name, f"is used with {plugin}", check.severity)

    def _passwords(self, check: Check, _target: str) -> Iterator[Finding]:
        with session(self.engine, "postgres") as own:
            for name in own.names("SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'md5%' ORDER BY 1"):
                yield Finding(check.id, name, "has a password that is stored as MD5", check.severity, account=name)

    def _own(self) -> int:
        return int(major(self.engine.inspect().version))


_ANSWERS: Mapping[str, Callable[[PostgreSQLUpgrade, Check, str], Iterator[Finding]]] = {
    "PU01": PostgreSQLUpgrade._extensions,  # noqa: SLF001
    "PU02": PostgreSQLUpgrade._columns,  # noqa: SLF001
    "PU03": PostgreSQLUpgrade._parameters,  # noqa: SLF001
    "PU04": PostgreSQLUpgrade._prepared,  # noqa: SLF001
    "PU05": PostgreSQLUpgrade._slots,  # noqa: SLF001
    "PU06": PostgreSQLUpgrade._passwords,  # noqa: SLF001
}
