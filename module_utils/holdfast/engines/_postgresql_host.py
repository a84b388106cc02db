"""A PostgreSQL cluster as its host knows it: place, service, and who else uses it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ServerUnavailable, Unsupported
from ..model import Instance, Place, Reached
from ..owner import run_as_owner
from ._postgresql_programs import installed_version, major
from ._postgresql_service import (
    Cluster,
    cluster_on_port,
    create_cluster,
    restart_service,
    start_cluster,
    stop_cluster,
)

_RESTART_SECONDS = 300
# Holdfast itself and pgBackRest look at the server; they change nothing that a restore could lose.
_CLIENTS = """
    SELECT format('%s in %s from %s (%s)', usename, datname, coalesce(client_addr::text, 'this host'),
                  coalesce(nullif(application_name, ''), 'unnamed'))
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name !~ '^(holdfast|pgBackRest)'
     ORDER BY 1
"""
_REPLICAS = """
    SELECT format('%s at %s', coalesce(nullif(application_name, ''), 'unnamed'),
                  coalesce(client_addr::text, 'this host'))
      FROM pg_stat_replication WHERE application_name <> 'pg_basebackup' ORDER BY 1
"""


class PostgreSQLHost:
    """The part of the engine that looks at the server from outside."""

    instance: Instance

    if TYPE_CHECKING:

        @property
        def where(self) -> str: ...

        def close(self) -> None: ...

        def data_directory(self) -> str: ...

        def _row(self, query: Any, parameters: Sequence[Any] = (), database: str = "postgres") -> tuple[Any, ...]: ...

        def _execute(self, query: Any, database: str = "postgres") -> None: ...

        def _rows(
            self, query: Any, parameters: Sequence[Any] = (), database: str = "postgres"
        ) -> list[tuple[Any, ...]]: ...

    def place(self) -> Place:
        cluster = self._cluster()
        return Place(cluster.data_directory, cluster.unit, cluster.running)

    def create(self, version: str | None) -> bool:
        cluster = cluster_on_port(self.instance.port)
        if cluster:
            # The first start leaves this file: without it, an attempt that did not finish has made the cluster.
            return not os.path.exists(os.path.join(cluster.data_directory, "postmaster.opts"))
        create_cluster(self.instance, version or installed_version())
        return True

    def unfit(self, version: str) -> str | None:
        own = self._cluster().version
        if major(version) == own:
            return None
        return f"its data files are of PostgreSQL {major(version)}, and the cluster here is one of PostgreSQL {own}"

    def stop(self) -> None:
        self.close()
        stop_cluster(self._cluster())

    def start(self) -> None:
        start_cluster(self._cluster())
        run_as_owner(self.instance, self._await_answer)

    def restart(self) -> None:
        # Root manages the service, and only the owner can log in.
        directory, pid = run_as_owner(self.instance, self._postmaster)
        self.close()
        restart_service(directory, pid, self.where)
        run_as_owner(self.instance, self._await_answer)

    def replicas(self) -> Sequence[str]:
        return [str(text) for (text,) in self._rows(_REPLICAS)]

    def clients(self) -> Sequence[str]:
        return [str(text) for (text,) in self._rows(_CLIENTS)]

    def query(self, statement: str, database: str | None = None) -> str:
        rows = self._rows(statement, database=database or "postgres")
        return "" if not rows or rows[0][0] is None else str(rows[0][0])

    def adopt(self, reached: Reached) -> None:
        """Nothing: the timeline that the recovery began tells the log from what was written before."""

    def _cluster(self) -> Cluster:
        cluster = cluster_on_port(self.instance.port)
        if cluster is None:
            raise Unsupported(
                self.where,
                "a restore in place",
                f"no cluster on port {self.instance.port} is known to pg_lsclusters",
                remedy="Make the cluster first, with pg_createcluster where the host is Debian or Ubuntu",
            )
        return cluster

    def _postmaster(self) -> tuple[str, int]:
        row = self._row(
            "SELECT current_setting('data_directory'), split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"
        )
        return str(row[0]), int(row[1])

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _RESTART_SECONDS
        while True:
            try:
                self._row("SELECT 1")
            except ServerUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return
