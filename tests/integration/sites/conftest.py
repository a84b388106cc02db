"""Two pairs of a primary and a replica at an alternate site, and clients that write to whoever takes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.fleet import ROOT, Database, connect, make_bare, playbook, rest, resume, together, until
from tests.integration.staging import edited

INVENTORY = ROOT / "molecule" / "sites" / "inventory"
REMOTE = "dr1"
TABLE = "sites_written"
# The application has no right to write where only the administrator may. What it was told is written is in a file.
# Debian's psql is a script that looks for the real one, which would be most of the load.
WRITER = """
for directory in /usr/lib/postgresql/*/bin; do PATH=$directory:$PATH; done
number=0
while [ ! -e /run/holdfast-sites.stop ]; do
    number=$((number + 1))
    token="$(hostname)-$(date +%s)-$number"
    if {insert} >/dev/null 2>&1; then echo "$token" >>/run/{name}.acknowledged; fi
    sleep 0.1
done
"""


@dataclass(frozen=True)
class Pair:
    """An instance and its replica, as the inventory has them."""

    first: Database
    second: Database

    @property
    def members(self) -> tuple[Database, Database]:
        return self.first, self.second

    def primary(self) -> Database:
        """The member that takes writes now."""
        found = [member for member in self.members if writable(member)]
        assert len(found) == 1, f"{len(found)} members of {self.first.name} take writes"
        return found[0]

    def replica(self) -> Database:
        """The other one."""
        return next(member for member in self.members if member != self.primary())


def writable(database: Database) -> bool:
    """Whether an application can write to it."""
    command = insert(database, "probe")
    return bool(database.host.run(command).rc == 0)


def insert(database: Database, token: str) -> str:
    """A command that writes a row as the application does."""
    statement = f"INSERT INTO {TABLE} (token) VALUES ('{token}')"
    name = database.name.removesuffix("-dr")
    if database.is_postgresql:
        return f'PGPASSWORD=app psql -XqAt -h 127.0.0.1 -p {database.port} -U app -d {name} -c "{statement}"'
    return f'mariadb -uapp -papp {name} -e "{statement}"'


def tokens(database: Database) -> set[str]:
    """Every row of the table."""
    name = database.name.removesuffix("-dr")
    return set(database.sql(f"SELECT token FROM {TABLE}", name).split()) - {"probe"}


def acknowledged(database: Database) -> set[str]:
    """Every row of which the application on that host was told that it is written."""
    return set(database.run("cat /run/%s.acknowledged 2>/dev/null; true", database.name).split())


def start_writing(database: Database) -> None:
    """Have a client on the host write rows, or try to, until it is stopped."""
    script = WRITER.format(insert=insert(database, "$token"), name=database.name)
    database.run("rm -f /run/holdfast-sites.stop && printf %%s %s >/run/%s.sh", script, database.name)
    database.run("setsid nohup sh /run/%s.sh >/dev/null 2>&1 &", database.name)


def stop_writing(*databases: Database) -> None:
    """Stop the clients; what they wrote last has arrived at the replica after a moment."""
    for database in databases:
        database.run("touch /run/holdfast-sites.stop")
    time.sleep(1.5)


def runbook(name: str, *args: str, code: int = 0, **extra: Any) -> str:
    """Run a runbook with the inventory of the pairs."""
    return playbook(name, "-i", str(INVENTORY), *args, extra=extra, code=code)


def streams(database: Database) -> bool:
    """Whether a replica receives log, by its own word."""
    return bool((database.status()["replication"] or {}).get("streaming"))


@contextmanager
def on_its_own(replica: Database) -> Iterator[None]:
    """The runner does not know the pair. A stand-in for a replica that something else has set up."""
    replica.run("mv %s/pair.json %s/pair.json.kept", replica.state, replica.state)
    try:
        with edited(replica, lambda config: config.update(replica_of="")):
            yield
    finally:
        replica.run("mv %s/pair.json.kept %s/pair.json", replica.state, replica.state)


@pytest.fixture(scope="module")
def pairs() -> Iterator[list[Pair]]:
    """One pair of each engine. Afterwards the alternate site is as empty as it was, and nobody has a replica."""
    fleet = connect(INVENTORY)
    found = [Pair(fleet[name], fleet[f"{name}-dr"]) for name in ("analytics", "crm")]
    rest(*_hosts(found))
    for pair in found:
        _make_table(pair)
    yield found
    together(_dissolve, *found)
    make_bare(fleet.hosts[REMOTE])
    resume(*(pair.first.host for pair in found))


def _hosts(found: list[Pair]) -> list[Any]:
    return list({member.hostname: member.host for pair in found for member in pair.members}.values())


def _make_table(pair: Pair) -> None:
    first, name = pair.first, pair.first.name
    for member in pair.members:
        member.run("rm -f /run/%s.acknowledged", member.name)
    first.sql(f"DROP TABLE IF EXISTS {TABLE}", name)
    first.sql(f"CREATE TABLE {TABLE} (token VARCHAR(100))", name)
    if first.is_postgresql:
        if not first.sql("SELECT 1 FROM pg_roles WHERE rolname = 'app'"):
            first.sql("CREATE ROLE app LOGIN PASSWORD 'app'")
        first.sql(f"GRANT INSERT ON {TABLE} TO app", name)
    else:
        first.sql("CREATE OR REPLACE USER app@localhost IDENTIFIED BY 'app'")
        first.sql(f"GRANT INSERT ON {name}.{TABLE} TO app@localhost")
    until(lambda: streams(pair.second))


def _dissolve(pair: Pair) -> None:
    if pair.first.is_postgresql:
        pair.first.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
        pair.second.run("systemctl stop %s", pair.second.unit)
        until(lambda: not pair.first.sql("SELECT 1 FROM pg_replication_slots WHERE active"))
        pair.first.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    pair.first.sql(f"DROP TABLE IF EXISTS {TABLE}", pair.first.name)
    pair.first.run("rm -f %s/pair.json", pair.first.state)
    # Its log went on at the other site meanwhile, where the first repository is another one.
    assert pair.first.backup("full")["result"] == "ok"
