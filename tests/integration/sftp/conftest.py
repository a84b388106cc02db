"""An account on another host that can do nothing but sftp, and the servers that keep their backups with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.fleet import ROOT, Database, Fleet, connect, make_bare, together, until
from tests.integration.staging import edited

INVENTORY = ROOT / "molecule" / "sftp" / "inventory"
_UNARCHIVED = "SELECT 1 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' LIMIT 1"
_ACCOUNT_GONE = """
userdel keeper
rm -rf /srv/sftp /etc/ssh/keeper_keys /etc/ssh/sshd_config.d/keeper.conf
systemctl reload ssh
"""


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Every database of the lab, and those of this scenario."""
    return connect(INVENTORY)


@pytest.fixture(autouse=True, scope="module")
def _quiet(quiet: None, fleet: Fleet) -> Iterator[None]:
    """Timers rest; afterwards neither the account nor the servers are there."""
    yield
    fleet.hosts["dr1"].check_output("rm -f /etc/ssh/ssh_known_hosts")
    make_bare(fleet.hosts["dr1"])
    fleet.hosts["vault1"].check_output(_ACCOUNT_GONE)


@dataclass(frozen=True)
class Kept:
    """An instance whose first repository is over sftp, with what was stored there before the tests."""

    database: Database
    rows: str
    taken: dict[str, dict[str, Any]]  # records by type


def rows(database: Database) -> str:
    return database.sql("SELECT id, entry FROM kept ORDER BY id", _schema(database))


def insert(database: Database, entry: str) -> None:
    database.sql(f"INSERT INTO kept (entry) VALUES ('{entry}')", _schema(database))


def save_log(database: Database) -> dict[str, Any]:
    """Have every change in the repository; the record of the job that is there for it."""
    record = database.backup("log")
    if database.is_postgresql:  # it closes a segment only when a change has waited in it
        database.sql("SELECT pg_switch_wal()")
        until(lambda: not database.sql(_UNARCHIVED), seconds=60)
    return record


def _schema(database: Database) -> str:
    return "postgres" if database.is_postgresql else "stock"


@pytest.fixture(scope="module")
def kept(fleet: Fleet) -> dict[str, Kept]:
    """A full and an incremental backup and the log after them, of each engine."""

    def fill(name: str) -> Kept:
        database = fleet[name]
        if not database.is_postgresql:
            database.sql("CREATE DATABASE IF NOT EXISTS stock")
        key = "serial" if database.is_postgresql else "INT AUTO_INCREMENT"
        database.sql("DROP TABLE IF EXISTS kept", _schema(database))
        database.sql(f"CREATE TABLE kept (id {key} PRIMARY KEY, entry TEXT)", _schema(database))
        taken = {}
        for type_ in ("full", "incremental"):
            insert(database, f"before the {type_} backup")
            taken[type_] = database.backup(type_)
        insert(database, "before the log was saved")
        taken["log"] = save_log(database)
        return Kept(database, rows(database), taken)

    return {item.database.name: item for item in together(fill, "ledger", "stock")}


@pytest.fixture(params=["ledger", "stock"])
def one(request: pytest.FixtureRequest, kept: dict[str, Kept]) -> Kept:
    """Of each engine."""
    return kept[request.param]


@contextmanager
def settings(database: Database, **changes: str) -> Iterator[None]:
    """The repository over sftp has other settings."""
    with edited(database, lambda config: config["repositories"][0]["settings"].update(changes)):
        yield


@contextmanager
def cut_off(database: Database, host: str) -> Iterator[None]:
    """No packet reaches another host."""
    address = database.run("getent ahostsv4 %s | awk 'NR == 1 {print $1}'", host).strip()
    database.run("ip route add unreachable %s", address)
    try:
        yield
    finally:
        database.run("ip route del unreachable %s", address)
