"""What went wrong is undone: to the second, row by row, and the instance is whole again."""

from __future__ import annotations

import pytest

from tests.integration.fleet import Database, Fleet, playbook, until
from tests.integration.restore.ledger import Ledger, application, drop_previous, restore


@pytest.fixture(scope="module", params=["analytics", "shop"])
def ledger(request: pytest.FixtureRequest, fleet: Fleet) -> Ledger:
    found = Ledger(fleet[request.param])
    found.create()
    found.write("before the backup", 50)
    assert found.database.backup("full")["result"] == "ok"
    found.write("after the backup", 50)
    return found


def _assert_whole(database: Database) -> None:
    """Backups, log and status are as they are of an instance that was never restored."""
    assert database.backup("log")["result"] == "ok"
    found = database.status()
    wrong = [item["text"] for item in found["problems"] if "is damaged" not in item["text"]]
    assert wrong == [], "what other tests have damaged is another matter"
    left = database.run("find $(dirname %s) -maxdepth 2 -name '*holdfast-%s'", _directory(database), database.name)
    assert left == "", "a restore leaves its workshop behind"


def _directory(database: Database) -> str:
    return database.sql("SHOW data_directory" if database.is_postgresql else "SELECT @@datadir").rstrip("/")


def _configure_later(database: Database) -> tuple[str, str, str]:
    """Add a parameter to the configuration after the moment to restore to: its name, its value and its file."""
    if database.is_postgresql:
        name, value, path = "work_mem", "19MB", "/etc/postgresql/17/main/conf.d/later.conf"
        database.run("printf 'work_mem = 19MB\n' >%s", path)
    else:
        name, value, path = "max_connections", "78", "/etc/mysql/mariadb.conf.d/70-later.cnf"
        database.run("printf '[mariadbd]\nmax_connections = 78\n' >%s", path)
    return name, value, path


def test_a_dropped_table_is_back_and_the_plan_said_how(ledger: Ledger) -> None:
    database = ledger.database
    expected, moment = ledger.rows(), ledger.now()
    ledger.write("after the accident began", 10)
    database.sql("DROP TABLE ledger", database.name)
    ledger.save_log()
    name, value, path = _configure_later(database)

    wanted = {"instance": database.name, "time": moment, "target": database.hostname}
    before = database.identity()
    plan = playbook("restore", "--check", extra=wanted)
    assert database.identity() == before, "a plan changes nothing"
    for text in ("without a gap", "needed", "stops", "keeps", "loses", _directory(database)):
        assert text in plan, plan

    queries = [{"name": "rows", "sql": "SELECT count(*) FROM ledger", "database": database.name, "expected": "100"}]
    with application(database) as address:
        queries.append({"name": "page", "url": address})
        confirmed = {**wanted, "confirm": database.name, "db_validation_queries": {database.name: queries}}
        output = playbook("restore", extra=confirmed)
    assert "make anew" not in output
    assert ledger.rows() == expected
    record = database.records("restore")[-1]
    measured = record["restore"]
    assert record["result"] == "ok"
    assert measured["reached"]["time"] <= moment.replace("+00:00", "Z")
    assert measured["check"]["problems"] == 0
    assert measured["configuration"]["differs"] == {name: {"backup": "(not set)", "here": value}}
    assert name in output, "what is configured otherwise than in the backup is told, and stays"
    assert name in database.run("cat %s", path)
    database.run("rm %s", path)
    assert measured["check"]["objects"] > 0
    assert measured["validation"] == [
        {"name": "rows", "expected": "100", "found": "100", "ok": True},
        {"name": "page", "expected": "status 200 to 299", "found": "status 200", "ok": True},
    ]
    assert measured["log_proven"]
    assert measured["rto_seconds"] > 0
    assert database.records("full")[-1]["result"] == "ok"
    assert database.host.file(measured["previous"]).is_directory
    _assert_whole(database)
    drop_previous(database, record)


def test_a_restore_after_a_restore(ledger: Ledger) -> None:
    database = ledger.database
    ledger.write("a new history", 20)
    expected, moment = ledger.rows(), ledger.now()
    database.sql("DELETE FROM ledger WHERE id BETWEEN 20 AND 40", database.name)
    ledger.save_log()
    record = restore(database, "--time", moment, "--no-check")
    assert ledger.rows() == expected
    assert len(expected) == 120
    drop_previous(database, record)
    assert database.backup("full")["result"] == "ok"


def test_the_lost_data_directory_is_back_with_the_newest_change(ledger: Ledger) -> None:
    database = ledger.database
    ledger.write("the last change", 5)
    expected, directory = ledger.rows(), _directory(database)
    ledger.save_log()
    database.run("systemctl kill --signal=KILL %s && find %s -mindepth 1 -delete", database.unit, directory)
    until(lambda: not database.answers())
    record = restore(database)
    assert ledger.rows() == expected
    assert record["restore"]["lost"] == {}
    assert database.backup("incremental")["result"] == "ok"
    _assert_whole(database)
