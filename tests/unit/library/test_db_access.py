import pytest
from ansible.module_utils.holdfast.audit import remedy
from ansible.module_utils.holdfast.errors import Refused

import db_access

STEP = {
    "action": "lock",
    "account": "ann",
    "what": "lock ann",
    "statements": ["ALTER ROLE ann NOLOGIN;"],
    "undo": ["ALTER ROLE ann LOGIN;"],
    "database": "",
    "irreversible": "",
}
RECORD = {
    "instance": "orders",
    "job": "access_change",
    "result": "ok",
    "seconds": 1.0,
    "access_change": {"steps": [STEP], "notes": ["a note"], "undo": "/state/access/undo-1.sql"},
}


@pytest.fixture
def asked(monkeypatch):
    found = []
    planned = {"steps": [STEP], "notes": []}
    monkeypatch.setattr(remedy, "plan", lambda name, request, _: found.append((name, request)) or planned)
    monkeypatch.setattr(remedy, "start", lambda name, request, _: found.append((name, request)) or dict(RECORD))
    return found


def test_it_does_what_is_asked_and_says_how_to_undo_it(run, asked):
    result = run(db_access.main, instance="orders", action="lock", account="ann", confirm="orders")
    ((name, request),) = asked
    assert (name, request.action, request.account, request.details) == ("orders", "lock", "ann", {})
    assert result["changed"]
    assert result["undo"] == "/state/access/undo-1.sql"
    assert "ALTER ROLE ann NOLOGIN;" in result["diff"]["prepared"]


def test_check_mode_shows_the_plan(run, asked):
    result = run(db_access.main, _check_mode=True, instance="orders", action="revoke", account="ann", role="writers")
    assert asked[0][1].details == {"role": "writers"}
    assert (result["changed"], result["undo"]) == (True, "")
    assert "undo: ALTER ROLE ann LOGIN;" in result["diff"]["prepared"]


def test_a_refusal_is_one_message(run, asked, monkeypatch):
    def refuse(*_):
        raise Refused("the last administrator", where="orders", remedy="Name another")

    monkeypatch.setattr(remedy, "start", refuse)
    result = run(db_access.main, instance="orders", action="drop", account="postgres", confirm="orders")
    assert (result["failed"], result["msg"]) == (True, "orders: the last administrator. Name another")


def test_a_change_that_failed_says_what_was_begun(run, asked, monkeypatch):
    error = {"what": "permission denied", "where": "orders", "remedy": ""}
    monkeypatch.setattr(remedy, "start", lambda *_: {**RECORD, "result": "failed", "error": error})
    result = run(db_access.main, instance="orders", action="lock", account="ann", confirm="orders")
    assert result["failed"]
    assert "permission denied" in result["msg"]
    assert result["undo"]


def test_nonsense_fails_before_the_host_is_touched(run, asked):
    assert "needs an account" in run(db_access.main, instance="orders", action="lock")["msg"]
    assert asked == []


def test_the_actions_are_those_of_the_package():
    assert db_access.ARGUMENTS["action"]["choices"] == list(remedy.ACTIONS)
