"""Statements that change power: which they are, and how they are shown without the passwords in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

# One that is cut off has no end, also behind a backslash.
_LITERAL = r"'(?:[^'\\]+|\\.|'')*(?:'|\\?\Z)|\"(?:[^\"\\]+|\\.|\"\")*(?:\"|\\?\Z)"
# What hides the text in it. The inside of /*! */ and /*M! */ is code, which the server runs.
_OPAQUE = re.compile(
    r"(?P<code>/\*M?!\d*)|(?P<end>\*/)"
    r"|(?P<comment>/\*.*?(?:\*/|\Z)|#[^\n]*|--(?=[\s\x00-\x1f]|\Z)[^\n]*)"
    rf"|(?P<literal>{_LITERAL})|(?P<name>`(?:[^`]+|``)*(?:`|\Z))",
    re.DOTALL,
)
_NUMBER = re.compile(r"\b0[xb][0-9a-f]+\b", re.IGNORECASE)  # a text too, where one is wanted
_LAST = re.compile(r"([\w$]+|\S)\s*\Z")
_TABLES = (
    "global_priv|user|db|tables_priv|columns_priv|procs_priv|proxies_priv|roles_mapping|proc|func|event|plugin|servers"
)
# Where a statement begins: by itself, and within another.
_START = r"(?:\A|;|\b(?:FOR|ATOMIC|BEGIN|THEN|ELSE|DO|LOOP|REPEAT)\b)\s*(?:ANALYZE\s+(?:FORMAT\s*=\s*\w+\s+)?)?"
_GIVES = (
    r"(?:GRANT|REVOKE|SET\s+(?:PASSWORD|DEFAULT\s+ROLE)"
    r"|(?:CREATE(?:\s+OR\s+REPLACE)?|ALTER|DROP|RENAME)\s+(?:USER|ROLE))\b"
)
_POWER = re.compile(_START + _GIVES, re.IGNORECASE)
_WRITES = re.compile(rf"{_START}(?:INSERT|UPDATE|DELETE|REPLACE|TRUNCATE|LOAD|ALTER|DROP)\b", re.IGNORECASE)
_DECIDING = re.compile(rf"\bmysql`?\s*\.\s*`?(?:{_TABLES})\b", re.IGNORECASE)
_WRITES_HERE = re.compile(
    rf"{_START}(?:INSERT|UPDATE|DELETE|REPLACE|TRUNCATE|ALTER|DROP)\s+(?:\w+\s+){{0,3}}?"
    r"`?(?:global_priv|tables_priv|columns_priv|procs_priv|proxies_priv|roles_mapping|db|proc|func)`?(?=[\s(;]|$)",
    re.IGNORECASE,
)
_BUILDS = r"\b(?:EXECUTE\s+IMMEDIATE|PREPARE\s+(?:`[^`]*`|\S+)\s+FROM)\b"
_DYNAMIC = re.compile(_BUILDS, re.IGNORECASE)
_BUILD_BEGINS = re.compile(rf"{_BUILDS}\s*(?:CONCAT\s*\(\s*)?\Z", re.IGNORECASE)
# Of these alone it is known which literals are names.
_NAMED = re.compile(rf"\s*(?:SET\s+STATEMENT\s[^;]*?\sFOR\s+)?{_GIVES}", re.IGNORECASE)
# A literal after one of these is a name or a database; every other one could be a password.
_NAMES_FOLLOW = frozenset(("TO", "FROM", "USER", "ROLE", "FOR", "@", ",", "ON", ".", "EXISTS", "ADMIN"))
_LONGEST = 32  # characters of a word that are looked at: more than any of those has
_NEAR = 16  # parts of a statement before a literal, in which the words stand that build one
_HIDDEN = "'…'"


def changes_power(statement: str, database: str = "") -> bool:
    """Whether a statement gives or takes power: grants, accounts, roles, and the tables that hold them."""
    for text in _readings(statement):
        if (
            _POWER.search(text)
            or any(map(_decides, text.split(";")))
            or (database == "mysql" and _WRITES_HERE.search(text))
        ):
            return True
        if _DYNAMIC.search(text):
            built = [_content(part) for kind, part in _parts(statement) if kind == "literal"]
            if any(map(changes_power, {*built, "".join(built)})):
                return True
    return False


def _decides(statement: str) -> bool:
    verb = _WRITES.search(statement)
    return verb is not None and bool(_DECIDING.search(statement, verb.end()))


def redacted(statement: str) -> str:
    """The statement on one line, with every literal hidden that could be a password."""
    text, *others = _readings(statement)
    named = not others and bool(_NAMED.match(text)) and ";" not in text.rstrip("; \t\r\n")
    shown: list[str] = []
    before = ""
    for kind, part in _parts(statement):
        if kind == "lost":
            shown.append(" " + _HIDDEN)
            break
        if kind == "literal":
            shown.append(part if named and before in _NAMES_FOLLOW else _built(part, "".join(shown[-_NEAR:])))
        else:
            shown.append(_NUMBER.sub(_HIDDEN, part) if kind == "text" else part)
        last = _LAST.search(shown[-1].rstrip()[-_LONGEST:])
        before = last[1].upper() if last else before
    return " ".join("".join(shown).split())


def _built(literal: str, before: str) -> str:
    """The beginning of a statement that is built, when that is one about power; else nothing of a literal."""
    content = _content(literal)
    if _BUILD_BEGINS.search(before) and _NAMED.match(_bare(content)):
        return "'" + redacted(content) + "'"
    return _HIDDEN


def _readings(statement: str) -> list[str]:
    """What servers may read: one that is not of the version that a comment with code is for passes over it."""
    has_code = any(mark in statement for mark in ("/*!", "/*M!"))
    return [_bare(statement), _bare(statement, runs_comments=False)] if has_code else [_bare(statement)]


def _bare(statement: str, *, runs_comments: bool = True) -> str:
    """The statement with a blank for each comment, and with nothing in its literals and names that looks like code."""
    shown = []
    for kind, part in _parts(statement, runs_comments=runs_comments):
        if kind == "name":
            shown.append(re.sub(r"[;\s]", "_", part))
        else:
            shown.append({"literal": "''", "lost": "'' "}.get(kind, part))
    return "".join(shown)


def _parts(statement: str, *, runs_comments: bool = True) -> Iterator[tuple[str, str]]:
    """Text, blanks for comments, literals and names; and what is lost, when a comment may end within a literal."""
    position, inside = 0, False
    while True:
        found = _OPAQUE.search(statement, position)
        if found is None:
            yield "text", statement[position:]
            return
        yield "text", statement[position : found.start()]
        kind, part = str(found.lastgroup), found[0]
        position = found.end()
        if kind == "end" and not inside:
            # As in *.*/* why */: it may be the beginning of one.
            position = found.start() + 1
            yield "text", "*"
        elif inside and "*/" in part and kind != "end" and not part.startswith("/*"):
            # Whether the comment ends there, only the server knows, by its version.
            position, inside = found.start() + part.index("*/") + 2, False
            yield "lost", part
        elif kind == "code" and not runs_comments:
            end = statement.find("*/", position)
            position = len(statement) if end < 0 else end + 2
            yield "blank", " "
        elif kind in ("code", "end"):
            inside = kind == "code"
            yield "blank", " "
        else:
            yield ("blank", " ") if kind == "comment" else (kind, part)


def _content(literal: str) -> str:
    quote = literal[0]
    inner = literal[1:-1] if len(literal) > 1 and literal.endswith(quote) else literal[1:]
    return re.sub(r"\\(.)", r"\1", inner.replace(quote * 2, quote), flags=re.DOTALL)
