"""The files of a report on the control host."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from .. import reports
from ..document import Document
from ..files import File
from . import exchange, fleet, frameworks, report, reviews
from .model import FRAMEWORKS

NAME = "access-audit"
FINDINGS = "access-findings.csv"
SHEET = "access-review"


class Made(NamedTuple):
    """What a report consists of."""

    entries: list[fleet.Entry]
    counts: dict[str, Any]
    files: list[File]
    sheet: str  # the hash of the review sheet
    notes: list[str]


def make(
    answers: Mapping[str, Mapping[str, Any]],
    expected: Mapping[str, Sequence[Mapping[str, Any]]],
    directory: str,
    today: date,
    names: Sequence[str] = (),
) -> Made:
    """Every file of a report, written nowhere yet. The same answers give the same files."""
    known = reviews.read_reviews(directory)
    entries = fleet.combine(answers, expected, known, today, names)
    made = max((entry["finished"] for entry in entries if "finished" in entry), default=f"{today.isoformat()}T00:00Z")
    counts = fleet.counts(entries)
    rows = reviews.rows(entries, known, directory)
    sheet_csv = reviews.to_csv(reviews.COLUMNS, rows)
    hash_ = reviews.digest(sheet_csv)

    def at(name: str) -> str:
        return os.path.join(directory, name)

    def page(name: str, document: Document) -> File:
        return reports.page(at(name), document)

    def data(name: str, value: Any) -> File:
        # On one line: with indentation ten thousand findings take seconds to write.
        return reports.text(at(name), json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n")

    files = [
        data(f"{NAME}.json", {"made": made, "counts": counts, "instances": entries, "sheet": hash_}),
        reports.text(at(FINDINGS), exchange.findings_csv(entries)),
        page(f"{NAME}.html", report.report(entries, made, today, FINDINGS)),
        *(page(f"{NAME}-{name}.html", frameworks.page(entries, name, made)) for name in FRAMEWORKS),
        reports.text(at(f"{SHEET}.csv"), sheet_csv),
        reports.text(reviews.sheet_path(directory, hash_), sheet_csv),
        page(f"{SHEET}.html", report.sheet(rows, entries, made, hash_)),
        data(f"{NAME}.sarif", exchange.sarif(entries)),
        reports.text(at(f"{NAME}.junit.xml"), exchange.junit(entries)),
    ]
    return Made(entries, counts, files, hash_, _notes(entries, counts))


def _notes(entries: Sequence[fleet.Entry], counts: Mapping[str, Any]) -> list[str]:
    notes = [f"{entry['instance']} was not audited: {entry['error']}" for entry in entries if "checks" not in entry]
    notes.extend(f"{item['instance']}: new power: {item['account']} {item['what']}" for item in counts["power"])
    notes.extend(
        f"{item['instance']}: {item['found']}" for item in fleet.open_findings(entries) if item["check"] == "AC12"
    )
    if counts["errors"]:
        notes.append(f"{counts['errors']} checks have no answer; the report names them")
    return notes
