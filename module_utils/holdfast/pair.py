"""What an instance knows of the other member of its pair, and what follows from it for its jobs and its status."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from .engines.registry import replication
from .engines.replication import Peer, ReplicationState
from .errors import Fenced, HoldfastError, InvalidInput
from .model import Instance
from .units import format_bytes, format_instant, utcnow

_FILE = "pair.json"


@dataclass(frozen=True)
class Pair:
    """The pair of one instance, as its last runbook left it. ``fenced`` says why it must not take writes."""

    peer: Peer
    role: str = ""  # primary | replica
    since: str = ""
    fenced: str = ""


def read(instance: Instance) -> Pair | None:
    """The pair of an instance; None when it has none. Raises InvalidInput for a user that may not know."""
    try:
        with open(os.path.join(instance.state_directory, _FILE), encoding="utf-8") as stream:
            raw = json.load(stream)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise InvalidInput("its pair is known to its owner alone", where=instance.name, remedy="Use sudo") from None
    return Pair(Peer(**raw.pop("peer")), **raw)


def is_set_up(instance: Instance) -> bool:
    """Whether replication.yml has given the instance its part."""
    known = read(instance)
    return known is not None and bool(known.role)


def write(instance: Instance, pair: Pair) -> None:
    """Remember the pair. The file holds the password of the account, so the owner alone may read it."""
    path = os.path.join(instance.state_directory, _FILE)
    text = json.dumps({**vars(pair), "peer": vars(pair.peer)}, indent=2, sort_keys=True) + "\n"
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".new", path)


def take_role(instance: Instance, peer: Peer, role: str, fenced: str = "") -> None:
    """Remember which part the instance has from now on."""
    write(instance, Pair(peer, role, format_instant(utcnow()) or "", fenced))


def resting(instance: Instance) -> str:
    """Why the jobs of an instance rest: its primary takes the backups. Empty when they do not.

    A primary looks whether its peer was promoted meanwhile. If so, it fences itself and raises Fenced: this is what
    keeps a primary that was cut off, or comes back, from going on.
    """
    pair = read(instance)
    if pair is None:
        return f"it is to become a replica of {instance.replica_of}" if instance.replica_of else ""
    if pair.fenced:
        raise _fenced(instance, pair)
    server = replication(instance, pair.peer)
    try:
        try:
            own = server.state()
        except HoldfastError:
            # The job finds out itself; the log of a primary that is down may be all that is left of it.
            return f"it is a replica of {pair.peer.name} and does not answer" if pair.role == "replica" else ""
        if own.role == "replica":
            return f"it is a replica of {pair.peer.name}, which takes the backups"
        try:
            writable, generation = server.look_at()
        except HoldfastError:
            return ""  # nobody to ask: a primary that cannot see its replica goes on
        if not writable or generation <= own.generation:
            return ""
        pair = Pair(pair.peer, "replica", format_instant(utcnow()) or "", f"{pair.peer.name} was promoted meanwhile")
        write(instance, pair)
        server.fence()
        raise _fenced(instance, pair)
    finally:
        server.close()


def report(instance: Instance) -> dict[str, Any] | None:
    """What status shows of the pair; None when the instance has none. Never raises what can be reported."""
    try:
        pair = read(instance)
    except HoldfastError:
        return None
    if pair is None:
        return None
    found: dict[str, Any] = {"peer": pair.peer.name, "role": pair.role, "problems": [], "fenced": pair.fenced}
    if pair.fenced:
        found["problems"].append(str(_fenced(instance, pair)))
    server = replication(instance, pair.peer)
    try:
        _describe(server.state(), pair, instance, found)
    except HoldfastError:
        return found  # that the server does not answer is told anyway
    finally:
        server.close()
    return found


def _describe(state: ReplicationState, pair: Pair, instance: Instance, found: dict[str, Any]) -> None:
    found.update(
        role=state.role,
        source=state.source,
        streaming=state.streaming,
        lag_bytes=state.lag_bytes,
        lag_seconds=None if state.lag_seconds is None else round(state.lag_seconds, 1),
        position=state.position,
        replicas=list(state.replicas),
    )
    if state.role == "primary":
        if pair.peer.name not in state.replicas:
            found["problems"].append(f"its replica {pair.peer.name} is not attached")
        return
    lag = found["lag_seconds"]
    if not state.streaming:
        behind = "an unknown time" if lag is None else f"at most {lag:.0f} s"
        found["problems"].append(f"replication of {pair.peer.name} is broken, {behind} behind: {state.problem}")
    elif lag is not None and lag > instance.service_level.rpo.total_seconds():
        rpo = instance.service_level.rpo.total_seconds()
        text = f"{lag:.0f} s ({format_bytes(state.lag_bytes)}) behind {pair.peer.name}, RPO is {rpo:.0f} s"
        found["problems"].append(text)


def _fenced(instance: Instance, pair: Pair) -> Fenced:
    return Fenced(
        f"it was fenced at {pair.since}: {pair.fenced}",
        where=instance.name,
        remedy=f"playbooks/failback.yml makes it a replica of {pair.peer.name}",
    )
