"""The one place where an engine's name meets its adapters."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..errors import Unsupported
from ..model import Instance
from ..tools.base import Tool
from . import catalog
from .audit import Auditor
from .base import Engine
from .logs import LogKeeper
from .patching import Maintained
from .replication import Peer, Replication
from .upgrading import Upgradable

MakeEngine = Callable[[Instance], Engine]
MakeMember = Callable[[Instance, Peer, Any], Replication]
MakeTool = Callable[[Instance, Any], Tool]  # of an instance and its engine
MakeAuditor = Callable[[Any], Auditor]  # of an engine
MakeLogKeeper = Callable[[Any], LogKeeper]  # of an engine
MakeMaintained = Callable[[Instance], Maintained]
MakeUpgradable = Callable[[Instance], Upgradable]


class Adapters(NamedTuple):
    """The adapters of an engine. Each entry imports its adapter when it is called, and returns what makes one."""

    engine: Callable[[], MakeEngine]
    physical: Callable[[], MakeTool]
    logical: Callable[[], MakeTool]


def adapters(name: str) -> Adapters:
    """The adapters of an engine. Raises Unsupported for one that has none."""
    try:
        return _ADAPTERS[name]
    except KeyError:
        raise Unsupported(
            name,
            "every ability",
            "this engine has no adapter yet",
            remedy=f"Supported are {', '.join(catalog.supported())}",
        ) from None


def load(name: str) -> None:
    """Import every adapter of an engine. Raises Unsupported for one that has none."""
    for adapter in (*adapters(name), _REPLICATION[name], _AUDITORS[name], _LOG_KEEPERS[name], *_PATCHING[name]):
        adapter()


def replication(instance: Instance, peer: Peer, ask: Callable[..., Any] | None = None) -> Replication:
    """An instance as member of a pair; ``ask`` has root do what it needs. Raises Unsupported without an adapter."""
    if instance.engine not in _REPLICATION:
        raise Unsupported(instance.engine, "replication", "this engine has no adapter for it yet")
    return _REPLICATION[instance.engine]()(instance, peer, ask)


def auditor(engine: Engine) -> Auditor:
    """What reads accounts and rights of a server. Raises Unsupported without an adapter."""
    if engine.name not in _AUDITORS:
        raise Unsupported(engine.name, "access audit", "this engine has no adapter for it yet")
    return _AUDITORS[engine.name]()(engine)


def log_keeper(engine: Engine) -> LogKeeper:
    """What looks after the logs of a server. Raises Unsupported without an adapter."""
    if engine.name not in _LOG_KEEPERS:
        raise Unsupported(engine.name, "log management", "this engine has no adapter for it yet")
    return _LOG_KEEPERS[engine.name]()(engine)


def maintained(instance: Instance) -> Maintained:
    """An instance whose server is stopped and started around new packages. Raises Unsupported without an adapter."""
    if instance.engine not in _PATCHING:
        raise Unsupported(instance.engine, "patching", "this engine has no adapter for it yet")
    return _PATCHING[instance.engine][0]()(instance)


def upgradable(instance: Instance) -> Upgradable:
    """An instance of which somebody plans a major upgrade. Raises Unsupported without an adapter."""
    if instance.engine not in _PATCHING:
        raise Unsupported(instance.engine, "the check before a major upgrade", "this engine has no adapter for it yet")
    return _PATCHING[instance.engine][1]()(instance)


# The imports are static, so that Ansible ships the adapters to a host, and local, so that a job loads only its own.


def _postgresql() -> MakeEngine:
    from .postgresql import PostgreSQL

    return PostgreSQL


def _pgbackrest() -> MakeTool:
    from ..tools.pgbackrest import PgBackRest

    return PgBackRest


def _pg_dump() -> MakeTool:
    from ..tools.pg_dump import PgDump

    return PgDump


def _mariadb() -> MakeEngine:
    from .mariadb import MariaDB

    return MariaDB


def _mariadb_backup() -> MakeTool:
    from ..tools.mariadb_backup import MariaDBBackup

    return MariaDBBackup


def _mariadb_dump() -> MakeTool:
    from ..tools.mariadb_dump import MariaDBDump

    return MariaDBDump


def _postgresql_pair() -> MakeMember:
    from ._postgresql_replica import PostgreSQLReplication

    return PostgreSQLReplication


def _mariadb_pair() -> MakeMember:
    from ._mariadb_replica import MariaDBReplication

    return MariaDBReplication


def _postgresql_auditor() -> MakeAuditor:
    from ._postgresql_audit import PostgreSQLAuditor

    return PostgreSQLAuditor


def _mariadb_auditor() -> MakeAuditor:
    from ._mariadb_audit import MariaDBAuditor

    return MariaDBAuditor


def _postgresql_log_keeper() -> MakeLogKeeper:
    from ._postgresql_logs import PostgreSQLLogs

    return PostgreSQLLogs


def _mariadb_log_keeper() -> MakeLogKeeper:
    from ._mariadb_logs import MariaDBLogs

    return MariaDBLogs


def _postgresql_patching() -> MakeMaintained:
    from ._postgresql_patching import PostgreSQLPatching

    return PostgreSQLPatching


def _mariadb_patching() -> MakeMaintained:
    from ._mariadb_patching import MariaDBPatching

    return MariaDBPatching


def _postgresql_upgrade() -> MakeUpgradable:
    from ._postgresql_upgrade import PostgreSQLUpgrade

    return PostgreSQLUpgrade


def _mariadb_upgrade() -> MakeUpgradable:
    from ._mariadb_upgrade import MariaDBUpgrade

    return MariaDBUpgrade


_ADAPTERS = {
    "postgresql": Adapters(_postgresql, _pgbackrest, _pg_dump),
    "mariadb": Adapters(_mariadb, _mariadb_backup, _mariadb_dump),
}
_REPLICATION = {"postgresql": _postgresql_pair, "mariadb": _mariadb_pair}
_AUDITORS = {"postgresql": _postgresql_auditor, "mariadb": _mariadb_auditor}
_LOG_KEEPERS = {"postgresql": _postgresql_log_keeper, "mariadb": _mariadb_log_keeper}
_PATCHING: dict[str, tuple[Callable[[], MakeMaintained], Callable[[], MakeUpgradable]]] = {
    "postgresql": (_postgresql_patching, _postgresql_upgrade),
    "mariadb": (_mariadb_patching, _mariadb_upgrade),
}
