"""Which jobs of the schedule have not succeeded since they were due, as records, windows and the clock tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from . import pair, schedule, windows
from .errors import HoldfastError, InvalidInput
from .history import History
from .model import Instance, Job
from .units import parse_instant

# From the time a job is due until its success is missed: random delay, queue, run time.
GRACE = timedelta(hours=1)


def is_bound(instance: Instance, job: Job) -> bool:
    """Whether windows may keep the job from running."""
    return bool(instance.windows) and not windows.is_light(job)


def is_replica(instance: Instance) -> bool:
    """Whether its primary takes the backups, as the last runbook of the pair left it; its server is not asked."""
    try:
        known = pair.read(instance)
    except HoldfastError:
        return False
    return known.role == "replica" if known else bool(instance.replica_of)


def overdue(instance: Instance, history: History, now: datetime, *, resting: bool) -> Iterator[tuple[Job, datetime]]:
    """The jobs that are overdue, each with the time at which it was due. Audits never rest."""
    since = _configured(instance)
    for job, cron in instance.service_level.schedule.items():
        if resting and job is not Job.ACCESS_AUDIT:
            continue
        good = history.last_ok.get(str(job))
        due = _due(instance, job, cron, now - GRACE)
        done = parse_instant(good["started"]) if good else None
        if due and due > since and (done is None or done < due):
            yield job, due


def _configured(instance: Instance) -> datetime:
    """Since when the instance has been under Holdfast's care: nothing is overdue from before."""
    since = os.stat(os.path.join(instance.state_directory, "configured")).st_mtime
    return datetime.fromtimestamp(since).astimezone()


def _due(instance: Instance, job: Job, cron: str, before: datetime) -> datetime | None:
    """When a job should have begun last. A run that its windows postponed was not due."""
    if is_bound(instance, job):
        with suppress(InvalidInput):  # time zones are missing, which is told as such
            return windows.last_run(instance.windows, schedule.parse(cron), before)
        return None
    return schedule.parse(cron).previous(before.replace(tzinfo=None)).astimezone()
