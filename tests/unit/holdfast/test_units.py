"""Durations, sizes and instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from ansible.module_utils.holdfast import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 7 * 86400), ("52w", 52 * 7 * 86400), ("120m", 7200)],
)
def test_parse_duration(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15",
        "m",
        "0m",
        "-1h",
        "1.5h",
        "1 h",
        "1h30m",
        "1y",
        "\N{FULLWIDTH DIGIT ONE}h",
        "1h\n",
        15,
        None,
        True,
        "5300w",
        "9" * 30 + "d",
    ],
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="for example 15m, 1h or 7d"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (1.25, "1.2s"),
        (59.6, "1m"),
        (60, "1m"),
        (90, "1m 30s"),
        (3600, "1h"),
        (5400, "1h 30m"),
        (3601, "1h"),
        (86400, "1d"),
        (90000, "1d 1h"),
        (-90, "-1m 30s"),
    ],
)
def test_format_duration(seconds: float, text: str) -> None:
    assert units.format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 1024**3, "5.0 GiB"),
        (5 * 1024**5, "5120.0 TiB"),
    ],
)
def test_format_bytes(size: int | None, text: str) -> None:
    assert units.format_bytes(size) == text


def test_instants_are_utc_and_round_trip() -> None:
    berlin = timezone(timedelta(hours=2))
    when = datetime(2025, 6, 18, 14, 30, 0, 250000, tzinfo=berlin)
    assert units.format_instant(when) == "2025-06-18T12:30:00.250Z"
    assert units.parse_instant("2025-06-18T12:30:00.250Z") == when
    assert units.parse_instant("2025-06-18T14:30:00.250+02:00") == when
    assert units.format_instant(None) is None
    assert units.parse_instant(None) is None
    assert units.utcnow().tzinfo is UTC


@pytest.mark.parametrize("text", ["2025-06-18T12:30:00", "yesterday", ""])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        units.parse_instant(text)
