"""The module that writes the plan, from inventories that Ansible has read."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils import inventory_source

import db_dr_plan

ROOT = Path(__file__).resolve().parents[3]
HOSTS = """\
all:
  vars:
    db_repositories:
      local: {type: posix, path: /backup, passphrase: "{{ secret }}"}
      other: {type: posix, path: /mnt/backup, passphrase: "{{ secret }}"}
  hosts:
    db1:
      db_instances:
        - name: orders
          engine: mariadb
"""


def read(source):
    return {"inventory": inventory_source.read([str(source)]).facts(), "sources": [str(source)]}


def write(directory):
    (directory / "hosts.yml").write_text(HOSTS)
    return {**read(directory / "hosts.yml"), "directory": str(directory / "out")}


def test_it_writes_both_forms_and_a_second_run_changes_nothing(run, tmp_path):
    options = write(tmp_path)
    first = run(db_dr_plan.main, **options)
    assert first["changed"] is True
    assert [Path(path).suffix for path in first["files"]] == [".md", ".html"]
    assert all(Path(path).stat().st_mode & 0o777 == 0o640 for path in first["files"])
    assert first["order"] == [["orders"]]
    assert any(gap.startswith("1.1 Background") for gap in first["gaps"])
    assert "the plan was never reviewed: db_plan.reviewed is empty" in first["notes"]
    second = run(db_dr_plan.main, **options)
    assert (second["changed"], second["diff"]) == (False, [])


def test_check_mode_shows_the_change_and_writes_nothing(run, tmp_path):
    result = run(db_dr_plan.main, _check_mode=True, **write(tmp_path))
    assert result["changed"] is True
    assert result["diff"][0]["before"] == ""
    assert "# Disaster recovery plan" in result["diff"][0]["after"]
    assert not (tmp_path / "out").exists()


def test_what_hosts_tell_is_kept_for_the_day_on_which_they_do_not(run, tmp_path):
    status = {"checked": "2026-11-21T08:00:00.000Z", "version": "11.8.3"}
    answers = {"db1": {"instances": [{"instance": "orders", "status": status, "backups": [], "records": []}]}}
    options = write(tmp_path)
    run(db_dr_plan.main, answers=answers, **options)
    assert json.loads((tmp_path / "out" / "gathered.json").read_text())["orders"]["version"] == "11.8.3"
    result = run(db_dr_plan.main, answers={"db1": {"unreachable": True}}, **options)
    assert "orders: the host did not answer, the plan says what it told earlier" in result["notes"]
    assert "MariaDB 11.8.3" in Path(result["files"][0]).read_text()


def test_a_directory_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / "out").write_text("a file")
    result = run(db_dr_plan.main, **write(tmp_path))
    assert result["failed"] is True
    assert "out" in result["msg"]


def test_the_example_has_a_plan_without_human_gaps(run, tmp_path):
    options = {**read(ROOT / "inventories" / "example"), "directory": str(tmp_path), "project": str(ROOT)}
    result = run(db_dr_plan.main, **options)
    measured = ("not measured", "no verified backup known", "no drill was recorded", "no restore test was recorded")
    assert [gap for gap in result["gaps"] if not any(text in gap for text in measured)] == []
    assert "-i inventories/example " in Path(result["files"][0]).read_text()
