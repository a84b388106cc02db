"""Bringing back a part of an instance: restored aside, taken out, loaded beside the live one, compared."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from . import guard
from .adapters import Adapters
from .config import load
from .engines.base import Engine, Rescue, Rescuer
from .errors import CorruptBackup, HoldfastError, NotInBackup, Refused, RepositoryFull, RepositoryUnavailable
from .jobs import run_job
from .model import Instance, Job
from .owner import run_as_owner
from .parts import Part
from .records import Record
from .rescue_plan import Plan, Request, Source, last_seen, make_plan, scratch_root, source_fields, sources
from .tools.base import Restored
from .units import format_bytes, format_instant
from .windows import Work

log = logging.getLogger(__name__)

_LOAD_FACTOR = 1.2  # the table, and what the server writes of it into its log until that is saved
_LEFTOVER = "rescue.json"  # names what is being loaded, for whoever comes after a rescue that was killed

Prepare = Callable[[Instance], None]


def plan(name: str, request: Request, prepare: Prepare) -> dict[str, Any]:
    """What a rescue would do, as ``Plan.fields``. ``prepare`` is called as the owner first, to set up its logging."""

    def work() -> dict[str, Any]:
        instance = load(name)
        prepare(instance)
        with Adapters(instance) as adapters:
            return make_plan(instance, adapters, request).fields()

    planned: dict[str, Any] = run_as_owner(load(name), work)
    return planned


def start(name: str, request: Request, prepare: Prepare, *, wait: bool = False) -> Record:
    """Rescue a part of an instance and return the record of it."""

    def work() -> Record:
        instance = load(name)
        prepare(instance)
        return run_job(instance, Job.RESCUE, scheduled=wait, call=partial(run, request=request))

    record: Record = run_as_owner(load(name), work)
    return record


def run(instance: Instance, record: Record, *, request: Request) -> dict[str, Any]:
    """The work of the job. Raises Refused, with everything that stands in the way, before anything is changed."""
    with Adapters(instance) as adapters, ExitStack() as stack:
        rescuer = adapters.engine.rescuer()
        _discard_leftover(instance, rescuer)
        planned = make_plan(instance, adapters, request)
        measured = record["rescue"] = planned.fields()
        if planned.problems:
            raise Refused(
                "; ".join(planned.problems),
                where=instance.name,
                remedy="Nothing was changed. See the plan with --plan",
            )
        if request.replace:
            guard.use(instance, Work.DESTRUCTIVE, request.override, record)
        if planned.source and not planned.source.is_dump:
            planned.notes.extend(_save_log(adapters))
        phases: dict[str, float] = {}
        measured["phases"] = phases
        rescue = _find(instance, adapters, planned, record, stack)
        with _phase(phases, "extract"):
            _choose_rows(instance, adapters, planned, rescue, record, stack)
        measured.update(target=str(rescue.target) if rescue.target else None, rows=rescue.rows)
        _bring_back(instance, adapters, planned, rescue, measured)
        if request.replace:
            with _phase(phases, "swap"):
                before = rescue.replace()
            measured.update(replaced=True, target=str(planned.part), before=str(before) if before else None)
    return {}


def _bring_back(
    instance: Instance, adapters: Adapters, planned: Plan, rescue: Rescue, measured: dict[str, Any]
) -> None:
    """Load the part, compare it with the live one and say what can be done next."""
    request, phases = planned.request, measured["phases"]
    rescuer = adapters.engine.rescuer()
    if rescue.target:
        _check_room(adapters, rescue)
        log.info("loading %s as %s", planned.part, rescue.target)
        with _announced(instance, rescuer, rescue.target), _phase(phases, "load"):
            rescue.load()
            if request.deleted and not request.deleted_until:
                rescue.keep_deleted(adapters.engine)
                measured["rows"] = rescue.rows
                if rescue.rows == 0:
                    raise _nothing(planned, "every row that was there is there now")
    with _phase(phases, "compare"):
        measured["compare"] = [dict(item.as_dict()) for item in rescue.compare()]
    found = rescue.statements()
    measured["statements"] = {"swap": list(found.swap), "merge": list(found.merge)}
    measured["care"] = list(found.care)


def _find(instance: Instance, adapters: Adapters, planned: Plan, record: Record, stack: ExitStack) -> Rescue:
    """The part in the best copy that can be made and has it."""
    request, measured = planned.request, record["rescue"]
    dumps = planned.source is not None and planned.source.is_dump
    missing: NotInBackup | None = None
    for source in sources(planned, instance, adapters, request.time, dumps=dumps):
        if missing and not dumps:
            break  # another backup rolled forward to the same moment holds the same
        measured["source"] = source_fields(source)
        with ExitStack() as trial:
            try:
                restored = _restore(instance, adapters, source, "rescue", record, trial)
                if restored is None:
                    continue
                if not source.is_dump and dumps:
                    dumps = False
                with _phase(measured["phases"], "extract"):
                    rescue = adapters.engine.rescuer().find(restored.engine, planned.part)
            except NotInBackup as error:
                missing = missing or error
                planned.notes.append(f"{source.describe()}: {error.what}")
                continue
            stack.push(trial.pop_all())
            return rescue
    raise _explain(instance, adapters, planned, missing)


def _explain(instance: Instance, adapters: Adapters, planned: Plan, missing: NotInBackup | None) -> HoldfastError:
    if missing is None:
        problems = "; ".join(planned.problems) or "no backup could be restored: the log says why"
        return CorruptBackup(problems, where=instance.name, remedy="Verify the repositories; give another time")
    found = last_seen(instance, adapters, planned.part)
    hint = f"It was there at backup {found.id}, {format_instant(found.finished)}: give" if found else "Give"
    return NotInBackup(
        f"{planned.part.kind} {planned.part} is not in the backup at that moment",
        where=instance.name,
        remedy=f"{hint} a time at which it was there, or correct its name",
    )


def _restore(
    instance: Instance, adapters: Adapters, source: Source, place: str, record: Record, stack: ExitStack
) -> Restored | None:
    """Restore a copy that lives as long as the stack; None when the backup cannot be read and was noted as such."""
    size = source.backup.size_bytes or 0
    directory = os.path.join(scratch_root(instance), place)
    scratch = adapters.engine.scratch(directory, expected_size=size)
    if os.path.exists(directory):
        log.warning("removing what an interrupted rescue left in %s", directory)
        scratch.destroy()
    stack.callback(scratch.destroy)
    measured = record["rescue"]
    try:
        log.info("restoring %s (%s) aside", source.describe(), format_bytes(size))
        restored = source.tool.restore(source.backup, source.repository, source.target, scratch)
    except (CorruptBackup, RepositoryUnavailable) as error:
        log.warning("%s cannot be restored: %s", source.backup.id, error)
        measured.setdefault("fallback", []).append({"backup": source.backup.id, "error": str(error)})
        if isinstance(error, CorruptBackup):
            damaged = record.setdefault("verified", {}).setdefault(source.repository.name, {"damaged": {}})
            damaged["damaged"][source.backup.id] = error.what
        return None
    stack.callback(restored.engine.close)
    for name, seconds in restored.phases.items():
        measured["phases"][name] = round(measured["phases"].get(name, 0.0) + seconds, 1)
    return restored


def _choose_rows(
    instance: Instance, adapters: Adapters, planned: Plan, rescue: Rescue, record: Record, stack: ExitStack
) -> None:
    request = planned.request
    if request.where:
        rescue.keep_where(request.where)
        if rescue.rows == 0:
            raise _nothing(planned, f"no row matches {request.where}")
    if request.deleted_until:
        rescue.keep_deleted(_later(instance, adapters, planned, record, stack))
        if rescue.rows == 0:
            raise _nothing(planned, "every row that was there is there at the later time")


def _later(instance: Instance, adapters: Adapters, planned: Plan, record: Record, stack: ExitStack) -> Engine:
    for source in sources(planned, instance, adapters, planned.request.deleted_until):
        restored = _restore(instance, adapters, source, "rescue-until", record, stack)
        if restored:
            record["rescue"]["until"] = source_fields(source)
            return restored.engine
    raise CorruptBackup(
        "; ".join(planned.problems) or "no backup could be restored to the later time",
        where=instance.name,
        remedy="Verify the repositories; give another time",
    )


def _nothing(planned: Plan, why: str) -> NotInBackup:
    return NotInBackup(
        f"there is nothing to rescue: {why}", where=str(planned.part), remedy="Correct time or condition"
    )


def _save_log(adapters: Adapters) -> Sequence[str]:
    """Bring the log written so far into the repository: the time asked for may be minutes ago."""
    if adapters.instance.service_level.log_interval is None:
        return ()
    try:
        adapters.physical.prove_log()
    except HoldfastError as error:
        log.warning("the newest log could not be saved first: %s", error)
        return [f"the newest log could not be saved first: {error.what}"]
    return ()


def _check_room(adapters: Adapters, rescue: Rescue) -> None:
    directory = adapters.engine.inspect().data_directory
    free, needed = shutil.disk_usage(directory).free, int(rescue.size_bytes * _LOAD_FACTOR)
    if free < needed:
        raise RepositoryFull(
            f"loading needs {format_bytes(needed)} beside the live data and {format_bytes(free)} are free",
            where=directory,
            remedy="Free space there, or rescue fewer rows with a condition",
        )


@contextmanager
def _phase(phases: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        phases[name] = round(phases.get(name, 0.0) + time.monotonic() - began, 1)


@contextmanager
def _announced(instance: Instance, rescuer: Rescuer, target: Part) -> Iterator[None]:
    """Leave word of what is being loaded for as long as it is not whole."""
    path = os.path.join(instance.state_directory, _LEFTOVER)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump({"kind": target.kind, "path": target.path}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".new", path)
    try:
        yield
    except HoldfastError:
        rescuer.discard(target)
        os.unlink(path)
        raise
    os.unlink(path)


def _discard_leftover(instance: Instance, rescuer: Rescuer) -> None:
    path = os.path.join(instance.state_directory, _LEFTOVER)
    try:
        with open(path, encoding="utf-8") as stream:
            raw = json.load(stream)
    except FileNotFoundError:
        return
    target = Part(raw["kind"], tuple(raw["path"]))
    log.warning("removing the %s %s, which an interrupted rescue was loading", target.kind, target)
    rescuer.discard(target)
    os.unlink(path)
