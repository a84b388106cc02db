"""PostgreSQL clusters and whatever manages them on this host."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

from .. import process
from ..errors import HoldfastError, RestartRequired
from ..model import Instance
from ._postgresql_programs import major, program

_SYSTEMD = "/run/systemd/system"
_UNIT = re.compile(r"/([^/]+\.service)(?:/|$)")


@dataclass(frozen=True)
class Cluster:
    """A cluster as Debian's tools list it, running or not."""

    version: str
    name: str
    port: int
    data_directory: str
    running: bool
    directory: str = ""  # of its configuration

    @property
    def unit(self) -> str:
        """Its systemd service."""
        return f"postgresql@{self.version}-{self.name}.service"


def clusters(listing: str) -> list[Cluster]:
    """The clusters in the output of ``pg_lsclusters --json``."""
    return [
        Cluster(
            str(item["version"]),
            item["cluster"],
            int(item["port"]),
            item["pgdata"],
            bool(int(item["running"])),
            item.get("configdir", ""),
        )
        for item in json.loads(listing)
    ]


def cluster_on_port(port: int) -> Cluster | None:
    """The cluster that is configured for a port, running or not."""
    try:
        listing = process.run(["pg_lsclusters", "--json"]).check().stdout
    except HoldfastError:
        return None
    return next((cluster for cluster in clusters(listing) if cluster.port == port), None)


def create_cluster(instance: Instance, version: str) -> None:
    """Make an empty cluster for an instance, named after it. Raises NotInstalled without the server of the version."""
    program("postgres", version)
    argv = ["pg_createcluster", f"--port={instance.port}", f"--user={instance.os_user}", "--start-conf=auto"]
    # With a dash in its name, systemd's template unit would look for another directory.
    name = instance.name.replace("-", "_")
    process.run([*argv, major(version), name, "--", "--data-checksums"]).check()
    if os.path.isdir(_SYSTEMD):
        process.run(["systemctl", "daemon-reload"]).check()  # its generator finds the clusters


def stop_cluster(cluster: Cluster) -> None:
    """Stop a cluster, whoever started it; sessions are ended, changes are flushed."""
    if os.path.isdir(_SYSTEMD):
        process.run(["systemctl", "stop", cluster.unit]).check()
    left = cluster_on_port(cluster.port)
    if left and left.running:
        process.run(["pg_ctlcluster", "--mode=fast", cluster.version, cluster.name, "stop"]).check()


def start_cluster(cluster: Cluster) -> None:
    """Start a cluster as the boot of the host would."""
    if os.path.isdir(_SYSTEMD):
        process.run(["systemctl", "start", cluster.unit]).check()
    else:
        process.run(["pg_ctlcluster", cluster.version, cluster.name, "start"]).check()


def unit_of(cgroup: str) -> str | None:
    """The systemd service in the text of /proc/<pid>/cgroup, of either cgroup version."""
    for line in cgroup.splitlines():
        match = _UNIT.search(line)
        if match:
            return match[1]
    return None


def restart_service(data_directory: str, pid: int, where: str) -> None:
    """Restart the cluster whose postmaster is ``pid``. Raises RestartRequired when nothing known manages it."""
    unit = _systemd_unit(pid)
    if unit:
        process.run(["systemctl", "restart", unit]).check()
        return
    try:
        known = clusters(process.run(["pg_lsclusters", "--json"]).check().stdout)
    except HoldfastError:
        known = []
    real = os.path.realpath(data_directory)
    cluster = next((item for item in known if os.path.realpath(item.data_directory) == real), None)
    if cluster is None:
        raise RestartRequired(
            f"no service manager is known for the cluster in {data_directory}",
            where=where,
            remedy="Restart the server by hand",
        )
    process.run(["pg_ctlcluster", cluster.version, cluster.name, "restart"]).check()


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
