"""Servers and repositories that do not answer: tried again, then told, and made good by the next run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.fleet import Fleet, until
from tests.integration.staging import assert_failed, server_stopped

# Retries take half a minute: all of these wait at once.
SERVER_DOWN = ("billing", "crm")
REPOSITORY_DOWN = ("analytics", "shop")


@pytest.fixture(scope="module")
def outages(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Two servers and the object store down, seen by a job of each engine: what was there before, during, after."""
    found: dict[str, dict[str, Any]] = {name: {"before": fleet[name].ids()} for name in SERVER_DOWN + REPOSITORY_DOWN}
    vault = fleet.hosts["vault1"]

    def attempt(name: str) -> None:
        type_ = "full" if name in SERVER_DOWN else "archive"
        found[name]["record"] = fleet[name].backup(type_, code=1)
        found[name]["status"] = fleet[name].status()
        if name == "shop":
            found[name]["meanwhile"] = fleet[name].backup("incremental")

    with ExitStack() as stack:
        for name in SERVER_DOWN:
            stack.enter_context(server_stopped(fleet[name]))
            found[name]["verify"] = fleet[name].holdfast("verify", "--again")
        stack.callback(vault.check_output, "systemctl start s3")
        vault.check_output("systemctl stop s3")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(attempt, found))
    until(lambda: vault.socket("tcp://9000").is_listening)

    def recover(name: str) -> None:
        found[name]["after"] = fleet[name].ids()
        found[name]["next"] = fleet[name].backup("incremental" if name in SERVER_DOWN else "archive")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(recover, found))
    return found


@pytest.mark.parametrize("name", SERVER_DOWN)
def test_server_down(fleet: Fleet, outages: dict[str, dict[str, Any]], name: str) -> None:
    record = outages[name]["record"]
    assert_failed(fleet[name], record, "server-unavailable", fleet[name].name)
    assert record["attempts"] == 3
    assert record["seconds"] > 30
    status = outages[name]["status"]
    assert status["state"] == "critical"
    assert any(fleet[name].name in problem["text"] for problem in status["problems"])
    _assert_recovered(outages[name])


@pytest.mark.parametrize("name", SERVER_DOWN)
def test_what_is_stored_is_verified_without_the_server(outages: dict[str, dict[str, Any]], name: str) -> None:
    proven = outages[name]["verify"]["verified"]
    assert outages[name]["before"] == {id_ for found in proven.values() for id_ in found["intact"]}


@pytest.mark.parametrize("name", REPOSITORY_DOWN)
def test_repository_unreachable(fleet: Fleet, outages: dict[str, dict[str, Any]], name: str) -> None:
    record = outages[name]["record"]
    assert_failed(fleet[name], record, "repository-unavailable", "offsite")
    assert record["attempts"] == 3
    status = outages[name]["status"]
    assert status["state"] == "critical"
    assert status["repositories"]["offsite"]["error"]["code"] == "repository-unavailable"
    assert "error" not in status["repositories"]["local"], "the repository that does answer must still be shown"
    _assert_recovered(outages[name])


def test_local_backups_go_on_without_the_object_store(outages: dict[str, dict[str, Any]]) -> None:
    """MariaDB's do. PostgreSQL's wait for the log, which pgBackRest sends to every repository at once."""
    assert outages["shop"]["meanwhile"]["result"] == "ok"


def _assert_recovered(outage: dict[str, Any]) -> None:
    meanwhile = {outage["meanwhile"]["backup"]["id"]} if "meanwhile" in outage else set()
    assert outage["after"] == outage["before"] | meanwhile, "a backup that failed is listed as if it were good"
    assert outage["next"]["result"] == "ok"
