"""What windows do: jobs are postponed or stopped, destruction is refused, an override lets it through, on record."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ansible.module_utils.holdfast import guard, jobs, locks, pairs, rescue_plan, restore_plan, status, tables, work
from ansible.module_utils.holdfast.errors import InvalidInput, Refused
from ansible.module_utils.holdfast.guard import Override
from ansible.module_utils.holdfast.history import History
from ansible.module_utils.holdfast.model import Job, Place, Window, WindowKind
from ansible.module_utils.holdfast.records import Records
from ansible.module_utils.holdfast.restore_plan import Plan
from ansible.module_utils.holdfast.restore_request import Request
from ansible.module_utils.holdfast.units import format_instant, utcnow
from ansible.module_utils.holdfast.windows import Work
from fakes import FakeAdapters, instance, service_level

DANA = Override("Dana", "disk is failing", timedelta(hours=1))


def around(kind, before, after, name="w"):
    """A window that opened so long ago and closes in so long; negative ones lie in the past or the future."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return Window(name, WindowKind(kind), "UTC", first=now - before, last=now + after)


OPEN = timedelta(days=1), timedelta(days=1)
PAST = timedelta(days=9), timedelta(days=-8)


def with_windows(tmp_path, *windows, **changes):
    (tmp_path / "configured").touch()
    return instance(tmp_path, windows=windows, **changes)


@pytest.fixture
def adapters(tmp_path, monkeypatch):
    fake = FakeAdapters(instance(tmp_path))
    for module in (work, status):
        monkeypatch.setattr(module, "Adapters", fake)
    return fake


def test_a_scheduled_job_outside_its_windows_is_postponed_and_on_record(tmp_path, adapters, caplog):
    nights = Window("nights", WindowKind.LOW_IMPACT, "UTC", first=datetime(2099, 1, 1), last=datetime(2099, 1, 2))
    orders = with_windows(tmp_path, nights)
    with caplog.at_level(logging.INFO):
        record = jobs.run_job(orders, Job.FULL, scheduled=True)
    assert (record["result"], record["exit_code"]) == ("ok", 0)
    assert "heavy work may begin in low-impact window nights" in record["skipped"]
    assert record["window"]["allowed"] is False
    assert "orders: full postponed: heavy work" in caplog.text
    assert list(Records(orders)) == [record]
    assert "backup" not in record
    history = History.read(Records(orders))
    assert history.last == {}
    assert "postponed: heavy work" in tables.records({"orders": [record]})


def test_a_postponed_job_says_when_it_runs_next(tmp_path, adapters):
    hour = timedelta(hours=1)
    level = service_level(schedule={Job.FULL: "0 * * * *"})
    later = around("low_impact", -3 * hour, 9 * hour)
    record = jobs.run_job(with_windows(tmp_path, later, service_level=level), Job.FULL, scheduled=True)
    assert format_instant(utcnow() + 3 * hour) < record["postponed"] < format_instant(utcnow() + 4 * hour)
    assert f"full postponed to its run at {record['postponed']}: " in jobs.summary(record)


@pytest.mark.parametrize("job", [Job.FULL, Job.ARCHIVE])
def test_a_scheduled_job_inside_its_window_runs_and_has_it_on_record(tmp_path, adapters, job):
    record = jobs.run_job(with_windows(tmp_path, around("low_impact", *OPEN)), job, scheduled=True)
    assert (record["result"], record["window"]["allowed"]) == ("ok", True)
    assert "backup" in record


def test_the_log_is_saved_whatever_windows_say(tmp_path, adapters):
    closed = with_windows(tmp_path, around("low_impact", *PAST), around("blackout", *OPEN, name="b"))
    record = jobs.run_job(closed, Job.LOG, scheduled=True)
    assert record["result"] == "ok"
    assert adapters.physical.log_saved == 1


def test_an_instance_without_windows_has_none_on_record(tmp_path, adapters):
    record = jobs.run_job(with_windows(tmp_path), Job.FULL, scheduled=True)
    assert "window" not in record


@pytest.mark.parametrize("asked", [{}, {"scheduled": True, "on_request": True}])
def test_what_a_person_wants_now_is_warned_of_and_goes_on(tmp_path, adapters, caplog, asked):
    record = jobs.run_job(with_windows(tmp_path, around("blackout", *OPEN)), Job.FULL, **asked)
    assert record["result"] == "ok"
    assert "backup" in record
    assert record["window"]["allowed"] is False
    assert "full goes on outside its windows: blackout w forbids heavy work" in caplog.text


def test_a_job_is_stopped_at_the_end_of_its_window_and_says_which(tmp_path, adapters, monkeypatch):
    orders = with_windows(tmp_path, around("low_impact", timedelta(hours=1), timedelta(seconds=0.3), name="nights"))
    monkeypatch.setattr(adapters.physical, "backup", lambda *_: time.sleep(5))
    record = jobs.run_job(orders, Job.FULL, scheduled=True)
    assert (record["result"], record["error"]["code"]) == ("failed", "window-closed")
    assert "low-impact window nights ends at" in record["error"]["what"]
    assert record["seconds"] < 3


def test_a_blackout_that_begins_stops_a_job_too(tmp_path, adapters, monkeypatch):
    orders = with_windows(tmp_path, around("blackout", timedelta(seconds=-0.3), timedelta(hours=1), name="office"))
    monkeypatch.setattr(adapters.physical, "backup", lambda *_: time.sleep(5))
    assert "blackout office begins at" in jobs.run_job(orders, Job.FULL, scheduled=True)["error"]["what"]


@pytest.mark.parametrize("asked", [{}, {"scheduled": True, "on_request": True}])
def test_what_a_person_wants_now_is_not_stopped(tmp_path, adapters, monkeypatch, asked):
    orders = with_windows(tmp_path, around("low_impact", timedelta(hours=1), timedelta(seconds=0.2)))
    backup = adapters.physical.backup
    monkeypatch.setattr(adapters.physical, "backup", lambda *given: time.sleep(0.5) or backup(*given))
    assert jobs.run_job(orders, Job.FULL, **asked)["result"] == "ok"


def test_a_time_limit_before_the_end_of_the_window_is_still_one(tmp_path, adapters, monkeypatch):
    orders = with_windows(tmp_path, around("low_impact", timedelta(hours=1), timedelta(hours=1)))
    monkeypatch.setattr(jobs, "TIME_LIMITS", {Job.FULL: timedelta(seconds=0.05)})
    monkeypatch.setattr(adapters.physical, "backup", lambda *_: time.sleep(5))
    assert jobs.run_job(orders, Job.FULL, scheduled=True)["error"]["code"] == "time-limit"


def test_a_postponed_job_does_not_wait_for_another(tmp_path, adapters):
    orders = with_windows(tmp_path, around("blackout", *OPEN))
    with locks.job_lock(orders, Job.VERIFY, timedelta(0)):
        assert "postponed" in jobs.run_job(orders, Job.FULL, scheduled=True)


UNKNOWN = Window("w", WindowKind.LOW_IMPACT, "Nowhere/Land", start="0 1 * * *", duration=timedelta(hours=1))


def test_unknown_time_zones_fail_a_scheduled_job_and_nobody_elses(tmp_path, adapters):
    orders = with_windows(tmp_path, UNKNOWN)
    record = jobs.run_job(orders, Job.FULL, scheduled=True)
    assert (record["result"], record["error"]["code"]) == ("failed", "invalid-input")
    assert "no time zone 'Nowhere/Land'" in record["error"]["what"]
    assert jobs.run_job(orders, Job.FULL)["result"] == "ok"
    assert jobs.run_job(orders, Job.LOG, scheduled=True)["result"] == "ok"
    found = status.instance_status(orders)
    assert "no time zone 'Nowhere/Land'" in "".join(problem["text"] for problem in found["problems"])


def test_unknown_time_zones_refuse_destruction_and_an_override_lets_it_through(tmp_path):
    orders = with_windows(tmp_path, UNKNOWN, replace(UNKNOWN, kind=WindowKind.MAINTENANCE))
    assert "what its windows allow is not known: there is no time zone" in guard.judge(orders, Work.DESTRUCTIVE).problem
    assert guard.judge(orders, Work.DESTRUCTIVE, DANA).problem == ""
    guard.grant(orders, DANA)
    assert guard.judge(orders, Work.HEAVY).problem == ""


# Overdue


def overdue(orders):
    return [one["text"] for one in status.instance_status(orders)["problems"] if "overdue" in one["text"]]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (("low_impact", *OPEN), ["full"]),  # it was due and did not run
        (("low_impact", timedelta(days=9), timedelta(days=-8)), []),  # it was not due since it was configured
        (("low_impact", timedelta(days=-1), timedelta(days=2)), []),
        (("blackout", timedelta(days=5), timedelta(days=1)), []),
    ],
)
def test_a_run_that_windows_postponed_is_not_overdue(tmp_path, adapters, window, expected):
    orders = with_windows(tmp_path, around(*window), service_level=service_level(schedule={Job.FULL: "0 * * * *"}))
    since = (datetime.now(UTC) - timedelta(days=3)).timestamp()
    os.utime(tmp_path / "configured", (since, since))
    assert [text.split()[0] for text in overdue(orders)] == expected


def test_status_tells_of_windows_and_of_the_next_run_that_they_let_in(tmp_path, adapters):
    hour = timedelta(hours=1)
    later = around("low_impact", -5 * hour, 9 * hour, name="nights")
    level = service_level(schedule={Job.FULL: "0 * * * *", Job.LOG: "*/3 * * * *"})
    found = status.instance_status(with_windows(tmp_path, later, service_level=level))
    assert format_instant(utcnow() + 5 * hour) < found["next_runs"]["full"] < format_instant(utcnow() + 6 * hour)
    assert found["next_runs"]["log"] < format_instant(utcnow() + hour)
    assert found["windows"]["heavy"]["allowed"] is False
    assert any("heavy work may begin in low-impact window nights" in note for note in found["notes"])


def test_status_without_windows_says_nothing_of_them(tmp_path, adapters):
    found = status.instance_status(with_windows(tmp_path))
    assert (found["windows"], found["notes"]) == (None, [])


# Overrides


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("", "disk"), "has no person"),
        (("Dana", " "), "has no reason"),
        (("Dana", "disk", "soon"), "'soon' is no time for an override"),
        (("Dana", "disk", "2d"), "lasts 1d at most"),
    ],
)
def test_an_override_needs_a_person_a_reason_and_an_end(given, told):
    with pytest.raises(InvalidInput, match=told):
        guard.wanted(*given)


def test_no_word_of_an_override_is_none():
    assert guard.wanted("", None) is None
    assert guard.wanted("Dana", "disk") == Override("Dana", "disk", timedelta(hours=2))


def test_an_override_is_recorded_reported_and_expires(tmp_path, adapters, monkeypatch):
    orders = with_windows(tmp_path, around("blackout", *OPEN))
    guard.grant(orders, DANA)
    [record] = Records(orders)
    assert (record["job"], record["override"]["by"], record["override"]["reason"]) == ("override", "Dana", DANA.reason)
    assert "by Dana until" in tables.records({"orders": [record]})
    assert "windows are overridden by Dana until" in tables.status([status.instance_status(orders)])
    ran = jobs.run_job(orders, Job.FULL, scheduled=True)
    assert "backup" in ran
    assert ran["window"]["override"]["by"] == "Dana"
    later = utcnow() + timedelta(minutes=61)
    monkeypatch.setattr(guard, "utcnow", lambda: later)
    assert "postponed" in jobs.run_job(orders, Job.FULL, scheduled=True)
    assert "overridden" not in tables.status([status.instance_status(orders)])


def test_a_job_that_an_override_let_in_is_not_stopped_by_a_window(tmp_path):
    orders = with_windows(tmp_path, around("low_impact", timedelta(hours=1), timedelta(seconds=0.2)))
    guard.grant(orders, DANA)
    assert guard.judge(orders, Work.HEAVY).closes is None


def test_an_override_that_cannot_be_read_overrides_nothing(tmp_path):
    orders = with_windows(tmp_path, around("blackout", *OPEN))
    (tmp_path / "override.json").write_text("{")
    assert guard.judge(orders, Work.RESTART).problem


@pytest.mark.parametrize("window", ["open", "closed", "none"])
def test_an_override_is_used_only_where_it_is_needed(tmp_path, window):
    windows = {"open": [around("maintenance", *OPEN)], "closed": [around("maintenance", *PAST)], "none": []}
    orders = with_windows(tmp_path, *windows[window])
    record = {}
    guard.use(orders, Work.DESTRUCTIVE, DANA, record)
    assert len(list(Records(orders))) == (1 if window == "closed" else 0)
    if window == "closed":
        assert record["window"]["override"]["by"] == "Dana"
    guard.use(orders, Work.DESTRUCTIVE, DANA)
    assert len(list(Records(orders))) == (1 if window == "closed" else 0)


def test_what_is_refused_says_when_it_may_and_how_it_can_be_let_through(tmp_path):
    orders = with_windows(tmp_path, Window("sunday", WindowKind.MAINTENANCE, "UTC", "0 2 * * 0", timedelta(hours=1)))
    with pytest.raises(Refused, match=r"in maintenance window sunday; the next time is Sun .*window_override_reason"):
        guard.check(orders, Work.DESTRUCTIVE)
    assert guard.check(orders, Work.DESTRUCTIVE, DANA).problem == ""


# What changes an instance


def restoring(orders, **request):
    plan = Plan(orders, orders, Request(**request), Place(orders.state_directory, None, True), "x")
    restore_plan._look_at_windows(plan)
    return plan


def test_a_restore_outside_its_window_is_a_problem_of_its_plan(tmp_path):
    closed = with_windows(tmp_path, around("maintenance", -timedelta(days=1), timedelta(days=2), name="sunday"))
    [problem] = restoring(closed).problems
    assert "destructive work may begin in maintenance window sunday; the next time is" in problem
    overridden = restoring(closed, override=DANA)
    assert overridden.problems == []
    assert "overridden by Dana: disk is failing" in overridden.notes[0]
    assert restoring(closed, create=True).problems == []  # where there is no server, this is a disaster


def test_a_restore_that_its_window_is_too_short_for_is_a_problem(tmp_path):
    orders = with_windows(tmp_path, around("maintenance", timedelta(hours=1), timedelta(hours=1), name="sunday"))
    plan = Plan(orders, orders, Request(), Place(orders.state_directory, None, True), "x", estimate_seconds=7200.0)
    restore_plan._look_at_windows(plan)
    assert "it takes about 2h, and maintenance window sunday ends at" in plan.problems[0]
    plan = Plan(orders, orders, Request(), Place(orders.state_directory, None, True), "x", estimate_seconds=60.0)
    restore_plan._look_at_windows(plan)
    assert plan.problems == []
    assert "maintenance window sunday ends at" in plan.notes[0]


@pytest.mark.parametrize(("replace", "problems"), [(True, 1), (False, 0)])
def test_a_rescue_is_bound_to_windows_only_where_it_replaces(tmp_path, replace, problems):
    orders = with_windows(tmp_path, around("freeze", *OPEN))
    plan = rescue_plan.Plan(rescue_plan.Request("table", "a.b", replace=replace), None)
    rescue_plan._look_at_windows(plan, orders)
    assert len(plan.problems) == problems


CLOSED = {"allowed": False, "why": "freeze w forbids destructive work", "override": None}
PAIR = pairs.PairOf(pairs.Member("orders", "db1", "db1", 5432), pairs.Member("orders-dr", "db9", "db9", 5432))
PRIMARY = {"answers": True, "role": "primary", "writable": True, "replicas": ["orders-dr"]}
REPLICA = {"answers": True, "role": "replica", "writable": False, "source": "db1:5432", "streaming": True,
           "lag_seconds": 0.0, "rpo_seconds": 60.0, "fenced": ""}  # fmt: skip
GONE = {"unreachable": True, "msg": "no route to host"}


@pytest.mark.parametrize(
    ("operation", "first", "second", "override", "refused", "noted"),
    [
        ("switchover", PRIMARY, {**REPLICA, "windows": CLOSED}, None, True, False),
        ("switchover", {**PRIMARY, "windows": CLOSED}, REPLICA, None, True, False),
        ("switchover", {**PRIMARY, "windows": CLOSED}, REPLICA, DANA, False, True),
        ("switchover", {**PRIMARY, "windows": {**CLOSED, "override": {"by": "x"}}}, REPLICA, None, False, False),
        ("switchover", {**PRIMARY, "windows": {"allowed": True}}, {**REPLICA, "windows": {}}, None, False, False),
        ("failback", {**PRIMARY, "windows": CLOSED}, {"answers": False, "error": "down"}, None, True, False),
        ("failover", GONE, {**REPLICA, "streaming": False, "windows": CLOSED}, None, False, True),
    ],
)
def test_roles_change_in_windows_and_a_failover_at_any_time(operation, first, second, override, refused, noted):
    wish = pairs.Wish("orders", "orders", override=override)
    decision = pairs.decide(operation, PAIR, {"orders": first, "orders-dr": second}, wish)
    assert any("freeze w" in text for text in decision.refusals) is refused
    assert any("freeze w" in text for text in decision.notes) is noted
