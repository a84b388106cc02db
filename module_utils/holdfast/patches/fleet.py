"""Findings of every host put together; a host that told nothing is in the report with the reason. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ..audit.model import Result, Severity
from ..audit.snapshot import key
from ..units import format_instant
from .findings import check_fields, finding_fields, worst_first

COMPLETE, INCOMPLETE, UNKNOWN = STATES = ("complete", "incomplete", "not asked")
_ANSWERED = ("passed", "found")

Entry = dict[str, Any]


def entry(
    host: str, what: str, version: str, results: Sequence[Result], before: Mapping[str, Any] | None, now: datetime
) -> Entry:
    """What one host, or one thing that was looked at, has; compared with its entry in the report before."""
    made = format_instant(now) or ""
    known = {key(item): item for item in (before or {}).get("findings", ())}
    found = []
    for result in results:
        for item in result.findings:
            raw = finding_fields(item, made, new=False)
            earlier = known.get(key(raw))
            found.append(dict(raw, since=earlier["since"] if earlier else made, new=before is not None and not earlier))
    status = {result.check.id: str(result.status) for result in results}
    here = {key(item) for item in found}
    fixed = [item for name, item in known.items() if name not in here and status.get(item["check"]) in _ANSWERED]
    return {
        "instance": host,
        "host": host,
        "engine": what,
        "version": version,
        "state": INCOMPLETE if "error" in status.values() else COMPLETE,
        "error": "",
        "started": made,
        "checks": [check_fields(result) for result in results],
        "findings": list(worst_first(found)),
        "difference": {
            "since": (before or {}).get("started"),
            "new": [item for item in found if item["new"]],
            "fixed": fixed,
        },
    }


def silent(host: str, what: str, answer: Mapping[str, Any]) -> Entry:
    """The entry of a host that told nothing."""
    message = str(answer.get("msg") or "no answer").strip()
    error = f"it cannot be reached: {message}" if answer.get("unreachable") else message
    return {"instance": host, "host": host, "engine": what, "version": "", "state": UNKNOWN, "error": error}


def before(report: Any, host: str) -> Mapping[str, Any] | None:
    """The entry of a host in the report before; None when it was in none, or told nothing there."""
    listed = report.get("hosts", ()) if isinstance(report, Mapping) else ()
    return next((item for item in listed if item.get("instance") == host and "checks" in item), None)


def counts(entries: Sequence[Entry]) -> dict[str, Any]:
    """The numbers of a report."""
    severities = Counter(item["severity"] for item in entries for item in item.get("findings", ()))
    return {
        "hosts": len(entries),
        "states": {state: sum(item["state"] == state for item in entries) for state in STATES},
        "findings": {str(severity): severities[str(severity)] for severity in Severity},
        "errors": sum(check["status"] == "error" for item in entries for check in item.get("checks", ())),
        "new": sum(len(item["difference"]["new"]) for item in entries if "difference" in item),
        "fixed": sum(len(item["difference"]["fixed"]) for item in entries if "difference" in item),
    }


def notes(entries: Sequence[Entry]) -> list[str]:
    """What a person should know: hosts that told nothing, and questions without an answer."""
    found = [f"{item['instance']} was not asked: {item['error']}" for item in entries if "checks" not in item]
    found += [
        f"{item['instance']}: {check['id']} {check['title']} has no answer: {check['reason']}"
        for item in entries
        for check in item.get("checks", ())
        if check["status"] == "error"
    ]
    return found
