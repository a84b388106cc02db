"""The runbooks end to end: a flaw is planted, found, reported, taken away, and brought back by the undo."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fleet import LAB_DIR, Database, Fleet, playbook, together

REPORTS = LAB_DIR / "access"
NAMES = ("analytics", "shop")
CHOSEN = {"access_audit_directory": str(REPORTS), "instances": ",".join(NAMES)}
MALLORY = {"analytics": "mallory", "shop": "mallory@localhost"}
POLICY = {
    "accounts": {
        "mallory": {"owner": "nobody any more", "state": "locked"},
        "mallory@localhost": {"owner": "nobody any more", "state": "locked"},
        "reporter": {"owner": "team reports", "kind": "service"},
        "reporter@localhost": {"owner": "team reports", "kind": "service"},
    },
    "roles": {"readers": {"members": ["reporter", "reporter@localhost"]}},
    "exceptions": [
        {
            "check": "AC10",
            "subject": "mallory*",
            "reason": "leaves on Friday",
            "owner": "Ana",
            "expires": "2020-01-31",
        }
    ],
}


@pytest.fixture(scope="module", autouse=True)
def _planted(fleet: Fleet) -> Iterator[None]:
    """Somebody who should be locked out may log in, and holds a role that is not his."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    _remove(fleet)
    fleet["analytics"].sql("CREATE ROLE readers; CREATE ROLE reporter LOGIN; GRANT readers TO reporter")
    fleet["shop"].sql("CREATE ROLE readers; CREATE USER reporter@localhost IDENTIFIED VIA unix_socket")
    fleet["shop"].sql("GRANT readers TO reporter@localhost")
    audit()
    fleet["analytics"].sql("CREATE ROLE mallory LOGIN CREATEROLE; GRANT readers TO mallory")
    fleet["shop"].sql("CREATE USER mallory@localhost IDENTIFIED VIA unix_socket; GRANT readers TO mallory@localhost")
    yield
    _remove(fleet)


def _remove(fleet: Fleet) -> None:
    fleet["analytics"].sql("DROP ROLE IF EXISTS mallory, eve, reporter, readers")
    fleet["shop"].sql("DROP USER IF EXISTS mallory@localhost, eve@localhost, reporter@localhost")
    fleet["shop"].sql("DROP ROLE IF EXISTS readers")


def audit(*args: str, code: int = 0, **extra: Any) -> str:
    return playbook("access_audit", *args, extra={"access_audit_policy": POLICY, **CHOSEN, **extra}, code=code)


def told() -> dict[str, dict[str, Any]]:
    """What the report says of each instance."""
    report = json.loads((REPORTS / "access-audit.json").read_text())
    return {entry["instance"]: entry for entry in report["instances"]}


def subjects(entry: dict[str, Any], check: str) -> set[str]:
    return {item["subject"] for item in entry["findings"] if item["check"] == check and item["state"] == "open"}


def remediate(name: str, *args: str, code: int = 0, **extra: Any) -> str:
    return playbook(
        "access_remediate", *args, extra={"instance": name, "access_remediate_policy": POLICY, **extra}, code=code
    )


def metric(database: Database, name: str) -> str:
    """The value of a metric of one instance."""
    return re.search(rf"^{name}{{[^}}]*}} (.*)$", database.run("holdfast metrics %s", database.name), re.MULTILINE)[1]


def assert_the_owners_alone(database: Database, path: str) -> None:
    file = database.host.file(path)
    assert (file.mode, file.user) == (0o600, database.owner)


def may_log_in(database: Database) -> bool:
    if database.is_postgresql:
        return database.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'mallory'") == "t"
    query = "SELECT json_value(Priv, '$.account_locked') FROM mysql.global_priv WHERE User = 'mallory'"
    return database.sql(query) not in ("1", "true")


def holds_the_role(database: Database) -> bool:
    if database.is_postgresql:
        return database.sql("SELECT pg_has_role('mallory', 'readers', 'MEMBER')") == "t"
    return database.sql("SELECT count(*) FROM mysql.roles_mapping WHERE User = 'mallory' AND Role = 'readers'") == "1"


def test_the_audit_finds_what_is_not_in_the_policy_and_alerts_on_new_power(fleet: Fleet) -> None:
    output = audit()
    entries = told()
    assert set(entries) == set(NAMES)
    for name in NAMES:
        entry, who = entries[name], MALLORY[name]
        assert entry["state"] == "audited", [item for item in entry["checks"] if item["status"] == "error"]
        assert subjects(entry, "AC10") == {who}
        assert f"{who} in readers" in subjects(entry, "AC06")
        assert not any("reporter" in subject for subject in subjects(entry, "AC06"))
        assert "AC10 mallory*" in subjects(entry, "AC11"), "the exception has expired"
        power = {f"{item['account']} {item['what']}" for item in entry["difference"]["power"]}
        assert f"{who} holds the role readers" in power
        assert f"{who} holds the role readers" in " ".join(output.split())
        record = fleet[name].records("access_audit")[-1]
        assert (record["result"], record["access"]["alert"]) == ("ok", "new-power")
        assert all(check["asked"] for check in entry["checks"] if check["status"] in ("passed", "found"))


def test_the_snapshot_is_the_owners_alone(fleet: Fleet) -> None:
    for name in NAMES:
        for file in (
            "audit.json",
            "rights.jsonl.gz",
            "policy.json",
            "asked.json",
            "asked-rights.jsonl.gz",
            "review.json",
        ):
            assert_the_owners_alone(fleet[name], f"{fleet[name].state}/access/{file}")


def test_every_form_of_the_report_is_there() -> None:
    for name in ("access-audit.html", "access-audit-pci_dss.html", "access-findings.csv", "access-review.html"):
        assert "mallory" in (REPORTS / name).read_text() or name == "access-audit-pci_dss.html"
    assert json.loads((REPORTS / "access-audit.sarif").read_text())["version"] == "2.1.0"
    assert "<testsuites" in (REPORTS / "access-audit.junit.xml").read_text()
    for page in REPORTS.glob("*.html"):
        assert not re.search(r"<(?:script|link|img|iframe)|url\(", page.read_text()), "it would need a network"


def test_a_build_can_be_made_to_fail() -> None:
    output = audit(fail_on="high", code=2)
    assert "open findings are high or worse" in output


def test_a_signed_sheet_ends_the_overdue_review(fleet: Fleet) -> None:
    sheet = json.loads((REPORTS / "access-audit.json").read_text())["sheet"]
    assert all(subjects(entry, "AC12") for entry in told().values())
    playbook(
        "access_review",
        extra={"access_audit_directory": str(REPORTS), "by": "Ana Example, sales", "sheet": sheet[:12]},
    )
    due = [metric(fleet[name], "holdfast_access_review_due_timestamp_seconds") for name in NAMES]
    assert due == ["0", "0"], "never reviewed"
    audit()
    assert not any(subjects(entry, "AC12") for entry in told().values())
    for name in NAMES:
        assert float(metric(fleet[name], "holdfast_access_review_due_timestamp_seconds")) > time.time() + 150 * 86400


def test_the_schedule_sees_new_power_and_tells_it_until_the_report_has_it(fleet: Fleet) -> None:
    def see(database: Database) -> None:
        who = "eve" if database.is_postgresql else "eve@localhost"
        how = "LOGIN" if database.is_postgresql else "IDENTIFIED VIA unix_socket"
        database.sql(f"CREATE {'ROLE' if database.is_postgresql else 'USER'} {who} {how}")
        unit = f"holdfast-{database.name}-access-audit.service"
        database.run("systemctl start %s", unit)
        record = database.records("access_audit")[-1]
        assert (record["result"], record["access"]["scheduled"]) == ("ok", True)
        assert record["access"]["power"] == [{"account": who, "what": "may log in"}]
        database.run("systemctl start %s", unit)
        assert database.records("access_audit")[-1]["access"]["power"] == [], "it is new once"
        assert metric(database, "holdfast_access_new_power") == "1", "and told until somebody looks"
        assert any(f"new power of {who}" in item["text"] for item in database.status()["problems"])

    together(see, *(fleet[name] for name in NAMES))
    audit()
    for name, entry in told().items():
        assert [item["account"].partition("@")[0] for item in entry["difference"]["power"]] == ["eve"]
        fleet[name].run("systemctl start holdfast-%s-access-audit.service", name)
        assert metric(fleet[name], "holdfast_access_new_power") == "0"


def test_a_grant_option_that_is_left_alone_goes_in_the_same_run(fleet: Fleet) -> None:
    shop = fleet["shop"]
    shop.sql(
        "CREATE DATABASE handed; CREATE USER hander@localhost IDENTIFIED VIA unix_socket;"
        " GRANT SELECT, INSERT ON handed.* TO hander@localhost WITH GRANT OPTION"
    )
    grants = "SHOW GRANTS FOR hander@localhost"
    before = shop.sql(grants)
    policy = {"accounts": {"hander@localhost": {"owner": "nobody any more", "rights": []}}}
    try:
        remediate("shop", confirm="shop", access_remediate_policy=policy)
        assert "handed" not in shop.sql(grants)
        said = shop.records("access_change")[-1]["access_change"]
        assert len(said["steps"]) == 3
        assert not re.search(r"changed=[1-9]", remediate("shop", confirm="shop", access_remediate_policy=policy))
        remediate("shop", what="undo", undo=Path(said["undo"]).name, confirm="shop")
        assert shop.sql(grants) == before
    finally:
        shop.sql("DROP USER hander@localhost; DROP DATABASE handed")


def _planned_confirmed_done_and_undone(database: Database) -> None:
    name = database.name
    plan = remediate(name, "--check", "--diff")
    assert "readers" in plan
    assert may_log_in(database), "a plan changes nothing"
    assert "does not confirm" in remediate(name, code=2)
    assert may_log_in(database)

    remediate(name, confirm=name)
    assert not may_log_in(database)
    assert not holds_the_role(database)
    undo = database.records("access_change")[-1]["access_change"]["undo"]
    assert_the_owners_alone(database, undo)
    assert not re.search(r"changed=[1-9]", remediate(name, confirm=name)), "a second run changes nothing"

    remediate(name, what="undo", undo=Path(undo).name, confirm=name)
    assert may_log_in(database)
    assert holds_the_role(database)


def test_remediation_is_planned_confirmed_done_and_undone(fleet: Fleet) -> None:
    together(_planned_confirmed_done_and_undone, *(fleet[name] for name in NAMES))


def test_who_it_is_connected_as_is_refused(fleet: Fleet) -> None:
    def refused(database: Database) -> str:
        account = "postgres" if database.is_postgresql else "mysql@localhost"
        output = remediate(database.name, what="drop", account=account, confirm=database.name, code=2)
        assert database.answers()
        return " ".join(output.split())

    for output in together(refused, *(fleet[name] for name in NAMES)):
        assert "connect" in output


def test_a_policy_that_contradicts_itself_is_refused_before_anything_is_asked(fleet: Fleet) -> None:
    before = len(fleet["shop"].records("access_audit", last=200))
    wrong = {"accounts": {"ann": {"state": "absent", "roles": ["readers"]}}, "roles": {}}
    audit(access_audit_policy=wrong)
    entry = told()["shop"]
    assert entry["state"] == "not audited"
    assert "unknown role" in entry["error"]
    assert len(fleet["shop"].records("access_audit", last=200)) == before + 1, "a failed record"


def test_a_host_out_of_reach_is_in_the_report() -> None:
    audit(ansible_host="no-such-host.invalid")
    assert {entry["state"] for entry in told().values()} == {"not audited"}


def test_the_command_says_the_same_on_the_host(fleet: Fleet) -> None:
    shop = fleet["shop"]
    result = shop.host.run("holdfast audit shop --json")
    found = json.loads(result.stdout)["shop"]
    assert found["record"]["result"] == "ok", found["record"]
    assert result.rc in (0, 3)
    shown = shop.run("holdfast audit shop --rights mallory@localhost")
    assert "mallory@localhost has" in shown
