"""A drill as people read it: the report that an auditor is handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from .document import (
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
    joined,
    strong,
)
from .drill import Drill, canonical, digest, throughput
from .restore_configuration import brought_back
from .units import format_duration


def report(drill: Drill) -> Document:
    """The document of one drill record."""
    passed = drill["result"] == "passed"
    document = Document(
        f"Disaster recovery drill {drill['id']}",
        drill["scenario"],
        [
            ("Result", good("PASSED") if passed else bad("FAILED")),
            ("Date and time zone", f"{_moment(drill['started'])} to {_moment(drill['finished'])}"),
            ("Duration", _time(drill["seconds"])),
            ("Scope", drill["scope"] or gap("scope")),
            ("Participants", ", ".join(drill["participants"]) or gap("participants")),
            ("Recovered to", _moment(drill["target_time"]) if drill["target_time"] else "the newest change"),
            ("Success over twelve months", _success(drill["success"])),
            ("Next drill by", drill["next"]),
            ("Revision of the inventory", code(drill["revision"]) if drill["revision"] else "not recorded"),
            ("Holdfast", drill["version"]),
        ],
    )
    _judge(document, drill)
    _timeline(document, drill)
    _instances(document, drill["instances"])
    _follow_up(document, drill)
    _evidence(document, drill)
    document.add(
        Heading(1, "Sign-off"),
        Paragraph("Signed by those who took part and by the owner of the plan, after the defects above were assigned."),
        Signatures(drill["sign_off"] or [gap("who signs")]),
    )
    return document


def _judge(document: Document, drill: Drill) -> None:
    finding = drill["success"]["finding"]
    if finding:
        document.add(Paragraph((strong("Finding: "), finding), "warning"))
    rows = [
        (item["criterion"], good("met") if item["met"] else bad("not met"), "\n".join(item["against"]) or "-")
        for item in drill["criteria"]
    ]
    document.add(
        Heading(1, "Pass or fail"),
        Paragraph("The drill passes when every criterion is met."),
        Table(("Criterion", "Result", "What speaks against it"), rows),
    )


def _timeline(document: Document, drill: Drill) -> None:
    rows = [
        (item["name"], _moment(item["started"]), _moment(item["finished"]), _time(item["seconds"]))
        for item in drill["phases"]
    ]
    document.add(Heading(1, "Timeline"), Table(("Phase", "Begin", "End", "Took"), rows))


def _instances(document: Document, instances: Sequence[Mapping[str, Any]]) -> None:
    document.add(
        Heading(1, "Objectives"),
        Paragraph(
            "RTO achieved runs from the declaration to the end of the instance's restore. The restore alone is beside "
            "it. RPO achieved is the age, when the restore began, of the newest marker row that came back."
        ),
        Table(
            ("Instance", "RTO achieved / target", "Restore alone", "RPO achieved / target", "Result"),
            [
                (
                    code(item["instance"]),
                    _against(item["rto_seconds"], item["rto_target_seconds"]),
                    _time(item["restore_seconds"]),
                    _against(item["rpo_seconds"], item["rpo_target_seconds"]),
                    good("restored") if item["result"] == "ok" else bad(item["error"] or "failed"),
                )
                for item in instances
            ],
        ),
        Heading(1, "Backups used"),
        Table(
            ("Instance", "Backup", "Repository", "Age", "Target host", "Size and throughput", "Steps"),
            [
                (
                    code(item["instance"]),
                    (code(item["backup_id"] or "-"), f" {item['backup_type'] or ''}"),
                    code(item["repository"] or "-"),
                    _time(item["backup_age_seconds"]),
                    code(item["host"] or "-"),
                    throughput(item),
                    ", ".join(f"{name} {_time(seconds)}" for name, seconds in item["phases"].items()) or "-",
                )
                for item in instances
            ],
        ),
        Heading(1, "Integrity and counts"),
        Table(
            ("Instance", "Checker", "Objects", "Problems", "Tables", "Rows", "Validation queries"),
            [
                (
                    code(item["instance"]),
                    item["checker"] or bad("none ran"),
                    _number(item["checked_objects"]),
                    _problems(item["check_problems"]),
                    _number(item["tables"]),
                    _number(item["rows"]),
                    _queries(item["validation"]),
                )
                for item in instances
            ],
        ),
    )
    _configuration(document, instances)


def _configuration(document: Document, instances: Sequence[Mapping[str, Any]]) -> None:
    rows: list[Sequence[Words]] = []
    for item in instances:
        found = item.get("configuration") or {"problem": "not recorded"}
        out = [f"{name}: {reason}" for name, reason in (found.get("left_out") or {}).items()]
        came: Words = bad(found["problem"]) if "problem" in found else brought_back(found)
        rows.append((code(item["instance"]), _moment(found["taken"]) if found.get("taken") else "-", came, _lines(out)))
    document.add(
        Heading(1, "Configuration of the servers"),
        Paragraph(
            "What the backup holds of it besides the data. In a drill nothing is put in service: it is what this host "
            "could have taken."
        ),
        Table(("Instance", "Of", "Brought back", "Not, or not as it was"), rows),
    )


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(texts) or "-"


def _follow_up(document: Document, drill: Drill) -> None:
    document.add(Heading(1, "Defects"))
    if not drill["defects"]:
        document.add(Paragraph("None were found."))
        return
    rows = [(item["what"], item["owner"] or gap("owner"), item["due"] or gap("due date")) for item in drill["defects"]]
    document.add(Table(("Defect", "Owner", "Due"), rows))


def _evidence(document: Document, drill: Drill) -> None:
    rows: list[Sequence[Words]] = [(item["name"], code(item["sha256"])) for item in drill["evidence"]]
    document.add(
        Heading(1, "Evidence"),
        Paragraph(
            "SHA-256 of the records and logs of this drill. Of a record, it is that of its JSON with sorted keys and "
            "without spaces."
        ),
        Table(("What", "SHA-256"), rows),
        Items([("The JSON record of this report, hashed in the same way: ", code(digest(canonical(drill))))]),
        Heading(2, "To check a record"),
        Code(
            "python3 -c 'import hashlib, json, sys; print(hashlib.sha256(json.dumps(json.load(sys.stdin), "
            'sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest())\' < record.json'
        ),
    )


def _against(achieved: float | None, target: float | None) -> Words:
    if achieved is None or target is None:
        return bad("not measured")
    text = _time(achieved)
    return (good(text) if achieved <= target else bad(text), f" / {_time(target)}")


def _success(found: Mapping[str, Any]) -> Words:
    if found["rate"] is None:
        return bad("no drill")
    text = f"{found['passed']} of {found['drills']} drills passed, {found['rate']:.1%}"
    return bad(text) if found["finding"] else good(text)


def _problems(count: int | None) -> Words:
    return "-" if count is None else bad(str(count)) if count else good("0")


def _queries(results: Sequence[Mapping[str, Any]]) -> Words:
    if not results:
        return "none defined"
    return joined(
        [good(item.get("name", "query")) if item.get("ok") else bad(item.get("name", "query")) for item in results]
    )


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(timedelta(seconds=seconds))


def _moment(text: str) -> str:
    return text[:19].replace("T", " ") + " UTC"
