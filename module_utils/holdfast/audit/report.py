"""The audit of a fleet as pages: one for everybody, one for each framework, and the sheet that a reviewer signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from .. import __version__
from ..document import (
    Code,
    Document,
    Heading,
    Items,
    Paragraph,
    Signatures,
    Table,
    Words,
    bad,
    code,
    gap,
    good,
    strong,
    words,
)
from . import fleet
from .fleet import AUDITED, INCOMPLETE
from .frameworks import outcome
from .model import Severity
from .reviews import Row

MOST = 25  # findings of one check on a page; the CSV has them all
_MOST_LISTED = 60  # rows of what is new, what was fixed, of paths

Entry = Mapping[str, Any]


def report(entries: Sequence[Entry], made: str, today: date, csv_name: str) -> Document:
    """The page for everybody."""
    numbers = fleet.counts(entries)
    about = f"{numbers['instances']} instance{'' if numbers['instances'] == 1 else 's'}, {_moment(made)} UTC"
    document = Document("Access audit", about, _cover(numbers))
    _power(document, numbers)
    _summary(document, entries)
    found = fleet.open_findings(entries)
    for severity in Severity:
        _findings(document, entries, [item for item in found if item["severity"] == str(severity)], severity, csv_name)
    _changes(document, entries)
    _exceptions(document, entries, today)
    _paths(document, entries)
    _unanswered(document, entries)
    _evidence(document, entries)
    return document


def _cover(numbers: Entry) -> list[tuple[str, Words]]:
    states = [f"{count} {state}" for state, count in numbers["states"].items() if count]
    complete = numbers["states"][AUDITED] == numbers["instances"]
    found = ", ".join(f"{count} {severity}" for severity, count in numbers["findings"].items())
    grave = numbers["findings"]["critical"] + numbers["findings"]["high"]
    power, compared, first = numbers["power"], numbers["compared"], "there was none to compare with"
    return [
        ("Instances", good(", ".join(states)) if complete else bad(", ".join(states) or "none")),
        ("Open findings", bad(found) if grave else found),
        ("Since the audit before", f"{numbers['new']} new, {numbers['fixed']} fixed" if compared else first),
        ("New power", bad(f"{len(power)} changes, see below") if power else good("none") if compared else first),
        ("Excepted by the policy", str(numbers["excepted"])),
        ("Checks without an answer", bad(str(numbers["errors"])) if numbers["errors"] else good("none")),
        ("Accounts and roles", str(numbers["accounts"])),
        ("Holdfast", __version__),
    ]


def _power(document: Document, numbers: Entry) -> None:
    if not numbers["power"]:
        return
    lines: list[Words] = [
        words(code(item["instance"]), ": ", strong(item["account"]), f" {item['what']}")
        for item in numbers["power"][:_MOST_LISTED]
    ]
    if len(numbers["power"]) > _MOST_LISTED:
        lines.append(f"and {len(numbers['power']) - _MOST_LISTED} more, in the JSON")
    document.add(
        Heading(1, "New power"),
        Paragraph(
            "Since the audit before, these accounts gained power. Ask their owners whether it is meant.", "warning"
        ),
        Items(lines),
    )


def _summary(document: Document, entries: Sequence[Entry]) -> None:
    rows: list[Sequence[Words]] = []
    for entry in entries:
        if "checks" not in entry:
            rows.append([code(entry["instance"]), entry["host"], *["-"] * 7, bad(f"not audited: {entry['error']}")])
            continue
        found = [item["severity"] for item in entry["findings"] if item["state"] == "open"]
        numbers = [found.count(str(severity)) for severity in Severity]
        errors = sum(check["status"] == "error" for check in entry["checks"])
        state: Words = "complete" if entry["state"] != INCOMPLETE else bad(f"{errors} checks without an answer")
        rows.append(
            [
                code(entry["instance"]),
                entry["host"],
                f"{entry['engine']} {entry['version']}",
                *(bad(str(count)) if count and place < 2 else str(count) for place, count in enumerate(numbers)),
                str(sum(item["state"] == "excepted" for item in entry["findings"])),
                _moment(entry["started"]),
                state if entry["policy"]["given"] else words(state, "; ", bad("no policy")),
            ]
        )
    headers = ("Instance", "Host", "Server", "Critical", "High", "Medium", "Low", "Excepted", "Audited", "State")
    document.add(Heading(1, "Fleet"), Table(headers, rows))


def _findings(
    document: Document, entries: Sequence[Entry], found: Sequence[Entry], severity: Severity, csv_name: str
) -> None:
    document.add(Heading(1, f"Findings: {severity}"))
    if not found:
        document.add(Paragraph(good("None.")))
        return
    checks = _checks(entries)
    by_check: dict[str, list[Entry]] = {}
    for item in found:
        by_check.setdefault(item["check"], []).append(item)
    for id_, listed in by_check.items():
        check = checks[id_]
        document.add(
            Heading(2, f"{id_} {check['title']}: {len(listed)}"),
            Paragraph(words(check["rationale"], " ", strong("To mend it: "), check["remediation"])),
            Table(
                ("Instance", "What", "Found", "Since"),
                [
                    (
                        code(item["instance"]),
                        _subject(item),
                        item["found"],
                        bad("new") if item["new"] else item["since"][:10] or "-",
                    )
                    for item in sorted(listed, key=lambda item: not item["new"])[:MOST]
                ],
            ),
        )
        if len(listed) > MOST:
            rest = len(listed) - MOST
            document.add(Paragraph(words(f"{rest} more of this check are in ", code(csv_name), ".")))


def _changes(document: Document, entries: Sequence[Entry]) -> None:
    for title, name, none in (
        ("What is new", "new", "Nothing that was not there in the audit before."),
        ("What was fixed", "fixed", "Nothing since the audit before."),
    ):
        listed = [(entry, item) for entry in entries for item in entry.get("difference", {}).get(name, ())]
        document.add(Heading(1, title))
        if not listed:
            document.add(Paragraph(none))
            continue
        rows = [
            (code(entry["instance"]), item["severity"], item["check"], _subject(item), item["found"])
            for entry, item in listed[:_MOST_LISTED]
        ]
        document.add(Table(("Instance", "Severity", "Check", "What", "Found"), rows))
        if len(listed) > _MOST_LISTED:
            document.add(Paragraph(f"{len(listed) - _MOST_LISTED} more are in the JSON and the CSV."))
    gained = [entry for entry in entries if (entry.get("difference", {}).get("gained", {}).get("count") or 0)]
    for entry in gained:
        shown = entry["difference"]["gained"]
        document.add(
            Heading(2, f"Rights gained on {entry['instance']}: {shown['count']}"),
            Items([words(strong(item["account"]), f" {item['what']}") for item in shown["shown"][:MOST]]),
        )


def _exceptions(document: Document, entries: Sequence[Entry], today: date) -> None:
    listed = fleet.exceptions(entries, today)
    document.add(Heading(1, "Exceptions"))
    if not listed:
        document.add(Paragraph("The policy has none."))
        return
    marks = {"expired": bad("expired"), "ends soon": bad("ends soon"), "valid": good("valid")}
    rows = [
        (
            words(marks[item["state"]], f" {item['expires']}"),
            item["check"],
            code(item["subject"]),
            code(item["instance"]),
            item["reason"],
            item["owner"],
            str(item["uses"]),
        )
        for item in listed[: 2 * _MOST_LISTED]
    ]
    document.add(
        Paragraph("A finding that an exception covers is not open. After its day the finding stands again."),
        Table(("Until", "Check", "What", "Instance", "Reason", "Agreed by", "Findings"), rows),
    )


def _paths(document: Document, entries: Sequence[Entry]) -> None:
    listed = [(entry, item) for entry in entries for item in entry.get("escalations", ())]
    document.add(Heading(1, "Paths to more power"))
    if not listed:
        document.add(Paragraph("None is known, of the instances that were audited."))
        return
    rows = [
        (code(entry["instance"]), code(item["account"]), item["reaches"], "\n".join(item["steps"]))
        for entry, item in listed[:_MOST_LISTED]
    ]
    document.add(Table(("Instance", "Account", "Reaches", "By these steps"), rows))
    if len(listed) > _MOST_LISTED:
        document.add(Paragraph(f"{len(listed) - _MOST_LISTED} more are in the JSON."))


def _unanswered(document: Document, entries: Sequence[Entry]) -> None:
    rows: list[Sequence[Words]] = []
    for status, mark in (("error", bad("ERROR")), ("not_applicable", "not applicable")):
        reasons: dict[tuple[str, str], list[str]] = {}
        for entry in entries:
            for check in entry.get("checks", ()):
                if check["status"] == status:
                    reasons.setdefault((check["id"], check["reason"]), []).append(entry["instance"])
        rows.extend((mark, id_, reason, ", ".join(instances)) for (id_, reason), instances in sorted(reasons.items()))
    document.add(Heading(1, "Checks that did not judge"))
    if rows:
        document.add(
            Paragraph("Neither is a pass. An error is a question without an answer; mend it and audit again."),
            Table(("Result", "Check", "Why", "Instances"), rows),
        )
    else:
        document.add(Paragraph("Every check of every instance has an answer."))


def _evidence(document: Document, entries: Sequence[Entry]) -> None:
    document.add(
        Heading(1, "Evidence", page=True),
        Paragraph("What was asked of which server, when, and how it ended. Times are UTC."),
    )
    by_check: dict[str, list[tuple[Entry, Entry]]] = {}
    for entry in entries:
        for check in entry.get("checks", ()):
            by_check.setdefault(check["id"], []).append((entry, check))
    for id_, listed in by_check.items():
        check = listed[0][1]
        document.add(Heading(2, f"{id_} {check['title']}"), Code(check["statement"] or "-"))
        rows = [
            (
                code(entry["instance"]),
                f"{entry['engine']} {entry['version']}",
                _moment(item["asked"] or entry["started"]),
                _outcome(item),
            )
            for entry, item in listed
        ]
        document.add(Table(("Instance", "Server", "Asked", "Result"), rows))


def _outcome(check: Entry) -> Words:
    text = outcome(check)
    return bad(text) if check["status"] in ("found", "error") else text


def sheet(rows: Sequence[Row], entries: Sequence[Entry], made: str, hash_: str) -> Document:
    """The sheet that a reviewer signs."""
    document = Document(
        "Access review",
        f"Accounts, roles and rights as they were on {made[:10]}",
        [
            ("Instances", ", ".join(dict.fromkeys(row["instance"] for row in rows)) or bad("none was audited")),
            ("Accounts and roles", str(sum(row["change"] != "gone" for row in rows))),
            ("Changed since the last review", str(sum(bool(row["change"]) for row in rows))),
            ("SHA-256 of the sheet as CSV", code(hash_)),
        ],
    )
    document.add(
        Paragraph(
            "For each account: is it still needed, by this owner, with these roles and rights? Mark what must go. "
            "Then sign below, and have the signature recorded with the hash above."
        )
    )
    reviewed = {entry["instance"]: entry.get("review") for entry in entries}
    for instance in dict.fromkeys(row["instance"] for row in rows):
        own = [row for row in rows if row["instance"] == instance]
        last = reviewed.get(instance)
        text = f"Last reviewed on {last['date']} by {last['by']}." if last else "It was never reviewed."
        people = [row for row in own if row["kind"] != "system"]
        document.add(
            Heading(1, f"{instance} on {own[0]['host']}"),
            Paragraph(text),
            Table(
                ("Account", "Owner", "Powers", "Roles", "Rights", "Last seen", "Changed since", "Keep"),
                [_sheet_row(row) for row in people],
            ),
        )
        if len(people) < len(own):
            names = ", ".join(row["account"] for row in own if row["kind"] == "system")
            document.add(Paragraph(f"Brought by the server itself, in the CSV: {names}."))
    document.add(
        Heading(1, "Signature"),
        Paragraph("I have looked at every line above. What I marked is to be taken away; the rest is needed."),
        Signatures([gap("name and role of the reviewer"), gap("name and role of the owner of the data")]),
    )
    return document


def _sheet_row(row: Row) -> Sequence[Words]:
    powers: list[Words] = [bad("administrator")] if row["administrator"] == "yes" else []
    powers += [row["attributes"]] if row["attributes"] else []
    powers += ["locked"] if row["locked"] == "yes" else [] if row["login"] == "yes" else ["a role"]
    joined: list[Words] = []
    for item in powers:
        joined.extend([", ", item] if joined else [item])
    return (
        code(row["account"]),
        row["owner"] or (gap("owner") if row["login"] == "yes" else "-"),
        words(*joined) if joined else "-",
        row["roles"] or "-",
        row["rights"] or "-",
        row["last_seen"] if row["login"] == "yes" else "-",
        bad(row["change"]) if row["change"] else "-",
        "\u2610",
    )


def _checks(entries: Sequence[Entry]) -> dict[str, Entry]:
    return {check["id"]: check for entry in entries for check in entry.get("checks", ())}


def _subject(item: Entry) -> Words:
    return words(f"{item['database']}: ", code(item["subject"])) if item["database"] else code(item["subject"])


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")
