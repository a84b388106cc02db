"""From a pgBackRest repository to the data directory of a standby."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .. import process
from ..model import Backup, Instance
from . import _pgbackrest_config as config
from ._pgbackrest_errors import failure


def restore_standby(
    instance: Instance,
    stanza: str,
    options: Mapping[str, str],
    backup: Backup,
    directory: str,
    recovery: Mapping[str, str],
    where: str,
) -> None:
    """Restore a backup into an empty directory, to be started as a standby with these recovery settings.

    ``options`` are those of the repository. Raises what :func:`failure` makes of pgBackRest's words.
    """
    options = {
        **options,
        "lock-path": os.path.join(instance.state_directory, "pgbackrest-lock"),
        "log-level-console": "off",
        "log-level-file": "off",
        "log-level-stderr": "warn",
        "log-timestamp": "n",
        "pg1-path": directory,
        "process-max": str(os.cpu_count() or 1),
    }
    arguments = ["--no-config", f"--set={backup.id}", "--type=standby"]
    arguments += [f"--recovery-option={name}={value}" for name, value in recovery.items()]
    result = process.run(["pgbackrest", *arguments, "restore"], env=config.environment(stanza, options))
    if result.returncode:
        raise failure("restore", result.returncode, result.stderr, f"{where}, backup {backup.id}")
