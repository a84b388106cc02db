"""Proof that a backup restores: onto a scratch server, checked, with the time it took and what would be lost."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from . import restore_configuration
from .adapters import Adapters
from .engines.base import Engine
from .errors import CheckFailed, CorruptBackup, HoldfastError, ObjectiveMissed, Refused, RepositoryFull
from .history import History
from .manifests import chain, read_manifest
from .model import Backup, BackupType, Instance, Marker, Repository, RestoreTarget
from .records import Record, Records
from .tools.base import Tool
from .units import format_bytes, format_instant, utcnow

log = logging.getLogger(__name__)

_SPACE_FACTOR = 1.3  # the restored files, the log replayed over them and what the scratch server writes
_PROBLEMS_SHOWN = 5


def run(
    instance: Instance, record: Record, *, backup_id: str | None = None, repository_name: str | None = None
) -> dict[str, Any]:
    """Restore the newest backup, or a chosen one, as far as the log reaches, and check what came back.

    RTO is the time from the first byte read to the first answer of the recovered server. RPO is the age, at the start
    of the test, of the newest marker that came back. Raises CheckFailed when the engine's checker or an assertion finds
    something wrong and ObjectiveMissed when it took too long or lost too much; the record carries what was measured
    either way.
    """
    level = instance.service_level
    with Adapters(instance) as adapters:
        repository = instance.repository(repository_name) if repository_name else instance.primary_repository
        tool, backup, needed = _choose(adapters, repository, backup_id)
        live = _live_tables(adapters.engine)
        directory = _scratch_directory(instance)
        size = backup.size_bytes or 0
        _check_space(directory, size)
        _remove_leftovers(adapters.engine, directory)
        scratch = adapters.engine.scratch(directory, expected_size=size)
        began, began_at = time.monotonic(), utcnow()
        measured: dict[str, Any] = {
            "backup_id": backup.id,
            "backup_type": str(backup.type),
            "repository": repository.name,
            "size_bytes": backup.size_bytes,
            "rto_target_seconds": level.rto.total_seconds(),
            "rpo_target_seconds": level.rpo.total_seconds(),
        }
        record["restore_test"] = measured
        try:
            log.info("restoring %s (%s) from %s", backup.id, format_bytes(size), repository.name)
            restored = tool.restore(backup, repository, RestoreTarget(), scratch)
            measured["rto_seconds"] = round(time.monotonic() - began, 1)
            measured["phases"] = {name: round(seconds, 1) for name, seconds in restored.phases.items()}
            problems = _examine(instance, backup, restored.engine, live, began_at, measured)
            restore_configuration.rehearse(adapters.engine, restored.engine, measured)
            restored.engine.close()
        except CorruptBackup as error:
            if backup.id not in str(error):
                error.where += f", backup {backup.id}"
            record["verified"] = {repository.name: {"damaged": {backup.id: error.what}}}
            raise
        finally:
            scratch.destroy()
    where = f"{instance.name}, backup {backup.id} in {repository.name}"
    if problems:
        record["verified"] = {repository.name: {"damaged": {backup.id: problems[0]}}}
        shown = "; ".join(problems[:_PROBLEMS_SHOWN])
        more = f"; and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else ""
        raise CheckFailed(shown + more, where=where, remedy="Take a full backup now; this one counts as damaged")
    record["verified"] = {repository.name: {"intact": [item.id for item in needed]}}
    missed = _missed_objectives(measured)
    if missed:
        raise ObjectiveMissed("; ".join(missed), where=where, remedy="Speed up the restore or change the service level")
    return {}


def _choose(adapters: Adapters, repository: Repository, backup_id: str | None) -> tuple[Tool, Backup, list[Backup]]:
    listing = [(tool, tool.backups(repository)) for tool in adapters.tools_of(repository)]
    damaged = History.read(Records(adapters.instance)).damaged(repository.name)
    for tool, backups in listing:
        candidates = [item for item in backups if item.id == backup_id] if backup_id else backups[::-1]
        for backup in candidates:
            usable = backup.error is None and backup.id not in damaged and backup.type is not BackupType.LOGICAL
            if backup_id or usable:
                return tool, backup, chain(backup, backups)
    where = f"{adapters.instance.name}, repository {repository.name}"
    if backup_id:
        # A slip of the pen says nothing about the backups that are there.
        raise Refused(f"no backup {backup_id!r} in the repository", where=where, remedy="`holdfast list` shows them")
    raise CorruptBackup(
        "no usable backup in the repository", where=where, remedy="Take a full backup with `holdfast backup`"
    )


def _live_tables(engine: Engine) -> Mapping[str, int] | None:
    # A restore is tested also, and above all, when the server it belongs to is down.
    try:
        return engine.tables()
    except HoldfastError as error:
        log.warning("the live server does not answer, so nothing is compared with it: %s", error)
        return None


def _scratch_directory(instance: Instance) -> str:
    root = os.path.join(instance.state_directory, "scratch")
    os.makedirs(root, mode=0o700, exist_ok=True)
    return os.path.join(root, "restore-test")


def _remove_leftovers(engine: Engine, directory: str) -> None:
    # This job holds the lock: whatever lies there, a running server included, is of a test that was killed.
    if os.path.exists(directory):
        log.warning("removing the scratch server of an interrupted restore test: %s", directory)
        engine.scratch(directory, expected_size=0).destroy()


def _check_space(directory: str, size: int) -> None:
    free = shutil.disk_usage(os.path.dirname(directory)).free
    needed = int(size * _SPACE_FACTOR)
    if free < needed:
        raise RepositoryFull(
            f"a restore test needs {format_bytes(needed)} of scratch space and {format_bytes(free)} are free",
            where=os.path.dirname(directory),
            remedy="Free space there, or mount a larger file system on it",
        )


def _examine(
    instance: Instance,
    backup: Backup,
    server: Engine,
    live: Mapping[str, int] | None,
    began_at: datetime,
    measured: dict[str, Any],
) -> list[str]:
    manifest = read_manifest(instance, backup) or {"marker": None, "tables": {}}
    problems: list[str] = []

    marker = server.newest_marker()
    problems.extend(_marker_problems(manifest["marker"], marker))
    if marker:
        measured["marker"] = {"id": marker.id, "written": format_instant(marker.written)}
        measured["rpo_seconds"] = round(max(0.0, (began_at - marker.written).total_seconds()), 1)

    counts = server.row_counts()
    measured["tables"] = len(counts)
    measured["rows"] = sum(counts.values())
    problems.extend(table_problems(manifest["tables"], live, counts))

    check = server.check()
    measured["check"] = {"checker": check.checker, "objects": check.objects, "problems": len(check.problems)}
    problems.extend(check.problems)
    return problems


def _marker_problems(expected: Mapping[str, Any] | None, found: Marker | None) -> list[str]:
    if expected is None:
        return []
    if found is None:
        return [f"the marker written before the backup ({expected['id']}) did not come back"]
    if found.id < expected["id"]:
        return [f"the newest marker that came back is {found.id}, older than {expected['id']} from before the backup"]
    return []


def table_problems(
    at_backup: Mapping[str, int], live: Mapping[str, int] | None, restored: Mapping[str, int]
) -> list[str]:
    """Tables that should have come back with rows and did not.

    Only a table that was there at the backup and is there now must be in the restore, which ends somewhere between: one
    that was dropped or emptied since is no fault of the backup.
    """
    problems = []
    for table, rows in sorted(at_backup.items()):
        if live is not None and table not in live:
            continue
        if table not in restored:
            problems.append(f"table {table} did not come back")
        elif rows > 0 and restored[table] == 0 and (live is None or live[table] > 0):
            problems.append(f"table {table} came back empty, it had about {rows} rows")
    return problems


def _missed_objectives(measured: Mapping[str, Any]) -> Sequence[str]:
    missed = []
    for objective in ("rto", "rpo"):
        achieved, target = (measured.get(f"{objective}_seconds"), measured[f"{objective}_target_seconds"])
        if achieved is not None and achieved > target:
            missed.append(f"{objective.upper()} achieved {achieved:.0f} s, target {target:.0f} s")
    return missed
