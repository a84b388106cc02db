"""A document as blocks of text, and its two forms: Markdown, and one HTML file that needs nothing else.

Text is plain: what looks like markup in it is shown as it is. A ``Span`` says what is meant otherwise.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Union


@dataclass(frozen=True)
class Span:
    """Words with a meaning: ``code``, ``strong``, ``gap`` (a field that a person must fill in), ``bad`` or ``good``."""

    kind: str
    text: str


Words = Union[str, Span, tuple[Union[str, Span], ...]]


@dataclass(frozen=True)
class Heading:
    """``level`` is 1 to 3. One with ``page`` begins a new page on paper."""

    level: int
    text: str
    page: bool = False


@dataclass(frozen=True)
class Paragraph:
    """One paragraph; ``kind`` is empty, or ``warning`` for one that must not be overlooked."""

    text: Words
    kind: str = ""


@dataclass(frozen=True)
class Items:
    """A list, numbered or not, of texts."""

    items: Sequence[Words]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """A table. ``headers`` may be empty: then the first column holds what each row is about."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Words]]


@dataclass(frozen=True)
class Code:
    """Lines to type or to copy."""

    text: str


@dataclass(frozen=True)
class Signatures:
    """Lines to sign, one for each role or name."""

    names: Sequence[Words]


Block = Union[Heading, Paragraph, Items, Table, Code, Signatures]


@dataclass
class Document:
    """A title with what a cover says, and blocks in order."""

    title: str
    subtitle: str
    cover: Sequence[tuple[str, Words]]
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Append blocks."""
        self.blocks.extend(blocks)


def code(text: object) -> Span:
    """A name as machines know it."""
    return Span("code", str(text))


def strong(text: object) -> Span:
    """Words that carry weight."""
    return Span("strong", str(text))


def gap(what: str) -> Span:
    """A place that a person must fill in."""
    return Span("gap", f"GAP: {what}")


def bad(text: object) -> Span:
    """An outcome that is not as it should be."""
    return Span("bad", str(text))


def good(text: object) -> Span:
    """An outcome as it should be."""
    return Span("good", str(text))


def joined(words: Sequence[Words], separator: str = ", ") -> Words:
    """Several texts as one."""
    found: list[str | Span] = []
    for item in words:
        if found and separator:
            found.append(separator)
        found.extend(spans(item))
    return tuple(found)


def words(*parts: Words) -> Words:
    """Parts in a row, as one text."""
    return joined(parts, "")


def spans(text: Words) -> tuple[str | Span, ...]:
    """The parts of a text."""
    return text if isinstance(text, tuple) else (text,)


# Markdown

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_LINE_START = re.compile(r"^(\s*)([#>+-]|\d+[.)])(?=\s|$)")


def markdown(document: Document) -> str:
    """The document as Markdown with tables, ending in a newline."""
    parts = [f"# {_escape(document.title)}", _escape(document.subtitle)]
    parts.append(_markdown_table(Table((), [(strong(name), value) for name, value in document.cover])))
    parts.extend(_markdown_block(block) for block in document.blocks)
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * (block.level + 1)} {_escape(block.text)}"
    if isinstance(block, Paragraph):
        text = _LINE_START.sub(r"\1\\\2", _markdown_words(block.text))
        return f"> **Attention:** {text}" if block.kind == "warning" else text
    if isinstance(block, Items):
        marks = [f"{number}." if block.numbered else "-" for number in range(1, len(block.items) + 1)]
        return "\n".join(f"{mark} {_markdown_words(item)}" for mark, item in zip(marks, block.items))
    if isinstance(block, Code):
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", block.text)), 3)
        return f"{fence}\n{block.text}\n{fence}"
    if isinstance(block, Signatures):
        rows = [(name, "", "") for name in block.names]
        return _markdown_table(Table(("Name and role", "Signature", "Date"), rows))
    return _markdown_table(block)


def _markdown_table(table: Table) -> str:
    width = len(table.headers) or max((len(row) for row in table.rows), default=0)
    if not width:
        return ""
    headers = [_escape(item) for item in table.headers] or [" "] * width
    lines = [headers, ["---"] * width, *[[_markdown_words(cell) for cell in row] for row in table.rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_words(text: Words) -> str:
    return "".join(_markdown_span(part) for part in spans(text))


def _markdown_span(part: str | Span) -> str:
    if isinstance(part, str):
        return _escape(part)
    if part.kind == "code":
        text = " ".join(part.text.split()).replace("|", "\\|")
        fence = "``" if "`" in text else "`"
        return f"{fence}{text}{fence}" if text else ""
    if part.kind == "gap":
        return f"**\\[{_escape(part.text)}\\]**"
    return _escape(part.text) if part.kind == "good" else f"**{_escape(part.text)}**"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text.strip("\n")).replace("<", "&lt;").replace("\n", "<br>")


# HTML

_SHORT_TABLE = 12  # rows: such a table is not torn apart by a page
_SHORT_CELL = 17  # characters

_STYLE = """\
:root { --ink: #1b1f24; --soft: #57606a; --line: #c9d1d9; --fill: #f3f5f7; --accent: #0b4a6f; --bad: #a40e26;
  --good: #11632b; --gap: #fff3bf; }
* { box-sizing: border-box; }
html { font-size: 15px; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 2rem 4rem; color: var(--ink); background: #fff;
  font-family: "Liberation Sans", Arial, Helvetica, sans-serif; line-height: 1.5; }
header { border-bottom: 3px solid var(--accent); margin-bottom: 1.6rem; padding-bottom: 1.2rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; color: var(--accent); }
.subtitle { font-size: 1.1rem; color: var(--soft); margin: 0 0 1.2rem; }
h2 { font-size: 1.4rem; margin: 2.4rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line);
  color: var(--accent); }
h3 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 .3rem; color: var(--soft); }
p { margin: .5rem 0; max-width: 48rem; }
ul, ol { margin: .4rem 0 .8rem; padding-left: 1.5rem; max-width: 48rem; }
li { margin: .15rem 0; }
table { border-collapse: collapse; margin: .6rem 0 1rem; width: 100%; font-size: .9rem; }
th, td { border: 1px solid var(--line); padding: .35rem .5rem; text-align: left; vertical-align: top;
  overflow-wrap: break-word; }
td.fixed { white-space: nowrap; }
th { background: var(--fill); font-weight: 600; }
table.facts { width: auto; min-width: 24rem; }
table.facts td:first-child { background: var(--fill); font-weight: 600; width: 13rem; }
pre { background: var(--fill); border: 1px solid var(--line); border-left: 4px solid var(--accent);
  padding: .6rem .8rem; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 .9rem; }
code { font-family: "Liberation Mono", Consolas, monospace; font-size: .92em; }
:not(pre) > code { background: var(--fill); padding: 0 .2em; }
.warning { border: 2px solid var(--bad); background: #fff5f5; padding: .5rem .8rem; max-width: none; }
.gap { background: var(--gap); border: 1px dashed #7a5c00; color: #5c4500; font-weight: 600; padding: 0 .25em; }
.bad { color: var(--bad); font-weight: 600; }
.good { color: var(--good); }
nav ol { columns: 2; list-style: none; padding: 0; max-width: none; font-size: .95rem; }
nav li { break-inside: avoid; }
nav a { color: inherit; text-decoration: none; border-bottom: 1px dotted var(--line); }
table.sign td { height: 2.6rem; }
table.sign td:nth-child(1) { width: 45%; } table.sign td:nth-child(2) { width: 35%; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .5rem; font-size: .85rem;
  color: var(--soft); }
@media screen and (max-width: 42rem) {
  body { padding: 1.2rem 1rem 3rem; } table { display: block; overflow-x: auto; } table.facts { min-width: 0; }
  table.facts td:first-child { width: 9rem; } table.facts code { overflow-wrap: anywhere; } nav ol { columns: 1; }
}
@page { size: A4; margin: 18mm 16mm 20mm; @bottom-right { content: counter(page) " / " counter(pages);
  font-size: 8pt; } }
@media print {
  html { font-size: 9.5pt; } body, p, ul, ol { max-width: none; } body { padding: 0; }
  h2, h3, h4, p:has(+ table), p:has(+ pre) { break-after: avoid; } h2.page { break-before: page; margin-top: 0; }
  tr, pre, .warning, li, table.short { break-inside: avoid; } thead { display: table-header-group; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def to_html(document: Document) -> str:
    """The document as one HTML file, for screen and paper, that loads nothing."""
    title = html.escape(document.title)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f"<style>\n{_STYLE}</style></head>",
        "<body>",
        f'<header><h1>{title}</h1><p class="subtitle">{html.escape(document.subtitle)}</p>',
        _html_table(Table((), list(document.cover))),
        "</header>",
        _contents(document.blocks),
        "<main>",
        *_html_blocks(document.blocks),
        "</main>",
        f"<footer>{title} · {html.escape(document.subtitle)}</footer>",
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _contents(blocks: Sequence[Block]) -> str:
    chapters = [
        (number, block.text) for number, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 1
    ]
    if len(chapters) < 8:
        return ""
    links = "\n".join(f'<li><a href="#s{number}">{html.escape(text)}</a></li>' for number, text in chapters)
    return f'<nav aria-label="Contents"><ol>\n{links}\n</ol></nav>'


def _html_blocks(blocks: Sequence[Block]) -> list[str]:
    return [_html_block(number, block) for number, block in enumerate(blocks)]


def _html_block(number: int, block: Block) -> str:
    if isinstance(block, Heading):
        page = ' class="page"' if block.page else ""
        return f'<h{block.level + 1} id="s{number}"{page}>{html.escape(block.text)}</h{block.level + 1}>'
    if isinstance(block, Paragraph):
        kind = f' class="{block.kind}"' if block.kind else ""
        return f"<p{kind}>{_html_words(block.text)}</p>"
    if isinstance(block, Items):
        tag = "ol" if block.numbered else "ul"
        return f"<{tag}>" + "".join(f"<li>{_html_words(item)}</li>" for item in block.items) + f"</{tag}>"
    if isinstance(block, Code):
        return f"<pre><code>{html.escape(block.text)}</code></pre>"
    if isinstance(block, Signatures):
        rows = [(name, "", "") for name in block.names]
        return _html_table(Table(("Name and role", "Signature", "Date"), rows), "sign")
    return _html_table(block)


def _html_table(table: Table, kind: str = "") -> str:
    if not table.rows and not table.headers:
        return ""
    kind = kind or ("" if table.headers else "facts")
    head = "".join(f'<th scope="col">{html.escape(item)}</th>' for item in table.headers)
    rows = ["<tr>" + "".join(map(_html_cell, row)) + "</tr>" for row in table.rows]
    kinds = " ".join(filter(None, (kind, "short" if len(rows) <= _SHORT_TABLE else "")))
    start = f'<table class="{kinds}">' if kinds else "<table>"
    return "\n".join([start, f"<thead><tr>{head}</tr></thead>" if head else "", "<tbody>", *rows, "</tbody></table>"])


def _html_cell(cell: Words) -> str:
    # A date, a duration or a telephone number is not broken into lines.
    fixed = isinstance(cell, str) and len(cell) <= _SHORT_CELL and any(letter.isdigit() for letter in cell)
    start = '<td class="fixed">' if fixed else "<td>"
    return f"{start}{_html_words(cell)}</td>"


def _html_words(text: Words) -> str:
    return "".join(_html_span(part) for part in spans(text))


def _html_span(part: str | Span) -> str:
    text = html.escape(part if isinstance(part, str) else part.text).replace("\n", "<br>")
    if isinstance(part, str):
        return text
    if part.kind == "code":
        return f"<code>{text}</code>"
    if part.kind == "strong":
        return f"<strong>{text}</strong>"
    return (
        f'<span class="{part.kind}">[{text}]</span>'
        if part.kind == "gap"
        else f'<span class="{part.kind}">{text}</span>'
    )
