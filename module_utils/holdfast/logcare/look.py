"""How the logs of the instances of a host stand: checks in the form of the access audit, and what they rest on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..audit.facts import ask, plain
from ..audit.model import Finding, Result, Status
from ..audit.run import describe
from ..audit.snapshot import FORMAT, date_findings, read_json, write_json
from ..config import load
from ..engines.logs import LOGROTATE
from ..errors import HoldfastError, Unsupported
from ..units import format_bytes, format_instant, utcnow
from . import appendonly, chain, collect, host, rotation, sizing
from .checks import CHECKS
from .host import Told
from .settings import Settings

_SIZES = ("LG01", "LG02", "LG03", "LG04", "LG05", "LG06", "LG12")


def look(names: Sequence[str], settings: Settings, *, remember: bool = True) -> list[dict[str, Any]]:
    """One entry an instance. Needs root: logs and their rotation belong to many."""
    asked = [host.ask_server(load(name)) for name in names]
    return [_entry(told, settings, remember=remember) for told in asked]


def _entry(told: Told, settings: Settings, *, remember: bool) -> dict[str, Any]:
    started = format_instant(utcnow())
    name = told.instance.name
    sized = _sized(told, settings)
    states = _states(told)
    results = [*_results(told, sized), *_rotation_results(told, states), *_audit_results(told)]
    results.sort(key=lambda result: result.check.id)
    snapshot: dict[str, Any] = {
        "format": FORMAT,
        "holdfast": __version__,
        "instance": name,
        "engine": told.instance.engine,
        "version": told.version,
        "role": told.role,
        "system_identifier": told.system_identifier,
        "started": started,
        "parts": {},
        "sources": plain(told.sources),
        "checks": [_of_check(result) for result in results],
        "findings": [{**plain(item), "state": "open"} for result in results for item in result.findings],
        "difference": {"since": None, "power": []},
        "policy": {"review_months": 0, "exceptions": [], "warn_days": 0},
    }
    path = host.remembered_at(name)
    before = read_json(path) if os.access(path, os.R_OK) else None
    before = before if before and before.get("format") == FORMAT else None
    snapshot["difference"]["since"] = before["started"] if before else None
    date_findings(snapshot, before, before)
    snapshot["finished"] = format_instant(utcnow())
    if remember:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_json(path, snapshot)
    return {
        "instance": name,
        "audit": snapshot,
        "logs": [vars(state) for state in states],
        "missing": told.missing,
        "space": _space(told, sized),
        "need": plain(told.need),
    }


def _of_check(result: Result) -> dict[str, Any]:
    how = {"status": str(result.status), "reason": result.reason, "asked": format_instant(result.asked)}
    return {**describe(result.check), **how, "open": len(result.findings)}


def _sized(told: Told, settings: Settings) -> sizing.Subject | None:
    if told.space is None:
        return None
    found = host.disks(host.places(told))
    return sizing.Subject(told.instance.name, told.instance.service_level, told.space, found, told.peak, settings)


def _space(told: Told, subject: sizing.Subject | None) -> dict[str, Any] | None:
    if told.space is None or subject is None:
        return None
    disk = subject.disks[told.space.directory]
    found: dict[str, Any] = plain(told.space)
    return {**found, "hourly": int(sizing.hourly(subject)), "disk_free": disk.free, "disk_total": disk.total}


def _results(told: Told, subject: sizing.Subject | None) -> list[Result]:
    now = utcnow()
    if subject is None:
        status, reason = told.reasons.get("space", (Status.ERROR, "it was not told"))
        return [Result(CHECKS[id_], status, reason=reason, asked=now) for id_ in _SIZES]
    found = sizing.of_log(subject)
    return [_result(id_, found[id_], _not_here(id_, subject)) for id_ in _SIZES]


def _not_here(id_: str, subject: sizing.Subject) -> str:
    """Why a check of sizes does not apply to this engine or instance; empty when it does."""
    space = subject.space
    if id_ in ("LG01", "LG02") and space.slots_limited is None and not space.archiving:
        return "log_bin is off, so there is no log for recovery"
    if id_ in ("LG03", "LG04") and space.slots_limited is None:
        return space.unlimited_reason
    if id_ == "LG02" and space.slots_limited is not None:
        return space.unlimited_reason
    if id_ == "LG05" and space.slots_limited is None:
        return "the job of Holdfast closes the log file by itself, at a fifth of the RPO"
    if id_ == "LG05" and not subject.level.log_interval:
        return "the log of this instance is not backed up"
    return ""


def _result(id_: str, findings: Sequence[Finding], not_here: str = "") -> Result:
    if not_here and not findings:
        return Result(CHECKS[id_], Status.NOT_APPLICABLE, reason=not_here, asked=utcnow())
    status = Status.FOUND if findings else Status.PASSED
    return Result(CHECKS[id_], status, tuple(findings), asked=utcnow())


def _states(told: Told) -> list[rotation.State]:
    sources = told.sources or []
    return rotation.states(sources, host.logrotate_files(), host.written_by_engines(sources))


def _rotation_results(told: Told, states: Sequence[rotation.State]) -> list[Result]:
    if told.sources is None:
        status, reason = told.reasons.get("sources", (Status.ERROR, "it was not told"))
        return [Result(CHECKS[id_], status, reason=reason, asked=utcnow()) for id_ in ("LG07", "LG08")]
    nobody = [
        Finding("LG07", item.path, "no configuration names it", CHECKS["LG07"].severity)
        for item in states
        if item.nobody
    ]
    twice = [Finding("LG08", item.path, item.by, CHECKS["LG08"].severity) for item in states if item.twice]
    return [_result("LG07", nobody), _result("LG08", twice)]


def _audit_results(told: Told) -> list[Result]:
    asked = ask(told.audit)
    if asked.value is None:
        wrong = (asked.status, asked.reason)
        return [Result(CHECKS[id_], *_swap(wrong), asked=utcnow()) for id_ in ("LG09", "LG10", "LG11")]
    source = asked.value
    directory = collect.directory_of(told.instance.name)
    verdict = chain.verify(directory, segments=False)
    never = "" if verdict.links or verdict.findings else "it was never copied: playbooks/logs.yml copies it"
    return [
        _result("LG09", [item for item in verdict.findings if item.check == "LG09"], never),
        _result("LG10", [item for item in verdict.findings if item.check == "LG10"], never),
        _append_only(source.path, source.rotated_by, source.why),
    ]


def _swap(wrong: tuple[Status, str]) -> tuple[Status, tuple[Finding, ...], str]:
    return wrong[0], (), wrong[1]


def _append_only(path: str, rotated_by: str, why: str) -> Result:
    check = CHECKS["LG11"]
    if rotated_by != LOGROTATE:
        return Result(check, Status.NOT_APPLICABLE, reason=f"the server must rename the file: {why}", asked=utcnow())
    try:
        safe = appendonly.is_set(path)
    except Unsupported as error:
        return Result(check, Status.NOT_APPLICABLE, reason=error.reason, asked=utcnow())
    except HoldfastError as error:
        return Result(check, Status.ERROR, reason=str(error), asked=utcnow())
    found = () if safe else (Finding("LG11", path, "is not append-only", check.severity),)
    return _result("LG11", found)


def text(entry: dict[str, Any]) -> str:
    """An entry as a person reads it."""
    if "error" in entry:
        return f"{entry['instance']}: {entry['error']['what']}"
    audit = entry["audit"]
    status = Counter(item["status"] for item in audit["checks"])
    ended = ", ".join(f"{status[str(item)]} {item}".replace("_", " ") for item in Status)
    lines = [f"{entry['instance']}: {audit['engine']} {audit['version']}: {ended}"]
    lines += [f"  {item['kind']} log {item['path'] or '(no file)'}: {item['by']}" for item in entry["logs"]]
    lines += [f"  no {kind} log: {why}" for kind, why in sorted(entry["missing"].items())]
    if entry["space"]:
        space = entry["space"]
        lines.append(
            f"  {format_bytes(space['size'])} of log in {space['files']} files, {format_bytes(space['hourly'])} an"
            f" hour; {format_bytes(space['disk_free'])} of {format_bytes(space['disk_total'])} free"
        )
    lines += [
        f"  {item['severity'].upper()} {item['check']} {item['subject']}: {item['found']}" for item in audit["findings"]
    ]
    lines += [f"  ERROR {item['id']}: {item['reason']}" for item in audit["checks"] if item["status"] == "error"]
    return "\n".join(lines)
