"""What restic prints, as values."""

from __future__ import annotations

import json
import re
from datetime import datetime


def instant(text: str) -> datetime:
    """An instant of restic's, which may have nine decimals and end in Z; Python 3.9 reads neither."""
    shortened = re.sub(r"\.(\d+)", lambda match: "." + match[1].ljust(6, "0")[:6], text)
    return datetime.fromisoformat(shortened.replace("Z", "+00:00"))


def summary(stdout: str) -> dict[str, object] | None:
    """What ``restic backup --json`` says at its end of the snapshot that it made; None when it made none."""
    for line in reversed(stdout.splitlines()):
        if line.startswith("{"):
            found: dict[str, object] = json.loads(line)
            if found.get("message_type") == "summary" and found.get("snapshot_id"):
                return found
    return None
