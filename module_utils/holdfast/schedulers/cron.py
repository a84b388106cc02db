"""cron: one file an instance in /etc/cron.d. No crontab is edited, and mail goes where the host sends it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import InvalidInput
from ..files import File
from ..model import Instance
from ..schedule import parse
from .base import ScheduledJob, scheduled_jobs

DIRECTORY = "/etc/cron.d"
_DAEMONS = ("/usr/sbin/cron", "/usr/sbin/crond")
_HEADER = """\
# Written by Holdfast; changes made here are lost.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


class Cron:
    """The system's cron daemon, which notices changed files by itself."""

    name = "cron"

    def check(self) -> None:
        """Raise InvalidInput when there is no cron daemon."""
        if not any(os.path.exists(daemon) for daemon in _DAEMONS):
            raise InvalidInput(
                "no cron daemon is installed on this host",
                where="scheduler cron",
                remedy="Install cron, or set backup_scheduler to systemd",
            )

    def host_files(self) -> list[File]:
        """None: a line of cron says it all."""
        return []

    def files(self, instance: Instance) -> list[File]:
        """The one file of the instance."""
        lines = [_line(job) for job in scheduled_jobs(instance)]
        # run-parts and cron pass over names with a dot.
        return [File(f"{DIRECTORY}/holdfast-{instance.name}", _HEADER + "\n".join(lines) + "\n")]

    def inactive(self, _paths: Sequence[str], /) -> list[str]:
        """None: a file is all that cron needs."""
        return []

    def activate(self, _changed: Sequence[str], _inactive: Sequence[str], /) -> None:
        """Nothing to do: cron reads its directory every minute."""

    def retire(self, paths: Sequence[str], /) -> None:
        """Remove the files among these; the jobs go with them."""
        for path in paths:
            if os.path.dirname(path) == DIRECTORY:
                os.unlink(path)


def _line(job: ScheduledJob) -> str:
    wait = f"sleep {int(job.delay.total_seconds())}; " if job.delay else ""
    limit = int(job.limit.total_seconds())
    lowered = f"nice -n 10 ionice -c 2 -n 7 timeout -k 60 {limit}"
    return f"{parse(job.cron)} {job.user} {wait}{lowered} {' '.join(job.command)} || {' '.join(job.cleanup)}"
