"""A pair of each engine: replicas first, then a switchover, then the old primaries; and replicas that fail first.

Debian 13 has one version of these servers, so what is newer was packed anew from it, with a longer version.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.fleet import Database, together, until
from tests.integration.patching.conftest import LIMITS, rollout
from tests.integration.patching.packages import PLAIN, broken_program, repack, version, withdraw
from tests.integration.sites.conftest import (
    Pair,
    acknowledged,
    pairs,
    runbook,
    start_writing,
    stop_writing,
    streams,
    tokens,
)

__all__ = ["pairs"]

HOSTS = "pg2,maria2,dr1"
PROGRAMS = {
    "postgresql-17": "/usr/lib/postgresql/17/bin/postgres",
    "mariadb-server-core": "/usr/sbin/mariadbd",
}


def _patch(*args: str, code: int = 0) -> str:
    extra = {**LIMITS, "target": HOSTS, "deploy": HOSTS, "patching_backup": "none", "patching_backup_within": ""}
    return " ".join(runbook("patch", *args, code=code, **extra).split())


def _package(database: Database) -> str:
    return "postgresql-17" if database.is_postgresql else "mariadb-server-core"


@pytest.fixture(autouse=True, scope="module")
def _swapped_back(pairs: list[Pair]) -> Iterator[None]:
    """A patch leaves roles swapped, and whoever dissolves the pairs finds them as they were."""
    yield
    for pair in pairs:
        if pair.primary() != pair.first:
            runbook("switchover", instance=pair.first.name, confirm=pair.first.name)


def test_a_replica_that_does_not_come_back_ends_the_roll_out(pairs: list[Pair]) -> None:
    second = pairs[0].second
    before = [pair.first.identity() for pair in pairs]
    installed = version(second.host, "postgresql-17")
    broken = {second: broken_program(PROGRAMS["postgresql-17"])}
    packed = [*(pair.first for pair in pairs), second]
    together(lambda member: repack(member.host, _package(member), "lab6", broken.get(member, PLAIN)), *packed)
    _patch(code=2)
    ended = {item["host"]: item for item in rollout()}
    assert ended["dr1"]["outcome"] == "rolled back", ended
    assert {ended[name]["outcome"] for name in ("pg2", "maria2")} == {"nothing was changed"}
    assert "not begun: dr1 failed" in ended["pg2"]["message"]
    assert [pair.first.identity() for pair in pairs] == before
    assert version(second.host, "postgresql-17") == installed
    for pair in pairs:
        assert pair.primary() == pair.first
        until(lambda pair=pair: streams(pair.second))
    assert second.records("patch")[-1]["patch"]["outcome"] == "rolled back"
    withdraw(second.host)


def test_check_mode_shows_the_order(pairs: list[Pair]) -> None:
    for pair in pairs:
        repack(pair.second.host, _package(pair.second), "lab6")
    said = _patch("--check")
    order = said[said.index("order: - dr1") :]
    assert "maria2; before that, crm-dr on dr1 from crm takes over" in order
    assert "pg2; before that, analytics-dr on dr1 from analytics takes over" in order
    assert all(pair.primary() == pair.first for pair in pairs)


def test_a_pair_is_patched_without_a_loss(pairs: list[Pair]) -> None:
    members = [member for pair in pairs for member in pair.members]
    together(start_writing, *members)
    for pair in pairs:
        until(lambda pair=pair: len(acknowledged(pair.first)) > 5)
    _patch()
    for pair in pairs:
        before = len(acknowledged(pair.second))
        until(lambda pair=pair, before=before: len(acknowledged(pair.second)) > before + 5)
    stop_writing(*members)
    assert [item["outcome"] for item in rollout()] == ["patched"] * 3
    assert next(item["host"] for item in rollout()) == "dr1"
    for pair in pairs:
        assert pair.primary() == pair.second, "the old primary was patched while it was the primary"
        until(lambda pair=pair: streams(pair.first))
        for member in pair.members:
            assert version(member.host, _package(member)).endswith("+lab6")
            assert member.records("patch")[-1]["patch"]["outcome"] == "patched"
        written = acknowledged(pair.first) | acknowledged(pair.second)
        assert written - tokens(pair.second) == set()
        until(lambda pair=pair: tokens(pair.first) == tokens(pair.second))
        promoted = [item for item in pair.second.records("replication") if item["replication"]["action"] == "promote"]
        print(f"{pair.first.name}: {promoted[-1]['replication']['seconds_without_writes']} s without writes")
        assert promoted[-1]["replication"]["seconds_without_writes"] < 60
    _patch()
    assert [item["outcome"] for item in rollout()] == ["nothing due"] * 3
    assert all(pair.primary() == pair.second for pair in pairs), "nothing due is no reason to swap anything"
