"""What a runbook learns of a pair before it does anything."""

import db_pair_info

FLEET = {
    "db1": [{"name": "orders", "engine": "postgresql"}],
    "db9": [{"name": "orders-dr", "engine": "postgresql", "replica_of": "orders"}],
}
PRIMARY = {"state": {"answers": True, "role": "primary", "writable": True, "replicas": ["orders-dr"], "generation": 1}}
REPLICA = {"state": {"answers": True, "role": "replica", "source": "db1:5432", "streaming": True, "lag_seconds": 0.0}}


def test_it_finds_the_pairs(run):
    (pair,) = run(db_pair_info.main, instances=FLEET, addresses={"db1": "10.0.0.1", "db9": ""})["pairs"]
    assert pair["first"]["peer"] == {"name": "orders", "host": "10.0.0.1", "port": 5432}
    assert pair["second"]["host"] == "db9"
    assert pair["second"]["address"] == "db9"


def test_it_decides(run):
    options = {"instances": FLEET, "instance": "orders", "operation": "switchover", "confirm": "orders"}
    result = run(db_pair_info.main, answers={"orders": PRIMARY, "orders-dr": REPLICA}, **options)
    assert (result["primary"]["name"], result["replica"]["name"], result["reachable"]) == ("orders", "orders-dr", True)
    assert len(result["plan"]) == 3


def test_it_fails_with_all_that_stands_in_the_way(run):
    options = {"instances": FLEET, "instance": "orders", "operation": "failover", "confirm": "order"}
    answers = {"orders": PRIMARY, "orders-dr": REPLICA}
    result = run(db_pair_info.main, answers=answers, **options)
    assert result["failed"]
    assert "nothing was changed" in result["msg"]
    assert len(result["refusals"]) == 2


def test_an_unknown_instance_is_told_with_those_that_there_are(run):
    result = run(db_pair_info.main, instances=FLEET, instance="order")
    assert result["failed"]
    assert "Did you mean orders" in result["msg"]


def test_a_primary_that_is_out_of_reach(run):
    options = {"instances": FLEET, "instance": "orders", "operation": "failover", "confirm": "orders"}
    silent = {"state": {**REPLICA["state"], "streaming": False, "rpo_seconds": 60.0}, "reached": ["db1:22"]}
    answers = {"orders": {"unreachable": True, "msg": "no route"}, "orders-dr": silent}
    refused = run(db_pair_info.main, answers=answers, **options)
    assert "not proven to be gone: db1:22 answers orders-dr" in refused["msg"]
    result = run(db_pair_info.main, answers=answers, primary_is_fenced=True, **options)
    assert (result["primary"]["name"], result["reachable"]) == ("orders", False)
