"""The one place where an engine's name meets its adapters."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..errors import Unsupported
from ..model import Instance
from ..tools.base import Tool
from . import catalog
from .base import Engine
from .replication import Peer, Replication


class Adapters(NamedTuple):
    """The adapters of an engine, to be called with an instance: ``physical(instance, engine(instance))``."""

    engine: Callable[[Instance], Engine]
    physical: Callable[[Instance, Any], Tool]
    logical: Callable[[Instance, Any], Tool]


def adapters(name: str) -> Adapters:
    """The adapters of an engine. Raises Unsupported for one that has none.

    The imports are static, so that Ansible ships the adapters to a host, and local, so that a job loads only its own.
    """
    if name == "postgresql":
        from ..tools.pg_dump import PgDump
        from ..tools.pgbackrest import PgBackRest
        from .postgresql import PostgreSQL

        return Adapters(PostgreSQL, PgBackRest, PgDump)
    if name == "mariadb":
        from ..tools.mariadb_backup import MariaDBBackup
        from ..tools.mariadb_dump import MariaDBDump
        from .mariadb import MariaDB

        return Adapters(MariaDB, MariaDBBackup, MariaDBDump)
    raise Unsupported(
        name,
        "every ability",
        "this engine has no adapter yet",
        remedy=f"Supported are {', '.join(catalog.supported())}",
    )


def load(name: str) -> None:
    """Import everything of an engine. Raises Unsupported for one that has no adapter."""
    adapters(name)
    if name == "postgresql":
        from . import _postgresql_replica  # noqa: F401
    if name == "mariadb":
        from . import _mariadb_replica  # noqa: F401


def replication(instance: Instance, peer: Peer, ask: Callable[..., Any] | None = None) -> Replication:
    """An instance as member of a pair; ``ask`` has root do what it needs. Raises Unsupported without an adapter."""
    if instance.engine == "postgresql":
        from ._postgresql_replica import PostgreSQLReplication

        return PostgreSQLReplication(instance, peer, ask)
    if instance.engine == "mariadb":
        from ._mariadb_replica import MariaDBReplication

        return MariaDBReplication(instance, peer, ask)
    raise Unsupported(instance.engine, "replication", "this engine has no adapter for it yet")
