"""A damaged backup, a repository that fails, a killed restore: nothing that existed is lost."""

from __future__ import annotations

import pytest

from tests.integration.fleet import Fleet, playbook, until
from tests.integration.restore.ledger import Ledger, drop_previous, restore
from tests.integration.staging import assert_failed, payload


@pytest.fixture(scope="module", params=["analytics", "shop"])
def ledger(request: pytest.FixtureRequest, fleet: Fleet) -> Ledger:
    found = Ledger(fleet[request.param])
    found.create()
    found.write("in both backups", 30)
    assert found.database.backup("full")["result"] == "ok"
    found.write("in the second backup", 30)
    return found


def test_a_damaged_backup_gives_way_to_the_one_before_with_the_same_target(ledger: Ledger) -> None:
    database = ledger.database
    older = database.backups(type_="full")[-1]["id"]
    if not database.is_postgresql:
        # Of what is stored next, the most is to be of the backup, and not of the log.
        ballast = "INSERT INTO ballast SELECT RANDOM_BYTES(1024) FROM seq_1_to_3000"
        database.sql(f"SET sql_log_bin = 0; CREATE TABLE ballast (content BLOB); {ballast}", database.name)
    newest = database.backup("full")["backup"]["id"]
    file = payload(database, newest)
    ledger.write("after both", 30)
    expected, moment = ledger.rows(), ledger.now()
    ledger.write("later")
    ledger.save_log()
    database.run(
        "cp -p %s %s.kept && dd if=/dev/urandom of=%s bs=1k count=4 seek=1 conv=notrunc status=none", *[file] * 3
    )
    try:
        record = restore(database, "--time", moment, "--no-check")
    finally:
        database.run("mv %s.kept %s", file, file)
        # What was damaged for a moment is found intact again. The holes that other tests left in the log are told again
        # with it, and are old news for the verification after it, which reads what is new.
        database.host.run("holdfast verify %s --again --json", database.name)
        database.host.run("holdfast verify %s --json", database.name)
    assert ledger.rows() == expected
    assert record["restore"]["backup"]["id"] == older
    assert [item["backup"] for item in record["restore"]["fallback"]] == [newest]
    drop_previous(database, record)
    assert database.backup("full")["result"] == "ok"


def test_data_that_fail_a_query_of_the_user_do_not_go_into_service(ledger: Ledger) -> None:
    database = ledger.database
    before = database.identity()["system"]
    expected = ledger.rows()
    moment = ledger.now()
    ledger.write("kept")
    ledger.save_log()
    queries = [{"name": "rows", "sql": "SELECT count(*) FROM ledger", "database": database.name, "expected": "1"}]
    wanted = {"instance": database.name, "confirm": database.name, "time": moment, "target": database.hostname}
    playbook(
        "restore", extra={**wanted, "restore_check": False, "db_validation_queries": {database.name: queries}}, code=2
    )
    assert database.identity()["system"] == before
    assert len(ledger.rows()) == len(expected) + 1, "what was there is in service again"
    assert_failed(database, database.records("restore")[-1], "check-failed", f"rows: '{len(expected)}', not '1'")


def test_a_killed_restore_is_started_again(ledger: Ledger) -> None:
    database = ledger.database
    expected = ledger.rows()
    ledger.save_log()
    database.run("nohup holdfast restore %s --confirm %s >/dev/null 2>&1 &", *[database.name] * 2)
    staged = "find /var/lib/postgresql /var/lib/mysql -maxdepth 6 -path '*/restore/data/*' 2>/dev/null | grep -q ."
    until(lambda: database.host.run(staged).rc == 0, every=0.05)
    database.run("pkill -KILL -f '[h]oldfast restore'")
    until(lambda: database.host.run("pgrep -f '[h]oldfast restore'").rc != 0)
    assert database.holdfast("reap")[-1]["error"]["code"] == "killed"
    assert not database.answers(), "it was stopped, and nobody was left to start it"
    record = restore(database, "--no-check")
    assert ledger.rows() == expected
    drop_previous(database, record)
    assert database.backup("full")["result"] == "ok"
