"""Putting an instance back: made aside, proven, and only then put in service. See docs/decisions/0004."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from . import guard, restore_configuration, restore_place
from .adapters import Adapters
from .config import load
from .engines.base import Engine, Staging
from .engines.registry import adapters as adapters_of
from .errors import STOPS, CheckFailed, CorruptBackup, HoldfastError, InvalidInput, Refused, RepositoryUnavailable
from .history import History
from .jobs import run_job
from .locks import job_lock
from .model import Configuration, Instance, Job, Reached
from .owner import Ask, run_as_owner, run_with_root
from .records import Record, Records
from .restore_plan import Candidate, Plan, candidates, has_served, make_plan, version_of_newest
from .restore_request import Assertion, Request
from .tools.base import Restored, Tool
from .units import format_instant, utcnow
from .windows import Work

log = logging.getLogger(__name__)

_LOCK_WAIT = timedelta(minutes=10)  # for a running log job
_PROBLEMS_SHOWN = 5

Prepare = Callable[[Instance], None]


def plan(name: str, request: Request, prepare: Prepare) -> dict[str, Any]:
    """What a restore would do, as ``Plan.fields``. ``prepare`` is called as the owner first, to set up its logging."""

    def work() -> dict[str, Any]:
        instance = load(name)
        prepare(instance)
        with Adapters(instance) as adapters:
            found = make_plan(instance, adapters, _tool(instance, adapters.engine, request), request)
        if request.confirm != name:
            found.notes.append(_unconfirmed(name))
        return found.fields()

    planned: dict[str, Any] = run_as_owner(load(name), work)
    return planned


def start(name: str, request: Request, prepare: Prepare) -> Record:
    """Restore an instance and return the record of it. Needs root, for the service and the directories."""
    instance = load(name)

    def work(ask: Ask) -> Record:
        complete = load(name)
        prepare(complete)
        return run_job(complete, Job.RESTORE, call=partial(run, request=request, ask=ask))

    record: Record = run_with_root(instance, work, restore_place.operations(instance))
    return record


def run(instance: Instance, record: Record, *, request: Request, ask: Ask) -> dict[str, Any]:
    """The work of the job. Raises Refused, with everything that stands in the way, before anything is changed.

    Until the new data are in place, every error leaves the old ones in service as they were. What goes wrong after that
    is told as such.
    """
    began = time.monotonic()
    with Adapters(instance) as adapters, job_lock(instance, Job.LOG, _LOCK_WAIT):
        tool = _tool(instance, adapters.engine, request)
        notes: list[str] = []
        new = False
        if request.create:
            _confirm(instance, request)
            # One that a restore made and did not get into service is as new as it was then.
            new = _was_left_half_way(instance)
            new = record["created"] = ask("create", version_of_newest(tool, request.source or instance)) or new
        made = request.create and (new or not has_served(instance))
        if not made and request.source is None and request.confirm == instance.name:
            notes = _save_last_log(adapters)
        planned = make_plan(instance, adapters, tool, request)
        planned.notes.extend(notes)
        level = instance.service_level
        measured = record["restore"] = planned.fields()
        measured["rto_target_seconds"] = level.rto.total_seconds()
        measured["rpo_target_seconds"] = level.rpo.total_seconds()
        _refuse(planned, "an empty server was made, and nothing else changed" if new else "nothing was changed")
        guard.use(instance, Work.DESTRUCTIVE, request.override, record)
        adapters.engine.close()
        reached, configuration = _make_aside(planned, tool, adapters, record, ask)
        came_back = _put_in_place(planned, ask, configuration if new else None)
        measured["configuration"].update(came_back)
        measured["in_service"] = True
        measured["rto_seconds"] = round(time.monotonic() - began, 1)
        log.info("%s is in service again, restored to %s", instance.name, reached.position)
        problems = _afterwards(instance, adapters, reached, request, measured, made=made)
        if configuration and not new:
            _compare(adapters, configuration, measured)
        if not request.keep_previous and not request.delta and not problems:
            ask("drop", planned.moment)
        ask("tidy")
    if problems:
        raise CheckFailed(
            f"restored and in service, but {'; '.join(problems)}",
            where=instance.name,
            remedy="Mend this before you rely on the instance; the data of before are where the record says",
        )
    return {}


def _tool(instance: Instance, engine: Engine, request: Request) -> Tool:
    source = request.source or instance
    if source.engine != instance.engine:
        raise InvalidInput(
            f"backups of {source.engine} cannot be restored into a server of {instance.engine}",
            where=f"{source.name} into {instance.name}",
            remedy="Name an instance of the same engine as the source",
        )
    return adapters_of(source.engine).physical()(source, engine)


def _put_in_place(planned: Plan, ask: Ask, configuration: Configuration | None = None) -> dict[str, Any]:
    if not planned.request.delta:
        try:
            ask("swap", planned.moment)
        except HoldfastError as error:
            if isinstance(error, Refused):  # nothing was moved
                ask("tidy")
            if planned.place.running:
                ask("start")
            raise
    return restore_configuration.start(ask, configuration)


def _confirm(instance: Instance, request: Request) -> None:
    if request.confirm != instance.name:
        raise Refused(
            f"{request.confirm!r} does not confirm it: {_unconfirmed(instance.name)}",
            where=instance.name,
            remedy="Nothing was changed. See the plan with --plan",
        )


def _unconfirmed(name: str) -> str:
    return f"confirm with the exact name of the instance, {name!r}, to have it done"


def _was_left_half_way(instance: Instance) -> bool:
    last = History.read(Records(instance)).last.get(str(Job.RESTORE)) or {}
    return bool(last.get("created")) and not last.get("restore", {}).get("in_service")


def _refuse(planned: Plan, done: str) -> None:
    request, problems = planned.request, list(planned.problems)
    if request.confirm != planned.instance.name:
        problems.insert(0, f"{request.confirm!r} does not confirm it: {_unconfirmed(planned.instance.name)}")
    if problems:
        raise Refused(
            "; ".join(problems), where=planned.instance.name, remedy=f"{done.capitalize()}. See the plan with --plan"
        )


def _save_last_log(adapters: Adapters) -> list[str]:
    """Bring the log written so far into the repository, as far as that is possible now; it may be all that is left."""
    if adapters.instance.service_level.log_interval is None:
        return []
    try:
        if adapters.engine.place().running:
            adapters.physical.prove_log()
        else:
            adapters.physical.save_log()
    except STOPS:
        raise
    except HoldfastError as error:
        log.warning("the newest log could not be saved first: %s", error)
        return [f"the newest log could not be saved first: {error.what}"]
    return []


def _make_aside(
    planned: Plan, tool: Tool, adapters: Adapters, record: Record, ask: Ask
) -> tuple[Reached, Configuration | None]:
    """Stop the server; restore, recover and examine beside its data. On failure what was there is in service again.

    Returns how far it got, and the configuration that came with the data.
    """
    measured = record["restore"]
    staging = planned.staging(adapters.engine)
    try:
        if planned.place.running:
            log.info("stopping %s", planned.place.service)
            ask("stop")
        ask("prepare")
        staging.destroy()  # of a restore that was interrupted
        restored = _restore(planned, tool, staging, record)
        reached = restored.reached or Reached("unknown")
        measured["phases"] = {name: round(seconds, 1) for name, seconds in restored.phases.items()}
        measured["reached"] = {
            "position": reached.position,
            "time": format_instant(reached.time),
            "timeline": reached.timeline,
        }
        _examine(planned, restored.engine, measured)
        configuration = restore_configuration.held(restored.engine, measured)
        restored.engine.close()
        staging.release(adapters.physical.server_settings())
    except BaseException:
        _back_out(planned, staging, ask)
        raise
    return reached, configuration


def _back_out(planned: Plan, staging: Staging, ask: Ask) -> None:
    for step in (staging.destroy, partial(ask, "tidy")):
        try:
            step()
        except (HoldfastError, OSError) as error:
            log.error("%s: %s", planned.instance.name, error)  # noqa: TRY400  what matters is that the server comes back
    if planned.request.delta:
        log.error("%s is stopped: its files are neither the old nor the new ones", planned.instance.name)
    elif planned.place.running:
        ask("start")
        log.warning("%s is in service again with the data of before", planned.instance.name)


def _restore(planned: Plan, tool: Tool, staging: Staging, record: Record) -> Restored:
    """Restore the best backup that can be read."""
    measured = record["restore"]
    failed: HoldfastError | None = None
    for candidate in _in_order(planned, tool):
        _note_candidate(planned, candidate, measured, failed)
        try:
            log.info("restoring %s from %s", candidate.backup.id, candidate.repository.name)
            return tool.restore(candidate.backup, candidate.repository, planned.request.target, staging)
        except (CorruptBackup, RepositoryUnavailable) as error:
            failed = error
            log.warning("%s cannot be restored, trying the one before it: %s", candidate.backup.id, error)
            measured.setdefault("fallback", []).append({"backup": candidate.backup.id, "error": str(error)})
            if isinstance(error, CorruptBackup):
                damaged = record.setdefault("verified", {}).setdefault(
                    candidate.repository.name, {"intact": [], "damaged": {}, "problems": []}
                )
                damaged["damaged"][candidate.backup.id] = error.what
            staging.destroy()
    assert failed is not None
    raise failed


def _in_order(planned: Plan, tool: Tool) -> Iterator[Candidate]:
    """What was planned, and only when that cannot be read the others: to list them takes a repository its time."""
    first = planned.candidate
    assert first is not None
    yield first
    for candidate in candidates(planned, tool):
        if (candidate.repository, candidate.backup.id) != (first.repository, first.backup.id):
            yield candidate


def _note_candidate(
    planned: Plan, candidate: Candidate, measured: dict[str, Any], failed: HoldfastError | None
) -> None:
    planned.candidate = candidate
    if failed:
        measured.update(
            {key: value for key, value in planned.fields().items() if key in ("repository", "backup", "chain", "log")}
        )


def _examine(planned: Plan, server: Engine, measured: dict[str, Any]) -> None:
    problems: list[str] = []
    marker = server.newest_marker()
    if marker:
        measured["marker"] = {"id": marker.id, "written": format_instant(marker.written)}
        measured["rpo_seconds"] = round(max(0.0, (utcnow() - marker.written).total_seconds()), 1)
    measured["tables"] = len(server.tables())
    target, found = planned.request.target, measured["reached"]["time"]
    if target.time and found and found > str(format_instant(target.time)):
        problems.append(f"the server recovered to {found}, beyond the target {format_instant(target.time)}")
    if planned.request.check:
        began = time.monotonic()
        check = server.check()
        measured["check"] = {"checker": check.checker, "objects": check.objects, "problems": len(check.problems)}
        measured["check"]["seconds"] = round(time.monotonic() - began, 1)
        problems.extend(check.problems[:_PROBLEMS_SHOWN])
    outcome = [_ask_server(server, item) for item in planned.request.assertions if item.sql]
    measured["validation"] = outcome
    problems.extend(
        f"{item['name']}: {item['found']!r}, not {item['expected']!r}" for item in outcome if not item["ok"]
    )
    if problems:
        raise CheckFailed(
            "; ".join(problems),
            where=planned.instance.name,
            remedy="The restored data were not put in service; choose another target or backup",
        )


def _ask_server(server: Engine, item: Assertion) -> dict[str, Any]:
    try:
        found = server.query(item.sql, item.database)
    except HoldfastError as error:
        found = error.what
        return {"name": item.name, "expected": item.expected, "found": found, "ok": False}
    return {"name": item.name, "expected": item.expected, "found": found, "ok": found == item.expected}


def _compare(adapters: Adapters, saved: Configuration, measured: dict[str, Any]) -> None:
    """Say what an instance that was there before is configured with otherwise; nothing of it is changed."""
    try:
        measured["configuration"].update(restore_configuration.compare(adapters.engine, saved))
    except HoldfastError as error:
        measured["configuration"]["problem"] = f"it could not be compared with that of the server: {error.what}"


def _afterwards(
    instance: Instance,
    adapters: Adapters,
    reached: Reached,
    request: Request,
    measured: dict[str, Any],
    *,
    made: bool,
) -> list[str]:
    """Make the restored instance whole: its log goes on and arrives, the application answers."""
    problems: list[str] = []

    def attempt(what: str, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except HoldfastError as error:
            problems.append(f"{what}: {error}")
            return None

    attempt("its log does not go on", lambda: adapters.engine.adopt(reached))
    # Of a server that was just made, the parameters follow, and the full backup after them proves the log.
    if instance.service_level.log_interval is not None and not made:
        measured["log_proven"] = attempt("its log does not arrive", adapters.physical.prove_log)
    attempt("no marker could be written", adapters.engine.write_marker)
    for item in request.assertions:
        if item.url:
            answer = restore_place.probe(item)
            measured["validation"].append(answer)
            if not answer["ok"]:
                problems.append(f"{item.name}: {item.url} answers {answer['found']}")
    measured["rebuild"] = measured["replicas"]
    measured["finished"] = format_instant(utcnow())
    return problems
