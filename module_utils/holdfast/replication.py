"""What makes an instance a primary or a replica, one action at a time; the runbooks put them in their order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from . import guard, pair
from .config import load
from .engines.registry import replication
from .engines.replication import Peer, Replication, ReplicationState
from .errors import HoldfastError, InvalidInput, Refused, RestartRequired
from .guard import Judgement, Override
from .jobs import run_job
from .model import Instance, Job
from .owner import Ask, run_as_owner, run_with_root
from .records import Record, Records
from .units import format_bytes, format_duration, format_instant, utcnow
from .windows import Work

log = logging.getLogger(__name__)

Prepare = Callable[[Instance], None]


@dataclass(frozen=True)
class Request:
    """One action on one member of a pair.

    ``position`` is the one at which roles change, ``patience`` is in seconds.
    ``without_writes`` is for how many seconds nobody could write when the action was asked for.
    """

    action: str
    peer: Peer
    position: str = ""
    patience: float = 60.0
    restart: bool = False
    unplanned: bool = False
    accept_loss: bool = False
    without_writes: float | None = None
    reason: str = ""
    override: Override | None = None  # of the windows of the instance


@dataclass
class Outcome:
    """What an action did, or would do."""

    changed: bool = False
    actions: list[str] = field(default_factory=list)
    position: str = ""
    details: dict[str, Any] = field(default_factory=dict)


Action = Callable[[Instance, Replication, Request, Outcome], None]


def look(name: str) -> dict[str, Any]:
    """What a runbook has to know of one member before it decides. Never raises what can be told."""
    instance = load(name)
    found: dict[str, Any] = run_as_owner(instance, partial(_look, name))
    return found


def _look(name: str) -> dict[str, Any]:
    instance = load(name)
    known = pair.read(instance)
    found: dict[str, Any] = {
        "instance": name,
        "rpo_seconds": instance.service_level.rpo.total_seconds(),
        "peer": known.peer.name if known else "",
        "fenced": known.fenced if known else "",
        "running": [record["job"] for record in Records(instance).running()],
        "answers": False,
        "writable": False,
        "role": "",
        "windows": guard.judge(instance, Work.DESTRUCTIVE).fields(),
    }
    server = replication(instance, known.peer if known else Peer("", "", 0))
    try:
        found["has_server"] = server.has_server()
        state = asdict(server.state())
        found.update(state, answers=True, replicas=list(state["replicas"]))
    except HoldfastError as error:
        found["error"] = error.what
    finally:
        server.close()
    return found


def act(name: str, request: Request, prepare: Prepare, *, change: bool) -> tuple[Outcome, Record | None]:
    """Carry out an action, or without ``change`` say what it would do. Needs root. Returns the record of what was done.

    ``prepare`` is called as the owner first, to set up its logging.
    """
    instance = load(name)
    if request.action not in ACTIONS:
        raise InvalidInput(f"unknown action {request.action!r}", where=name, remedy=f"Known are {', '.join(ACTIONS)}")

    def work(ask: Ask) -> dict[str, Any]:
        complete = load(name)
        prepare(complete)
        planned = _planned(complete, request)
        if not change or (request.action in REPEATED and not planned.changed):
            return {"outcome": vars(planned), "record": None}
        outcome = Outcome()
        record = run_job(complete, Job.REPLICATION, call=partial(_run, request=request, ask=ask, outcome=outcome))
        return {"outcome": vars(outcome), "record": record}

    done = run_with_root(instance, work, replication(instance, request.peer).operations())
    return Outcome(**done["outcome"]), done["record"]


def _planned(instance: Instance, request: Request) -> Outcome:
    """What an action would do, as far as that can be told without doing it."""
    peer, name = request.peer, instance.name
    if request.action == "prepare":
        return _missing(instance, request)
    if request.action == "follow" and not request.position:
        return _to_follow(instance, request)
    sentences = {
        "follow": f"{name} becomes a replica of {peer.name}",
        "demote": f"{name} stops taking writes once {peer.name} has everything",
        "resume": f"{name} takes writes again",
        "promote": f"{name} becomes the primary",
        "fence": f"{name} is kept from taking writes",
        "rejoin": f"what only {name} has is saved, then it becomes a replica of {peer.name}",
    }
    return Outcome(True, [sentences[request.action]])


def _missing(instance: Instance, request: Request) -> Outcome:
    server = replication(instance, request.peer)
    try:
        found = server.prepare(change=False, restart=request.restart)
    finally:
        server.close()
    known = pair.read(instance)
    if known is None or known.peer != request.peer:
        found.append(f"{request.peer.name} at {request.peer.address} is remembered as its peer")
    return Outcome(bool(found), found)


def _to_follow(instance: Instance, request: Request) -> Outcome:
    server = replication(instance, request.peer)
    try:
        if not server.has_server():
            return Outcome(True, [f"{instance.name} is made and filled from the newest backup of {request.peer.name}"])
        state = server.state()
    except HoldfastError:
        return Outcome(True, [f"{instance.name} is filled from the newest backup of {request.peer.name}"])
    finally:
        server.close()
    if state.role == "replica" and state.source == request.peer.address and state.streaming:
        return Outcome()
    return Outcome(True, [f"{instance.name} becomes a replica of {request.peer.name}"])


def _run(instance: Instance, record: Record, *, request: Request, ask: Ask, outcome: Outcome) -> dict[str, Any]:
    record["replication"] = {"action": request.action, "peer": request.peer.name}
    if request.override:
        guard.use(instance, Work.DESTRUCTIVE, request.override, record)
    server = replication(instance, request.peer, ask)
    try:
        ACTIONS[request.action](instance, server, request, outcome)
    finally:
        server.close()
    outcome.changed = outcome.changed or request.action not in REPEATED
    said = {"position": outcome.position} if outcome.position else {}
    record["replication"].update(**said, **outcome.details, actions=outcome.actions)
    return {}


def _prepare(instance: Instance, server: Replication, request: Request, outcome: Outcome) -> None:
    known = pair.read(instance)
    # Remembered first: what is prepared for it is found again by whoever looks.
    pair.write(instance, pair.Pair(request.peer, known.role if known else "", known.since if known else ""))
    judged = guard.judge(instance, Work.RESTART, request.override) if request.restart else Judgement()
    try:
        outcome.actions = server.prepare(change=True, restart=request.restart and not judged.problem)
    except RestartRequired as error:
        if not judged.problem:
            raise
        raise Refused(f"{error.what}, and {judged.problem}", where=instance.name, remedy="All else was done") from None
    outcome.changed = True


def _follow(instance: Instance, server: Replication, request: Request, outcome: Outcome) -> None:
    if not request.position and not _belongs(instance, server):
        _refuse_own_data(instance, server)
        outcome.details["filled"] = server.fill()
        outcome.actions.append(f"filled from backup {outcome.details['filled']['backup']}")
    outcome.changed = server.follow(position=request.position) or bool(outcome.actions)
    outcome.actions.append(f"follows {request.peer.name} at {request.peer.address}")
    pair.take_role(instance, request.peer, "replica")


def _belongs(instance: Instance, server: Replication) -> bool:
    """Whether the data are those of the pair already."""
    known = pair.read(instance)
    return server.has_server() and known is not None and known.role == "replica"


def _refuse_own_data(instance: Instance, server: Replication) -> None:
    """A server that somebody uses is not taken for one that waits to be filled."""
    try:
        used = server.has_server() and server.state().writable and bool(server.tables())
    except HoldfastError:
        return  # it is down: what it has is set aside
    if used:
        raise Refused(
            "a server with data of its own takes writes here",
            where=instance.name,
            remedy="Give the replica another port or host, or stop that server: its data are set aside then",
        )


def _demote(instance: Instance, server: Replication, request: Request, outcome: Outcome) -> None:
    outcome.position = server.demote()
    pair.take_role(instance, request.peer, "replica")
    outcome.actions.append(f"takes no writes after {outcome.position}")


def _resume(instance: Instance, server: Replication, request: Request, outcome: Outcome) -> None:
    server.resume()
    pair.take_role(instance, request.peer, "primary")
    outcome.actions.append("takes writes again")


def _promote(instance: Instance, server: Replication, request: Request, outcome: Outcome) -> None:
    began = time.monotonic()
    if request.unplanned:
        outcome.details["loss"] = _replay_what_is_left(instance, server, request)
    elif request.position:
        server.catch_up(request.position, request.patience)
    server.promote()
    pair.take_role(instance, request.peer, "primary")
    outcome.position = server.state().position
    outcome.actions.append(f"{instance.name} is the primary")
    if "loss" in outcome.details:
        outcome.actions.append(_loss_sentence(outcome.details["loss"]))
    if request.without_writes is not None:
        outcome.details["seconds_without_writes"] = round(request.without_writes + time.monotonic() - began, 3)


def _replay_what_is_left(instance: Instance, server: Replication, request: Request) -> dict[str, Any]:
    before = _once_silent(server, request.patience)
    if before.streaming:
        raise Refused(
            f"log still arrives from {request.peer.name}: it is alive",
            where=instance.name,
            remedy="Use playbooks/switchover.yml, or cut it off first",
        )
    try:
        replayed = server.replay_saved(request.patience)
        missing, unknown = replayed.missing_bytes, ""
    except HoldfastError as error:
        missing, unknown = 0, error.what
    if (missing or unknown) and not request.accept_loss:
        what = f"{format_bytes(missing)} of saved log are not replayed" if missing else f"saved log: {unknown}"
        raise Refused(what, where=instance.name, remedy="Mend that, or accept the loss: failover_accept_loss=true")
    after = server.state()
    seconds = after.lag_seconds if after.lag_seconds is not None else before.lag_seconds
    rpo = instance.service_level.rpo.total_seconds()
    if (seconds is None or seconds > rpo) and not request.accept_loss:
        age = "an unknown time" if seconds is None else format_duration(timedelta(seconds=seconds))
        raise Refused(
            f"changes of up to {age} would be lost, RPO is {format_duration(timedelta(seconds=rpo))}",
            where=instance.name,
            remedy="Accept that with failover_accept_loss=true",
        )
    return {
        "position": after.position,
        "known_bytes": missing,
        "seconds": None if seconds is None else round(seconds, 1),
        "last_change": None if seconds is None else format_instant(utcnow() - timedelta(seconds=seconds)),
        "repository": unknown or "replayed to its end",
    }


def _once_silent(server: Replication, patience: float) -> ReplicationState:
    """The state of a replica once it has noticed that nothing arrives any more, or after so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        state = server.state()
        if not state.streaming or time.monotonic() > deadline:
            return state
        time.sleep(1)


def _fence(instance: Instance, server: Replication, request: Request, outcome: Outcome) -> None:
    why = request.reason or f"{request.peer.name} takes over"
    pair.take_role(instance, request.peer, "replica", why)
    server.fence()
    outcome.actions.append(f"is kept from taking writes: {why}")


def _rejoin(instance: Instance, server: Replication, request: Request, outcome: Outcome) -> None:
    pair.take_role(instance, request.peer, "replica", f"{request.peer.name} took over")
    lost, how = server.rejoin()
    outcome.details["rejoined"] = how
    if lost:
        outcome.details["lost"] = asdict(lost)
        where = f", saved in {lost.directory}" if lost.directory else ""
        outcome.actions.append(f"{lost.transactions} transactions of its own after {lost.since}{where}")
    pair.take_role(instance, request.peer, "replica")
    outcome.actions.append(f"follows {request.peer.name} again ({how['method']})")


def _loss_sentence(loss: dict[str, Any]) -> str:
    """What a failover lost, as far as anybody can know before the old primary is seen again."""
    seconds = loss["seconds"]
    age = "an unknown time" if seconds is None else format_duration(timedelta(seconds=seconds))
    return (
        f"lost are changes of at most the last {age} (last change {loss['last_change'] or 'unknown'});"
        f" {format_bytes(loss['known_bytes'])} of log known to exist are missing"
    )


ACTIONS: dict[str, Action] = {
    "prepare": _prepare,
    "follow": _follow,
    "demote": _demote,
    "resume": _resume,
    "promote": _promote,
    "fence": _fence,
    "rejoin": _rejoin,
}
REPEATED = ("prepare", "follow")  # a second time they find nothing to do
