"""Hosts with older packages than there are, clients that write, and the way back to what was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fleet import ROOT, Database, Fleet, playbook, rest, resume, together, until
from tests.integration.patching.packages import age, names, untouched
from tests.integration.sites.conftest import acknowledged, insert, start_writing, stop_writing, tokens

TABLE = "sites_written"
LIMITS = {"patching_verified_within": "", "patching_patience": 20, "patching_kinds": "database"}

__all__ = ["acknowledged", "insert", "start_writing", "stop_writing", "tokens"]


def patch(*args: str, code: int = 0, **extra: Any) -> str:
    """Run patch.yml; without other words only the databases are patched."""
    return " ".join(playbook("patch", *args, extra={**LIMITS, **extra}, code=code).split())


def package_of(database: Database) -> str:
    """The package of its server's program."""
    return f"postgresql-{database.unit.split('@')[1].split('-')[0]}" if database.is_postgresql else "mariadb-server"


def make_table(database: Database) -> None:
    """A table for clients, empty."""
    name = database.name
    database.run("rm -f /run/%s.acknowledged", name)
    database.sql(f"DROP TABLE IF EXISTS {TABLE}", name)
    database.sql(f"CREATE TABLE {TABLE} (token VARCHAR(100), written TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP)", name)
    if database.is_postgresql:
        if not database.sql("SELECT 1 FROM pg_roles WHERE rolname = 'app'"):
            database.sql("CREATE ROLE app LOGIN PASSWORD 'app'")
        database.sql(f"GRANT INSERT ON {TABLE} TO app", name)
    else:
        database.sql("CREATE OR REPLACE USER app@localhost IDENTIFIED BY 'app'")
        database.sql(f"GRANT INSERT ON {name}.{TABLE} TO app@localhost")


def longest_gap(database: Database) -> float:
    """Seconds in which no client wrote anything, at most."""
    if database.is_postgresql:
        query = (
            "SELECT max(extract(epoch FROM gap)) FROM"
            f" (SELECT written - lag(written) OVER (ORDER BY written) AS gap FROM {TABLE}) g"
        )
    else:
        query = (
            "SELECT max(gap) FROM (SELECT timestampdiff(MICROSECOND, lag(written) OVER (ORDER BY written), written)"
            f" / 1e6 AS gap FROM {TABLE}) g"
        )
    return float(database.sql(query, database.name))


@contextmanager
def load(*databases: Database) -> Iterator[None]:
    """Clients write, before, meanwhile and after."""
    together(start_writing, *databases)
    for database in databases:
        until(lambda database=database: len(acknowledged(database)) > 5)
    try:
        yield
        before = {database.name: len(acknowledged(database)) for database in databases}
        for database in databases:
            until(lambda database=database: len(acknowledged(database)) > before[database.name] + 5)
    finally:
        stop_writing(*databases)


def last_patch(database: Database) -> dict[str, Any]:
    """The newest record of a patch."""
    return database.records("patch")[-1]


def window(ends: datetime) -> list[dict[str, str]]:
    """A maintenance window, as a host has it."""
    first, last = (time.replace(tzinfo=None) for time in (ends - timedelta(hours=1), ends))
    return [{"name": "tonight", "kind": "maintenance", "time_zone": "UTC", "first": f"{first}", "last": f"{last}"}]


@pytest.fixture(scope="session")
def aged(fleet: Fleet) -> dict[str, tuple[str, str]]:
    """The versions of two servers, before and after: the older ones run."""

    def make_older(name: str) -> tuple[str, str]:
        database = fleet[name]
        older, newer = age(database.host, package_of(database))
        for one in fleet.values():
            if one.hostname == database.hostname:
                one.run("systemctl restart %s", one.unit)
                until(one.answers)
        return older, newer

    return dict(zip(("orders", "shop"), together(make_older, "orders", "shop"), strict=True))


@pytest.fixture(scope="session", autouse=True)
def _as_found(fleet: Fleet) -> Iterator[None]:
    """No timer starts a job meanwhile; afterwards the hosts are as they were, with newer packages at most."""
    databases = [fleet[name] for name in ("orders", "shop")]
    hosts = list(fleet.hosts.values())
    before = together(names, *hosts)
    rest(*(database.host for database in databases))
    together(make_table, *databases)
    yield
    for database in databases:
        database.sql(f"DROP TABLE IF EXISTS {TABLE}", database.name)
    resume(*(database.host for database in databases))
    together(lambda item: untouched(*item), *zip(hosts, before, strict=True))


def rollout() -> list[dict[str, Any]]:
    """How the last roll-out ended, by host."""
    return json.loads((Path(ROOT) / "reports" / "patches" / "rollout.json").read_text())["hosts"]
