"""Plain facts of each engine, for code that must not load an adapter: validation, documentation, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..model import BackupType

_ALL = frozenset(BackupType)
_NO_INCREMENTAL = _ALL - {BackupType.INCREMENTAL}
_FULL_ONLY = _NO_INCREMENTAL - {BackupType.DIFFERENTIAL}


@dataclass(frozen=True)
class EngineFacts:
    """What is known of an engine before any server is looked at.

    ``types`` are the backups that its tools take. The log is backed up at most every ``log_interval``, and has
    ``log_upload`` to reach the repository: their sum is the smallest RPO that can be promised.
    """

    name: str
    title: str
    supported: bool
    port: int
    os_user: str
    physical_tool: str
    logical_tool: str
    types: frozenset[BackupType]
    log_interval: timedelta = timedelta(minutes=1)
    log_upload: timedelta = timedelta(minutes=1)

    @property
    def smallest_rpo(self) -> timedelta:
        """The smallest RPO that can be promised with a continuous log backup."""
        return self.log_interval + self.log_upload


ENGINES: Mapping[str, EngineFacts] = {
    facts.name: facts
    for facts in (
        EngineFacts("postgresql", "PostgreSQL", True, 5432, "postgres", "pgbackrest", "pg_dump", _ALL),
        EngineFacts("mariadb", "MariaDB", True, 3306, "mysql", "mariadb-backup", "mariadb-dump", _ALL),
        EngineFacts("mysql", "MySQL", False, 3306, "mysql", "xtrabackup", "mysqldump", _ALL),
        EngineFacts("mongodb", "MongoDB", False, 27017, "mongodb", "mongodump", "mongodump", _FULL_ONLY),
        EngineFacts("mssql", "SQL Server", False, 1433, "mssql", "mssql_native", "sqlpackage", _NO_INCREMENTAL),
        EngineFacts("oracle", "Oracle", False, 1521, "oracle", "rman", "datapump", _ALL),
    )
}


def supported() -> tuple[str, ...]:
    """Names of the engines that have adapters, in the order of the catalogue."""
    return tuple(name for name, facts in ENGINES.items() if facts.supported)
