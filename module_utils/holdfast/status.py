"""How an instance stands against its objectives, measured now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from . import forecast, guard, overdue, pair, schedule, windows
from .adapters import Adapters
from .errors import Busy, HoldfastError, Refused
from .history import History
from .manifests import backup_fields
from .model import Backup, BackupType, Instance, Job
from .records import Record, Records
from .units import format_bytes, format_duration, format_instant, utcnow

SEVERITIES = ("ok", "warning", "critical")
# Failed, they put no data at risk today.
_HARMLESS = tuple(map(str, (Job.EXPIRE, Job.ACCESS_AUDIT, Job.ACCESS_CHANGE, Job.LOG_CHANGE, Job.PATCH)))
_PHYSICAL = (BackupType.FULL, BackupType.DIFFERENTIAL, BackupType.INCREMENTAL)


def instance_status(instance: Instance) -> dict[str, Any]:
    """Everything the fleet's table shows of one instance. Never raises what can be reported: that becomes a problem."""
    level = instance.service_level
    found: dict[str, Any] = {
        "instance": instance.name,
        "engine": instance.engine,
        "host": os.uname().nodename,
        "port": instance.port,
        "service_level": level.name,
        "checked": format_instant(utcnow()),
        "notes": [],
        "problems": [],
        "repositories": {},
        "rpo": {"target_seconds": level.rpo.total_seconds()},
        "rto": {"target_seconds": level.rto.total_seconds()},
    }
    records = Records(instance)
    records.reap()
    found["replication"] = pair.report(instance)
    resting = bool(found["replication"]) and found["replication"]["role"] == "replica"
    history = History.read(records)
    with Adapters(instance) as adapters:
        _server(adapters, found)
        backups = [] if resting else _repositories(adapters, history, found)
        if resting:
            _lag(found)
        elif not level.runs(Job.LOG):
            _since_backup(instance, backups, found)
        elif "version" in found:
            _log(adapters, found)
        found["notes"].extend(
            note for tool in (adapters.physical, adapters.logical) for note in _notes(tool.notes, found)
        )
    for text in (found["replication"] or {}).get("problems", ()):
        _problem(found, "critical", text)
    _jobs(instance, history, found, resting=resting)
    _configuration(history, found)
    _restore_test(history, found)
    _forecast(instance, found)
    found["running"] = [_running(record) for record in records.running()]
    _windows(instance, found)
    found["next_runs"] = {str(job): _next_run(instance, job, cron, found) for job, cron in level.schedule.items()}
    newest = max(backups, key=lambda item: item.finished, default=None)
    found["last_backup"] = backup_fields(newest) if newest else None
    found["state"] = max((problem["severity"] for problem in found["problems"]), key=SEVERITIES.index, default="ok")
    return found


def _problem(found: dict[str, Any], severity: str, text: str) -> None:
    found["problems"].append({"severity": severity, "text": text})


def _server(adapters: Adapters, found: dict[str, Any]) -> None:
    try:
        info = adapters.engine.inspect()
    except HoldfastError as error:
        _problem(found, "critical", str(error))
        return
    found.update(version=info.version, role=info.role, size_bytes=info.size_bytes)
    for setting in adapters.engine.settings(adapters.physical.server_settings()):
        if setting.restart:
            _problem(
                found,
                "critical",
                f"{setting.name} is {setting.current!r} and must be {setting.wanted!r}: the server must be restarted",
            )


def _repositories(adapters: Adapters, history: History, found: dict[str, Any]) -> list[Backup]:
    instance, everything = adapters.instance, []
    for repository in instance.repositories:
        entry: dict[str, Any] = {"type": repository.type, "archive": instance.is_archive(repository)}
        found["repositories"][repository.name] = entry
        try:
            backups = [item for tool in adapters.tools_of(repository) for item in tool.backups(repository)]
        except HoldfastError as error:
            entry["error"] = error.as_dict()
            _problem(found, "critical", str(error))
            continue
        everything.extend(backups)
        physical = [item for item in backups if item.type in _PHYSICAL]
        entry["backups"] = len(backups)
        entry["oldest"] = format_instant(min((item.finished for item in physical), default=None))
        entry["newest"] = format_instant(max((item.finished for item in physical), default=None))
        entry["verified"] = len(history.verified(repository.name) & {item.id for item in backups})
        if repository == instance.primary_repository and not physical:
            _problem(found, "critical", f"no backup yet in {repository.name}")
        for item in backups:
            if item.error or item.id in history.damaged(repository.name):
                _problem(
                    found, "critical", f"backup {item.id} in {repository.name} is damaged: {item.error or 'see verify'}"
                )
    return everything


def _lag(found: dict[str, Any]) -> None:
    """What would be lost with the primary of a replica is what the replica lacks."""
    replica = found["replication"]
    if replica.get("lag_seconds") is not None:
        found["rpo"].update(lost_seconds=replica["lag_seconds"], lost_bytes=replica["lag_bytes"])
    if "streaming" in replica:
        how = "streaming" if replica["streaming"] else "not streaming"
        found["notes"].append(
            f"replica of {replica['peer']} at {replica['source'] or 'nowhere'}, {how}; its primary takes the backups"
        )


def _since_backup(instance: Instance, backups: Sequence[Backup], found: dict[str, Any]) -> None:
    """Without a log backup, everything since the newest usable backup would be lost."""
    newest = max((item.finished for item in backups if item.type in _PHYSICAL and not item.error), default=None)
    if newest is None:
        return
    lost = utcnow() - newest
    found["rpo"].update(lost_seconds=round(lost.total_seconds(), 1), lost_bytes=None)
    target = instance.service_level.rpo
    if lost > target:
        text = f"all changes of the last {format_duration(lost)} would be lost, RPO is {format_duration(target)}"
        _problem(found, "critical", text)


def _log(adapters: Adapters, found: dict[str, Any]) -> None:
    level = adapters.instance.service_level
    rpo = found["rpo"]
    try:
        exposure = adapters.engine.log_exposure(adapters.physical.newest_log(adapters.instance.primary_repository))
    except HoldfastError as error:
        rpo["error"] = str(error)
        _problem(found, "critical", f"what would be lost now is unknown: {error}")
        return
    rpo.update(
        lost_seconds=round(exposure.lost_seconds, 1),
        lost_bytes=exposure.lost_bytes,
        newest_saved=exposure.newest_saved,
        newest_believed=exposure.newest_believed,
        failing=exposure.failing,
    )
    if exposure.failing:
        _problem(found, "critical", f"the log does not reach the repository: {exposure.failing}")
    if exposure.lost_seconds > level.rpo.total_seconds():
        lost = format_duration(timedelta(seconds=exposure.lost_seconds))
        target = format_duration(level.rpo)
        _problem(
            found, "critical", f"{lost} of changes ({format_bytes(exposure.lost_bytes)}) would be lost, RPO is {target}"
        )


def _notes(call: Any, found: dict[str, Any]) -> list[str]:
    try:
        return list(call())
    except HoldfastError as error:
        _problem(found, "warning", str(error))
        return []


def _jobs(instance: Instance, history: History, found: dict[str, Any], *, resting: bool) -> None:
    now = datetime.now().astimezone()
    found["jobs"] = {name: _job(record) for name, record in history.last.items()}
    if history.power:
        who = ", ".join(dict.fromkeys(item["account"] for item in history.power))
        _problem(found, "warning", f"access audits saw new power of {who}; playbooks/access_audit.yml reports it")
    if history.outside_window:
        text = (
            f"{history.outside_window} changes of power outside change_window; playbooks/access_audit.yml reports them"
        )
        _problem(found, "warning", text)
    for job, last in history.last.items():
        if resting and job != str(Job.REPLICATION):
            continue  # they rest, and what they said of the time before no longer matters
        if last["result"] == "failed" and last["error"]["code"] not in (Busy.code, Refused.code):
            severity = "warning" if job in _HARMLESS else "critical"
            _problem(found, severity, f"the last {job} job failed: {last['error']['what']}")
    for overdue_job, due in overdue.overdue(instance, history, now, resting=resting):
        severity = "warning" if overdue_job is Job.ACCESS_AUDIT else "critical"
        ago = format_duration(now - due)
        _problem(found, severity, f"{overdue_job} is overdue: it was due {ago} ago and has not succeeded since")


def _configuration(history: History, found: dict[str, Any]) -> None:
    for job, last in history.last_ok.items():
        problem = (last.get("configuration") or {}).get("problem")
        if problem:
            _problem(found, "warning", f"the last {job} backup lacks the configuration of the server: {problem}")


def _job(record: Record) -> dict[str, Any]:
    return {key: record.get(key) for key in ("started", "finished", "seconds", "result", "error")}


def _running(record: Record) -> dict[str, Any]:
    return {"job": record["job"], "started": record["started"], "pid": record["pid"]}


def _windows(instance: Instance, found: dict[str, Any]) -> None:
    found["windows"] = guard.report(instance)
    if found["windows"]:
        found["notes"].extend(found["windows"]["notes"])
        if found["windows"]["error"]:
            _problem(found, "critical", f"no job but the log runs: {found['windows']['error']}")


def _next_run(instance: Instance, job: Job, cron: str, found: dict[str, Any]) -> str | None:
    if overdue.is_bound(instance, job):
        if found["windows"]["error"]:
            return None
        run = windows.next_run(instance.windows, schedule.parse(cron), utcnow())
        if run is None:
            _problem(found, "critical", f"the {job} job will not run again: no window lets it in")
        return format_instant(run)
    now = datetime.now().astimezone().replace(tzinfo=None)  # cron reads the local clock
    return format_instant(schedule.parse(cron).next(now).astimezone())


def _restore_test(history: History, found: dict[str, Any]) -> None:
    record: Record | None = history.last.get(str(Job.RESTORE_TEST))
    if record is None:
        found["restore_test"] = None
        return
    found["restore_test"] = dict(
        record.get("restore_test", {}), finished=record["finished"], result=record["result"], error=record.get("error")
    )


def _forecast(instance: Instance, found: dict[str, Any]) -> None:
    expected = forecast.of_instance(instance)
    found["rto"].update(expected.as_dict())
    for text in forecast.problems(expected, instance.service_level.rto, utcnow().date()):
        _problem(found, "warning", text)
