"""A table that tells which of its rows were there at which moment."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.integration.fleet import Database, until

_UNARCHIVED = "SELECT 1 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' LIMIT 1"

_APPLICATION = """
import http.server, subprocess

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if subprocess.run({query}).returncode else 200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", {port}), Page).serve_forever()
"""


@dataclass
class Ledger:
    """The table ``ledger`` in the database that has the name of the instance."""

    database: Database

    def create(self) -> None:
        kind = "serial" if self.database.is_postgresql else "INT AUTO_INCREMENT"
        self.database.sql("DROP TABLE IF EXISTS ledger", self.database.name)
        self.database.sql(f"CREATE TABLE ledger (id {kind} PRIMARY KEY, entry TEXT)", self.database.name)

    def write(self, entry: str, rows: int = 1) -> None:
        """Add rows, each in a transaction of its own."""
        statement = f"INSERT INTO ledger (entry) VALUES ('{entry}')"
        if self.database.is_postgresql:
            lines = "\n".join([f"{statement};"] * rows)
            self.database.run(
                "sudo -u postgres psql -XAtq -p %s -d %s <<'EOF'\n" + lines + "\nEOF",
                str(self.database.port),
                self.database.name,
            )
        else:
            lines = "\n".join([f"{statement};"] * rows)
            self.database.run("mariadb -NB %s <<'EOF'\n" + lines + "\nEOF", self.database.name)

    def rows(self) -> list[str]:
        """Every row, in order."""
        return self.database.sql("SELECT id, entry FROM ledger ORDER BY id", self.database.name).splitlines()

    def now(self) -> str:
        """A moment with no transaction within a second of it, as the runbook takes it."""
        time.sleep(1.1)
        moment = self.database.sql(
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
            if self.database.is_postgresql
            else "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%f+00:00')"
        )
        time.sleep(1.1)
        return moment

    def save_log(self) -> None:
        """Have everything written so far in the repository."""
        if self.database.is_postgresql:
            self.database.sql("SELECT pg_switch_wal()")
            until(lambda: not self.database.sql(_UNARCHIVED))
        else:
            assert self.database.backup("log")["result"] == "ok"


def restore(database: Database, *args: str, code: int = 0) -> dict[str, Any]:
    """Restore by the runner, confirmed, and return the record."""
    result = database.host.run(
        "holdfast restore %s --confirm %s --json " + " ".join(args), database.name, database.name
    )
    assert result.rc == code, f"exit {result.rc}, not {code}: {result.stdout}{result.stderr}"
    record: dict[str, Any] = json.loads(result.stdout)
    return record


@contextmanager
def application(database: Database) -> Iterator[str]:
    """An application that answers with a page as long as its table can be read; its address."""
    port = 8080
    if database.is_postgresql:
        query = ["psql", "-XAtq", "-p", str(database.port), "-d", database.name, "-c", "SELECT count(*) FROM ledger"]
    else:
        query = ["mariadb", "-NB", database.name, "-e", "SELECT count(*) FROM ledger"]
    script = _APPLICATION.format(query=query, port=port)
    unit = "holdfast-test-application"
    run = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", f"--uid={database.owner}"]
    database.run(shlex.join([*run, "python3", "-c", script]))
    try:
        until(lambda: database.host.socket(f"tcp://127.0.0.1:{port}").is_listening)
        yield f"http://127.0.0.1:{port}/"
    finally:
        database.run("systemctl stop %s", unit)


def drop_previous(database: Database, record: dict[str, Any]) -> None:
    """Remove the data that a restore has set aside."""
    previous = record["restore"]["previous"]
    assert "before-" in previous
    database.run("rm -rf %s", previous)
