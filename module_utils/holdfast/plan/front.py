"""The chapters before the recovery: approval, introduction, concept of operations, activation and notification."""

from __future__ import annotations

from collections.abc import Sequence

from ..continuity import PHASES
from ..document import (
    Code,
    Document,
    Heading,
    Items,
    Paragraph,
    Signatures,
    Table,
    Words,
    code,
    gap,
    joined,
    strong,
    words,
)
from ..notify import DEFAULT_MESSAGE
from .context import Context, human, names, seconds, tolerable

ISO_22301: Sequence[tuple[str, str, str]] = (
    ("8.2.2", "Business impact analysis: impact, MTPD, RTO, resources, dependencies", "Appendix K; Appendix I"),
    ("8.2.3", "Risk assessment", "1.3"),
    ("8.3", "Business continuity strategies and solutions", "1.2; 4.1; Appendix C; Appendix E"),
    ("8.4.2", "Response structure: who decides, who acts", "2.3; 3.1"),
    ("8.4.3", "Warning and communication", "3.2; Appendix A"),
    (
        "8.4.4",
        "Business continuity plans: purpose, scope, roles, activation, actions, interdependencies, resources",
        "1 to 4",
    ),
    ("8.4.5", "Recovery: return from temporary to normal", "5"),
    ("8.5", "Exercise programme", "Appendix J"),
    ("8.6", "Evaluation of documentation and capabilities", "4.1; Appendix J; Appendix L"),
)

_ORIGIN = (
    " after a disaster. It follows NIST SP 800-34 Rev. 1. It is generated from the inventory and from what backups and "
    "restores measured; where nothing was measured it says so."
)
PHASE_TEXT = {
    "declare": "A disaster is declared; this plan is in force.",
    "provision": "Hosts, networks and keys at the alternate site are made ready.",
    "restore": "Backups are being restored.",
    "recover": "Servers have rolled forward and answer.",
    "validate": "Data and functions were validated; users may return.",
    "close": "The plan is deactivated; normal operation.",
}


def approval(document: Document, context: Context) -> None:
    """Plan approval, record of changes, and where the questions of ISO 22301 are answered."""
    owner = context.plan.get("owner")
    signers: list[Words] = [context.contact(owner) if owner else gap("owner of the plan")]
    signers += [
        context.contact(name) for name, raw in context.contacts.items() if raw.get("declares") and name != owner
    ]
    document.add(
        Heading(1, "Plan approval"),
        Paragraph(
            "This plan was reviewed and is complete as far as the gaps below are closed. It is reviewed every year and "
            "after every change of the systems in its scope."
        ),
        Signatures(signers),
        Heading(1, "Record of changes"),
    )
    rows = [(code(item.id), item.date[:10], item.author, item.subject) for item in context.revision.changes]
    if rows:
        document.add(Table(("Revision", "Date", "By", "Change of the inventory"), rows))
    else:
        document.add(Paragraph("The inventory is not under version control, so its changes are not recorded."))
    document.add(
        Heading(1, "How this plan answers ISO 22301"),
        Table(
            ("Clause", "Topic", "Answered in"), [(strong(clause), topic, where) for clause, topic, where in ISO_22301]
        ),
    )


def introduction(document: Document, context: Context) -> None:
    """Section 1: background, scope, assumptions."""
    plan = context.plan
    document.add(
        Heading(1, "1 Introduction", page=True),
        Heading(2, "1.1 Background"),
        Paragraph(
            words(
                "This plan restores the databases of ",
                human(plan.get("system"), "system"),
                " of ",
                human(plan.get("organisation"), "organisation"),
                _ORIGIN,
            )
        ),
        Heading(2, "1.2 Scope"),
        Paragraph(f"Impact level (FIPS 199): {plan.get('impact') or 'not classified'}. Instances in scope:"),
        Table(
            ("Instance", "Engine", "Host", "Site", "Alternate site", "Level", "RPO", "RTO", "MTD"),
            [
                (
                    code(item["name"]),
                    f"{item['title']} {context.told.get(item['name'], {}).get('version') or ''}".strip(),
                    code(f"{item['host']}:{item['port']}"),
                    item["site"] or gap("site"),
                    _alternate(context, item["site"]),
                    item["service_level"],
                    seconds(item["rpo_seconds"]),
                    seconds(item["rto_seconds"]),
                    tolerable(item),
                )
                for item in context.instances
            ],
        ),
        Heading(2, "1.3 Assumptions and risks"),
        Items(
            [
                "The primary site is lost or out of reach; nothing of it is needed.",
                "The repository at another site can be reached, and the keys come from escrow (Appendix C).",
                "The control host, or a copy of the project and its inventory, is at hand.",
                "Applications, networks and desktops have plans of their own.",
                *(human(item, "risk") for item in plan.get("risks") or ()),
            ]
        ),
    )


def concept(document: Document, context: Context) -> None:
    """Section 2: system description, phases, roles."""
    document.add(
        Heading(1, "2 Concept of operations"),
        Heading(2, "2.1 System description"),
        Paragraph(human(context.plan.get("description"), "description of the system")),
        Heading(2, "2.2 Three phases"),
        Items(
            [
                (strong("Activation and notification: "), "assess the outage, declare, call people (section 3)."),
                (strong("Recovery: "), "rebuild the instances at the alternate site, in order (section 4)."),
                (strong("Reconstitution: "), "validate, hand over, return to normal, learn (section 5)."),
            ],
            numbered=True,
        ),
        Heading(2, "2.3 Roles and responsibilities"),
    )
    people = {name: raw for name, raw in context.contacts.items() if not raw.get("vendor")}
    if not people:
        document.add(Paragraph(gap("db_contacts: roles, names, duties")))
        return
    document.add(
        Table(
            ("Role", "Name", "Responsible for", "Deputies", "May declare"),
            [
                (
                    code(name),
                    human(raw.get("name"), "name"),
                    human(raw.get("duties"), "duties"),
                    names(raw.get("deputies") or ())
                    if raw.get("deputies") or not raw.get("declares")
                    else gap("deputy"),
                    strong("yes") if raw.get("declares") else "no",
                )
                for name, raw in people.items()
            ],
        )
    )


def activation(document: Document, context: Context) -> None:
    """Section 3: criteria, notification, outage assessment."""
    declaring = [context.contact(name) for name, raw in context.contacts.items() if raw.get("declares")]
    criteria = [human(item, "criterion") for item in context.plan.get("activation") or ()]
    document.add(
        Heading(1, "3 Activation and notification", page=True),
        Heading(2, "3.1 Activation criteria and authority"),
        Paragraph("A disaster is declared when at least one of these is true:"),
        Items(criteria or [gap("activation criteria")]),
        Paragraph(words("Authority to declare: ", joined(declaring) if declaring else gap("who may declare"))),
        Heading(2, "3.2 Notification: call tree"),
    )
    tree = call_tree(context)
    if tree:
        document.add(
            Table(("Call", "Who", "Telephone", "If not reached"), tree),
            Paragraph("Whoever is reached calls those below, notes the time, and calls the deputy after ten minutes."),
        )
    else:
        document.add(Paragraph(gap("call tree: declares and calls in db_contacts")))
    rows: list[Sequence[Words]] = []
    for phase in PHASES:
        told = context.facts["communication"].get(phase) or {}
        ways: list[Words] = [*(code(name) for name in told.get("tell", ())), *told.get("mail", ())]
        if told.get("webhook"):
            ways.append("webhook" if told["webhook"] == "set" else f"webhook at {told['webhook']}")
        missing: Words = gap("who is told") if phase == "declare" else "nobody"
        message = told.get("message") or (DEFAULT_MESSAGE if ways else "-")
        rows.append((strong(phase), PHASE_TEXT[phase], joined(ways) if ways else missing, message))
    document.add(
        Paragraph("Told by the runbooks when a phase begins:"),
        Table(("Phase", "Meaning", "Told", "Message"), rows),
        Heading(2, "3.3 Outage assessment"),
        Paragraph("What still answers, and what would be lost:"),
        Code(context.commands.status()),
        Items(
            [
                "Which instances, hosts and sites are affected, and since when?",
                "Can the cause be repaired within the RTO of the most urgent instance? Then repair, and do not move.",
                "Is the repository at the other site intact, and from when is its newest log?",
                "Report the findings to whoever may declare. The clock of the RTO runs from the declaration.",
            ],
            numbered=True,
        ),
    )


def call_tree(context: Context) -> list[Sequence[Words]]:
    """Who is called by whom, from those who may declare on; nobody twice."""
    rows: list[Sequence[Words]] = []
    seen: set[str] = set()

    def call(name: str, number: str) -> None:
        raw = context.contacts.get(name)
        if raw is None or name in seen:
            return
        seen.add(name)
        deputies = joined([context.contact(other) for other in raw.get("deputies") or ()])
        rows.append((strong(number), context.contact(name), human(raw.get("phone"), "telephone"), deputies or "-"))
        for index, other in enumerate(raw.get("calls") or (), start=1):
            call(str(other), f"{number}.{index}")

    roots = [name for name, raw in context.contacts.items() if raw.get("declares")]
    called = {str(other) for raw in context.contacts.values() for other in raw.get("calls") or ()}
    for index, root in enumerate([name for name in roots if name not in called] or roots, start=1):
        call(root, str(index))
    return rows


def _alternate(context: Context, site: str) -> Words:
    raw = context.facts["sites"].get(site) or {}
    return human(raw.get("alternate"), "alternate site")
