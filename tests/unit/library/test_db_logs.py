import pytest
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.errors import Refused, Unsupported
from ansible.module_utils.holdfast.logcare import chain, fleet, look, purge

import db_logs
import db_logs_info

PLAN = {
    "files": ["mysql-bin.000001"],
    "size": 100,
    "kept": {"mysql-bin.000002": "x"},
    "statements": ["PURGE"],
    "notes": [],
}
RECORD = {"instance": "shop", "job": "log_change", "result": "ok", "seconds": 1.0, "logs": {"freed_bytes": 100}}


@pytest.fixture
def asked(monkeypatch):
    found = []
    monkeypatch.setattr(config, "names", lambda: ["orders", "shop"])
    monkeypatch.setattr(purge, "plan", lambda name, request, _: found.append(("plan", name, request)) or dict(PLAN))
    monkeypatch.setattr(purge, "start", lambda name, request, _: found.append(("start", name, request)) or dict(RECORD))
    return found


def test_a_purge_shows_what_would_go_and_does_nothing(run, asked):
    result = run(db_logs.main, _check_mode=True, action="purge", instances=["shop"])
    assert [(what, name) for what, name, _ in asked] == [("plan", "shop")]
    assert result["changed"]
    assert "mysql-bin.000001" in result["text"]
    assert "stays: mysql-bin.000002: x" in result["diff"]["prepared"]


def test_a_purge_knows_the_replicas_of_its_instance_alone(run, asked):
    replicas = [{"name": "shop-dr", "replica_of": "shop"}, {"name": "orders-dr", "replica_of": "orders"}]
    needs = [{"primary": "shop", "replica": "shop-dr", "file": "mysql-bin.000009"}]
    result = run(db_logs.main, action="purge", instances=["shop"], replicas=replicas, needs=needs, confirm="shop")
    request = asked[-1][2]
    assert (asked[-1][0], request.replicas, request.needs, request.confirm) == ("start", ["shop-dr"], needs, "shop")
    assert result["purged"]["shop"]["freed_bytes"] == 100


def test_nothing_is_purged_without_the_name(run, asked, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(config, "names", lambda: ["shop"])
    monkeypatch.setattr(purge, "plan", lambda *_: dict(PLAN))
    result = run(db_logs.main, action="purge", confirm="orders")
    assert result["failed"]
    assert "'orders' does not confirm a purge" in result["msg"]


def test_one_that_has_no_such_log_stops_no_other(run, asked, monkeypatch):
    def planned(name, *_):
        if name == "orders":
            raise Unsupported("mariadb", "purging", "log_bin is off")
        return dict(PLAN, files=[], statements=[])

    monkeypatch.setattr(purge, "plan", planned)
    result = run(db_logs.main, action="purge")
    assert not result["changed"]
    assert result["notes"] == ["orders: purging is not applicable: log_bin is off"]


def test_a_refusal_names_its_instance(run, asked, monkeypatch):
    monkeypatch.setattr(purge, "plan", lambda *_: (_ for _ in ()).throw(Refused("2 replicas read it")))
    result = run(db_logs.main, action="purge", instances=["shop"])
    assert result["msg"] == "shop: 2 replicas read it"


def test_every_wrong_setting_is_told(run, asked):
    result = run(db_logs.main, action="configure", settings={"outage": 3, "rotation": {"server": {"size": 1}}})
    assert "db_logs.outage" in result["msg"]
    assert "db_logs.rotation.server.size" in result["msg"]
    assert "free: 'much'" in run(db_logs.main, action="emergency", free="much")["msg"]


def test_chains_are_verified_where_they_are(run, tmp_path, monkeypatch):
    monkeypatch.setattr(config, "names", list)
    place = tmp_path / "chain" / "shop"
    place.mkdir(parents=True)
    chain.append(
        str(place), chain.seal(None, {"kind": "gap", "time": "2026-11-26T00:00:00Z", "file": "/a", "what": "gone"})
    )
    result = run(db_logs_info.main, chain_directory=str(tmp_path / "chain"))
    assert result["chains"]["shop"]["number"] == 1
    assert result["chains"]["shop"]["findings"][0]["check"] == "LG09"


def entry(name="shop", findings=(), **check):
    checks = [
        {
            "id": "LG09",
            "title": "t",
            "severity": "high",
            "rationale": "r",
            "remediation": "m",
            "statement": "s",
            "controls": {"pci_dss": ["10.3.2"]},
            "status": "passed",
            "reason": "",
            "asked": "2026-11-26T00:00:00Z",
            **check,
        }
    ]
    audit = {
        "instance": name,
        "engine": "mariadb",
        "version": "11.8",
        "role": "primary",
        "format": 1,
        "known": [],
        "started": "2026-11-26T00:00:00.000Z",
        "finished": "2026-11-26T00:00:01.000Z",
        "checks": checks,
        "findings": list(findings),
        "difference": {"since": None, "new": [], "fixed": [], "power": []},
    }
    return {"instance": name, "audit": audit, "logs": [], "missing": {}, "space": None, "need": None}


def test_reports_have_the_form_of_the_access_audit_and_believe_the_copies_more_than_the_host(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(config, "names", list)
    place = tmp_path / "chain" / "shop"
    place.mkdir(parents=True)
    chain.append(
        str(place), chain.seal(None, {"kind": "gap", "time": "2026-11-26T00:00:00Z", "file": "/a", "what": "gone"})
    )
    answers = {"maria1": {"instances": [entry()]}, "pg1": {"unreachable": True, "msg": "no route"}}
    result = run(db_logs.main, action="report", directory=str(tmp_path), answers=answers)
    assert result["counts"]["findings"]["high"] == 1
    assert result["counts"]["unknown"] == 1
    assert any("LG09" in note and "gone" in note for note in result["notes"])
    assert any("pg1" in note and "no route" in note for note in result["notes"])
    names = {path.rpartition("/")[2] for path in result["files"]}
    assert names == {"logs.json", "logs-findings.csv", "logs.sarif", "logs.junit.xml"}
    assert "LG09" in (tmp_path / "logs-findings.csv").read_text()
    assert '<testsuites name="Holdfast logs"' in (tmp_path / "logs.junit.xml").read_text()
    assert not run(db_logs.main, action="report", directory=str(tmp_path), answers=answers)["changed"]


def test_what_cannot_be_looked_at_is_an_entry_with_its_error(run, monkeypatch):
    monkeypatch.setattr(config, "names", lambda: ["orders"])
    monkeypatch.setattr(look, "look", lambda *_, **__: (_ for _ in ()).throw(Refused("no")))
    result = run(db_logs_info.main)
    assert result["instances"][0]["error"]["what"] == "no"
    assert fleet.heads("/nowhere") == {}
