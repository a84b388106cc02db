"""The chapters of the recovery and of the way back to normal."""

from __future__ import annotations

from collections.abc import Sequence

from ..document import Code, Document, Heading, Items, Paragraph, Table, Words, code, gap, joined, strong, words
from .context import Context, forecast, moment, names, seconds, tolerable
from .facts import Facts


def recovery(document: Document, context: Context) -> None:
    """Section 4: sequence, procedures, escalation."""
    document.add(
        Heading(1, "4 Recovery", page=True),
        Heading(2, "4.1 Sequence of recovery"),
        Paragraph(
            "Instances of a wave are recovered in parallel; a wave begins when the one before it is done. What others "
            "depend on comes first, and inside a wave the instance that can wait least."
        ),
        Table(
            (
                "Wave",
                "Instance",
                "After",
                "Rebuilt on",
                "RTO",
                "MTD",
                "Restore expected to take",
                "Last verified backup",
            ),
            _sequence(context),
        ),
    )
    late = [item["name"] for item in context.instances if _is_late(context, item)]
    if late:
        document.add(
            Paragraph(
                words(strong("Objectives at risk: "), names(late), ": the forecast exceeds the RTO, see Appendix L."),
                "warning",
            )
        )
    _procedures(document, context)
    _escalation(document, context)


def reconstitution(document: Document, context: Context) -> None:
    """Section 5: validation, return, deactivation."""
    commands, everything = context.commands, [item["name"] for item in context.instances]
    closing = [context.contact(name) for name, raw in context.contacts.items() if raw.get("declares")]
    users = context.facts["communication"].get("validate") or {}
    told = (
        joined([context.contact(name) for name in users.get("tell", ())]) if users.get("tell") else gap("who is told")
    )
    document.add(
        Heading(1, "5 Reconstitution", page=True),
        Heading(2, "5.1 Concurrent processing"),
        Paragraph(
            "The recovered instances take all writes. If the primary site comes back, its servers stay fenced: two "
            "servers that both take writes cannot be put together again."
        ),
        Heading(2, "5.2 Validation data testing"),
        Paragraph(
            "Data are complete and current up to the last backup and the log after it. The runbook looks for the "
            "marker row, counts tables and rows, and runs the engine's own checker. The record of each "
            "restore says what was reached; compare it with the moment of the disaster."
        ),
        Code(commands.status(*everything)),
        Heading(2, "5.3 Validation functionality testing"),
        Paragraph("Each owner confirms that the application works on the recovered data (tests: Appendix F)."),
        Table(
            ("Instance", "Confirmed by", "Time", "Signature"),
            [(code(item["name"]), item["business"].get("owner") or gap("owner"), "", "") for item in context.instances],
        ),
        Heading(2, "5.4 Recovery declaration"),
        Paragraph(words("Declared by: ", joined(closing) if closing else gap("who may declare"), ".")),
        Heading(2, "5.5 Notification of users"),
        Paragraph(words("Told in the phase validate: ", told, ". Users return only after this.")),
        Heading(2, "5.6 Clean-up"),
        Items(
            [
                "Remove keys and passphrases from places where they are no longer needed; close opened firewalls.",
                "Give paper forms of the manual work-around (Appendix E) to those who enter them.",
                "Drop data directories that were set aside only after the owner has agreed in writing.",
            ]
        ),
        Heading(2, "5.7 Off-site storage"),
        Paragraph(
            words("Archive copies must reach a repository that is not at the alternate site: ", _archives(context), ".")
        ),
        *_without_archive(context),
        Heading(2, "5.8 Data backup"),
        Paragraph("A new full backup of every instance, proven by a restore test:"),
        Code(f"{commands.backup(*everything)}\n{commands.restore_test(*everything)}"),
        Heading(2, "5.9 Event documentation"),
        Items(
            [
                "Keep the records of all restores, the log of calls, and every decision with its time and name.",
                "Write the after-action report within two weeks: what held, what not, defects with owner and due date.",
                "Bring the inventory up to date and make this plan anew:",
            ]
        ),
        Code(f"{commands.validate()}\n{commands.plan()}"),
        Heading(2, "5.10 Deactivation and return"),
        Paragraph("Return each instance to its home site in a maintenance window, then close the phase:"),
        Code("\n".join(commands.failback(name) for name in everything)),
    )


def _sequence(context: Context) -> list[Sequence[Words]]:
    rows: list[Sequence[Words]] = []
    taken = context.facts["takes_over"]
    by_name = {item["name"]: item for item in context.facts["instances"]}
    for number, wave in enumerate(context.facts["order"], start=1):
        for name in wave:
            item, told = by_name[name], context.told.get(name, {})
            rows.append(
                (
                    strong(number),
                    code(name),
                    names(item["depends_on"]),
                    code(taken[name]) if name in taken else gap("no host takes it over"),
                    seconds(item["rto_seconds"]),
                    tolerable(item),
                    _forecast(item, told),
                    verified(told),
                )
            )
    return rows


def _forecast(item: Facts, told: Facts) -> Words:
    known = (told.get("forecast") or {}).get("forecast_seconds") is not None
    return forecast(item, told) if known else gap("restore time not measured")


def verified(told: Facts) -> Words:
    """The newest backup of each repository that was found intact."""
    found = [
        words(code(item["id"]), f" in {item['repository']}, verified {moment(item['verified'])}")
        for item in told.get("verified", ())
    ]
    return joined(found, "\n") if found else gap("no verified backup known")


def _procedures(document: Document, context: Context) -> None:
    commands = context.commands
    everything = [name for wave in context.facts["order"] for name in wave]
    document.add(
        Heading(2, "4.2 Recovery procedures"),
        Paragraph("In the project's directory on the control host, with its environment activated."),
        Items(
            [
                "Take the keys of the repositories from escrow (Appendix C) into the vault of the inventory.",
                "Make hosts ready at the alternate site and put their addresses into the inventory (Appendix C).",
                "Check the inventory:",
            ],
            numbered=True,
        ),
        Code(commands.validate()),
        Paragraph(
            "Then rebuild everything: complete system, data, validation, in the order above. It names what it takes "
            "over and wants the same names as confirmation."
        ),
        Code(commands.disaster_recovery(*(context.facts["takes_over"] or everything))),
        Paragraph("The same, rehearsed on scratch hosts without touching production:"),
        Code(commands.drill()),
        Paragraph("One instance alone, and other ways back: Appendix D."),
    )


def _escalation(document: Document, context: Context) -> None:
    declaring = [context.contact(name) for name, raw in context.contacts.items() if raw.get("declares")]
    rows: list[Sequence[Words]] = []
    for item in context.instances:
        expected = (context.told.get(item["name"], {}).get("forecast") or {}).get("forecast_seconds")
        rows.append(
            (
                code(item["name"]),
                seconds(expected) if expected is not None else "not measured",
                seconds(item["rto_seconds"]),
                tolerable(item),
            )
        )
    document.add(
        Heading(2, "4.3 Escalation and awareness"),
        Paragraph(
            words(
                "Report the state every 30 minutes. An instance that is not back after the first time goes to the "
                "recovery lead; after the RTO to those who may declare (",
                joined(declaring) if declaring else gap("who may declare"),
                "); work-arounds (Appendix E) must be in force before the MTD.",
            )
        ),
        Table(("Instance", "Expected after", "Escalate at (RTO)", "Not later than (MTD)"), rows),
    )


def _archives(context: Context) -> Words:
    found = {item["repositories"][-1] for item in context.instances if len(item["repositories"]) > 1}
    return names(sorted(found)) if found else gap("no instance has archive copies")


def _without_archive(context: Context) -> list[Paragraph]:
    alone = [item["name"] for item in context.instances if len(item["repositories"]) == 1]
    return (
        [Paragraph(words("Without an archive copy, as they have a single repository: ", names(alone), "."))]
        if alone
        else []
    )


def _is_late(context: Context, item: Facts) -> bool:
    expected = (context.told.get(item["name"], {}).get("forecast") or {}).get("forecast_seconds")
    return expected is not None and item["rto_seconds"] is not None and bool(expected > item["rto_seconds"])
