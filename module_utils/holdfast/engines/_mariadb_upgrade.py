"""What stands in the way of a later major version of MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

from ..audit.model import Check, Finding, Severity
from ..errors import InvalidInput
from ..model import Instance
from ._mariadb_connection import quoted
from ._mariadb_service import option_lines
from .mariadb import MariaDB, check_problems

Version = tuple[int, ...]

# Options that a major version does not know any more, from its release notes: the server would not start.
_REMOVED: Mapping[Version, tuple[str, ...]] = {
    (10, 6): (
        "innodb_adaptive_max_sleep_delay",
        "innodb_buffer_pool_instances",
        "innodb_commit_concurrency",
        "innodb_concurrency_tickets",
        "innodb_log_files_in_group",
        "innodb_log_optimize_ddl",
        "innodb_page_cleaners",
        "innodb_replication_delay",
        "innodb_scrub_log",
        "innodb_scrub_log_speed",
        "innodb_sync_array_size",
        "innodb_thread_concurrency",
        "innodb_thread_sleep_delay",
        "innodb_undo_logs",
    ),
    (11, 0): ("innodb_change_buffer_max_size", "innodb_change_buffering"),
    (11, 1): (
        "innodb_defragment",
        "innodb_defragment_fill_factor",
        "innodb_defragment_fill_factor_n_recs",
        "innodb_defragment_frequency",
        "innodb_defragment_n_pages",
        "innodb_defragment_stats_accuracy",
    ),
    (11, 3): ("date_format", "datetime_format", "max_tmp_tables", "time_format"),
}
_KNOWN = ("InnoDB", "Aria", "MyISAM", "MEMORY", "CSV", "ARCHIVE", "MRG_MyISAM", "BLACKHOLE", "SEQUENCE", "FEDERATED")
_OTHERS = """
    SELECT table_schema, table_name, engine FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND engine IS NOT NULL
       AND table_schema NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys') ORDER BY 1, 2
"""
_OLD_PASSWORDS = """
    SELECT concat(User, '@', Host) FROM mysql.global_priv
     WHERE json_value(Priv, '$.plugin') = 'mysql_old_password' ORDER BY 1
"""
_PLUGINS = """
    SELECT plugin_name, plugin_library FROM information_schema.plugins
     WHERE plugin_library IS NOT NULL AND plugin_status = 'ACTIVE' ORDER BY 1
"""
_USER_TABLES = """
    SELECT table_schema, table_name FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('information_schema', 'performance_schema', 'sys')
     ORDER BY 1, 2
"""
_FACTS = "SELECT count(*), coalesce(max(data_length + index_length), 0) FROM information_schema.tables"


def _check(id_: str, title: str, severity: Severity, why: str, remedy: str, asks: str) -> Check:
    return Check(id_, title, severity, why, remedy, asks, {"iso_27001": ("8.8", "8.32"), "pci_dss": ("6.5.1",)})


_CHECKS = (
    _check(
        "MU01",
        "Option that the later version does not know",
        Severity.HIGH,
        "The server does not start with it.",
        "Take it out of the configuration files.",
        "my_print_defaults --mysqld, against the options that were removed",
    ),
    _check(
        "MU02",
        "Table that has to be upgraded",
        Severity.HIGH,
        "Its form is of an older version, and the server itself says so.",
        "Let mariadb-upgrade do it, and plan the time that it takes.",
        "CHECK TABLE ... FOR UPGRADE",
    ),
    _check(
        "MU03",
        "Table of a storage engine that may not be there",
        Severity.MEDIUM,
        "Engines come and go with major versions, and packages.",
        "Make sure that the later version has it, or turn the table into InnoDB.",
        _OTHERS,
    ),
    _check(
        "MU04",
        "Account with a password of before 4.1",
        Severity.HIGH,
        "Later versions do not let it in.",
        "Have the password set anew.",
        _OLD_PASSWORDS,
    ),
    _check(
        "MU05",
        "Plugin from a library",
        Severity.LOW,
        "It must be there for the later version, or the server starts without it, or not at all.",
        "Look whether the packages of the later version have it.",
        _PLUGINS,
    ),
)


class MariaDBUpgrade:
    """See the protocol."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.engine = MariaDB(instance)

    def valid(self, target: str) -> None:
        own = self._own()
        parts = target.split(".")
        if len(parts) != 2 or not all(part.isdigit() for part in parts) or _version(target) <= own:
            shown = ".".join(map(str, own))
            raise InvalidInput(
                f"{target!r} is no later major version than {shown}",
                where=self.instance.name,
                remedy="Give one such as 11.8",
            )

    def checks(self) -> Sequence[Check]:
        return _CHECKS

    def answer(self, check: Check, target: str) -> Sequence[Finding]:
        return list(_ANSWERS[check.id](self, check, target))

    def facts(self) -> dict[str, Any]:
        count, largest = self.engine.row(_FACTS)
        return {"relations": int(count), "largest_bytes": int(largest)}

    def _options(self, check: Check, target: str) -> Iterator[Finding]:
        own, later = self._own(), _version(target)
        gone = {name: at for at, names in _REMOVED.items() if own < at <= later for name in names}
        for line in option_lines([]):
            name = line.lstrip("-").partition("=")[0].replace("-", "_").removeprefix("loose_")
            if name in gone and not line.startswith("--loose"):
                text = f"is set in the configuration, and was removed in {'.'.join(map(str, gone[name]))}"
                yield Finding(check.id, name, text, check.severity)

    def _tables(self, check: Check, _target: str) -> Iterator[Finding]:
        for schema, table in self.engine.rows(_USER_TABLES):
            answer = self.engine.rows(f"CHECK TABLE {quoted(schema, table)} FOR UPGRADE", patience=None)
            for problem in check_problems(answer):
                yield Finding(check.id, f"{schema}.{table}", problem, check.severity, database=schema)

    def _engines(self, check: Check, _target: str) -> Iterator[Finding]:
        for schema, table, engine in self.engine.rows(_OTHERS):
            if engine not in _KNOWN:
                yield Finding(
                    check.id, f"{schema}.{table}", f"is of the engine {engine}", check.severity, database=schema
                )

    def _passwords(self, check: Check, _target: str) -> Iterator[Finding]:
        for (account,) in self.engine.rows(_OLD_PASSWORDS):
            yield Finding(check.id, account, "has a password of before 4.1", check.severity, account=account)

    def _plugins(self, check: Check, _target: str) -> Iterator[Finding]:
        for name, library in self.engine.rows(_PLUGINS):
            yield Finding(check.id, name, f"is loaded from {library}", check.severity)

    def _own(self) -> Version:
        return _version(self.engine.inspect().version)[:2]


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


_ANSWERS: Mapping[str, Callable[[MariaDBUpgrade, Check, str], Iterator[Finding]]] = {
    "MU01": MariaDBUpgrade._options,  # noqa: SLF001
    "MU02": MariaDBUpgrade._tables,  # noqa: SLF001
    "MU03": MariaDBUpgrade._engines,  # noqa: SLF001
    "MU04": MariaDBUpgrade._passwords,  # noqa: SLF001
    "MU05": MariaDBUpgrade._plugins,  # noqa: SLF001
}
