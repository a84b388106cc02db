import pytest
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.audit import command
from ansible.module_utils.holdfast.errors import AccessDenied

import db_access_info

SNAPSHOT = {"instance": "orders"}


@pytest.fixture
def asked(monkeypatch):
    found = []
    monkeypatch.setattr(config, "names", lambda: ["billing", "orders"])
    monkeypatch.setattr(config, "load", lambda name: name)
    monkeypatch.setattr(db_access_info, "configure_logging", lambda *_, **__: None)
    monkeypatch.setattr(db_access_info, "run_as_owner", lambda _, call: call())
    monkeypatch.setattr(command, "text", lambda found: f"text of {found['instance']}")
    monkeypatch.setattr(
        command,
        "run",
        lambda name, policy, reviews: found.append((name, policy, reviews)) or {"record": {}, "audit": SNAPSHOT},
    )
    monkeypatch.setattr(command, "last", lambda name: found.append((name, "last")) or {"record": {}, "audit": SNAPSHOT})
    return found


def test_it_audits_the_chosen_instances_of_the_host(run, asked):
    reviews = [{"date": "2026-11-25", "by": "Ana", "instances": ["orders"], "sha256": "3f1c"}]
    result = run(db_access_info.main, instances=["orders", "elsewhere"], policy={"dormant_days": 5}, reviews=reviews)
    assert asked == [("orders", {"dormant_days": 5}, reviews)]
    assert result["instances"] == [{"instance": "orders", "record": {}, "audit": SNAPSHOT}]
    assert result["text"] == "text of orders"
    assert not result["changed"]


@pytest.mark.parametrize("how", [{"last": True}, {"_check_mode": True}])
def test_the_last_audit_is_read_without_making_one(run, asked, how):
    run(db_access_info.main, **how)
    assert asked == [("billing", "last"), ("orders", "last")]


def test_an_instance_that_cannot_be_audited_is_an_entry_and_stops_no_other(run, asked, monkeypatch):
    def fail(name, policy, reviews):
        if name == "billing":
            raise AccessDenied("no such user", where=name)
        error = {"code": "server-unavailable", "what": "down", "where": "", "remedy": ""}
        return {"record": {"error": error}, "audit": None}

    monkeypatch.setattr(command, "run", fail)
    result = run(db_access_info.main)
    assert [entry["error"]["code"] for entry in result["instances"]] == ["access-denied", "server-unavailable"]
