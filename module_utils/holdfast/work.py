"""What each job does. Every function returns what its record should say beside the common fields."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from . import restore_configuration, retention
from .adapters import Adapters
from .errors import CorruptBackup, HoldfastError
from .history import History
from .manifests import backup_fields, marker_fields, remove_manifest, write_manifest
from .model import Backup, BackupType, Instance, Job, Marker, Repository
from .records import Record, Records
from .tools.base import Tool
from .units import parse_instant, utcnow

log = logging.getLogger(__name__)

VERIFY_AGAIN = timedelta(days=30)  # storage decays: an old proof is renewed monthly


def take_backup(instance: Instance, record: Record) -> dict[str, Any]:
    """A full, differential, incremental or logical backup, or an archive copy."""
    job = Job(record["job"])
    with Adapters(instance) as adapters:
        marker = adapters.engine.write_marker()
        configuration = restore_configuration.keep(adapters.engine)
        tables = adapters.engine.tables()
        if job is Job.ARCHIVE:
            backup = adapters.physical.archive()
        elif job is Job.LOGICAL:
            backup = _logical(adapters)
        else:
            backup = adapters.physical.backup(BackupType(str(job)), instance.primary_repository)
        write_manifest(instance, backup, marker, tables)
    found: dict[str, Any] = {"backup": backup_fields(backup)}
    if marker:
        found["marker"] = marker_fields(marker)
    if configuration:
        found["configuration"] = configuration
    return found


def _logical(adapters: Adapters) -> Backup:
    tool, repository = adapters.logical, adapters.instance.primary_repository
    # Where dumps are on the schedule, site.yml makes their repository, and one that is missing has been lost.
    if not adapters.instance.service_level.runs(Job.LOGICAL) and not tool.is_initialised(repository):
        tool.initialise(repository)
    return tool.backup(BackupType.LOGICAL, repository)


def save_log(instance: Instance, _record: Record) -> dict[str, Any]:
    """Write a marker, save the log and say what would be lost now."""
    with Adapters(instance) as adapters:
        marker: Marker | None = None
        down: HoldfastError | None = None
        try:
            marker = adapters.engine.write_marker()
        except HoldfastError as error:
            down = error  # the log on disk of a dead server is what is needed next
        saved = adapters.physical.save_log()
        if down:
            raise down
        exposure = adapters.engine.log_exposure(saved.newest)
    if exposure.failing:
        raise HoldfastError(
            f"the log does not reach the repository: {exposure.failing}",
            where=instance.name,
            remedy="Until it does, every change since then has no backup",
        )
    found: dict[str, Any] = {
        "log": {"newest": saved.newest, "saved_bytes": saved.saved_bytes, "start": saved.start, "stop": saved.stop},
        "lost_bytes": exposure.lost_bytes,
        "lost_seconds": round(exposure.lost_seconds, 1),
    }
    if marker:
        found["marker"] = marker_fields(marker)
    return found


def verify(instance: Instance, record: Record, *, again: bool = False) -> dict[str, Any]:
    """Read back the backups that were not proven intact within VERIFY_AGAIN, or all of them with ``again``."""
    history = History.read(Records(instance))
    outcome: dict[str, Any] = {}
    wrong: list[str] = []
    record["verified"] = outcome  # also when it ends with an error: damage found is damage known
    with Adapters(instance) as adapters:
        for repository, tool, backups in listing(adapters):
            due = [item for item in backups if again or _is_due(history, repository, item)]
            if not due:
                continue
            log.info("verifying %d %s backups in %s", len(due), tool.name, repository.name)
            result = tool.verify(repository, due)
            entry = outcome.setdefault(repository.name, {"intact": [], "damaged": {}, "problems": []})
            entry["intact"].extend(result.intact)
            entry["damaged"].update(result.damaged)
            entry["problems"].extend(result.problems)
            wrong.extend(f"{repository.name} {backup}: {why}" for backup, why in result.damaged.items())
            wrong.extend(f"{repository.name}: {problem}" for problem in result.problems)
    if wrong:
        raise CorruptBackup(
            "; ".join(wrong),
            where=instance.name,
            remedy="Take a full backup now and keep the damaged ones until it is verified",
        )
    return {"verified": outcome}


def expire(instance: Instance, record: Record) -> dict[str, Any]:
    """Remove what retention does not keep."""
    plans = plan_expiry(instance)
    expired: dict[str, Any] = {}
    record["expired"] = expired
    with Adapters(instance) as adapters:
        for repository, tool, plan in plans:
            going = [item.backup for item in plan.expire]
            adapters.named(tool).expire(repository, going, plan.oldest_log_of)
            if going:
                expired.setdefault(repository.name, []).extend(backup.id for backup in going)
            for backup in going:
                remove_manifest(instance, backup)
    Records(instance).trim(utcnow())
    return {"expired": expired}


ExpiryPlan = tuple[Repository, str, retention.Plan]


def plan_expiry(instance: Instance) -> list[ExpiryPlan]:
    """What ``expire`` would remove now, for each repository and tool."""
    history = History.read(Records(instance))
    plans = []
    with Adapters(instance) as adapters:
        for repository, tool, backups in listing(adapters):
            plan = retention.plan(
                backups,
                instance.service_level.keep,
                verified=history.verified(repository.name),
                damaged=history.damaged(repository.name),
                now=utcnow(),
                archive=instance.is_archive(repository),
            )
            plans.append((repository, tool.name, plan))
    return plans


def listing(adapters: Adapters) -> list[tuple[Repository, Tool, list[Backup]]]:
    """The backups of every repository and tool of the instance."""
    return [
        (repository, tool, tool.backups(repository))
        for repository in adapters.instance.repositories
        for tool in adapters.tools_of(repository)
    ]


def _is_due(history: History, repository: Repository, backup: Backup) -> bool:
    when = parse_instant(history.verified_at(repository.name, backup.id))
    return when is None or utcnow() - when > VERIFY_AGAIN
