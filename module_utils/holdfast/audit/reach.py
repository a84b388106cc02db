"""What a right lets somebody do besides what it says: the wider ones hold the narrower."""

from __future__ import annotations

import re

from .model import Right
from .policy import Rule, fits

_EVERYTHING = frozenset({"ALL", "ALL PRIVILEGES", "SUPERUSER"})
_ROWS = ("table", "view", "materialized view", "foreign table", "sequence", "column")
_CODE = ("routine", "procedure", "function", "package", "package body")


def reaches(right: Right, rule: Rule) -> bool:
    """Whether who has the right can do something of what a rule speaks of, by whatever way."""
    held = {name.strip() for name in right.privilege.upper().split(",")}
    if held & _EVERYTHING and right.kind == "server":
        return True
    if "OWNER" in held:
        held = set(rule.privileges)  # an owner grants itself what it lacks
    elif held & _EVERYTHING:
        held |= rule.privileges
    if any(rule.covers(name, right.kind, right.object, right.database) for name in held):
        return True
    return bool(rule.privileges & {*held, "ALL"}) and _holds(right, rule)


def _holds(right: Right, rule: Rule) -> bool:
    """Whether the right is one on a whole server or a whole database, with objects of the rule in it."""
    if right.kind == "server" and right.object.startswith("every table"):
        return _means(rule, _ROWS)
    if right.kind == "server" and right.object == "*.*":
        return _means(rule, ("database", *_ROWS, *_CODE))
    if right.kind == "database" and right.object.endswith(".*"):
        return _means(rule, (*_ROWS, *_CODE)) and all(
            _common(right.database, wanted) for wanted in (_database(rule.object), rule.database)
        )
    return False


def _means(rule: Rule, kinds: tuple[str, ...]) -> bool:
    return any(fits(kind, rule.kind) for kind in kinds)


def _database(name: str) -> str:
    """The part of an object's name that names the database; without a dot what stands before a wildcard, and that."""
    before, dot, _ = name.replace("`", "").partition(".")
    before, star, _ = (before, "", "") if dot else before.partition("*")
    return before + star


def _common(granted: str, wanted: str) -> bool:
    """Whether a database on which a grant is, which can hold %, _ and escapes, can be one that a pattern means."""
    parts = re.findall(r"\\.|.", granted, re.DOTALL)
    like = "".join({"%": ".*", "_": "."}.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(like, wanted, re.DOTALL) is not None or fits("".join(part[-1] for part in parts), wanted)
