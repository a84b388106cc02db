"""Durations (``15m``, ``1h``, ``7d``), sizes and instants as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"^(?P<number>[1-9][0-9]*)(?P<unit>[smhdw])\Z")
DURATION_FORM = "a whole number and one of s, m, h, d, w, for example 15m, 1h or 7d"
_LONGEST = 100 * 366 * 86400  # a hundred years: no instant minus a duration leaves the calendar


def parse_duration(text: object) -> timedelta:
    """Return the duration that ``15m`` or ``7d`` stands for. Raises ValueError, whose text says what would be valid."""
    match = _DURATION.match(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"a duration is {DURATION_FORM}")
    seconds = int(match["number"]) * _SECONDS[match["unit"]]
    if seconds > _LONGEST:
        raise ValueError(f"a duration is at most a hundred years: {DURATION_FORM}")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """``timedelta`` as at most two units, ``1h 30m``; under ten seconds with one decimal."""
    seconds = value.total_seconds()
    if seconds < 0:
        return "-" + format_duration(-value)
    if seconds < 10:
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, unit))
        if len(parts) == 2:
            break
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def format_bytes(value: int | None) -> str:
    """Bytes in binary units, ``1.2 GiB``; ``-`` for an unknown size."""
    if value is None:
        return "-"
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def utcnow() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(timezone.utc)


def format_instant(value: datetime | None) -> str | None:
    """An aware instant as ISO 8601 in UTC with milliseconds, the form of every record."""
    if value is None:
        return None
    return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(text: str | None) -> datetime | None:
    """The reverse of :func:`format_instant`. Raises ValueError for a text that is no ISO 8601 instant with a zone."""
    if text is None:
        return None
    value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if value.tzinfo is None:
        raise ValueError(f"instant without a zone: {text}")
    return value.astimezone(timezone.utc)
