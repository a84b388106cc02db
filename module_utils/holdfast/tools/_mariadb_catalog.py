"""How physical backups of MariaDB are listed in restic: the stream is one snapshot, its card another.

A card is written when the stream is whole, so a stream without a card is the rest of a backup that was killed.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ..model import Backup, BackupType
from ..repositories.restic import Snapshot
from ..units import format_instant, parse_instant, utcnow

CARD, STREAM = "backup", "stream"
LETTERS: Mapping[BackupType, str] = {
    BackupType.FULL: "F",
    BackupType.DIFFERENTIAL: "D",
    BackupType.INCREMENTAL: "I",
    BackupType.LOGICAL: "L",
}
_DETAILS = ("version", "system", "host", "from_lsn", "to_lsn", "position", "gtid", "requested", "reason")
_POSITION = re.compile(r"filename '(?P<file>[^']*)', position '(?P<offset>\d+)'")
_GTID = re.compile(r"GTID of the last change '(?P<gtid>[^']*)'")


def new_id(type_: BackupType, full: str | None, taken: Iterable[str], now: datetime | None = None) -> str:
    """A sortable id: ``20250101-010203F``, and ``20250101-010203F_20250101-020203I`` for what depends on it."""
    known = set(taken)
    while True:
        stamp = (now or utcnow()).strftime("%Y%m%d-%H%M%S") + LETTERS[type_]
        name = f"{full}_{stamp}" if full else stamp
        if name not in known:
            return name
        time.sleep(0.2)
        now = None


def full_of(id_: str) -> str:
    """The id of the full backup that a backup depends on, or its own."""
    return id_.split("_", maxsplit=1)[0]


def card(backup: Backup) -> dict[str, str]:
    """The tags that list a backup."""
    tags = {
        "kind": CARD,
        "id": backup.id,
        "type": str(backup.type),
        "started": format_instant(backup.started) or "",
        "finished": format_instant(backup.finished) or "",
        "size": str(backup.size_bytes or 0),
        "stored": str(backup.stored_bytes or 0),
        "parent": backup.parent or "",
        "log_start": backup.log_start or "",
        "log_stop": backup.log_stop or "",
    }
    tags.update({key: str(backup.details[key]) for key in _DETAILS if backup.details.get(key)})
    return tags


def backups_of(snapshots: Sequence[Snapshot], tool: str, repository: str, kind: str = CARD) -> list[Backup]:
    """The backups that the snapshots list, oldest first. One whose stream or parent is gone says so in ``error``."""
    streams = {item.tags["id"] for item in snapshots if item.tags.get("kind") == STREAM}
    found: dict[str, Backup] = {}
    for item in snapshots:
        if item.tags.get("kind") == kind:
            backup = _backup(item, tool, repository)
            if kind == CARD and backup.id not in streams:
                backup = replace(backup, error="its data is not in the repository")
            found[backup.id] = backup
    ordered = sorted(found.values(), key=lambda backup: backup.started)
    for backup in ordered:
        parent = found.get(backup.parent or "")
        if backup.parent and (parent is None or parent.error):
            found[backup.id] = replace(backup, error=f"it needs {backup.parent}, which is missing or unfit")
    return [found[backup.id] for backup in ordered]


def leftovers(snapshots: Sequence[Snapshot]) -> list[str]:
    """Snapshots of streams that no card lists: what killed backups left."""
    listed = {item.tags["id"] for item in snapshots if item.tags.get("kind") == CARD}
    return [item.id for item in snapshots if item.tags.get("kind") == STREAM and item.tags["id"] not in listed]


def of_backups(snapshots: Sequence[Snapshot], ids: Iterable[str]) -> list[str]:
    """The snapshots that belong to backups, by backup id."""
    wanted = set(ids)
    return [item.id for item in snapshots if item.tags.get("id") in wanted]


def stream_of(snapshots: Sequence[Snapshot], id_: str) -> Snapshot | None:
    """The snapshot with the data of a backup."""
    streams = (item for item in snapshots if item.tags.get("kind") == STREAM and item.tags["id"] == id_)
    return next(streams, None)


def read_info(files: Mapping[str, str]) -> dict[str, str]:
    """What mariadb-backup wrote beside the stream, by file name: LSNs, binary log position and GTID.

    The files are called ``xtrabackup_*`` before MariaDB 11.1 and ``mariadb_backup_*`` since.
    """
    found: dict[str, str] = {}
    for name, text in files.items():
        if name.endswith("_checkpoints"):
            values = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
            found.update(from_lsn=values["from_lsn"].strip(), to_lsn=values["to_lsn"].strip())
        elif name.endswith("_info") and not name.endswith(("_binlog_info", "_slave_info")):
            position, gtid = _POSITION.search(text), _GTID.search(text)
            if position:
                found["position"] = f"{position['file']}:{position['offset']}"
            if gtid and gtid["gtid"]:
                found["gtid"] = gtid["gtid"]
    return found


def this_host() -> str:
    """The name by which cards know the host that took them."""
    return socket.gethostname()


def _backup(item: Snapshot, tool: str, repository: str) -> Backup:
    tags = item.tags
    return Backup(
        id=tags["id"],
        type=BackupType(tags["type"]),
        tool=tool,
        repository=repository,
        started=parse_instant(tags["started"]) or item.time,
        finished=parse_instant(tags["finished"]) or item.time,
        size_bytes=int(tags["size"]) or None,
        stored_bytes=int(tags["stored"]),
        parent=tags.get("parent") or None,
        log_start=tags.get("log_start") or None,
        log_stop=tags.get("log_stop") or None,
        details={key: tags[key] for key in _DETAILS if key in tags},
    )
