"""What people type for a target."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.model import RestoreTarget
from ansible.module_utils.holdfast.restore_request import parse_target

HALF_PAST_TWO = datetime(2026, 11, 21, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-21T14:30:00+01:00", "2026-11-21 13:30:00Z", "2026-11-21 13:30+00:00"])
def test_a_time_with_a_zone(text):
    assert parse_target({"time": text}) == (RestoreTarget(time=HALF_PAST_TWO), "")


def test_a_time_without_a_zone_is_that_of_the_host_and_is_said(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        target, remark = parse_target({"time": "2026-11-21 14:30"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert target.time == HALF_PAST_TWO
    assert "2026-11-21T14:30:00+01:00, the zone of this host" in remark


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({}, RestoreTarget()),
        ({"time": "", "position": None}, RestoreTarget()),
        ({"position": "0/5"}, RestoreTarget(position="0/5")),
        ({"transaction": "7", "timeline": "2"}, RestoreTarget(transaction="7", timeline="2")),
        ({"point": "before"}, RestoreTarget(point="before")),
        ({"consistent": "yes"}, RestoreTarget(consistent=True)),
    ],
)
def test_other_targets(given, target):
    assert parse_target(given) == (target, "")


def test_two_targets_exclude_each_other():
    with pytest.raises(InvalidInput, match="time and point cannot be targets at once"):
        parse_target({"time": "2026-11-21T14:30:00Z", "point": "before"})


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "14:30"])
def test_no_time(text):
    with pytest.raises(InvalidInput, match="is no time"):
        parse_target({"time": text})


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (RestoreTarget(), "the newest change"),
        (RestoreTarget(consistent=True), "the end of the backup"),
        (RestoreTarget(point="before"), "restore point before"),
        (RestoreTarget(time=HALF_PAST_TWO), "time 2026-11-21T13:30:00+00:00"),
    ],
)
def test_targets_in_words(target, words):
    assert target.describe() == words
