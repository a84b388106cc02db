from dataclasses import replace
from datetime import UTC, datetime, timedelta

import fakes
import pytest
from ansible.module_utils.holdfast.audit.model import Severity
from ansible.module_utils.holdfast.engines.logs import Holder, LogSpace
from ansible.module_utils.holdfast.logcare.settings import Settings, Share
from ansible.module_utils.holdfast.logcare.sizing import Disk, Subject, hourly, of_log, peak_hour

GIB = 1 << 30
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SPACE = LogSpace(
    directory="/data/pg_wal", size=GIB, files=64, rate=1000.0, redo_size=GIB, redo_rate=1000.0, redo_wanted=600_000,
    redo_parameter="max_wal_size", interval=180.0, archiving=True, slots_limited=True, unlimited_reason="reason",
)  # fmt: skip


def subject(space=SPACE, free=100 * GIB, total=200 * GIB, peak=0.0, settings=None, **level):
    disks = {"/data/pg_wal": Disk("/data/pg_wal", total, free, 1), "/data": Disk("/data", total, free, 1)}
    return Subject("orders", fakes.service_level(**level), space, disks, peak, settings or Settings())


def found(check, *args, **options):
    return of_log(subject(*args, **options))[check]


def test_a_server_with_room_has_no_finding():
    assert {check: items for check, items in of_log(subject()).items() if items} == {}


def test_the_busiest_hour_must_fit_for_as_long_as_the_outage_lasts():
    assert found("LG01", peak=4.0 * GIB) == []
    (finding,) = found("LG01", peak=5.0 * GIB)
    assert "the disk lasts 20h" in finding.found
    assert "120.0 GiB" in finding.found
    assert found("LG01", peak=5.0 * GIB, settings=Settings(outage=timedelta(hours=12))) == []


def test_without_a_measured_hour_the_average_of_the_server_counts():
    assert hourly(subject()) == 3_600_000
    assert hourly(subject(peak=9e9)) == 9e9


@pytest.mark.parametrize(("keeps", "wrong"), [(None, False), (86400.0, False), (3600.0, True)])
def test_log_must_outlive_the_outage(keeps, wrong):
    assert bool(found("LG02", replace(SPACE, keeps=keeps))) is wrong


def test_slots_without_a_limit_are_told_where_there_are_slots():
    slot = Holder("dr", True, 10, None, "physical slot")
    assert found("LG03", replace(SPACE, slots_limited=False)) == []
    (finding,) = found("LG03", replace(SPACE, slots_limited=False, holders=(slot,)))
    assert "dr (10 B)" in finding.found


@pytest.mark.parametrize(
    ("slot", "severity"),
    [
        (Holder("a", True, 1 * GIB, None, "physical slot"), None),
        (Holder("a", False, 1000, None, "physical slot"), None),
        (Holder("a", False, 2 << 20, None, "physical slot"), Severity.HIGH),
        (Holder("a", False, 11 * GIB, None, "physical slot"), Severity.CRITICAL),
        (Holder("a", True, 11 * GIB, None, "physical slot"), Severity.HIGH),
        (Holder("a", False, 0, None, "logical slot", "lost"), Severity.HIGH),
    ],
)
def test_a_slot_is_judged_by_use_and_size(slot, severity):
    findings = found("LG04", replace(SPACE, holders=(slot,)))
    assert [item.severity for item in findings] == ([severity] if severity else [])
    assert all("GiB" in item.found or "MiB" in item.found or "lost" in item.found for item in findings)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, 0),
        ({"interval": None}, 1),
        ({"interval": 901.0}, 1),
        ({"archiving": False}, 1),
        ({"failing": "archiving of X fails"}, 1),
        ({"slots_limited": None, "interval": None}, 0),
    ],
)
def test_log_must_leave_the_server_within_the_rpo(changes, wrong):
    assert len(found("LG05", replace(SPACE, **changes))) == wrong


def test_redo_is_judged_only_under_load():
    assert found("LG06", replace(SPACE, redo_size=1 << 20)) == []
    (finding,) = found("LG06", replace(SPACE, redo_size=96 << 20, redo_wanted=GIB, redo_rate=300000.0))
    assert "max_wal_size" in finding.subject
    assert "1.0 GiB or more" in finding.found


def test_a_file_system_below_its_reserve_is_told_once():
    (finding,) = found("LG12", free=20 * GIB, total=200 * GIB)
    assert finding.severity is Severity.HIGH
    (finding,) = found("LG12", free=1 * GIB, total=200 * GIB)
    assert finding.severity is Severity.CRITICAL
    assert found("LG12", free=20 * GIB, total=200 * GIB, settings=Settings(reserve=Share(bytes=10 * GIB))) == []


def record(started, saved, job="log"):
    return {"job": job, "started": started.isoformat(), "log": {"saved_bytes": saved}}


def test_the_busiest_hour_of_the_last_week():
    records = [
        record(NOW - timedelta(days=8), 10**12),
        record(NOW - timedelta(hours=3), 5),
        record(NOW - timedelta(hours=3) + timedelta(minutes=10), 6),
        record(NOW - timedelta(hours=1), 10),
        record(NOW, 10**9, job="full"),
        {"job": "log", "started": NOW.isoformat(), "error": {}},
    ]
    assert peak_hour(records, NOW) == 11.0
    assert peak_hour([], NOW) == 0.0
