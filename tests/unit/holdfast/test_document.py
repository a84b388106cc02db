"""One document, two forms: what a person wrote stays what it is in both."""

from __future__ import annotations

import html.parser
import re

import pytest
from ansible.module_utils.holdfast.document import (
    Code,
    Document,
    Heading,
    Items,
    Paragraph,
    Signatures,
    Table,
    bad,
    code,
    gap,
    good,
    joined,
    markdown,
    strong,
    to_html,
    words,
)


def document(*blocks):
    return Document("Title", "Subtitle", [("Owner", gap("owner"))], list(blocks))


class Balance(html.parser.HTMLParser):
    """Notes tags that are not closed in order, and everything that would be loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href") and not value.startswith("#")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


EVERYTHING = document(
    Heading(1, "One & only", page=True),
    Heading(2, "Two"),
    Paragraph(words("plain ", code("a|b"), " ", strong("s"), " ", bad("b"), good("g"))),
    Paragraph("careful", "warning"),
    Items(["one", words("two ", gap("name"))], numbered=True),
    Items(["dash"]),
    Table(("A", "B"), [("1 | 2", "x\ny"), (code("c"), "<script>alert(1)</script>")]),
    Table((), [("fact", "value")]),
    Code("make <it> ```now```"),
    Signatures(["Ann (lead)"]),
)


def test_html_is_whole_and_loads_nothing():
    parser = Balance()
    parser.feed(to_html(EVERYTHING))
    assert (parser.open, parser.loaded) == ([], [])
    assert "<script>alert(1)</script>" in parser.text
    assert "url(" not in to_html(EVERYTHING)
    assert "@import" not in to_html(EVERYTHING)


def test_markdown_tables_have_as_many_cells_in_every_row():
    for table in re.findall(r"(?:^\|.*\|$\n?)+", markdown(EVERYTHING), re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}
        assert len(counts) == 1, table


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (Heading(2, "1.1 Scope"), "### 1.1 Scope"),
        (Paragraph("1. not a list"), "\\1. not a list"),
        (Paragraph("# not a heading"), "\\# not a heading"),
        (Paragraph("*a* _b_ `c` [d](e) <f>"), "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](e) &lt;f>"),
        (Paragraph("stop", "warning"), "> **Attention:** stop"),
        (Paragraph(gap("phone")), "**\\[GAP: phone\\]**"),
        (Items(["a", "b"], numbered=True), "1. a\n2. b"),
        (Code("x ``` y"), "````\nx ``` y\n````"),
        (Table(("A",), [(code("a|b"),)]), "| A |\n| --- |\n| `a\\|b` |"),
        (Table(("A",), [("x\ny",)]), "| x<br>y |"),
    ],
)
def test_markdown(block, text):
    assert text in markdown(document(block))


def test_parts_are_joined_and_nest():
    inner = words("b ", code("c"))
    assert joined(["a", inner, "d"]) == ("a", ", ", "b ", code("c"), ", ", "d")
    assert words("a", inner) == ("a", "b ", code("c"))
    assert joined([]) == ()


def test_the_same_document_gives_the_same_text():
    assert to_html(EVERYTHING) == to_html(EVERYTHING)
    assert markdown(EVERYTHING).endswith("\n")
