"""How a fleet stands against each requirement of a framework that the checks bear on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..document import Document, Heading, Paragraph, Table, Words, bad, good, strong
from .model import FRAMEWORKS

_STATUS = {"passed": "passed", "found": "found", "not_applicable": "n/a", "error": "ERROR"}

Entry = Mapping[str, Any]


def page(entries: Sequence[Entry], name: str, made: str) -> Document:
    """The page of one framework: each of its requirements that a check bears on, and how the fleet stands there."""
    title = FRAMEWORKS[name]
    requirements: dict[str, dict[str, list[tuple[Entry, Entry]]]] = {}
    for entry in entries:
        for check in entry.get("checks", ()):
            for number in check["controls"].get(name, ()):
                requirements.setdefault(number, {}).setdefault(check["id"], []).append((entry, check))
    states = {number: _worst(checks) for number, checks in requirements.items()}
    totals = {state: sum(found == state for found in states.values()) for state in ("error", "found", "passed")}
    document = Document(
        f"Access audit: {title}",
        f"Requirements that the checks bear on, {made[:16].replace('T', ' ')} UTC",
        [
            ("Requirements looked at", str(len(requirements))),
            ("With open findings", bad(str(totals["found"])) if totals["found"] else good("none")),
            ("Without an answer", bad(str(totals["error"])) if totals["error"] else good("none")),
            ("Not audited", _not_audited(entries)),
        ],
    )
    document.add(
        Paragraph(
            "A check that passes is evidence for a part of a requirement, never for the whole of it. "
            "Requirements that are not listed were not looked at."
        ),
        Heading(1, "Requirements"),
        Table(
            ("Requirement", "Result", "Checks", "Open findings"),
            [
                (strong(number), _mark(states[number]), ", ".join(sorted(requirements[number])), str(_open(checks)))
                for number, checks in sorted(requirements.items(), key=lambda item: _natural(item[0]))
            ],
        ),
    )
    for number, checks in sorted(requirements.items(), key=lambda item: _natural(item[0])):
        rows = [
            (
                id_,
                listed[0][1]["title"],
                "\n".join(f"{entry['instance']}: {outcome(check)}" for entry, check in listed),
            )
            for id_, listed in sorted(checks.items())
        ]
        document.add(Heading(1, f"{title}: {number}"), Table(("Check", "Asks for", "Result"), rows))
    return document


def _not_audited(entries: Sequence[Entry]) -> Words:
    missing = [entry["instance"] for entry in entries if "checks" not in entry]
    return bad(", ".join(missing)) if missing else good("none")


def _natural(number: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in number.replace("(", ".").replace(")", "").split(".")]


def _worst(checks: Mapping[str, Sequence[tuple[Entry, Entry]]]) -> str:
    found = {check["status"] for listed in checks.values() for _, check in listed}
    return next((status for status in ("error", "found", "passed") if status in found), "not_applicable")


def _open(checks: Mapping[str, Sequence[tuple[Entry, Entry]]]) -> int:
    return sum(int(check["open"]) for listed in checks.values() for _, check in listed)


def _mark(status: str) -> Words:
    text = _STATUS[status]
    return good(text) if status == "passed" else bad(text) if status in ("found", "error") else text


def outcome(check: Entry) -> str:
    """How a check ended on an instance, in words."""
    if check["status"] == "found":
        count = int(check["open"])
        return f"{count} found" if count else "found, all of it excepted"
    return _STATUS[check["status"]] + (f": {check['reason']}" if check["reason"] else "")
