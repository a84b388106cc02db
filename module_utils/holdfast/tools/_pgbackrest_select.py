"""Restoring one database of a cluster: pgBackRest writes the files of all others as holes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable

from ..model import Backup, Repository, RestoreTarget
from ..process import Result


def chosen_database(
    run: Callable[..., Result], backup: Backup, repository: Repository, target: RestoreTarget
) -> Mapping[str, str]:
    """The option that leaves other databases out, where the target needs one that the backup knows as a user's.

    One that was made after the backup comes from the log, which pgBackRest cannot tell; then all of them are restored.
    """
    if len(target.databases) != 1:
        return {}
    output = run("info", repository, f"--set={backup.id}", "--output=json", level="warn").stdout
    return {"db-include": target.databases[0]} if target.databases[0] in users_databases(json.loads(output)) else {}


def users_databases(found: Any) -> set[str]:
    """The databases in the output of ``pgbackrest info --set=... --output=json`` that are not the cluster's own."""
    return {
        item["name"]
        for stanza in found
        for backup in stanza["backup"]
        for item in backup.get("database-ref", ())
        if item["name"] not in ("postgres", "template0", "template1")
    }
