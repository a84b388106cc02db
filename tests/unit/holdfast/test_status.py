"""Status says how an instance stands, and reports what fails instead of failing."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from ansible.module_utils.holdfast import jobs, status, tables, work
from ansible.module_utils.holdfast.errors import RepositoryUnavailable, ServerUnavailable
from ansible.module_utils.holdfast.model import Job, LogExposure
from ansible.module_utils.holdfast.records import Records, finish, open_record
from ansible.module_utils.holdfast.units import format_instant, utcnow
from fakes import FakeAdapters, instance, service_level


@pytest.fixture
def orders(tmp_path):
    (tmp_path / "configured").touch()
    return instance(tmp_path)


@pytest.fixture
def adapters(orders, monkeypatch):
    fake = FakeAdapters(orders)
    monkeypatch.setattr(work, "Adapters", fake)
    monkeypatch.setattr(status, "Adapters", fake)
    return fake


def texts(found):
    return [problem["text"] for problem in found["problems"]]


def test_an_instance_without_a_backup_is_critical(orders, adapters):
    found = status.instance_status(orders)
    assert found["state"] == "critical"
    assert texts(found) == ["no backup yet in local"]


def test_an_instance_that_meets_its_objectives_is_ok(orders, adapters):
    jobs.run_job(orders, Job.FULL)
    adapters.engine.exposure = LogExposure(4096, 12.0)
    found = status.instance_status(orders)
    assert (found["state"], found["problems"]) == ("ok", [])
    assert found["last_backup"]["id"] == "b0"
    assert (found["rpo"]["lost_seconds"], found["rpo"]["lost_bytes"]) == (12.0, 4096)
    assert set(found["next_runs"]) == {"full", "log", "restore_test"}


def test_a_backup_that_lacks_the_configuration_of_the_server_is_a_warning(orders, adapters, monkeypatch):
    def refuse():
        raise ServerUnavailable("the file cannot be read")

    monkeypatch.setattr(adapters.engine, "save_configuration", refuse)
    jobs.run_job(orders, Job.FULL)
    found = status.instance_status(orders)
    assert found["state"] == "warning"
    assert texts(found) == ["the last full backup lacks the configuration of the server: the file cannot be read"]


def unreachable(_repository):
    raise RepositoryUnavailable("no route")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda fake: setattr(fake.engine, "down", ServerUnavailable("does not answer")), "does not answer"),
        (lambda fake: setattr(fake.physical, "backups", unreachable), "no route"),
        (lambda fake: setattr(fake.engine, "exposure", LogExposure(1, 1.0, failing="the archiver fails")), "archiver"),
        (lambda fake: setattr(fake.engine, "exposure", LogExposure(1 << 20, 1000.0)), "RPO is 15m"),
    ],
)
def test_what_fails_is_reported_and_critical(orders, adapters, spoil, told):
    jobs.run_job(orders, Job.FULL)
    spoil(adapters)
    found = status.instance_status(orders)
    assert found["state"] == "critical"
    assert any(told in text for text in texts(found))


@pytest.mark.parametrize(("hours", "state"), [(1, "ok"), (3, "critical")])
def test_without_log_backups_what_would_be_lost_is_all_since_the_newest_backup(orders, adapters, hours, state):
    level = service_level(schedule={Job.FULL: "0 1 * * *"}, log_interval=None, rpo=timedelta(hours=2))
    jobs.run_job(orders, Job.FULL)
    stored = adapters.physical.stored["local"]
    stored[0] = replace(stored[0], finished=utcnow() - timedelta(hours=hours))
    found = status.instance_status(replace(orders, service_level=level))
    assert found["rpo"]["lost_seconds"] == pytest.approx(hours * 3600, abs=60)
    assert found["state"] == state


def test_damage_and_a_failed_job_are_critical(orders, adapters):
    jobs.run_job(orders, Job.FULL)
    adapters.physical.damaged = {"b0": "checksum"}
    jobs.run_job(orders, Job.VERIFY)
    found = status.instance_status(orders)
    assert found["state"] == "critical"
    assert any("b0 in local is damaged" in text for text in texts(found))
    assert any("last verify job failed" in text for text in texts(found))


@pytest.mark.parametrize(("days", "overdue"), [(0, False), (3, True)])
def test_a_job_that_did_not_run_when_due_is_overdue(orders, adapters, monkeypatch, days, overdue):
    level = service_level(schedule={Job.FULL: "0 1 * * *"})
    orders = replace(orders, service_level=level)
    jobs.run_job(orders, Job.FULL)
    record = finish(open_record(orders, Job.FULL))
    then = format_instant(utcnow() - timedelta(days=days))
    record.update(started=then, finished=then, backup={"id": "x"})
    store = Records(orders)
    os.truncate(store.path, 0)
    store.append(record)
    os.utime(os.path.join(orders.state_directory, "configured"), (0, 0))
    assert any("full is overdue" in text for text in texts(status.instance_status(orders))) is overdue


def test_the_table_shows_every_instance_and_every_problem(orders, adapters):
    found = status.instance_status(orders)
    text = tables.status([found])
    assert text.splitlines()[1].startswith("orders")
    assert "orders: critical: no backup yet in local" in text


def test_a_restore_that_is_forecast_to_take_too_long_is_a_warning_before_the_disaster(orders, adapters):
    jobs.run_job(orders, Job.FULL)
    assert status.instance_status(orders)["rto"]["forecast_basis"] == "unknown: no restore test has measured it yet"
    slow = {"backup_id": "b0", "size_bytes": 500, "rto_seconds": 2000.0, "phases": {"restore": 2000.0}}
    Records(orders).append({**finish(open_record(orders, Job.RESTORE_TEST)), "restore_test": slow})
    found = status.instance_status(orders)
    assert found["rto"]["forecast_seconds"] == 4000.0
    assert found["state"] == "warning"
    assert any(text.startswith("a restore would take about 1h 6m, RTO is 1h") for text in texts(found))


def test_new_power_is_a_warning_and_a_failed_audit_is_no_more_than_that(orders, adapters):
    jobs.run_job(orders, Job.FULL)
    access = {"findings": {"critical": 0, "high": 2}, "alert": "new-power"}
    power = [{"account": "mallory", "what": "may log in"}, {"account": "mallory", "what": "has CREATEROLE"}]

    def audited(_, record):
        record["access"] = dict(access, power=power, scheduled=True)
        raise ServerUnavailable("the server went away")

    record = jobs.run_job(orders, Job.ACCESS_AUDIT, call=audited)
    found = status.instance_status(orders)
    assert found["state"] == "warning"
    assert texts(found) == [
        "access audits saw new power of mallory; playbooks/access_audit.yml reports it",
        "the last access_audit job failed: the server went away",
    ]
    without = {key: value for key, value in record.items() if key != "error"}
    assert "0 critical, 2 high, new power" in tables.records({"orders": [without]})
