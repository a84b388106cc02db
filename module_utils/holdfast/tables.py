"""What people read: aligned text tables of status, backups, records and expiry plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from .audit.model import Severity
from .model import Job
from .records import OVERRIDE
from .units import format_bytes, format_duration, parse_instant, utcnow


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell, two spaces apart."""
    lines = [list(headers), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def status(found: Sequence[Mapping[str, Any]]) -> str:
    """One line an instance, and below what is wrong or worth knowing."""
    headers = (
        "INSTANCE",
        "ENGINE",
        "HOST",
        "LEVEL",
        "STATE",
        "LAST BACKUP",
        "SIZE",
        "STORED",
        "RPO NOW / TARGET",
        "RESTORE TEST",
        "NEXT RUN",
    )
    text = table(headers, [_status_row(item) for item in found])
    remarks = [
        f"{item['instance']}: {problem['severity']}: {problem['text']}"
        for item in found
        for problem in item["problems"]
    ]
    remarks.extend(f"{item['instance']}: note: {note}" for item in found for note in item["notes"])
    return "\n".join([text, "", *remarks]) if remarks else text


def _status_row(item: Mapping[str, Any]) -> list[str]:
    backup = item.get("last_backup")
    return [
        item["instance"],
        f"{item['engine']} {item.get('version', '?')}",
        item["host"],
        item["service_level"],
        item["state"],
        _last_backup(item),
        format_bytes(backup["size_bytes"]) if backup else "-",
        format_bytes(backup["stored_bytes"]) if backup else "-",
        _rpo(item["rpo"]),
        _restore_test(item.get("restore_test")),
        _next_run(item.get("next_runs", {})),
    ]


def _last_backup(item: Mapping[str, Any]) -> str:
    pair = item.get("replication") or {}
    if pair.get("role") == "replica":
        return f"replica of {pair['peer']}"
    backup = item.get("last_backup")
    return f"{backup['type']}, {_age(backup['finished'])} ago" if backup else "none"


def _rpo(rpo: Mapping[str, Any]) -> str:
    if "target_seconds" not in rpo:
        return "-"
    target = _seconds(rpo["target_seconds"])
    if "lost_seconds" not in rpo:
        return f"unknown / {target}" if "error" in rpo else f"- / {target}"
    size = "" if rpo["lost_bytes"] is None else f" ({format_bytes(rpo['lost_bytes'])})"
    return f"{_seconds(rpo['lost_seconds'])}{size} / {target}"


def _next_run(runs: Mapping[str, str]) -> str:
    # The log job runs every few minutes: what people wait for is the next of the others.
    due = [(when, job) for job, when in runs.items() if job != str(Job.LOG) and when]
    if not due:
        return "-"
    when, job = min(due)
    then = parse_instant(when)
    return f"{job}, in {format_duration(max(timedelta(0), then - utcnow()))}" if then else job


def _restore_test(test: Mapping[str, Any] | None) -> str:
    if not test:
        return "never"
    age = _age(test["finished"])
    if "rto_seconds" not in test:
        return f"{test['result']}, {age} ago"
    achieved = f"RTO {_seconds(test['rto_seconds'])} of {_seconds(test['rto_target_seconds'])}"
    if "rpo_seconds" in test:
        achieved += f", RPO {_seconds(test['rpo_seconds'])}"
    return f"{achieved}, {'' if test['result'] == 'ok' else 'FAILED, '}{age} ago"


def backups(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The backups of each instance."""
    rows = []
    for instance, listed in found.items():
        for item in listed:
            if "id" not in item:
                rows.append([instance, item["repository"], "-", "-", "-", "-", "-", item["error"]])
                continue
            rows.append(
                [
                    instance,
                    item["repository"],
                    item["id"],
                    item["type"],
                    item["finished"][:19].replace("T", " ") + "Z",
                    format_bytes(item["size_bytes"]),
                    format_bytes(item["stored_bytes"]),
                    item.get("error")
                    or (f"verified {_age(item['verified'])} ago" if item["verified"] else "not verified"),
                ]
            )
    if not rows:
        return "no backups"
    return table(("INSTANCE", "REPOSITORY", "BACKUP", "TYPE", "FINISHED", "SIZE", "STORED", "STATE"), rows)


def records(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Past runs, oldest first."""
    rows = [
        [
            record["finished"][:19].replace("T", " ") + "Z",
            instance,
            record["job"],
            record["result"],
            _seconds(record["seconds"]),
            record["error"]["what"] if "error" in record else _outcome(record),
        ]
        for instance, listed in found.items()
        for record in listed
    ]
    return table(("FINISHED", "INSTANCE", "JOB", "RESULT", "TOOK", "OUTCOME"), rows) if rows else "no records"


def _outcome(record: Mapping[str, Any]) -> str:
    """What a run did, by the first of its fields that tells."""
    if record["job"] == OVERRIDE:
        granted = record["override"]
        return f"by {granted['by']} until {granted['until']}: {granted['reason']}"
    return next((tell(record) for name, tell in _OUTCOMES.items() if name in record), "")


def _skipped(record: Mapping[str, Any]) -> str:
    return f"{'postponed' if 'postponed' in record else 'skipped'}: {record['skipped']}"


def _backup(record: Mapping[str, Any]) -> str:
    backup = record["backup"]
    return f"{backup['id']} in {backup['repository']}, {format_bytes(backup['stored_bytes'])} stored"


def _restore(record: Mapping[str, Any]) -> str:
    reached = record["restore"].get("reached") or {}
    return f"to {record['restore']['target']}, reached {reached.get('time') or reached.get('position', '-')}"


def _access(record: Mapping[str, Any]) -> str:
    counts = record["access"]["findings"]
    found = ", ".join(f"{counts[str(severity)]} {severity}" for severity in Severity if str(severity) in counts)
    return f"{found}{', new power' if record['access']['alert'] else ''}"


_OUTCOMES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "skipped": _skipped,
    "replication": lambda record: "; ".join(record["replication"].get("actions", ())),
    "backup": _backup,
    "log": lambda record: f"{format_bytes(record['log']['saved_bytes'])} saved, newest {record['log']['newest']}",
    "restore_test": lambda record: _restore_test(
        dict(record["restore_test"], finished=record["finished"], result=record["result"])
    ),
    "restore": _restore,
    "access": _access,
    "access_change": lambda record: (
        "; ".join(step["what"] for step in record["access_change"]["steps"]) or "nothing to change"
    ),
    "patch": lambda record: f"{record['patch']['outcome']}, {len(record['patch']['packages'])} packages",
    "expired": lambda record: f"{sum(map(len, record['expired'].values()))} backups removed",
    "verified": lambda record: f"{sum(len(entry['intact']) for entry in record['verified'].values())} backups intact",
}


def expiry(plans: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What would go and what stays, with the recoverable window before and after."""
    lines: list[str] = []
    for instance, described in plans.items():
        for plan in described:
            lines.append(f"{instance}, repository {plan['repository']}, {plan['tool']}:")
            rows = [["remove", item["id"], item["type"], item["reason"]] for item in plan["expire"]]
            rows.extend(["keep", item["id"], item["type"], item["reason"]] for item in plan["keep"])
            if rows:
                lines.extend("  " + line for line in table(("", "BACKUP", "TYPE", "REASON"), rows).splitlines())
            lines.append(f"  recoverable window before: {plan['window_before']['text']}")
            lines.append(f"  recoverable window after:  {plan['window_after']['text']}")
    return "\n".join(lines) or "no backups"


def _age(instant: str) -> str:
    then = parse_instant(instant)
    return format_duration(utcnow() - then) if then else "?"


def _seconds(value: float) -> str:
    return format_duration(timedelta(seconds=value))
