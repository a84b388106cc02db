"""What the playbooks took, proved and reported."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.integration.fleet import LAB_DIR, Database, Fleet, playbook

EVERYWHERE = ("orders", "billing", "analytics", "shop", "crm")


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, Any]]:
    """The fleet as status.yml wrote it."""
    path = LAB_DIR / "fleet.json"
    if not path.exists():
        for name in ("backup", "restore_test"):
            playbook(name)
        playbook("status", extra={"status_output": str(path)})
    return {item["instance"]: item for item in json.loads(path.read_text())}


def test_every_instance_is_in_the_report(report: dict) -> None:
    assert set(report) == set(EVERYWHERE)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_restore_is_proven_with_numbers(fleet: Fleet, report: dict, name: str) -> None:
    found = report[name]["restore_test"]
    assert found["result"] == "ok", found["error"]
    assert 0 < found["rto_seconds"] <= found["rto_target_seconds"]
    assert 0 <= found["rpo_seconds"] <= found["rpo_target_seconds"]
    assert found["tables"] >= 5
    assert found["rows"] > 10_000
    assert found["check"]["objects"] >= found["tables"]
    assert found["check"]["problems"] == 0
    assert found["size_bytes"] > 1_000_000
    # Phases are parts of the RTO.
    assert found["phases"]
    assert sum(found["phases"].values()) <= found["rto_seconds"] + 1
    expected = {"postgresql": "pg_amcheck", "mariadb": "CHECK TABLE"}[fleet[name].engine]
    assert expected.lower() in found["check"]["checker"].lower()


@pytest.mark.parametrize("name", EVERYWHERE)
def test_marker_of_the_backup_came_back(fleet: Fleet, report: dict, name: str) -> None:
    database, found = fleet[name], report[name]["restore_test"]
    taken = next(
        item for item in reversed(database.records()) if item.get("backup", {}).get("id") == found["backup_id"]
    )
    assert found["marker"]["id"] >= taken["marker"]["id"]
    written = datetime.fromisoformat(found["marker"]["written"])
    assert written >= datetime.fromisoformat(taken["marker"]["written"])


@pytest.mark.parametrize("name", EVERYWHERE)
def test_report_has_all_that_a_summary_needs(report: dict, name: str) -> None:
    found = report[name]
    assert found["state"] == "ok", found["problems"]
    assert found["service_level"]
    assert found["inventory_host"]
    assert found["version"]
    assert found["role"] == "primary"
    assert found["last_backup"]["type"]
    assert found["last_backup"]["size_bytes"] > 0
    assert found["last_backup"]["stored_bytes"] > 0
    assert found["rpo"]["target_seconds"] > 0
    assert found["rto"]["target_seconds"] > 0
    if found["service_level"] != "development":
        assert found["rpo"]["lost_seconds"] >= 0
        assert found["rpo"]["lost_bytes"] >= 0
    assert found["repositories"]["local"]["backups"] >= 1
    assert found["next_runs"]["full"]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_nothing_is_left_of_the_scratch_server(fleet: Fleet, name: str) -> None:
    assert_no_scratch(fleet[name])


def test_table_for_people(report: dict) -> None:
    output = playbook("status")
    for name, found in report.items():
        assert name in output
        assert found["inventory_host"] in output


def assert_no_scratch(database: Database) -> None:
    """Neither files nor processes of a scratch server are there."""
    assert database.run("find %s/scratch -mindepth 1 2>/dev/null || true", database.state) == ""
    assert database.run(f"pgrep -af '{database.state}/[s]cratch' || true") == ""
