"""Stored backups that rot, log that is missing, repositories that are somebody else's."""

from __future__ import annotations

from tests.integration.fleet import Database, until
from tests.integration.staging import assert_failed, foreign_repository, payload, rotten


def test_rotten_backup_is_found_and_no_longer_used(database: Database) -> None:
    sound = database.backup("full")["backup"]["id"]
    assert database.holdfast("verify")["result"] == "ok"
    damaged = database.backup("full")["backup"]["id"]
    with rotten(database, payload(database, damaged)):
        record = database.holdfast("verify", code=1)
        assert_failed(database, record, "corrupt-backup", damaged)
        assert damaged in record["verified"]["local"]["damaged"]
        assert sound not in record["verified"]["local"]["damaged"]
        listed = {item["id"]: item for item in database.backups()}
        assert listed[damaged]["error"]
        assert "error" not in listed[sound]
        status = database.status()
        assert status["state"] == "critical"
        assert any(damaged in problem["text"] for problem in status["problems"])
        test = database.holdfast("restore-test")
        assert test["restore_test"]["backup_id"] == sound, "a damaged backup must not be restored"
    assert database.holdfast("verify", "--again")["result"] == "ok"
    assert "error" not in {item["id"]: item for item in database.backups()}[damaged]


def test_repository_of_somebody_else(database: Database) -> None:
    with foreign_repository(database):
        record = database.backup("full", code=1)
        listing = database.run("find %s -type f | sort", database.local)
        assert_failed(database, record, "foreign-repository", "local")
        assert database.run("find %s -type f | sort", database.local) == listing, "nothing may be written to it"
    assert database.backup("incremental")["result"] == "ok"


def test_hole_in_the_log(analytics: Database) -> None:
    analytics.backup("full")
    archived = f"find {analytics.local}/archive/{analytics.name} -type f -name '0*.zst' -printf '%f %p\\n' | sort"
    known = set(analytics.run(archived).splitlines())
    for _ in range(3):
        analytics.sql("SELECT pg_logical_emit_message(true, 'test', 'a change'); SELECT pg_switch_wal()")
    fresh = until(lambda: sorted(found) if len(found := set(analytics.run(archived).splitlines()) - known) >= 3 else [])
    lost = fresh[1].split()[1]
    analytics.run("mv %s /var/lib/holdfast/lost-segment", lost)
    try:
        record = analytics.holdfast("verify", "--again", code=1)
        assert_failed(analytics, record, "corrupt-backup", "hole", fresh[0][:24], fresh[2][:24])
    finally:
        analytics.run("mv /var/lib/holdfast/lost-segment %s", lost)
    assert analytics.holdfast("verify", "--again")["result"] == "ok"


def test_log_purged_before_it_was_saved(shop: Database) -> None:
    assert shop.backup("log")["result"] == "ok"
    shop.sql("FLUSH BINARY LOGS")
    shop.sql("CREATE OR REPLACE TABLE lost_change (id INT)", "shop")
    shop.sql("FLUSH BINARY LOGS")
    newest = shop.sql("SHOW MASTER STATUS").split("\t")[0]
    shop.sql(f"PURGE BINARY LOGS TO '{newest}'")
    record = shop.backup("log", code=1)
    assert_failed(shop, record, record["error"]["code"], "purged")
    assert "backup now" in record["error"]["remedy"]
    assert shop.status()["state"] == "critical"
    shop.sql("DROP TABLE lost_change", "shop")
    assert shop.backup("full")["result"] == "ok"
    assert shop.backup("log")["result"] == "ok", "a full backup begins the log anew"
