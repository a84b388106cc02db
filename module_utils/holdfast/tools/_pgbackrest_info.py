"""What ``pgbackrest info --output=json`` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ..engines import _postgresql_wal as wal
from ..model import Backup, BackupType

TYPES = {BackupType.FULL: "full", BackupType.DIFFERENTIAL: "diff", BackupType.INCREMENTAL: "incr"}
NO_STANZA = (1, 3)  # its path is missing, its data is missing
USABLE = (0, 2)  # ok, and ok without a backup yet

_TYPE_OF = {word: type_ for type_, word in TYPES.items()}


def status(found: Mapping[str, Any]) -> tuple[int, str]:
    """Code and message of the only repository of a stanza."""
    raw = found["repo"][0]["status"] if found.get("repo") else found["status"]
    return raw["code"], raw["message"]


def backup_of(raw: Mapping[str, Any], repository: str, versions: Mapping[int, str]) -> Backup:
    """A backup as pgBackRest lists it. ``versions`` are those of the server, by the number of its database."""
    lsn: Mapping[str, str] = raw.get("lsn") or {}
    archive: Mapping[str, str] = raw.get("archive") or {}
    stored: Mapping[str, int] = raw["info"].get("repository") or {}
    return Backup(
        id=raw["label"],
        type=_TYPE_OF[raw["type"]],
        tool="pgbackrest",
        repository=repository,
        started=datetime.fromtimestamp(raw["timestamp"]["start"], timezone.utc),
        finished=datetime.fromtimestamp(raw["timestamp"]["stop"], timezone.utc),
        size_bytes=raw["info"].get("size"),
        stored_bytes=stored.get("delta"),
        parent=raw.get("prior"),
        log_start=lsn.get("start"),
        log_stop=lsn.get("stop"),
        error="pages with wrong checksums were found while it was taken" if raw.get("error") else None,
        details={
            "version": versions.get(raw["database"]["id"], ""),
            "read_bytes": raw["info"].get("delta"),
            "log_files": [archive.get("start"), archive.get("stop")],
            "annotation": raw.get("annotation") or {},
            "pgbackrest": raw["backrest"]["version"],
        },
    )


def chain(label: str, stored: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A backup and those it builds on, down to the full one, in the raw form of the listing by label."""
    labels = [label]
    while labels[-1] in stored and stored[labels[-1]].get("prior"):
        labels.append(stored[labels[-1]]["prior"])
    return labels


def segment_size(backups: Iterable[Mapping[str, Any]]) -> int | None:
    """Bytes of a log segment, as the raw listing tells: a segment's name is the position in it divided by the size.

    None when the listing leaves it open, as with no backup or at the very beginning of a log.
    """
    sizes = {1 << bits for bits in range(20, 31)}
    for raw in backups:
        position, name = (raw.get("lsn") or {}).get("start"), (raw.get("archive") or {}).get("start")
        if position and name:
            low = wal.parse_lsn(position) & 0xFFFFFFFF
            sizes = {size for size in sizes if low // size == int(name[16:], 16)}
    return sizes.pop() if len(sizes) == 1 else None
