"""What pg_amcheck prints, as sentences."""

from __future__ import annotations


def problems(output: str) -> tuple[str, ...]:
    """One sentence a finding: pg_amcheck names the relation on one line and says what is wrong on indented ones."""
    found: list[str] = []
    subject = ""
    for line in output.splitlines():
        text = line.strip()
        if not text:
            continue
        if line[0].isspace():
            if text.startswith(("query was:", "CONTEXT:")):
                continue
            found.append(f"{subject}: {text[len('ERROR:') :].strip() if text.startswith('ERROR:') else text}")
        else:
            subject = text.rstrip(":")
    return tuple(found)
