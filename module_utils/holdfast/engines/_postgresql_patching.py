"""A PostgreSQL cluster that is stopped and started around new packages."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from .. import process
from ..errors import HoldfastError, ServerUnavailable
from ..model import Instance
from ..owner import run_as_owner
from ._postgresql_programs import program
from ._postgresql_service import cluster_on_port, start_cluster
from ._postgresql_session import session
from .patching import Drained
from .postgresql import PostgreSQL

_TOOLS = ("pgbackrest", "postgresql-common", "postgresql-client-common", "python3-psycopg2", "restic")
_OTHERS = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
_LONG = f"""
    SELECT format('process %%s of %%s in %%s, open since %%s (%%s)', pid, usename, datname,
                  to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'), state)
      FROM pg_stat_activity WHERE {_OTHERS} AND now() - xact_start > %s * interval '1 second' ORDER BY xact_start
"""  # noqa: S608
# Found first and ended then: in one condition the server may end a session, this one too, before it asks what it is.
_END_IDLE = f"""
    WITH idle AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE {_OTHERS} AND state = 'idle')
    SELECT count(*) FROM idle WHERE pg_terminate_backend(pid)
"""  # noqa: S608
_LEFT = f"SELECT count(*) FROM pg_stat_activity WHERE {_OTHERS}"  # noqa: S608
_POLL_SECONDS = 0.1


class PostgreSQLPatching:
    """See the protocol."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.engine = PostgreSQL(instance)

    def executable(self) -> str:
        cluster = cluster_on_port(self.instance.port)
        return program("postgres", cluster.version if cluster else "")

    def packages(self) -> Sequence[str]:
        return _TOOLS

    def long_transactions(self, seconds: float) -> Sequence[str]:
        with session(self.engine, "postgres") as own:
            return own.names(_LONG, (seconds,))

    def drain(self, patience: float) -> Drained:
        """A smart shutdown: the postmaster lets nobody in and ends with its last session, which is this one."""
        idle, deadline = 0, time.monotonic() + patience
        with session(self.engine, "postgres") as own:
            line = own.row("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")[0]
            os.kill(int(line), signal.SIGTERM)
            while True:
                idle += int(own.row(_END_IDLE)[0])
                left = int(own.row(_LEFT)[0])
                if not left or time.monotonic() > deadline:
                    return Drained(idle, left)
                time.sleep(_POLL_SECONDS)

    def undrain(self) -> None:
        """Nothing: a shutdown that has begun cannot be taken back, and the server is started again."""

    def stop(self) -> None:
        self.engine.stop()

    def start(self, patience: float) -> None:
        cluster = cluster_on_port(self.instance.port)
        if cluster is None:
            raise ServerUnavailable(f"no cluster on port {self.instance.port} is known", where=self.instance.name)
        unit = os.path.isdir("/run/systemd/system")
        if unit:
            process.run(["systemctl", "reset-failed", cluster.unit])
        start_cluster(cluster)
        run_as_owner(self.instance, lambda: self._await(patience))

    def _await(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                with session(self.engine, "postgres") as own:
                    own.row("SELECT 1")
            except HoldfastError:
                if time.monotonic() > deadline:
                    raise ServerUnavailable(
                        f"the server does not answer {patience:.0f} s after its start", where=self.engine.where
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                return
