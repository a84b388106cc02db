"""Runs on a database host as the instance's owner: restores a backup aside by the runner's own code and counts rows.

Arguments: instance, backup id, and a time to restore to, in ISO format, or nothing for the end of the log.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime

sys.path.insert(0, "/opt/holdfast/holdfast.pyz")

from holdfast import config  # type: ignore[import-not-found]
from holdfast.adapters import Adapters  # type: ignore[import-not-found]
from holdfast.model import RestoreTarget  # type: ignore[import-not-found]

name, wanted, *moment = sys.argv[1:]
instance = config.load(name)
with Adapters(instance) as adapters:
    repository = instance.primary_repository
    backup = next(item for item in adapters.physical.backups(repository) if item.id == wanted)
    root = os.path.join(instance.state_directory, "scratch")
    os.makedirs(root, mode=0o700, exist_ok=True)
    scratch = adapters.engine.scratch(os.path.join(root, "aside"), expected_size=backup.size_bytes or 0)
    try:
        target = RestoreTarget(datetime.fromisoformat(moment[0]) if moment else None)
        restored = adapters.physical.restore(backup, repository, target, scratch)
        print(json.dumps(dict(restored.engine.row_counts())))
        restored.engine.close()
    finally:
        scratch.destroy()
