"""The outcome that a user cares about: the row that was deleted is back, and so is the dropped table."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.fleet import Database, Fleet, until

ASIDE = (Path(__file__).parents[1] / "aside.py").read_text()


@dataclass
class Accident:
    """A table with 100 rows at the backup and 150 just before 10 were deleted and another table was dropped."""

    database: Database
    backup: str
    before: str

    def restored(self, *moment: str) -> dict[str, int]:
        """Rows of the tables in question after a restore aside, by name without schema."""
        arguments = " ".join((self.database.name, self.backup, *moment))
        command = f"runuser -u {self.database.owner} -- python3 -I - {arguments} <<'EOF'\n{ASIDE}\nEOF"
        counts = self.database.run(command)
        return {table.rpartition(".")[2]: rows for table, rows in json.loads(counts).items() if "accident_" in table}


def _insert(database: Database, rows: int) -> None:
    values = ", ".join(f"('row {number}')" for number in range(rows))
    database.sql(f"INSERT INTO accident_rows (content) VALUES {values}", database.name)


@pytest.fixture(scope="module", params=["orders", "analytics", "shop"])
def accident(request: pytest.FixtureRequest, fleet: Fleet) -> Accident:
    """Rows written after a full backup, then the accident, all of it in the saved log."""
    database = fleet[request.param]
    kind = "serial" if database.is_postgresql else "INT AUTO_INCREMENT"
    for table in ("accident_rows", "accident_dropped"):
        database.sql(f"DROP TABLE IF EXISTS {table}", database.name)
        database.sql(f"CREATE TABLE {table} (id {kind} PRIMARY KEY, content TEXT)", database.name)
    _insert(database, 100)
    database.sql("INSERT INTO accident_dropped (content) VALUES ('a'), ('b'), ('c')", database.name)
    backup = database.backup("full")["backup"]["id"]
    _insert(database, 25)
    # The log goes on in another file, and across a restart of the server.
    database.run("systemctl restart %s", database.unit)
    until(database.answers)
    _insert(database, 15)
    database.sql("SELECT pg_switch_wal()" if database.is_postgresql else "FLUSH BINARY LOGS", database.name)
    _insert(database, 10)
    time.sleep(1.1)
    now = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
    before = database.sql(
        now if database.is_postgresql else "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%f+00:00')"
    )
    time.sleep(1.1)
    database.sql("DELETE FROM accident_rows WHERE id <= 10", database.name)
    database.sql("DROP TABLE accident_dropped", database.name)
    if database.is_postgresql:
        database.sql("SELECT pg_switch_wal()")
        until(lambda: not database.sql(_UNARCHIVED))
    assert database.backup("log")["result"] == "ok"
    return Accident(database, backup, before)


_UNARCHIVED = "SELECT 1 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' LIMIT 1"


def test_rows_written_after_the_backup_are_back(accident: Accident) -> None:
    assert accident.restored() == {"accident_rows": 140}


def test_deleted_rows_and_the_dropped_table_are_back_from_before(accident: Accident) -> None:
    assert accident.restored(accident.before) == {"accident_rows": 150, "accident_dropped": 3}


def test_live_server_has_none_of_it(accident: Accident) -> None:
    assert accident.database.sql("SELECT count(*) FROM accident_rows", accident.database.name) == "140"
