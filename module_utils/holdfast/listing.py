"""Backups and records as the runner and the modules list them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .adapters import Adapters
from .errors import HoldfastError
from .history import History
from .manifests import backup_fields
from .model import Instance, Repository
from .records import Records
from .retention import Plan, Window, describe
from .units import format_instant


def list_backups(instance: Instance) -> list[dict[str, Any]]:
    """Every backup in every repository, oldest first; a repository that does not answer is one entry with its error."""
    history = History.read(Records(instance))
    found: list[dict[str, Any]] = []
    with Adapters(instance) as adapters:
        for repository in instance.repositories:
            try:
                backups = [item for tool in adapters.tools_of(repository) for item in tool.backups(repository)]
            except HoldfastError as error:
                found.append({"repository": repository.name, "error": str(error)})
                continue
            damaged = history.damaged(repository.name)
            for item in sorted(backups, key=lambda one: one.finished):
                entry = backup_fields(item)
                entry["verified"] = history.verified_at(repository.name, item.id)
                if item.error is None and item.id in damaged:
                    entry["error"] = "found damaged by verify or a restore test"
                if entry["error"] is None:
                    del entry["error"]
                found.append(entry)
    return found


def list_records(instance: Instance, last: int, jobs: Collection[str] = ()) -> list[dict[str, Any]]:
    """The newest ``last`` records, of these jobs or of all, oldest first."""
    records = Records(instance)
    records.reap()
    return [record for record in records if not jobs or record["job"] in jobs][-last:]


def expiry_fields(repository: Repository, tool: str, plan: Plan) -> dict[str, Any]:
    """An expiry plan as ``--json`` shows it."""
    return {
        "repository": repository.name,
        "tool": tool,
        "expire": [
            {"id": item.backup.id, "type": str(item.backup.type), "reason": item.reason} for item in plan.expire
        ],
        "keep": [{"id": item.backup.id, "type": str(item.backup.type), "reason": item.reason} for item in plan.keep],
        "window_before": _window(plan.window_before),
        "window_after": _window(plan.window_after),
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        "oldest": format_instant(window.oldest),
        "newest": format_instant(window.newest),
        "continuous_from": format_instant(window.continuous_from),
        "text": describe(window),
    }
