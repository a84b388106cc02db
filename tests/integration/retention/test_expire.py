"""What expires is what the dry run said, and never what is still needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.fleet import Database, Fleet
from tests.integration.staging import restic, service_level

NEWEST_ONLY = {"full": {"count": 1}, "incremental": {"count": 1}, "differential": {}, "log": "1s", "minimum_full": 1}


@pytest.fixture(params=["orders", "shop"])
def kept(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Database]:
    """An instance that keeps one backup of each type. `orders` shares its repository with `billing`."""
    with service_level(fleet[request.param], keep=NEWEST_ONLY):
        yield fleet[request.param]


def _plan(database: Database) -> dict[str, Any]:
    """The plan for the physical backups in the first repository."""
    tool = "pgbackrest" if database.is_postgresql else "mariadb-backup"
    plans = database.holdfast("expire", "--dry-run")
    return next(plan for plan in plans if plan["repository"] == "local" and plan["tool"] == tool)


def _stored(database: Database) -> set[tuple[str, str]]:
    """Repository and name of every backup: an archive copy may have the name of the backup that it is a copy of."""
    return {(item["repository"], item["id"]) for item in database.holdfast("list")}


def _going(plan: dict[str, Any]) -> set[str]:
    return {item["id"] for item in plan["expire"]}


def _everything_verified(database: Database) -> None:
    """Every backup is proven intact. Old holes in the log, of which `verify` tells too, are another matter here."""
    database.host.run("holdfast verify %s --json", database.name)
    assert all(item["verified"] and "error" not in item for item in database.holdfast("list"))


def test_only_what_the_dry_run_said(kept: Database, fleet: Fleet) -> None:
    neighbour = fleet["billing"].ids()
    old = [kept.backup(type_)["backup"]["id"] for type_ in ("full", "incremental")]
    new = [kept.backup(type_)["backup"]["id"] for type_ in ("full", "incremental")]
    unproven = _plan(kept)
    assert not set(old) & _going(unproven), "nothing goes before its successor is verified"
    assert any("verified" in item["reason"] for item in unproven["keep"] if item["id"] in old)

    _everything_verified(kept)
    before = _stored(kept)
    plan = _plan(kept)
    assert set(old) <= _going(plan)
    assert not set(new) & _going(plan)
    assert all(item["reason"] for item in plan["expire"] + plan["keep"])
    assert plan["window_before"]["oldest"] < plan["window_after"]["oldest"]
    assert plan["window_before"]["newest"] == plan["window_after"]["newest"]
    assert _stored(kept) == before, "a dry run removes nothing"

    plans = kept.holdfast("expire", "--dry-run")
    promised = {(other["repository"], item["id"]) for other in plans for item in other["expire"]}
    record = kept.holdfast("expire")
    assert record["result"] == "ok"
    assert {(name, id_) for name, ids in record["expired"].items() for id_ in ids} == promised
    assert before - _stored(kept) == promised
    assert _going(_plan(kept)) == set()
    assert fleet["billing"].ids() == neighbour

    test = kept.holdfast("restore-test")
    assert test["result"] == "ok"
    assert test["restore_test"]["backup_id"] == new[-1]


def test_log_goes_with_the_backups_that_needed_it(kept: Database) -> None:
    kept.backup("full")
    if kept.is_postgresql:
        kept.sql("SELECT pg_switch_wal()")
    kept.backup("log")
    kept.backup("full")
    _everything_verified(kept)
    before = _logs(kept)
    assert kept.holdfast("expire")["result"] == "ok"
    after = _logs(kept)
    assert after < before
    assert after, "the newest backup needs log to become consistent"


def _logs(database: Database) -> set[str]:
    """What is stored of the log."""
    if database.is_postgresql:
        return set(database.run("find %s/archive/%s -type f -name '0*'", database.local, database.name).split())
    listed = json.loads(restic(database, "snapshots --json"))
    return {item["id"] for item in listed if any("log" in tag for tag in item.get("tags") or [])}


@pytest.mark.parametrize("kept", ["orders"], indirect=True)
def test_minimum_full_is_a_floor(kept: Database) -> None:
    for _ in range(2):
        kept.backup("full")
    _everything_verified(kept)
    with service_level(kept, keep={**NEWEST_ONLY, "incremental": {}, "minimum_full": 2}):
        fulls = [item["id"] for item in kept.backups("local", "full")]
        kept.holdfast("expire")
        left = [item["id"] for item in kept.backups("local", "full")]
    assert left == fulls[-2:]
