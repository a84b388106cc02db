"""Findings for other programs: CSV, SARIF 2.1.0 and JUnit XML."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from .. import __version__
from .model import FRAMEWORKS
from .reviews import to_csv
from .snapshot import key

Entry = Mapping[str, Any]

COLUMNS = (
    "severity",
    "state",
    "instance",
    "host",
    "engine",
    "version",
    "check",
    "title",
    "database",
    "subject",
    "account",
    "found",
    "since",
    "new",
    "remediation",
    "exception_reason",
    "exception_owner",
    "exception_expires",
    "asked",
    *FRAMEWORKS,
)
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_RANKS = {"critical": 95.0, "high": 75.0, "medium": 50.0, "low": 25.0}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINES = 100  # findings of one check in JUnit


def findings_csv(entries: Sequence[Entry]) -> str:
    """Every finding, also the excepted ones."""
    return to_csv(COLUMNS, [_row(entry, item) for entry in entries for item in entry.get("findings", ())])


def _row(entry: Entry, item: Entry) -> dict[str, Any]:
    check = _checks(entry)[item["check"]]
    waiver = item.get("exception", {})
    return {
        **{name: entry[name] for name in ("instance", "host", "engine", "version")},
        **{name: item[name] for name in ("severity", "state", "check", "database", "subject", "account", "found")},
        "since": item["since"][:10],
        "title": check["title"],
        "remediation": check["remediation"],
        "new": "yes" if item["new"] else "",
        **{f"exception_{name}": waiver.get(name, "") for name in ("reason", "owner", "expires")},
        "asked": check["asked"],
        **{name: " ".join(check["controls"].get(name, ())) for name in FRAMEWORKS},
    }


def _checks(entry: Entry) -> dict[str, Entry]:
    return {check["id"]: check for check in entry.get("checks", ())}


def sarif(entries: Sequence[Entry], report: str = "access-audit") -> dict[str, Any]:
    """The audit, or another report of such findings, as SARIF.

    A finding that an exception covers is suppressed, one that was fixed is absent.
    """
    rules: dict[str, Entry] = {}
    for entry in entries:
        rules.update(_checks(entry))
    index = {id_: place for place, id_ in enumerate(sorted(rules))}
    results = [
        _result(entry, item, index)
        for entry in entries
        for item in (*entry.get("findings", ()), *_fixed(entry))
        if item["check"] in index
    ]
    notes = [note for entry in entries for note in _notifications(entry)]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Holdfast",
                        "version": __version__,
                        "rules": [_rule(rules[id_]) for id_ in sorted(rules)],
                    }
                },
                "automationDetails": {"id": f"holdfast/{report}/"},
                "invocations": [{"executionSuccessful": not notes, "toolExecutionNotifications": notes}],
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(check: Entry) -> dict[str, Any]:
    tags = [f"{FRAMEWORKS[name]} {number}" for name, numbers in check["controls"].items() for number in numbers]
    return {
        "id": check["id"],
        "shortDescription": {"text": check["title"]},
        "fullDescription": {"text": check["rationale"]},
        "help": {"text": check["remediation"]},
        "defaultConfiguration": {"level": _LEVELS[check["severity"]], "rank": _RANKS[check["severity"]]},
        "properties": {"tags": tags},
    }


def _fixed(entry: Entry) -> list[dict[str, Any]]:
    return [{**item, "state": "fixed"} for item in entry.get("difference", {}).get("fixed", ())]


def _result(entry: Entry, item: Entry, index: Mapping[str, int]) -> dict[str, Any]:
    where = "/".join(part for part in (entry["instance"], item["database"], item["subject"]) if part)
    identity = f"{entry['instance']}{key(item)}"
    result = {
        "ruleId": item["check"],
        "ruleIndex": index[item["check"]],
        "level": _LEVELS[item["severity"]],
        "rank": _RANKS[item["severity"]],
        "message": {"text": f"{entry['instance']}: {item['subject']}: {item['found']}"},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": where, "kind": "resource"}]}],
        "partialFingerprints": {"holdfastFinding/v1": hashlib.sha256(identity.encode()).hexdigest()},
        "baselineState": _baseline(entry, item),
        "properties": {"instance": entry["instance"], "host": entry["host"], "severity": item["severity"]},
    }
    if item["state"] == "excepted":
        waiver = item["exception"]
        text = f"{waiver['reason']} ({waiver['owner']}, until {waiver['expires']})"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": text}]
    return result


def _baseline(entry: Entry, item: Entry) -> str:
    if item["state"] == "fixed":
        return "absent"
    return "new" if item["new"] or entry["difference"]["since"] is None else "unchanged"


def _notifications(entry: Entry) -> list[dict[str, Any]]:
    found = [
        {
            "level": "error",
            "message": {"text": f"{entry['instance']}: {check['id']} has no answer: {check['reason']}"},
            "associatedRule": {"id": check["id"]},
        }
        for check in entry.get("checks", ())
        if check["status"] == "error"
    ]
    if "checks" not in entry:
        found.append({"level": "error", "message": {"text": f"{entry['instance']} was not audited: {entry['error']}"}})
    return found


def junit(entries: Sequence[Entry], title: str = "access audit") -> str:
    """The audit, or another report of such findings, as JUnit XML: an instance is a suite and a check a case."""
    suites = [_suite(entry) for entry in entries]
    totals = {name: sum(suite[1][name] for suite in suites) for name in ("tests", "failures", "errors", "skipped")}
    head = " ".join(f'{name}="{value}"' for name, value in totals.items())
    body = "\n".join(text for text, _ in suites)
    suites_xml = f"<testsuites name={_attribute(f'Holdfast {title}')} {head}>\n{body}\n</testsuites>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{suites_xml}\n'


def _suite(entry: Entry) -> tuple[str, dict[str, int]]:
    found: dict[str, list[Entry]] = {}
    for item in entry.get("findings", ()):
        if item["state"] == "open":
            found.setdefault(item["check"], []).append(item)
    cases = [_case(entry, check, found.get(check["id"], ())) for check in entry.get("checks", ())]
    if "checks" not in entry:
        text = f"<error message={_attribute(entry['error'])}/>"
        cases = [(f'<testcase classname={_attribute(entry["instance"])} name="audit">{text}</testcase>', "errors")]
    numbers = {name: sum(kind == name for _, kind in cases) for name in ("failures", "errors", "skipped")}
    numbers["tests"] = len(cases)
    head = " ".join(f'{name}="{value}"' for name, value in sorted(numbers.items()))
    stamp = f" timestamp={_attribute(entry['started'][:19])}" if "started" in entry else ""
    lines = "\n".join(text for text, _ in cases)
    return f"<testsuite name={_attribute(entry['instance'])} {head}{stamp}>\n{lines}\n</testsuite>", numbers


def _case(entry: Entry, check: Entry, found: Sequence[Entry]) -> tuple[str, str]:
    start = (
        f"<testcase classname={_attribute(entry['instance'])} name={_attribute(check['id'] + ' ' + check['title'])}>"
    )
    if check["status"] == "error":
        return f"{start}<error message={_attribute(check['reason'])}/></testcase>", "errors"
    if check["status"] == "not_applicable":
        return f"{start}<skipped message={_attribute(check['reason'])}/></testcase>", "skipped"
    if not found:
        return f"{start}</testcase>", ""
    lines = [f"{item['severity']}: {item['database']} {item['subject']}: {item['found']}" for item in found[:_LINES]]
    lines += [f"and {len(found) - _LINES} more"] if len(found) > _LINES else []
    title = f"{len(found)} findings" if len(found) > 1 else "1 finding"
    failure = f'<failure type="{found[0]["severity"]}" message="{title}">{_text(chr(10).join(lines))}</failure>'
    return f"{start}{failure}</testcase>", "failures"


def _text(value: object) -> str:
    return escape(_NOT_XML.sub("?", str(value)))


def _attribute(value: object) -> str:
    return quoteattr(_NOT_XML.sub("?", str(value)))
