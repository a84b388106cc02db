"""The order of recovery: what depends on what, and what can wait least."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def dependencies(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """``depends_on`` of every instance of the fleet by name, as far as it can be read."""
    found: dict[str, list[str]] = {}
    for variables in hosts.values():
        for raw in _list(variables.get("db_instances")):
            if isinstance(raw, Mapping) and isinstance(raw.get("name"), str):
                found[raw["name"]] = [item for item in _list(raw.get("depends_on")) if isinstance(item, str)]
    return found


def waves(needs: Mapping[str, Sequence[str]], urgency: Mapping[str, float]) -> list[list[str]]:
    """The order of recovery: the instances of a wave run in parallel once those of the waves before are done.

    ``needs`` are the instances that each one depends on; unknown ones are passed over. The smallest ``urgency``, in
    seconds, comes first, and what an instance depends on is as urgent as the instance. One that can wait
    longer than another that must still wait is put off, so that nothing urgent waits for it. Instances on a circle are
    left out.
    """
    known = {name: [need for need in needs[name] if need in needs] for name in needs}
    pressing = _pressing(known, urgency)
    order: list[list[str]] = []
    waiting = {name for wave in pressing for name in wave}
    effective = {name: seconds for wave in pressing for name, seconds in wave.items()}
    while waiting:
        ready = {name for name in waiting if not waiting.intersection(known[name])}
        limit = min((effective[name] for name in waiting - ready), default=math.inf)
        order.append(
            sorted((name for name in ready if effective[name] <= limit), key=lambda name: (effective[name], name))
        )
        waiting.difference_update(order[-1])
    return order


def _pressing(needs: Mapping[str, Sequence[str]], urgency: Mapping[str, float]) -> list[dict[str, float]]:
    """The urgency of every instance that is on no circle, handed down to what it depends on; by depth."""
    depths: list[dict[str, float]] = []
    waiting = set(needs)
    while True:
        ready = {name for name in waiting if not waiting.intersection(needs[name])}
        if not ready:
            break
        depths.append({name: urgency.get(name, math.inf) for name in ready})
        waiting -= ready
    where = {name: depth for depth in depths for name in depth}
    for depth in reversed(depths):
        for name, seconds in depth.items():
            for need in needs[name]:
                where[need][need] = min(where[need][need], seconds)
    return depths


def circle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The instances of one circle of dependencies, in order, from the first by name; empty when there is none."""
    done = {name for wave in waves(needs, {}) for name in wave}
    left = {name: [need for need in needs[name] if need in needs and need not in done] for name in needs}
    start = min((name for name in needs if name not in done), default=None)
    trail: list[str] = []
    while start is not None and start not in trail:
        trail.append(start)
        start = min(left[start], default=None)
    found = trail[trail.index(start) :] if start is not None else []
    first = found.index(min(found)) if found else 0
    return found[first:] + found[:first]


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()
