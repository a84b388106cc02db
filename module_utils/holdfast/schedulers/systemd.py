"""systemd: a service and a timer for each job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from .. import process
from ..errors import InvalidInput
from ..files import File
from ..model import Instance, Job
from ..schedule import LONGEST_DELAY, on_calendar, parse
from .base import ScheduledJob, scheduled_jobs

DIRECTORY = "/etc/systemd/system"
_STAMPS = "/var/lib/systemd/timers"
_HEADER = "# Written by Holdfast; changes made here are lost.\n"

COMMON = f"{DIRECTORY}/holdfast-.service.d/holdfast.conf"  # systemd applies it to every service whose name starts so

# Jobs write to repositories, state and the tool's spool, wherever these are; nothing is in /usr, /boot or a home.
# No private /tmp: pgBackRest keeps the locks there that it shares with the archiving of the server.
_COMMON = """\
# Written by Holdfast; changes made here are lost.
[Unit]
Wants=network-online.target
After=network-online.target

[Service]
KillMode=control-group
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
CPUWeight=20
IOWeight=20
UMask=0027
NoNewPrivileges=true
CapabilityBoundingSet=
ProtectSystem=full
ProtectHome=read-only
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectKernelLogs=true
ProtectControlGroups=true
ProtectClock=true
ProtectHostname=true
PrivateDevices=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
"""


class Systemd:
    """The service manager of the host."""

    name = "systemd"

    def check(self) -> None:
        """Raise InvalidInput when the host was not booted with systemd."""
        if not os.path.isdir("/run/systemd/system"):
            raise InvalidInput(
                "systemd does not run on this host",
                where="scheduler systemd",
                remedy="Set backup_scheduler to cron",
            )

    def host_files(self) -> list[File]:
        """What the services of all jobs have in common."""
        return [File(COMMON, _COMMON)]

    def files(self, instance: Instance) -> list[File]:
        """A service and a timer for each job."""
        found = []
        for job in scheduled_jobs(instance):
            found.append(File(f"{DIRECTORY}/{job.name}.service", _service(job)))
            found.append(File(f"{DIRECTORY}/{job.name}.timer", _timer(job)))
        return found

    def inactive(self, paths: Sequence[str], /) -> list[str]:
        """The timers among these files that are not enabled and running."""
        timers = _timers(paths)
        if not timers:
            return []
        shown = process.run(["systemctl", "show", "--property=Id,ActiveState,UnitFileState", *timers]).check().stdout
        states = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in shown.split("\n\n")]
        running = {
            state["Id"] for state in states if (state["ActiveState"], state["UnitFileState"]) == ("active", "enabled")
        }
        return [f"{DIRECTORY}/{timer}" for timer in timers if timer not in running]

    def activate(self, changed: Sequence[str], inactive: Sequence[str], /) -> None:
        """Reload units when any changed, start inactive timers, restart changed ones. No service is touched."""
        if changed:
            process.run(["systemctl", "daemon-reload"]).check()
        if inactive:
            process.run(["systemctl", "enable", "--quiet", "--now", *_timers(inactive)]).check()
        stale = [timer for timer in _timers(changed) if f"{DIRECTORY}/{timer}" not in inactive]
        if stale:
            process.run(["systemctl", "restart", *stale]).check()

    def retire(self, paths: Sequence[str], /) -> None:
        """Stop and disable the timers among these files, and remove the units."""
        units = [path for path in paths if path.startswith(DIRECTORY + "/")]
        timers = _timers(units)
        if timers:
            process.run(["systemctl", "disable", "--quiet", "--now", *timers]).check()
        # With a stamp, an instance of the same name that comes back would start by making up for the time between.
        for path in [*units, *(f"{_STAMPS}/stamp-{timer}" for timer in timers)]:
            with suppress(FileNotFoundError):
                os.unlink(path)
        if COMMON in units:
            with suppress(OSError):  # not empty: an administrator has a drop-in there too
                os.rmdir(os.path.dirname(COMMON))
        if units:
            process.run(["systemctl", "daemon-reload"]).check()


def _timers(paths: Sequence[str]) -> list[str]:
    return [os.path.basename(path) for path in paths if path.endswith(".timer")]


def _service(job: ScheduledJob) -> str:
    return (
        _HEADER
        + f"""\
[Unit]
Description=Holdfast {job.job} of {job.instance}

[Service]
Type=oneshot
User={job.user}
ExecStart={" ".join(job.command)}
ExecStopPost={" ".join(job.cleanup)}
TimeoutStartSec={int(job.limit.total_seconds())}
"""
        + _quiet(job)
    )


def _quiet(job: ScheduledJob) -> str:
    if job.job is not Job.LOG:
        return ""
    # Every start and end is worth a line, except where they come every minute; what the job itself says stays.
    return "LogLevelMax=notice\nSyslogLevel=notice\n"


def _timer(job: ScheduledJob) -> str:
    lines: dict[str, list[str]] = {"OnCalendar": on_calendar(parse(job.cron)), "Persistent": ["true"]}
    if job.job is Job.LOG:
        lines["AccuracySec"] = ["1s"]
    else:
        lines["RandomizedDelaySec"] = [str(int(LONGEST_DELAY.total_seconds()))]
        # The same delay every time: the interval, which the RPO rests on, stays what the schedule says.
        lines["FixedRandomDelay"] = ["true"]
    settings = "\n".join(f"{key}={value}" for key, values in lines.items() for value in values)
    return (
        _HEADER
        + f"""\
[Unit]
Description=Start Holdfast {job.job} of {job.instance}

[Timer]
{settings}
Unit={job.name}.service

[Install]
WantedBy=timers.target
"""
    )
