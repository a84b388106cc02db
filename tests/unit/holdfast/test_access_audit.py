"""An audit asks everything, holds the policy against it, and says what is new; one check that fails stops no other."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date, timedelta

import pytest
from access import NOW, FakeAuditor, account, finding
from ansible.module_utils.holdfast import jobs
from ansible.module_utils.holdfast.audit import reviews, rights, run
from ansible.module_utils.holdfast.audit.model import Escalation, Membership, Right, Severity
from ansible.module_utils.holdfast.audit.snapshot import Store
from ansible.module_utils.holdfast.engines import registry
from ansible.module_utils.holdfast.errors import HoldfastError, Interrupted, ServerUnavailable, Unsupported
from ansible.module_utils.holdfast.model import Job
from fakes import FakeAdapters, instance

POLICY = {
    "administrators": ["postgres"],
    "accounts": {
        "shop": {"owner": "team shop", "kind": "service", "roles": ["writers"], "rights": [{"privileges": ["SELECT"]}]},
        "ann": {"owner": "Ann", "kind": "person"},
    },
    "roles": {"writers": {"rights": [{"privileges": ["INSERT"], "kind": "table"}]}},
}


@pytest.fixture
def orders(tmp_path):
    return instance(tmp_path)


@pytest.fixture
def auditor(orders, monkeypatch):
    found = FakeAuditor()
    monkeypatch.setattr(run, "Adapters", FakeAdapters(orders))
    monkeypatch.setattr(registry, "auditor", lambda _: found)
    return found


@pytest.fixture
def audit(orders, auditor):
    """Run an audit as the job does, and return its record and its snapshot."""

    def call(policy=POLICY):
        record = jobs.run_job(
            orders, Job.ACCESS_AUDIT, call=lambda owner, record: run.audit(owner, record, raw_policy=policy)
        )
        return record, Store(orders).last()

    return call


def findings(snapshot, check=None, state="open"):
    return [
        item["subject"] for item in snapshot["findings"] if check in (None, item["check"]) and item["state"] == state
    ]


def status(snapshot):
    return {item["id"]: item["status"] for item in snapshot["checks"]}


def test_every_check_ends_in_its_own_way(audit, auditor):
    auditor.answers = {
        "PG01": [finding("eve")],
        "PG02": HoldfastError("permission denied for pg_authid"),
        "PG03": Unsupported("postgresql", "x", "came with version 16"),
    }
    record, snapshot = audit()
    found = {item["id"]: item for item in snapshot["checks"]}
    assert found["PG01"]["status"] == "found"
    assert (found["PG02"]["status"], found["PG02"]["reason"]) == ("error", "permission denied for pg_authid")
    assert (found["PG03"]["status"], found["PG03"]["reason"]) == ("not_applicable", "came with version 16")
    assert found["AC01"]["status"] == "passed"
    assert found["PG01"]["statement"].startswith("SELECT")
    assert found["PG01"]["asked"].endswith("Z")
    assert record["result"] == "failed", "an error is never a pass"
    assert record["error"]["code"] == "audit-incomplete"
    assert "PG02" in record["error"]["what"]
    assert record["access"]["findings"]["critical"] == 1


def test_a_defect_in_one_check_does_not_hide_the_others(audit, auditor):
    auditor.answers = {"PG01": KeyError("x"), "PG02": [finding("eve", "PG02")]}
    _, snapshot = audit()
    assert status(snapshot)["PG01"] == "error"
    assert findings(snapshot, "PG02") == ["eve"]


def test_a_signal_ends_the_audit_and_leaves_a_record(audit, auditor):
    auditor.answers = {"PG01": Interrupted("stopped by SIGTERM")}
    record, snapshot = audit()
    assert (record["result"], record["error"]["code"]) == ("failed", "interrupted")
    assert snapshot is None


def test_a_server_that_is_down_is_one_error(audit, auditor, orders, monkeypatch):
    fake = FakeAdapters(orders)
    fake.engine.down = ServerUnavailable("the server does not answer")
    monkeypatch.setattr(run, "Adapters", fake)
    record, snapshot = audit()
    assert (record["error"]["code"], snapshot) == ("server-unavailable", None)


@pytest.mark.parametrize(
    ("part", "checks"),
    [
        ("accounts", {"AC01", "AC02", "AC03", "AC04", "AC05", "AC08", "AC09", "AC10"}),
        ("memberships", {"AC06"}),
        ("escalations", {"AC13"}),
        ("rights", {"AC07"}),
    ],
)
def test_what_the_server_refuses_is_an_error_of_the_checks_that_need_it(audit, auditor, part, checks):
    auditor.failing = {part: HoldfastError("permission denied")}
    record, snapshot = audit()
    assert {id_ for id_, ended in status(snapshot).items() if ended == "error"} == checks
    assert snapshot["parts"][part] == {"status": "error", "reason": "permission denied"}
    assert record["result"] == "failed"


def test_without_a_policy_nothing_is_compared_and_that_is_no_pass(audit):
    record, snapshot = audit(None)
    assert record["result"] == "ok"
    for id_ in ("AC01", "AC06", "AC07", "AC08", "AC09", "AC10", "AC11", "AC14", "AC15"):
        assert status(snapshot)[id_] == "not_applicable", id_
    assert status(snapshot)["AC02"] == "found"


def test_the_policy_of_the_last_audit_serves_the_host_itself(audit, orders):
    audit()
    _, snapshot = audit(None)
    assert snapshot["policy"]["given"]
    assert os.stat(Store(orders).policy).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "check", "subject"),
    [
        ({"people": [account("eve")]}, "AC01", "eve"),
        ({"people": [account("old", last_seen=NOW - timedelta(days=91))]}, "AC02", "old"),
        ({"people": [account("never", last_seen=None, created=NOW - timedelta(days=91))]}, "AC02", "never"),
        ({"people": [account("eternal", password="set")]}, "AC03", "eternal"),
        ({"people": [account("gone", expires=NOW - timedelta(days=1))]}, "AC04", "gone"),
        ({"people": [account("admin@%")]}, "AC05", "admin@%"),
        ({"held": [Membership("writers", "eve")]}, "AC06", "eve in writers"),
        ({"held": [Membership("writers", "shop", admin=True)]}, "AC06", "shop in writers with admin option"),
        ({"held": [Membership("pg_monitor", "shop")]}, "AC06", "shop in pg_monitor"),
        (
            {
                "people": [account("PUBLIC", login=False, system=True), account("shop")],
                "held": [Membership("writers", "PUBLIC")],
            },
            "AC06",
            "PUBLIC in writers",
        ),
        (
            {
                "people": [account("pg_monitor", login=False, system=True)],
                "held": [Membership("writers", "pg_monitor")],
            },
            "AC06",
            "pg_monitor in writers",
        ),
        (
            {"given": [Right("shop", "DELETE", "table", "public.orders", "shop")]},
            "AC07",
            "shop: DELETE on table public.orders",
        ),
        ({"people": [account("eve", superuser=True)]}, "AC08", "eve"),
        ({"people": []}, "AC09", "account shop"),
        ({"paths": [Escalation("eve", ("eve has CREATEROLE",), "superuser")]}, "AC13", "eve to superuser: eve has"),
    ],
)
def test_what_the_policy_does_not_know_is_found(audit, auditor, change, check, subject):
    for name, value in change.items():
        setattr(auditor, name, value)
    _, snapshot = audit()
    assert any(found.startswith(subject) for found in findings(snapshot, check)), findings(snapshot, check)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"people": [account("new", last_seen=None, created=NOW)]}, "AC02"),
        ({"people": [account("locked", last_seen=NOW - timedelta(days=400), locked=True)]}, "AC02"),
        ({"people": [account("eve", superuser=True, system=True)]}, "AC08"),
        ({"held": [Membership("pg_monitor", "ann")]}, "AC06"),
        ({"held": [Membership("writers", "postgres")]}, "AC06"),
        (
            {
                "people": [account(name, login=False, system=True) for name in ("writers", "pg_monitor")],
                "held": [Membership("writers", "pg_monitor")],
            },
            "AC06",
        ),
        ({"given": [Right("ann", "DELETE", "table", "public.orders", "shop")]}, "AC07"),
        ({"given": [Right("shop", "DELETE", "table", "a.b", "shop", via=("PUBLIC",))]}, "AC07"),
        ({"paths": [Escalation("postgres", ("x",), "superuser")]}, "AC13"),
    ],
)
def test_what_is_as_it_should_be_or_not_spoken_of_is_not_found(audit, auditor, change, check):
    for name, value in change.items():
        setattr(auditor, name, value)
    _, snapshot = audit()
    assert findings(snapshot, check) == []


def test_last_use_that_nobody_knows_is_said_and_is_no_pass(audit, auditor):
    why = {"last_seen": "logins are not logged"}
    auditor.people = [account("shop", last_seen=None, unknown=why), account("ann", last_seen=None, unknown=why)]
    _, snapshot = audit()
    (dormant,) = [item for item in snapshot["checks"] if item["id"] == "AC02"]
    assert (dormant["status"], dormant["reason"]) == ("not_applicable", "logins are not logged")
    auditor.people.append(account("bob"))
    _, snapshot = audit()
    (dormant,) = [item for item in snapshot["checks"] if item["id"] == "AC02"]
    reason = "of 2 accounts the last use is not known: logins are not logged"
    assert (dormant["status"], dormant["reason"]) == ("not_applicable", reason), (
        "that bob was seen tells nothing of them"
    )
    auditor.people.append(account("old", last_seen=NOW - timedelta(days=100)))
    _, snapshot = audit()
    (dormant,) = [item for item in snapshot["checks"] if item["id"] == "AC02"]
    assert dormant["status"] == "found"
    assert dormant["reason"] == "of 2 accounts the last use is not known: logins are not logged"


def test_paths_that_begin_alike_are_different_findings(audit, auditor):
    auditor.paths = [
        Escalation("eve", ("eve is a member of team", f"team may call {name}"), "superuser") for name in ("f()", "g()")
    ]
    _, snapshot = audit()
    assert findings(snapshot, "AC13") == [
        f"eve to superuser: eve is a member of team; then team may call {name}" for name in ("f()", "g()")
    ]


def test_an_administrator_of_the_policy_has_the_power_that_it_should_have(audit, auditor):
    auditor.listed = [replace(item, power=item.id == "PG01") for item in auditor.listed]
    auditor.answers = {"PG01": [finding("postgres")], "PG02": [finding("postgres", "PG02")]}
    _, snapshot = audit()
    assert (status(snapshot)["PG01"], findings(snapshot, "PG02")) == ("passed", ["postgres"])
    assert status(audit({})[1])["PG01"] == "found"


def test_states_and_forbidden_rights_of_the_policy(audit, auditor):
    policy = {
        "accounts": {
            "shop": {"state": "locked", "forbidden": [{"privileges": ["SELECT"], "object": "*.orders"}]},
            "ann": {"state": "absent"},
        }
    }
    _, snapshot = audit(policy)
    assert sorted(findings(snapshot, "AC10")) == ["ann", "shop"]
    assert findings(snapshot, "AC15") == ["shop: SELECT on table public.orders"]


def test_an_exception_takes_a_finding_out_until_its_day(audit, auditor):
    auditor.answers = {"PG01": [finding("eve"), finding("bob")]}

    def waived(day):
        waiver = {"check": "PG01", "subject": "eve", "reason": "agreed", "owner": "Ann", "expires": day.isoformat()}
        return audit({"exceptions": [waiver]})[1]

    today = date.today()
    snapshot = waived(today + timedelta(days=100))
    assert (findings(snapshot, "PG01"), findings(snapshot, "PG01", "excepted")) == (["bob"], ["eve"])
    assert findings(snapshot, "AC11") == []
    snapshot = waived(today + timedelta(days=10))
    (soon,) = [item for item in snapshot["findings"] if item["check"] == "AC11"]
    assert (soon["severity"], "in 10 days" in soon["found"]) == ("low", True)
    snapshot = waived(today - timedelta(days=1))
    assert sorted(findings(snapshot, "PG01")) == ["bob", "eve"], "it stands again"
    assert findings(snapshot, "AC11") == ["PG01 eve"]


def test_two_runs_tell_what_is_new_and_what_was_fixed(audit, auditor):
    auditor.answers = {"PG01": [finding("eve"), finding("bob")]}
    record, first = audit()
    assert first["difference"]["new"] == [], "with nothing to compare with, nothing is new"
    assert record["access"]["power"] == []
    auditor.answers = {"PG01": [finding("eve"), finding("mallory")]}
    record, second = audit()
    difference = second["difference"]
    assert [item["subject"] for item in difference["new"]] == ["mallory"]
    assert [item["subject"] for item in difference["fixed"]] == ["bob"]
    since = {item["subject"]: item["since"] for item in second["findings"]}
    assert since["eve"] == first["started"]
    assert since["mallory"] == second["started"]
    assert (record["access"]["new"], record["access"]["fixed"]) == (1, 1)


def test_a_check_without_an_answer_has_fixed_nothing(audit, auditor):
    auditor.answers = {"PG01": [finding("eve")]}
    _, first = audit()
    auditor.answers = {"PG01": HoldfastError("permission denied")}
    _, second = audit()
    assert second["difference"]["fixed"] == []
    auditor.answers = {"PG01": [finding("eve")]}
    _, third = audit()
    assert third["difference"]["new"] == []
    assert next(item for item in third["findings"] if item["subject"] == "eve")["since"] == first["started"]


def test_new_power_is_an_alert_in_the_record(audit, auditor):
    audit()
    auditor.people = [replace(item, superuser=item.name in ("postgres", "ann")) for item in auditor.people]
    auditor.people.append(account("mallory", attributes=("CREATEROLE",)))
    auditor.held = [*auditor.held, Membership("writers", "mallory", admin=True)]
    auditor.paths = [Escalation("mallory", ("creates a role", "grants it"), "superuser")]
    auditor.given = [*auditor.given, Right("mallory", "SELECT", "table", "public.orders", "shop", grantable=True)]
    record, snapshot = audit()
    told = {f"{item['account']} {item['what']}" for item in record["access"]["power"]}
    assert told == {
        "ann is an administrator of the server",
        "mallory may log in",
        "mallory has CREATEROLE",
        "mallory holds the role writers",
        "mallory may hand on the role writers",
        "mallory can reach superuser: creates a role; then grants it",
        "mallory may hand on SELECT on table public.orders",
    }
    assert record["access"]["alert"] == "new-power"
    assert snapshot["difference"]["gained"]["count"] == 1
    record, _ = audit()
    assert record["access"]["alert"] == ""


def test_what_could_not_be_read_before_is_no_new_power(audit, auditor):
    auditor.failing = {"accounts": HoldfastError("permission denied")}
    audit()
    auditor.failing = {}
    record, _ = audit()
    assert record["access"]["power"] == []


def test_rights_are_counted_and_kept_for_the_owner_alone(audit, orders):
    _, snapshot = audit()
    store = Store(orders)
    assert snapshot["rights"]["count"] == 3
    assert snapshot["rights"]["accounts"]["shop"] == {"SELECT on table": 1, "INSERT on table": 1}
    assert [item["via"] for item in rights.of_account(store.rights, "shop")] == [["writers"], []]
    for path in (store.path, store.rights):
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(store.directory).st_mode & 0o777 == 0o700


def test_rights_lost_are_told(audit, auditor):
    audit()
    auditor.given = auditor.given[1:]
    _, snapshot = audit()
    assert snapshot["difference"]["lost"]["shown"] == [
        {"account": "shop", "what": "SELECT on table public.orders of shop"}
    ]


def test_more_rights_than_anybody_reads_are_counted(audit, auditor, monkeypatch):
    monkeypatch.setattr(rights, "MOST_FINDINGS", 2)
    auditor.given = [Right("shop", "DELETE", "table", f"public.t{number}", "shop") for number in range(5)]
    _, snapshot = audit()
    found = [item["found"] for item in snapshot["findings"] if item["check"] == "AC07"]
    assert len(found) == 3
    assert "3 further ones are not listed" in found


def test_grants_outside_the_window_are_found_and_the_log_is_read_on(audit, auditor):
    window = {"change_window": {"days": ["mon"], "hours": "09:00-10:00"}}
    auditor.log = [
        {"time": "2026-11-23T09:30:00", "account": "ann", "statement": "GRANT a TO b"},
        {"time": "2026-11-24T03:00:00", "account": "eve", "statement": "ALTER ROLE eve SUPERUSER"},
    ]
    _, snapshot = audit(window)
    (found,) = [item for item in snapshot["findings"] if item["check"] == "AC14"]
    assert found["account"] == "eve"
    assert "ALTER ROLE eve SUPERUSER" in found["found"]
    _, snapshot = audit(window)
    assert snapshot["log"]["position"] == "+1+1"


def test_what_happened_outside_the_window_is_never_fixed(audit, auditor):
    window = {"change_window": {"days": ["mon"], "hours": "09:00-10:00"}}
    auditor.log = [
        {"time": "2026-11-24T03:00:00", "account": "eve", "statement": "ALTER ROLE eve SUPERUSER"},
        {"time": None, "account": "", "statement": "the log is gone", "gap": True},
    ]
    _, snapshot = audit(window)
    assert "at a time not known" in findings(snapshot, "AC14")
    auditor.log = []
    record, snapshot = audit(window)
    assert (snapshot["difference"]["fixed"], record["access"]["fixed"]) == ([], 0)


def test_a_wrong_policy_is_refused_before_anything_is_asked(audit, orders):
    record, snapshot = audit({"dormant_days": 0})
    assert (record["result"], record["error"]["code"], snapshot) == ("failed", "invalid-input", None)
    assert not os.path.exists(Store(orders).policy)


def test_the_snapshot_is_plain_json(audit, orders):
    audit()
    with open(Store(orders).path, encoding="utf-8") as stream:
        snapshot = json.load(stream)
    shop = next(item for item in snapshot["accounts"] if item["name"] == "shop")
    assert shop["last_seen"].endswith("Z")
    assert snapshot["version"] == "15.1"
    assert [item["severity"] for item in snapshot["findings"]].count(str(Severity.MEDIUM)) >= 1


def test_the_schedule_tells_each_new_power_once_and_a_report_all_since_the_last_report(orders, auditor):
    def audit(*, scheduled):
        record = jobs.run_job(
            orders,
            Job.ACCESS_AUDIT,
            scheduled=scheduled,
            call=lambda owner, record: run.audit(owner, record, raw_policy=POLICY, scheduled=scheduled),
        )
        assert record["access"]["scheduled"] is scheduled
        snapshot = Store(orders).last()
        shown = {item["account"] for item in snapshot["difference"]["gained"]["shown"]}
        return {item["account"] for item in snapshot["difference"]["power"]}, shown, snapshot

    everyone = auditor.people
    audit(scheduled=False)
    auditor.people = [*everyone, account("eve")]
    auditor.given = [*auditor.given, Right("eve", "SELECT", "table", "public.orders", "shop")]
    assert audit(scheduled=True)[:2] == ({"eve"}, {"eve"})
    auditor.people = [*everyone, account("eve"), account("mallory")]
    power, _, seen = audit(scheduled=True)
    assert power == {"mallory"}
    since = {item["subject"]: item["since"] for item in seen["findings"] if item["check"] == "AC01"}
    assert audit(scheduled=True)[0] == set()
    power, shown, report = audit(scheduled=False)
    assert (power, shown) == ({"eve", "mallory"}, {"eve"})
    assert {"eve", "mallory"} <= {item["subject"] for item in report["difference"]["new"]}
    dated = {item["subject"]: item["since"] for item in report["findings"] if item["check"] == "AC01"}
    assert dated == since, "the schedule saw them first"
    assert audit(scheduled=False)[:2] == (set(), set())


def test_a_report_reads_the_log_on_from_the_last_report(orders, auditor):
    asked = []
    auditor.observed_grants = lambda since: asked.append(since) or ([], f"{since}+1")
    for scheduled in (False, True, True, False, True):
        jobs.run_job(
            orders,
            Job.ACCESS_AUDIT,
            call=lambda owner, record, how=scheduled: run.audit(owner, record, raw_policy=POLICY, scheduled=how),
        )
    assert asked == ["", "+1", "+1+1", "+1", "+1+1"]


def reviewed(day, name):
    return {"date": day, "instances": [name]}


@pytest.mark.parametrize(
    ("told", "due"),
    [
        (None, None),
        ([], ""),
        ([reviewed("2026-05-31", "shop")], ""),
        ([reviewed("2026-01-01", "orders"), reviewed("2026-08-31", "orders")], "2027-02-28"),
    ],
)
def test_the_host_knows_when_the_next_review_is_due_once_the_control_host_has_told(audit, orders, told, due):
    if told is not None:
        reviews.tell(Store(orders), told, "orders")
    assert audit()[0]["access"]["review_due"] == due
