"""A restore test touches nothing that lives, and leaves nothing behind, however it ends."""

from __future__ import annotations

from tests.integration.fleet import Database, until
from tests.integration.restore_test.test_measured import assert_no_scratch
from tests.integration.staging import assert_failed, payload, rotten, service_level, slow_repository


def _files(database: Database) -> list[str]:
    """Every file of the live data directory that ordinary work of an idle server leaves alone."""
    directory = database.identity()["directory"]
    return database.run(
        f"cd {directory} && find . -type f ! -path './pg_wal/*' ! -path './pg_stat*' ! -name 'binlog.*'"
        " ! -name 'ib_logfile*' ! -name 'ibtmp*' ! -name 'undo*' -printf '%i %m %u %p\\n' | sort"
    ).splitlines()


def test_live_server_is_not_touched(database: Database) -> None:
    identity, files = database.identity(), _files(database)
    assert database.holdfast("restore-test")["result"] == "ok"
    assert database.identity() == identity
    if database.is_postgresql:
        assert database.sql("SELECT pg_is_in_recovery()") == "f"
    # Relations may be vacuumed meanwhile; no file that was there is another one now.
    lost = set(files) - set(_files(database))
    assert not [line for line in lost if not line.endswith(("_vm", "_fsm", "pg_internal.init", ".opts"))]


def test_scratch_is_gone_when_the_backup_is_damaged(database: Database) -> None:
    backup = database.backup("full")["backup"]["id"]
    path = payload(database, backup)
    identity = database.identity()
    with rotten(database, path):
        record = database.holdfast("restore-test", "--backup", backup, code=1)
    assert record["error"]["code"] in ("corrupt-backup", "check-failed")
    assert_failed(database, record, record["error"]["code"], backup)
    assert_no_scratch(database)
    assert database.identity() == identity
    assert database.holdfast("restore-test", "--backup", backup)["result"] == "ok", "it was sound but for that byte"


def test_scratch_of_a_killed_test_is_removed_by_the_next(database: Database) -> None:
    database.run("setsid holdfast restore-test %s >/dev/null 2>&1 &", database.name)
    scratch = f"{database.state}/scratch/restore-test"
    kill = f"pkill -KILL -f 'holdfast [r]estore-test {database.name}'"
    database.run(f"for i in $(seq 1000); do [ -d {scratch}/data ] && {kill} && exit; sleep 0.02; done; exit 1")
    until(lambda: database.holdfast("reap") is not None and database.records(last=1)[0]["job"] == "restore_test")
    assert database.records(last=1)[0]["error"]["code"] == "killed"
    assert database.run("ls %s", scratch), "otherwise this test shows nothing"
    assert database.holdfast("restore-test")["result"] == "ok"
    assert_no_scratch(database)


def test_a_missed_objective_fails_and_says_by_how_much(shop: Database) -> None:
    with service_level(shop, rto="1s"), slow_repository(shop, 2):
        record = shop.holdfast("restore-test", code=1)
    assert_failed(shop, record, "objective-missed", "RTO", "1 s")
    assert record["restore_test"]["check"]["problems"] == 0
    assert all(found["intact"] for found in record["verified"].values()), "what came back did come back"
    assert_no_scratch(shop)
    assert shop.holdfast("restore-test")["result"] == "ok"
