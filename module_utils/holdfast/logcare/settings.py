"""How an inventory says that logs are kept: ``db_logs``, read and checked as everything that people write."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..files import read as read_file
from ..problems import InvalidInventory, problem_of
from ..units import format_bytes
from ..validation import Checker, Path

VARIABLE = "db_logs"
FILE = "/etc/holdfast/logs.json"  # what site.yml and the runner find of it on a host
KINDS = SERVER, SLOW, AUDIT, RUNNER = ("server", "slow", "audit", "runner")
EVERY = ("hourly", "daily", "weekly", "monthly")
SIZE_FORM = "a whole number and one of K, M, G, T, for example 100M or 2G"
_SHARE_FORM = f"a share such as 15%, or {SIZE_FORM}"

_SIZE = re.compile(r"([1-9][0-9]{0,8})([KMGT])")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SHARE = re.compile(r"([1-9][0-9]?)%")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_KEYS = ("rotation", "take_over", "append_only", "outage", "slot_limit", "reserve", "shipping")
_LIMITS = ("every", "size", "keep", "age")
_SHIPPING = ("host", "port", "protocol", "ca_file", "cert_file", "key_file", "peer", "queue", "kinds")
_FILES = ("ca_file", "cert_file", "key_file")
_SHIPPED = (SERVER, SLOW, AUDIT)


@dataclass(frozen=True)
class Limits:
    """When a log is rotated, and how many and how old rotated ones may be."""

    every: str
    size: int
    keep: int
    age: timedelta | None = None


@dataclass(frozen=True)
class Share:
    """An amount of disk: bytes, or a part of the file system."""

    bytes: int = 0
    percent: int = 0

    def of(self, total: int) -> int:
        """The bytes that it is of a file system."""
        return self.bytes or total * self.percent // 100

    def __str__(self) -> str:
        return format_bytes(self.bytes) if self.bytes else f"{self.percent}%"


@dataclass(frozen=True)
class Shipping:
    """Where log lines are sent. ``peer`` is the name in the certificate of the receiver."""

    host: str
    port: int
    protocol: str = "tcp"
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    peer: str = ""
    queue: int = 1 << 30
    kinds: tuple[str, ...] = (SERVER, AUDIT)


DEFAULT_ROTATION: Mapping[str, Limits] = {
    SERVER: Limits("daily", 100 << 20, 14, timedelta(days=30)),
    SLOW: Limits("daily", 100 << 20, 7, timedelta(days=14)),
    AUDIT: Limits("daily", 100 << 20, 90, timedelta(days=400)),
    RUNNER: Limits("weekly", 20 << 20, 8),
}


@dataclass(frozen=True)
class Settings:
    """``db_logs``, with what it leaves open."""

    rotation: Mapping[str, Limits] = field(default_factory=lambda: dict(DEFAULT_ROTATION))
    take_over: bool = True  # rotation that the distribution's packages brought
    append_only: bool = True
    outage: timedelta = timedelta(days=1)  # for how long the log must outlive repositories or replicas that are away
    slot_limit: int = 10 << 30  # bytes of log that one slot may hold
    reserve: Share = Share(percent=15)  # of a file system that stays free
    shipping: Shipping | None = None


def parse_size(value: object) -> int:
    """Bytes of ``100M``. Raises ValueError, whose text says what would be valid."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"a size is {SIZE_FORM}")
    return int(match[1]) * _UNITS[match[2]]


def parse_share(value: object) -> Share:
    """An amount of disk as people write it: ``15%`` or ``10G``. Raises ValueError."""
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    try:
        return Share(percent=int(match[1])) if match else Share(bytes=parse_size(value))
    except ValueError:
        raise ValueError(f"an amount of disk is {_SHARE_FORM}") from None


def read(raw: object, check: Checker, path: Path = (VARIABLE,)) -> Settings | None:
    """The settings; None when something about them is wrong or a template."""
    before = len(check.issues)
    given = check.mapping(path, raw, _KEYS)
    if given is None:
        return None
    found: dict[str, Any] = {}
    if "rotation" in given:
        found["rotation"] = _read_rotation(given["rotation"], check, (*path, "rotation"))
    for key in ("take_over", "append_only"):
        if key in given:
            found[key] = _read_flag(given[key], check, (*path, key))
    if "outage" in given:
        found["outage"] = check.duration((*path, "outage"), given["outage"])
    if "slot_limit" in given:
        found["slot_limit"] = check.parsed((*path, "slot_limit"), given["slot_limit"], parse_size, valid=SIZE_FORM)
    if "reserve" in given:
        found["reserve"] = check.parsed((*path, "reserve"), given["reserve"], parse_share, valid=_SHARE_FORM)
    if given.get("shipping"):
        found["shipping"] = _read_shipping(given["shipping"], check, (*path, "shipping"))
    whole = len(check.issues) == before and None not in found.values()
    return Settings(**found) if whole else None


def resolve(raw: Mapping[str, Any] | None) -> Settings:
    """The settings of rendered values. Raises InvalidInventory with everything that is wrong."""
    check = Checker(rendered=True)
    found = read(raw or {}, check)
    if found is None:
        variables = {VARIABLE: raw}
        raise InvalidInventory(sorted(problem_of("", variables, issue, None) for issue in check.issues))
    return found


def on_host() -> Settings:
    """The settings that the last run left on this host; the defaults before the first one."""
    text = read_file(FILE) if os.access(FILE, os.R_OK) else None
    return resolve(json.loads(text)) if text else Settings()


def _read_rotation(raw: object, check: Checker, path: Path) -> dict[str, Limits] | None:
    given = check.mapping(path, raw, KINDS)
    if given is None:
        return None
    found = {kind: _read_limits(kind, given[kind], check, (*path, kind)) for kind in KINDS if kind in given}
    return {**DEFAULT_ROTATION, **{kind: item for kind, item in found.items() if item}}


def _read_limits(kind: str, raw: object, check: Checker, path: Path) -> Limits | None:
    given = check.mapping(path, raw, _LIMITS)
    if given is None:
        return None
    found: dict[str, Any] = dict(vars(DEFAULT_ROTATION[kind]))
    if "every" in given:
        found["every"] = check.choice((*path, "every"), given["every"], EVERY, "interval")
    if "size" in given:
        found["size"] = check.parsed((*path, "size"), given["size"], parse_size, valid=SIZE_FORM)
    if "keep" in given:
        found["keep"] = check.whole((*path, "keep"), given["keep"], 1, 9999)
    if "age" in given:
        found["age"] = check.duration((*path, "age"), given["age"])
        if found["age"] and found["age"] < timedelta(days=1):
            check.note((*path, "age"), given["age"], "is less than a day", "1d or more")
    return None if None in (found["every"], found["size"], found["keep"]) else Limits(**found)


def _read_flag(value: object, check: Checker, path: Path) -> bool | None:
    if check.is_template(value):
        return None
    if not isinstance(value, bool):
        check.note(path, value, "is not valid", "true or false")
        return None
    return value


def _read_shipping(raw: object, check: Checker, path: Path) -> Shipping | None:
    given = check.mapping(path, raw, _SHIPPING, ("host",))
    if given is None:
        return None
    found: dict[str, Any] = {"host": None, "port": 6514 if given.get("protocol") == "tls" else 514}
    readers: Mapping[str, Callable[[Path, object], object]] = {
        "host": lambda at, value: check.text(at, value, "the name or address of a host", _HOST.fullmatch),
        "port": lambda at, value: check.whole(at, value, 1, 65535),
        "protocol": lambda at, value: check.choice(at, value, ("tcp", "tls"), "protocol"),
        "peer": lambda at, value: check.text(at, value, "the name in a certificate", _HOST.fullmatch),
        "queue": lambda at, value: check.parsed(at, value, parse_size, valid=SIZE_FORM),
        "kinds": lambda at, value: _read_kinds(value, check, at),
        **dict.fromkeys(_FILES, lambda at, value: check.text(at, value, "an absolute path", _is_path)),
    }
    found.update({key: readers[key]((*path, key), given[key]) for key in _SHIPPING if key in given})
    if given.get("protocol") == "tls":
        for key in ("ca_file", "peer"):
            if key not in given:
                check.note((*path, key), None, "is missing: without it nobody knows who receives the log")
    if ("cert_file" in given) != ("key_file" in given):
        check.note(path, None, "has a certificate or a key without the other", "both cert_file and key_file")
    return None if None in found.values() else Shipping(**found)


def _read_kinds(value: object, check: Checker, path: Path) -> tuple[str, ...] | None:
    items = check.sequence(path, value, "kinds of log")
    kinds = [check.choice((*path, number), item, _SHIPPED, "kind of log") for number, item in enumerate(items)]
    return None if None in kinds else tuple(kind for kind in kinds if kind)


def _is_path(text: str) -> bool:
    # Into a quoted string of another program's configuration: nothing in it may end that string.
    return re.fullmatch(r"/[A-Za-z0-9._/+@-]+", text) is not None
