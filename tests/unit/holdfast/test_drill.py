"""A drill is judged by explicit criteria, and its report holds what an auditor looks for."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import subprocess

import pytest
from ansible.module_utils.holdfast import drill
from ansible.module_utils.holdfast.document import markdown, to_html
from ansible.module_utils.holdfast.drill_report import report
from ansible.module_utils.holdfast.errors import InvalidInput


def at(minutes):
    return f"2026-11-22T{9 + minutes // 60:02d}:{minutes % 60:02d}:00.000Z"


def record(name, began, ended, **measured):
    return {
        "id": f"id-{name}",
        "instance": name,
        "job": "restore",
        "host": f"dr-{name}",
        "result": "ok",
        "started": at(began),
        "finished": at(ended),
        "restore": {
            "backup": {"id": f"b-{name}", "type": "full", "finished": "2026-11-22T01:00:00.000Z"},
            "repository": "offsite",
            "size_bytes": 12_000_000_000,
            "rto_seconds": (ended - began) * 60.0,
            "phases": {"restore": 300.0, "recovery": 60.0},
            "check": {"checker": "pg_amcheck", "objects": 40, "problems": 0},
            "validation": [{"name": "orders of today", "ok": True, "found": "7", "expected": "7"}],
            **measured,
        },
    }


PHASES = [
    {"name": "declare", "started": "2026-11-22T10:00:00+01:00", "finished": at(4)},
    {"name": "provision", "started": at(4), "finished": at(10)},
    {"name": "restore", "started": at(10), "finished": at(20)},
    {"name": "recover", "started": at(20), "finished": at(25)},
    {"name": "validate", "started": at(25), "finished": at(40)},
]
MEASURED = {"rto_target_seconds": 1800.0, "rpo_target_seconds": 300.0, "rpo_seconds": 12.0, "tables": 9, "rows": 4321}
FACTS = {
    "id": "2026-11-22",
    "scenario": "The site is lost",
    "scope": "orders and billing",
    "participants": ["Ann (leads)"],
    "target_time": "",
    "phases": PHASES,
    "records": [record("orders", 10, 20), record("billing", 10, 16)],
    "measured": {"orders": MEASURED, "billing": MEASURED},
    "expected": ["orders", "billing"],
    "defects": [{"what": "no badge", "owner": "Ben", "due": "2026-12-01"}],
    "evidence": [{"name": "ansible.log", "sha256": "00"}],
    "sign_off": ["Ann, lead"],
    "interval_days": 180,
    "revision": "abc1234",
}


def changed(**changes):
    return {**copy.deepcopy(FACTS), **changes}


def against(found):
    return [text for item in found["criteria"] for text in item["against"]]


def test_a_drill_that_met_everything():
    found = drill.build(FACTS)
    assert (found["result"], against(found)) == ("passed", [])
    assert (found["started"], found["finished"], found["seconds"]) == (at(0), at(40), 2400.0)
    assert [item["name"] for item in found["phases"]] == ["declare", "provision", "restore", "recover", "validate"]
    orders = found["instances"][0]
    assert (orders["rto_seconds"], orders["restore_seconds"]) == (20 * 60.0, 600.0)
    assert orders["backup_age_seconds"] == 8 * 3600
    assert orders["bytes_per_second"] == 20_000_000
    assert found["next"] == "2027-05-21"
    assert found["success"] == {"drills": 1, "passed": 1, "rate": 1.0, "finding": None}
    assert found["defects"] == FACTS["defects"]


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        (
            {
                "taken": "2026-11-22T01:00:00.000Z",
                "files": ["pg_hba.conf"],
                "parameters": ["jit", "work_mem"],
                "left_out": {"ssl_cert_file": "/x is not on this host"},
            },
            ["pg_hba.conf, 2 parameters (jit, work_mem)", "ssl_cert_file: /x is not on this host"],
        ),
        ({"problem": "the backup holds no configuration"}, ["the backup holds no configuration"]),
        (None, ["not recorded"]),
    ],
)
def test_a_report_tells_what_configuration_came_back_and_what_did_not(configuration, words):
    restored = record("orders", 10, 20, **({"configuration": configuration} if configuration else {}))
    text = markdown(report(drill.build(changed(records=[restored], expected=["orders"]))))
    section = text.split("## Configuration of the servers")[1].split("\n## ")[0]
    assert [item for item in words if item.replace("_", "\\_") not in section and item not in section] == []


def spoilt(change):
    facts = copy.deepcopy(FACTS)
    change(facts)
    return facts


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda facts: facts["records"].pop(), "billing: was not restored"),
        (
            lambda facts: facts["records"][0].update(result="failed", error={"what": "key is wrong"}),
            "orders: key is wrong",
        ),
        (lambda facts: facts["records"][0].update(finished=at(31)), "orders: 31m, target 30m"),
        (lambda facts: facts["measured"]["orders"].update(rpo_seconds=301.0), "orders: 5m 1s, target 5m"),
        (lambda facts: facts["measured"]["billing"].update(rpo_seconds=None), "billing: not measured"),
        (lambda facts: facts["measured"]["billing"].update(tables=0), "billing: nothing was counted"),
        (lambda facts: facts["records"][0]["restore"]["check"].update(problems=2), "orders: 2 problems found"),
        (lambda facts: facts["records"][0]["restore"].pop("check"), "orders: no checker ran"),
        (
            lambda facts: facts["records"][1]["restore"]["validation"][0].update(ok=False, found="6"),
            "billing: orders of today: '6', not '7'",
        ),
    ],
)
def test_one_criterion_that_is_not_met_fails_the_drill_and_is_a_defect(change, text):
    facts = copy.deepcopy(FACTS)
    facts["measured"] = {name: dict(MEASURED) for name in ("orders", "billing")}
    change(facts)
    found = drill.build(facts)
    assert found["result"] == "failed"
    assert against(found) == [text]
    assert found["defects"][-1] == {"what": text, "owner": None, "due": "2026-12-22"}


def past(result, day):
    return {"id": f"{day}-{result}", "result": result, "finished": f"{day}T10:00:00.000Z"}


@pytest.mark.parametrize(
    ("earlier", "drills", "finding"),
    [
        ([], 1, None),
        ([past("failed", "2025-11-01")], 1, None),  # more than a year ago
        ([past("failed", "2026-01-01")], 2, "50.0% of the drills of the last twelve months passed; at least 95% must"),
        ([past("passed", f"2026-{month:02d}-{day:02d}") for month in (1, 2) for day in range(1, 11)], 21, None),
        (
            [past("failed", "2026-03-01"), *(past("passed", f"2026-01-{day:02d}") for day in range(1, 18))],
            19,
            "94.7% of the drills of the last twelve months passed; at least 95% must",
        ),
    ],
)
def test_the_success_rate_over_twelve_months(earlier, drills, finding):
    found = drill.build(FACTS, earlier)["success"]
    assert (found["drills"], found["finding"]) == (drills, finding)


def test_no_drill_is_a_finding():
    assert drill.success([], at(0))["finding"] == "no drill in the last twelve months"


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([{"name": "panic", "started": at(0), "finished": at(1)}], "unknown phase 'panic'"),
        ([{"name": "declare", "started": "2026-11-22 09:00", "finished": at(1)}], "not an instant"),
        ([{"name": "declare", "started": None, "finished": at(1)}], "not an instant"),
    ],
)
def test_wrong_phases_are_refused(phases, message):
    with pytest.raises(InvalidInput, match=message):
        drill.build(changed(phases=phases))


def test_a_drill_in_which_nothing_happened_is_refused():
    with pytest.raises(InvalidInput, match="a drill has at least one phase"):
        drill.build(changed(phases=[], records=[]))


def test_phases_are_read_from_the_records_where_they_are_not_given():
    record = {
        "job": "restore_test",
        "instance": "orders",
        "started": at(10),
        "finished": at(20),
        "result": "ok",
        "restore_test": {"rto_seconds": 300, "phases": {"restore": 120.0, "recovery": 180.0}},
    }
    found = drill.phases_of([record], [{"name": "declare"}])
    assert [item["name"] for item in found] == ["restore", "recover", "validate"]
    assert [item["finished"] for item in found] == [drill._utc(at(minute), "") for minute in (12, 15, 20)]
    assert found[1]["started"] == found[0]["finished"]
    assert drill.phases_of([dict(record, restore_test={})], []) == []


def test_the_report_holds_what_it_must_in_both_forms():
    found = drill.build(FACTS)
    texts = (markdown(report(found)), to_html(report(found)))
    for needed in (
        *("2026-11-22", "The site is lost", "orders and billing", "Ann (leads)", "PASSED", "UTC", "2027-05-21"),
        *("b-orders", "offsite", "dr-orders", "8h", "20m", "30m", "12s", "5m", "11.2 GiB at 19.1 MiB/s"),
        *("pg_amcheck", "4,321", "orders of today", "no badge", "Ben", "2026-12-01", "Ann, lead", "abc1234"),
        *("declare", "provision", "restore", "recover", "validate", found["evidence"][-1]["sha256"]),
    ):
        for text in texts:
            assert needed in re.sub(r"\\(.)", r"\1", text), needed


def test_gaps_of_a_report_are_visible():
    text = markdown(report(drill.build(changed(participants=[], sign_off=[], scope=""))))
    for what in ("scope", "participants", "who signs"):
        assert f"\\[GAP: {what}\\]" in text


def test_the_command_of_the_report_gives_the_hash_of_the_report(tmp_path):
    found = drill.build(changed(scope="Größe <&> 'quoted'"))
    (tmp_path / "record.json").write_text(json.dumps(found, indent=2, ensure_ascii=False))
    text = markdown(report(found))
    command = re.search(r"^python3 -c .*$", text, re.MULTILINE)[0]
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in text


def test_evidence_is_hashed(tmp_path):
    (tmp_path / "run.log").write_bytes(b"x" * 3_000_000)
    [found] = drill.hashes([str(tmp_path / "run.log")])
    assert found == {"name": "run.log", "sha256": hashlib.sha256(b"x" * 3_000_000).hexdigest()}
    with pytest.raises(InvalidInput, match="evidence cannot be read"):
        drill.hashes([str(tmp_path / "none.log")])
