"""Servers as Holdfast found them, and restarted where that was permitted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.integration.fleet import Fleet, playbook


@dataclass
class Adoption:
    """How servers were before and after the run that may restart some, and what it said."""

    permitted: list[str]
    before: dict[str, dict[str, str]]
    status: dict[str, dict]
    after: dict[str, dict[str, str]]
    output: str


@pytest.fixture(scope="session", autouse=True)
def adoption(fleet: Fleet) -> Adoption:
    """Restart, by site.yml, exactly the servers that wait for it."""
    before = {name: database.identity() for name, database in fleet.items()}
    status = {name: database.status() for name, database in fleet.items()}
    waiting = [name for name, found in status.items() if any("restarted" in item["text"] for item in found["problems"])]
    output = playbook("site", extra={"backup_restart_instances": waiting}) if waiting else ""
    return Adoption(waiting, before, status, {name: item.identity() for name, item in fleet.items()}, output)
