"""Appendices A to L of the plan, as NIST SP 800-34 names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..document import (
    Code,
    Document,
    Heading,
    Items,
    Paragraph,
    Table,
    Words,
    bad,
    code,
    gap,
    good,
    joined,
    strong,
    words,
)
from ..drill import success
from ..units import format_bytes
from .context import Context, against, forecast, human, moment, names, seconds, tolerable
from .facts import Facts


def all_of_them(document: Document, context: Context) -> None:
    """Add the twelve appendices in order."""
    for chapter in (_contacts, _vendors, _sites, _procedures, _workarounds, _validation):
        chapter(document, context)
    for chapter in (_diagrams, _inventory, _interconnections, _exercises, _impact, _agreements):
        chapter(document, context)


def _contacts(document: Document, context: Context) -> None:
    rows: list[Sequence[Words]] = [
        (
            code(name),
            human(raw.get("name"), "name"),
            human(raw.get("phone"), "telephone"),
            human(raw.get("mail"), "mail"),
            names(raw.get("deputies") or ()),
        )
        for name, raw in context.contacts.items()
        if not raw.get("vendor")
    ]
    document.add(Heading(1, "Appendix A: Personnel contacts", page=True))
    headers = ("Role", "Name", "Telephone", "Mail", "Deputies")
    document.add(Table(headers, rows) if rows else Paragraph(gap("db_contacts")))


def _vendors(document: Document, context: Context) -> None:
    rows: list[Sequence[Words]] = [
        (
            code(name),
            human(raw.get("name"), "name"),
            human(raw.get("phone"), "telephone"),
            human(raw.get("mail"), "mail"),
        )
        for name, raw in context.contacts.items()
        if raw.get("vendor")
    ]
    document.add(Heading(1, "Appendix B: Vendor contacts"))
    if rows:
        document.add(Table(("Vendor", "Name", "Telephone", "Mail"), rows))
    else:
        document.add(Paragraph("No contact of the inventory is a vendor."))


def _sites(document: Document, context: Context) -> None:
    sites = context.facts["sites"]
    alternates = {raw.get("alternate") for raw in sites.values()}
    document.add(Heading(1, "Appendix C: Alternate site, storage, keys and telecommunications"))
    if not sites:
        document.add(Paragraph(gap("db_sites")))
    for name, raw in sites.items():
        alternate = name in alternates
        rows: list[tuple[Words, Words]] = [("Address", human(raw.get("address"), "address"))]
        if alternate:
            rows += [
                ("Kind of alternate site", human(raw.get("type"), "cold, warm, hot or mirrored")),
                ("How people and keys get in", human(raw.get("access"), "access")),
                ("Network, DNS, firewall, lines", human(raw.get("network"), "network steps")),
            ]
        if not alternate or raw.get("alternate"):
            rows.append(("Taken over by", human(raw.get("alternate"), "alternate site")))
        hosts = sorted({item["host"] for item in context.instances if item["site"] == name})
        rows.append(("Database hosts", names(hosts)))
        document.add(Heading(2, f"Site {name}"), Table((), rows))
    document.add(
        Heading(2, "Backup storage and key escrow"),
        Paragraph("Whoever loses the passphrase of a repository has lost its backups."),
        Table(
            ("Repository", "Type", "Place", "Where a copy of the key is kept"),
            [
                (
                    code(name),
                    item["type"],
                    code(item["place"]) if item["place"] else "-",
                    human(item["escrow"], "key escrow"),
                )
                for name, item in context.facts["repositories"].items()
            ],
        ),
        *_lost_with_their_host(context),
    )


def _lost_with_their_host(context: Context) -> list[Paragraph]:
    known = context.facts["repositories"]
    near = [
        item["name"]
        for item in context.instances
        if all((known.get(name) or {}).get("type") == "posix" for name in item["repositories"])
    ]
    if not near:
        return []
    text = ". Unless its path is a mount from another site, they are lost with the host."
    return [Paragraph(words(strong("At risk: "), "backups on their own host only: ", names(near), text), "warning")]


def _procedures(document: Document, context: Context) -> None:
    commands = context.commands
    document.add(
        Heading(1, "Appendix D: Detailed recovery procedures and checklists", page=True),
        Paragraph(
            "Every runbook shows its plan with --check and then changes nothing. The name in confirm guards against "
            "the wrong instance. TIME is ISO 8601 with a zone, for example 2026-11-21T14:05:00+01:00."
        ),
    )
    for item in context.instances:
        name = item["name"]
        document.add(
            Heading(2, f"Instance {name}"),
            Table(
                ("Done", "Step", "Command"),
                [
                    ("☐", "How it stands now", code(commands.status(name))),
                    ("☐", "Plan of a restore in place", code(commands.restore(name, check=True))),
                    ("☐", "Restore to the newest change", code(commands.restore(name))),
                    ("☐", "Restore to a moment", code(commands.restore(name, time="TIME"))),
                    ("☐", "Get back one table or schema", code(commands.rescue(name))),
                    ("☐", "Promote its standby, where it has one", code(commands.failover(name))),
                    ("☐", "New full backup", code(commands.backup(name))),
                    ("☐", "Prove that it restores", code(commands.restore_test(name))),
                ],
            ),
        )


def _workarounds(document: Document, context: Context) -> None:
    document.add(
        Heading(1, "Appendix E: Alternate processing and manual work-arounds"),
        Table(
            ("Instance", "Least that must work (MBCO)", "How people work meanwhile"),
            [
                (
                    code(item["name"]),
                    human(item["business"].get("mbco"), "MBCO"),
                    human(item["business"].get("workaround"), "work-around"),
                )
                for item in context.instances
            ],
        ),
    )


def _validation(document: Document, context: Context) -> None:
    document.add(
        Heading(1, "Appendix F: System validation test plan"),
        Items(
            [
                "The marker row written before the backup is there, and the newest one tells how much was lost.",
                "Every table that the backup had is there, and none is empty that had rows.",
                "The engine's own checker finds nothing wrong in any table or index.",
                "The validation queries and probes of the users give what they should.",
                "The log is archived again: one file was closed and arrived in the repository.",
                "A full backup was taken after the recovery and restores.",
                "The owner has used the application and signed in 5.3.",
            ],
            numbered=True,
        ),
        Table(
            ("Instance", "Checker of its last restore test", "Tables", "Rows", "Validation queries", "Owner"),
            [
                (
                    code(item["name"]),
                    _last(context, item).get("checker") or "-",
                    _number(_last(context, item).get("tables")),
                    _number(_last(context, item).get("rows")),
                    "\n".join(context.facts["validation"].get(item["name"], ())) or "none defined",
                    human(item["business"].get("owner"), "owner"),
                )
                for item in context.instances
            ],
        ),
    )


def _diagrams(document: Document, context: Context) -> None:
    waves = [
        f"wave {number}   {'   '.join(f'[{name}]' for name in wave)}"
        for number, wave in enumerate(context.facts["order"], 1)
    ]
    edges = [f"{need} --> {item['name']}" for item in context.instances for need in item["depends_on"]]
    text = "\n   |\n".join(waves) + ("\n\n" + "\n".join(edges) if edges else "")
    document.add(
        Heading(1, "Appendix G: Diagrams"),
        Paragraph("Order of recovery, and which instance needs which (an arrow leads to the one that waits)."),
        Code(text or "no instances"),
        Paragraph(
            words("Diagrams of network and applications: ", human(context.plan.get("diagrams"), "where they are"))
        ),
    )


def _inventory(document: Document, context: Context) -> None:
    document.add(
        Heading(1, "Appendix H: Hardware and software inventory"),
        Table(
            ("Host", "Instance", "Software", "Role", "Port", "Runs as", "Size", "Repositories"),
            [
                (
                    code(item["host"]),
                    code(item["name"]),
                    f"{item['title']} {context.told.get(item['name'], {}).get('version') or ''}".strip(),
                    context.told.get(item["name"], {}).get("role") or "unknown",
                    str(item["port"]),
                    code(item["os_user"]),
                    _size(context, item),
                    names(item["repositories"]),
                )
                for item in context.instances
            ],
        ),
        Paragraph("Packages, configuration, users and jobs of each host are made by one runbook:"),
        Code(context.commands.site()),
    )


def _interconnections(document: Document, context: Context) -> None:
    needed_by: dict[str, list[str]] = {}
    for item in context.instances:
        for need in item["depends_on"]:
            needed_by.setdefault(need, []).append(item["name"])
    document.add(
        Heading(1, "Appendix I: Interconnections"),
        Table(
            ("Instance", "Depends on", "Needed by"),
            [
                (code(item["name"]), names(item["depends_on"]), names(needed_by.get(item["name"], [])))
                for item in context.instances
            ],
        ),
    )


def _exercises(document: Document, context: Context) -> None:
    document.add(Heading(1, "Appendix J: Test and exercise log", page=True), Heading(2, "Drills"))
    newest = context.newest()
    if context.drills and newest:
        found = success(context.drills, newest)
        if found["finding"]:
            document.add(Paragraph(words(strong("Finding: "), found["finding"]), "warning"))
        rows: list[Sequence[Words]] = [
            (
                moment(drill["finished"]),
                drill["id"],
                drill["scenario"],
                seconds(drill["seconds"]),
                good("passed") if drill["result"] == "passed" else bad("failed"),
                _drilled(drill),
                drill["next"],
            )
            for drill in reversed(context.drills)
        ]
        columns = ("Date", "Drill", "Scenario", "Took", "Result", "RTO achieved / target", "Next by")
        document.add(Table(columns, rows))
    else:
        document.add(Paragraph(words(gap("no drill was recorded"), " Rehearse with:")), Code(context.commands.drill()))
    document.add(Heading(2, "Restore tests"))
    tests: list[Sequence[Words]] = [
        (
            code(item["name"]),
            moment(test["finished"]),
            code(test["backup_id"] or "-"),
            good("passed") if test["result"] == "ok" else bad(test["error"] or "failed"),
            against(test["rto_seconds"], test["rto_target_seconds"]),
            against(test["rpo_seconds"], test["rpo_target_seconds"]),
        )
        for item in context.instances
        for test in context.told.get(item["name"], {}).get("tests", ())
    ]
    headers = ("Instance", "Date", "Backup", "Result", "RTO achieved / target", "RPO achieved / target")
    document.add(Table(headers, tests) if tests else Paragraph(gap("no restore test was recorded")))


def _impact(document: Document, context: Context) -> None:
    document.add(
        Heading(1, "Appendix K: Business impact analysis"),
        Paragraph(
            "MTD (ISO 22301: MTPD) covers the time to restore and the time to catch up on work; it is at least the RTO."
        ),
        Table(
            ("Instance", "Owner", "Impact of an outage", "MTD", "RTO", "RPO", "MBCO"),
            [
                (
                    code(item["name"]),
                    human(item["business"].get("owner"), "owner"),
                    human(item["business"].get("impact"), "impact"),
                    tolerable(item),
                    seconds(item["rto_seconds"]),
                    seconds(item["rpo_seconds"]),
                    human(item["business"].get("mbco"), "MBCO"),
                )
                for item in context.instances
            ],
        ),
    )


def _agreements(document: Document, context: Context) -> None:
    document.add(
        Heading(1, "Appendix L: Service level agreements and forecast"),
        Table(
            ("Instance", "Restore expected to take", "RTO", "Will exceed it", "Derived from"),
            [_expected(context, item) for item in context.instances],
        ),
        Heading(2, "Service levels"),
        Table(
            ("Level", "RPO", "RTO", "Full", "Log", "Archive copy", "Restore test"),
            [
                (
                    strong(name),
                    *(str(level.get(key, "-")) for key in ("rpo", "rto", "full", "log", "archive")),
                    str(level.get("restore_test", "weekly")),
                )
                for name, level in context.facts["levels"].items()
            ],
        ),
    )
    contracts: list[Sequence[Words]] = [
        (words(human(raw.get("name"), "name"), f" ({name})"), human(raw["vendor"], "contract"))
        for name, raw in context.contacts.items()
        if raw.get("vendor")
    ]
    if contracts:
        document.add(Heading(2, "Contracts with vendors"), Table(("Vendor", "Contract"), contracts))


def _expected(context: Context, item: Facts) -> Sequence[Words]:
    told = context.told.get(item["name"], {})
    found: Mapping[str, Any] = told.get("forecast") or {}
    basis = found.get("forecast_basis") or "nothing is known of it"
    return (
        code(item["name"]),
        forecast(item, told),
        seconds(item["rto_seconds"]),
        (bad(found["exceeds_on"]) if found.get("exceeds_on") else "")
        or ("not as far as the trend shows" if found.get("growth_bytes_per_day") else "no trend yet"),
        basis,
    )


def _drilled(drill: Facts) -> Words:
    found = [
        words(f"{item['instance']} ", against(item.get("rto_seconds"), item.get("rto_target_seconds")))
        for item in drill.get("instances", ())
    ]
    return joined(found, "\n") if found else "-"


def _last(context: Context, item: Facts) -> Mapping[str, Any]:
    tested: Sequence[Mapping[str, Any]] = context.told.get(item["name"], {}).get("tests") or ({},)
    return tested[0]


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _size(context: Context, item: Facts) -> str:
    return format_bytes((context.told.get(item["name"], {}).get("forecast") or {}).get("size_bytes"))
