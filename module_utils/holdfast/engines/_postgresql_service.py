"""Restarting a PostgreSQL cluster through whatever manages it on this host."""

from __future__ import annotations

import json
import os
import re

from .. import process
from ..errors import HoldfastError, RestartRequired

_UNIT = re.compile(r"/([^/]+\.service)(?:/|$)")


def unit_of(cgroup: str) -> str | None:
    """The systemd service in the text of /proc/<pid>/cgroup, of either cgroup version."""
    for line in cgroup.splitlines():
        match = _UNIT.search(line)
        if match:
            return match[1]
    return None


def cluster_of(listing: str, data_directory: str) -> str | None:
    """``15 main`` from the output of ``pg_lsclusters --json`` for a data directory."""
    for cluster in json.loads(listing):
        if os.path.realpath(cluster["pgdata"]) == os.path.realpath(data_directory):
            return f"{cluster['version']} {cluster['cluster']}"
    return None


def restart_service(data_directory: str, pid: int, where: str) -> None:
    """Restart the cluster whose postmaster is ``pid``. Raises RestartRequired when nothing known manages it."""
    unit = _systemd_unit(pid)
    if unit:
        process.run(["systemctl", "restart", unit]).check()
        return
    try:
        listing = process.run(["pg_lsclusters", "--json"]).check().stdout
    except HoldfastError:
        listing = "[]"
    cluster = cluster_of(listing, data_directory)
    if not cluster:
        raise RestartRequired(
            f"no service manager is known for the cluster in {data_directory}",
            where=where,
            remedy="Restart the server by hand",
        )
    process.run(["pg_ctlcluster", *cluster.split(), "restart"]).check()


def _systemd_unit(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as stream:
            unit = unit_of(stream.read())
        if unit is None:
            return None
        # A server started by hand lives in the unit of the login or job that started it, which must not be restarted.
        main = process.run(["systemctl", "show", "--property=MainPID", "--value", unit]).check().stdout
        return unit if main.strip() == str(pid) else None
    except (OSError, HoldfastError):
        return None
