"""A picture of a terminal: the lines of a run as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from screen import Line

CHARACTER = 8.43  # width of one in DejaVu Sans Mono at 14 px
HEIGHT = 20
PADDING = 18
BAR = 36
FONTS = "ui-monospace, 'SF Mono', Menlo, 'DejaVu Sans Mono', Consolas, monospace"
COLOURS = {
    "": "#c9d1d9",
    "strong": "#f0f6fc",
    "faint": "#8b949e",
    "good": "#56d364",
    "bad": "#ff7b72",
    "warn": "#e3b341",
    "head": "#79c0ff",
}


def svg(lines: Sequence[Line], title: str) -> str:
    """Return a picture of these lines. Every run of characters is as wide as on a terminal, whatever the font."""
    columns = max((sum(len(text) for text, _ in line) for line in lines), default=0)
    width = round(columns * CHARACTER) + 2 * PADDING
    height = BAR + len(lines) * HEIGHT + PADDING
    rules = "".join(f".{name or 'plain'}{{fill:{colour}}}" for name, colour in COLOURS.items())
    dots = "".join(
        f'<circle cx="{PADDING + 4 + 20 * number}" cy="{BAR // 2}" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    body = "\n".join(_text(line, BAR + HEIGHT * number + 14) for number, line in enumerate(lines) if line)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{escape(title)}">\n'
        f"<style>text{{font:14px {FONTS};white-space:pre}}.strong{{font-weight:bold}}{rules}</style>\n"
        f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>\n'
        f'{dots}<text class="faint" x="{width / 2:.0f}" y="{BAR // 2 + 5}" text-anchor="middle">{escape(title)}</text>'
        f"\n{body}\n</svg>\n"
    )


def _text(line: Line, y: int) -> str:
    parts, column = [], 0
    for text, style in line:
        blank = len(text) - len(text.lstrip())
        shown = text.strip()
        if shown:
            x, length = PADDING + (column + blank) * CHARACTER, len(shown) * CHARACTER
            parts.append(
                f'<text class="{style or "plain"}" x="{x:.1f}" y="{y}" textLength="{length:.1f}">{escape(shown)}</text>'
            )
        column += len(text)
    return "".join(parts)
