"""The audits of a fleet put together: an instance that was not audited is in the report with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from .checks import CHECKS
from .model import Severity
from .reviews import Review, check_review, last_review
from .run import describe
from .snapshot import key

AUDITED, INCOMPLETE, UNKNOWN = STATES = ("audited", "incomplete", "not audited")
Entry = dict[str, Any]


def combine(
    answers: Mapping[str, Mapping[str, Any]],
    expected: Mapping[str, Sequence[Mapping[str, Any]]],
    reviews: Sequence[Review],
    today: date,
    names: Sequence[str] = (),
) -> list[Entry]:
    """One entry an instance, sorted by name. ``answers`` are the results of db_access_info by host."""
    found: list[Entry] = []
    for host, answer in answers.items():
        told = {entry["instance"]: entry for entry in answer.get("instances") or ()}
        written = {str(item.get("name")): item for item in expected.get(host, ())}
        chosen = (name for name in {*told, *written} if not names or name in names)
        found.extend(_entry(host, name, told.get(name), written.get(name) or {}, answer) for name in chosen)
    for entry in found:
        if "checks" in entry:
            _review(entry, reviews, today)
    return sorted(found, key=lambda entry: str(entry["instance"]))


def _entry(
    host: str, name: str, told: Mapping[str, Any] | None, written: Mapping[str, Any], answer: Mapping[str, Any]
) -> Entry:
    audit = (told or {}).get("audit")
    if audit:
        error = (told or {}).get("record", {}).get("error")
        asked = [*audit["checks"], *audit["parts"].values()]
        unanswered = any(item["status"] == "error" for item in asked) or error
        new = {key(item) for item in audit["difference"]["new"]}
        entry = {name: value for name, value in audit.items() if name not in ("known", "format")}
        entry["findings"] = [{**item, "new": key(item) in new} for item in audit["findings"]]
        return {
            **entry,
            "host": host,
            "state": INCOMPLETE if unanswered else AUDITED,
            "error": (error or {}).get("what", ""),
        }
    return {
        "instance": name,
        "host": host,
        "engine": written.get("engine", "unknown"),
        "version": "",
        "state": UNKNOWN,
        "error": _reason(host, told, answer),
    }


def _reason(host: str, told: Mapping[str, Any] | None, answer: Mapping[str, Any]) -> str:
    if told and "error" in told:
        error = told["error"]
        return f"{error['what']}. {error['remedy']}" if error.get("remedy") else str(error["what"])
    message = str(answer.get("msg", "no answer")).strip()
    if answer.get("unreachable"):
        return f"host {host} cannot be reached: {message}"
    if "instances" not in answer:
        return f"host {host} does not tell: {message}"
    return f"it is not set up on host {host}; run playbooks/site.yml"


def _review(entry: Entry, reviews: Sequence[Review], today: date) -> None:
    """Reviews are recorded where the reports are, so their check is answered here."""
    policy = entry["policy"]
    status, findings = check_review(reviews, entry["instance"], policy["review_months"], today)
    waived = [
        item
        for item in policy["exceptions"]
        if item["check"] == "AC12" and item["subject"] in ("*", entry["instance"]) and item["expires"] >= str(today)
    ]
    if waived and findings:
        findings = [dict(findings[0], state="excepted", exception=waived[0])]
    check = {**describe(CHECKS["AC12"]), "status": status, "reason": "", "asked": entry["finished"]}
    entry["checks"] = sorted([*entry["checks"], check], key=lambda item: (item["id"][:2] == "AC", item["id"]))
    entry["findings"] = [*entry["findings"], *findings]
    open_ = Counter(item["check"] for item in entry["findings"] if item["state"] == "open")
    for item in entry["checks"]:
        item["open"] = open_[item["id"]]
    entry["review"] = last_review(reviews, entry["instance"])


def open_findings(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every open finding with its instance, the worst first."""
    order = {str(severity): place for place, severity in enumerate(Severity)}
    found = [
        {**item, "instance": entry["instance"], "host": entry["host"]}
        for entry in entries
        for item in entry.get("findings", ())
        if item["state"] == "open"
    ]
    return sorted(found, key=lambda item: (order[item["severity"]], item["check"], item["instance"], item["subject"]))


def counts(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers of a report."""
    severities = Counter(item["severity"] for item in open_findings(entries))
    differences = [entry["difference"] for entry in entries if "difference" in entry]
    return {
        "instances": len(entries),
        "states": {
            state: sum(entry["state"] == state for entry in entries) for state in (AUDITED, INCOMPLETE, UNKNOWN)
        },
        "findings": {str(severity): severities[str(severity)] for severity in Severity},
        "excepted": sum(item["state"] == "excepted" for entry in entries for item in entry.get("findings", ())),
        "compared": sum(item["since"] is not None for item in differences),
        "new": sum(len(item["new"]) for item in differences),
        "fixed": sum(len(item["fixed"]) for item in differences),
        "power": [
            {**item, "instance": entry["instance"]}
            for entry in entries
            for item in entry.get("difference", {}).get("power", ())
        ],
        "accounts": sum(len(entry.get("accounts", ())) for entry in entries),
        "errors": sum(item["status"] == "error" for entry in entries for item in entry.get("checks", ())),
    }


def exceptions(entries: Sequence[Mapping[str, Any]], today: date) -> list[dict[str, Any]]:
    """Every exception of every policy, those that end first before the others."""
    found = []
    for entry in entries:
        used = Counter(
            (item["check"], item["exception"]["reason"])
            for item in entry.get("findings", ())
            if item["state"] == "excepted"
        )
        for item in entry.get("policy", {}).get("exceptions", ()):
            left = (date.fromisoformat(item["expires"]) - today).days
            state = "expired" if left < 0 else "ends soon" if left <= entry["policy"]["warn_days"] else "valid"
            uses = used[item["check"], item["reason"]]
            found.append({**item, "instance": entry["instance"], "left": left, "state": state, "uses": uses})
    return sorted(found, key=lambda item: (item["expires"], item["check"], item["instance"]))
