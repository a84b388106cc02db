"""What people write about patches: questions whose answers must be the same before and after one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .validation import Checker, Issue, did_you_mean

VARIABLE = "db_patch_checks"
_KEYS = ("instance", "name", "statement", "database")
_REQUIRED = _KEYS[:3]

HostVars = Mapping[str, Mapping[str, Any]]


def patch_issues(hosts: HostVars, host: str) -> list[Issue]:
    """Everything that is wrong with the questions of one host."""
    raw = hosts[host].get(VARIABLE)
    if raw is None:
        return []
    checker, seen = Checker(rendered=False), set()
    known = {
        item["name"]
        for variables in hosts.values()
        for item in _listed(variables.get("db_instances"))
        if isinstance(item, Mapping) and isinstance(item.get("name"), str)
    }
    for index, item in enumerate(checker.sequence((VARIABLE,), raw, "questions")):
        path = (VARIABLE, index)
        given = checker.mapping(path, item, _KEYS, _REQUIRED)
        if given is None:
            continue
        texts = {key: checker.text((*path, key), given[key], "a text") for key in _KEYS if key in given}
        instance, name = texts.get("instance"), texts.get("name")
        if instance and instance not in known:
            checker.note(
                (*path, "instance"), instance, "there is no such instance", did_you_mean(instance, known).strip()
            )
        if instance and name and (instance, name) in seen:
            checker.note((*path, "name"), name, "is the name of two questions of this instance", "a name of its own")
        seen.add((instance, name))
    return checker.issues


def _listed(raw: object) -> list[Any]:
    return list(raw) if isinstance(raw, (list, tuple)) else []
