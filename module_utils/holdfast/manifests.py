"""Backups on their way into records and JSON, and what is remembered beside them for the restore test."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from .errors import CorruptBackup
from .model import Backup, Instance, Marker
from .units import format_instant


def backup_fields(backup: Backup) -> dict[str, Any]:
    """A backup as records and ``--json`` show it."""
    return {
        "id": backup.id,
        "type": str(backup.type),
        "tool": backup.tool,
        "repository": backup.repository,
        "started": format_instant(backup.started),
        "finished": format_instant(backup.finished),
        "size_bytes": backup.size_bytes,
        "stored_bytes": backup.stored_bytes,
        "parent": backup.parent,
        "log_start": backup.log_start,
        "log_stop": backup.log_stop,
        "error": backup.error,
        "details": dict(backup.details),
    }


def marker_fields(marker: Marker) -> dict[str, Any]:
    """A marker as records show it."""
    return {"id": marker.id, "written": format_instant(marker.written)}


def _manifest_path(instance: Instance, repository: str, backup: str) -> str:
    return os.path.join(instance.state_directory, "manifests", f"{repository}-{backup.replace('/', '_')}.json")


def write_manifest(instance: Instance, backup: Backup, marker: Marker | None, tables: Mapping[str, int]) -> None:
    """Keep what a restore test will compare with: the newest marker and the tables with their estimated rows."""
    path = _manifest_path(instance, backup.repository, backup.id)
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump({"marker": marker_fields(marker) if marker else None, "tables": dict(tables)}, stream)
    os.replace(path + ".new", path)


def read_manifest(instance: Instance, backup: Backup) -> dict[str, Any] | None:
    """The manifest of a backup; None when it was taken without Holdfast."""
    try:
        with open(_manifest_path(instance, backup.repository, backup.id), encoding="utf-8") as stream:
            manifest: dict[str, Any] = json.load(stream)
            return manifest
    except FileNotFoundError:
        return None


def remove_manifest(instance: Instance, backup: Backup) -> None:
    """Forget what was remembered of a backup that is gone."""
    with suppress(FileNotFoundError):
        os.unlink(_manifest_path(instance, backup.repository, backup.id))


def chain(backup: Backup, backups: Sequence[Backup]) -> list[Backup]:
    """The backups that a restore of this one needs, the full one first."""
    by_id = {item.id: item for item in backups}
    needed = [backup]
    while needed[-1].parent is not None:
        parent = by_id.get(needed[-1].parent)
        if parent is None:
            raise CorruptBackup(
                f"backup {needed[-1].id} needs {needed[-1].parent}, which is not in the repository",
                where=backup.repository,
                remedy="Take a full backup now",
            )
        needed.append(parent)
    return needed[::-1]
