"""The jobs of an instance as any scheduler runs them: the same command at the same time, within the same limits."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ..files import File
from ..jobs import time_limit
from ..model import Instance, Job
from ..runner import COMMAND
from ..schedule import LONGEST_DELAY

# The runner ends a job at its time limit; what still runs after this is the runner itself, stuck.
GRACE = timedelta(minutes=5)

_ARGUMENTS: Mapping[Job, tuple[str, ...]] = {
    Job.VERIFY: ("verify",),
    Job.EXPIRE: ("expire",),
    Job.RESTORE_TEST: ("restore-test",),
    Job.ACCESS_AUDIT: ("audit",),
}


@dataclass(frozen=True)
class ScheduledJob:
    """One job of one instance.

    ``limit`` is what the scheduler grants it, a little more than it grants itself. ``delay`` spreads the fleet; it is
    always the same for a job, so that its interval stays exact.
    """

    instance: str
    job: Job
    cron: str
    user: str
    command: tuple[str, ...]
    limit: timedelta
    delay: timedelta

    @property
    def name(self) -> str:
        """Of its unit."""
        return f"holdfast-{self.instance}-{str(self.job).replace('_', '-')}"

    @property
    def cleanup(self) -> tuple[str, ...]:
        """Turns a run that was killed into a failed record."""
        return (COMMAND, "reap", self.instance, "--scheduled")


class Scheduler(Protocol):
    """What starts the jobs on a host."""

    name: str

    def check(self) -> None:
        """Raise InvalidInput when this host has no such scheduler."""

    def host_files(self) -> list[File]:
        """Every file that the jobs of all instances need."""

    def files(self, instance: Instance) -> list[File]:
        """Every file that the jobs of an instance need."""

    def inactive(self, paths: Sequence[str], /) -> list[str]:
        """Those of the scheduler's files whose jobs do not run yet, though the files are in place."""

    def activate(self, changed: Sequence[str], inactive: Sequence[str], /) -> None:
        """Put changed files into effect and start what is not active."""

    def retire(self, paths: Sequence[str], /) -> None:
        """Remove the scheduler's own among these files, and their jobs. A job that runs now is left to end."""


def scheduled_jobs(instance: Instance) -> list[ScheduledJob]:
    """The jobs of an instance, in the order of the service level's schedule."""
    return [
        ScheduledJob(
            instance=instance.name,
            job=job,
            cron=cron,
            user=instance.os_user,
            command=(COMMAND, *_ARGUMENTS.get(job, ("backup",)), instance.name, *_type(job), "--scheduled"),
            limit=time_limit(instance, job) + GRACE,
            delay=_delay(instance.name, job),
        )
        for job, cron in sorted(instance.service_level.schedule.items())
    ]


def _type(job: Job) -> tuple[str, ...]:
    return () if job in _ARGUMENTS else ("--type", str(job))


def _delay(instance: str, job: Job) -> timedelta:
    if job is Job.LOG:
        return timedelta(0)
    return timedelta(seconds=zlib.crc32(f"{instance}/{job}".encode()) % int(LONGEST_DELAY.total_seconds()))
