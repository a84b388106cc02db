"""The configuration file that a MariaDB server has as member of a pair."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Mapping

from .. import files
from ..model import Instance
from ._mariadb_settings import configuration_directory, written


def path(instance: Instance) -> str:
    """Where it is. The server reads it last, and its own user may write it, who may have to fence."""
    return os.path.join(configuration_directory(instance), f"99-holdfast-{instance.name}-replication.cnf")


def read(instance: Instance) -> dict[str, str]:
    """The parameters in it; none where it is not there."""
    return written(files.read(path(instance)) or "")


def render(wanted: Mapping[str, str]) -> str:
    """The file for these parameters."""
    lines = "".join(f"{name} = {value}\n" for name, value in sorted(wanted.items()))
    return f"# Managed by Holdfast: changes are overwritten.\n[mariadbd]\n{lines}"


def rewrite(instance: Instance, wanted: Mapping[str, str]) -> None:
    """Write it as the server's user: where it is, as its directory belongs to root."""
    with open(path(instance), "r+", encoding="utf-8") as stream:
        stream.write(render(wanted))
        stream.truncate()


def new_server_id(instance: Instance) -> str:
    """A server id that the instance never had."""
    return str(zlib.crc32(f"{instance.name} {time.time_ns()}".encode()) | 1)


def renumber(instance: Instance) -> None:
    """Give a member of a pair another server id, which holds from the next start of its server on.

    After a restore the sequence numbers of GTIDs are used once more. Under the same server id, a replica that has the
    transactions of before would take those of now for the ones that it has, and go on with other data.
    """
    wanted = read(instance)
    if wanted:
        rewrite(instance, {**wanted, "server_id": new_server_id(instance)})
