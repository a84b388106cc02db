"""Tests on the real hosts of a lab.

Molecule runs one directory of these for each scenario. On a running lab that playbooks/site.yml has set up, so does

    HOLDFAST_LAB=demo .venv/bin/pytest tests/integration/faults

They take backups, stop servers and fill disks, and put back what they broke.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet import Database, Fleet, connect, rest, resume


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Every database of the lab."""
    return connect()


@pytest.fixture
def analytics(fleet: Fleet) -> Database:
    """PostgreSQL 17."""
    return fleet["analytics"]


@pytest.fixture
def shop(fleet: Fleet) -> Database:
    """MariaDB 10.11."""
    return fleet["shop"]


@pytest.fixture(params=["analytics", "shop"])
def database(request: pytest.FixtureRequest, fleet: Fleet) -> Database:
    """One of each engine, with everything that the default service level has."""
    return fleet[request.param]


@pytest.fixture(scope="module")
def quiet(fleet: Fleet) -> Iterator[None]:
    """No timer starts a job of its own while tests count backups, and none is left of those that were started."""
    hosts = {item.hostname: item.host for item in fleet.values()}
    rest(*hosts.values())
    yield
    resume(*hosts.values())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Molecule ends with scenarios, many lines below the test that failed: its target prints this file last."""
    path = os.environ.get("HOLDFAST_FAILURES")
    reports = [report for kind in ("failed", "error") for report in terminalreporter.getreports(kind)]
    if path and reports:
        with Path(path).open("a", encoding="utf-8") as stream:
            for report in reports:
                crash = getattr(report.longrepr, "reprcrash", None)
                reason = crash.message if crash else str(report.longrepr)
                stream.write(f"FAILED {report.nodeid} ({report.when}): {reason[:1500]}\n")
