import json
import os

import pytest
from ansible.module_utils.holdfast.audit import reviews

import db_access_report

EMPTY = {"msg": "no route to host", "unreachable": True}


def test_a_host_that_does_not_answer_is_in_the_report(run, tmp_path):
    result = run(
        db_access_report.main,
        directory=str(tmp_path),
        answers={"db1": EMPTY},
        expected={"db1": [{"name": "orders", "engine": "postgresql"}]},
    )
    assert result["counts"]["states"] == {"audited": 0, "incomplete": 0, "not audited": 1}
    assert result["warnings"] == ["orders was not audited: host db1 cannot be reached: no route to host"]
    assert "no route to host" in (tmp_path / "access-audit.html").read_text()
    again = run(
        db_access_report.main,
        directory=str(tmp_path),
        answers={"db1": EMPTY},
        expected={"db1": [{"name": "orders", "engine": "postgresql"}]},
    )
    assert (result["changed"], again["changed"]) == (True, False)


def test_check_mode_writes_nothing(run, tmp_path):
    result = run(db_access_report.main, _check_mode=True, directory=str(tmp_path), answers={"db1": EMPTY})
    assert result["changed"]
    assert os.listdir(tmp_path) == []


@pytest.fixture
def sheet(tmp_path):
    """The hash of a sheet that was written."""
    text = reviews.to_csv(reviews.COLUMNS, [{"instance": "orders", "account": "shop"}])
    path = reviews.sheet_path(str(tmp_path), reviews.digest(text))
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return reviews.digest(text)


def test_a_signature_is_recorded_once(run, tmp_path, sheet):
    options = {
        "directory": str(tmp_path),
        "signed_by": "Ana, sales",
        "signed_sheet": sheet[:12],
        "signed_on": "2026-01-31",
        "signed_note": "eve must go",
    }
    first, second = (run(db_access_report.main, **options) for _ in range(2))
    assert (first["changed"], second["changed"]) == (True, False)
    (recorded,) = json.loads((tmp_path / reviews.RECORDS).read_text())
    assert recorded == first["review"]
    assert (recorded["by"], recorded["sha256"], recorded["instances"]) == ("Ana, sales", sheet, ["orders"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signed_sheet": "0" * 12}, "no sheet with the hash"),
        ({"signed_sheet": "x"}, "is no hash of a sheet"),
        ({"signed_sheet": "../../../etc/passwd"}, "is no hash of a sheet"),
        ({"signed_by": " "}, "needs the name"),
        ({"signed_on": "yesterday"}, "is no day"),
        ({"signed_on": "2999-01-01"}, "in the future"),
    ],
)
def test_a_signature_that_cannot_be_is_refused(run, tmp_path, sheet, change, message):
    options = {"directory": str(tmp_path), "signed_by": "Ana", "signed_sheet": sheet, **change}
    result = run(db_access_report.main, **options)
    assert result["failed"]
    assert message in result["msg"]


def test_a_sheet_that_was_changed_is_not_the_one_that_was_signed(run, tmp_path, sheet):
    with open(reviews.sheet_path(str(tmp_path), sheet), "a", encoding="utf-8") as stream:
        stream.write("orders,db1,eve\n")
    result = run(db_access_report.main, directory=str(tmp_path), signed_by="Ana", signed_sheet=sheet)
    assert "it was changed" in result["msg"]
