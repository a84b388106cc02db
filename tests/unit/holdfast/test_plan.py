"""The plan: structure, real names, measured facts, visible gaps, and the same text from the same inputs."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess

import pytest
from ansible.module_utils.holdfast import inventory, reports
from ansible.module_utils.holdfast.plan import facts, make, revision

REPOSITORIES = {
    "local": {"type": "posix", "path": "/backup", "passphrase": "s3cret-one", "escrow": "Safe of the head office"},
    "vault": {
        "type": "s3",
        "endpoint": "s3.example.com",
        "bucket": "backups",
        "key_id": "s3cret-id",
        "key_secret": "s3cret-key",
        "passphrase": "s3cret-two",
    },
}
SHARED = {
    "db_repositories": REPOSITORIES,
    "db_plan": {
        "organisation": "Example Ltd",
        "system": "Order <processing>",
        "description": "Takes orders.",
        "owner": "lead",
        "reviewed": "2026-03-01",
        "activation": ["The site burns"],
    },
    "db_contacts": {
        "lead": {
            "name": "Ann",
            "phone": "+49 111",
            "mail": "ann@x.org",
            "duties": "leads",
            "declares": True,
            "deputies": ["dba"],
            "calls": ["dba", "cloud"],
        },
        "dba": {"name": "Ben", "phone": "", "mail": "ben@x.org", "duties": "restores", "calls": ["lead"]},
        "cloud": {"name": "Cloud", "phone": "+49 333", "mail": "c@x.org", "vendor": "Contract 7"},
    },
    "db_communication": {
        "declare": {"tell": ["lead"], "webhook": "https://hooks.example.com/s3cret-hook", "message": "lost at $time"}
    },
    "db_sites": {
        "berlin": {"address": "Street 1", "alternate": "bonn"},
        "bonn": {"address": "Street 2", "type": "warm"},
    },
    "db_site": "berlin",
    "db_validation_queries": {"orders": [{"name": "orders of today", "sql": "select 1", "expected": "1"}]},
}
HOSTS = {
    "db1": {
        **SHARED,
        "db_instances": [
            {
                "name": "orders",
                "engine": "postgresql",
                "service_level": "critical",
                "depends_on": ["billing"],
                "business": {
                    "owner": "Sales",
                    "impact": "no money",
                    "mtd": "4h",
                    "mbco": "calls",
                    "workaround": "paper",
                },
            },
            {"name": "billing", "engine": "postgresql", "port": 5433},
        ],
    },
    "db2": {
        **SHARED,
        "db_instances": [
            {"name": "shop", "engine": "mariadb", "service_level": "development", "repositories": ["local"]}
        ],
    },
    "dr1": {**SHARED, "db_site": "bonn", "db_takes_over": ["orders", {"name": "billing", "port": 5434}]},
}
SIZE = 100 << 30


def told(name, version, seconds=600.0):
    finished = "2026-11-20T01:10:00.000Z"
    backup = {"id": f"full-{name}", "repository": "local", "type": "full", "finished": finished, "size_bytes": SIZE}
    test = {
        "backup_id": backup["id"],
        "repository": "local",
        "size_bytes": SIZE,
        "rto_seconds": seconds,
        "rto_target_seconds": 1800.0,
        "rpo_seconds": 9.0,
        "rpo_target_seconds": 300.0,
        "phases": {"restore": seconds - 20.0, "recovery": 15.0},
        "tables": 12,
        "rows": 3456,
        "check": {"checker": "pg_amcheck", "objects": 40, "problems": 0},
    }
    common = {"instance": name, "result": "ok", "seconds": 1.0}
    records = [
        {**common, "job": "full", "started": "2026-11-20T01:00:00.000Z", "finished": finished, "backup": backup},
        {
            **common,
            "job": "restore_test",
            "started": "2026-11-20T02:00:00.000Z",
            "finished": "2026-11-20T02:11:00.000Z",
            "restore_test": test,
        },
    ]
    status = {"checked": "2026-11-21T08:00:00.000Z", "version": version, "role": "primary"}
    listed = [{**backup, "verified": "2026-11-20T03:00:00.000Z"}]
    return {"instance": name, "status": status, "backups": listed, "records": records}


ANSWERS = {
    "db1": {"instances": [told("orders", "17.2"), told("billing", "15.18")]},
    "db2": {"unreachable": True, "msg": "no route"},
}


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "hosts.yml").write_text("all:\n")
    os.utime(tmp_path / "inventory" / "hosts.yml", (1780000000, 1780000000))
    return tmp_path


def plan(directory, answers=ANSWERS, hosts=HOSTS, **changes):
    options = {
        "human": {},
        "answers": answers,
        "sources": [str(directory / "inventory")],
        "directory": str(directory / "out"),
        "drills": str(directory / "drills"),
        "project": str(directory),
    }
    return make.plan(facts.of_inventory(hosts), **{**options, **changes})


def text_of(made, suffix=".md"):
    [file] = [file for file in made.files if file.path.endswith(suffix)]
    return file.content


def section(text, title):
    return re.search(rf"^#+ {re.escape(title)}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0]


def test_the_inventory_of_this_test_is_right():
    assert inventory.check(HOSTS) == []


def test_every_chapter_of_the_standard_is_there_in_order(directory):
    text = text_of(plan(directory))
    chapters = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert chapters[:3] == ["Plan approval", "Record of changes", "How this plan answers ISO 22301"]
    assert [chapter[0] for chapter in chapters[3:8]] == list("12345")
    assert [chapter.split(":")[0] for chapter in chapters[8:]] == [f"Appendix {letter}" for letter in "ABCDEFGHIJKL"]
    for number in ("1.3", "2.3", "3.3", "4.3", "5.10"):
        assert re.search(rf"^### {re.escape(number)} ", text, re.MULTILINE)
    clauses = section(text, "How this plan answers ISO 22301")
    assert all(
        f"**{clause}**" in clauses
        for clause in ("8.2.2", "8.2.3", "8.3", "8.4.2", "8.4.3", "8.4.4", "8.4.5", "8.5", "8.6")
    )


@pytest.mark.parametrize(
    ("title", "needed"),
    [
        (
            "1 Introduction",
            ["Example Ltd", "Order &lt;processing>", "PostgreSQL 17.2", "`db1:5433`", "bonn", "30m", "4h"],
        ),
        ("3 Activation", ["The site burns", "Ann (lead)", "+49 111", "hooks.example.com", "lost at $time"]),
        (
            "4 Recovery",
            ["`full-orders` in local, verified 2026-11-20 03:00 UTC", "-e 'confirm=\"recover billing,orders\"'"],
        ),
        ("4 Recovery", ["playbooks/dr_drill.yml", "`dr1`", "GAP: no host takes it over"]),
        ("Appendix C", ["Street 2", "warm", "Safe of the head office", "s3.example.com/backups"]),
        ("Appendix D", ["-e instance=orders -e time=TIME -e confirm=orders", "playbooks/rescue.yml"]),
        ("Appendix E", ["paper", "calls"]),
        ("Appendix F", ["orders of today", "none defined", "pg_amcheck", "3,456"]),
        ("Appendix H", ["15.18", "100.0 GiB", "primary"]),
        ("Appendix J", ["full-billing", "10m / 30m", "9.0s / 5m"]),
        ("Appendix K", ["no money", "Sales"]),
        ("Appendix L", ["100.0 GiB at", "one restore of its own", "Contract 7", "continuous"]),
    ],
)
def test_what_each_chapter_says(directory, title, needed):
    chapter = section(text_of(plan(directory)), title)
    plain = re.sub(r"\\(.)", r"\1", chapter).replace("**", "")
    assert [text for text in needed if text not in plain] == []


def test_every_command_names_the_inventory_relative_to_the_project(directory):
    commands = re.findall(r"ansible-playbook \S+ (\S+)", text_of(plan(directory)))
    assert len(commands) > 20
    assert set(commands) == {"inventory"}
    assert str(directory) not in text_of(plan(directory))


def test_the_call_tree_numbers_everyone_once_and_survives_a_circle(directory):
    chapter = section(text_of(plan(directory)), "3 Activation")
    assert re.findall(r"^\| \*\*([\d.]+)\*\* \| (\w+)", chapter, re.MULTILINE) == [
        ("1", "Ann"),
        ("1.1", "Ben"),
        ("1.2", "Cloud"),
    ]


def test_gaps_are_marked_in_both_forms_and_listed(directory):
    made = plan(directory)
    assert any("telephone" in gap and gap.startswith("Appendix A: dba") for gap in made.gaps)
    assert any(gap == "Backup storage and key escrow: vault: key escrow" for gap in made.gaps)
    assert any(gap.startswith("4.1") and "shop" in gap and "restore time not measured" in gap for gap in made.gaps)
    assert "Drills: no drill was recorded" in made.gaps
    assert '<span class="gap">[GAP: telephone]</span>' in text_of(made, ".html")
    assert "**\\[GAP: telephone\\]**" in text_of(made)
    assert f"{len(made.gaps)}, marked" in text_of(made)


def test_no_secret_is_in_any_file(directory):
    for file in plan(directory).files:
        assert "s3cret" not in file.content, file.path


def test_the_same_inputs_give_the_same_text(directory):
    first = plan(directory)
    reports.save(first.files)
    assert reports.differing(plan(directory).files) == []
    # Being asked again later changes nothing by itself.
    later = copy.deepcopy(ANSWERS)
    for entry in later["db1"]["instances"]:
        entry["status"]["checked"] = "2026-11-22T08:00:00.000Z"
    assert [file.path for file in reports.differing(plan(directory, later).files)] == [
        str(directory / "out" / "gathered.json")
    ]


def test_its_date_is_that_of_the_newest_input(directory):
    assert "| **Date** | 2026-11-20 03:00 UTC |" in text_of(plan(directory))
    assert "| **Date** | 2026-05-28 20:26 UTC |" in text_of(plan(directory, answers={}))


def test_with_every_host_gone_it_says_what_was_told_earlier_and_when(directory):
    reports.save(plan(directory).files)
    gone = plan(directory, answers={})
    text = text_of(gone)
    assert "PostgreSQL 17.2" in text
    assert "`orders` did not answer; what is said of it was told on 2026-11-21 08:00 UTC" in text
    assert "billing, orders: the host did not answer, the plan says what it told earlier" in gone.notes
    assert not any(file.path.endswith(".json") for file in gone.files)
    # One host that answers again does not erase what the other told.
    reports.save(plan(directory, {"db2": {"instances": [told("shop", "11.8.3")]}}).files)
    assert set(json.loads((directory / "out" / "gathered.json").read_text())) == {"orders", "billing", "shop"}


def test_a_forecast_over_the_objective_is_in_the_plan(directory):
    slow = {"db1": {"instances": [told("orders", "17.2", seconds=4000.0), told("billing", "15.18")]}}
    text = text_of(plan(directory, slow))
    assert "**Objectives at risk: **`orders`" in text
    assert "longer than the RTO" in text


def test_backups_that_are_lost_with_their_host_are_pointed_out(directory):
    assert "**At risk: **backups on their own host only: `shop`" in text_of(plan(directory))


def test_rendered_human_fields_replace_those_of_the_files(directory):
    contacts = copy.deepcopy(SHARED["db_contacts"])
    contacts["dba"]["phone"] = "+49 from the vault"
    text = text_of(plan(directory, human={"db_contacts": contacts, "db_plan": {}}))
    assert "+49 from the vault" in text
    assert "Example Ltd" in text


def test_templates_are_not_printed(directory):
    hosts = copy.deepcopy(HOSTS)
    hosts["db1"]["db_contacts"]["dba"]["phone"] = "{{ vault_phone }}"
    hosts["db1"]["db_repositories"]["vault"]["bucket"] = "{{ bucket }}"
    hosts["db2"]["db_contacts"], hosts["db2"]["db_repositories"] = (
        hosts["db1"]["db_contacts"],
        hosts["db1"]["db_repositories"],
    )
    text = text_of(plan(directory, hosts=hosts))
    assert "{{" not in text
    assert "(set by a template)" in text


def test_the_review(directory, monkeypatch):
    made = plan(directory)
    assert made.review_due == "2027-03-01"
    assert not any("review" in note for note in made.notes)
    hosts = copy.deepcopy(HOSTS)
    for host in hosts.values():
        host["db_plan"]["reviewed"] = "2025-03-01"
    old = plan(directory, hosts=hosts)
    assert "the yearly review of the plan was due on 2026-03-01: set db_plan.reviewed after it" in old.notes
    assert "**2026-03-01, overdue**" in text_of(old)
    for host in hosts.values():
        host["db_plan"]["reviewed"] = ""
    assert "the plan was never reviewed: db_plan.reviewed is empty" in plan(directory, hosts=hosts).notes


def test_drills_are_in_the_exercise_log(directory):
    (directory / "drills").mkdir()
    record = {
        "id": "2026-10-01",
        "scenario": "Fire",
        "criteria": [],
        "finished": "2026-10-01T10:00:00.000Z",
        "seconds": 3600.0,
        "result": "failed",
        "next": "2027-10-01",
        "instances": [{"instance": "orders", "rto_seconds": 2000.0, "rto_target_seconds": 1800.0}],
    }
    (directory / "drills" / "drill-1.json").write_text(json.dumps(record))
    (directory / "drills" / "other.json").write_text("[]")
    (directory / "drills" / "broken.json").write_text("{")
    chapter = section(text_of(plan(directory)), "Appendix J")
    assert "0.0% of the drills of the last twelve months passed" in chapter
    assert "Fire" in chapter
    assert "33m 20s" in chapter


def git(directory, *arguments):
    settings = ["-c", "user.name=Ann", "-c", "user.email=ann@x.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *settings, *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_revision_is_the_last_commit_of_the_inventory(directory):
    source = [str(directory / "inventory")]
    assert revision.of(source).describe() == "not under version control"
    git(directory, "init", "-q")
    git(directory, "add", "inventory")
    git(directory, "commit", "-qm", "First | inventory")
    mine = git(directory, "log", "-1", "--format=%h")
    (directory / "other").write_text("x")
    git(directory, "add", "other")
    git(directory, "commit", "-qm", "Something else")
    found = revision.of(source)
    assert (found.id, found.describe(), found.changed) == (mine, mine, False)
    assert [(item.author, item.subject) for item in found.changes] == [("Ann", "First | inventory")]
    (directory / "inventory" / "hosts.yml").write_text("all: {}\n")
    os.utime(directory / "inventory" / "hosts.yml", (1780000001, 1780000001))
    found = revision.of(source)
    assert found.describe() == f"{mine}, with changes that are not committed"
    assert found.date == "2026-05-28T20:26:41.000Z"
    assert "First \\| inventory" in text_of(plan(directory))


def test_a_fleet_of_which_nothing_is_known_has_a_plan(directory):
    bare = {"db1": {"db_repositories": REPOSITORIES, "db_instances": [{"name": "orders", "engine": "postgresql"}]}}
    made = plan(directory, answers={}, hosts=bare)
    assert made.order == [["orders"]]
    assert len(made.gaps) > 10
    assert "no host has told of these instances" in text_of(made)
