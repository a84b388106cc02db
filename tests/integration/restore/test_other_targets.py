"""Targets that PostgreSQL alone has, and the restore onto the live files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.fleet import Database, Fleet
from tests.integration.restore.ledger import Ledger, drop_previous, restore


@pytest.fixture(scope="module")
def ledger(fleet: Fleet) -> Ledger:
    found = Ledger(fleet["analytics"])
    found.create()
    found.write("before the backup", 20)
    assert found.database.backup("full")["result"] == "ok"
    return found


def _import(database: Database) -> str:
    """Write rows in one transaction and return its number."""
    rows = "INSERT INTO ledger (entry) SELECT 'imported' FROM generate_series(1, 10)"
    return database.sql(f"BEGIN; {rows}; SELECT txid_current(); COMMIT", database.name).split()[-1]


def test_a_named_restore_point(ledger: Ledger) -> None:
    database = ledger.database
    expected = ledger.rows()
    database.sql("SELECT pg_create_restore_point('before_the_import')")
    _import(database)
    ledger.save_log()
    record = restore(database, "--point", "before_the_import", "--no-check")
    assert ledger.rows() == expected
    drop_previous(database, record)


def test_a_transaction_and_then_its_timeline(ledger: Ledger) -> None:
    database = ledger.database
    assert database.backup("full")["result"] == "ok"
    number = _import(database)
    expected = ledger.rows()
    ledger.write("after the transaction", 5)
    everything = ledger.rows()
    timeline = database.sql("SELECT timeline_id FROM pg_control_checkpoint()")
    ledger.save_log()
    record = restore(database, "--transaction", number, "--no-check")
    assert ledger.rows() == expected
    drop_previous(database, record)

    ledger.save_log()
    record = restore(database, "--timeline", timeline, "--no-check")
    assert ledger.rows() == everything, "the history that the first restore left is still there"
    drop_previous(database, record)


def test_onto_the_live_files(ledger: Ledger) -> None:
    database = ledger.database
    assert database.backup("full")["result"] == "ok"
    ledger.write("after the backup", 10)
    expected, moment = ledger.rows(), ledger.now()
    database.sql("DELETE FROM ledger", database.name)
    ledger.save_log()
    system = database.identity()["system"]
    record = restore(database, "--time", moment, "--delta", "--no-check")
    assert ledger.rows() == expected
    assert record["restore"]["previous"] is None
    assert database.identity()["system"] == system
    assert database.backup("incremental")["result"] == "ok"


def test_nobody_starts_the_server_on_half_restored_files(ledger: Ledger) -> None:
    """The control file comes last."""
    database = ledger.database
    assert database.backup("full")["result"] == "ok"
    expected, moment = ledger.rows(), ledger.now()
    database.sql("DELETE FROM ledger", database.name)
    ledger.save_log()
    control = f"{database.identity()['directory']}/global/pg_control"
    with ThreadPoolExecutor() as pool:
        restored = pool.submit(restore, database, "--time", moment, "--delta", "--no-check")
        gone = f"for i in $(seq 3000); do [ -e {control} ] || {{ pkill -STOP pgbackrest && exit; }}; sleep 0.01; done"
        stopped = database.host.run(f"{gone}; exit 1")
        started = database.host.run("systemctl start %s", database.unit)
        database.run("pkill -CONT pgbackrest")
        record = restored.result()
    assert stopped.rc == 0, "the control file was there all the time"
    assert started.rc != 0
    assert record["result"] == "ok"
    assert ledger.rows() == expected


def test_tablespaces(ledger: Ledger) -> None:
    database = ledger.database
    place = "/var/lib/postgresql/elsewhere"
    database.run("rm -rf %s && install -d -o postgres -m 700 %s", place, place)
    database.sql(f"CREATE TABLESPACE elsewhere LOCATION '{place}'")
    try:
        database.sql("CREATE TABLE far (id int) TABLESPACE elsewhere", database.name)
        database.sql("INSERT INTO far SELECT generate_series(1, 1000)", database.name)
        assert database.backup("full")["result"] == "ok"
        moment = ledger.now()
        database.sql("DELETE FROM far", database.name)
        ledger.save_log()
        record = restore(database, "--time", moment, "--no-check")
        assert database.sql("SELECT count(*), sum(id) FROM far", database.name) == "1000\t500500"
        database.run("systemctl restart %s", database.unit)
        assert database.sql("SELECT count(*), sum(id) FROM far", database.name) == "1000\t500500"
        now = database.sql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'elsewhere'")
        assert now != place, "the files of before are still there"
        drop_previous(database, record)
    finally:
        database.sql("DROP TABLE IF EXISTS far", database.name)
        database.sql("DROP TABLESPACE elsewhere")
    assert database.backup("full")["result"] == "ok"
