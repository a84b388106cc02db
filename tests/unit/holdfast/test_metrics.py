"""Metrics come from records, are valid Prometheus text, and do not look young when they are old."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import timedelta

import pytest
from ansible.module_utils.holdfast import guard, metrics
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.history import History
from ansible.module_utils.holdfast.model import Job, Window, WindowKind
from ansible.module_utils.holdfast.units import parse_instant, utcnow
from fakes import instance, service_level

LINE = re.compile(r'[a-z_]+\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\} -?[0-9.]+')


def record(job, second, result="ok", **more):
    when = f"2026-06-01T12:00:{second:02d}.000Z"
    return {
        "instance": "orders",
        "job": job,
        "result": result,
        "started": when,
        "finished": when,
        "seconds": 1.5,
        **more,
    }


RECORDS = [
    record("full", 1, backup={"id": "b1", "size_bytes": 1000, "finished": "2026-06-01T12:00:01.000Z"}),
    record("incremental", 5, backup={"id": "b2", "size_bytes": 2000, "finished": "2026-06-01T12:00:05.000Z"}),
    record("log", 20, lost_bytes=4096, lost_seconds=3.5),
    record(
        "restore_test",
        30,
        restore_test={"backup_id": "b2", "size_bytes": 2000, "rto_seconds": 42.5, "phases": {"restore": 40.0}},
    ),
    record("verify", 40, "failed", error={"code": "corrupt-backup", "what": "x"}),
]
NOON = 1780315200


def test_what_records_tell(tmp_path):
    found = metrics.samples(instance(tmp_path), RECORDS, 60.0)
    single = {one.name: one.value for one in found if len(one.labels) == 3}
    assert single == {
        "holdfast_recoverable_until_timestamp_seconds": NOON + 16.5,
        "holdfast_rpo_exposure_bytes": 4096,
        "holdfast_rpo_target_seconds": 900,
        "holdfast_rto_achieved_seconds": 42.5,
        "holdfast_rto_forecast_seconds": 60.0,
        "holdfast_rto_target_seconds": 3600,
        "holdfast_backup_size_bytes": 2000,
        "holdfast_restore_test_last_success_timestamp_seconds": NOON + 30,
    }
    by_type = {one.labels["type"]: one.value for one in found if "type" in one.labels}
    assert by_type == {"full": NOON + 1, "incremental": NOON + 5}
    results = {one.labels["job_name"]: one.value for one in found if one.name == "holdfast_job_last_success"}
    assert results == {"full": 1, "incremental": 1, "log": 1, "restore_test": 1, "verify": 0}


def test_a_failed_log_job_moves_the_recoverable_moment_back_to_the_last_one_that_went_well(tmp_path):
    broken = [*RECORDS, record("log", 50, "failed", error={"code": "failed", "what": "archiver"})]
    [until] = [one.value for one in metrics.samples(instance(tmp_path), broken, None) if "recoverable" in one.name]
    assert until == NOON + 16.5


def test_without_a_log_backup_the_newest_backup_is_what_can_be_recovered(tmp_path):
    level = service_level(schedule={Job.FULL: "0 1 * * *"}, log_interval=None)
    found = metrics.samples(instance(tmp_path, service_level=level), RECORDS, None)
    [until] = [one.value for one in found if "recoverable" in one.name]
    assert until == NOON + 5


def test_what_is_not_known_is_absent(tmp_path):
    names = {one.name for one in metrics.samples(instance(tmp_path), [], None)}
    assert names == {"holdfast_rpo_target_seconds", "holdfast_rto_target_seconds"}


def audited(second, power=(), *, scheduled=True, due=None, result="ok"):
    access = {
        "findings": {"critical": 1, "high": 0, "medium": 3, "low": 2},
        "checks": {"passed": 5, "error": 0 if result == "ok" else 2},
        "power": [{"account": name, "what": "may log in"} for name in power],
        "outside_window": len(power),
        "scheduled": scheduled,
        "review_due": due,
    }
    return record("access_audit", second, result, access=access)


def access_values(tmp_path, *records):
    found = metrics.samples(instance(tmp_path), records, None)
    return {
        one.labels.get("severity") or one.name.removeprefix("holdfast_access_"): one.value
        for one in found
        if one.name.startswith("holdfast_access_")
    }


def test_an_access_audit_is_told_also_one_with_questions_without_an_answer(tmp_path):
    quiet = {"new_power": 0, "changes_outside_window": 0}
    severities = {"critical": 1, "high": 0, "medium": 3, "low": 2}
    assert access_values(tmp_path, audited(1)) == {**severities, "unanswered_checks": 0, **quiet}
    failed = access_values(tmp_path, audited(1), audited(2, result="failed"))
    assert failed == {**severities, "unanswered_checks": 2, **quiet}
    down = record("access_audit", 3, "failed", error={"code": "server-unavailable", "what": "x"})
    assert access_values(tmp_path, audited(1, due=""), down)["critical"] == 1


@pytest.mark.parametrize(
    ("audits", "expected"),
    [
        ([("eve",), ()], 1),  # still nobody has looked
        ([("eve",), ("mallory", "eve")], 3),
        ([("eve",), None], 1),  # somebody did, and saw it
        ([("eve",), None, ()], 0),
        ([("eve",), None, ("bob",)], 1),
    ],
)
def test_new_power_is_told_until_somebody_asks_for_an_audit(tmp_path, audits, expected):
    records = [
        audited(second, ("eve",) if power is None else power, scheduled=power is not None)
        for second, power in enumerate(audits)
    ]
    values = access_values(tmp_path, *records)
    assert (values["new_power"], values["changes_outside_window"]) == (expected, expected)


def test_a_review_is_overdue_after_its_last_day(tmp_path):
    due = access_values(tmp_path, audited(1, due="2026-05-31"))["review_due_timestamp_seconds"]
    assert due == NOON - 12 * 3600  # the first of June, 00:00
    assert access_values(tmp_path, audited(1, due=""))["review_due_timestamp_seconds"] == 0


SUNDAY = Window("sunday", WindowKind.MAINTENANCE, "UTC", start="0 2 * * 0", duration=timedelta(hours=4))
NIGHTS = Window("nights", WindowKind.LOW_IMPACT, "UTC", start="0 0 * * *", duration=timedelta(hours=24))


@pytest.mark.parametrize(
    ("windows", "at", "expected"),
    [
        ((SUNDAY,), "2026-11-29T03:00:00Z", [1.0]),
        ((SUNDAY,), "2026-11-29T07:00:00Z", [0.0]),
        ((NIGHTS,), "2026-11-29T03:00:00Z", []),
        ((), "2026-11-29T03:00:00Z", []),
    ],
)
def test_a_maintenance_window_is_seen_by_alert_rules(tmp_path, windows, at, expected):
    found = metrics.of_windows(instance(tmp_path, windows=windows), parse_instant(at))
    assert [one.value for one in found if one.name == "holdfast_maintenance_window_open"] == expected
    assert all(one.labels["db_instance"] == "orders" for one in found)


def test_an_override_is_told_while_it_lasts(tmp_path):
    orders = instance(tmp_path, windows=(NIGHTS,))
    guard.grant(orders, guard.Override("Dana", "the disk fails", timedelta(hours=1)))
    for hours, expected in ((0, 1.0), (2, 0.0)):
        [found] = metrics.of_windows(orders, utcnow() + timedelta(hours=hours))
        assert (found.name, found.value) == ("holdfast_window_override", expected)


DAILY = service_level(schedule={Job.FULL: "0 1 * * *", Job.ACCESS_AUDIT: "0 4 * * *"})


@pytest.mark.parametrize(
    ("age", "resting", "expected"),
    [
        (timedelta(days=2), False, {"full": 1.0, "access_audit": 1.0}),
        (timedelta(0), False, {"full": 0.0, "access_audit": 1.0}),
        (timedelta(days=2), True, {"access_audit": 1.0}),
    ],
)
def test_a_job_that_has_not_succeeded_since_it_was_due_is_overdue(tmp_path, age, resting, expected):
    orders = instance(tmp_path, service_level=DAILY)
    path = tmp_path / "configured"
    path.touch()
    os.utime(path, (0, 0))
    now = utcnow()
    done = {**record("full", 1), "started": (now - age).isoformat()}
    found = metrics.of_schedule(orders, History.read([done]), now, resting=resting)
    assert {one.labels["job_name"]: one.value for one in found} == expected


def test_a_replica_tells_of_itself_and_not_of_backups_that_it_no_longer_takes(tmp_path):
    found = metrics.samples(instance(tmp_path), [*RECORDS, audited(50)], 60.0, resting=True)
    assert {one.name.removeprefix("holdfast_").partition("_")[0] for one in found} == {"access", "job"}
    assert {one.labels["job_name"] for one in found if "job_name" in one.labels} == {"access_audit"}


def test_every_metric_has_help_and_type_once_and_every_line_is_well_formed(tmp_path):
    odd = instance(tmp_path, name='or"de\\rs\n')
    both = [*metrics.samples(instance(tmp_path), RECORDS, 60.0), *metrics.samples(odd, RECORDS, 60.0)]
    both += metrics.samples(odd, [audited(1, ["eve"], due="2026-05-31")], None)
    (tmp_path / "configured").touch()
    both += metrics.of_schedule(instance(tmp_path), History.read(RECORDS), utcnow(), resting=False)
    both += metrics.of_windows(instance(tmp_path, windows=(SUNDAY,)), utcnow())
    text = metrics.render(both)
    lines = text.splitlines()
    for name in metrics.HELP:
        assert sum(line.startswith(f"# HELP {name} ") for line in lines) == 1
        assert lines.count(f"# TYPE {name} gauge") == 1
    assert [line for line in lines if not line.startswith("#") and not LINE.fullmatch(line)] == []
    assert metrics.render([]) == ""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_it(tmp_path):
    text = metrics.render(metrics.samples(instance(tmp_path), RECORDS, 60.0))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_file_is_replaced_in_one_step_and_readable_for_all(tmp_path):
    path = tmp_path / "holdfast.prom"
    path.write_text("old")
    metrics.write(str(path), "new\n")
    assert path.read_text() == "new\n"
    assert os.stat(path).st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["holdfast.prom"]


def test_a_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(HoldfastError, match="the metrics cannot be written: No such file"):
        metrics.write(str(tmp_path / "no" / "x.prom"), "")


def test_samples_survive_the_way_through_json(tmp_path):
    found = metrics.samples(instance(tmp_path), RECORDS, 60.0)
    again = [metrics.Sample(*sample) for sample in json.loads(json.dumps(found))]
    assert metrics.render(again) == metrics.render(found)
