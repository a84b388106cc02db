"""What a rescue will do, found out without changing anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import guard, restore_request
from .adapters import Adapters
from .errors import HoldfastError
from .guard import Override
from .history import History
from .manifests import backup_fields, read_manifest
from .model import Backup, Instance, LogRange, Repository, RestoreTarget
from .parts import Part
from .records import Records
from .restore_plan import Candidate, candidates, estimate
from .restore_plan import Plan as RestorePlan
from .restore_request import parse_time
from .tools.base import Tool
from .units import format_bytes, format_duration, format_instant, utcnow
from .windows import Work

_SPACE_FACTOR = 1.3  # the restored files, the log replayed over them and what the scratch server writes
LATEST, NOW = "latest", "now"


@dataclass(frozen=True)
class Request:
    """What a person asks of a rescue."""

    kind: str
    name: str
    time: datetime | None = None  # of the data that come back
    latest: bool = False  # the newest data that backup and log hold, not those of a dump
    where: str = ""  # only the rows for which this condition in SQL holds
    deleted: bool = False  # only the rows that are not there any more
    deleted_until: datetime | None = None  # not there any more at this time, instead of now
    replace: bool = False
    confirm: str = ""
    remarks: tuple[str, ...] = ()  # how times were understood
    override: Override | None = None  # of the windows of the instance


def make_request(
    kind: str,
    name: str,
    *,
    time: str = "",
    where: str = "",
    deleted_until: str = "",
    replace: bool = False,
    confirm: str = "",
    override: Override | None = None,
) -> Request:
    """A request from text. ``time`` may be ``latest``, ``deleted_until`` may be ``now``. Raises InvalidInput."""
    remarks = []
    moments: list[datetime | None] = []
    for text, word in ((time, LATEST), (deleted_until, NOW)):
        moment, remark = parse_time(text) if text and text != word else (None, "")
        moments.append(moment)
        remarks.append(remark)
    return Request(
        kind=kind,
        name=name,
        time=moments[0],
        latest=time == LATEST,
        where=where,
        deleted=bool(deleted_until),
        deleted_until=moments[1],
        replace=replace,
        confirm=confirm,
        override=override,
        remarks=tuple(remark for remark in remarks if remark),
    )


@dataclass(frozen=True)
class Source:
    """A backup that should hold the part: a dump as it is, or a physical backup with log up to the target."""

    tool: Tool
    repository: Repository
    backup: Backup
    target: RestoreTarget
    log: LogRange | None = None  # None for a dump

    @property
    def is_dump(self) -> bool:
        """Whether it is a dump."""
        return self.log is None

    def describe(self) -> str:
        """The source in words."""
        if self.is_dump:
            age = format_duration(utcnow() - self.backup.started)
            return f"dump {self.backup.id} in {self.repository.name}, {age} old"
        return f"backup {self.backup.id} in {self.repository.name} and log up to {self.target.describe()}"


@dataclass
class Plan:
    """Everything that a rescue would do; ``problems`` are why it would be refused."""

    request: Request
    part: Part
    target: Part | None = None  # the name it is expected to get; None when statements are all that comes back
    source: Source | None = None
    until: Source | None = None  # of the later moment, for rows that were deleted between two
    space_needed: int = 0
    space_free: int = 0
    estimate_seconds: float | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """The plan as records and ``--json`` show it."""
        found: dict[str, Any] = {
            "kind": self.part.kind,
            "name": str(self.part),
            "target": str(self.target) if self.target else None,
            "where": self.request.where or None,
            "deleted": self.request.deleted,
            "replace": self.request.replace,
            "space": {"needed_bytes": self.space_needed, "free_bytes": self.space_free},
            "estimate_seconds": self.estimate_seconds,
            "problems": self.problems,
            "notes": self.notes,
        }
        for name, source in (("source", self.source), ("until", self.until)):
            if source:
                found[name] = source_fields(source)
        return found


def source_fields(source: Source) -> dict[str, Any]:
    """Where a part comes from, as records show it."""
    moment = source.backup.started if source.is_dump else source.target.time
    return {
        "text": source.describe(),
        "tool": source.tool.name,
        "repository": source.repository.name,
        "backup": backup_fields(source.backup),
        "moment": format_instant(moment),
        "log_bytes": source.log.size_bytes if source.log else None,
    }


def make_plan(instance: Instance, adapters: Adapters, request: Request) -> Plan:
    """Plan a rescue. Problems are collected, not raised; InvalidInput for a kind or name that the engine has not."""
    rescuer = adapters.engine.rescuer()
    plan = Plan(request, rescuer.part(request.kind, request.name), notes=list(request.remarks))
    if adapters.engine.inspect().role == "replica":
        plan.problems.append("the server is a replica: rescue into its primary, from which it follows")
    else:
        plan.target = rescuer.new_name(plan.part)
    _look_at_request(plan)
    _look_at_windows(plan, instance)
    if not plan.problems:
        _look_at_sources(plan, instance, adapters)
        _look_at_space(plan, instance)
    return plan


def scratch_root(instance: Instance) -> str:
    """Where copies are restored."""
    root = os.path.join(instance.state_directory, "scratch")
    os.makedirs(root, mode=0o700, exist_ok=True)
    return root


def sources(
    plan: Plan, instance: Instance, adapters: Adapters, time: datetime | None, *, dumps: bool = False
) -> Iterator[Source]:
    """The backups that should hold the part as it was at a time, or as it was last, best first."""
    databases = tuple(adapters.engine.rescuer().databases(plan.part))
    if dumps:
        found = newest_dump(plan, instance, adapters, databases)
        if found:
            yield found
    target = RestoreTarget(time=time, databases=databases)
    wanted = restore_request.Request(target=target)
    place = RestorePlan(instance, instance, wanted, adapters.engine.place(), "")
    for found_one in candidates(place, adapters.physical):
        yield _physical(adapters, found_one, target)
    plan.notes.extend(text for text in place.notes if text not in plan.notes)
    plan.problems.extend(place.problems)


def newest_dump(plan: Plan, instance: Instance, adapters: Adapters, databases: tuple[str, ...]) -> Source | None:
    """The newest usable dump, if it holds the part as far as can be told without reading it."""
    repository, tool = instance.primary_repository, adapters.logical
    try:
        backups = tool.backups(repository) if tool.is_initialised(repository) else []
    except HoldfastError as error:
        plan.notes.append(f"the dumps cannot be read: {error.what}")
        return None
    damaged = History.read(Records(instance)).damaged(repository.name)
    usable = [item for item in backups if item.error is None and item.id not in damaged]
    if not usable or not _holds(instance, usable[-1], plan.part, databases):
        return None
    return Source(tool, repository, usable[-1], RestoreTarget(databases=databases))


def last_seen(instance: Instance, adapters: Adapters, part: Part) -> Backup | None:
    """The newest backup whose manifest has a table; None for what manifests do not tell."""
    if part.kind != "table":
        return None
    listed = [item for tool in (adapters.physical, adapters.logical) for item in _listed(tool, instance)]
    for backup in sorted(listed, key=lambda item: item.finished, reverse=True):
        manifest = read_manifest(instance, backup)
        if manifest and ".".join(part.path) in manifest["tables"]:
            return backup
    return None


def _listed(tool: Tool, instance: Instance) -> list[Backup]:
    try:
        return tool.backups(instance.primary_repository)
    except HoldfastError:
        return []


def _holds(instance: Instance, backup: Backup, part: Part, databases: tuple[str, ...]) -> bool:
    dumped: Any = backup.details.get("databases", instance.databases)
    if dumped and not set(databases) <= set(dumped):
        return False
    manifest = read_manifest(instance, backup)
    return part.kind != "table" or manifest is None or ".".join(part.path) in manifest["tables"]


def _physical(adapters: Adapters, found: Candidate, target: RestoreTarget) -> Source:
    return Source(adapters.physical, found.repository, found.backup, target, found.log)


def _look_at_request(plan: Plan) -> None:
    request, now = plan.request, utcnow()
    if request.time and request.time > now:
        plan.problems.append(f"the time {format_instant(request.time)} is in the future")
    if request.deleted_until and request.deleted_until > now:
        plan.problems.append(f"the later time {format_instant(request.deleted_until)} is in the future")
    if request.deleted and not request.time:
        plan.problems.append("rows deleted since a time need that time")
    if request.time and request.deleted_until and request.deleted_until <= request.time:
        plan.problems.append("the time until which rows were deleted is not after the time at which they were there")
    chosen = bool(request.where or request.deleted)
    if chosen and request.kind != "table":
        plan.problems.append(f"rows can be chosen of a table, not of a {request.kind}")
    if request.replace and chosen:
        plan.problems.append("some of its rows cannot take the place of the whole table: merge them instead")
    if request.replace and request.confirm != request.name:
        plan.problems.append(
            f"{request.confirm!r} does not confirm that the live one is replaced: confirm with {request.name!r}"
        )


def _look_at_windows(plan: Plan, instance: Instance) -> None:
    if plan.request.replace:
        judged = guard.judge(instance, Work.DESTRUCTIVE, plan.request.override)
        plan.problems.extend([judged.problem] if judged.problem else [])
        plan.notes.extend([judged.note] if judged.note else [])


def _look_at_sources(plan: Plan, instance: Instance, adapters: Adapters) -> None:
    request = plan.request
    dumps = not request.time and not request.latest and not request.deleted
    plan.source = next(sources(plan, instance, adapters, request.time, dumps=dumps), None)
    if request.deleted_until and plan.source:
        plan.until = next(sources(plan, instance, adapters, request.deleted_until), None)
    if (plan.source is None or (request.deleted_until and not plan.until)) and request.time:
        _look_past_the_log(plan, instance, adapters)
    plan.estimate_seconds = estimate(instance, plan.source.backup.size_bytes if plan.source else None)


def _look_past_the_log(plan: Plan, instance: Instance, adapters: Adapters) -> None:
    """The newest log is still to be saved: what it will reach, a backup from before the time reaches."""
    request, problems = plan.request, list(plan.problems)
    newest = request.deleted_until or request.time
    late = instance.service_level.log_interval
    if late is None or newest is None or utcnow() - newest > max(4 * late, timedelta(hours=1)):
        return
    for found in sources(plan, instance, adapters, None):
        if request.time and found.backup.finished + timedelta(seconds=1) < request.time:
            plan.problems = [text for text in plan.problems if text not in problems]
            plan.notes.append("the log up to now is saved first, to reach that time")
            plan.source = Source(found.tool, found.repository, found.backup, _at(found.target, request.time), found.log)
            if request.deleted_until:
                later = _at(found.target, request.deleted_until)
                plan.until = Source(found.tool, found.repository, found.backup, later, found.log)
            return


def _at(target: RestoreTarget, time: datetime) -> RestoreTarget:
    return RestoreTarget(time=time, databases=target.databases)


def _look_at_space(plan: Plan, instance: Instance) -> None:
    where = scratch_root(instance)
    copies = [source for source in (plan.source, plan.until) if source]
    plan.space_free = shutil.disk_usage(where).free
    plan.space_needed = int(sum(source.backup.size_bytes or 0 for source in copies) * _SPACE_FACTOR)
    if plan.space_needed > plan.space_free:
        plan.problems.append(
            f"{format_bytes(plan.space_needed)} are needed in {where} to restore aside and"
            f" {format_bytes(plan.space_free)} are free"
        )


def describe(plan: dict[str, Any], instance: str) -> str:
    """The plan as a person reads it."""
    lines = [f"{instance}: rescue of {plan['kind']} {plan['name']}"]

    def say(label: str, text: object) -> None:
        if text:
            lines.append(f"  {label:<12}{text}")

    say("from", plan["source"]["text"] if "source" in plan else "")
    say("until", plan["until"]["text"] if "until" in plan else "")
    say("rows", f"where {plan['where']}" if plan["where"] else "")
    say("rows", "only those that are not there any more" if plan["deleted"] else "")
    say("loads as", plan["target"] or "nothing: the statements are printed")
    say("replaces", f"the live {plan['kind']}, which is kept under another name" if plan["replace"] else "nothing")
    space, took = plan["space"], plan["estimate_seconds"]
    say("space", f"{format_bytes(space['needed_bytes'])} needed, {format_bytes(space['free_bytes'])} free")
    say("takes about", format_duration(timedelta(seconds=took)) if took else "unknown, no restore was measured yet")
    lines.extend(f"  note: {text}" for text in plan["notes"])
    lines.extend(f"  refused: {text}" for text in plan["problems"])
    return "\n".join(lines)
