"""Every kind of target of MariaDB, under concurrent writers, across restarts and a restore: row by row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.integration.fleet import Database, Fleet, playbook, rest, until
from tests.integration.restore.ledger import Ledger, drop_previous, restore
from tests.integration.staging import assert_failed, service_level

# Each writer is one session that commits pairs of rows, so that half a transaction would show.
_WRITER = (
    'for n in $(seq 1 150); do echo "BEGIN; INSERT INTO pairs (writer, number) VALUES ({0}, $n);'
    ' INSERT INTO pairs (writer, number) VALUES ({0}, -$n); COMMIT; DO SLEEP(0.01);"; done'
    " | mariadb --force {1} >/dev/null 2>&1"
)
# A moment of the data and of the log that belong together, while others write.
_MOMENT = (
    "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT writer, number FROM pairs ORDER BY 1, 2;"
    " SHOW STATUS LIKE 'binlog_snapshot_%'; COMMIT"
)
_ROWS = "SELECT writer, number FROM pairs ORDER BY 1, 2"


@dataclass
class History:
    """What was where in the log."""

    database: Database
    backup: str = ""
    moments: list[dict[str, str]] = field(default_factory=list)  # file, position, gtid, and the rows there
    time: str = ""
    at_time: list[str] = field(default_factory=list)
    aside: list[dict] = field(default_factory=list)

    def rows(self) -> list[str]:
        return self.database.sql(_ROWS, self.database.name).splitlines()

    def note(self) -> None:
        lines = self.database.sql(_MOMENT, self.database.name).splitlines()
        status = (line.lower().split("\t") for line in lines if "apshot" in line)
        moment = {name.rpartition("_")[2]: value for name, value in status}
        moment["gtid"] = self.database.sql(f"SELECT BINLOG_GTID_POS('{moment['file']}', {moment['position']})")
        moment["rows"] = "\n".join(line for line in lines if "apshot" not in line)
        self.moments.append(moment)


@pytest.fixture(scope="module", params=["shop", "crm"])
def history(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[History]:
    """10.11 and 11.8: a backup, writers across a rotation and a restart, and then the accident."""
    database = fleet[request.param]
    found = History(database)
    with _log_backed_up(database), service_level(database, log_interval="300s"):
        database.sql("DROP TABLE IF EXISTS pairs", database.name)
        database.sql("CREATE TABLE pairs (id INT AUTO_INCREMENT PRIMARY KEY, writer INT, number INT)", database.name)
        _start_writers(database)
        until(found.rows)
        found.backup = database.backup("full")["backup"]["id"]
        found.note()
        database.sql("FLUSH BINARY LOGS")
        assert database.backup("log")["result"] == "ok"
        database.run("systemctl restart %s", database.unit)
        until(database.answers)
        _start_writers(database, first=11)
        until(lambda: database.sql("SELECT 1 FROM pairs WHERE writer > 10 LIMIT 1", database.name))
        found.note()
        until(
            lambda: (
                not database.sql(
                    "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND id <>"
                    " connection_id() LIMIT 1",
                    database.name,
                )
            )
        )
        found.at_time, found.time = found.rows(), Ledger(database).now()
        database.sql("DROP TABLE pairs", database.name)
        assert database.backup("log")["result"] == "ok"
        yield found
        database.sql("DROP TABLE IF EXISTS pairs", database.name)
        for record in found.aside:
            drop_previous(database, record)
        assert database.backup("full")["result"] == "ok"


@contextmanager
def _log_backed_up(database: Database) -> Iterator[None]:
    """The server writes a log although its level has no log backup: another inventory asks for it."""
    if database.level != "development":
        yield
        return
    keep = {"full": "14d", "log": "14d"}
    level = {"rpo": "15m", "rto": "4h", "full": "weekly", "log": "continuous", "keep": keep}
    site = ("site", "--limit", f"{database.hostname},localhost")
    extra = {"db_service_levels": {database.level: level}, "backup_restart_instances": [database.name]}
    playbook(*site, extra=extra)
    rest(database.host)
    try:
        yield
    finally:
        playbook(*site)


def _start_writers(database: Database, first: int = 1) -> None:
    for writer in range(first, first + 3):
        database.run("setsid sh -c %s >/dev/null 2>&1 &", _WRITER.format(writer, database.name))


def _assert_log_goes_on(history: History, record: dict) -> None:
    """The log goes on under names that were never used, with the GTIDs of what came back."""
    database = history.database
    first = database.sql("SHOW BINARY LOGS").splitlines()[0].split("\t")[0]
    assert int(first.rpartition(".")[2]) % 100_000 == 1
    assert first not in {moment["file"] for moment in history.moments}
    reached, now = record["restore"]["reached"]["position"].split(" ")[1], database.sql("SELECT @@gtid_binlog_pos")
    assert int(now.rpartition("-")[2]) >= int(reached.rpartition("-")[2])
    assert record["restore"]["log_proven"] >= first


def test_to_the_second_before_the_accident(history: History) -> None:
    record = restore(history.database, "--time", history.time, "--no-check", "--disconnect")
    history.aside.append(record)
    assert history.rows() == history.at_time
    assert record["restore"]["reached"]["time"] <= history.time
    _assert_log_goes_on(history, record)


@pytest.mark.parametrize(("number", "form"), [(0, "{gtid}"), (1, "{file}:{position}")])
def test_to_a_position_among_concurrent_writers_in_the_history_before_a_restore(
    history: History, number: int, form: str
) -> None:
    moment = history.moments[number]
    record = restore(history.database, "--position", form.format(**moment), "--no-check", "--disconnect")
    history.aside.append(record)
    rows = moment["rows"].splitlines()
    assert history.rows() == rows
    assert len(rows) % 2 == 0
    _assert_log_goes_on(history, record)


def test_a_target_that_the_log_does_not_reach_leaves_the_server_as_it_was(history: History) -> None:
    database = history.database
    before = history.rows()
    record = restore(database, "--position", "0-1-99999999", "--no-check", "--disconnect", code=2)
    assert_failed(database, record, "refused", "0-1-99999999", "the saved log ends at")
    assert history.rows() == before
    record = restore(database, "--backup", history.backup, "--no-check", "--disconnect", code=2)
    assert "after a restore" in record["error"]["what"], "the newest change is in another history"
    assert history.rows() == before


def test_a_full_backup_begins_the_new_history(history: History) -> None:
    database = history.database
    taken = database.backup("incremental")["backup"]
    assert taken["type"] == "full"
    assert "restored" in taken["details"]["reason"]
    database.sql("INSERT INTO pairs (writer, number) VALUES (99, 1), (99, -1)", database.name)
    expected, gtid = history.rows(), database.sql("SELECT @@gtid_binlog_pos")
    database.sql("INSERT INTO pairs (writer, number) VALUES (99, 2), (99, -2)", database.name)
    record = restore(database, "--position", gtid, "--disconnect")
    history.aside.append(record)
    assert history.rows() == expected
    assert record["restore"]["backup"]["id"] == taken["id"]
    assert record["restore"]["check"]["problems"] == 0
