"""What SHOW CREATE USER and SHOW GRANTS print, taken apart, and put together again without the secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..errors import CommandFailed, InvalidInput
from . import _mariadb_audit_catalog as catalog
from ._mariadb_audit_catalog import ALL, GRANT_OPTION, PRIVILEGES, Principal
from ._mariadb_connection import quoted

_NAME = r"(?:`(?:[^`]|``)+`|[^.`()\s]+)"
_LITERAL = r"'(?:[^'\\]|\\.|'')*'"
_METHOD = rf"(?:`[^`]+`|\w+)(?: (?:USING|AS) {_LITERAL})?"
_IDENTIFIED = re.compile(rf" IDENTIFIED (?:BY PASSWORD {_LITERAL}|VIA {_METHOD}(?: OR {_METHOD})*)")
_GRANT = re.compile(
    r"GRANT (?P<held>.+?) ON (?P<object>(?:(?:PROCEDURE|FUNCTION|PACKAGE BODY|PACKAGE) )?"
    rf"(?:\*\.\*|{_NAME}\.(?:\*|{_NAME})))"
    r" TO (?P<rest>.+)",
    re.DOTALL,
)
_HELD = re.compile(r"\s*(?P<words>[A-Z_][A-Z_ ]*?)\s*(?:\((?P<columns>[^)]*)\))?\s*(?:,|$)")
_OBJECT = re.compile(rf"\s*(?P<first>\*|{_NAME})\s*\.\s*(?P<second>\*|{_NAME})\s*(?:\((?P<columns>.+)\))?\s*")
_LEVELS = {  # by kind: whether the second part of the object's name is a star
    "server": True, "database": True, "table": False, "column": False, "procedure": False, "function": False,
    "package": False, "package body": False,
}  # fmt: skip
_ROUTINES = ("procedure", "function", "package", "package body")
_NOTHING = "USAGE"


class Target(NamedTuple):
    """An object of a grant, as statements name it."""

    sql: str
    columns: str = ""  # quoted, with commas

    def of(self, privileges: Iterable[str]) -> str:
        """Privileges on it, as they stand before ON."""
        columns = f" ({self.columns})" if self.columns else ""
        return ", ".join(f"{name}{columns}" for name in privileges)


class Line(NamedTuple):
    """A grant that the server printed."""

    statement: str  # without a password
    object: str
    held: Mapping[str, str]  # the columns of each privilege, empty for all
    grantable: bool

    def has(self, privilege: str, columns: str) -> bool:
        """Whether it holds a privilege of that extent."""
        return ALL in self.held or self.held.get(privilege) == columns or _within(columns, self.held.get(privilege))


def target(kind: str, text: str) -> Target:
    """An object as a person types it. Raises InvalidInput when it is none, or none of that kind."""
    match = _OBJECT.fullmatch(text)
    if kind not in _LEVELS:
        raise InvalidInput(f"{kind!r} is no kind of object", remedy=f"Write one of {', '.join(_LEVELS)}")
    form = {"server": "*.*", "database": "orders.*", "column": "orders.bills(total)"}.get(kind, f"orders.{kind}_name")
    wrong = InvalidInput(f"{text!r} is no {kind}", remedy=f"Write it as {form}")
    if match is None or (match["second"] == "*") != _LEVELS[kind] or (match["first"] == "*") != (kind == "server"):
        raise wrong
    if bool(match["columns"]) != (kind == "column"):
        raise wrong
    columns = ", ".join(quoted(_bare(name)) for name in re.findall(_NAME, (match["columns"] or "").replace(",", " ")))
    first = match["first"] if kind == "server" else quoted(_bare(match["first"]))
    second = match["second"] if _LEVELS[kind] else quoted(_bare(match["second"]))
    word = f"{kind.upper()} " if kind in _ROUTINES else ""
    return Target(f"{word}{first}.{second}", columns)


def privileges(given: object) -> tuple[str, ...]:
    """Names of privileges, in one text or in a list. Raises InvalidInput for one that MariaDB does not have."""
    words = given.split(",") if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
    names = tuple(dict.fromkeys(" ".join(str(word).upper().split()) for word in words))
    wrong = [name for name in names if name not in (*PRIVILEGES, ALL)]
    if wrong or not names:
        raise InvalidInput(
            f"no privilege of MariaDB: {', '.join(wrong) or given!r}",
            remedy=f"Write {ALL}, or one or more of {', '.join(PRIVILEGES)}",
        )
    return names


def lines(printed: Iterable[str], account: str) -> list[Line]:
    """The grants of an account itself, of those that SHOW GRANTS prints for it and its roles."""
    return [line for text in printed for line in [_line(text, account)] if line is not None]


def clean(statement: str) -> str:
    """A printed statement without its password. Raises CommandFailed rather than let one through."""
    found = _IDENTIFIED.sub("", statement)
    if "IDENTIFIED" in re.sub(rf"{_LITERAL}|`(?:[^`]|``)*`", "", found):
        raise CommandFailed(
            "the server describes an account in a form that Holdfast does not know",
            remedy="Report it with the version of the server, and without the password hash",
        )
    return found


def made_again(principal: Principal, printed: str) -> tuple[str, str]:
    """The statement that makes a dropped account again, and what it cannot bring back: passwords."""
    who = catalog.sql_name(principal.name)
    rest = clean(printed).partition(who)[2].strip()
    kept = [method for method in principal.methods if not (method.takes_password and method.stored and method.usable)]
    lost = len(kept) < len(principal.methods)
    if lost and not kept:
        parts = ["IDENTIFIED VIA mysql_native_password USING 'invalid'", rest]
        if not principal.locked:
            parts.append("ACCOUNT LOCK")
        note = "its password: set one with ALTER USER" + ("" if principal.locked else ", then ACCOUNT UNLOCK")
        return " ".join(filter(None, (f"CREATE USER {who}", *parts))), note
    methods = " OR ".join(_method(item.plugin, item.stored) for item in kept)
    empty = len(kept) == 1 and kept[0].open
    identified = "" if empty else f"IDENTIFIED VIA {methods}"
    note = "one of its ways to log in, by password: set one with ALTER USER" if lost else ""
    return " ".join(filter(None, (f"CREATE USER {who}", identified, rest))), note


def _method(plugin: str, stored: str) -> str:
    # Of a plugin without passwords it names a user or a service; the rest is nothing, or "invalid".
    return f"{plugin} USING {catalog.literal(stored)}" if stored else plugin


def _line(printed: str, account: str) -> Line | None:
    if printed.startswith("GRANT PROXY "):
        return Line(printed, "PROXY", {}, printed.endswith("WITH GRANT OPTION"))
    match = _GRANT.fullmatch(clean(printed))
    # A name that begins with this one must not be taken for it.
    who = catalog.sql_name(account)
    if match is None or not (match["rest"] + " ").startswith(who + " "):
        return None
    held: dict[str, str] = {}
    for found in _HELD.finditer(match["held"]):
        if found["words"]:
            # The one on the table stands for all columns, also beside one on some.
            name, columns = found["words"], found["columns"] or ""
            held[name] = columns and held.get(name, columns)
    if set(held) == {_NOTHING} and "GRANT OPTION" not in match["rest"]:
        return None
    held.pop(_NOTHING, None)
    rest = match["rest"][len(who) :]
    grantable = GRANT_OPTION in rest
    option = " WITH GRANT OPTION" if grantable else ""
    # What an account requires and may use is in the statement that makes it.
    statement = f"GRANT {match['held']} ON {match['object']} TO {who}{option}"
    return Line(statement, match["object"], held, grantable)


def _within(columns: str, held: str | None) -> bool:
    if held is None:
        return False
    return held == "" or (bool(columns) and set(columns.split(", ")) <= set(held.split(", ")))


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
