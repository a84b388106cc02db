"""Maintenance windows on real hosts: what is postponed, let in, stopped and refused, and what an override does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.fleet import Database, Fleet, playbook, rest, together
from tests.integration.staging import edited, slow_repository

NAMES = ("analytics", "shop")
SITE = ("site", "--limit", "pg2,maria1,localhost")
IN_TWO_DAYS = (datetime.now(UTC) + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
OPENS = IN_TWO_DAYS.strftime("%Y-%m-%d %H:%M UTC")
# As an inventory has them: nothing but the log job may begin before the day after tomorrow.
LATER = {
    name: {"kind": kind, "time_zone": "UTC", "from": IN_TWO_DAYS.strftime("%Y-%m-%d"), "until": "2099-01-01"}
    for name, kind in (("quiet-hours", "low_impact"), ("downtime", "maintenance"))
}
PERSON = {"window_override_by": "Dana", "window_override_reason": "disk is failing", "window_override_for": "10m"}


@pytest.fixture(scope="module", autouse=True)
def _closed(fleet: Fleet) -> Iterator[None]:
    """The windows of both instances are closed, as playbooks/site.yml left them, and no timer starts a job."""
    playbook(*SITE, extra={"db_maintenance_windows": LATER})
    rest(*(fleet[name].host for name in NAMES))
    yield
    playbook(*SITE)
    for name in NAMES:
        fleet[name].run("rm -f %s/override.json", fleet[name].state)


def _open_for(database: Database, seconds: float) -> AbstractContextManager[None]:
    """Low-impact hours that close in so many seconds, written as the host has them."""
    now = datetime.now(UTC).replace(tzinfo=None)
    first, last = now - timedelta(hours=1), now + timedelta(seconds=seconds)
    window = {"name": "soon-over", "kind": "low_impact", "time_zone": "UTC", "first": f"{first}", "last": f"{last}"}
    return edited(database, lambda config: config.update(windows=[window]))


def _newest(database: Database) -> dict[str, Any]:
    return json.loads(database.run("tail -n 1 %s/records.jsonl", database.state))


def _scheduled(database: Database, job: str) -> dict[str, Any]:
    """Run a job as its timer does, and return its record."""
    database.run("systemctl start %s", f"holdfast-{database.name}-{job}.service")
    return _newest(database)


def test_a_scheduled_backup_outside_its_window_is_postponed_and_recorded(database: Database) -> None:
    before = database.ids()
    record = _scheduled(database, "full")
    assert (record["job"], record["result"], record["exit_code"]) == ("full", "ok", 0)
    assert "low-impact window quiet-hours" in record["skipped"]
    assert OPENS in record["skipped"]
    assert record["postponed"] > IN_TWO_DAYS.isoformat()
    assert database.ids() == before
    told = database.status()
    assert told["next_runs"]["full"] == record["postponed"]
    assert not [text for text in told["problems"] if "full" in text["text"]], told["problems"]
    assert _scheduled(database, "log")["log"]


def test_inside_its_window_it_runs(database: Database) -> None:
    before = database.ids()
    with _open_for(database, 3600):
        record = _scheduled(database, "full")
    assert record["window"]["allowed"] is True
    assert database.ids() == before | {record["backup"]["id"]}


def test_a_backup_that_a_person_wants_goes_on_with_a_warning(database: Database) -> None:
    result = database.host.run("holdfast backup %s --type incremental", database.name)
    assert result.rc == 0, result.stderr
    assert "incremental goes on outside its windows" in result.stdout + result.stderr
    assert _newest(database)["window"]["allowed"] is False


def test_a_job_is_stopped_cleanly_at_the_end_of_its_window(database: Database) -> None:
    before = database.ids()
    with slow_repository(database, 20), _open_for(database, 5):
        result = database.host.run("holdfast restore-test %s --scheduled --json", database.name)
    record = _newest(database)
    assert (result.rc, record["result"], record["error"]["code"]) == (1, "failed", "window-closed"), record
    assert "low-impact window soon-over ends at" in record["error"]["what"]
    assert record["seconds"] < 10
    assert database.run("find %s/scratch -mindepth 1 -maxdepth 1", database.state, code=None) == ""
    assert database.run("pgrep -a -u %s -f %s/scratch", database.owner, database.state, code=None) == ""
    assert database.ids() == before
    assert database.answers()


def _restore(name: str, *args: str, code: int = 0, **extra: Any) -> str:
    wanted = {"instance": name, "confirm": name, "restore_full_backup": False, "restore_disconnect": True, **extra}
    limit = {"analytics": "pg2", "shop": "maria1"}[name]
    return playbook("restore", "--limit", limit, *args, extra=wanted, code=code)


def test_a_restore_is_refused_with_the_next_opening_and_an_override_lets_it_through(fleet: Fleet) -> None:
    databases = [fleet[name] for name in NAMES]
    before = [database.identity() for database in databases]
    for told in together(lambda name: _restore(name, "--check", code=2), *NAMES):
        assert "refused: destructive work may begin in maintenance window downtime" in told
        assert OPENS in told
    for told in together(lambda name: _restore(name, code=2, window_override_by="Dana"), *NAMES):
        assert "an override needs a person and a reason, and has no reason" in told
    assert [database.identity() for database in databases] == before

    together(lambda name: _restore(name, **PERSON), *NAMES)
    for database, old in zip(databases, before, strict=True):
        assert database.identity()["started"] != old["started"] or database.identity()["pid"] != old["pid"]
        granted, restored = database.records("override")[-1], database.records("restore")[-1]
        assert (granted["override"]["by"], granted["override"]["reason"]) == ("Dana", "disk is failing")
        assert restored["result"] == "ok"
        assert restored["window"]["allowed"] is False
        assert restored["window"]["override"] == granted["override"]
        assert any("overridden by Dana" in note for note in database.status()["notes"])


def test_an_override_by_hand_lets_a_scheduled_job_in_until_it_ends(database: Database) -> None:
    record = database.holdfast("override", "--reason", "INC-4711", "--by", "Ben", "--for", "1m")
    assert record["override"]["by"] == "Ben"
    assert _scheduled(database, "incremental")["backup"]
    # A stand-in for the minute that passes.
    path = f"{database.state}/override.json"
    database.run(f'sed -i \'s/"until": "20/"until": "19/\' {path}')
    assert "postponed" in _scheduled(database, "incremental")


def test_the_window_is_a_gauge_of_its_instance_alone(database: Database) -> None:
    labels = f'db_instance="{database.name}"'
    lines = database.run("holdfast metrics").splitlines()
    found = [line for line in lines if line.startswith("holdfast_maintenance_window_open{") and labels in line]
    assert [line.split()[-1] for line in found] == ["0"]
