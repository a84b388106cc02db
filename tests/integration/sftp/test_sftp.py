"""Backups in a repository over sftp are taken, listed, read back and restored; who cannot be trusted gets none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.integration.fleet import INVENTORY as LAB_INVENTORY
from tests.integration.fleet import LAB, ROOT, Fleet, playbook
from tests.integration.sftp.conftest import INVENTORY, Kept, cut_off, insert, save_log, settings
from tests.integration.staging import assert_failed

WRITTEN = "find /etc/holdfast /etc/pgbackrest /etc/systemd/system -type f -exec md5sum {} + | sort"


def test_the_inventory_is_right() -> None:
    """As ``make validate`` asks it."""
    command = [sys.executable, str(ROOT / "module_utils" / "inventory_source.py"), str(LAB_INVENTORY), str(INVENTORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HOLDFAST_LAB": LAB})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no problems" in done.stdout


def test_full_incremental_and_log_are_stored_there(one: Kept) -> None:
    first = one.database.repositories[0]
    assert {type_: record["result"] for type_, record in one.taken.items()} == dict.fromkeys(one.taken, "ok")
    listed = {item["id"]: item["type"] for item in one.database.backups(first)}
    for type_ in ("full", "incremental"):
        assert listed[one.taken[type_]["backup"]["id"]] == type_
    assert one.taken["log"]["log"]["newest"]
    status = one.database.status()
    assert status["repositories"][first]["type"] == "sftp"
    assert [problem for problem in status["problems"] if problem["severity"] == "critical"] == []


def test_the_account_sees_nothing_else(one: Kept) -> None:
    """It can neither log in nor leave its directory: what Holdfast needs of it is sftp alone."""
    database = one.database
    key = database.config["repositories"][0]["settings"]["private_key_file"]
    run = "runuser -u {owner} -- ssh -i {key} -o BatchMode=yes keeper@vault1 cat /etc/passwd"
    assert "root:" not in database.run(run.format(owner=database.owner, key=key), code=None)


def test_verified_and_restored_from_there(one: Kept) -> None:
    database, first = one.database, one.database.repositories[0]
    ids = {one.taken[type_]["backup"]["id"] for type_ in ("full", "incremental")}
    verified = database.holdfast("verify", "--again")["verified"][first]
    assert ids <= set(verified["intact"])
    assert (verified["damaged"], verified["problems"]) == ({}, [])
    record = database.holdfast("restore-test", "--repository", first)
    assert record["result"] == "ok"
    assert record["restore_test"]["repository"] == first
    assert record["restore_test"]["backup_id"] == one.taken["incremental"]["backup"]["id"]
    assert record["restore_test"]["rows"] >= len(one.rows.splitlines()) == 3
    assert record["restore_test"]["marker"]["id"] >= one.taken["log"]["marker"]["id"]


def test_a_stored_backup_is_copied_from_there(kept: dict[str, Kept]) -> None:
    """restic reads one repository and writes another; pgBackRest cannot and takes a backup."""
    stock = kept["stock"]
    record = stock.database.backup("archive")
    assert record["backup"]["id"] == stock.taken["full"]["backup"]["id"]
    assert [item["id"] for item in stock.database.backups("local")] == [record["backup"]["id"]]


@pytest.mark.parametrize(
    ("changes", "mentions"),
    [
        ({"known_hosts_file": "/run/strangers-hosts"}, "host key"),
        ({"private_key_file": "/run/strangers-key"}, "private key"),
    ],
    ids=["host key", "private key"],
)
def test_a_stranger_on_either_side(one: Kept, changes: dict[str, str], mentions: str) -> None:
    """Another host with the name of the right one, and a key that the account does not know."""
    database = one.database
    before = database.ids()
    make = "ssh-keygen -q -t ed25519 -N '' -f /run/strangers-key && chown %s /run/strangers-key"
    database.run(f"{make} && (printf 'vault1 '; cat /run/strangers-key.pub) > /run/strangers-hosts", database.owner)
    try:
        with settings(database, **changes):
            record = database.backup("full", code=1)
            listed = database.holdfast("list", code=1)
    finally:
        database.run("rm /run/strangers-*")
    assert_failed(database, record, "access-denied", database.repositories[0], mentions)
    assert record["attempts"] == 1, "a refusal is not tried again"
    assert [item["repository"] for item in listed if "error" in item] == database.repositories[:1]
    assert database.ids() == before


def test_out_of_reach(one: Kept) -> None:
    database = one.database
    with cut_off(database, "vault1"):
        insert(database, "while it was out of reach")
        record = database.backup("log", code=1)
        status = database.status()
    assert_failed(database, record, "repository-unavailable", database.repositories[0], "vault1:22 does not answer")
    assert status["state"] == "critical"
    assert status["repositories"][database.repositories[0]]["error"]["code"] == "repository-unavailable"
    assert save_log(database)["result"] == "ok"
    assert database.status()["rpo"]["lost_seconds"] < 60


def test_a_version_without_sftp_says_so_and_nothing_is_changed(fleet: Fleet) -> None:
    database = fleet["billing"]
    before, server = database.run(WRITTEN), database.identity()
    said = " ".join(playbook("site", "-i", str(INVENTORY), extra={"target": "pg1"}, code=2).split())
    reason = "repository attic of type sftp is not applicable: it needs pgBackRest 2.46 or newer, this is 2.45."
    assert f"billing, pgbackrest: {reason} Give the instance other repositories" in said
    assert database.run(WRITTEN) == before
    assert database.identity() == server
    assert database.backup("incremental")["result"] == "ok"
