"""Findings of a fleet as a page, and beside it what is due host by host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from .. import __version__
from ..audit.model import Severity
from ..document import Document, Heading, Paragraph, Table, Words, bad, code, good
from ..units import format_bytes, format_duration
from . import fleet
from .findings import ends
from .fleet import COMPLETE
from .lifecycle import READ_ON

_MOST = 40  # findings of one severity on the page; the CSV has them all

Entry = Mapping[str, Any]


def page(title: str, entries: Sequence[fleet.Entry], made: str, csv_name: str) -> Document:
    """The cover, the fleet, every finding by severity, and what was not answered."""
    numbers = fleet.counts(entries)
    about = f"{numbers['hosts']} hosts, {made[:16].replace('T', ' ')} UTC"
    document = Document(title, about, _cover(numbers))
    _hosts(document, entries)
    for severity in Severity:
        _findings(document, entries, severity, csv_name)
    _unanswered(document, entries)
    return document


def _cover(numbers: Mapping[str, Any]) -> list[tuple[str, Words]]:
    states = ", ".join(f"{count} {state}" for state, count in numbers["states"].items() if count) or "none"
    found = ", ".join(f"{count} {severity}" for severity, count in numbers["findings"].items())
    grave = numbers["findings"]["critical"] + numbers["findings"]["high"]
    return [
        ("Hosts", good(states) if numbers["states"][COMPLETE] == numbers["hosts"] else bad(states)),
        ("Findings", bad(found) if grave else found),
        ("Since the report before", f"{numbers['new']} new, {numbers['fixed']} fixed"),
        ("Questions without an answer", bad(str(numbers["errors"])) if numbers["errors"] else good("none")),
        ("Holdfast", __version__),
    ]


def _hosts(document: Document, entries: Sequence[fleet.Entry]) -> None:
    rows: list[Sequence[Words]] = []
    for item in entries:
        if "checks" not in item:
            rows.append([code(item["instance"]), "-", *["-"] * 4, bad(item["error"])])
            continue
        found = [one["severity"] for one in item["findings"]]
        numbers = [str(found.count(str(severity))) for severity in Severity]
        state: Words = item["state"] if item["state"] == COMPLETE else bad(item["state"])
        rows.append([code(item["instance"]), item["version"], *numbers, state])
    headers = ("Host", "System", "Critical", "High", "Medium", "Low", "State")
    document.add(Heading(1, "Fleet"), Table(headers, rows))


def _findings(document: Document, entries: Sequence[fleet.Entry], severity: Severity, csv_name: str) -> None:
    rows: list[Sequence[Words]] = []
    for item in entries:
        titles = {check["id"]: check["title"] for check in item.get("checks", ())}
        rows.extend(
            [code(item["instance"]), f"{one['check']} {titles[one['check']]}", code(one["subject"]), one["found"]]
            for one in item.get("findings", ())
            if one["severity"] == str(severity)
        )
    if not rows:
        return
    document.add(Heading(1, f"Findings: {severity}"), Table(("Host", "Check", "Subject", "Found"), rows[:_MOST]))
    if len(rows) > _MOST:
        document.add(Paragraph(f"And {len(rows) - _MOST} more: {csv_name} has all of them."))


def _unanswered(document: Document, entries: Sequence[fleet.Entry]) -> None:
    rows: list[Sequence[Words]] = [
        [code(item["instance"]), f"{check['id']} {check['title']}", check["status"].replace("_", " "), check["reason"]]
        for item in entries
        for check in item.get("checks", ())
        if check["status"] in ("error", "not_applicable")
    ]
    if rows:
        headers = ("Host", "Check", "How it ended", "Reason")
        document.add(Heading(1, "Questions that were not answered, or do not apply"), Table(headers, rows))


def due(document: Document, dues: Mapping[str, Entry], today: date) -> None:
    """Every server with its versions and its end of life, and every package that is due."""
    servers: list[Sequence[Words]] = []
    updates: list[Sequence[Words]] = []
    for host, item in sorted(dues.items()):
        until = {end.product: str(end.last) for end in ends(item)}
        for server in item["servers"]:
            running = server["version"] or bad(server["error"] or "unknown")
            restart = bad("yes") if server["outdated"] else "no"
            end = until.get(server["engine"], "unknown")
            servers.append([code(server["instance"]), host, running, server["package_version"], restart, end])
        updates.extend(
            [
                host,
                code(one["package"]),
                one["installed"],
                one["available"],
                one["kind"],
                "yes" if one["security"] else "",
            ]
            for one in item["packages"]
        )
    headers = ("Instance", "Host", "Runs", "Package", "Restart needed", "Last fixes")
    document.add(Heading(1, "Servers", page=True), Table(headers, servers))
    document.add(Paragraph(f"End-of-life dates as of {READ_ON}; {today} is today. What is not known is never a pass."))
    document.add(Heading(1, "Packages that are due"))
    columns = ("Host", "Package", "Installed", "Available", "Kind", "Security")
    document.add(Table(columns, updates) if updates else Paragraph("None."))


def surveys(document: Document, found: Sequence[Entry]) -> None:
    """What space and time of a major upgrade depend on."""
    rows: list[Sequence[Words]] = []
    for item in found:
        facts = item["facts"]
        seconds = facts["restore_seconds"]
        rows.append(
            [
                code(item["instance"]),
                f"{item['engine']} {item['version']} to {item['target']}",
                format_bytes(facts["size_bytes"]),
                format_bytes(facts["free_bytes"]),
                str(facts["relations"]),
                format_bytes(facts["largest_bytes"]),
                format_duration(timedelta(seconds=seconds)) if seconds else bad("not measured"),
            ]
        )
    if rows:
        headers = ("Instance", "Upgrade", "Data", "Free", "Relations", "Largest", "Restore test took")
        document.add(
            Heading(1, "Space and time"),
            Table(headers, rows),
            Paragraph(
                "A copy of the data takes about as long as the restore that was measured; an upgrade in place depends"
                " on the number of relations instead. Measure it on a restored copy."
            ),
        )
