"""In which order the hosts of a fleet are patched: replicas before their primaries. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..pairs import PairOf

Answers = Mapping[str, Mapping[str, Any]]  # of db_patch_info, by host


@dataclass
class Rollout:
    """The hosts in their order, and how many of them at a time: the sizes of batches, as Ansible's ``serial``."""

    hosts: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    mates: dict[str, list[str]] = field(default_factory=dict)  # hosts with the other members of pairs, by host
    plan: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def chosen(names: Sequence[str], hosts: Sequence[str]) -> list[str]:
    """The hosts that were named. Raises InvalidInput for those that the play does not have."""
    unknown = [name for name in names if name not in hosts]
    if unknown:
        close = difflib.get_close_matches(unknown[0], hosts, n=1)
        raise InvalidInput(
            f"no host of this play is called {', '.join(unknown)}",
            remedy=f"{f'Did you mean {close[0]}? ' if close else ''}There are {', '.join(hosts)}",
        )
    return [host for host in hosts if host in names]


def order(names: Sequence[str], pairs: Sequence[PairOf], answers: Answers, at_a_time: int = 1) -> Rollout:
    """Replicas first, then hosts without a pair, then those whose primaries hand over to a replica that is done."""
    roles = {server["instance"]: server.get("role", "") for item in answers.values() for server in item["servers"]}
    rollout = Rollout(mates={name: [] for name in names})
    leading: dict[str, list[str]] = {name: [] for name in names}
    paired: set[str] = set()
    for pair in pairs:
        for member in pair.members:
            other = pair.other(member)
            if member.host not in leading:
                continue
            paired.add(member.host)
            if other.host != member.host:
                rollout.mates[member.host].append(other.host)
            if roles.get(member.name) == "primary":
                leading[member.host].append(f"{member.name} to {other.name} on {other.host}")
                if other.host not in names:
                    rollout.notes.append(f"{other.name} on {other.host} is not among them and keeps its version")
    following = [name for name in names if name in paired and not leading[name]]
    alone = [name for name in names if name not in paired]
    primaries = [name for name in names if name in paired and leading[name]]
    rollout.hosts = [*following, *alone, *primaries]
    rollout.batches = [1] * len(following) + _sizes(len(alone), at_a_time) + [1] * len(primaries)
    for name in rollout.hosts:
        swap = "".join(f"; before that, {text} takes over" for text in _swaps(leading[name]))
        rollout.plan.append(f"{name}{swap}")
    crossed = [name for name in primaries if any(mate in primaries for mate in rollout.mates[name])]
    if crossed:
        rollout.notes.append(f"{', '.join(crossed)} have primaries of each other's replicas: one of them goes first")
    return rollout


def _sizes(count: int, at_a_time: int) -> list[int]:
    whole, rest = divmod(count, max(1, at_a_time))
    return [max(1, at_a_time)] * whole + ([rest] if rest else [])


def _swaps(texts: Sequence[str]) -> list[str]:
    return [f"{there} from {here}" for here, _, there in (text.partition(" to ") for text in texts)]
