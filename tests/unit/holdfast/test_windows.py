"""Windows as tables: what may begin at a moment, until when, and when the next one opens. Clocks change in most."""

from __future__ import annotations

import time as clock
import zoneinfo
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from ansible.module_utils.holdfast import schedule, windows
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.model import Job, Window, WindowKind
from ansible.module_utils.holdfast.windows import Work, ask

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def window(kind: str = "maintenance", name: str = "w", zone: str = BERLIN, **given: Any) -> Window:
    """A window; ``hours`` are its duration, ``end`` is text, ``first`` and ``last`` are ISO 8601."""
    if "hours" in given:
        given["duration"] = timedelta(hours=given.pop("hours"))
    if "end" in given:
        given["end"] = time.fromisoformat(given["end"])
    for key in ("first", "last"):
        if key in given:
            given[key] = datetime.fromisoformat(given[key])
    return Window(name, WindowKind(kind), zone, **given)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opened(one: Window, begin: str, end: str) -> list[str]:
    """When a window is open, in UTC."""
    found = windows.spans(one, at(begin), at(end))
    return [f"{first:%m-%d %H:%M}/{last:%m-%d %H:%M}" for first, last in found]


SUNDAY_NIGHT = {"start": "0 1 * * 0"}


@pytest.mark.parametrize(
    ("zone", "given", "begin", "end", "expected"),
    [
        # An ordinary night in winter, over midnight in UTC and by the clock.
        (BERLIN, {"start": "0 22 * * *", "hours": 8}, "2026-01-10", "2026-01-12", ["01-10 00:00/01-10 05:00",
         "01-10 21:00/01-11 05:00", "01-11 21:00/01-12 00:00"]),
        # The clock goes forward in Berlin on 2026-03-29 at 01:00 UTC, from 02:00 to 03:00.
        (BERLIN, {**SUNDAY_NIGHT, "hours": 4}, "2026-03-28T12:00", "2026-03-30", ["03-29 00:00/03-29 04:00"]),
        (BERLIN, {**SUNDAY_NIGHT, "end": "05:00"}, "2026-03-28T12:00", "2026-03-30", ["03-29 00:00/03-29 03:00"]),
        (BERLIN, {"start": "30 2 * * *", "hours": 1}, "2026-03-29", "2026-03-30", ["03-29 01:00/03-29 02:00"]),
        (BERLIN, {"start": "30 1 * * *", "end": "02:30"}, "2026-03-29", "2026-03-29T12:00",
         ["03-29 00:30/03-29 01:00"]),
        (BERLIN, {"start": "10 2 * * *", "end": "02:50"}, "2026-03-28", "2026-03-31", ["03-28 01:10/03-28 01:50",
         "03-30 00:10/03-30 00:50"]),
        # It goes back on 2026-10-25 at 01:00 UTC, from 03:00 to 02:00.
        (BERLIN, {**SUNDAY_NIGHT, "hours": 4}, "2026-10-24T12:00", "2026-10-26", ["10-24 23:00/10-25 03:00"]),
        (BERLIN, {**SUNDAY_NIGHT, "end": "05:00"}, "2026-10-24T12:00", "2026-10-26", ["10-24 23:00/10-25 04:00"]),
        (BERLIN, {"start": "30 2 * * *", "hours": 1}, "2026-10-24T12:00", "2026-10-25T12:00",
         ["10-25 00:30/10-25 01:30"]),
        (BERLIN, {"start": "0 1 * * *", "end": "02:30"}, "2026-10-24T12:00", "2026-10-25T12:00",
         ["10-24 23:00/10-25 00:30"]),
        (BERLIN, {"kind": "blackout", "start": "0 1 * * *", "end": "02:30"}, "2026-10-24T12:00", "2026-10-25T12:00",
         ["10-24 23:00/10-25 01:30"]),
        # New York: forward on 2026-03-08 at 07:00 UTC, back on 2026-11-01 at 06:00 UTC.
        (NEW_YORK, {**SUNDAY_NIGHT, "end": "04:00"}, "2026-03-08", "2026-03-09", ["03-08 06:00/03-08 08:00"]),
        (NEW_YORK, {"start": "15 2 * * *", "end": "02:45"}, "2026-03-08", "2026-03-09", []),
        (NEW_YORK, {**SUNDAY_NIGHT, "end": "04:00"}, "2026-11-01", "2026-11-02", ["11-01 05:00/11-01 09:00"]),
        (NEW_YORK, {**SUNDAY_NIGHT, "hours": 3}, "2026-11-01", "2026-11-02", ["11-01 05:00/11-01 08:00"]),
        # The turn of the year, once and every year; the last day of a range belongs to it.
        (BERLIN, {"first": "2026-12-24", "last": "2027-01-02"}, "2026-12-01", "2027-02-01",
         ["12-23 23:00/01-01 23:00"]),
        (BERLIN, {"start": "0 20 31 12 *", "hours": 12}, "2025-12-31", "2028-01-01", ["12-31 19:00/01-01 07:00",
         "12-31 19:00/01-01 07:00", "12-31 19:00/01-01 00:00"]),
        # A second opening before the first has ended; both are told.
        (BERLIN, {"start": "0 0,2 * * *", "hours": 3}, "2026-01-10T20:00", "2026-01-11T12:00",
         ["01-10 23:00/01-11 02:00", "01-11 01:00/01-11 04:00"]),
    ],
)  # fmt: skip
def test_when_a_window_is_open(zone: str, given: dict[str, Any], begin: str, end: str, expected: list[str]) -> None:
    assert opened(window(zone=zone, **given), begin, end) == expected


NIGHTS = window("low_impact", "nights", start="0 22 * * *", end="06:00")
SUNDAYS = window("maintenance", "sundays", start="0 2 * * 0", hours=4)
OFFICE = window("blackout", "office", start="0 8 * * 1-5", end="18:00")
YEAR_END = window("freeze", "year-end", first="2026-12-20", last="2027-01-04", reason="closing of the books")


@pytest.mark.parametrize(
    ("which", "work", "now", "allowed", "when"),
    [
        # Without windows everything may begin, and nothing ends it. 2026-11-25 is a Wednesday.
        ([], Work.DESTRUCTIVE, "2026-11-25T12:00", True, None),
        ([], Work.HEAVY, "2026-11-25T12:00", True, None),
        # The log is always saved.
        ([OFFICE, YEAR_END, NIGHTS], Work.LIGHT, "2026-12-22T12:00", True, None),
        # A maintenance window binds what stops a server, and not the jobs.
        ([SUNDAYS], Work.DESTRUCTIVE, "2026-11-25T12:00", False, "2026-11-29T01:00"),
        ([SUNDAYS], Work.RESTART, "2026-11-29T01:00", True, "2026-11-29T05:00"),
        ([SUNDAYS], Work.RESTART, "2026-11-29T05:00", False, "2026-12-06T01:00"),
        ([SUNDAYS], Work.HEAVY, "2026-11-25T12:00", True, None),
        # Low-impact hours bind jobs, and no more than these; a maintenance window lets jobs in, too.
        ([NIGHTS], Work.HEAVY, "2026-11-25T12:00", False, "2026-11-25T21:00"),
        ([NIGHTS], Work.HEAVY, "2026-11-25T23:00", True, "2026-11-26T05:00"),
        ([NIGHTS], Work.DESTRUCTIVE, "2026-11-25T12:00", True, None),
        ([NIGHTS, SUNDAYS], Work.HEAVY, "2026-11-29T02:00", True, "2026-11-29T05:00"),
        ([NIGHTS, window(name="morning", start="0 6 * * 0", hours=2)], Work.HEAVY, "2026-11-29T02:00", True,
         "2026-11-29T07:00"),
        # A blackout keeps everything out; what forbids wins over what allows.
        ([OFFICE], Work.HEAVY, "2026-11-25T12:00", False, "2026-11-25T17:00"),
        ([OFFICE], Work.DESTRUCTIVE, "2026-11-27T17:00", True, "2026-11-30T07:00"),
        ([OFFICE, window(name="noon", start="0 12 * * *", hours=1)], Work.RESTART, "2026-11-25T11:10", False,
         "2026-11-28T11:00"),
        # A freeze inside windows: no change until it is over, and jobs go on.
        ([SUNDAYS, YEAR_END], Work.DESTRUCTIVE, "2026-12-27T02:00", False, "2027-01-10T01:00"),
        ([NIGHTS, YEAR_END], Work.HEAVY, "2026-12-27T02:00", True, "2026-12-27T05:00"),
        # A freeze begins in the middle of a window and cuts it.
        ([window(name="long", start="0 20 * * 6", hours=12), YEAR_END], Work.RESTART, "2026-12-19T20:00", True,
         "2026-12-19T23:00"),
        # A window that the missing hour swallows opens on the next day.
        ([window(start="10 2 * * *", end="02:50")], Work.RESTART, "2026-03-28T12:00", False, "2026-03-30T00:10"),
        # A window of the past never comes again.
        ([window(first="2026-01-01", last="2026-01-02")], Work.RESTART, "2026-03-28T12:00", False, None),
        # A blackout around the clock; one of 24 hours leaves the hour that the clock repeats.
        ([window("blackout", start="0 0 * * *", end="00:00")], Work.HEAVY, "2026-03-28T12:00", False, None),
        ([window("blackout", start="0 0 * * *", hours=24)], Work.HEAVY, "2026-03-28T12:00", False, "2026-10-25T22:00"),
    ],
)  # fmt: skip
def test_what_may_begin(which: list[Window], work: Work, now: str, allowed: bool, when: str | None) -> None:
    verdict = ask(which, work, at(now))
    found = verdict.until if verdict.allowed else verdict.opens
    assert (verdict.allowed, found) == (allowed, at(when) if when else None), verdict


@pytest.mark.parametrize(
    ("which", "work", "now", "window_name", "why"),
    [
        ([SUNDAYS], Work.DESTRUCTIVE, "2026-11-25T12:00", "sundays",
         "destructive work may begin in maintenance window sundays; the next time is Sun 2026-11-29 02:00 CET"),
        ([NIGHTS, SUNDAYS], Work.HEAVY, "2026-06-10T12:00", "nights",
         ("heavy work may begin in low-impact window nights or maintenance window sundays; "
          "the next time is Wed 2026-06-10 22:00 CEST")),
        ([SUNDAYS, YEAR_END], Work.RESTART, "2026-12-27T02:00", "year-end",
         "freeze year-end (closing of the books) forbids restart work; the next time is Sun 2027-01-10 02:00 CET"),
        ([window(first="2026-01-01", last="2026-01-02")], Work.RESTART, "2026-03-28T12:00", "w",
         "restart work may begin in maintenance window w; and no such time comes in 800 days"),
        ([NIGHTS], Work.HEAVY, "2026-11-25T23:00", "nights",
         "low-impact window nights ends at Thu 2026-11-26 06:00 CET"),
        ([OFFICE], Work.HEAVY, "2026-11-25T23:00", "office", "blackout office begins at Thu 2026-11-26 08:00 CET"),
    ],
)  # fmt: skip
def test_what_people_are_told(which: list[Window], work: Work, now: str, window_name: str, why: str) -> None:
    verdict = ask(which, work, at(now))
    assert (verdict.window, verdict.why) == (window_name, why)


@pytest.mark.parametrize(
    ("which", "now", "expected"),
    [
        ([], "2026-11-29T02:00", False),
        ([SUNDAYS], "2026-11-29T02:00", True),
        ([SUNDAYS], "2026-11-29T05:00", False),
        ([NIGHTS], "2026-11-29T02:00", False),
        ([SUNDAYS, YEAR_END], "2026-12-27T02:00", False),
    ],
)
def test_whether_a_maintenance_window_is_open(which: list[Window], now: str, expected: bool) -> None:
    assert windows.is_open(which, WindowKind.MAINTENANCE, at(now)) is expected


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The clock of the host is in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    clock.tzset()
    yield
    monkeypatch.undo()
    clock.tzset()


@pytest.mark.parametrize(
    ("cron", "after", "following", "before"),
    [
        # 22:00 to 06:00 in Berlin is 21:00 to 05:00 in UTC in winter, and an hour earlier in summer.
        ("0 1 * * *", "2026-11-25T12:00", "2026-11-26T01:00", "2026-11-25T01:00"),
        ("0 * * * *", "2026-11-25T12:00", "2026-11-25T21:00", "2026-11-25T04:00"),
        ("0 * * * *", "2026-06-10T12:00", "2026-06-10T20:00", "2026-06-10T03:00"),
        ("0 * * * *", "2026-11-25T23:30", "2026-11-26T00:00", "2026-11-25T23:00"),
        # A run that may be delayed beyond the end of its window is none; in winter this one is early enough.
        ("30 4 * * *", "2026-06-10T12:00", "2026-10-25T04:30", "2026-03-28T04:30"),
        ("50 4 * * *", "2026-11-25T12:00", None, None),
        ("0 12 * * *", "2026-11-25T12:00", None, None),
    ],
)
@pytest.mark.usefixtures("in_utc")
def test_runs_that_windows_let_in(cron: str, after: str, following: str | None, before: str | None) -> None:
    parsed = schedule.parse(cron)
    assert windows.next_run([NIGHTS], parsed, at(after)) == (at(following) if following else None)
    assert windows.last_run([NIGHTS], parsed, at(after)) == (at(before) if before else None)


def test_a_run_that_a_window_lets_in_only_in_some_zones() -> None:
    now, noon = at("2026-11-25T12:00"), schedule.parse("0 12 * * 3")
    weekend = window("low_impact", start="0 0 * * 0", hours=12)
    midweek = window("low_impact", start="0 0 * * 3", hours=12)
    assert not windows.can_run([weekend], noon, now, here=False)
    assert windows.can_run([midweek], noon, now, here=False)
    assert windows.can_run([], noon, now, here=True)


def test_a_zone_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="there is no time zone 'Europe/Berlim'"):
        windows.zone("Europe/Berlim")


@pytest.mark.parametrize("name", ["", "/etc/localtime", "../UTC", "Europe"])
def test_what_is_no_name_of_a_zone(name: str) -> None:
    with pytest.raises(InvalidInput, match="there is no time zone"):
        windows.zone(name)


def test_a_host_without_time_zones_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError

    monkeypatch.setattr(zoneinfo, "ZoneInfo", nothing)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(InvalidInput, match=r"no time zone database.*tzdata"):
        ask([NIGHTS], Work.HEAVY, at("2026-11-25T12:00"))


def test_every_job_has_its_class() -> None:
    light = {job for job in Job if windows.work_of(job) is Work.LIGHT}
    assert light == {Job.LOG, Job.ACCESS_AUDIT, Job.ACCESS_CHANGE, Job.LOG_CHANGE}
    assert windows.work_of(Job.RESTORE) is Work.DESTRUCTIVE
    assert windows.work_of(Job.PATCH) is Work.RESTART
    heavy = {job for job in Job if windows.work_of(job) is Work.HEAVY}
    assert heavy == {*Job} - light - {Job.RESTORE, Job.RESCUE, Job.REPLICATION, Job.PATCH}


def test_a_fixed_zone_of_a_host_is_understood() -> None:
    found = windows._first_run([(at("2026-01-01"), at("2026-01-03"))], schedule.parse("0 1 * * *"), at("2026-01-01"),
                               timezone(timedelta(hours=2)))  # fmt: skip
    assert found == at("2026-01-01T23:00")
