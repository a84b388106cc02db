"""A check before a major upgrade: what stands in the way, what space it needs, what is known of its time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from functools import partial
from typing import Any

from .. import config
from ..adapters import Adapters
from ..audit.model import Check, Finding, Result, Severity, Status
from ..engines import registry
from ..errors import HoldfastError, Unsupported
from ..history import History
from ..model import Instance, Job
from ..owner import run_as_owner
from ..records import Records
from ..units import format_bytes, parse_instant, utcnow
from . import lifecycle

_FRESH = timedelta(days=31)  # of a restore test
_ROOM = 1.2  # of a copy of the data, with what the server writes meanwhile


def _check(id_: str, title: str, severity: Severity, why: str, remedy: str, asks: str) -> Check:
    return Check(id_, title, severity, why, remedy, asks, {"iso_27001": ("8.32",), "pci_dss": ("6.5.1",)})


SPACE = _check(
    "UG01",
    "Room for a copy of the data",
    Severity.HIGH,
    "The old data stay until the new server is proven: both need room.",
    "Make room, or upgrade onto another host by replication.",
    "statvfs of the data directory",
)
PROOF = _check(
    "UG02",
    "Backup that is proven to restore",
    Severity.HIGH,
    "It is the way back, and the measure of how long the way takes.",
    "Run playbooks/restore_test.yml.",
    "The record of the newest restore test",
)
LATER = _check(
    "UG03",
    "Later version that gets fixes for long enough",
    Severity.MEDIUM,
    "An upgrade to a version that soon ends is made twice.",
    "Choose a version that is supported for longer.",
    "End-of-life dates in patches/lifecycle.py",
)


def survey(name: str, targets: Mapping[str, str]) -> dict[str, Any]:
    """What an instance says, in plain data. ``targets`` are the later versions by engine."""
    instance = config.load(name)
    target = targets.get(instance.engine, "")
    if not target:
        return {"instance": name, "engine": instance.engine, "skipped": "no later version of this engine was named"}
    found: dict[str, Any] = run_as_owner(instance, partial(_survey, name, target))
    return found


def _survey(name: str, target: str) -> dict[str, Any]:
    instance = config.load(name)
    server = registry.upgradable(instance)
    server.valid(target)
    with Adapters(instance) as adapters:
        info = adapters.engine.inspect()
    results = [_ask(check, partial(server.answer, check, target)) for check in server.checks()]
    free = os.statvfs(info.data_directory)
    room = free.f_bavail * free.f_frsize
    tested = History.read(Records(instance)).last_ok.get(str(Job.RESTORE_TEST))
    results += [
        _ask(SPACE, lambda: list(_space(info.size_bytes, room, info.data_directory))),
        _ask(PROOF, lambda: list(_proof(instance, tested))),
        _ask(LATER, lambda: list(_later(instance.engine, target, utcnow().date()))),
    ]
    facts = {
        **server.facts(),
        "size_bytes": info.size_bytes,
        "free_bytes": room,
        "role": info.role,
        # A copy of the data takes about as long as the restore of them that was measured.
        "restore_seconds": tested["seconds"] if tested else None,
    }
    return {
        "instance": name,
        "engine": instance.engine,
        "version": info.version,
        "target": target,
        "facts": facts,
        "results": [_plain(result) for result in results],
    }


def _ask(check: Check, call: Any) -> Result:
    try:
        found = tuple(call())
    except Unsupported as error:
        return Result(check, Status.NOT_APPLICABLE, (), error.reason, utcnow())
    except HoldfastError as error:
        return Result(check, Status.ERROR, (), str(error), utcnow())
    return Result(check, Status.FOUND if found else Status.PASSED, found, "", utcnow())


def _space(size: int, room: int, directory: str) -> Iterator[Finding]:
    needed = int(size * _ROOM)
    if room < needed:
        text = f"{format_bytes(room)} are free, and a copy takes {format_bytes(needed)}"
        yield Finding(SPACE.id, directory, text, SPACE.severity)


def _proof(instance: Instance, tested: Mapping[str, Any] | None) -> Iterator[Finding]:
    when = parse_instant(tested["finished"]) if tested else None
    if when is None:
        yield Finding(PROOF.id, instance.name, "no restore test has ever gone well here", PROOF.severity)
    elif utcnow() - when > _FRESH:
        text = f"the last restore test that went well was on {when:%Y-%m-%d}"
        yield Finding(PROOF.id, instance.name, text, PROOF.severity)


def _later(engine: str, target: str, today: date) -> Iterator[Finding]:
    end = lifecycle.end_of(engine, target)
    if end is None:
        raise Unsupported(engine, "the end of life", f"that of {target} is not in the data of this release")
    if end.days_left(today) < 730:
        yield Finding(LATER.id, target, f"gets its last fixes on {end.last} ({end.source})", LATER.severity)


def _plain(result: Result) -> dict[str, Any]:
    return {
        "check": {**asdict(result.check), "severity": str(result.check.severity)},
        "status": str(result.status),
        "reason": result.reason,
        "findings": [{**asdict(item), "severity": str(item.severity)} for item in result.findings],
        "asked": result.asked.isoformat() if result.asked else "",
    }


def results(plain: Sequence[Mapping[str, Any]]) -> list[Result]:
    """What :func:`survey` returned as results again."""
    return [_result(item) for item in plain]


def _result(item: Mapping[str, Any]) -> Result:
    check = {**item["check"], "severity": Severity(item["check"]["severity"])}
    check["controls"] = {name: tuple(numbers) for name, numbers in check["controls"].items()}
    found = tuple(Finding(**{**one, "severity": Severity(one["severity"])}) for one in item["findings"])
    return Result(Check(**check), Status(item["status"]), found, item["reason"], parse_instant(item["asked"] or None))
