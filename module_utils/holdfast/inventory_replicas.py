"""Which instance may be a replica of which: the one rule of an inventory that looks across hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .validation import Issue, did_you_mean

HostVars = Mapping[str, Mapping[str, Any]]


class _Written(NamedTuple):
    host: str
    position: int
    engine: object
    replica_of: object


def replica_issues(hosts: HostVars, host: str) -> list[Issue]:
    """What is wrong with ``replica_of`` of the instances of one host, seen from the whole fleet."""
    fleet = dict(_instances(hosts))
    found = []
    for name, written in fleet.items():
        if written.host == host and isinstance(written.replica_of, str) and "{" not in written.replica_of:
            problem = _problem(name, written, fleet)
            if problem:
                path = ("db_instances", written.position, "replica_of")
                found.append(Issue(path, written.replica_of, *problem))
    return found


def _instances(hosts: HostVars) -> Iterator[tuple[str, _Written]]:
    for host, variables in hosts.items():
        given = variables.get("db_instances")
        for index, raw in enumerate(given if isinstance(given, (list, tuple)) else ()):
            if isinstance(raw, Mapping) and isinstance(raw.get("name"), str):
                yield raw["name"], _Written(host, index, raw.get("engine"), raw.get("replica_of"))


def _problem(name: str, written: _Written, fleet: Mapping[str, _Written]) -> tuple[str, str] | None:
    wanted = str(written.replica_of)
    source = fleet.get(wanted)
    if source is None:
        return "there is no such instance", f"{did_you_mean(wanted, fleet)}an instance of another host"
    if wanted == name:
        return "is the instance itself", "an instance of another host"
    if source.replica_of:
        return "is itself a replica", f"the primary of both, {source.replica_of}"
    if source.engine != written.engine:
        return f"is of another engine, {source.engine}", f"an instance of {written.engine}"
    if source.host == written.host:
        return "is on the same host, which both would lose together", "an instance of another host"
    others = sorted(other for other, item in fleet.items() if item.replica_of == wanted and other != name)
    if others and others[0] < name:
        return f"has a replica already, {others[0]}", "one replica of each instance"
    return None
