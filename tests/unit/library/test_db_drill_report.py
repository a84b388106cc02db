"""The module that judges and writes a drill."""

from __future__ import annotations

import json
from pathlib import Path

import db_drill_report

OPTIONS = {
    "id": "2026-11-22",
    "scenario": "The site is lost",
    "phases": [{"name": "declare", "started": "2026-11-22T09:00:00Z", "finished": "2026-11-22T09:30:00Z"}],
    "records": [],
    "expected": ["orders"],
}


def test_three_files_are_written_and_again_nothing_changes(run, tmp_path):
    (tmp_path / "run.log").write_text("what happened")
    options = {**OPTIONS, "directory": str(tmp_path / "drills"), "evidence": [str(tmp_path / "run.log")]}
    first = run(db_drill_report.main, **options)
    assert (first["changed"], first["passed"], first["success_rate"]) == (True, False, 0.0)
    assert first["finding"].startswith("0.0% of the drills")
    assert [Path(path).name for path in first["files"]] == [
        "drill-2026-11-22.json",
        "drill-2026-11-22.md",
        "drill-2026-11-22.html",
    ]
    record = json.loads(Path(first["files"][0]).read_text())
    assert record == first["drill"]
    assert record["evidence"][0]["name"] == "run.log"
    assert "orders: was not restored" in Path(first["files"][1]).read_text()
    assert run(db_drill_report.main, **options)["changed"] is False


def test_earlier_drills_of_the_directory_count(run, tmp_path):
    run(db_drill_report.main, **OPTIONS, directory=str(tmp_path))
    later = run(db_drill_report.main, **{**OPTIONS, "id": "2026-11-23"}, directory=str(tmp_path))
    assert later["drill"]["success"]["drills"] == 2


def test_check_mode_writes_nothing(run, tmp_path):
    result = run(db_drill_report.main, _check_mode=True, **OPTIONS, directory=str(tmp_path / "drills"))
    assert result["changed"] is True
    assert not (tmp_path / "drills").exists()


def test_a_name_that_is_no_file_name_and_missing_evidence_are_refused(run, tmp_path):
    wrong = run(db_drill_report.main, **{**OPTIONS, "id": "../up"}, directory=str(tmp_path))
    assert "is no name for a file" in wrong["msg"]
    missing = run(db_drill_report.main, **OPTIONS, directory=str(tmp_path), evidence=[str(tmp_path / "none")])
    assert "evidence cannot be read" in missing["msg"]
