"""Records survive a full disk, a cut line and their own trimming."""

from __future__ import annotations

import errno
import os
from datetime import timedelta

import pytest
from ansible.module_utils.holdfast.model import Job
from ansible.module_utils.holdfast.records import Records, finish, open_record
from ansible.module_utils.holdfast.units import format_instant, utcnow
from fakes import instance


@pytest.fixture
def orders(tmp_path):
    return instance(tmp_path)


def past(orders, job, days, result="ok"):
    record = finish(open_record(orders, job))
    record.update(finished=format_instant(utcnow() - timedelta(days=days)), result=result)
    return record


def test_a_record_is_written_on_a_full_disk_from_the_space_its_announcement_held(orders, monkeypatch):
    store = Records(orders)
    record = open_record(orders, Job.FULL)
    store.announce(record)
    announcement = os.path.join(orders.state_directory, "running", os.listdir(store._running)[0])
    assert os.path.getsize(announcement) >= 8192
    really_write = os.write

    def write(descriptor, data):
        if os.path.exists(announcement):
            raise OSError(errno.ENOSPC, "No space left on device")
        return really_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    store.append(finish(record, error={"code": "repository-full"}))
    assert [item["result"] for item in store] == ["failed"]


def test_a_part_of_a_record_is_taken_back(orders, monkeypatch):
    store = Records(orders)
    store.append(past(orders, Job.FULL, 0))
    really_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: really_write(descriptor, data[:10]))
    with pytest.raises(OSError, match="No space left"):
        store.append(past(orders, Job.FULL, 0))
    monkeypatch.undo()
    store.append(past(orders, Job.FULL, 0))
    assert len(list(store)) == 2


def test_a_damaged_line_hides_only_itself(orders):
    store = Records(orders)
    store.append(past(orders, Job.FULL, 1))
    with open(store.path, "a", encoding="utf-8") as stream:
        stream.write('{"cut": \n')
    store.append(past(orders, Job.VERIFY, 0))
    assert [item["job"] for item in store] == ["full", "verify"]
    assert store.newest()["job"] == "verify"


@pytest.mark.parametrize(
    ("job", "days", "result", "kept"),
    [
        (Job.FULL, 399, "ok", True),
        (Job.FULL, 401, "ok", False),
        (Job.LOG, 6, "ok", True),
        (Job.LOG, 8, "ok", False),
        (Job.LOG, 8, "failed", True),
    ],
)
def test_trimming_keeps_evidence_for_a_year_and_uneventful_log_jobs_for_a_week(orders, job, days, result, kept):
    store = Records(orders)
    store.append(past(orders, job, days, result))
    store.append(past(orders, Job.FULL, 0))
    assert store.trim(utcnow()) == (0 if kept else 1)
    assert len(list(store)) == (2 if kept else 1)


def test_no_record_is_lost_to_trimming(orders):
    store = Records(orders)
    store.append(past(orders, Job.FULL, 500))
    child = os.fork()
    if child == 0:
        for _ in range(100):
            store.append(past(orders, Job.FULL, 0))
        os._exit(0)
    for _ in range(100):
        store.trim(utcnow())
    os.waitpid(child, 0)
    store.trim(utcnow())
    assert len(list(store)) == 100
