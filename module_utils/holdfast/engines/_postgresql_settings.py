"""Meaning of PostgreSQL parameter values: ``1min`` is ``60`` of a parameter in seconds."""

from __future__ import annotations

import re

_MEMORY = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_TIME = {"us": 1, "ms": 1000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_BOOLEAN = {"on": "on", "true": "on", "yes": "on", "1": "on", "off": "off", "false": "off", "no": "off", "0": "off"}
_NUMBER = re.compile(r"^\s*(-?\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$")

# A server that does more than what is wanted needs no change, and must not be made to do less.
_MORE: dict[tuple[str, str], tuple[str, ...]] = {
    ("wal_level", "replica"): ("logical",),
    ("archive_mode", "on"): ("always",),
}


def _split_unit(unit: str) -> tuple[int, str]:
    base = unit.lstrip("0123456789")
    return int(unit[: len(unit) - len(base)] or 1), base


def scaled(value: str, unit: str) -> float | None:
    """A value in bytes or microseconds; ``unit`` is that of the parameter, such as 8kB or ms."""
    match = _NUMBER.match(value)
    if not match:
        return None
    factor, base = _split_unit(unit)
    for table in (_MEMORY, _TIME):
        if base in table:
            given = match[2]
            if given and given not in table:
                return None
            return float(match[1]) * (table[given] if given else factor * table[base])
    return None


def same_meaning(name: str, wanted: str, current: str, *, vartype: str, unit: str | None) -> bool:
    """Whether a server with ``current`` already does what ``wanted`` asks; vartype and unit as in pg_settings."""
    if wanted == current or current in _MORE.get((name, wanted), ()):
        return True
    if vartype == "bool":
        return _BOOLEAN.get(wanted.lower(), wanted) == _BOOLEAN.get(current.lower(), current)
    if vartype == "enum":
        return wanted.lower() == current.lower()
    if vartype in ("integer", "real"):
        if unit:
            left, right = scaled(wanted, unit), scaled(current, unit)
            return left is not None and left == right
        try:
            return float(wanted) == float(current)
        except ValueError:
            return False
    return False
