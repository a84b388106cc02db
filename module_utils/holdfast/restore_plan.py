"""What a restore would do, found out without changing anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from . import guard
from .adapters import Adapters
from .engines.base import Engine, Staging
from .errors import CorruptBackup, HoldfastError, InvalidInput, RepositoryUnavailable, Unsupported
from .history import History
from .manifests import backup_fields, chain
from .model import Backup, BackupType, Instance, LogRange, Place, Repository
from .records import Records
from .restore_request import Request
from .tools.base import Tool
from .units import format_bytes, format_duration, format_instant, utcnow
from .windows import Work

_SPACE_FACTOR = 1.1  # the restored files and what recovery writes into them
_LOG_SPACE = 2 << 30  # log that waits at one time to be replayed, at most
_SHOWN = 5


@dataclass(frozen=True)
class Candidate:
    """A backup that can be rolled forward to the target, as far as the listing of its repository tells."""

    repository: Repository
    backup: Backup
    chain: tuple[Backup, ...]
    log: LogRange


@dataclass
class Plan:
    """Everything that a restore would do; ``problems`` are why it would be refused."""

    instance: Instance
    source: Instance
    request: Request
    place: Place
    moment: str  # of the plan, as it is in the name of the data that are set aside
    candidate: Candidate | None = None
    space_needed: int = 0
    space_free: int = 0
    clients: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    lost: dict[str, Any] = field(default_factory=dict)
    estimate_seconds: float | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def staging(self, engine: Engine) -> Staging:
        """The server that the new data are made with. Raises Unsupported for what the engine cannot do."""
        directory = os.path.join(self.place.room(self.instance.name), "restore")
        size = self.candidate.backup.size_bytes if self.candidate else 0
        return engine.staging(directory, expected_size=size or 0, onto_live=self.request.delta)

    def fields(self) -> dict[str, Any]:
        """The plan as records and ``--json`` show it."""
        keeps = self.request.keep_previous and not self.request.delta and self.place.data_directory
        found: dict[str, Any] = {
            "source": self.source.name,
            "target": self.request.target.describe(),
            "data_directory": self.place.data_directory,
            "stops": self.place.service if self.place.running else None,
            "previous": self.place.aside(self.moment) if keeps else None,
            "delta": self.request.delta,
            "space": {"needed_bytes": self.space_needed, "free_bytes": self.space_free},
            "clients": list(self.clients),
            "replicas": list(self.replicas),
            "lost": self.lost,
            "estimate_seconds": self.estimate_seconds,
            "problems": self.problems,
            "notes": self.notes,
        }
        if self.candidate:
            log = self.candidate.log
            found["repository"] = self.candidate.repository.name
            found["backup"] = backup_fields(self.candidate.backup)
            found["chain"] = [item.id for item in self.candidate.chain]
            found["size_bytes"] = self.candidate.backup.size_bytes
            found["log"] = {
                "files": log.files,
                "size_bytes": log.size_bytes,
                "first": log.first,
                "last": log.last,
                "until": format_instant(log.until),
            }
        return found


def make_plan(instance: Instance, adapters: Adapters, tool: Tool, request: Request) -> Plan:
    """Plan a restore by a tool of the source into the instance of the adapters. Problems are collected, not raised."""
    source = request.source or instance
    place = _place(adapters.engine, request)
    stamp = utcnow().strftime("%Y%m%dT%H%M%SZ")
    plan = Plan(instance, source, request, place, stamp)
    if request.remark:
        plan.notes.append(request.remark)
    if request.target.time and request.target.time > utcnow():
        plan.problems.append(f"the target {format_instant(request.target.time)} is in the future")
    else:
        plan.candidate = next(candidates(plan, tool), None)
    if request.create:
        plan.notes.append(
            "a server that nobody has used yet gets the configuration in the backup, as far as it fits here"
        )
    if not place.data_directory:
        plan.notes.append("its server is yet to be made; what space is free for it is known then")
    else:
        _look_at_host(plan, adapters)
    plan.estimate_seconds = estimate(source, plan.candidate.backup.size_bytes if plan.candidate else None)
    if place.data_directory:
        _look_at_windows(plan)
    return plan


def _place(engine: Engine, request: Request) -> Place:
    try:
        return engine.place()
    except Unsupported:
        if not request.create:
            raise
        return Place("", None, running=False)


def _look_at_host(plan: Plan, adapters: Adapters) -> None:
    if plan.candidate:
        unfit = adapters.engine.unfit(str(plan.candidate.backup.details.get("version", "")))
        plan.problems.extend([f"{plan.candidate.backup.id} does not fit: {unfit}"] if unfit else [])
    try:
        plan.staging(adapters.engine)
    except Unsupported as error:
        plan.problems.append(str(error))
    _look_at_server(plan, adapters)
    _look_at_space(plan)


def version_of_newest(tool: Tool, source: Instance) -> str | None:
    """The server version of the newest backup that a tool lists; None when it lists none.

    A repository that cannot be read from here is passed over: the plan says so.
    """
    for repository in source.repositories:
        try:
            listed = tool.backups(repository)
        except HoldfastError:
            continue
        versions = [str(item.details["version"]) for item in listed if item.details.get("version")]
        if versions:
            return versions[-1]
    return None


def candidates(plan: Plan, tool: Tool) -> Iterator[Candidate]:
    """The backups that can reach the target, best first. Why others cannot goes into the plan when none can."""
    wanted, reasons, found = plan.request, [], False
    for repository in _repositories(plan):
        try:
            backups = tool.backups(repository)
        except HoldfastError as error:
            plan.notes.append(f"repository {repository.name} cannot be used: {error.what}")
            reasons.append(str(error))
            continue
        damaged = History.read(Records(plan.source)).damaged(repository.name) if _has_records(plan.source) else ()
        for backup in reversed(backups):
            if wanted.backup_id and backup.id != wanted.backup_id:
                continue
            if backup.type is BackupType.LOGICAL:
                continue
            if backup.error or (backup.id in damaged and not wanted.backup_id):
                reasons.append(f"{backup.id} in {repository.name} is damaged")
                continue
            try:
                log = tool.log_range(backup, repository, wanted.target)
                needed = chain(backup, backups)
            except (InvalidInput, CorruptBackup) as error:
                reasons.append(error.what)
                continue
            if log.gap:
                reasons.append(f"in {repository.name}, {log.gap}")
                continue
            found = True
            yield Candidate(repository, backup, tuple(needed), log)
    if not found:
        plan.problems.append(_no_candidate(plan, reasons))


def _repositories(plan: Plan) -> list[Repository]:
    if plan.request.repository:
        return [plan.source.repository(plan.request.repository)]
    return list(plan.source.repositories)


def _has_records(instance: Instance) -> bool:
    return os.path.isdir(instance.state_directory)


def _no_candidate(plan: Plan, reasons: list[str]) -> str:
    wanted = f"backup {plan.request.backup_id}" if plan.request.backup_id else "no backup"
    verb = "cannot reach" if plan.request.backup_id else "reaches"
    shown = "; ".join([*dict.fromkeys(reasons)][:_SHOWN]) or "the repositories hold no usable backup"
    return f"{wanted} {verb} {plan.request.target.describe()}: {shown}"


def _look_at_server(plan: Plan, adapters: Adapters) -> None:
    engine, live = adapters.engine, plan.place.data_directory
    if plan.place.is_mount and plan.place.unseen is None and not plan.request.delta:
        plan.problems.append(
            f"{live} is a mount point, which cannot be renamed: move the data into a directory below it,"
            " or restore onto the live files"
        )
    if not plan.place.service:
        plan.problems.append("no service manager is known for the server: it could be neither stopped nor started")
    if not plan.place.running:
        plan.notes.append("the server is down")
        return
    try:
        server = engine.inspect()
        plan.clients, plan.replicas = tuple(engine.clients()), tuple(engine.replicas())
        if plan.candidate and plan.request.source is None:
            _count_loss(plan, adapters)
    except RepositoryUnavailable as error:
        plan.notes.append(f"what would be lost is not known: {error.what}")
    except HoldfastError as error:
        plan.notes.append(f"the server runs and does not answer: {error.what}")
        return
    if server.role == "replica":
        plan.problems.append("the server is a replica: restore its primary, or make the replica anew")
    if plan.replicas and not plan.request.disconnect:
        plan.problems.append(f"replicas are attached, which would have to be made anew: {_some(plan.replicas)}")
    if plan.clients and not plan.request.disconnect:
        plan.problems.append(f"clients are connected and may write: {_some(plan.clients)}")


def has_served(instance: Instance) -> bool:
    """Whether a job of the instance ever went well on this host: its server is then none that waits to be made."""
    return _has_records(instance) and bool(History.read(Records(instance)).last_ok)


def _look_at_windows(plan: Plan) -> None:
    if plan.request.create and not has_served(plan.instance):
        return  # there is no server, so nobody can be disturbed: this is an emergency
    judged = guard.judge(plan.instance, Work.DESTRUCTIVE, plan.request.override)
    plan.problems.extend([judged.problem] if judged.problem else [])
    plan.notes.extend([judged.note] if judged.note else [])
    took = timedelta(seconds=plan.estimate_seconds or 0)
    if took and judged.closes and not plan.request.override and utcnow() + took > judged.closes:
        plan.problems.append(f"it takes about {format_duration(took)}, and {judged.note}. {guard.HOW}")


def _count_loss(plan: Plan, adapters: Adapters) -> None:
    target, log = plan.request.target, plan.candidate.log if plan.candidate else None
    if target.time:
        plan.lost["seconds"] = round((utcnow() - target.time).total_seconds(), 1)
    elif not target.ends_early:
        exposure = adapters.engine.log_exposure(adapters.physical.newest_log(plan.instance.primary_repository))
        plan.lost.update(seconds=round(exposure.lost_seconds, 1), bytes=exposure.lost_bytes)
    elif log and log.until:
        plan.lost["seconds_at_least"] = round((utcnow() - log.until).total_seconds(), 1)


def _look_at_space(plan: Plan) -> None:
    if plan.candidate is None:
        return
    size, log = plan.candidate.backup.size_bytes or 0, plan.candidate.log
    where = plan.place.data_directory if plan.place.is_mount else os.path.dirname(plan.place.data_directory)
    plan.space_free = shutil.disk_usage(where).free
    plan.space_needed = int(size * _SPACE_FACTOR) + min(log.size_bytes * 4, _LOG_SPACE)
    if plan.request.delta:
        plan.space_needed = max(0, plan.space_needed - _size_of(plan.place.data_directory))
    if plan.space_needed > plan.space_free:
        plan.problems.append(
            f"{format_bytes(plan.space_needed)} are needed in {where} and {format_bytes(plan.space_free)} are free:"
            " free space there, or restore onto the live files"
        )


def _size_of(directory: str) -> int:
    return sum(
        os.lstat(os.path.join(path, name)).st_blocks * 512 for path, _, names in os.walk(directory) for name in names
    )


def estimate(source: Instance, size: int | None) -> float | None:
    """Seconds that the newest measured restore would take for this size; None when there was none."""
    if not size or not _has_records(source):
        return None
    history = History.read(Records(source))
    for job in ("restore", "restore_test"):
        record = history.last_ok.get(job)
        measured = record[job] if record else {}
        if measured.get("size_bytes") and measured.get("rto_seconds"):
            return round(float(measured["rto_seconds"]) * size / float(measured["size_bytes"]), 1)
    return None


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def describe(plan: dict[str, Any], name: str) -> str:
    """The plan as a person reads it."""
    backup, log, lost = plan.get("backup"), plan.get("log"), plan["lost"]
    lines = [f"{name}: restore of {plan['source']} to {plan['target']}"]

    def say(label: str, text: object) -> None:
        if text:
            lines.append(f"  {label:<12}{text}")

    if backup:
        say("backup", f"{backup['id']} ({backup['type']}) in {plan['repository']}, ended {backup['finished']}")
        say("chain", " -> ".join(plan["chain"]) if len(plan["chain"]) > 1 else "")
    if log:
        span = f", {log['first']} to {log['last']}" if log["files"] else ""
        say("log", f"{log['files']} files, {format_bytes(log['size_bytes'])} stored{span}, without a gap")
    say("directory", plan["data_directory"])
    space = plan["space"]
    if plan["data_directory"]:
        say("space", f"{format_bytes(space['needed_bytes'])} needed, {format_bytes(space['free_bytes'])} free")
        say("stops", plan["stops"] or "nothing, the server is down")
        say("keeps", f"the data of now in {plan['previous']}" if plan["previous"] else "nothing of the data of now")
    if lost:
        seconds = lost.get("seconds", lost.get("seconds_at_least", 0))
        least = "at least " if "seconds_at_least" in lost else ""
        size = f", {format_bytes(lost['bytes'])} of log" if "bytes" in lost else ""
        say("loses", f"what was changed in the last {least}{format_duration(timedelta(seconds=seconds))}{size}")
    took = plan["estimate_seconds"]
    say("takes about", format_duration(timedelta(seconds=took)) if took else "unknown, no restore was measured yet")
    lines.extend(f"  note: {text}" for text in plan["notes"])
    lines.extend(f"  refused: {text}" for text in plan["problems"])
    return "\n".join(lines)
