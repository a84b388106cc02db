"""Backups of every type, by the runner, on every engine and version of the lab."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.integration.fleet import Database, Fleet, together, until

pytestmark = pytest.mark.usefixtures("quiet")

EVERYWHERE = ("orders", "billing", "analytics", "shop", "crm")
TYPES = {
    "postgresql": ("full", "differential", "incremental", "log", "logical"),
    "mariadb": ("full", "differential", "incremental", "log", "logical"),
}


@pytest.fixture(scope="module")
def taken(fleet: Fleet) -> dict[str, dict[str, dict[str, Any]]]:
    """The record of one backup of each type that the instance takes, by instance and type."""

    def take(name: str) -> dict[str, dict[str, Any]]:
        database = fleet[name]
        types = [*TYPES[database.engine]] if name != "billing" else ["full", "incremental", "log"]
        if database.level != "development":
            types += ["archive"]
        return {type_: database.backup(type_) for type_ in types}

    # Hosts work side by side, the two instances of one host one after the other.
    by_host: dict[str, list[str]] = {}
    for name in EVERYWHERE:
        by_host.setdefault(fleet[name].hostname, []).append(name)
    results = together(lambda names: {name: take(name) for name in names}, *by_host.values())
    return {name: records for result in results for name, records in result.items()}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_each_backup_is_listed_with_what_a_restore_needs(fleet: Fleet, taken: dict, name: str) -> None:
    listed = {(item["repository"], item["id"]): item for item in fleet[name].holdfast("list")}
    for type_, record in taken[name].items():
        assert record["result"] == "ok"
        if type_ == "log":
            continue
        backup = record["backup"]
        found = listed[backup["repository"], backup["id"]]
        assert found["type"] == ("full" if type_ == "archive" else type_)
        assert backup["repository"] == ("offsite" if type_ == "archive" else "local")
        assert found["size_bytes"] > 1_000_000
        assert datetime.fromisoformat(found["started"]) <= datetime.fromisoformat(found["finished"])
        assert "error" not in found
        if type_ != "logical" and fleet[name].level != "development":
            assert found["log_stop"], "without a position nobody can roll forward from here"
        if type_ in ("incremental", "differential"):
            assert found["parent"] in {id_ for _, id_ in listed}
        else:
            assert found["parent"] is None


@pytest.mark.parametrize("name", EVERYWHERE)
def test_records_say_what_ran(fleet: Fleet, taken: dict, name: str) -> None:
    database = fleet[name]
    kept = {record["id"]: record for record in database.records()}
    for type_, record in taken[name].items():
        assert kept[record["id"]] == record
        assert (record["instance"], record["engine"], record["host"]) == (name, database.engine, database.hostname)
        assert (record["job"], record["service_level"], record["exit_code"]) == (type_, database.level, 0)
        assert record["marker"]["id"] > 0
        assert record["seconds"] > 0


@pytest.mark.parametrize("name", EVERYWHERE)
def test_log_reaches_the_repository(fleet: Fleet, taken: dict, name: str) -> None:
    database = fleet[name]
    before = database.backup("log")
    database.sql("CREATE TABLE IF NOT EXISTS log_probe (id int)", name)
    database.sql("INSERT INTO log_probe VALUES (1)", name)
    if database.is_postgresql:
        # An idle segment waits for the interval; what is in it counts as not saved until then.
        assert database.status()["rpo"]["lost_bytes"] > 0
        database.sql("SELECT pg_switch_wal()")
    # The server sends a closed segment by itself, a moment later.
    after = until(lambda: (record := database.backup("log"))["log"]["stop"] != before["log"]["stop"] and record)
    database.sql("DROP TABLE log_probe", name)
    assert taken[name]["log"]["result"] == after["result"] == "ok"
    assert after["lost_seconds"] < database.config["service_level"]["rpo"].count("s") * 900
    if database.level != "development":
        assert database.status()["rpo"]["failing"] is None


def test_incrementals_are_small_where_the_tool_can(fleet: Fleet, taken: dict) -> None:
    """Compared with the first full backup of all: what a later one shares with it is not stored again."""
    for name in ("analytics", "shop"):
        full = max(item["stored_bytes"] for item in fleet[name].backups(type_="full"))
        assert taken[name]["incremental"]["backup"]["stored_bytes"] < full / 2, name


def test_notes_say_where_the_tool_cannot(fleet: Fleet) -> None:
    """pgBackRest 2.45 on Debian 12 copies whole files."""
    assert any("incremental" in note for note in fleet["orders"].status()["notes"])
    assert not any("incremental" in note for note in fleet["analytics"].status()["notes"])


@pytest.mark.parametrize("name", ["orders", "analytics", "shop"])
def test_archive_copies_are_encrypted_in_the_object_store(fleet: Fleet, taken: dict, name: str) -> None:
    """What is stored is read as plain files, as the provider of the object store could."""
    database, vault = fleet[name], fleet.hosts["vault1"]
    place = f"/srv/s3/holdfast/{'pgbackrest' if database.is_postgresql else 'restic/' + name}"
    files = vault.check_output("find %s -type f -size +100c | grep -F %s", place, name).splitlines()
    assert len(files) > 3
    _assert_unreadable(vault, place, database)


@pytest.mark.parametrize("name", ["orders", "analytics", "shop", "crm"])
def test_local_backups_are_encrypted(fleet: Fleet, taken: dict, name: str) -> None:
    database = fleet[name]
    _assert_unreadable(database.host, database.local, database)


def _assert_unreadable(host: Any, place: str, database: Database) -> None:
    known = "customer17@example.org"
    data = database.sql("SHOW data_directory" if database.is_postgresql else "SELECT @@datadir")
    assert database.host.run("grep -rlF %s %s", known, data).stdout, "the search itself must be able to find something"
    assert host.run("grep -rlF %s %s", known, place).rc == 1
    # zstd frames, tar and xbstream would begin with these where nothing encrypted them.
    magic = r"^(\x28\xb5\x2f\xfd|XBSTCK|PGDMP|pgbackrest-format)"
    assert host.run("LC_ALL=C grep -rlaP %s %s", magic, place).rc == 1


@pytest.mark.parametrize("name", EVERYWHERE)
def test_verify_proves_them(fleet: Fleet, taken: dict, name: str) -> None:
    record = fleet[name].holdfast("verify", "--again")
    listed = fleet[name].holdfast("list")
    proven = {(repository, id_) for repository, found in record["verified"].items() for id_ in found["intact"]}
    assert proven == {(item["repository"], item["id"]) for item in listed}
    assert all(item["verified"] for item in listed)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_status_is_good_afterwards(fleet: Fleet, taken: dict, name: str) -> None:
    database = fleet[name]
    result = database.host.run("holdfast status %s --json", name)
    status = database.status()
    assert status["problems"] == []
    assert (status["state"], result.rc) == ("ok", 0)


def test_expire_removes_nothing_young(fleet: Fleet, taken: dict) -> None:
    database = fleet["analytics"]
    before = database.ids()
    plans = database.holdfast("expire", "--dry-run")
    assert {plan["repository"] for plan in plans} == {"local", "offsite"}
    for plan in plans:
        assert plan["expire"] == []
        assert plan["keep"]
        assert all(decision["reason"] for decision in plan["keep"])
        assert plan["window_before"] == plan["window_after"]
    assert database.holdfast("expire")["result"] == "ok"
    assert database.ids() == before
