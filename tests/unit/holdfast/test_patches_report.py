"""What is due as findings and pages, and the order in which hosts are patched."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.pairs import Member, PairOf
from ansible.module_utils.holdfast.patches import findings, publish, rollout
from ansible.module_utils.holdfast.units import format_instant

NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)


def server(name="orders", **changes):
    fields = {
        "instance": name,
        "engine": "postgresql",
        "package": "postgresql-15",
        "package_version": "15.18-1",
        "source": "postgresql-15",
        "held": True,
        "version": "15.18",
        "role": "primary",
        "outdated": False,
        "error": "",
    }
    return {**fields, **changes}


def due(**changes):
    fields = {
        "format": 1,
        "asked": format_instant(NOW),
        "system": {"id": "debian", "version": "13", "codename": "trixie", "title": "Debian 13", "kernel": "6.12"},
        "lists": {"status": "read", "reason": "", "read": format_instant(NOW)},
        "packages": [],
        "installed": {},
        "broken": [],
        "servers": [server()],
        "vulnerabilities": {"status": "read", "reason": "", "value": []},
        "restarts": {
            "status": "read",
            "reason": "",
            "value": {"services": [], "kernel": "", "kernel_known": True},
        },
        "reboot": "",
        "unattended": True,
        "half_done": False,
    }
    return {**fields, **changes}


def package(name, **changes):
    fields = {
        "package": name,
        "installed": "1",
        "available": "2",
        "kind": "database",
        "security": False,
        "origins": [],
        "held": False,
        "held_by_us": False,
    }
    return {**fields, **changes}


def ended(**changes):
    return {item.check.id: item for item in findings.results(due(**changes), date(2026, 11, 26))}


def test_a_host_with_nothing_due_has_no_finding():
    assert {str(item.status) for item in ended().values()} == {"passed"}


UNKNOWN = {"status": "error", "reason": "debsecan is not installed", "value": None}
RESTARTS = {"services": ["ssh.service"], "kernel": "a newer kernel is installed", "kernel_known": True}
CVE = {"id": "CVE-1", "package": "bash", "urgency": "high", "remote": True, "fixed": True}


@pytest.mark.parametrize(
    ("changes", "check", "subject", "severity"),
    [
        ({"packages": [package("postgresql-15", security=True)]}, "PT01", "postgresql-15", "high"),
        ({"packages": [package("bash", security=True, kind="system")]}, "PT01", "bash", "medium"),
        ({"packages": [package("pgbackrest", kind="tools")]}, "PT02", "pgbackrest", "medium"),
        ({"vulnerabilities": {"status": "read", "reason": "", "value": [CVE]}}, "PT03", "CVE-1 bash", "high"),
        (
            {"vulnerabilities": {"status": "read", "reason": "", "value": [{**CVE, "fixed": False}]}},
            "PT04",
            "CVE-1 bash",
            "low",
        ),
        ({"servers": [server(version="13.23")]}, "PT05", "PostgreSQL 13", "critical"),
        ({"system": {**due()["system"], "version": "12"}}, "PT05", "Debian 12", "low"),
        ({"restarts": {"status": "read", "reason": "", "value": RESTARTS}}, "PT06", "ssh.service", "medium"),
        ({"servers": [server(outdated=True)]}, "PT06", "orders", "high"),
        ({"restarts": {"status": "read", "reason": "", "value": RESTARTS}}, "PT07", "kernel", "medium"),
        ({"reboot": "linux-image asked for it"}, "PT07", "kernel", "medium"),
        ({"servers": [server(held=False)]}, "PT08", "orders", "medium"),
        ({"broken": ["bash"]}, "PT09", "bash", "high"),
        ({"half_done": True}, "PT09", "patch", "high"),
        (
            {"lists": {"status": "error", "reason": "refused", "read": format_instant(NOW)}},
            "PT10",
            "package lists",
            "high",
        ),
        ({"lists": {"status": "read", "reason": "", "read": None}}, "PT10", "package lists", "high"),
        (
            {"lists": {"status": "read", "reason": "", "read": format_instant(NOW - timedelta(days=9))}},
            "PT10",
            "package lists",
            "high",
        ),
    ],
)
def test_what_is_due_is_a_finding(changes, check, subject, severity):
    result = ended(**changes)[check]
    assert [(item.subject, str(item.severity)) for item in result.findings] == [(subject, severity)]
    assert str(result.status) == "found"


@pytest.mark.parametrize(
    ("changes", "check", "status"),
    [
        ({"vulnerabilities": UNKNOWN}, "PT03", "error"),
        ({"vulnerabilities": UNKNOWN}, "PT04", "error"),
        ({"restarts": {**UNKNOWN, "reason": "needrestart is not installed"}}, "PT07", "error"),
        (
            {"restarts": {"status": "read", "reason": "", "value": {**RESTARTS, "kernel": "", "kernel_known": False}}},
            "PT07",
            "not_applicable",
        ),
        ({"unattended": False}, "PT08", "not_applicable"),
    ],
)
def test_what_no_tool_tells_is_never_a_pass(changes, check, status):
    result = ended(**changes)[check]
    assert str(result.status) == status
    assert result.reason


def test_the_report_has_every_host_and_compares_with_the_one_before(tmp_path):
    def save(made):
        for file in made.files:
            (tmp_path / file.path.rsplit("/", 1)[1]).write_text(file.content)

    answers = {
        "db1": {"due": due(packages=[package("postgresql-15", security=True)])},
        "db2": {"unreachable": True, "msg": "no route"},
        "db3": {"failed": True, "msg": "no python"},
    }
    made = publish.due(answers, str(tmp_path), NOW)
    save(made)
    assert made.counts["states"] == {"complete": 1, "incomplete": 0, "not asked": 2}
    assert made.counts["findings"]["high"] == 1
    assert (made.counts["new"], made.counts["fixed"]) == (0, 0)
    assert "db2 was not asked: it cannot be reached: no route" in made.notes
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["patches.csv", "patches.html", "patches.json", "patches.junit.xml", "patches.sarif"]
    html = (tmp_path / "patches.html").read_text()
    assert "no route" in html
    assert "15.18-1" in html
    assert json.loads((tmp_path / "patches.sarif").read_text())["runs"][0]["automationDetails"]["id"] == (
        "holdfast/patches/"
    )
    later = {"db1": {"due": due(packages=[package("bash", security=True, kind="system")])}}
    again = publish.due(later, str(tmp_path), NOW + timedelta(days=1))
    assert (again.counts["new"], again.counts["fixed"]) == (1, 1)
    save(again)
    third = publish.due(later, str(tmp_path), NOW + timedelta(days=2))
    assert (third.counts["new"], third.counts["fixed"]) == (0, 0)
    assert third.entries[0]["findings"][0]["since"] == format_instant(NOW + timedelta(days=1))


def pair(name, first, second):
    return PairOf(Member(name, first, first, 5432), Member(f"{name}-dr", second, second, 5432))


def answers(**roles):
    found = {}
    for name, (host, role) in roles.items():
        found.setdefault(host, {"servers": []})["servers"].append({"instance": name.replace("_", "-"), "role": role})
    return found


def test_replicas_come_first_and_primaries_last():
    pairs = [pair("a", "db1", "dr1"), pair("b", "db2", "dr1")]
    told = answers(a=("db1", "primary"), a_dr=("dr1", "replica"), b=("db2", "primary"), b_dr=("dr1", "replica"))
    found = rollout.order(["db1", "db2", "db3", "db4", "db5", "dr1"], pairs, told, at_a_time=2)
    assert found.hosts == ["dr1", "db3", "db4", "db5", "db1", "db2"]
    assert found.batches == [1, 2, 1, 1, 1]
    assert found.mates["dr1"] == ["db1", "db2"]
    assert found.plan[4] == "db1; before that, a-dr on dr1 from a takes over"
    assert found.notes == []


def test_the_order_follows_the_roles_that_servers_have_now():
    pairs = [pair("a", "db1", "dr1")]
    swapped = answers(a=("db1", "replica"), a_dr=("dr1", "primary"))
    assert rollout.order(["db1", "dr1"], pairs, swapped).hosts == ["db1", "dr1"]


def test_a_primary_whose_replica_is_not_chosen_is_told():
    found = rollout.order(["db1"], [pair("a", "db1", "dr1")], answers(a=("db1", "primary"), a_dr=("dr1", "replica")))
    assert found.notes == ["a-dr on dr1 is not among them and keeps its version"]


def test_primaries_of_each_others_replicas_are_told():
    pairs = [pair("a", "db1", "db2"), pair("b", "db2", "db1")]
    told = answers(a=("db1", "primary"), a_dr=("db2", "replica"), b=("db2", "primary"), b_dr=("db1", "replica"))
    found = rollout.order(["db1", "db2"], pairs, told)
    assert found.hosts == ["db1", "db2"]
    assert "primaries of each other's replicas" in found.notes[0]


def test_a_host_that_the_play_does_not_have_is_named():
    with pytest.raises(InvalidInput, match="no host of this play is called pg9") as caught:
        rollout.chosen(["pg9", "pg1"], ["pg1", "pg2"])
    assert "There are pg1, pg2" in caught.value.remedy
    assert rollout.chosen(["pg2", "pg1"], ["pg1", "pg2"]) == ["pg1", "pg2"]
