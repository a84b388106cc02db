"""What is due on a host as findings, in the form of the access audit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from ..audit.model import Check, Finding, Result, Severity, Status
from ..units import parse_instant
from . import lifecycle
from .checks import DUE

_OLD = timedelta(days=7)  # of package lists
_WARN_DAYS = 180
_URGENCY = {"high": Severity.HIGH, "medium": Severity.MEDIUM, "low": Severity.LOW, "": Severity.MEDIUM}
_TITLES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "debian": "Debian"}

Due = Mapping[str, Any]  # of due.look


def results(due: Due, today: date) -> list[Result]:
    """How every check ended on one host."""
    asked = parse_instant(due["asked"])
    return [_ended(check, due, today, asked) for check in DUE.values()]


def _ended(check: Check, due: Due, today: date, asked: datetime | None) -> Result:
    unanswered = _unanswered(check.id, due)
    if unanswered:
        return Result(check, unanswered[0], (), unanswered[1], asked)
    found = tuple(_FINDERS[check.id](check, due, today))
    return Result(check, Status.FOUND if found else Status.PASSED, found, "", asked)


def _unanswered(id_: str, due: Due) -> tuple[Status, str] | None:
    part = {"PT03": "vulnerabilities", "PT04": "vulnerabilities"}.get(id_)
    if part and due[part]["status"] != "read":
        status = Status.NOT_APPLICABLE if due[part]["status"] == "not_applicable" else Status.ERROR
        return status, due[part]["reason"]
    if id_ == "PT07" and not due["reboot"] and due["restarts"]["status"] != "read":
        return Status.ERROR, due["restarts"]["reason"]
    if id_ == "PT07" and not due["reboot"] and not due["restarts"]["value"]["kernel_known"]:
        return Status.NOT_APPLICABLE, "no kernel of this host is known to needrestart: it is a container"
    if id_ == "PT08" and not due["unattended"]:
        return Status.NOT_APPLICABLE, "unattended-upgrades is not installed"
    return None


def _security(check: Check, due: Due, _today: date) -> Iterator[Finding]:
    for item in due["packages"]:
        if item["security"]:
            severity = check.severity if item["kind"] != "system" else Severity.MEDIUM
            yield Finding(check.id, item["package"], _becomes(item), severity)


def _others(check: Check, due: Due, _today: date) -> Iterator[Finding]:
    for item in due["packages"]:
        if not item["security"] and item["kind"] != "system":
            yield Finding(check.id, item["package"], _becomes(item), check.severity)


def _becomes(item: Mapping[str, Any]) -> str:
    held = "; somebody holds it" if item["held"] and not item["held_by_us"] else ""
    return f"{item['installed']} is installed, {item['available']} is available{held}"


def _vulnerable(fixed: bool) -> Callable[[Check, Due, date], Iterator[Finding]]:
    def find(check: Check, due: Due, _today: date) -> Iterator[Finding]:
        for item in due["vulnerabilities"]["value"]:
            if item["fixed"] is fixed:
                words = [f"{item['urgency'] or 'unknown'} urgency", *(["from the network"] if item["remote"] else [])]
                severity = _URGENCY[item["urgency"]] if fixed else check.severity
                yield Finding(check.id, f"{item['id']} {item['package']}", ", ".join(words), severity)

    return find


def ends(due: Due) -> list[lifecycle.End]:
    """The ends of life that bear on a host; what is not in the data is not there."""
    wanted = [(item["engine"], item["version"] or item["package_version"]) for item in due["servers"]]
    found = [
        lifecycle.end_of(*item) for item in dict.fromkeys([*wanted, (due["system"]["id"], due["system"]["version"])])
    ]
    return [item for item in found if item]


def _ending(check: Check, due: Due, today: date) -> Iterator[Finding]:
    for end in ends(due):
        subject, left = f"{_TITLES[end.product]} {end.version}", end.days_left(today)
        if left < 0:
            yield Finding(check.id, subject, f"got its last fixes on {end.last} ({end.source})", check.severity)
        elif left < _WARN_DAYS:
            text = f"gets its last fixes on {end.last}, in {left} days ({end.source})"
            yield Finding(check.id, subject, text, Severity.MEDIUM)
        elif end.first < today:
            text = f"left regular support on {end.first}; long-term support ends on {end.last} ({end.source})"
            yield Finding(check.id, subject, text, Severity.LOW)


def _outdated(check: Check, due: Due, _today: date) -> Iterator[Finding]:
    for server in due["servers"]:
        if server["outdated"]:
            yield Finding(check.id, server["instance"], "its server is down, or runs on replaced files", Severity.HIGH)
    for service in (due["restarts"]["value"] or {}).get("services", ()):
        yield Finding(check.id, service, "runs on files that were replaced", check.severity)


def _reboot(check: Check, due: Due, _today: date) -> Iterator[Finding]:
    reasons = [due["reboot"], (due["restarts"]["value"] or {}).get("kernel", "")]
    for reason in filter(None, reasons):
        yield Finding(check.id, "kernel", reason, check.severity)


def _unheld(check: Check, due: Due, _today: date) -> Iterator[Finding]:
    for server in due["servers"]:
        if server["package"] and not server["held"]:
            yield Finding(check.id, server["instance"], f"{server['package']} is not held", check.severity)


def _unfinished(check: Check, due: Due, _today: date) -> Iterator[Finding]:
    for name in due["broken"]:
        yield Finding(check.id, name, "dpkg began with it and did not finish", check.severity)
    if due["half_done"]:
        yield Finding(check.id, "patch", "a patch was killed before its end", check.severity)


def _lists(check: Check, due: Due, _today: date) -> Iterator[Finding]:
    read, asked = parse_instant(due["lists"]["read"]), parse_instant(due["asked"])
    if due["lists"]["status"] == "error":
        yield Finding(check.id, "package lists", due["lists"]["reason"], check.severity)
    if read is None:
        yield Finding(check.id, "package lists", "there are none: what is due is not known", check.severity)
    elif asked and asked - read > _OLD:
        yield Finding(check.id, "package lists", f"were last read {(asked - read).days} days ago", check.severity)


_FINDERS: Mapping[str, Callable[[Check, Due, date], Iterator[Finding]]] = {
    "PT01": _security,
    "PT02": _others,
    "PT03": _vulnerable(fixed=True),
    "PT04": _vulnerable(fixed=False),
    "PT05": _ending,
    "PT06": _outdated,
    "PT07": _reboot,
    "PT08": _unheld,
    "PT09": _unfinished,
    "PT10": _lists,
}


def check_fields(result: Result) -> dict[str, Any]:
    """A result as reports hold it."""
    check = result.check
    return {
        "id": check.id,
        "title": check.title,
        "severity": str(check.severity),
        "rationale": check.rationale,
        "remediation": check.remediation,
        "statement": check.statement,
        "controls": {name: list(numbers) for name, numbers in check.controls.items()},
        "status": str(result.status),
        "reason": result.reason,
        "asked": result.asked.isoformat() if result.asked else "",
        "open": len(result.findings),
    }


def finding_fields(found: Finding, since: str, *, new: bool) -> dict[str, Any]:
    """A finding as reports hold it."""
    return {
        "check": found.check,
        "database": found.database,
        "subject": found.subject,
        "found": found.found,
        "severity": str(found.severity),
        "account": found.account,
        "state": "open",
        "since": since,
        "new": new,
    }


def worst_first(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Findings by severity, then by check and subject."""
    order = {str(severity): place for place, severity in enumerate(Severity)}
    return sorted(items, key=lambda item: (order[item["severity"]], item["check"], item["subject"]))
