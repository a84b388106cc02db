"""Replicas that stand by, roles that change without a loss, and a site that is lost and comes back.

The tests follow each other: each begins with the roles that the one before left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.fleet import Database, plug_in, together, unplug, until
from tests.integration.restore.ledger import restore
from tests.integration.sites.conftest import (
    REMOTE,
    TABLE,
    Pair,
    acknowledged,
    insert,
    on_its_own,
    runbook,
    start_writing,
    stop_writing,
    streams,
    tokens,
    writable,
)
from tests.integration.staging import edited

SECRET = ("pair.json", "replication.pgpass")
LEAKS = """
python3 -c 'import json; print(json.load(open("'%s'/pair.json"))["peer"]["password"])' |
    grep -rlF -f - /var/log /etc /var/lib/holdfast /tmp 2>/dev/null; true
"""
BROKEN = {True: "ALTER SYSTEM SET primary_conninfo = ''", False: "STOP SLAVE"}


def test_replicas_stand_by(pairs: list[Pair]) -> None:
    for pair in pairs:
        assert pair.primary() == pair.first
        found = pair.second.status()
        assert found["role"] == "replica"
        assert found["replication"]["peer"] == pair.first.name
        assert found["replication"]["streaming"]
        assert found["replication"]["lag_seconds"] < 10
        assert [problem["text"] for problem in found["problems"]] == []
        assert found["rpo"]["lost_seconds"] == found["replication"]["lag_seconds"]
        assert pair.first.status()["replication"]["replicas"] == [pair.second.name]
        assert not writable(pair.second)


def test_a_replica_was_filled_from_the_repository_and_leaves_no_password_behind(pairs: list[Pair]) -> None:
    for pair in pairs:
        filled = next(item for item in pair.second.records("replication") if "filled" in item["replication"])
        assert filled["replication"]["filled"]["repository"] == "offsite"
        for member in pair.members:
            # The password stays on the host: sudo logs every command line.
            leaks = member.run(LEAKS, member.state).split()
            # MariaDB keeps it in its data directory, also in one that was set aside.
            leaks = [path for path in leaks if "/before-" not in path]
            assert set(leaks) <= {f"{item}/{name}" for item in _states(pairs) for name in SECRET}, member.name
            assert f"{member.state}/pair.json" in leaks
            for path in leaks:
                assert member.run("stat -c %%a %s", path).strip() == "600", path


def _states(pairs: list[Pair]) -> list[str]:
    return [member.state for pair in pairs for member in pair.members]


def test_jobs_of_a_replica_rest(pairs: list[Pair]) -> None:
    for pair in pairs:
        refused = pair.second.holdfast("backup", "--type", "full", code=2)
        assert refused["error"]["code"] == "refused"
        assert pair.first.name in refused["error"]["what"]
        assert "skipped" in pair.second.holdfast("backup", "--type", "full", "--scheduled")


def test_log_that_a_replica_still_needs_stays(pairs: list[Pair]) -> None:
    first, second = pairs[1].members
    hosts = f"{first.hostname},{REMOTE}"

    def purge() -> str:
        first.backup("full")
        first.host.run("holdfast verify %s --json", first.name)
        asked = {"purge": True, "instances": first.name, "confirm": first.name, "target": hosts}
        return " ".join(runbook("logs", **asked).split())

    second.sql("STOP SLAVE SQL_THREAD")
    try:
        needed = first.sql("SHOW MASTER STATUS").split("\t")[0]
        for number in range(3):
            first.sql(f"INSERT INTO {TABLE} VALUES ('log-{number}'); FLUSH BINARY LOGS", first.name)
        assert f"stays: {needed}: replica {second.name} still needs {needed}" in purge()
        assert needed in first.sql("SHOW BINARY LOGS")
    finally:
        second.sql("START SLAVE SQL_THREAD")
    until(lambda: tokens(second) == tokens(first))
    assert f"stays: {needed}: replica {second.name} would need it when made from" in purge()
    assert needed in first.sql("SHOW BINARY LOGS")
    # With a log backup it may go: a later test makes the replica anew from a backup that is older than this.
    with edited(first, lambda config: config["service_level"]["schedule"].update(log="*/5 * * * *")):
        assert first.backup("log")["result"] == "ok"
        assert needed in purge()
    assert needed not in first.sql("SHOW BINARY LOGS")
    first.sql(f"DELETE FROM {TABLE}", first.name)
    until(lambda: streams(second))


def test_a_replica_does_not_go_on_after_its_primary_was_restored(pairs: list[Pair]) -> None:
    def write(database: Database, *written: str) -> None:
        for token in written:
            assert database.host.run(insert(database, token)).rc == 0

    def undo(pair: Pair) -> None:
        first, second = pair.members
        write(first, "kept")
        assert first.backup("full")["result"] == "ok"
        write(first, "undone-0", "undone-1")
        until(lambda: "undone-1" in tokens(second))
        assert first.backup("log")["result"] == "ok"
        restore(first, "--consistent", "--disconnect", "--no-check")
        assert first.backup("full")["result"] == "ok"  # as the runbook takes it; not where the replica looks
        write(first, *(f"later-{number}" for number in range(6)))  # more than what was undone
        if not first.is_postgresql:
            # What a replica lacks is in the repositories alone: log of before and of after the restore.
            first.sql("FLUSH BINARY LOGS")
            assert first.backup("log")["result"] == "ok"
            first.sql(f"PURGE BINARY LOGS TO '{first.sql('SHOW MASTER STATUS').split()[0]}'")

    with edited(pairs[1].first, lambda config: config["service_level"]["schedule"].update(log="*/5 * * * *")):
        together(undo, *pairs)
        said = runbook("replication", target="dr1", instances=pairs[1].second.name, code=2)
        assert "playbooks/failback.yml" in said
        for pair in pairs:
            assert not any(token.startswith("later") for token in tokens(pair.second)), "it has both histories"
            assert "is broken" in " ".join(problem["text"] for problem in pair.second.status()["problems"])
        together(lambda pair: runbook("failback", instance=pair.first.name, confirm=pair.first.name), *pairs)
    for pair in pairs:
        until(lambda pair=pair: streams(pair.second))
        until(lambda pair=pair: tokens(pair.second) == tokens(pair.first))
        assert {"kept", "later-5"} <= tokens(pair.first)
        assert not any(token.startswith("undone") for token in tokens(pair.first))
        told = pair.second.records("replication")[-1]["replication"]["lost"]
        assert told["transactions"] >= 2, told
        pair.first.sql(f"DELETE FROM {TABLE}", pair.first.name)


def test_a_replica_that_is_in_no_pair_is_backed_up_where_the_tool_can(pairs: list[Pair]) -> None:
    postgresql, mariadb = (pair.second for pair in pairs)
    with on_its_own(postgresql):
        record = postgresql.backup("full", code=2)
        assert record["error"]["code"] == "unsupported"
        assert "a backup of a replica is not applicable: pgBackRest begins and ends" in record["error"]["what"]
        assert record["attempts"] == 1
    with on_its_own(mariadb):
        full = mariadb.backup("full")
        first = pairs[1].first
        first.run(insert(first, "between-backups"))
        until(lambda: "between-backups" in tokens(mariadb))
        incremental = mariadb.backup("incremental")
        assert incremental["backup"]["parent"] == full["backup"]["id"]
        assert "marker" not in incremental, "a replica takes no row of its own"
        tested = mariadb.holdfast("restore-test")
        assert tested["result"] == "ok"
        assert tested["restore_test"]["backup_id"] == incremental["backup"]["id"]
        assert tested["restore_test"]["check"]["problems"] == 0
        assert tested["restore_test"]["rows"] > 4000
        found = mariadb.status()
        assert (found["role"], found["replication"]) == ("replica", None)
        assert found["last_backup"]["id"] == incremental["backup"]["id"]
        assert found["restore_test"]["result"] == "ok"
        assert found["problems"] == []
    assert all(streams(pair.second) for pair in pairs)


@contextmanager
def _broken(replica: Database) -> Iterator[None]:
    replica.sql(BROKEN[replica.is_postgresql])
    if replica.is_postgresql:
        replica.sql("SELECT pg_reload_conf()")
    until(lambda: not streams(replica))
    yield


def test_what_must_not_be_is_refused(pairs: list[Pair]) -> None:
    wrong = runbook("switchover", instance="analytics", confirm="analytics-dr", code=2)
    assert "confirm with the exact name of the instance, 'analytics'" in " ".join(wrong.split())
    alive = runbook("failover", instance="crm", confirm="crm", code=2)
    assert "is alive and takes writes: use switchover.yml" in " ".join(alive.split())

    def refuse(pair: Pair) -> None:
        name = pair.first.name
        with _broken(pair.second):
            problems = " ".join(problem["text"] for problem in pair.second.status()["problems"])
            assert "is broken" in problems
            broken = runbook("switchover", instance=name, confirm=name, code=2)
            assert f"replication of {pair.second.name} is broken" in " ".join(broken.split())

    together(refuse, *pairs)
    assert all(pair.primary() == pair.first for pair in pairs)
    runbook("replication", target="dr1")
    assert all(streams(pair.second) for pair in pairs)


def test_a_replica_that_is_behind_does_not_take_over(pairs: list[Pair]) -> None:
    pair = pairs[0]
    pair.second.sql("SELECT pg_wal_replay_pause()")
    try:
        pair.first.sql("CREATE TABLE late AS SELECT 1 AS one", pair.first.name)
        until(lambda: pair.second.status()["replication"]["lag_seconds"] > 2)
        refused = runbook("switchover", instance="analytics", confirm="analytics", replication_maximum_lag=1, code=2)
        assert "behind, at most 1.0s may be" in " ".join(refused.split())
    finally:
        pair.second.sql("SELECT pg_wal_replay_resume()")
        pair.first.sql("DROP TABLE late", pair.first.name)


def test_check_mode_prints_the_plan(pairs: list[Pair]) -> None:
    pairs[0].second.sql("CHECKPOINT")  # a replica notes the timeline that it follows no sooner
    before = [member.identity() for pair in pairs for member in pair.members]
    said = " ".join(runbook("switchover", "--check", instance="crm", confirm="crm").split())
    assert "crm on maria2 takes no more writes" in said
    assert [member.identity() for pair in pairs for member in pair.members] == before


def test_no_committed_row_is_lost_in_a_switchover(pairs: list[Pair]) -> None:
    members = [member for pair in pairs for member in pair.members]
    together(start_writing, *members)

    def swap(pair: Pair) -> None:
        until(lambda: len(acknowledged(pair.first)) > 5)
        runbook("switchover", instance=pair.first.name, confirm=pair.first.name)
        until(lambda: acknowledged(pair.second))

    together(swap, *pairs)
    stop_writing(*members)
    for pair in pairs:
        assert pair.primary() == pair.second
        assert streams(pair.first)
        written = acknowledged(pair.first) | acknowledged(pair.second)
        assert written - tokens(pair.second) == set()
        assert tokens(pair.first) == tokens(pair.second)
        promoted = pair.second.records("replication")[-1]
        assert promoted["replication"]["action"] == "promote"
        assert 0 < promoted["replication"]["seconds_without_writes"] < 60
    said = " ".join(runbook("replication", target="dr1").split())
    assert said.count("roles were swapped") >= 2
    assert all(pair.primary() == pair.second for pair in pairs)


@pytest.fixture(scope="module")
def lost(pairs: list[Pair]) -> Iterator[dict[str, str]]:
    """The site with both primaries is cut off while clients write there, and the replicas take over."""
    lost_ones = [pair.second for pair in pairs]
    together(start_writing, *lost_ones)
    for database in lost_ones:
        before = len(acknowledged(database))
        until(lambda database=database, before=before: len(acknowledged(database)) > before + 5)
    unplug(REMOTE)  # a stand-in for a lost site: its servers run on, seen by nobody
    try:
        said = together(lambda pair: runbook("failover", instance=pair.first.name, confirm=pair.first.name), *pairs)
    finally:
        plug_in(REMOTE)
    until(lambda: pairs[0].second.host.run("true").rc == 0)
    stop_writing(*lost_ones)
    return {pair.first.name: " ".join(text.split()) for pair, text in zip(pairs, said, strict=True)}


def test_a_failover_tells_what_is_lost(pairs: list[Pair], lost: dict[str, str]) -> None:
    for pair in pairs:
        assert "lost are changes of at most the last" in lost[pair.first.name]
        assert "not fenced, its host cannot be reached" in lost[pair.first.name]
        loss = pair.first.records("replication")[-1]["replication"]["loss"]
        assert loss["known_bytes"] == 0
        assert 0 < loss["seconds"] < 300
        assert writable(pair.first)


def test_the_old_primary_fences_itself_when_it_is_back(pairs: list[Pair], lost: dict[str, str]) -> None:
    for pair in pairs:
        record = pair.second.backup("log", "--scheduled", code=1)
        assert record["error"]["code"] == "fenced"
        until(lambda pair=pair: not writable(pair.second))
        problems = " ".join(problem["text"] for problem in pair.second.status()["problems"])
        assert f"{pair.first.name} was promoted meanwhile" in problems
        assert pair.primary() == pair.first


def test_the_old_primary_becomes_a_replica_and_what_only_it_had_is_saved(
    pairs: list[Pair], lost: dict[str, str]
) -> None:
    surviving = {pair.first.name: tokens(pair.first) for pair in pairs}
    together(lambda pair: runbook("failback", instance=pair.first.name, confirm=pair.first.name), *pairs)
    for pair in pairs:
        until(lambda pair=pair: streams(pair.second), seconds=60)
        until(lambda pair=pair: tokens(pair.second) >= tokens(pair.first), seconds=60)
        assert tokens(pair.second) == tokens(pair.first), pair.second.status()
        assert tokens(pair.first) == surviving[pair.first.name]
        told = pair.second.records("replication")[-1]["replication"]["lost"]
        gone = acknowledged(pair.second) - tokens(pair.first)
        assert gone, "nothing was written while the site was cut off: the test proves nothing"
        assert told["transactions"] >= len(gone)
        saved = pair.second.run("cat %s/*", told["directory"]) if not pair.second.is_postgresql else ""
        assert pair.second.is_postgresql or {token for token in gone if token not in saved} == set()
        assert int(pair.second.run("du -s %s", told["directory"]).split()[0]) > 0
        assert pair.primary() == pair.first
