"""Removing log for recovery that a verified backup holds and nobody needs: shown, then done by the server itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import pair
from ..adapters import Adapters
from ..audit.facts import plain
from ..config import load
from ..engines import registry
from ..engines.logs import Need
from ..errors import Refused
from ..jobs import run_job
from ..model import Instance, Job
from ..owner import run_as_owner
from ..records import Record
from ..units import format_bytes

Prepare = Callable[[Instance], None]


@dataclass(frozen=True)
class Request:
    """What a person asks for. ``replicas`` are those that the inventory has, ``needs`` what they said."""

    replicas: Sequence[str] = ()
    needs: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    drop: Sequence[str] = ()  # slots
    confirm: str = ""  # the name of the instance


def plan(name: str, request: Request, prepare: Prepare) -> dict[str, Any]:
    """What would go and what stays, and why. Raises Refused for what must not be."""
    found: dict[str, Any] = run_as_owner(load(name), partial(_plan, name, request, prepare))
    return found


def _plan(name: str, request: Request, prepare: Prepare) -> dict[str, Any]:
    instance = load(name)
    prepare(instance)
    with Adapters(instance) as adapters:
        planned = registry.log_keeper(adapters.engine).plan_purge(needs(instance, request), request.drop)
    result: dict[str, Any] = plain(planned)
    return result


def start(name: str, request: Request, prepare: Prepare) -> Record:
    """Carry a purge out and return its record. Raises Refused without the right confirmation."""
    if request.confirm != name:
        raise Refused(
            f"{request.confirm!r} does not confirm a purge",
            where=name,
            remedy=f"Look at the plan in check mode, then give the name of the instance, {name}",
        )

    def work() -> Record:
        complete = load(name)
        prepare(complete)
        return run_job(complete, Job.LOG_CHANGE, call=partial(_purge, request=request))

    record: Record = run_as_owner(load(name), work)
    return record


def _purge(instance: Instance, record: Record, *, request: Request) -> dict[str, Any]:
    said: dict[str, Any] = {"action": "purge", "freed_bytes": 0}
    record["logs"] = said
    with Adapters(instance) as adapters:
        keeper = registry.log_keeper(adapters.engine)
        planned = keeper.plan_purge(needs(instance, request), request.drop)
        said.update(plain(planned))
        if planned.statements:
            said["freed_bytes"] = keeper.purge(planned)
    return {}


def needs(instance: Instance, request: Request) -> list[Need]:
    """What every replica of an instance needs; one that did not say so is among them, with the problem."""
    told = {str(item["replica"]): Need(**item) for item in request.needs if item.get("primary") == instance.name}
    names = dict.fromkeys([*request.replicas, *told])
    known = pair.read(instance)
    if known is not None and known.role == "primary":
        names.setdefault(known.peer.name)
    silent = "it was not asked, or did not answer"
    return [told.get(name, Need(instance.name, name, problem=silent)) for name in names]


def changes(planned: Mapping[str, Any]) -> bool:
    """Whether a plan removes anything that can be named: a checkpoint alone is no change."""
    return bool(planned["files"]) or any("CHECKPOINT" not in statement for statement in planned["statements"])


def describe(planned: Mapping[str, Any]) -> str:
    """A plan as a person reads it."""
    lines = [f"- {name}" for name in planned["files"]]
    lines.append(f"{format_bytes(planned['size'])} can go" if planned["size"] else "nothing can go")
    lines += [f"runs: {statement}" for statement in planned["statements"]]
    lines += [f"stays: {name}: {why}" for name, why in planned["kept"].items()]
    return "\n".join([*lines, *planned["notes"]])
