"""The files of a patch report, or of a scan, on the control host."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .. import reports
from ..audit import exchange
from ..files import File, read
from ..units import format_instant
from . import fleet, report
from .findings import results

NAME = "patches"


class Made(NamedTuple):
    """What a report consists of."""

    entries: list[fleet.Entry]
    counts: dict[str, Any]
    files: list[File]
    notes: list[str]


def due(answers: Mapping[str, Mapping[str, Any]], directory: str, now: datetime) -> Made:
    """The report of what is due. ``answers`` are the results of db_patch_info by host, also ones that failed."""
    previous = last(directory, NAME)
    dues = {host: answer["due"] for host, answer in answers.items() if answer.get("due")}
    entries = [
        fleet.entry(
            host, "host", _system(dues[host]), results(dues[host], now.date()), fleet.before(previous, host), now
        )
        if host in dues
        else fleet.silent(host, "host", answer)
        for host, answer in sorted(answers.items())
    ]
    return write(NAME, "Patches", entries, directory, now, {"due": dues}, dues)


def write(
    name: str,
    title: str,
    entries: list[fleet.Entry],
    directory: str,
    now: datetime,
    more: Mapping[str, Any],
    dues: Mapping[str, Mapping[str, Any]] | None = None,
) -> Made:
    """Every file of a report of findings, written nowhere yet."""
    made, counts = format_instant(now) or "", fleet.counts(entries)
    document = report.page(title, entries, made, f"{name}.csv")
    if dues is not None:
        report.due(document, dues, now.date())
    plain = {"made": made, "counts": counts, "hosts": entries, **more}

    def at(suffix: str) -> str:
        return os.path.join(directory, f"{name}{suffix}")

    files = [
        reports.data(at(".json"), plain),
        reports.text(at(".csv"), exchange.findings_csv(entries)),
        reports.page(at(".html"), document),
        reports.data(at(".sarif"), exchange.sarif(entries, name)),
        reports.text(at(".junit.xml"), exchange.junit(entries, title.lower())),
    ]
    return Made(entries, counts, files, fleet.notes(entries))


def last(directory: str, name: str) -> Any:
    """The report that was written before; None when there is none that can be read."""
    try:
        return json.loads(read(os.path.join(directory, f"{name}.json")) or "null")
    except ValueError:
        return None


def ended(outcomes: Sequence[Mapping[str, Any]], directory: str, now: datetime) -> list[File]:
    """The record of a roll-out: every host with how it ended, in their order."""
    plain = {"made": format_instant(now), "hosts": list(outcomes)}
    return [reports.data(os.path.join(directory, "rollout.json"), plain)]


def _system(due: Mapping[str, Any]) -> str:
    return str(due["system"]["title"])
