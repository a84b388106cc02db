"""The emergency of one host from its first look to its record: files first, then retention, then log that is saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import work
from ..adapters import Adapters
from ..config import load
from ..engines import registry
from ..errors import HoldfastError
from ..jobs import run_job, summary
from ..model import Instance, Job, Place
from ..owner import run_as_owner
from ..units import format_bytes
from . import emergency, host, purge
from .emergency import Candidate, Goal, Step
from .host import Told
from .note import note
from .settings import Share

_DATA = "/var/lib"  # looked at where no server says where its data are

Prepare = Callable[[Instance], None]


@dataclass(frozen=True)
class Request:
    """What is to be free where. Without a ``path`` it is the file system of the first server's data."""

    share: Share
    path: str = ""
    aside: Sequence[str] = ()
    purge: Mapping[str, purge.Request] = field(default_factory=dict)  # by instance


@dataclass
class Outcome:
    """What an emergency did, or would do."""

    goal: Goal
    steps: list[Step]
    before: int
    after: int
    reached: bool
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """It as records and modules have it."""
        return {
            "action": "emergency",
            "path": self.goal.path,
            "wanted_bytes": self.goal.wanted,
            "free_before_bytes": self.before,
            "free_after_bytes": self.after,
            "freed_bytes": sum(step.freed for step in self.steps),
            "reached": self.reached,
            "steps": [step.as_dict() for step in self.steps],
            "notes": self.notes,
        }


def run(names: Sequence[str], request: Request, prepare: Prepare, *, change: bool) -> Outcome:
    """Free space until enough is free, or say what would go. Needs root. Every instance of the host has the record."""
    began = time.monotonic()
    instances = [load(name) for name in names]
    asked = [host.ask_server(instance) for instance in instances]
    for told in asked:
        host.remember(told)
    places = [place for place in map(_place, instances) if place]
    target = emergency.goal(request.path or (places[0].data_directory if places else _DATA), request.share)
    before = target.free()
    steps = emergency.steps(asked, places, target.device, request.aside)
    outcome = Outcome(target, steps, before, before, target.reached, _unknown(asked))
    if change and not target.reached:
        emergency.free(steps, target)
    for instance in instances if not (change and target.reached) else ():
        steps.append(_retention(instance, target, prepare, change=change))
    for instance in instances if not (change and target.reached) else ():
        wanted = request.purge.get(instance.name, purge.Request())
        steps.append(_log(instance, target, wanted, prepare, change=change))
    outcome.after, outcome.reached = target.free(), target.reached
    if change and any(step.done for step in steps):
        error = None if outcome.reached else _short(outcome)
        for instance in instances:
            try:
                note(instance, outcome.as_dict(), time.monotonic() - began, error)
            except HoldfastError as failed:
                outcome.notes.append(str(failed))
    return outcome


def _short(outcome: Outcome) -> HoldfastError:
    return HoldfastError(
        f"{format_bytes(outcome.after)} are free and {format_bytes(outcome.goal.wanted)} are wanted",
        where=outcome.goal.path,
        remedy="All that may go has gone: make the file system larger, or move something off it",
    )


def _unknown(asked: Sequence[Told]) -> list[str]:
    return [
        f"{told.instance.name}: its logs are not known: {why}" for told in asked for _, why in told.reasons.values()
    ][:5]


def _place(instance: Instance) -> Place | None:
    try:
        with Adapters(instance) as adapters:
            return adapters.engine.place()
    except HoldfastError:
        return None


def _retention(instance: Instance, target: Goal, prepare: Prepare, *, change: bool) -> Step:
    """Backups that retention lets go of, where their repository is on the same file system."""
    step = Step(f"retention_{instance.name}", "only what retention would remove at its next run anyway")
    local = [item.name for item in instance.repositories if _is_here(item.settings.get("path"), target)]
    if not local:
        step.notes.append("no repository of this instance is on this file system")
        return step
    try:
        raw = run_as_owner(instance, partial(_expiring, instance.name, prepare))
        step.candidates = [Candidate(f"backup {id_}", (), size) for repository, id_, size in raw if repository in local]
        if change and step.candidates and not target.reached:
            free = target.free()
            record = run_as_owner(instance, partial(_job, instance.name, prepare))
            step.done, step.freed = record["result"] == "ok", max(0, target.free() - free)
            if record["result"] != "ok":
                step.notes.append(summary(record))
    except HoldfastError as error:
        step.notes.append(str(error))
    return step


def _expiring(name: str, prepare: Prepare) -> list[tuple[str, str, int]]:
    instance = load(name)
    prepare(instance)
    plans = work.plan_expiry(instance)
    return [(plan[0].name, item.backup.id, item.backup.stored_bytes or 0) for plan in plans for item in plan[2].expire]


def _job(name: str, prepare: Prepare) -> dict[str, Any]:
    instance = load(name)
    prepare(instance)
    return run_job(instance, Job.EXPIRE, on_request=True)


def _log(instance: Instance, target: Goal, request: purge.Request, prepare: Prepare, *, change: bool) -> Step:
    """Log for recovery that a verified backup holds and nobody needs, by the server's own means."""
    step = Step(f"log_{instance.name}", "what is saved and needed by nobody; restores read it from the repository")
    try:
        planned = purge.plan(instance.name, request, prepare)
        where = run_as_owner(instance, partial(_log_directory, instance.name))
        if not _is_here(where, target):
            step.notes.append(f"its log is on another file system ({where})")
            return step
        step.candidates = [Candidate("log that is saved", (), int(planned["size"]))] if planned["size"] else []
        step.notes += [*planned["notes"], *(f"stays: {name}: {why}" for name, why in list(planned["kept"].items())[:5])]
        if change and planned["statements"] and not target.reached:
            named = purge.Request(request.replicas, request.needs, (), instance.name)
            record = purge.start(instance.name, named, prepare)
            step.done, step.freed = record["result"] == "ok", int(record.get("logs", {}).get("freed_bytes", 0))
            if record["result"] != "ok":
                step.notes.append(summary(record))
    except HoldfastError as error:
        step.notes.append(str(error))
    return step


def _log_directory(name: str) -> str:
    with Adapters(load(name)) as adapters:
        return registry.log_keeper(adapters.engine).space().directory


def _is_here(path: str | None, target: Goal) -> bool:
    try:
        return bool(path) and os.stat(str(path)).st_dev == target.device
    except OSError:
        return False
