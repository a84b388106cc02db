"""The plan put together: cover, what is missing, chapters, appendices."""

from __future__ import annotations

from collections.abc import Iterator

from ..document import (
    Block,
    Document,
    Heading,
    Items,
    Paragraph,
    Signatures,
    Span,
    Table,
    Words,
    bad,
    code,
    gap,
    good,
    spans,
    strong,
    words,
)
from ..units import parse_instant
from . import appendices, front, response
from .context import Context, human, moment, names

_SHOWN = 20


def build(context: Context) -> Document:
    """The document. The same context gives the same document."""
    plan = context.plan
    document = Document(
        "Disaster recovery plan",
        " · ".join(str(plan.get(key)) for key in ("organisation", "system") if plan.get(key)) or "Databases",
        [],
    )
    for chapter in (front.approval, front.introduction, front.concept, front.activation):
        chapter(document, context)
    for chapter in (response.recovery, response.reconstitution, appendices.all_of_them):
        chapter(document, context)
    missing = gaps(document)
    document.cover = _cover(context, missing)
    document.blocks[:0] = _warnings(context, missing)
    return document


def gaps(document: Document) -> list[str]:
    """Everything that is missing, as ``section: subject: what``, in the order of the document; each once."""
    found: dict[str, None] = {}
    section = ""
    for block in document.blocks:
        if isinstance(block, Heading):
            section = block.text.partition(":")[0]
        for subject, text in _texts(block):
            for part in spans(text):
                if isinstance(part, Span) and part.kind == "gap":
                    words_of = [section, subject, part.text.partition(": ")[2]]
                    found[": ".join(word for word in words_of if word)] = None
    return list(found)


def _cover(context: Context, missing: list[str]) -> list[tuple[str, Words]]:
    due = context.review_due
    reviewed = context.plan.get("reviewed")
    return [
        ("Date", moment(context.newest())),
        ("Revision of the inventory", words(code(context.revision.describe()))),
        ("Owner", context.contact(context.plan["owner"]) if context.plan.get("owner") else gap("owner of the plan")),
        ("Last review", human(reviewed, "date of the last review")),
        ("Next review by", _due(context) if due else gap("date of the last review")),
        ("Instances", f"{len(context.instances)} on {len({item['host'] for item in context.instances})} hosts"),
        ("Gaps", bad(f"{len(missing)}, marked [GAP]") if missing else good("none")),
    ]


def _due(context: Context) -> Words:
    due, newest = context.review_due, parse_instant(context.newest())
    assert due is not None
    late = newest is not None and newest.date() > due
    return bad(f"{due}, overdue") if late else str(due)


def _warnings(context: Context, missing: list[str]) -> list[Paragraph]:
    found: list[Paragraph] = []
    if missing:
        listed = "; ".join(missing[:_SHOWN]) + (f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        found.append(Paragraph(words(strong("This plan has gaps. "), listed, "."), "warning"))
    silent = [item["name"] for item in context.instances if item["name"] not in context.told]
    if silent:
        text = "no host has told of these instances, so nothing that was measured is in the plan: "
        found.append(Paragraph(words(strong("Not measured: "), text, names(silent), "."), "warning"))
    for name, when in sorted(context.earlier.items()):
        text = f" did not answer; what is said of it was told on {moment(when)}."
        found.append(Paragraph(words(strong("Out of reach: "), code(name), text), "warning"))
    return found


def _texts(block: Block) -> Iterator[tuple[str, Words]]:
    """Every text of a block, with what the row of a table is about."""
    if isinstance(block, Paragraph):
        yield "", block.text
    elif isinstance(block, Items):
        yield from (("", item) for item in block.items)
    elif isinstance(block, Signatures):
        yield from (("", name) for name in block.names)
    elif isinstance(block, Table):
        for row in block.rows:
            parts = [part for cell in row for part in spans(cell)]
            subject = next((part.text for part in parts if isinstance(part, Span) and part.kind == "code"), "")
            yield from ((subject, cell) for cell in row)
