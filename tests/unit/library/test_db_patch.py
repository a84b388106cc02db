from datetime import timedelta

import pytest
from ansible.module_utils.holdfast.errors import Refused
from ansible.module_utils.holdfast.patches.packages import Change
from ansible.module_utils.holdfast.patches.wish import Outcome

import db_patch

CHANGES = [Change("postgresql-15", "15.18-1", "15.20-1"), Change("libnew", "", "2")]


@pytest.fixture
def asked(monkeypatch):
    found = {"outcome": Outcome("patched", CHANGES, ["done"], seconds_down={"orders": 1.5}), "calls": []}

    def patch_host(wish, prepare, *, change):
        found["calls"].append((wish, change))
        if isinstance(found["outcome"], Exception):
            raise found["outcome"]
        return found["outcome"], [{"instance": "orders"}]

    monkeypatch.setattr(db_patch, "patch_host", patch_host)
    monkeypatch.setattr(db_patch.tools, "reboot_reason", lambda: "a kernel")
    return found


def test_a_patch_returns_how_it_ended_and_a_diff(run, asked):
    result = run(db_patch.main, kinds=["database"], expected="5m", verified_within="")
    wish, change = asked["calls"][0]
    assert (wish.kinds, wish.expected, wish.verified_within) == (["database"], timedelta(minutes=5), None)
    assert change
    assert result["changed"]
    assert (result["outcome"], result["reboot"]) == ("patched", "a kernel")
    assert result["packages"][0] == {"package": "postgresql-15", "before": "15.18-1", "after": "15.20-1"}
    assert result["diff"]["before"] == "postgresql-15 15.18-1\n"
    assert result["diff"]["after"] == "postgresql-15 15.20-1\nlibnew 2\n"
    assert result["records"] == [{"instance": "orders"}]


def test_check_mode_only_plans(run, asked):
    asked["outcome"] = Outcome("planned", CHANGES, restarts=["orders"])
    result = run(db_patch.main, _check_mode=True)
    assert asked["calls"][0][1] is False
    assert (result["changed"], result["restarts"]) == (True, ["orders"])


def test_nothing_due_changes_nothing(run, asked):
    asked["outcome"] = Outcome()
    result = run(db_patch.main)
    assert (result["changed"], result["outcome"], result["diff"]) == (False, "nothing due", [])


def test_a_patch_that_was_undone_fails_and_says_so(run, asked):
    error = {"code": "patch-failed", "what": "postinst exited with 1", "where": "", "remedy": "See to it"}
    asked["outcome"] = Outcome("rolled back", CHANGES, ["put back"], error=error)
    result = run(db_patch.main)
    assert result["failed"]
    assert result["msg"] == "rolled back: postinst exited with 1. See to it"
    assert result["records"]


def test_a_refusal_has_every_reason(run, asked):
    asked["outcome"] = Refused("a\nb", remedy="Nothing was changed")
    result = run(db_patch.main, _check_mode=True)
    assert result["failed"]
    assert result["msg"] == "a\nb. Nothing was changed"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"expected": "soon"}, "expected: 'soon'"),
        ({"override": {"by": "Dana"}}, "an override needs a person and a reason"),
        ({"kinds": ["everything"]}, "value of kinds must be one or more of"),
    ],
)
def test_bad_input_is_named(run, asked, options, words):
    result = run(db_patch.main, **options)
    assert words in result["msg"]
    assert asked["calls"] == []
