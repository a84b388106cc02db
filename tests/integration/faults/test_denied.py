"""Refused logins and keys that are missing or wrong."""

from __future__ import annotations

import json

import pytest

from tests.integration.fleet import Database
from tests.integration.staging import assert_failed, key_changed, key_missing, login_denied, unharmed


def test_server_refuses_the_login(database: Database) -> None:
    with unharmed(database):
        with login_denied(database):
            record = database.backup("full", code=1)
        assert_failed(database, record, "access-denied")
        assert record["attempts"] == 1, "a refusal does not pass on its own"


def test_key_missing(database: Database) -> None:
    with unharmed(database):
        with key_missing(database):
            record = database.backup("full", code=1)
        assert_failed(database, record, "wrong-key", "passphrase")


def test_passphrase_wrong(database: Database) -> None:
    with unharmed(database):
        with key_changed(database, "local"):
            record = database.backup("full", code=1)
            listed = database.holdfast("list", code=1)
        assert_failed(database, record, "wrong-key", "local")
        assert any(item["repository"] == "local" and "error" in item for item in listed)
        assert not any(item["repository"] == "offsite" and "error" in item for item in listed), "it has its own key"


def test_object_store_refuses_the_credentials(database: Database) -> None:
    with unharmed(database):
        with key_changed(database, "offsite", "key_secret"):
            record = database.backup("archive", code=1)
        assert_failed(database, record, "access-denied", "offsite")


def test_nobody_else_may_run_jobs(database: Database) -> None:
    result = database.host.run(f"runuser -u nobody -- holdfast backup {database.name} --json")
    assert result.rc == 2
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "invalid-input"
    assert error["remedy"]


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        ("backup nonesuch", "nonesuch"),
        ("backup {name} --type weekly", "weekly"),
        ("restore-test {name} --backup nonesuch", "nonesuch"),
        ("list nonesuch", "nonesuch"),
    ],
)
def test_wrong_arguments_are_named(database: Database, arguments: str, mentions: str) -> None:
    before = database.ids()
    result = database.host.run(f"holdfast {arguments.format(name=database.name)}")
    assert result.rc in (1, 2)
    assert mentions in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert database.ids() == before


def test_a_slip_of_the_pen_does_not_count_against_the_backups(database: Database) -> None:
    database.host.run("holdfast restore-test %s --backup nonesuch", database.name)
    assert [item["text"] for item in database.status()["problems"] if "restore_test" in item["text"]] == []
