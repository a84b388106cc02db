"""A job leaves one record whatever happens to it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from ansible.module_utils.holdfast import jobs, locks, records, restore_test, work
from ansible.module_utils.holdfast.errors import (
    CorruptBackup,
    RepositoryFull,
    RepositoryMissing,
    RepositoryUnavailable,
    ServerUnavailable,
)
from ansible.module_utils.holdfast.history import History
from ansible.module_utils.holdfast.model import Job, LogExposure, Repository
from ansible.module_utils.holdfast.records import Records
from ansible.module_utils.holdfast.units import format_instant, utcnow
from fakes import FakeAdapters, instance


@pytest.fixture
def orders(tmp_path):
    return instance(tmp_path)


@pytest.fixture
def adapters(orders, monkeypatch):
    fake = FakeAdapters(orders)
    monkeypatch.setattr(work, "Adapters", fake)
    monkeypatch.setattr(restore_test, "Adapters", fake)
    monkeypatch.setattr(jobs, "RETRY_DELAYS", (0.0, 0.0))
    return fake


def written(orders):
    return list(Records(orders))


def test_a_backup_leaves_an_ok_record_with_its_marker(orders, adapters):
    record = jobs.run_job(orders, Job.FULL)
    assert record["result"] == "ok"
    assert record["backup"]["id"] == "b0"
    assert record["marker"]["id"] == 1
    assert written(orders) == [record]
    assert adapters.engine.closed


def test_a_failure_leaves_a_failed_record_with_what_where_and_remedy(orders, adapters):
    adapters.physical.failures = [RepositoryFull("no space left", where="/repo", remedy="Free space")]
    record = jobs.run_job(orders, Job.FULL)
    assert (record["result"], record["exit_code"], record["attempts"]) == ("failed", 1, 1)
    assert record["error"] == {
        "code": "repository-full",
        "what": "no space left",
        "where": "/repo",
        "remedy": "Free space",
    }
    assert written(orders) == [record]
    assert not Records(orders).running()
    assert jobs.run_job(orders, Job.FULL)["result"] == "ok"


def test_an_unexpected_error_leaves_a_failed_record_too(orders, adapters):
    adapters.physical.failures = [KeyError("size")]
    record = jobs.run_job(orders, Job.FULL)
    assert record["result"] == "failed"
    assert "KeyError" in record["error"]["what"]


@pytest.mark.parametrize(("failures", "result", "attempts"), [(1, "ok", 2), (2, "ok", 3), (3, "failed", 3)])
def test_what_may_pass_is_tried_three_times(orders, adapters, failures, result, attempts):
    adapters.physical.failures = [RepositoryUnavailable("timeout") for _ in range(failures)]
    record = jobs.run_job(orders, Job.FULL)
    assert (record["result"], record["attempts"]) == (result, attempts)


def test_a_repository_that_is_not_there_is_a_final_answer(orders, adapters):
    adapters.physical.failures = [RepositoryMissing("there is no repository")]
    record = jobs.run_job(orders, Job.FULL)
    assert (record["result"], record["attempts"], record["error"]["code"]) == ("failed", 1, "repository-missing")


def test_a_log_job_is_not_retried_and_saves_the_log_of_a_dead_server(orders, adapters):
    adapters.engine.down = ServerUnavailable("down")
    record = jobs.run_job(orders, Job.LOG)
    assert (record["result"], record["attempts"]) == ("failed", 1)
    assert adapters.physical.log_saved == 1


def test_a_log_that_does_not_arrive_fails_the_log_job(orders, adapters):
    adapters.engine.exposure = LogExposure(1 << 24, 120.0, failing="archive_command fails")
    record = jobs.run_job(orders, Job.LOG)
    assert record["result"] == "failed"
    assert "archive_command fails" in record["error"]["what"]


def test_two_jobs_at_once_the_second_is_busy_and_names_the_first(orders, adapters):
    with locks.job_lock(orders, Job.FULL, timedelta(0)):
        record = jobs.run_job(orders, Job.INCREMENTAL)
    assert (record["result"], record["error"]["code"], record["exit_code"]) == ("failed", "busy", 75)
    assert "full" in record["error"]["what"]
    assert jobs.run_job(orders, Job.INCREMENTAL)["result"] == "ok"


def test_a_scheduled_job_waits_for_the_lock(orders, adapters, monkeypatch):
    monkeypatch.setattr(locks, "_POLL_SECONDS", 0.01)
    free = threading.Event()

    def hold():
        with locks.job_lock(orders, Job.FULL, timedelta(0)):
            held.set()
            free.wait(5)

    held = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    threading.Timer(0.1, free.set).start()
    assert jobs.run_job(orders, Job.INCREMENTAL, scheduled=True)["result"] == "ok"
    holder.join()


def test_a_log_job_does_not_wait_for_a_backup(orders, adapters):
    with locks.job_lock(orders, Job.FULL, timedelta(0)):
        assert jobs.run_job(orders, Job.LOG)["result"] == "ok"


def test_a_job_that_outlives_its_limit_is_stopped(orders, adapters, monkeypatch):
    monkeypatch.setattr(jobs, "TIME_LIMITS", {Job.FULL: timedelta(seconds=0.05)})
    monkeypatch.setattr(adapters.physical, "backup", lambda *_: time.sleep(5))
    record = jobs.run_job(orders, Job.FULL)
    assert record["error"]["code"] == "time-limit"
    assert record["seconds"] < 2


def test_a_job_that_is_terminated_leaves_its_record(orders, adapters, monkeypatch):
    monkeypatch.setattr(adapters.physical, "backup", lambda *_: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(5))
    assert jobs.run_job(orders, Job.FULL)["error"]["code"] == "interrupted"


def test_a_killed_job_gets_its_failed_record_from_the_next(orders, adapters):
    child = os.fork()
    if child == 0:
        adapters.physical.backup = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        jobs.run_job(orders, Job.FULL)
        os._exit(0)
    os.waitpid(child, 0)
    assert written(orders) == []
    assert jobs.run_job(orders, Job.FULL)["result"] == "ok"
    killed, good = written(orders)
    assert (killed["result"], killed["error"]["code"]) == ("failed", "killed")
    assert good["result"] == "ok"


def test_a_running_job_is_not_reaped(orders, adapters):
    store = Records(orders)
    record = records.open_record(orders, Job.FULL)
    store.announce(record)
    assert store.reap() == []
    assert [item["id"] for item in store.running()] == [record["id"]]


def test_a_clock_that_went_back_fails_one_job_and_lets_the_next_run(orders, adapters):
    ahead = records.finish(records.open_record(orders, Job.FULL))
    ahead["finished"] = format_instant(utcnow() + timedelta(hours=2))
    Records(orders).append(ahead)
    assert jobs.run_job(orders, Job.FULL)["error"]["code"] == "clock-went-back"
    assert jobs.run_job(orders, Job.FULL)["result"] == "ok"


def test_verify_remembers_damage_although_it_fails(orders, adapters):
    jobs.run_job(orders, Job.FULL)
    jobs.run_job(orders, Job.INCREMENTAL)
    adapters.physical.damaged = {"b1": "checksum mismatch"}
    record = jobs.run_job(orders, Job.VERIFY)
    assert record["error"]["code"] == "corrupt-backup"
    history = History.read(Records(orders))
    assert history.verified("local") == {"b0"}
    assert history.damaged("local") == {"b1"}


def test_verify_reads_again_only_what_was_not_proven_lately(orders, adapters, monkeypatch):
    jobs.run_job(orders, Job.FULL)
    seen = []
    verify = adapters.physical.verify
    monkeypatch.setattr(
        adapters.physical, "verify", lambda at, backups: seen.append(len(backups)) or verify(at, backups)
    )
    jobs.run_job(orders, Job.VERIFY)
    jobs.run_job(orders, Job.VERIFY)
    jobs.run_job(orders, Job.INCREMENTAL)
    jobs.run_job(orders, Job.VERIFY)
    assert seen == [1, 1]


class TestRestoreTest:
    def test_measures_and_proves_the_whole_chain(self, orders, adapters):
        jobs.run_job(orders, Job.FULL)
        jobs.run_job(orders, Job.INCREMENTAL)
        record = jobs.run_job(orders, Job.RESTORE_TEST)
        assert record["result"] == "ok", record
        measured = record["restore_test"]
        assert measured["backup_id"] == "b1"
        assert measured["marker"]["id"] == 2
        assert 0 <= measured["rpo_seconds"] < 5
        assert measured["rows"] == 100
        assert History.read(Records(orders)).verified("local") == {"b0", "b1"}

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda restored: restored.live.clear(), "did not come back"),
            (lambda restored: restored.live.update({"app.public.orders": 0}), "came back empty"),
            (lambda restored: setattr(restored, "problems", ("index i is corrupt",)), "index i is corrupt"),
        ],
    )
    def test_names_what_is_wrong_and_remembers_the_backup_as_damaged(self, orders, adapters, spoil, told):
        jobs.run_job(orders, Job.FULL)
        spoil(adapters.physical.restored)
        record = jobs.run_job(orders, Job.RESTORE_TEST)
        assert record["error"]["code"] == "check-failed"
        assert told in record["error"]["what"]
        assert record["restore_test"]["rto_seconds"] >= 0
        assert History.read(Records(orders)).damaged("local") == {"b0"}
        assert jobs.run_job(orders, Job.RESTORE_TEST)["error"]["code"] == "corrupt-backup"

    def test_a_marker_that_is_missing_is_a_lost_transaction(self, orders, adapters):
        jobs.run_job(orders, Job.FULL)
        adapters.engine.markers.clear()
        assert "marker" in jobs.run_job(orders, Job.RESTORE_TEST)["error"]["what"]

    def test_a_missed_objective_fails_without_blaming_the_backup(self, orders, adapters):
        level = replace(orders.service_level, rpo=timedelta(seconds=0))
        jobs.run_job(orders, Job.FULL)
        time.sleep(0.11)
        record = jobs.run_job(replace(orders, service_level=level), Job.RESTORE_TEST)
        assert record["error"]["code"] == "objective-missed"
        assert History.read(Records(orders)).verified("local") == {"b0"}

    def test_the_scratch_server_is_removed_when_the_restore_fails(self, orders, adapters, tmp_path):
        jobs.run_job(orders, Job.FULL)
        adapters.physical.failures = [ServerUnavailable("did not start")] * 3
        assert jobs.run_job(orders, Job.RESTORE_TEST)["result"] == "failed"
        assert os.listdir(tmp_path / "scratch") == []

    def test_a_backup_that_cannot_be_read_is_named_and_remembered_as_damaged(self, orders, adapters):
        jobs.run_job(orders, Job.FULL)
        adapters.physical.failures = [CorruptBackup("ciphertext verification failed", where="orders, repository local")]
        record = jobs.run_job(orders, Job.RESTORE_TEST)
        assert record["error"]["where"] == "orders, repository local, backup b0"
        assert History.read(Records(orders)).damaged("local") == {"b0"}

    def test_works_while_the_live_server_is_down(self, orders, adapters):
        jobs.run_job(orders, Job.FULL)
        adapters.engine.down = ServerUnavailable("down")
        assert jobs.run_job(orders, Job.RESTORE_TEST)["result"] == "ok"

    def test_without_a_backup_it_says_so(self, orders, adapters):
        assert "no usable backup" in jobs.run_job(orders, Job.RESTORE_TEST)["error"]["what"]


def test_no_secret_reaches_a_record(orders, adapters):
    for job in (Job.FULL, Job.LOG, Job.VERIFY, Job.RESTORE_TEST, Job.EXPIRE):
        jobs.run_job(orders, job)
    assert "s3cret" not in json.dumps(written(orders))
    assert "s3cret" not in repr(orders.repositories)


def test_only_one_repository_is_no_archive(orders):
    alone = replace(orders, repositories=(Repository("local", "posix", {}),))
    assert not alone.is_archive(alone.repositories[0])
    assert [orders.is_archive(item) for item in orders.repositories] == [False, True]
