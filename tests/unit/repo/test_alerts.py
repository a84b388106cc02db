"""The shipped alert rules speak of metrics that are there, and are quiet where docs/windows.md says so."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.holdfast import metrics
from ansible.module_utils.holdfast.model import ON_REQUEST, Job

ROOT = Path(__file__).parents[3]
RULES = ROOT / "docs" / "alerts" / "holdfast.rules.yml"
TESTS = ROOT / "tests" / "unit" / "alerts" / "holdfast.test.yml"
QUIET = "unless on (db_instance) holdfast_maintenance_window_open == 1"
NEVER_QUIET = {
    "HoldfastNewPower",
    "HoldfastChangeOutsideWindow",
    "HoldfastCriticalAccess",
    "HoldfastAccessReviewOverdue",
    "HoldfastMetricsStale",
    "HoldfastWindowOverride",
    "HoldfastMaintenanceWindow",
}


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_every_rule_asks_for_metrics_that_there_are():
    others = {"node_textfile_mtime_seconds"}
    asked = {name for rule in rules() for name in re.findall(r"\b(?:holdfast|node)_[a-z_]+", rule["expr"])}
    assert asked - metrics.HELP.keys() == others


def test_every_job_of_a_schedule_is_watched():
    named = [
        name
        for rule in rules()
        if "last_success" in rule["expr"]
        for name in re.findall(r"[a-z_|]+(?=\")", rule["expr"])
    ]
    watched = [job for names in named for job in names.split("|")]
    assert sorted(watched) == sorted(str(job) for job in Job if job not in ON_REQUEST)


def test_only_what_maintenance_makes_noise_with_is_quiet_in_a_window():
    assert {rule["alert"] for rule in rules() if QUIET not in " ".join(rule["expr"].split())} == NEVER_QUIET


def test_every_rule_is_told_and_tried():
    tried = {
        item["alertname"] for test in yaml.safe_load(TESTS.read_text())["tests"] for item in test["alert_rule_test"]
    }
    assert tried == {rule["alert"] for rule in rules()}
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_rules_do_what_their_tests_say():
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(TESTS)]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
