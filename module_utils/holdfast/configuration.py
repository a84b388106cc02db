"""What servers are configured with outside their data: kept without secrets, fitted to another host, compared."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime

from .errors import HoldfastError
from .model import Configuration, Fitted
from .units import format_bytes

ABSENT = "(not set)"
_SECRET = re.compile(
    r"(?:^|[^\w])([\w-]*(?:passwd|password|passphrase(?:[-_]command)?|secrets?|secret[-_](?:access[-_])?key|sst[-_]auth"
    r"|filekey|management[-_]token))\s*=\s*(?=\S)",
    re.IGNORECASE,
)
_SECRET_IN_ADDRESS = re.compile(r"://[^\s:/@]+:[^\s@]+@")
_CONFIDENTIAL = "holds a password or the like, which is not taken"
_EVERYWHERE = frozenset({"*", "0.0.0.0", "::", "localhost", "127.0.0.1", "::1"})  # noqa: S104  compared, not bound


@dataclass(frozen=True)
class Here:
    """What this host offers to a configuration. ``can_read`` and ``can_write`` are of the user who asks."""

    memory: int
    can_read: Callable[[str], bool]
    can_write: Callable[[str], bool]
    has_address: Callable[[str], bool]


def here() -> Here:
    """This host, to the user of this process."""
    return Here(
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        can_read=lambda path: os.access(path, os.R_OK),
        can_write=lambda path: os.access(path, os.W_OK),
        has_address=_has_address,
    )


def to_text(found: Configuration) -> str:
    """The form in which it is kept."""
    return json.dumps({key: value for key, value in vars(found).items() if key != "taken"}, sort_keys=True)


def from_text(text: str, taken: datetime) -> Configuration:
    """The configuration of its kept form, which a newer Holdfast may have written with more in it.

    Raises HoldfastError when it is no such form.
    """
    known = {item.name for item in fields(Configuration)}
    try:
        kept = {key: value for key, value in json.loads(text).items() if key in known}
        return Configuration(**{**kept, "taken": taken})
    except (ValueError, TypeError, AttributeError) as error:
        raise HoldfastError(f"what is kept of it cannot be read: {error}") from None


def without_secrets(found: Configuration) -> Configuration:
    """The same, with everything left out that holds a password in plain text; what that is goes into ``left_out``."""
    left_out = dict(found.left_out)
    parameters = {}
    for name, value in found.parameters.items():
        if _SECRET.search(f"{name} = {value or ''}") or _SECRET_IN_ADDRESS.search(value or ""):
            left_out[name] = _CONFIDENTIAL
        else:
            parameters[name] = value
    files = {}
    for name, text in found.files.items():
        lines = text.splitlines()
        for number, line in enumerate(lines):
            match = _SECRET.search(line)
            if match and not line.lstrip().startswith("#"):
                lines[number] = f"# left out by Holdfast, as it held a secret: {line[: match.end(1)].lstrip()}"
                left_out[f"{name}, line {number + 1}"] = _CONFIDENTIAL
            elif match:
                lines[number] = line[: match.end(1)]
        files[name] = "".join(f"{line}\n" for line in lines)
    return replace(found, parameters=parameters, files=files, left_out=left_out)


def lowered(name: str, value: int, most: int, fitted: Fitted, host: Here) -> int:
    """A size in memory as the host can carry it: as it was, or ``most``, and then said so."""
    if value <= most:
        return value
    reason = f"lowered from {format_bytes(value)} to {format_bytes(most)}"
    fitted.left_out[name] = f"{reason}: this host has {format_bytes(host.memory)} of memory"
    return most


def missing_path(name: str, value: str, host: Here) -> str | None:
    """Why a parameter that names a place in the file system cannot be taken; None when it can.

    A log need not be there, if it can be made.
    """
    if not value.startswith("/") or host.can_read(value):
        return None
    if "log" in name and host.can_write(os.path.dirname(value)):
        return None
    return f"{value} is not on this host, or not readable"


def own_addresses(name: str, value: str, fitted: Fitted, host: Here) -> str:
    """Of addresses to listen on, those that this host has; empty when there are none. What is missing is named."""
    wanted = [item.strip() for item in value.split(",")]
    kept = [item for item in wanted if item in _EVERYWHERE or host.has_address(item)]
    lost = [item for item in wanted if item not in kept]
    if lost:
        fitted.left_out[name] = f"this host does not have the address {', '.join(lost)}"
    return ", ".join(kept)


def differences(saved: Fitted, live: Fitted) -> dict[str, dict[str, str | None]]:
    """What two configurations that are fitted to the same host have otherwise; of files, only that it is so."""
    found: dict[str, dict[str, str | None]] = {}
    for name in sorted({*saved.parameters, *live.parameters} - {*saved.left_out}):
        before, now = saved.parameters.get(name, ABSENT), live.parameters.get(name, ABSENT)
        if before != now:
            found[name] = {"backup": before, "here": now}
    for name in sorted({*saved.files, *live.files}):
        if _meant(saved.files.get(name, "")) != _meant(live.files.get(name, "")):
            found[name] = {"backup": "another content", "here": None}
    return found


def refused_names(words: str, pattern: re.Pattern[str], known: Mapping[str, object]) -> dict[str, str]:
    """The parameters of ours that a server's parser complains of, with the line in which it does."""
    found: dict[str, str] = {}
    for line in words.splitlines():
        for name in pattern.findall(line):
            if name.replace("-", "_") in known:
                found.setdefault(name.replace("-", "_"), line.strip())
    return found


def _meant(text: str) -> list[list[str]]:
    """The lines of a file without what no server reads."""
    return [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _has_address(name: str) -> bool:
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
        except OSError:
            continue
        return True
    return False
