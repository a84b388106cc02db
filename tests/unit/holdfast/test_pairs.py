"""Whether roles may change: decided from what both members say, whatever that is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.pairs import Decision, Member, PairOf, Wish, decide, find_pairs, pair_of

PAIR = PairOf(Member("orders", "db1", "10.0.0.1", 5432), Member("orders-dr", "db9", "db9", 5433))
PRIMARY = {"answers": True, "role": "primary", "writable": True, "generation": 3, "replicas": ["orders-dr"]}
REPLICA = {
    "answers": True,
    "role": "replica",
    "writable": False,
    "generation": 3,
    "source": "10.0.0.1:5432",
    "streaming": True,
    "lag_seconds": 0.5,
    "lag_bytes": 10,
    "rpo_seconds": 900.0,
    "fenced": "",
}
GONE = {"unreachable": True, "msg": "no route to host"}
DOWN = {"answers": False, "writable": False, "role": "", "error": "connection refused"}
SILENT = {**REPLICA, "streaming": False, "lag_bytes": None, "lag_seconds": 60.0, "problem": "no log"}


def decided(operation: str, first: dict[str, Any], second: dict[str, Any], **wish: Any) -> Decision:
    wanted = {"instance": "orders", "confirm": "orders", **wish}
    return decide(operation, PAIR, {"orders": first, "orders-dr": second}, Wish(**wanted))


@pytest.mark.parametrize(
    ("operation", "first", "second"),
    [
        ("switchover", PRIMARY, REPLICA),
        ("switchover", {**REPLICA, "source": "db9:5433"}, {**PRIMARY, "replicas": ["orders"]}),
        ("failover", GONE, SILENT),
        ("failover", DOWN, SILENT),
        ("failover", GONE, REPLICA),  # it has not noticed yet
        ("failover", {**REPLICA, "source": None, "role": "replica"}, SILENT),  # a switchover was cut short
        ("failback", {**PRIMARY, "generation": 2}, {**PRIMARY, "generation": 3}),
        ("failback", DOWN, PRIMARY),
    ],
)
def test_what_may_go_ahead(operation: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    decision = decided(operation, first, second)
    assert decision.refusals == []
    assert decision.plan


@pytest.mark.parametrize(
    ("operation", "first", "second", "wish", "refusal"),
    [
        ("switchover", PRIMARY, REPLICA, {"confirm": "orders-dr"}, "does not confirm it"),
        ("switchover", PRIMARY, REPLICA, {"confirm": ""}, "confirm with the exact name of the instance, 'orders'"),
        ("switchover", PRIMARY, SILENT, {}, "replication of orders-dr is broken: no log"),
        ("switchover", PRIMARY, {**REPLICA, "lag_seconds": 31}, {}, "31s behind, at most 30s may be"),
        ("switchover", {**PRIMARY, "replicas": []}, REPLICA, {}, "orders-dr is not attached to orders"),
        ("switchover", PRIMARY, DOWN, {}, "does not answer: connection refused"),
        ("switchover", PRIMARY, GONE, {}, "does not answer: its host cannot be reached"),
        ("switchover", GONE, REPLICA, {}, "this is a case for failover.yml"),
        ("switchover", PRIMARY, {**PRIMARY, "generation": 4}, {}, "both take writes; orders-dr was promoted last"),
        ("failover", PRIMARY, REPLICA, {}, "is alive and takes writes: use switchover.yml"),
        ("failover", GONE, DOWN, {}, "no replica answers"),
        ("failover", GONE, {**SILENT, "fenced": "x"}, {}, "no replica answers"),
        ("failover", GONE, SILENT, {"probed": ["10.0.0.1:22"]}, "not proven to be gone: 10.0.0.1:22 answers orders-dr"),
        ("failover", GONE, REPLICA, {"probed": ["10.0.0.1:5432"], "primary_is_fenced": True}, "it is alive"),
        ("failover", GONE, {**SILENT, "lag_seconds": 901}, {}, "changes of up to 15m 1s would be lost, RPO is 15m"),
        ("failover", GONE, {**SILENT, "lag_seconds": None}, {}, "an unknown time would be lost"),
        ("failback", GONE, PRIMARY, {}, "orders on db1 cannot be reached"),
        ("failback", GONE, SILENT, {}, "there is nobody to follow"),
    ],
)
def test_what_is_refused(
    operation: str, first: dict[str, Any], second: dict[str, Any], wish: dict[str, Any], refusal: str
) -> None:
    assert refusal in " ".join(decided(operation, first, second, **wish).refusals)


def test_the_operators_word_and_acceptance_count() -> None:
    late = {**SILENT, "lag_seconds": 5000.0}
    assert decided("failover", GONE, late, accept_loss=True).refusals == []
    assert decided("failover", GONE, SILENT, probed=["10.0.0.1:22"], primary_is_fenced=True).refusals == []
    assert decided("switchover", PRIMARY, {**REPLICA, "lag_seconds": 31}, maximum_lag=timedelta(minutes=1)).plan


def test_the_servers_say_who_is_the_primary() -> None:
    swapped = decided("switchover", {**REPLICA, "source": "db9:5433"}, {**PRIMARY, "replicas": ["orders"]})
    assert (swapped.primary, swapped.replica) == (PAIR.second, PAIR.first)
    both = decided("failback", {**PRIMARY, "generation": 2}, {**PRIMARY, "generation": 3})
    assert (both.primary, both.replica) == (PAIR.second, PAIR.first)


def test_a_replica_that_follows_already_is_left_alone() -> None:
    decision = decided("failback", {**REPLICA, "source": "db9:5433"}, PRIMARY)
    assert (decision.refusals, decision.plan) == ([], [])
    assert "already" in decision.notes[0]


def test_pairs_of_a_fleet() -> None:
    fleet = {
        "db1": [{"name": "orders", "engine": "postgresql"}, {"name": "alone", "engine": "mariadb", "port": 3307}],
        "db9": [{"name": "orders-dr", "engine": "postgresql", "port": 5433, "replica_of": "orders"}],
    }
    pairs = find_pairs(fleet, {"db1": "10.0.0.1"}, {"postgresql": 5432, "mariadb": 3306})
    assert pairs == [PAIR]
    assert pair_of(pairs, "orders-dr") == PAIR
    with pytest.raises(InvalidInput, match="Did you mean orders"):
        pair_of(pairs, "order")
    with pytest.raises(InvalidInput, match="'alone' is in no pair"):
        pair_of(pairs, "alone")
    with pytest.raises(InvalidInput, match="orders-dr of orders"):
        find_pairs({"db9": fleet["db9"]}, {}, {})
