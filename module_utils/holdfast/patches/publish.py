"""The files of a patch report, or of a scan, on the control host."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .. import reports
from ..audit import exchange
from ..engines.catalog import ENGINES
from ..files import File, read
from ..units import format_instant
from . import fleet, report, scan, upgrade
from .findings import results

NAME = "patches"
SCAN = "vulnerability-scan"
UPGRADE = "upgrade-check"


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


def scanned(answers: Mapping[str, Mapping[str, Any]], directory: str, now: datetime) -> Made:
    """The report of a vulnerability scan, by host; each with its ``instances`` and the ports that are ``expected``."""
    previous = last(directory, SCAN)
    entries = [
        fleet.entry(host, "host", "", scan.results(_with_ports(answer), now), fleet.before(previous, host), now)
        for host, answer in sorted(answers.items())
    ]
    return write(SCAN, "Vulnerability scan", entries, directory, now, {"scans": answers})


def upgrades(answers: Mapping[str, Mapping[str, Any]], directory: str, now: datetime) -> Made:
    """The report of the checks before a major upgrade. ``answers`` are the results of db_upgrade_info by host."""
    previous, entries, plain = last(directory, UPGRADE), [], []
    for host, answer in sorted(answers.items()):
        if "surveys" not in answer:
            entries.append(fleet.silent(host, "host", answer))
        for item in answer.get("surveys", ()):
            if "results" in item:
                about = f"{item['version']}, to become {item['target']}"
                found = upgrade.results(item["results"])
                before = fleet.before(previous, item["instance"])
                entry = fleet.entry(item["instance"], item["engine"], about, found, before, now)
                entries.append(dict(entry, host=host))
                plain.append({name: item[name] for name in ("instance", "engine", "version", "target", "facts")})
            elif "error" in item:
                entries.append(dict(fleet.silent(item["instance"], item["engine"], {"msg": item["error"]}), host=host))
    return write(UPGRADE, "Check before a major upgrade", entries, directory, now, {"surveys": plain})


def _with_ports(answer: Mapping[str, Any]) -> dict[str, Any]:
    ports = {name: facts.port for name, facts in ENGINES.items()}
    databases = [int(item.get("port") or ports.get(item.get("engine"), 0)) for item in answer["instances"]]
    return {**answer, "databases": databases, "expected": [*map(int, answer["expected"]), *databases]}


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
    report.surveys(document, more.get("surveys", ()))
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
