"""The reports of an audit: whole, the same for the same answers, usable with ten thousand findings."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import pytest
from access import NOW, FakeAuditor, account, check, finding
from ansible.module_utils.holdfast import jobs, reports
from ansible.module_utils.holdfast.audit import exchange, publish, reviews, run
from ansible.module_utils.holdfast.audit.model import FRAMEWORKS, Escalation, Right, Severity
from ansible.module_utils.holdfast.audit.snapshot import Store
from ansible.module_utils.holdfast.engines import registry
from ansible.module_utils.holdfast.errors import HoldfastError, Unsupported
from ansible.module_utils.holdfast.model import Job
from fakes import FakeAdapters, instance

TODAY = date.today()
POLICY = {
    "administrators": ["postgres"],
    "accounts": {"shop": {"owner": "team shop", "kind": "service"}, "ann": {"owner": "Ann"}},
    "exceptions": [
        {
            "check": "PG02",
            "subject": "bob",
            "reason": "until the move",
            "owner": "Ann",
            "expires": (TODAY + timedelta(days=5)).isoformat(),
        }
    ],
}


@pytest.fixture
def auditor(monkeypatch):
    found = FakeAuditor()
    found.answers = {
        "PG01": [finding("eve <script>"), finding("old")],
        "PG02": [finding("bob", "PG02", Severity.HIGH)],
        "PG03": Unsupported("postgresql", "x", "came with version 16"),
    }
    monkeypatch.setattr(registry, "auditor", lambda _: found)
    return found


@pytest.fixture
def told(tmp_path, auditor, monkeypatch):
    """The answer of a host after one more audit."""

    def call(policy=POLICY):
        owner = instance(tmp_path / "state")
        (tmp_path / "state").mkdir(exist_ok=True)
        monkeypatch.setattr(run, "Adapters", FakeAdapters(owner))
        record = jobs.run_job(owner, Job.ACCESS_AUDIT, call=lambda it, record: run.audit(it, record, raw_policy=policy))
        entry = {"instance": "orders", "record": record, "audit": Store(owner).last()}
        return json.loads(json.dumps({"db1": {"instances": [entry]}}))

    return call


def made(answers, tmp_path, **others):
    return publish.make(answers, {"db1": [{"name": "orders"}]}, str(tmp_path / "reports"), TODAY, **others)


def content(found, name):
    return next(file.content for file in found.files if file.path.endswith(f"/{name}"))


def test_a_report_has_every_form(told, tmp_path):
    found = made(told(), tmp_path)
    names = {file.path.rpartition("/")[2] for file in found.files}
    assert names >= {
        "access-audit.json",
        "access-audit.html",
        "access-findings.csv",
        "access-review.csv",
        "access-review.html",
        "access-audit.sarif",
        "access-audit.junit.xml",
        *(f"access-audit-{name}.html" for name in FRAMEWORKS),
    }
    assert {file.mode for file in found.files} == {0o640}


def test_the_same_answers_give_the_same_files(told, tmp_path):
    answers = told()
    assert made(answers, tmp_path).files == made(answers, tmp_path).files


def test_the_page_tells_what_was_found_and_loads_nothing(told, auditor, tmp_path):
    told()
    auditor.answers["PG01"] = [finding("eve <script>"), finding("mallory")]
    auditor.people.append(account("mallory", superuser=True))
    auditor.paths = [Escalation("ann", ("ann owns a routine", "it runs as postgres"), "superuser")]
    page = content(made(told(), tmp_path), "access-audit.html")
    for text in (
        "Title of PG01",
        "eve &lt;script&gt;",
        "mallory</strong> is an administrator of the server",
        "What was fixed",
        "<code>old</code>",
        "ends soon",
        "until the move",
        "came with version 16",
        "SELECT rolname FROM pg_roles WHERE rolsuper",
        "postgresql 15.1",
        "it runs as postgres",
    ):
        assert text in page, text
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)=["'](?!#)|@import|url\(""", page)


def test_a_first_audit_says_that_there_was_none_before(told, tmp_path):
    assert "there was none to compare with" in content(made(told(), tmp_path), "access-audit.html")
    assert "0 new, 0 fixed" in content(made(told(), tmp_path), "access-audit.html")


def test_findings_are_in_the_csv_and_no_cell_is_a_formula(told, auditor, tmp_path):
    auditor.answers["PG01"] = [finding("=HYPERLINK(1)")]
    rows = list(csv.DictReader(io.StringIO(content(made(told(), tmp_path), "access-findings.csv"))))
    by_check = {row["check"]: row for row in rows}
    assert by_check["PG01"]["subject"] == "'=HYPERLINK(1)"
    assert (by_check["PG02"]["state"], by_check["PG02"]["exception_owner"]) == ("excepted", "Ann")
    assert by_check["PG01"]["pci_dss"] == "7.2.2"
    assert set(rows[0]) == set(exchange.COLUMNS)


def test_ten_thousand_findings_are_grouped_and_the_rest_is_named(told, auditor, tmp_path):
    auditor.answers["PG01"] = [finding(f"account {number}") for number in range(10_000)]
    found = made(told(), tmp_path)
    page = content(found, "access-audit.html")
    assert len(page) < 300_000
    assert "9975 more of this check are in <code>access-findings.csv</code>" in page
    assert content(found, "access-findings.csv").count("\n") > 10_000
    assert len(json.loads(content(found, "access-audit.sarif"))["runs"][0]["results"]) > 10_000
    assert "and 9900 more" in content(found, "access-audit.junit.xml")


def test_a_framework_page_has_its_requirements_with_the_worst_of_each(told, auditor, tmp_path):
    auditor.answers["PG03"] = HoldfastError("permission denied")
    page = content(made(told(), tmp_path), "access-audit-iso_27001.html")
    assert "ISO 27001:2022, annex A: 8.2" in page
    assert "ERROR: permission denied" in page
    assert "8.3.9" not in page, "that is a requirement of another framework"


def test_a_part_that_could_not_be_read_is_no_whole_audit(told, auditor, tmp_path):
    auditor.log = HoldfastError("permission denied")
    answers = told({})
    del answers["db1"]["instances"][0]["record"]  # as the last audit is told, without a run of its own
    found = made(answers, tmp_path)
    assert [item["status"] for item in found.entries[0]["checks"] if item["status"] == "error"] == []
    assert found.counts["states"] == {"audited": 0, "incomplete": 1, "not audited": 0}


def test_sarif_has_rules_results_suppressions_and_what_was_fixed(told, auditor, tmp_path):
    told()
    auditor.answers["PG01"] = [finding("eve <script>"), finding("mallory")]
    auditor.answers["PG03"] = HoldfastError("permission denied")
    log = json.loads(content(made(told(), tmp_path), "access-audit.sarif"))
    (ran,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = ran["tool"]["driver"]["rules"]
    for result in ran["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
    states = {
        result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: result["baselineState"]
        for result in ran["results"]
        if result["ruleId"] == "PG01"
    }
    assert states == {"orders/eve <script>": "unchanged", "orders/mallory": "new", "orders/old": "absent"}
    (excepted,) = [result for result in ran["results"] if "suppressions" in result]
    assert (excepted["ruleId"], excepted["suppressions"][0]["status"]) == ("PG02", "accepted")
    (invocation,) = ran["invocations"]
    assert not invocation["executionSuccessful"]
    assert "PG03 has no answer: permission denied" in invocation["toolExecutionNotifications"][0]["message"]["text"]
    assert "PCI DSS 4.0 7.2.2" in {tag for rule in rules for tag in rule["properties"]["tags"]}


# What the schema of SARIF 2.1.0 says of the objects that the report has: keys that may be there, those that must, and
# words that may stand for a value. The schema itself comes with no package that the project installs.
SARIF = {
    "log": ({"$schema", "version", "runs"}, {"version", "runs"}),
    "run": ({"tool", "automationDetails", "invocations", "columnKind", "results"}, {"tool"}),
    "tool": ({"driver"}, {"driver"}),
    "driver": ({"name", "version", "rules"}, {"name"}),
    "automationDetails": ({"id"}, set()),
    "invocation": ({"executionSuccessful", "toolExecutionNotifications"}, {"executionSuccessful"}),
    "notification": ({"level", "message", "associatedRule"}, {"message"}),
    "rule": (
        {"id", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"},
        {"id"},
    ),
    "configuration": ({"level", "rank"}, set()),
    "result": (
        {"ruleId", "ruleIndex", "level", "rank", "message", "locations", "partialFingerprints", "baselineState",
         "suppressions", "properties"},
        {"message"},
    ),
    "location": ({"logicalLocations"}, set()),
    "logicalLocation": ({"fullyQualifiedName", "kind"}, set()),
    "suppression": ({"kind", "status", "justification"}, {"kind"}),
    "message": ({"text"}, {"text"}),
    "reference": ({"id"}, {"id"}),
}  # fmt: skip
SARIF_PARTS = {
    ("log", "runs"): "run",
    ("run", "tool"): "tool",
    ("tool", "driver"): "driver",
    ("run", "automationDetails"): "automationDetails",
    ("run", "invocations"): "invocation",
    ("run", "results"): "result",
    ("driver", "rules"): "rule",
    ("rule", "shortDescription"): "message",
    ("rule", "fullDescription"): "message",
    ("rule", "help"): "message",
    ("rule", "defaultConfiguration"): "configuration",
    ("invocation", "toolExecutionNotifications"): "notification",
    ("notification", "message"): "message",
    ("notification", "associatedRule"): "reference",
    ("result", "message"): "message",
    ("result", "locations"): "location",
    ("result", "suppressions"): "suppression",
    ("location", "logicalLocations"): "logicalLocation",
}
SARIF_WORDS = {
    "level": {"none", "note", "warning", "error"},
    "baselineState": {"new", "unchanged", "updated", "absent"},
    "columnKind": {"utf16CodeUnits", "unicodeCodePoints"},
    "status": {"accepted", "underReview", "rejected"},
}


def faults(kind, value):
    allowed, required = SARIF[kind]
    found = [f"{kind} lacks {key}" for key in required - value.keys()]
    found += [f"{kind} has {key}" for key in value.keys() - allowed]
    worded = value.keys() & SARIF_WORDS.keys()
    found += [f"{kind}.{key} is {value[key]}" for key in worded if value[key] not in SARIF_WORDS[key]]
    for key, item in value.items():
        part = SARIF_PARTS.get((kind, key))
        listed = item if isinstance(item, list) else [item]
        found += [fault for each in listed if part for fault in faults(part, each)]
    return found


def test_sarif_keeps_to_its_schema(told, auditor, tmp_path):
    told()
    auditor.answers["PG01"] = [finding("eve <script>"), finding("mallory")]
    auditor.answers["PG03"] = HoldfastError("permission denied")
    answers = {**told(), "db2": {"msg": "down", "unreachable": True}}
    expected = {"db1": [{"name": "orders"}], "db2": [{"name": "billing"}]}
    found = publish.make(answers, expected, str(tmp_path / "reports"), TODAY)
    log = json.loads(content(found, "access-audit.sarif"))
    assert faults("log", log) == []
    (ran,) = log["runs"]
    assert len(ran["results"]) > 3
    assert len(ran["invocations"][0]["toolExecutionNotifications"]) == 2
    for rule in ran["tool"]["driver"]["rules"]:
        tags = rule["properties"]["tags"]
        assert len(tags) == len(set(tags)), "tags are a set"
    for result in ran["results"]:
        assert 0 <= result["rank"] <= 100
        assert all(isinstance(mark, str) for mark in result["partialFingerprints"].values())
        assert all(item["kind"] in ("inSource", "external") for item in result.get("suppressions", ()))
    wrong = {**log, "runs": [{**ran, "results": [{"level": "critical", "text": "x"}]}]}
    assert sorted(faults("log", wrong)) == ["result has text", "result lacks message", "result.level is critical"]


def test_junit_tells_failures_errors_and_skipped_apart(told, auditor, tmp_path):
    auditor.answers["PG03"] = HoldfastError("denied \x00 & more")
    auditor.listed.append(check("PG04"))
    auditor.answers["PG04"] = Unsupported("postgresql", "x", "came later")
    answers = {**told(), "db2": {"msg": "down", "unreachable": True}}
    expected = {"db1": [{"name": "orders"}], "db2": [{"name": "billing"}]}
    found = publish.make(answers, expected, str(tmp_path / "reports"), TODAY)
    suites = ET.fromstring(content(found, "access-audit.junit.xml"))
    billing, orders = suites
    assert billing.find("testcase/error").get("message") == "host db2 cannot be reached: down"
    ended = {case.get("name")[:4]: [child.tag for child in case] for case in orders}
    assert (ended["PG01"], ended["PG02"], ended["PG03"], ended["PG04"]) == (["failure"], [], ["error"], ["skipped"])
    assert int(orders.get("errors")) == 1
    assert int(suites.get("tests")) == len(orders) + 1


def test_a_review_that_never_was_is_a_finding_until_one_is_recorded(told, auditor, tmp_path):
    answers = told()
    first = made(answers, tmp_path)
    reports.save(first.files)

    def overdue(found):
        return [item["found"] for item in found.entries[0]["findings"] if item["check"] == "AC12"]

    assert overdue(first) == ["never reviewed; a review is due every 6 months"]
    assert any("never reviewed" in note for note in first.notes)

    def sign(day):
        file, _ = reviews.record(str(tmp_path / "reports"), by="Ana", hash_=first.sheet, day=day, note="", today=TODAY)
        reports.save([file])

    sign((TODAY - timedelta(days=200)).isoformat())
    assert "the next was due on" in overdue(made(answers, tmp_path))[0]
    sign("")
    second = made(answers, tmp_path)
    assert overdue(second) == []
    assert "Last reviewed on" in content(second, "access-review.html")


def test_the_next_sheet_says_what_has_changed_since_the_review(told, auditor, tmp_path):
    first = made(told(), tmp_path)
    reports.save(first.files)
    file, _ = reviews.record(str(tmp_path / "reports"), by="Ana", hash_=first.sheet, day="", note="", today=TODAY)
    reports.save([file])
    auditor.people = [replace(item, member_of=("writers",)) for item in auditor.people if item.name != "writers"]
    auditor.people.append(account("mallory", last_seen=NOW))
    auditor.given.append(Right("shop", "DELETE", "table", "a.b", "shop"))
    rows = list(csv.DictReader(io.StringIO(content(made(told(), tmp_path), "access-review.csv"))))
    changes = {row["account"]: row["change"] for row in rows}
    assert changes["mallory"] == "new"
    assert changes["writers"] == "gone"
    assert changes["ann"] == "roles: none -> writers"
    assert "DELETE on table (1)" in changes["shop"]


def changes_after(told, auditor, tmp_path, change):
    """What the sheet says of each account when something has changed since it was signed."""
    first = made(told(), tmp_path)
    reports.save(first.files)
    file, _ = reviews.record(str(tmp_path / "reports"), by="Ana", hash_=first.sheet, day="", note="", today=TODAY)
    reports.save([file])
    change(auditor)
    rows = list(csv.DictReader(io.StringIO(content(made(told(), tmp_path), "access-review.csv"))))
    return {row["account"]: row["change"] for row in rows}


def test_another_right_of_the_same_kind_is_a_change(told, auditor, tmp_path):
    def change(auditor):
        auditor.given = [replace(item, object=item.object.replace("orders", "salaries")) for item in auditor.given]

    found = changes_after(told, auditor, tmp_path, change)
    assert found["shop"] == "rights: others of the same kinds"
    assert found["ann"] == ""


def test_the_order_of_rights_is_no_change(told, auditor, tmp_path):
    assert set(changes_after(told, auditor, tmp_path, lambda it: it.given.reverse()).values()) == {""}


def test_a_sheet_without_marks_is_compared_without_them(told, auditor, tmp_path, monkeypatch):
    columns = reviews.COLUMNS
    monkeypatch.setattr(reviews, "COLUMNS", tuple(name for name in columns if name != "mark"))
    found = changes_after(told, auditor, tmp_path, lambda _: monkeypatch.setattr(reviews, "COLUMNS", columns))
    assert set(found.values()) == {""}


def test_what_everybody_may_is_in_the_sheet(told, auditor, tmp_path):
    auditor.given.append(Right("PUBLIC", "SELECT", "table", "public.orders", "shop"))
    found = made(told(), tmp_path)
    rows = {row["account"]: row for row in csv.DictReader(io.StringIO(content(found, "access-review.csv")))}
    assert (rows["PUBLIC"]["rights"], rows["PUBLIC"]["login"]) == ("SELECT on table (1)", "no")
    assert "<code>PUBLIC</code>" in content(found, "access-review.html")
    auditor.people.append(account("PUBLIC", login=False, system=True))
    assert content(made(told(), tmp_path), "access-review.csv").count("PUBLIC") == 1


@pytest.mark.parametrize("name", ["'quoted'", "''twice", "=1", "two\nlines", "\nline", "a,b"])
def test_a_name_comes_back_from_the_sheet_as_it_was(told, auditor, tmp_path, name):
    auditor.people.append(account(name))
    assert changes_after(told, auditor, tmp_path, lambda _: None)[name if name[0] not in "'=\n" else f"'{name}"] == ""


def test_a_sheet_names_owner_powers_and_who_answers(told, tmp_path):
    page = content(made(told(), tmp_path), "access-review.html")
    assert "team shop" in page
    assert "SHA-256" in page
    assert "name and role of the reviewer" in page


@pytest.mark.parametrize(
    ("day", "months", "due"),
    [("2026-01-31", 1, "2026-02-28"), ("2026-08-31", 6, "2027-02-28"), ("2026-12-01", 6, "2027-06-01")],
)
def test_months_later(day, months, due):
    assert reviews.add_months(date.fromisoformat(day), months) == date.fromisoformat(due)
