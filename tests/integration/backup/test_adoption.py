"""Servers from before Holdfast: adopted as they are, or restarted when a person says so, never on its own."""

from __future__ import annotations

import pytest

from tests.integration.backup.conftest import Adoption
from tests.integration.fleet import LAB, LAB_DIR, Fleet, playbook

ARCHIVED_BEFORE = ("orders", "analytics", "shop")
MADE_FOR_TESTS = LAB == "molecule"  # its hosts are new, so nothing here may be passed over
UNLOGGED = "crm"  # its level has no log backup, and its server wrote no log when it was adopted


@pytest.fixture(autouse=True)
def _fresh(adoption: Adoption) -> None:
    if not adoption.permitted and not MADE_FOR_TESTS:
        pytest.skip("these hosts were set up before this run")


def test_only_servers_that_need_it_wait_for_a_restart(adoption: Adoption) -> None:
    assert "billing" in adoption.permitted
    assert not {*ARCHIVED_BEFORE, UNLOGGED} & set(adoption.permitted)


def test_status_names_the_parameter(adoption: Adoption) -> None:
    texts = [problem["text"] for problem in adoption.status["billing"]["problems"]]
    assert any("archive_mode" in text for text in texts)
    assert adoption.status["billing"]["state"] == "critical"


def test_exactly_the_named_servers_were_restarted(adoption: Adoption) -> None:
    restarted = {name for name, found in adoption.after.items() if found["pid"] != adoption.before[name]["pid"]}
    assert restarted == set(adoption.permitted)


def test_no_identity_changed(adoption: Adoption) -> None:
    for name, found in adoption.after.items():
        assert found["system"] == adoption.before[name]["system"]
        assert found["directory"] == adoption.before[name]["directory"]


def test_nothing_waits_any_more(fleet: Fleet, adoption: Adoption) -> None:
    for name in adoption.permitted:
        assert not [item for item in fleet[name].status()["problems"] if "restarted" in item["text"]]


def test_a_log_that_is_backed_up_later_takes_a_restart_by_name(fleet: Fleet) -> None:
    database = fleet[UNLOGGED]
    before = database.identity()
    level = {
        "rpo": "15m",
        "rto": "4h",
        "full": "weekly",
        "log": "continuous",
        "keep": {"full": "14d", "log": "14d"},
    }
    logged = {"db_service_levels": {database.level: level}, "backup_restart_instances": [UNLOGGED]}
    site = ("site", "--limit", f"{database.hostname},localhost")
    playbook(*site, extra=logged)
    try:
        after = database.identity()
        assert after["pid"] != before["pid"]
        assert after["system"] == before["system"]
        assert database.sql("SELECT @@log_bin") == "1"
        assert database.backup("log")["result"] == "ok"
    finally:
        playbook(*site)
    assert database.identity()["pid"] == after["pid"], "a log that is no longer backed up takes no restart"
    assert database.backup("incremental")["result"] == "ok"


def test_check_mode_told_the_truth(fleet: Fleet) -> None:
    """What check mode announced on the fresh hosts is what is there now."""
    log = LAB_DIR / "check.log"
    if not log.exists() and not MADE_FOR_TESTS:
        pytest.skip("no check mode was run on these hosts before they were set up")
    said = log.read_text()
    for database in fleet.values():
        for unit in database.run("ls /etc/systemd/system").split():
            if unit.startswith(f"holdfast-{database.name}-") and unit.endswith((".timer", ".service")):
                assert f"/etc/systemd/system/{unit}" in said
        for path in (f"/etc/holdfast/instances/{database.name}.json", database.keys, database.state):
            assert path in said
        for secrets in database.secrets.values():
            assert not [name for name, value in secrets.items() if value in said]
