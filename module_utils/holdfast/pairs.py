"""Which two instances form a pair, which of them is the primary now, and whether their roles may change. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Callable

from .errors import InvalidInput
from .guard import HOW, Override
from .units import format_bytes, format_duration

Answers = Mapping[str, Mapping[str, Any]]  # of db_replica_info, by the name of the instance


@dataclass(frozen=True)
class Member:
    """One instance of a pair: where it is, and how other hosts reach it."""

    name: str
    host: str
    address: str
    port: int

    def as_peer(self) -> dict[str, Any]:
        """It as the other one needs it."""
        return {"name": self.name, "host": self.address, "port": self.port}


@dataclass(frozen=True)
class PairOf:
    """``first`` was set up as the primary, ``second`` as its replica; what they are now, the servers say."""

    first: Member
    second: Member

    @property
    def members(self) -> tuple[Member, Member]:
        """Both."""
        return self.first, self.second

    def other(self, member: Member) -> Member:
        """The other one."""
        return self.second if member == self.first else self.first


@dataclass
class Decision:
    """What a runbook may do. Nothing is done while there are ``refusals``; ``plan`` is what would be, in sentences."""

    primary: Member | None = None
    replica: Member | None = None
    refusals: list[str] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wish:
    """What was asked for, with the words of the one who asks."""

    instance: str
    confirm: str = ""
    primary_is_fenced: bool = False
    accept_loss: bool = False
    maximum_lag: timedelta = timedelta(seconds=30)
    probed: Sequence[str] = ()  # addresses of the primary that still answer somebody
    override: Override | None = None  # of the windows of both


def find_pairs(
    instances: Mapping[str, Sequence[Mapping[str, Any]]], addresses: Mapping[str, str], ports: Mapping[str, int]
) -> list[PairOf]:
    """Every pair of the fleet. ``instances`` are as the inventory has them, by host; ``ports`` are the engines' own."""
    members: dict[str, Member] = {}
    wishes: dict[str, str] = {}
    for host, listed in instances.items():
        for raw in listed:
            name = str(raw["name"])
            port = int(raw.get("port") or ports.get(str(raw.get("engine")), 0))
            members[name] = Member(name, host, addresses.get(host) or host, port)
            if raw.get("replica_of"):
                wishes[name] = str(raw["replica_of"])
    unknown = sorted(f"{name} of {source}" for name, source in wishes.items() if source not in members)
    if unknown:
        raise InvalidInput(f"replicas of instances that nobody has: {', '.join(unknown)}")
    return [PairOf(members[source], members[name]) for name, source in sorted(wishes.items())]


def pair_of(pairs: Sequence[PairOf], name: str) -> PairOf:
    """The pair of an instance. Raises InvalidInput with the names that there are."""
    for pair in pairs:
        if name in (pair.first.name, pair.second.name):
            return pair
    names = sorted(member.name for pair in pairs for member in pair.members)
    close = difflib.get_close_matches(name, names, n=1)
    raise InvalidInput(
        f"{name!r} is in no pair" if name else "no instance is named",
        remedy=f"{f'Did you mean {close[0]}? ' if close else ''}Pairs have {', '.join(names) or 'nobody'}",
    )


def decide(operation: str, pair: PairOf, answers: Answers, wish: Wish) -> Decision:
    """Whether an operation may go ahead, and with whom in which part."""
    decision = Decision()
    if wish.confirm != wish.instance:
        decision.refusals.append(
            f"{wish.confirm!r} does not confirm it: confirm with the exact name of the instance, {wish.instance!r}"
        )
    writable = [member for member in pair.members if answers[member.name].get("writable")]
    if len(writable) == 2:
        writable.sort(key=lambda member: int(answers[member.name].get("generation", 0)))
        decision.notes.append(
            f"{writable[0].name} and {writable[1].name} both take writes; {writable[1].name} was promoted last"
        )
    if writable:
        decision.primary, decision.replica = writable[-1], pair.other(writable[-1])
    _DECISIONS[operation](pair, answers, wish, decision)
    if decision.plan or decision.refusals:
        _heed_windows(operation, pair, answers, wish, decision)
    return decision


def _heed_windows(operation: str, pair: PairOf, answers: Answers, wish: Wish, decision: Decision) -> None:
    """Each member told what its windows say. A failover is an emergency: it is told and not refused."""
    for member in pair.members:
        found = answers[member.name].get("windows") or {}
        if found.get("allowed", True) or found.get("override"):
            continue
        why = f"{member.name}: {found['why']}"
        if operation == "failover":
            decision.notes.append(f"{why}. A failover is not bound to that")
        elif wish.override:
            decision.notes.append(f"{why}; {wish.override.describe()}")
        else:
            decision.refusals.append(f"{why}. {HOW}")


def _switchover(_pair: PairOf, answers: Answers, wish: Wish, decision: Decision) -> None:
    primary, replica, refuse = decision.primary, decision.replica, decision.refusals.append
    if primary is None or replica is None:
        refuse("no member of the pair takes writes: this is a case for failover.yml")
        return
    found = answers[replica.name]
    if decision.notes:
        refuse(f"{decision.notes.pop()}: run failback.yml for {replica.name} first")
        return
    if not found.get("answers"):
        refuse(f"the replica {replica.name} does not answer: {reason(found)}")
        return
    if not found.get("streaming"):
        refuse(f"replication of {replica.name} is broken: {found.get('problem') or 'it receives no log'}")
    elif float(found.get("lag_seconds") or 0) > wish.maximum_lag.total_seconds():
        behind, limit = timedelta(seconds=float(found["lag_seconds"])), wish.maximum_lag
        refuse(
            f"the replica {replica.name} is {format_duration(behind)} behind, at most {format_duration(limit)} may be"
        )
    elif replica.name not in answers[primary.name].get("replicas", ()):
        refuse(f"{replica.name} is not attached to {primary.name}")
    decision.plan = [
        f"{primary.name} on {primary.host} takes no more writes",
        f"{replica.name} on {replica.host} replays all of it and becomes the primary",
        f"{primary.name} becomes its replica",
    ]


def _failover(pair: PairOf, answers: Answers, wish: Wish, decision: Decision) -> None:
    refuse = decision.refusals.append
    if decision.primary:
        name = decision.primary.name
        if decision.notes:
            refuse(decision.notes.pop())
        refuse(f"{name} on {decision.primary.host} is alive and takes writes: use switchover.yml")
        return
    # A primary that was demoted by a switchover that was cut short is no replica of anybody yet.
    able = [member for member in pair.members if answers[member.name].get("source")]
    able = [member for member in able if not answers[member.name].get("fenced")]
    if len(able) != 1:
        refuse("no replica answers that could take over" if not able else "both are replicas: nobody was the primary")
        for member in pair.members:
            decision.notes.append(f"{member.name}: {reason(answers[member.name])}")
        return
    replica, primary = able[0], pair.other(able[0])
    decision.primary, decision.replica = primary, replica
    found, lost = answers[replica.name], answers[primary.name]
    reached = [f"{address} answers {replica.name}" for address in wish.probed]
    if found.get("streaming") and f"{primary.address}:{primary.port}" in wish.probed:
        refuse(f"{replica.name} still receives log from {primary.name}: it is alive. Cut it off first")
    if lost.get("unreachable") and reached and not wish.primary_is_fenced:
        refuse(
            f"the primary is not proven to be gone: {', '.join(reached)}. Make sure that it takes no writes, and say"
            " so with failover_primary_is_fenced=true"
        )
    behind, rpo = found.get("lag_seconds"), float(found.get("rpo_seconds") or 0)
    if (behind is None or float(behind) > rpo) and not wish.accept_loss:
        known = "an unknown time" if behind is None else format_duration(timedelta(seconds=float(behind)))
        target = format_duration(timedelta(seconds=rpo))
        refuse(f"changes of up to {known} would be lost, RPO is {target}. Accept that with failover_accept_loss=true")
    decision.notes.append(f"{primary.name}: {reason(lost)}")
    decision.plan = [
        f"{primary.name} on {primary.host} is fenced, "
        + ("as soon as it is seen again" if lost.get("unreachable") else "so that it cannot come back writable"),
        f"{replica.name} on {replica.host} replays what it has and what the repositories hold, and becomes the primary",
        _loss(found),
    ]


def _failback(_pair: PairOf, answers: Answers, _wish: Wish, decision: Decision) -> None:
    primary, old, refuse = decision.primary, decision.replica, decision.refusals.append
    if primary is None or old is None:
        refuse("no member of the pair takes writes: there is nobody to follow")
        return
    found = answers[old.name]
    if found.get("unreachable"):
        refuse(f"{old.name} on {old.host} cannot be reached: {reason(found)}")
    elif found.get("role") == "replica" and found.get("streaming") and not found.get("fenced"):
        decision.notes.append(f"{old.name} is a replica of {primary.name} already")
        return
    decision.plan = [
        f"what {old.name} has and {primary.name} never got is saved",
        f"{old.name} on {old.host} becomes a replica of {primary.name}",
    ]


def reason(answer: Mapping[str, Any]) -> str:
    """Why a member gave no good answer."""
    if answer.get("unreachable"):
        return f"its host cannot be reached: {str(answer.get('msg', 'no answer')).strip()}"
    return str(answer.get("error") or answer.get("msg") or answer.get("problem") or "it answers")


def _loss(found: Mapping[str, Any]) -> str:
    if found.get("streaming"):
        return "what is lost is measured once the replica has noticed that nothing arrives any more"
    behind = found.get("lag_seconds")
    age = "an unknown time" if behind is None else f"at most {format_duration(timedelta(seconds=float(behind)))}"
    size = found.get("lag_bytes")
    return f"lost are the changes of {age}" + (f", {format_bytes(size)} of them known" if size is not None else "")


_DECISIONS: Mapping[str, Callable[[PairOf, Answers, Wish, Decision], None]] = {
    "switchover": _switchover,
    "failover": _failover,
    "failback": _failback,
}
