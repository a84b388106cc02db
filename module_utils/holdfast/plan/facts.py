"""What the plan is made of: the inventory, what hosts told of their instances, and the drills."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from .. import continuity, forecast, recovery_order
from ..engines.catalog import ENGINES
from ..model import Job
from ..objectives import DEFAULT_LEVEL, DEFAULT_LEVELS, Level, read_level
from ..units import parse_duration
from ..validation import Checker

TEMPLATE = "(set by a template)"
EVIDENCE = tuple(str(job) for job in Job if job is not Job.LOG)  # the jobs whose records the plan reads
_SHOWN = 3  # restore tests of an instance

HostVars = Mapping[str, Mapping[str, Any]]
Facts = dict[str, Any]


def of_inventory(hosts: HostVars) -> Facts:
    """Everything that the plan says of a right inventory, as plain data without any secret."""
    shared: dict[str, dict[str, Any]] = {name: {} for name in continuity.VARIABLES}
    repositories: dict[str, Any] = {}
    levels: dict[str, Any] = {}
    found: list[Facts] = []
    takes_over: dict[str, str] = {}
    for host, variables in sorted(hosts.items()):
        takes_over.update({_name(item): host for item in _list(variables.get("db_takes_over"))})
        for name, collected in shared.items():
            for key, value in _mapping(variables.get(name)).items():
                collected.setdefault(str(key), value)
        for name, raw in _mapping(variables.get("db_repositories")).items():
            repositories.setdefault(str(name), _repository(_mapping(raw)))
        known = {**DEFAULT_LEVELS, **_mapping(variables.get("db_service_levels"))}
        for raw in _list(variables.get("db_instances")):
            if isinstance(raw, Mapping):
                found.append(_instance(host, raw, variables, known))
                level = found[-1]["service_level"]
                levels.setdefault(level, _plain_level(known.get(level)))
    return {
        "plan": shared["db_plan"],
        "contacts": shared["db_contacts"],
        "communication": {name: _message(_mapping(raw)) for name, raw in shared["db_communication"].items()},
        "sites": shared["db_sites"],
        "validation": {name: _queries(raw) for name, raw in shared["db_validation_queries"].items()},
        "repositories": repositories,
        "levels": levels,
        "takes_over": takes_over,
        "instances": sorted(found, key=lambda item: str(item["name"])),
        "order": order(found),
    }


def order(instances: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The waves of recovery. The smallest MTD comes first in each, or the RTO where there is none."""
    urgency: dict[str, float] = {}
    for item in instances:
        seconds = _duration(item["business"].get("mtd")) or item["rto_seconds"]
        if seconds is not None:
            urgency[item["name"]] = seconds
    return recovery_order.waves({item["name"]: item["depends_on"] for item in instances}, urgency)


def of_host(answer: Mapping[str, Any], instances: Iterable[Mapping[str, Any]]) -> dict[str, Facts]:
    """What the instances of one host told of themselves, by name, reduced to what the plan says.

    ``answer`` is the result of db_backup_info with status, backups and records; ``instances`` are those that the
    inventory has on the host.
    """
    told = {entry["instance"]: entry for entry in answer.get("instances", ()) if "error" not in entry}
    found = {}
    for item in instances:
        entry = told.get(item["name"])
        if entry is not None:
            alike = [other["name"] for other in instances if other["engine"] == item["engine"] and other is not item]
            others = {name: told[name].get("records", ()) for name in alike if name in told}
            found[item["name"]] = _told(item, entry, others)
    return found


def read_drills(directory: str) -> list[Facts]:
    """The drill records in a directory, oldest first; empty when there is none."""
    found = []
    for name in sorted(os.listdir(directory)) if directory and os.path.isdir(directory) else ():
        if name.endswith(".json"):
            try:
                with open(os.path.join(directory, name), encoding="utf-8") as stream:
                    value = json.load(stream)
            except (OSError, ValueError):
                continue
            if isinstance(value, dict) and {"id", "scenario", "criteria", "finished"} <= set(value):
                found.append(value)
    return sorted(found, key=lambda drill: str(drill["finished"]))


def _told(item: Mapping[str, Any], entry: Mapping[str, Any], others: Mapping[str, Sequence[Any]]) -> Facts:
    status, records = entry.get("status") or {}, list(entry.get("records") or ())
    found: Facts = {
        "checked": status.get("checked"),
        "version": status.get("version"),
        "role": status.get("role"),
        "verified": _verified(entry.get("backups") or ()),
        "tests": [_test(record) for record in records if record["job"] == str(Job.RESTORE_TEST)][-_SHOWN:][::-1],
        "restores": [_test(record) for record in records if record["job"] == str(Job.RESTORE)][-_SHOWN:][::-1],
    }
    if item["rto_seconds"] is not None:
        rto = timedelta(seconds=item["rto_seconds"])
        longest = timedelta(seconds=item["log_seconds"])
        predicted = forecast.forecast(records, others, rto=rto, longest_log=longest)
        found["forecast"] = {**predicted.as_dict(), "size_bytes": predicted.size_bytes}
    return found


def _verified(backups: Iterable[Mapping[str, Any]]) -> list[Facts]:
    """The newest backup of each repository that was read back and found intact."""
    newest: dict[str, Facts] = {}
    for item in backups:
        if item.get("verified") and not item.get("error"):
            kept = {key: item.get(key) for key in ("repository", "id", "type", "finished", "verified", "size_bytes")}
            before = newest.get(item["repository"])
            if before is None or str(before["finished"]) <= str(item["finished"]):
                newest[item["repository"]] = kept
    return [newest[name] for name in sorted(newest)]


def _test(record: Mapping[str, Any]) -> Facts:
    measured = {
        "backup_id": (record.get(record["job"]) or {}).get("backup", {}).get("id"),
        **record.get(record["job"], {}),
    }
    keys = (
        "backup_id",
        "repository",
        "size_bytes",
        "rto_seconds",
        "rto_target_seconds",
        "rpo_seconds",
        "rpo_target_seconds",
    )
    return {
        "finished": record["finished"],
        "result": record["result"],
        "error": (record.get("error") or {}).get("what"),
        "checker": (measured.get("check") or {}).get("checker"),
        "tables": measured.get("tables"),
        "rows": measured.get("rows"),
        **{key: measured.get(key) for key in keys},
    }


def _instance(host: str, raw: Mapping[str, Any], variables: Mapping[str, Any], known: Mapping[str, Any]) -> Facts:
    name, engine = str(raw.get("name")), str(raw.get("engine"))
    level_name = str(raw.get("service_level", DEFAULT_LEVEL))
    level = _level(level_name, known.get(level_name))
    facts = ENGINES.get(engine)
    schedule = dict(level.for_instance(name).schedule) if level else {}
    longest = forecast.log_span(schedule) if level and level.log else timedelta(0)
    return {
        "name": name,
        "host": host,
        "engine": engine,
        "title": facts.title if facts else engine,
        "port": raw.get("port", facts.port if facts else None),
        "os_user": raw.get("os_user", facts.os_user if facts else None),
        "service_level": level_name,
        "site": _text(variables.get("db_site")),
        "depends_on": [str(item) for item in _list(raw.get("depends_on"))],
        "business": {str(key): _text(value) for key, value in _mapping(raw.get("business")).items()},
        "repositories": [str(item) for item in _list(raw.get("repositories"))]
        or [str(item) for item in _mapping(variables.get("db_repositories"))],
        "rpo_seconds": level.rpo.total_seconds() if level and level.rpo else None,
        "rto_seconds": level.rto.total_seconds() if level and level.rto else None,
        "log_seconds": longest.total_seconds(),
    }


def _level(name: str, raw: object) -> Level | None:
    checker = Checker(rendered=False)
    level = read_level(name, raw, checker, ())
    return None if checker.issues or level.templated else level


def _plain_level(raw: object) -> Facts:
    return {str(key): value for key, value in _mapping(raw).items()}


def _repository(raw: Mapping[str, Any]) -> Facts:
    keys = {"posix": ("path",), "s3": ("endpoint", "bucket", "prefix"), "sftp": ("host", "path")}
    place = [_text(raw[key]) for key in keys.get(str(raw.get("type")), ()) if raw.get(key)]
    return {"type": _text(raw.get("type")), "place": "/".join(place), "escrow": _text(raw.get("escrow"))}


def _message(raw: Mapping[str, Any]) -> Facts:
    webhook = raw.get("webhook")
    # Only its host: the rest of the address is what lets anyone post there.
    host = (urlsplit(webhook).hostname or "set") if isinstance(webhook, str) and webhook else ""
    return {
        "tell": [str(item) for item in _list(raw.get("tell"))],
        "mail": [str(item) for item in _list(raw.get("mail"))],
        "webhook": "set" if host and "{{" in str(webhook) else host,
        "message": _text(raw.get("message")),
    }


def _queries(raw: object) -> list[str]:
    return [_text(item.get("name")) for item in _list(raw) if isinstance(item, Mapping)]


def _text(value: object) -> str:
    text = "" if value is None else str(value)
    return TEMPLATE if "{{" in text or "{%" in text else text


def _duration(text: object) -> float | None:
    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _name(item: object) -> str:
    """The instance that an entry of db_takes_over is for: its name, or a mapping that has it beside what differs."""
    return str(item.get("name", "")) if isinstance(item, Mapping) else str(item)
