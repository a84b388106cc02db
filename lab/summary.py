"""The end of a demo run: how every instance stands, and what to try next."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from screen import Line, Span

sys.path.append(str(Path(__file__).resolve().parent.parent / "module_utils"))
from holdfast.units import format_bytes, format_duration

Entry = Mapping[str, Any]

HEADERS = ("INSTANCE", "HOST", "SERVER", "LEVEL", "LAST BACKUP", "SIZE", "RPO NOW", "RESTORE TEST", "RTO")
ENGINES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}
MARGIN = "  "
GAP = "  "


def fleet(entries: Sequence[Entry], now: datetime, columns: int) -> list[Line]:
    """Return a table of the instances, or a list where the terminal is too narrow for it, and their problems."""
    rows = [row(entry, now) for entry in entries]
    widths = [max(len(line[column][0]) for line in [heading(), *rows]) for column in range(len(HEADERS))]
    if len(MARGIN) + sum(widths) + len(GAP) * (len(widths) - 1) <= columns:
        lines = [_aligned(heading(), widths), *(_aligned(cells, widths) for cells in rows)]
    else:
        lines = [line for cells in rows for line in _stacked(cells)]
    problems = [(entry["instance"], problem) for entry in entries for problem in entry.get("problems", ())]
    if problems:
        lines.append([])
    lines.extend(
        [(MARGIN, ""), (f"{name}: {problem['text']}", "bad" if problem["severity"] == "critical" else "warn")]
        for name, problem in problems
    )
    return lines


def heading() -> list[Span]:
    """Return the heads of the columns."""
    return [(text, "faint") for text in HEADERS]


def row(entry: Entry, now: datetime) -> list[Span]:
    """Return the cells of one instance."""
    backup = entry.get("last_backup")
    server = f"{ENGINES.get(entry['engine'], entry['engine'])} {entry.get('version', '')}".strip()
    return [
        (entry["instance"], "strong"),
        (entry["host"], ""),
        (server, ""),
        (entry["service_level"], ""),
        (f"{backup['type']}, {_ago(backup['finished'], now)}", "") if backup else ("none", "bad"),
        (_size(backup["size_bytes"]) if backup else "-", ""),
        _rpo(entry),
        _restore_test(entry.get("restore_test"), now),
        _rto(entry.get("restore_test")),
    ]


def proof(entries: Sequence[Entry]) -> list[str]:
    """Return what the restore tests looked at, in a line or two."""
    tests = [entry["restore_test"] for entry in entries if entry.get("restore_test")]
    passed = [test for test in tests if test["result"] == "ok"]
    rows = sum(test.get("rows", 0) for test in passed)
    tables = sum(test.get("tables", 0) for test in passed)
    lines = [f"{len(passed)} of {len(entries)} instances restored on scratch servers: {tables} tables, {rows:,} rows"]
    checkers = dict.fromkeys(test["check"]["checker"] for test in passed if "check" in test)
    if checkers:
        lines.append(f"checked by {' and '.join(checkers)}")
    return lines


def stored(backups: Sequence[Mapping[str, Any]]) -> str:
    """Return how much these backups hold, and what of the repositories that took."""
    size = sum(backup["size_bytes"] or 0 for backup in backups)
    space = sum(backup["stored_bytes"] or 0 for backup in backups)
    what = "1 backup" if len(backups) == 1 else f"{len(backups)} backups"
    return f"{what}, {format_bytes(size)} stored in {format_bytes(space)}"


def is_well(entry: Entry) -> bool:
    """Whether an instance has no critical problem and its newest restore test passed."""
    test = entry.get("restore_test") or {"result": "missing"}
    return entry["state"] in ("ok", "warning") and bool(test["result"] == "ok")


def next_steps(entries: Sequence[Entry], lab: str) -> list[Line]:
    """Return commands to go on with, by names that exist."""
    if not entries:
        return []
    strictest = min(entries, key=lambda entry: float(entry.get("rpo", {}).get("target_seconds", "inf")))
    name, host = strictest["instance"], strictest["host"]
    commands = [
        (f"make shell HOST={host}", "log in to a database host, and there:"),
        ("  sudo holdfast status", "how its instances stand"),
        (f"  sudo holdfast list {name}", "the backups in every repository"),
        (f"  sudo holdfast expire {name} --dry-run", "what retention would remove"),
        (". .venv/bin/activate; export ANSIBLE_INVENTORY=inventories/lab", "then, for the fleet:"),
        ("  ansible-playbook playbooks/status.yml", "all instances in one table"),
        (f"  ansible-playbook playbooks/backup.yml -e type=incremental -e instances={name}", "take a backup now"),
        (f"  ansible-playbook playbooks/restore_test.yml -e instances={name}", "prove it"),
        ("  ansible-playbook playbooks/site.yml --check --diff", "nothing to do, until you edit inventories/lab"),
        ("make lab-down", "remove the hosts and their data"),
    ]
    if lab != "demo":
        commands.insert(0, (f"export HOLDFAST_LAB={lab}", "the lab that these commands mean"))
    width = max(len(command) for command, _ in commands)
    return [[(MARGIN, ""), (f"{command:<{width}}", "head"), (GAP, ""), (text, "faint")] for command, text in commands]


def _rpo(entry: Entry) -> Span:
    rpo = entry.get("rpo", {})
    if "target_seconds" not in rpo:
        return ("-", "")
    target = _seconds(rpo["target_seconds"])
    if "error" in rpo:
        return (f"unknown of {target}", "bad")
    lost = rpo.get("lost_seconds")
    if lost is None:
        return (f"- of {target}", "")
    return (f"{_seconds(lost)} of {target}", "good" if lost <= rpo["target_seconds"] else "bad")


def _restore_test(test: Mapping[str, Any] | None, now: datetime) -> Span:
    if not test:
        return ("never", "warn")
    if test["result"] != "ok":
        return (f"FAILED, {_ago(test['finished'], now)}", "bad")
    return (f"ok, {_ago(test['finished'], now)}", "good")


def _rto(test: Mapping[str, Any] | None) -> Span:
    if not test or "rto_seconds" not in test:
        return ("-", "")
    achieved, target = test["rto_seconds"], test["rto_target_seconds"]
    return (f"{_seconds(achieved)} of {_seconds(target)}", "good" if achieved <= target else "bad")


def _aligned(cells: Sequence[Span], widths: Sequence[int]) -> Line:
    line: Line = [(MARGIN, "")]
    for (text, style), width in zip(cells, widths, strict=True):
        line += [(text, style), (" " * (width - len(text)) + GAP, "")]
    return line[:-1]


def _stacked(cells: Sequence[Span]) -> list[Line]:
    width = max(map(len, HEADERS))
    return [
        [(MARGIN, ""), (f"{head:<{width}}{GAP}", "faint"), cell] for head, cell in zip(HEADERS, cells, strict=True)
    ] + [[]]


def _ago(instant: str, now: datetime) -> str:
    # The larger unit says enough, and keeps the table narrow.
    return f"{format_duration(now - datetime.fromisoformat(instant)).split()[0]} ago"


def _size(value: int | None) -> str:
    number, _, unit = format_bytes(value).partition(" ")
    return f"{number.partition('.')[0] if len(number) > len('9.9') else number} {unit}".strip()


def _seconds(value: float) -> str:
    return format_duration(timedelta(seconds=value))
