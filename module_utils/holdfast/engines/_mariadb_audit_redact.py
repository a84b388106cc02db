"""Statements that change power: which they are, and how they are shown without the passwords in them."""

from __future__ import annotations

import re

_LITERAL = r"'(?:[^'\\]|\\.|'')*(?:'|$)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|$)"
_TOKEN = re.compile(
    rf"(?P<literal>{_LITERAL})|(?P<name>`(?:[^`]|``)*`)|(?P<word>[\w$]+)|(?P<space>\s+)|(?P<other>.)", re.DOTALL
)
_COMMENT = re.compile(r"^\s*(?:/\*(?:M?!)?\d*(?P<inner>(?:(?!\*/).)*)\*/|(?:--\s|#)[^\n]*(?:\n|$))", re.DOTALL)
_TABLES = (
    "global_priv|user|db|tables_priv|columns_priv|procs_priv|proxies_priv|roles_mapping|proc|func|event|plugin|servers"
)
_POWER = re.compile(
    r"\s*(?:GRANT|REVOKE|SET\s+(?:PASSWORD|DEFAULT\s+ROLE)"
    r"|(?:CREATE(?:\s+OR\s+REPLACE)?|ALTER|DROP|RENAME)\s+(?:USER|ROLE))\b",
    re.IGNORECASE,
)
_WRITES = re.compile(
    r"\s*(?:INSERT|UPDATE|DELETE|REPLACE|TRUNCATE|LOAD|ALTER|DROP)\b.*?"
    rf"(?:\bmysql`?\s*\.\s*`?(?:{_TABLES})\b)",
    re.IGNORECASE | re.DOTALL,
)
_WRITES_HERE = re.compile(
    r"\s*(?:INSERT|UPDATE|DELETE|REPLACE|TRUNCATE|ALTER|DROP)\s+(?:\w+\s+){0,3}?"
    r"`?(?:global_priv|tables_priv|columns_priv|procs_priv|proxies_priv|roles_mapping|db|proc|func)`?(?=[\s(;]|$)",
    re.IGNORECASE,
)
_DYNAMIC = re.compile(r"\s*(?:EXECUTE\s+IMMEDIATE|PREPARE\s+\S+\s+FROM)\b", re.IGNORECASE)
# A literal after one of these is a name or a database; every other one could be a password.
_NAMES_FOLLOW = frozenset(("TO", "FROM", "USER", "ROLE", "FOR", "@", ",", "ON", ".", "EXISTS", "ADMIN"))
_HIDDEN = "'…'"


def changes_power(statement: str, database: str = "") -> bool:
    """Whether a statement gives or takes power: grants, accounts, roles, and the tables that hold them."""
    text = _uncommented(statement)
    if _POWER.match(text) or _WRITES.match(text):
        return True
    if database == "mysql" and _WRITES_HERE.match(text):
        return True
    return bool(_DYNAMIC.match(text)) and any(changes_power(_content(item)) for item in re.findall(_LITERAL, text))


def redacted(statement: str) -> str:
    """The statement on one line, with every literal hidden that could be a password."""
    text = _uncommented(statement)
    dynamic = bool(_DYNAMIC.match(text))
    shown: list[str] = []
    before = ""
    named = bool(_POWER.match(text))
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match[0]
        if kind == "space":
            shown.append(" ")
            continue
        if kind == "literal":
            token = _shown(token, named and before in _NAMES_FOLLOW, dynamic)
        shown.append(token)
        before = token.upper()
    return "".join(shown).strip()


def _shown(literal: str, is_name: bool, dynamic: bool) -> str:
    if is_name:
        return literal
    if dynamic:
        return "'" + redacted(_content(literal)) + "'"
    return _HIDDEN


def _content(literal: str) -> str:
    quote = literal[0]
    inner = literal[1:-1] if len(literal) > 1 and literal.endswith(quote) else literal[1:]
    return re.sub(r"\\(.)", r"\1", inner.replace(quote * 2, quote), flags=re.DOTALL)


def _uncommented(statement: str) -> str:
    """Without comments at the beginning; what stands in one that the server runs stays."""
    text = statement
    while True:
        match = _COMMENT.match(text)
        if not match:
            return text
        inner = match["inner"] if "/*!" in match[0] or "/*M!" in match[0] else ""
        text = (inner or "") + text[match.end() :]
