"""What is wrong is said before anything is touched, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.fleet import Database, playbook, until
from tests.integration.restore.ledger import restore
from tests.integration.staging import assert_failed, key_missing


@contextmanager
def untouched(database: Database) -> Iterator[None]:
    before = database.identity()
    yield
    assert database.identity() == before, "a refusal changes nothing"


@contextmanager
def connected(database: Database) -> Iterator[None]:
    """An application has a session."""
    if database.is_postgresql:
        client = f"sudo -u postgres psql -X -p {database.port} -c 'SELECT pg_sleep(60)'"
        session = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
        end = "SELECT pg_terminate_backend({})"
    else:
        client = "mariadb -e 'SELECT SLEEP(60)'"
        session = "SELECT id FROM information_schema.processlist WHERE info = 'SELECT SLEEP(60)'"
        end = "KILL {}"
    database.run(f"nohup {client} >/dev/null 2>&1 &")
    until(lambda: database.sql(session))
    try:
        yield
    finally:
        database.sql(end.format(database.sql(session)))


def test_everything_that_stands_in_the_way_is_said_at_once(database: Database) -> None:
    with untouched(database), connected(database):
        restore(database, "--confirm", f"{database.name}x", "--time", "2026-01-01T00:00:00Z", code=2)
    record = database.records("restore")[-1]
    assert_failed(database, record, "refused", f"confirm with the exact name of the instance, '{database.name}'")
    assert "clients are connected" in record["error"]["what"]
    assert "lies before the end of backup" in record["error"]["what"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--time", "2999-01-01T00:00:00Z"), "is in the future"),
        (("--backup", "nosuch"), "backup nosuch cannot reach"),
        (("--repository", "nosuch"), "no repository 'nosuch'"),
        (("--time", "yesterday"), "is no time"),
        (("--time", "2026-11-21T00:00:00Z", "--position", "0/5"), "cannot be targets at once"),
        (("--position", "nonsense"), "nonsense"),
    ],
)
def test_a_target_that_makes_no_sense(analytics: Database, arguments: tuple[str, ...], message: str) -> None:
    with untouched(analytics):
        result = analytics.host.run(f"holdfast restore analytics --confirm analytics --json {' '.join(arguments)}")
    assert result.rc == 2
    assert message in result.stdout + result.stderr


def test_a_missing_key(database: Database) -> None:
    with untouched(database), key_missing(database):
        result = database.host.run("holdfast restore %s --confirm %s --json", *[database.name] * 2)
    assert result.rc != 0
    assert "key" in result.stdout + result.stderr


def test_an_instance_that_no_host_has() -> None:
    assert "No host of this play has nosuch" in playbook("restore", extra={"instance": "nosuch"}, code=2)


def test_a_target_that_the_log_does_not_reach(database: Database) -> None:
    """The server stays in service with what it had; how far the log goes is said."""
    position = "FF/0" if database.is_postgresql else "0-1-999999999"
    with untouched(database):
        record = restore(database, "--position", position, code=2)
    assert_failed(database, record, "refused", "log")
