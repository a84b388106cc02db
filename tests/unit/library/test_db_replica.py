"""One step on one member of a pair, as a runbook asks for it."""

import pytest
from ansible.module_utils.holdfast.errors import Refused
from ansible.module_utils.holdfast.replication import ACTIONS, Outcome

import db_replica
import db_replica_info

PEER = {"name": "orders-dr", "host": "db9", "port": 5432}
OPTIONS = {"instance": "orders", "peer": PEER, "password": "s3cret"}


@pytest.fixture
def asked(monkeypatch):
    """What was asked for; ``answer`` is what comes of it."""

    class Asked:
        answer = (Outcome(True, ["done"], "0/5"), {"result": "ok", "job": "replication"})

        def act(self, name, request, _prepare, *, change):
            self.name, self.request, self.change = name, request, change
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    made = Asked()
    monkeypatch.setattr(db_replica, "act", made.act)
    return made


def test_every_action_of_the_package_can_be_asked_for():
    assert db_replica.ARGUMENTS["action"]["choices"] == list(ACTIONS)


def test_it_asks_for_one_action(run, asked):
    result = run(db_replica.main, action="promote", position="0/4", without_writes=1.5, **OPTIONS)
    assert (asked.name, asked.request.action, asked.request.position) == ("orders", "promote", "0/4")
    assert asked.request.peer.password == "s3cret"
    assert asked.change
    assert (result["changed"], result["actions"], result["position"]) == (True, ["done"], "0/5")
    assert "s3cret" not in str(result)


def test_check_mode_changes_nothing(run, asked):
    asked.answer = (Outcome(True, ["would"]), None)
    result = run(db_replica.main, _check_mode=True, action="demote", **OPTIONS)
    assert not asked.change
    assert (result["actions"], result["record"]) == (["would"], {})


@pytest.mark.parametrize(
    "answer",
    [
        Refused("no", where="orders"),
        (
            Outcome(),
            {
                "result": "failed",
                "instance": "orders",
                "job": "replication",
                "seconds": 1.0,
                "error": {"what": "no", "where": "orders", "remedy": ""},
            },
        ),
    ],
)
def test_it_fails_with_the_reason(run, asked, answer):
    asked.answer = answer
    result = run(db_replica.main, action="follow", **OPTIONS)
    assert result["failed"]
    assert "no" in result["msg"]


def test_a_probe_needs_no_instance(run):
    result = run(db_replica_info.main, probe=[{"host": "127.0.0.1", "port": 1}], attempts=1)
    assert (result["state"], result["reached"]) == ({}, [])


def test_what_an_instance_says(run, monkeypatch):
    monkeypatch.setattr(db_replica_info, "look", lambda name: {"instance": name, "answers": True})
    assert run(db_replica_info.main, instance="orders")["state"] == {"instance": "orders", "answers": True}
