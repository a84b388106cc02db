"""Forecasts come from what was measured, say from what, and say unknown where nothing was."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from ansible.module_utils.holdfast import forecast
from ansible.module_utils.holdfast.model import Job
from ansible.module_utils.holdfast.units import format_instant

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
GIB = 1 << 30
HOUR = timedelta(hours=1)


def backup(days_ago, size, **changes):
    when = format_instant(NOW - timedelta(days=days_ago))
    found = {"id": f"b{days_ago}", "finished": when, "size_bytes": size}
    return {"instance": "orders", "job": "full", "result": "ok", "finished": when, "backup": found, **changes}


def restore_test(
    days_ago, size, copy, replay, *, instance="orders", backup_id=None, delay=timedelta(0), job="restore_test"
):
    started = NOW - timedelta(days=days_ago) + delay
    measured = {
        "backup_id": backup_id or f"b{days_ago}",
        "size_bytes": size,
        "rto_seconds": copy + replay + 5,
        "phases": {"restore": copy, "recovery": replay},
    }
    finished = started + timedelta(seconds=copy + replay + 5)
    base = {"instance": instance, "job": job, "result": "ok", "started": format_instant(started)}
    return {**base, "finished": format_instant(finished), job: measured}


def expect(own, others=None, rto=HOUR, longest=timedelta(0)):
    return forecast.forecast(own, others or {}, rto=rto, longest_log=longest)


def test_nothing_is_known_without_a_backup_and_without_a_measurement():
    assert expect([]).seconds is None
    assert expect([]).basis.startswith("unknown: no backup")
    found = expect([backup(1, GIB)])
    assert (found.seconds, found.size_bytes) == (None, GIB)
    assert found.basis == "unknown: no restore test has measured it yet"


def test_copying_grows_with_the_size_and_the_rest_does_not():
    found = expect([backup(9, GIB), restore_test(9, GIB, 100, 20), backup(1, 3 * GIB)])
    assert found.seconds == pytest.approx(3 * 100 + 20 + 5)
    assert "one restore of its own, the newest on 2026-05-23" in found.basis


def test_replay_grows_with_the_longest_time_between_backups():
    records = [backup(1, GIB), restore_test(1, GIB, 100, 20, delay=timedelta(minutes=30))]
    assert expect(records, longest=HOUR).seconds == pytest.approx(100 + 2 * 20 + 5)
    # A test right after the backup says nothing of the log.
    records = [backup(1, GIB), restore_test(1, GIB, 100, 20, delay=timedelta(minutes=1))]
    assert expect(records, longest=HOUR).seconds == pytest.approx(125)


def test_the_median_of_the_newest_five_counts():
    took = {7: 9999, 6: 90, 5: 100, 4: 500, 3: 100, 2: 110}
    records = [backup(1, GIB), *(restore_test(day, GIB, seconds, 0) for day, seconds in took.items())]
    assert expect(records).seconds == pytest.approx(100 + 5)


def test_neighbours_are_asked_when_there_is_no_own_measurement_and_are_named():
    others = {"billing": [restore_test(2, 2 * GIB, 100, 0, instance="billing")]}
    found = expect([backup(1, GIB)], others)
    assert found.seconds == pytest.approx(50 + 5)
    assert "one restore of billing on the same host, as there is none of its own" in found.basis
    assert "billing" not in expect([backup(1, GIB), restore_test(1, GIB, 10, 0)], others).basis


def test_a_real_restore_is_a_measurement_and_a_failed_one_without_numbers_is_not():
    restored = restore_test(1, GIB, 60, 0, job="restore")
    restored["restore"] = {**restored["restore"], "backup_id": None, "backup": {"id": "b1"}}
    failed = {**restore_test(1, GIB, 1, 0), "result": "failed", "restore_test": {"size_bytes": GIB}}
    assert expect([backup(1, GIB), restored, failed]).seconds == pytest.approx(65)


def history(days, per_day, start=10 * GIB):
    return [backup(days - n, start + n * per_day) for n in range(days)]


def test_growth_is_the_trend_of_the_days_and_ignores_a_single_peak():
    records = history(20, GIB)
    records[10] = backup(10, 500 * GIB)
    assert forecast.growth(forecast.sizes(records)) == pytest.approx(GIB, rel=0.15)


@pytest.mark.parametrize("days", [1, 6, 13])
def test_a_short_history_has_no_trend(days):
    assert forecast.growth(forecast.sizes(history(days, GIB))) is None


def test_logical_backups_and_logs_tell_no_size():
    assert forecast.sizes([backup(1, GIB, job="logical"), {"job": "log", "finished": format_instant(NOW)}]) == []


def test_the_day_on_which_the_objective_will_be_missed():
    # 29 GiB at 1 GiB in 60 s are 29 min and 5 s; a GiB a day brings 60 s a day; the hour is full 30 days later.
    records = [*history(20, GIB), restore_test(1, 29 * GIB, 29 * 60, 0)]
    found = expect(records)
    assert found.exceeds == date(2026, 5, 31) + timedelta(days=30)
    [text] = forecast.problems(found, HOUR, NOW.date())
    assert text.startswith(
        "a restore will exceed the RTO of 1h in 29 days, on 2026-06-30: the database grows by 1.0 GiB a day"
    )
    assert forecast.problems(found, HOUR, NOW.date() - timedelta(days=100)) == []


def test_a_forecast_over_the_objective_is_a_problem_now():
    found = expect([backup(1, GIB), restore_test(1, GIB, 5395, 0)])
    [text] = forecast.problems(found, HOUR, NOW.date())
    assert text.startswith("a restore would take about 1h 30m, RTO is 1h (1.0 GiB at ")
    assert forecast.problems(expect([backup(1, GIB)]), HOUR, NOW.date()) == []


def test_a_database_that_shrinks_exceeds_nothing():
    assert expect([*history(20, -GIB // 10), restore_test(1, GIB, 10, 0)]).exceeds is None


def test_the_longest_log_is_the_longest_time_between_physical_backups():
    crons = {Job.FULL: "0 1 * * *", Job.INCREMENTAL: "0 */6 * * *", Job.LOG: "* * * * *", Job.ARCHIVE: "0 3 * * 0"}
    assert forecast.log_span(crons) == timedelta(hours=6)
    assert forecast.log_span({Job.LOG: "* * * * *"}) == timedelta(0)
