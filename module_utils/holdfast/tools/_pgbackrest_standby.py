"""From a pgBackRest repository to the data directory of a standby."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import process
from ..model import Backup, Repository
from . import _pgbackrest_config as config
from ._pgbackrest_errors import failure

if TYPE_CHECKING:
    from .pgbackrest import PgBackRest


def restore_standby(
    tool: PgBackRest, backup: Backup, repository: Repository, directory: str, recovery: Mapping[str, str]
) -> None:
    """Restore a backup into an empty directory, to be started as a standby with these recovery settings.

    Raises what :func:`failure` makes of pgBackRest's words.
    """
    config.check_reachable(repository)
    options = {
        **config.repository_options(repository, 1, tool.version),
        "lock-path": os.path.join(tool.instance.state_directory, "pgbackrest-lock"),
        "log-level-console": "off",
        "log-level-file": "off",
        "log-level-stderr": "warn",
        "log-timestamp": "n",
        "pg1-path": directory,
        "process-max": str(os.cpu_count() or 1),
    }
    arguments = ["--no-config", f"--set={backup.id}", "--type=standby"]
    arguments += [f"--recovery-option={name}={value}" for name, value in recovery.items()]
    result = process.run(["pgbackrest", *arguments, "restore"], env=config.environment(tool.stanza, options))
    if result.returncode:
        where = f"{tool.instance.name}, repository {repository.name}, backup {backup.id}"
        raise failure("restore", result.returncode, result.stderr, where)
