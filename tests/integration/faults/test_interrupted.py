"""Jobs that are killed, stopped, too slow, in each other's way, or on a host whose clock is wrong."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

from tests.integration.fleet import Database, together, until
from tests.integration.staging import assert_failed, option, slow_repository, unharmed

TOOLS = "pgbackrest|mariadb-backup|mariabackup|restic"


def _working(database: Database) -> bool:
    """Wait on the host, where it can be seen in time, until a backup's tool is at work."""
    search = f"pgrep -u {database.owner} -f '({TOOLS}).*backup'"
    return database.host.run(f"for i in $(seq 400); do {search} && exit; sleep 0.02; done; exit 1").rc == 0


def _leftovers(database: Database) -> str:
    """Processes of a backup; those by which the server archives its log are its own."""
    return database.run(
        f"pgrep -a -u {database.owner} -f '({TOOLS}) .*({database.name}|backup)' | grep -v archive-", code=None
    )


def _newest(database: Database) -> dict:
    return database.records(last=1)[0]


def test_killed_under_systemd(database: Database) -> None:
    unit = f"holdfast-{database.name}-full.service"
    with unharmed(database):
        database.run("systemctl start --no-block %s", unit)
        assert _working(database)
        database.run("systemctl kill --kill-whom=main --signal=KILL %s", unit)
        until(lambda: database.run("systemctl is-active %s", unit, code=None).strip() == "failed")
        # Nobody has come by since: it is the unit's own ExecStopPost that wrote this.
        written = json.loads(database.run("tail -n 1 %s/records.jsonl", database.state))
        assert (written["job"], written["result"], written["error"]["code"]) == ("full", "failed", "killed")
        assert written["error"]["remedy"]
        assert not _leftovers(database)
        database.run("systemctl reset-failed %s", unit)


def test_killed_by_hand(database: Database) -> None:
    with unharmed(database):
        database.run("setsid holdfast backup %s >/dev/null 2>&1 &", database.name)
        assert _working(database)
        workers = "pgrep -u %s -f 'holdfast backup %s' | xargs --no-run-if-empty kill -9"
        database.run(workers % (database.owner, database.name))
        until(lambda: not _leftovers(database))
        reaped = database.holdfast("reap")
        newest = _newest(database)
        assert newest["error"]["code"] == "killed"
        assert newest["error"]["remedy"]
        assert reaped == [] or reaped[0]["id"] == newest["id"]


def test_stopped_by_systemd(database: Database) -> None:
    unit = f"holdfast-{database.name}-full.service"
    with unharmed(database):
        database.run("systemctl start --no-block %s", unit)
        assert _working(database)
        database.run("systemctl stop %s", unit)
        assert_failed_as(database, "interrupted")
        assert not _leftovers(database)


def test_time_limit(database: Database) -> None:
    with unharmed(database):
        with option(database, "time_limit_full", "1s"), slow_repository(database, 20):
            record = database.backup("full", code=1)
        assert_failed(database, record, "time-limit", "time_limit_full", "1.0s")
        assert record["seconds"] < 10
        assert not _leftovers(database)


def test_two_at_once(database: Database) -> None:
    before = database.ids()
    results = together(lambda _: database.host.run("holdfast backup %s --json", database.name), 1, 2)
    assert sorted(result.rc for result in results) == [0, 75]
    lost = next(json.loads(result.stdout)[database.name] for result in results if result.rc == 75)
    assert_failed(database, lost, "busy", "full")
    assert len(database.ids() - before) == 1


def test_scheduled_job_waits_for_the_other(database: Database) -> None:
    before = database.ids()
    results = together(lambda _: database.backup("incremental", "--scheduled"), 1, 2)
    assert [record["result"] for record in results] == ["ok", "ok"]
    assert len(database.ids() - before) == 2


def test_log_does_not_wait_for_a_backup(database: Database) -> None:
    database.run("setsid holdfast backup %s >/dev/null 2>&1 &", database.name)
    assert _working(database)
    saved = database.backup("log")
    assert saved["result"] == "ok"
    until(lambda: not database.status()["running"])
    full = database.records("full")[-1]
    assert full["started"] < saved["started"] < full["finished"]


def test_clock_went_back(database: Database) -> None:
    """A stand-in, as hosts of the lab share one clock: the newest record is from the future."""
    ahead = datetime.now(UTC) + timedelta(hours=2)
    mark = uuid.uuid4().hex[:16]
    newest = dict(_newest(database), id=mark)
    newest["finished"] = newest["started"] = ahead.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    path = f"{database.state}/records.jsonl"
    before = database.ids()
    database.run("echo %s >> %s", json.dumps(newest), path)
    try:
        record = database.backup("incremental", code=1)
        assert_failed(database, record, "clock-went-back", "behind")
        assert database.ids() == before
        assert database.backup("incremental")["result"] == "ok", "only one run fails; the next goes on"
    finally:
        database.run(f"sed -i /{mark}/d {path}")


def assert_failed_as(database: Database, code: str) -> None:
    newest = until(lambda: next((item for item in [_newest(database)] if item["result"] == "failed"), None))
    assert newest["error"]["code"] == code
