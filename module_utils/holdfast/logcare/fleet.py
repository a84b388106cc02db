"""On the control host: copies of audit logs that were fetched go into their chains, and reports are written."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import reports
from ..audit import exchange
from ..audit.facts import plain
from ..audit.model import Finding, Severity, Status
from ..audit.snapshot import key
from ..errors import HoldfastError
from ..files import File
from . import chain

NAME = "logs"
INCOMING = "incoming"
_CHAIN_CHECKS = ("LG09", "LG10")


def heads(directory: str) -> dict[str, dict[str, Any]]:
    """What is known of every chain in a directory: its newest link, and what is wrong with it."""
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    except FileNotFoundError:
        return {}
    return {name: head(directory, name) for name in names}


def head(directory: str, name: str) -> dict[str, Any]:
    """The same of one chain."""
    verdict = chain.verify(os.path.join(directory, name))
    newest = verdict.newest
    return {
        "number": newest["number"] if newest else 0,
        "hash": newest["hash"] if newest else "",
        "links": verdict.links,
        "bytes": verdict.size,
        "findings": plain(verdict.findings),
    }


@dataclass
class Received:
    """What was taken into a chain, or why nothing was."""

    instance: str
    links: int = 0
    findings: list[Finding] = field(default_factory=list)


def receive(directory: str, collected: Mapping[str, Any], *, change: bool) -> Received:
    """Take the fetched copies of an instance into its chain, if they go on from what is known."""
    name = str(collected["instance"])
    place = os.path.join(directory, name)
    done = Received(name)
    verdict = chain.verify(place, segments=False)
    wrong = [item for item in verdict.findings if item.check == "LG10" and "link" not in item.subject]
    links = list(collected["links"])
    problem = wrong[0].found if wrong else chain.continues(verdict.newest, links, str(collected["at_known"]))
    if problem:
        done.findings.append(Finding("LG10", f"chain of {name}", problem, Severity.CRITICAL))
        return done
    for link in links:
        if link["kind"] == chain.SEGMENT:
            problem = chain.segment_problem(os.path.join(place, INCOMING), link) if change else ""
            if problem:
                done.findings.append(Finding("LG10", chain.place_of(link), problem, Severity.CRITICAL))
                return done
        if change:
            _take(place, link)
        done.links += 1
    return done


def _take(place: str, link: chain.Link) -> None:
    try:
        if link["kind"] == chain.SEGMENT:
            name = chain.segment_name(link["number"])
            os.replace(os.path.join(place, INCOMING, name), os.path.join(place, name))
            os.chmod(os.path.join(place, name), 0o400)
        os.makedirs(place, mode=0o700, exist_ok=True)
        os.chmod(place, 0o700)
        chain.append(place, link)
    except OSError as error:
        raise HoldfastError(
            f"cannot be written: {error.strerror}", where=place, remedy="Choose a directory that you may write to"
        ) from None


def make(answers: Mapping[str, Mapping[str, Any]], directory: str) -> tuple[list[File], dict[str, Any], list[str]]:
    """The files of a report from the results of db_logs_info by host, its numbers, and what a person should know."""
    chains = heads(os.path.join(directory, "chain"))
    entries = sorted((_entry(*item, chains) for item in _told(answers)), key=lambda entry: str(entry["instance"]))
    open_ = [item for entry in entries for item in entry.get("findings", ())]
    severities = Counter(item["severity"] for item in open_)
    counts = {
        "instances": len(entries),
        "findings": {str(severity): severities[str(severity)] for severity in Severity},
        "errors": sum(check["status"] == str(Status.ERROR) for entry in entries for check in entry.get("checks", ())),
        "unknown": sum("checks" not in entry for entry in entries),
        "copied_bytes": sum(item["bytes"] for item in chains.values()),
    }
    made = max((entry["finished"] for entry in entries if "finished" in entry), default="")
    data = {"made": made, "counts": counts, "instances": entries, "chains": chains}

    def text(name: str, content: str) -> File:
        return reports.text(os.path.join(directory, name), content)

    known = [entry for entry in entries if "checks" in entry]
    files = [
        text(f"{NAME}.json", json.dumps(data, sort_keys=True, ensure_ascii=False) + "\n"),
        text(f"{NAME}-findings.csv", exchange.findings_csv(known)),
        text(f"{NAME}.sarif", json.dumps(exchange.sarif(entries, NAME), sort_keys=True, ensure_ascii=False) + "\n"),
        text(f"{NAME}.junit.xml", exchange.junit(entries, "logs")),
    ]
    notes = [f"{entry['instance']}: {entry['error']}" for entry in entries if "checks" not in entry]
    worst = (str(Severity.CRITICAL), str(Severity.HIGH))
    notes += [
        f"{entry['instance']}: {item['severity']} {item['check']} {item['subject']}: {item['found']}"
        for entry in known
        for item in entry["findings"]
        if item["severity"] in worst
    ]
    return files, counts, notes


def _told(answers: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for host, answer in answers.items():
        if "instances" in answer:
            found.extend((host, entry) for entry in answer["instances"])
        else:
            what = str(answer.get("msg", "no answer")).strip()
            found.append((host, {"instance": host, "error": {"what": f"host {host} does not tell: {what}"}}))
    return found


def _entry(host: str, told: Mapping[str, Any], chains: Mapping[str, Any]) -> dict[str, Any]:
    if "audit" not in told:
        error = told["error"]["what"]
        return {
            "instance": told["instance"],
            "host": host,
            "engine": "unknown",
            "version": "",
            "state": "unknown",
            "error": error,
        }
    audit = told["audit"]
    new = {key(item) for item in audit["difference"]["new"]}
    entry = {name: value for name, value in audit.items() if name not in ("known", "format")}
    entry["findings"] = [{**item, "new": key(item) in new} for item in audit["findings"]]
    _add_chain(entry, (chains.get(audit["instance"]) or {}).get("findings", ()))
    unanswered = any(item["status"] == str(Status.ERROR) for item in audit["checks"])
    extra = {name: told[name] for name in ("logs", "missing", "space")}
    return {**entry, **extra, "host": host, "state": "incomplete" if unanswered else "audited", "error": ""}


def _add_chain(entry: dict[str, Any], findings: Sequence[Mapping[str, Any]]) -> None:
    """What the copies here say, beside what the host says of its own chain: the host's word alone is worth little."""
    known = {(item["check"], item["subject"]) for item in entry["findings"]}
    for item in findings:
        if (item["check"], item["subject"]) not in known:
            entry["findings"].append({**item, "state": "open", "new": True, "since": entry["finished"]})
    found = Counter(item["check"] for item in entry["findings"])
    entry["checks"] = [
        {**check, "status": str(Status.FOUND), "open": found[check["id"]]}
        if check["id"] in _CHAIN_CHECKS and found[check["id"]]
        else check
        for check in entry["checks"]
    ]
