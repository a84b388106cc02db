import pytest
from ansible.module_utils.holdfast import rescue
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.parts import KINDS

import db_rescue

PLAN = {
    "kind": "table",
    "name": "a.b.c",
    "target": "a.b.c_rescued",
    "where": None,
    "deleted": False,
    "replace": False,
    "space": {"needed_bytes": 1, "free_bytes": 2},
    "estimate_seconds": None,
    "problems": [],
    "notes": [],
}
OK = {
    "instance": "orders",
    "job": "rescue",
    "result": "ok",
    "seconds": 1.0,
    "rescue": {
        "source": {"text": "dump x"},
        "target": "a.b.c_rescued",
        "rows": 3,
        "compare": [],
        "care": ["be careful"],
        "statements": {"swap": ["SWAP;"], "merge": []},
    },
}


@pytest.fixture
def asked(monkeypatch):
    """The requests of the module."""
    found = []
    monkeypatch.setattr(rescue, "plan", lambda name, request, _: found.append((name, request)) or dict(PLAN))
    monkeypatch.setattr(rescue, "start", lambda name, request, _, wait: found.append((name, request, wait)) or dict(OK))
    return found


def test_it_rescues_and_says_what_to_do_next(run, asked):
    result = run(db_rescue.main, instance="orders", name="a.b.c", where="x = 1", wait=True)
    ((name, request, wait),) = asked
    assert (name, request.kind, request.name, request.where, wait) == ("orders", "table", "a.b.c", "x = 1", True)
    assert result["changed"]
    for line in ("a.b.c_rescued, 3 rows", "be careful", "SWAP;", "dump x"):
        assert line in result["text"]


def test_check_mode_returns_the_plan(run, asked):
    result = run(db_rescue.main, _check_mode=True, instance="orders", name="a.b.c")
    assert result["plan"] == PLAN
    assert "loads as    a.b.c_rescued" in result["text"]
    assert len(asked[0]) == 2


def test_check_mode_fails_on_what_would_be_refused(run, asked, monkeypatch):
    monkeypatch.setattr(rescue, "plan", lambda *_: {**PLAN, "problems": ["a replica"]})
    result = run(db_rescue.main, _check_mode=True, instance="orders", name="a.b.c")
    assert result["failed"]
    assert "refused: a replica" in result["msg"]


def test_a_failure_is_one_message(run, asked, monkeypatch):
    error = {"what": "not there", "where": "orders", "remedy": "Look elsewhere"}
    monkeypatch.setattr(rescue, "start", lambda *_, **__: {**OK, "result": "failed", "error": error})
    result = run(db_rescue.main, instance="orders", name="a.b.c")
    assert result["failed"]
    assert "not there. Look elsewhere" in result["msg"]


def test_a_time_that_is_none_fails_before_the_host_is_touched(run, asked):
    assert "is no time" in run(db_rescue.main, instance="orders", name="a.b.c", time="noon")["msg"]
    assert asked == []


def test_what_raises_is_told(run, asked, monkeypatch):
    def fail(*_, **__):
        raise InvalidInput("no such instance", where="orders")

    monkeypatch.setattr(rescue, "start", fail)
    assert run(db_rescue.main, instance="orders", name="a.b.c")["msg"] == "orders: no such instance"


def test_the_kinds_are_those_of_the_package():
    assert db_rescue.ARGUMENTS["kind"]["choices"] == list(KINDS)
