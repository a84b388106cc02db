"""The pure parts of replication, and what jobs and status make of a pair."""

from __future__ import annotations

import json
import os
import socket
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.holdfast import jobs, pair, probe, replication, status, tables
from ansible.module_utils.holdfast.engines import _mariadb_gtid as gtid
from ansible.module_utils.holdfast.engines import _postgresql_pair as postgresql
from ansible.module_utils.holdfast.engines._mariadb_fill import Fill, Followed
from ansible.module_utils.holdfast.engines.replication import Peer, ReplicationState
from ansible.module_utils.holdfast.errors import Fenced, Refused, ServerUnavailable, TargetNotReached
from ansible.module_utils.holdfast.history import History
from ansible.module_utils.holdfast.model import Backup, BackupType, Job
from ansible.module_utils.holdfast.records import Records
from fakes import FakeAdapters, instance

PEER = Peer("orders-dr", "db9", 5432, "s3cret-pair")


class FakeReplication:
    """A member whose words are attributes."""

    def __init__(self, own: ReplicationState, other: tuple[bool, int] | None = None) -> None:
        self.own, self.other, self.fenced = own, other, False

    def state(self) -> ReplicationState:
        return self.own

    def look_at(self) -> tuple[bool, int]:
        if self.other is None:
            raise ServerUnavailable("does not answer")
        return self.other

    def fence(self) -> None:
        self.fenced = True

    def close(self) -> None:
        pass


def primary(**changes: Any) -> ReplicationState:
    found = {"role": "primary", "writable": True, "generation": 2, "position": "0/5", "version": "17", **changes}
    return ReplicationState(**found)


def replica(**changes: Any) -> ReplicationState:
    found = {"source": "db9:5432", "streaming": True, "lag_bytes": 7, "lag_seconds": 1.5, **changes}
    return primary(role="replica", writable=False, **found)


@pytest.fixture
def orders(tmp_path):
    (tmp_path / "configured").touch()
    made = instance(tmp_path)
    pair.take_role(made, PEER, "primary")
    return made


@pytest.fixture
def member(monkeypatch):
    def use(own: ReplicationState, other: tuple[bool, int] | None = None) -> FakeReplication:
        fake = FakeReplication(own, other)
        monkeypatch.setattr(pair, "replication", lambda *_: fake)
        return fake

    return use


def test_the_pair_is_a_secret_of_its_owner(orders) -> None:
    path = os.path.join(orders.state_directory, "pair.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    found = pair.read(orders)
    assert found is not None
    assert (found.peer, found.role) == (PEER, "primary")
    assert "s3cret" not in repr(found)


def test_jobs_of_a_replica_rest(orders, member) -> None:
    member(replica())
    done = jobs.run_job(orders, Job.FULL, scheduled=True)
    assert (done["result"], "orders-dr" in done["skipped"]) == ("ok", True)
    assert jobs.summary(done).startswith("orders: full skipped: it is a replica of orders-dr")
    refused = jobs.run_job(orders, Job.FULL)
    assert refused["error"]["code"] == "refused"


def test_a_replica_that_is_still_to_be_made_rests(tmp_path) -> None:
    awaited = instance(tmp_path, replica_of="other")
    assert pair.resting(awaited) == "it is to become a replica of other"
    assert not pair.is_set_up(awaited)


@pytest.mark.parametrize(
    ("other", "fenced"),
    [
        (None, False),  # nobody to ask: a primary that cannot see its replica goes on
        ((False, 9), False),
        ((True, 2), False),  # not promoted since: nobody knows better
        ((True, 3), True),
    ],
)
def test_a_primary_gives_way_to_a_peer_that_was_promoted(orders, member, other, fenced) -> None:
    fake = member(primary(), other)
    if not fenced:
        assert pair.resting(orders) == ""
        assert not fake.fenced
        return
    with pytest.raises(Fenced, match="orders-dr was promoted meanwhile"):
        pair.resting(orders)
    assert fake.fenced
    # And so it stays, whoever answers now.
    member(primary(), None)
    with pytest.raises(Fenced):
        pair.resting(orders)


def test_status_of_a_replica_is_its_lag(orders, member, monkeypatch) -> None:
    monkeypatch.setattr(status, "Adapters", FakeAdapters(orders))
    member(replica())
    found = status.instance_status(orders)
    assert found["state"] == "ok"
    assert (found["rpo"]["lost_seconds"], found["rpo"]["lost_bytes"]) == (1.5, 7)
    assert "replica of orders-dr" in tables.status([found])
    json.dumps(found)
    member(replica(lag_seconds=901.0))
    assert "901 s (7 B) behind orders-dr, RPO is 900 s" in status.instance_status(orders)["problems"][0]["text"]
    member(replica(streaming=False, lag_bytes=None, lag_seconds=30.0, problem="it follows nobody"))
    broken = status.instance_status(orders)
    assert broken["state"] == "critical"
    assert "broken, at most 30 s behind: it follows nobody" in broken["problems"][0]["text"]


def test_what_was_skipped_is_no_success(orders, member) -> None:
    member(replica())
    jobs.run_job(orders, Job.FULL, scheduled=True)
    assert "full" not in History.read(Records(orders)).last_ok


@pytest.mark.parametrize(
    ("one", "other", "further", "farther"),
    [
        ("", "", False, ""),
        ("0-1-5", "", True, "0-1-5"),
        ("0-1-5", "0-2-5", False, "0-2-5"),
        ("0-1-6", "0-2-5", True, "0-1-6"),
        ("0-1-5,1-1-2", "0-1-9,1-1-1", True, "0-1-9,1-1-2"),
        ("0-1-10", "0-1-9", True, "0-1-10"),
    ],
)
def test_gtid_positions(one: str, other: str, further: bool, farther: str) -> None:
    assert gtid.goes_further(one, other) is further
    assert gtid.farther(one, other) == farther


@pytest.mark.parametrize(
    ("state", "position", "contained"),
    [
        ("0-1-16", "0-1-16", True),
        ("0-1-16", "0-1-17", False),
        ("0-1-16,0-2-21", "0-2-20", True),
        ("0-1-16,0-2-21", "0-1-19", False),  # restored to 16: what was 17 to 19 is another server's now
        ("0-2-50,0-3-70", "0-1-40", False),  # its log began with a backup: whether 1 wrote that before, nobody knows
        ("0-1-16,1-1-4", "0-1-9,1-1-5", False),
        ("0-1-16", "1-1-1", False),
        ("", "0-1-1", False),
        ("0-1-16", "", True),
    ],
)
def test_what_a_history_contains(state: str, position: str, contained: bool) -> None:
    assert gtid.contains(gtid.history(state), position) is contained


HISTORY = {(0, 1): 1000, (0, 7): 1020}


@pytest.mark.parametrize(
    ("position", "log_stop", "details", "of_it", "usable"),
    [
        ("0-1-900", "b.100002:400 0-1-900", {}, True, True),  # its own log, since the restore to 600
        ("0-1-600", "b.000007:400 0-1-600", {}, True, True),
        ("0-1-800", "b.000009:400 0-1-800", {}, True, False),  # undone by the restore; 0-1-800 is something else now
        ("0-1-800", "b.000009:400 0-1-800", {}, False, True),  # of its peer, whose log has other numbers
        ("0-7-1021", "b.100002:900 0-7-1021", {}, True, False),
        ("0-1-900", "b.100002:400 0-1-900", {"system": "another"}, True, False),
        ("", "b.100002:400", {}, True, False),
    ],
)
def test_which_backups_a_replica_can_begin_with(
    position: str, log_stop: str, details: dict[str, str], of_it: bool, usable: bool
) -> None:
    followed = Followed("ours", HISTORY, "b.100001", "0-1-600")
    when = datetime.now(UTC)
    known = {"system": "ours", "gtid": position, **details}
    backup = Backup("F", BackupType.FULL, "t", "r", when, when, log_stop=log_stop, details=known)
    assert followed.has(backup, of_it=of_it) is usable
    damaged = replace(backup, error="damaged")
    assert not followed.has(damaged, of_it=of_it)
    purged = replace(followed, log="b.100007", begins="0-1-950")
    assert purged.has(backup, of_it=of_it) is (usable or position == "0-1-800"), "it cannot be told any more"


class _Store:
    def snapshots(self) -> list[Any]:
        return []


class _Tool:
    def store(self, _: Any) -> _Store:
        return _Store()


class _Fill(Fill):
    """Two repositories: the log of the first does not go on from here, the second has nothing more."""

    def _homes(self, name: str) -> Any:
        return iter([(name, _Tool()), (name, _Tool())])

    def _parts(self, *_: Any) -> list[Any]:
        self.asked = getattr(self, "asked", 0) + 1
        if self.asked == 1:
            raise TargetNotReached("the saved log goes on after 0-1-9", where="crm")
        return []


def test_log_that_is_missing_is_told_unless_a_primary_tells(tmp_path: Path) -> None:
    member = instance(str(tmp_path), name="crm")
    alone = _Fill(member, None)  # type: ignore[arg-type]
    with pytest.raises(TargetNotReached, match="0-1-9"):
        alone.replay_log("crm", lambda: "0-1-7", 0.0)
    assert alone.asked == 2, "the other repository is replayed before it is told"
    _Fill(member, None).replay_log("crm", lambda: "0-1-7", 0.0, {(0, 1): 9})  # type: ignore[arg-type]


def test_the_nearer_position_and_the_end_of_a_history() -> None:
    assert gtid.nearer("0-1-9,1-1-2", "0-2-7,2-1-1") == "0-2-7"
    assert gtid.end(gtid.history("1-1-2,0-1-16,0-2-21")) == "0-2-21,1-1-2"
    assert gtid.end({}) == ""


def test_a_verifier_proves_a_password_and_does_not_tell_it() -> None:
    salt = b"0123456789abcdef"
    made = postgresql.scram_verifier("pencil", salt)
    assert made.startswith("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$")
    assert "pencil" not in made
    assert postgresql.fits("pencil", made)
    assert not postgresql.fits("pen", made)
    assert not postgresql.fits("pencil", "md5abc")


def test_access_rules_come_first_and_only_once() -> None:
    text = "local all all peer\n"
    once = postgresql.hba_with(text, "hostssl", "holdfast_replica")
    assert once.endswith(text)
    assert once.splitlines()[1] == "hostssl replication holdfast_replica all scram-sha-256"
    assert postgresql.hba_with(once, "hostssl", "holdfast_replica") == once


def test_settings_replace_those_of_the_same_name() -> None:
    text = "# Do not edit\nport = '5432'\nprimary_conninfo = 'old'\n"
    made = postgresql.with_settings(text, {"primary_conninfo": "host=a password='b'"})
    assert made == "# Do not edit\nport = '5432'\nprimary_conninfo = 'host=a password=''b'''\n"


def test_a_standby_gets_what_its_primary_has_more_than_others() -> None:
    control = "max_connections setting: 300\nmax_worker_processes setting: 8\nmax_wal_senders setting: 10\n"
    assert postgresql.needed_settings(control) == {"max_connections": "300"}


def test_probes_tell_who_listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert probe.reached([("127.0.0.1", port)], 1) == [f"127.0.0.1:{port}"]
    assert probe.reached([("127.0.0.1", port)], 1) == []


@pytest.mark.parametrize(("role", "rests"), [("primary", False), ("replica", True)])
def test_jobs_of_a_server_that_is_down_rest_on_a_replica_alone(orders, member, monkeypatch, role, rests) -> None:
    fake = member(primary())

    def down() -> ReplicationState:
        raise ServerUnavailable("does not answer")

    monkeypatch.setattr(fake, "state", down)
    pair.take_role(orders, PEER, role)
    assert bool(pair.resting(orders)) is rests


class Server(FakeReplication):
    """A server that a replica is to be made of."""

    def __init__(self, own: ReplicationState, tables: dict[str, int]) -> None:
        super().__init__(own)
        self._tables, self.filled = tables, False

    def has_server(self) -> bool:
        return True

    def tables(self) -> dict[str, int]:
        return self._tables

    def fill(self) -> dict[str, Any]:
        self.filled = True
        return {"backup": "b0"}

    def follow(self, *, position: str = "") -> bool:
        return True


@pytest.mark.parametrize("tables", [{"app.orders": 3}, {}])
def test_a_server_that_somebody_uses_is_not_filled(tmp_path, tables) -> None:
    server, target = Server(primary(), tables), instance(tmp_path, replica_of="other")
    request = replication.Request("follow", PEER)
    if tables:
        with pytest.raises(Refused, match="data of its own"):
            replication._follow(target, server, request, replication.Outcome())
        assert not server.filled
        return
    replication._follow(target, server, request, replication.Outcome())
    assert server.filled
    assert pair.is_set_up(target)
