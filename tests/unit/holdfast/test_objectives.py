"""Service levels: what follows from them and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible.module_utils.holdfast import schedule
from ansible.module_utils.holdfast.engines.catalog import ENGINES
from ansible.module_utils.holdfast.model import Job, Keep
from ansible.module_utils.holdfast.objectives import DEFAULT_LEVELS, Level, log_interval, read_level, unmet_by
from ansible.module_utils.holdfast.validation import Checker

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def level(**changes: Any) -> dict[str, Any]:
    """A level that is right, with changes; None takes a key away. ``keep_x`` changes a key of ``keep``."""
    raw: dict[str, Any] = {"rpo": "1h", "rto": "1h", "full": "0 1 * * *", "log": "continuous"}
    keep: dict[str, Any] = {"full": "7d", "log": "7d"}
    for name, value in changes.items():
        target, key = (keep, name[len("keep_") :]) if name.startswith("keep_") else (raw, name)
        target.pop(key, None)
        if value is not None:
            target[key] = value
    return {"keep": keep, **raw}


def read(raw: object, *, rendered: bool = False) -> tuple[Level, list[str]]:
    check = Checker(rendered=rendered)
    found = read_level("mine", raw, check, ("mine",))
    return found, [f"{'.'.join(map(str, each.path[1:]))}: {each.message}" for each in check.issues]


@pytest.mark.parametrize("name", sorted(DEFAULT_LEVELS))
@pytest.mark.parametrize("engine", [name for name, facts in ENGINES.items() if facts.supported])
def test_the_shipped_levels_are_right_for_every_engine(name: str, engine: str) -> None:
    found, problems = read(DEFAULT_LEVELS[name])
    assert problems == []
    assert unmet_by(found, ENGINES[engine], 2) == []


def test_what_follows_from_the_standard_level() -> None:
    found, _ = read(DEFAULT_LEVELS["standard"])
    orders = found.for_instance("orders")
    assert orders.rpo == timedelta(minutes=15)
    assert orders.rto == HOUR
    assert orders.log_interval == timedelta(minutes=3)
    assert orders.keep.full == Keep(age=7 * DAY)
    assert orders.keep.archive == Keep(age=364 * DAY)
    assert orders.keep.log == 7 * DAY
    assert orders.keep.minimum_full == 2
    assert orders.keep.logical == Keep()
    assert {job: text for job, text in orders.schedule.items() if job not in (Job.VERIFY, Job.EXPIRE)} == {
        Job.FULL: "0 1 * * *",
        Job.INCREMENTAL: "0 * * * *",
        Job.ARCHIVE: "0 3 * * 0",
        Job.LOG: "*/3 * * * *",
        Job.RESTORE_TEST: orders.schedule[Job.RESTORE_TEST],
        Job.ACCESS_AUDIT: orders.schedule[Job.ACCESS_AUDIT],
    }
    assert schedule.longest_gap(schedule.parse(orders.schedule[Job.ACCESS_AUDIT])) == DAY
    assert schedule.longest_gap(schedule.parse(orders.schedule[Job.RESTORE_TEST])) == 7 * DAY


def test_expiry_comes_after_verification() -> None:
    found, _ = read(level())
    for number in range(50):
        jobs = found.for_instance(f"instance-{number}").schedule
        verify, expire = (schedule.parse(jobs[job]).times()[0] for job in (Job.VERIFY, Job.EXPIRE))
        assert verify < expire


def test_a_level_without_log_restore_test_or_audit() -> None:
    found, problems = read(level(log="none", keep_log=None, rpo="1d", restore_test="never", access_audit="never"))
    assert problems == []
    mine = found.for_instance("orders")
    assert mine.log_interval is None
    assert not mine.runs(Job.LOG)
    assert not mine.runs(Job.RESTORE_TEST)
    assert not mine.runs(Job.ACCESS_AUDIT)
    assert mine.keep.log == timedelta(0)


@pytest.mark.parametrize(
    ("rpo", "interval"),
    [(2, 1), (5, 1), (9, 1), (10, 2), (15, 3), (74, 14), (75, 15), (24 * 60, 15)],
)
def test_log_interval_in_minutes(rpo: int, interval: int) -> None:
    assert log_interval(timedelta(minutes=rpo)) == timedelta(minutes=interval)


@pytest.mark.parametrize(
    ("value", "kind", "keep"),
    [
        ("9d", "full", Keep(age=9 * DAY)),
        (8, "full", Keep(count=8)),
        ({"count": 8, "age": "9d"}, "full", Keep(count=8, age=9 * DAY)),
        ({"daily": 1, "weekly": 2, "monthly": 3, "yearly": 4, "age": "9d", "count": 5}, "archive", None),
    ],
)
def test_forms_of_keep(value: object, kind: str, keep: Keep | None) -> None:
    found, problems = read(level(archive="0 4 * * *", **{"keep_archive": "9d", f"keep_{kind}": value}))
    assert problems == []
    expected = keep or Keep(count=5, age=9 * DAY, daily=1, weekly=2, monthly=3, yearly=4)
    assert getattr(found.for_instance("orders").keep, kind) == expected


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (level(rpo=None), "rpo: is missing"),
        (level(rto=None), "rto: is missing"),
        (level(full=None), "full: is missing"),
        (level(keep_full=None), "keep.full: is missing"),
        (level(rpo="1 hour"), "rpo: is not a duration"),
        (level(rpo=15), "rpo: is not a duration"),
        (level(rto="0m"), "rto: is not a duration"),
        (level(full="0 25 * * *"), "full: hour '25' is not 0 to 23"),
        (level(full="0 0 31 2 *"), "full: it never runs: none of its months has a day 31"),
        (level(full="never"), 'full: a cron expression has five fields "minute hour'),
        (level(restore_test="sometimes"), "restore_test: a cron expression has five fields"),
        (level(log="sometimes"), "log: unknown kind of log backup"),
        (level(log=True), "log: unknown kind of log backup"),
        (level(backup="daily"), "backup: unknown key"),
        (level(keep_ful="7d"), "keep.ful: unknown key"),
        (level(keep_full="7"), "keep.full: is not a duration"),
        (level(keep_full=0), "keep.full: is not valid"),
        (level(keep_full=True), "keep.full: is not valid"),
        (level(keep_full=[7]), "keep.full: is not valid"),
        (level(keep_full={}), "keep.full: keeps nothing"),
        (level(keep_full={"age": "7"}), "keep.full.age: is not a duration"),
        (level(keep_full={"weekly": 7}), "keep.full.weekly: unknown key"),
        (level(keep_minimum_full=0), "keep.minimum_full: is not valid"),
        (level(keep_minimum_full="2"), "keep.minimum_full: is not valid"),
        (level(rpo="1m"), "rpo: cannot be met: the log is saved at most every 1m and then uploaded"),
        (
            level(log="none", keep_log=None, rpo="23h"),
            "rpo: cannot be met: up to 1d pass between two backups and the log",
        ),
        (
            level(log="none", keep_log=None, rpo="8h", incremental="0 9-17 * * *", keep_incremental="2d"),
            "",  # full at 01:00, then 09:00 to 17:00, and 8 hours to the next full
        ),
        (
            level(log="none", keep_log=None, rpo="7h", incremental="0 9-17 * * *", keep_incremental="2d"),
            "rpo: cannot be met: up to 8h pass between two backups",
        ),
        (
            level(log="none", keep_log=None, rpo="1h", archive="0 * * * *", keep_archive="1d"),
            "rpo: cannot be met: up to 1d pass",  # an archive copy is elsewhere and not for every day
        ),
        (
            level(keep_full="23h", keep_log="1d"),
            "keep.full: would leave no full backup: up to 1d pass until the next one",
        ),
        (
            level(full="0 1 * * 0", keep_full="6d", keep_log="1d"),
            "keep.full: would leave no full backup: up to 7d pass",
        ),
        (level(full="0 1 * * 0", keep_full=1, keep_log="1d"), ""),
        (level(incremental="0 * * * *"), "keep.incremental: is missing: incremental backups are scheduled"),
        (level(logical="daily"), "keep.logical: is missing: logical backups are scheduled"),
        (level(archive="weekly"), "keep.archive: is missing: archive backups are scheduled"),
        (level(archive="weekly", keep_archive="6d"), "keep.archive: would leave no archive backup: up to 7d pass"),
        (level(archive="weekly", keep_archive={"weekly": 4}), ""),
        (
            level(incremental="0 * * * *", keep_incremental="8d"),
            "keep.incremental: is longer than the full backups it needs are kept (7d)",
        ),
        (
            level(differential="0 13 * * *", keep_differential=8),
            "keep.differential: is longer than the full backups it needs are kept (7d)",
        ),
        (level(incremental="0 * * * *", keep_incremental=24 * 7), ""),
        (level(keep_log=None), "keep.log: is missing: the log is backed up"),
        (level(keep_log="8d"), "keep.log: has no full backup to start from: they are kept 7d"),
        (level(keep_full=3, keep_log="4d"), "keep.log: has no full backup to start from: they are kept 3d"),
        (level(keep_full=3, keep_log="3d"), ""),
        (level(log="none", rpo="1d"), "keep.log: keeps a log that is not backed up"),
        ("standard", ": is not a mapping"),
        (level(keep="7d"), "keep: is not a mapping"),
    ],
)
def test_refused(raw: object, problem: str) -> None:
    if isinstance(raw, dict) and raw.get("keep") is None:
        raw.pop("keep")
    _, problems = read(raw)
    if problem:
        assert len(problems) == 1
        assert problems[0].startswith(problem)
    else:
        assert problems == []


def test_all_mistakes_of_a_level_are_reported() -> None:
    _, problems = read(level(rpo="x", rto="y", full="z", log="a", keep_full="b", more=1))
    assert len(problems) == 6


@pytest.mark.parametrize("key", ["rpo", "rto", "full", "log", "keep", "keep_full", "keep_log", "restore_test"])
def test_a_template_is_judged_on_its_host(key: str) -> None:
    raw = level(**{key: "{{ from_elsewhere }}"})
    found, problems = read(raw)
    assert problems == []
    assert found.templated or key == "restore_test"
    assert read(raw, rendered=True)[1] != []


def test_a_template_inside_a_rule_is_judged_on_its_host() -> None:
    found, problems = read(level(keep_full={"age": "{{ from_elsewhere }}"}))
    assert problems == []
    assert found.templated


@pytest.mark.parametrize(
    ("raw", "engine", "repositories", "reason"),
    [
        (level(incremental="0 13 * * *", keep_incremental="2d"), "mssql", 2, "schedules incremental backups"),
        (level(differential="0 13 * * *", keep_differential="2d"), "mssql", 2, ""),
        (level(differential="0 13 * * *", keep_differential="2d"), "mariadb", 2, ""),
        (level(archive="weekly", keep_archive="52w"), "postgresql", 1, "a single repository"),
        (level(archive="weekly", keep_archive="52w"), "postgresql", 2, ""),
        (level(archive="weekly", keep_archive="52w"), "postgresql", None, ""),
        (level(), "postgresql", 1, ""),
    ],
)
def test_what_an_instance_cannot_have(raw: object, engine: str, repositories: int | None, reason: str) -> None:
    found, problems = read(raw)
    assert problems == []
    unmet = unmet_by(found, ENGINES[engine], repositories)
    if reason:
        assert len(unmet) == 1
        assert reason in unmet[0][0]
        assert unmet[0][1]
    else:
        assert unmet == []


def test_an_engine_that_saves_its_log_less_often_is_asked_too() -> None:
    found, _ = read(level(rpo="5m"))
    slow = replace(ENGINES["postgresql"], log_interval=timedelta(minutes=10))
    assert [valid for _, valid in unmet_by(found, slow, 2)] == ["a level with an RPO of 11m or more"]
