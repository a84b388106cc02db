"""The review of access: a sheet that a person signs, what has changed since the last one, and when the next is due."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from .. import reports
from ..errors import InvalidInput
from ..files import File
from .checks import CHECKS
from .model import PUBLIC
from .snapshot import Store, read_json, write_json

RECORDS = "access-reviews.json"
SHEETS = "access-sheets"
COLUMNS = (
    "instance",
    "host",
    "account",
    "change",
    "owner",
    "kind",
    "login",
    "administrator",
    "locked",
    "method",
    "last_seen",
    "expires",
    "roles",
    "attributes",
    "rights",
    "mark",
    "keep",
    "remark",
)
_COMPARED = ("owner", "kind", "login", "administrator", "locked", "method", "expires", "roles", "attributes", "rights")
# What has rights that every account has, where the server lists it as none.
_EVERYBODY = {
    **dict.fromkeys(("login", "superuser", "locked", "system"), False),
    **dict.fromkeys(("member_of", "attributes"), ()),
    "name": PUBLIC,
    "method": "",
    "last_seen": "-",
    "expires": "",
}
_FORMULA = "=+-@\t\r\n'"  # begins of a cell that a spreadsheet does not take as it is
_SHOWN_RIGHTS = 12  # kinds of rights of an account in a sheet
_SHORT = 12  # digits of a hash that name a sheet

Row = dict[str, str]
Review = Mapping[str, Any]


def read_reviews(directory: str) -> list[Review]:
    """The recorded reviews, oldest first."""
    found = read_json(os.path.join(directory, RECORDS))
    return sorted(found, key=lambda item: item["date"]) if isinstance(found, list) else []


def last_review(reviews: Sequence[Review], instance: str) -> Review | None:
    """The newest review of an instance."""
    return next((item for item in reversed(reviews) if instance in item["instances"]), None)


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or the last one of a shorter month."""
    year, month = divmod(day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(day.year + year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("unreachable")


def tell(store: Store, reviews: Sequence[Review], instance: str) -> None:
    """Leave word on the host of an instance when it was reviewed last: what is recorded is on the control host."""
    last = last_review(reviews, instance)
    store.ready()
    write_json(store.review, {"date": last["date"] if last else ""})


def told_due(store: Store, months: int) -> str | None:
    """The last day on which the next review is in time; empty without any review, None where nobody has told."""
    found = read_json(store.review)
    if not isinstance(found, dict):
        return None
    return add_months(date.fromisoformat(found["date"]), months).isoformat() if found["date"] else ""


def overdue(reviews: Sequence[Review], instance: str, months: int, today: date) -> tuple[str, str]:
    """Why the review of an instance is overdue, and since when; both empty while it is not."""
    last = last_review(reviews, instance)
    if last is None:
        return f"never reviewed; a review is due every {months} months", ""
    due = add_months(date.fromisoformat(last["date"]), months)
    if due >= today:
        return "", ""
    return f"last reviewed on {last['date']} by {last['by']}; the next was due on {due.isoformat()}", due.isoformat()


def check_review(
    reviews: Sequence[Review], instance: str, months: int, today: date
) -> tuple[str, list[dict[str, Any]]]:
    """The status of the check of reviews, and its finding."""
    why, since = overdue(reviews, instance, months, today)
    if not why:
        return "passed", []
    found = {
        "check": "AC12",
        "subject": instance,
        "found": why,
        "severity": str(CHECKS["AC12"].severity),
        "account": "",
        "database": "",
        "state": "open",
        "new": False,
        "since": since,
    }
    return "found", [found]


def rows(entries: Sequence[Mapping[str, Any]], reviews: Sequence[Review], directory: str) -> list[Row]:
    """One row for each account of each instance, with what has changed since its last review."""
    found = []
    for entry in entries:
        if "accounts" not in entry:
            continue
        now = [_row(entry, account) for account in _accounts(entry)]
        last = last_review(reviews, entry["instance"])
        before = _reviewed(directory, last, entry["instance"]) if last else None
        for row in now:
            row["change"] = _change(row, before)
        gone = [dict(row, change="gone", keep="", remark="") for row in (before or {}).values()]
        names = {row["account"] for row in now}
        found.extend([*now, *(row for row in gone if row["account"] not in names)])
    return found


def _accounts(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    listed: Sequence[Mapping[str, Any]] = entry["accounts"]
    everybody = PUBLIC in entry["rights"]["accounts"] and all(account["name"] != PUBLIC for account in listed)
    return [*listed, _EVERYBODY] if everybody else listed


def to_csv(columns: Sequence[str], listed: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV. What a spreadsheet would take for a formula is kept from being one."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in listed)
    return stream.getvalue()


def digest(sheet: str) -> str:
    """What names a sheet."""
    return hashlib.sha256(sheet.encode()).hexdigest()


def sheet_path(directory: str, hash_: str) -> str:
    """Where a sheet is kept so that a signature can be recorded after newer ones were written."""
    return os.path.join(directory, SHEETS, f"{hash_[:_SHORT]}.csv")


def record(directory: str, *, by: str, hash_: str, day: str, note: str, today: date) -> tuple[File, Review]:
    """The file of reviews with one more in it. Raises InvalidInput for a sheet that was never written."""
    text = hash_.strip().lower()
    if not by.strip():
        raise InvalidInput("a review needs the name of who signed it")
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORT},64}}", text):
        raise InvalidInput(f"{hash_!r} is no hash of a sheet", remedy="It is printed on the sheet, 64 digits")
    when = _day(day, today)
    path = sheet_path(directory, text)
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            sheet = stream.read()
    except FileNotFoundError:
        raise InvalidInput(f"no sheet with the hash {text} was written", where=directory) from None
    whole = digest(sheet)
    if not whole.startswith(text):
        raise InvalidInput("the sheet is not the one of that hash: it was changed", where=path)
    review = {
        "by": by.strip(),
        "date": when.isoformat(),
        "sha256": whole,
        "instances": sorted({row["instance"] for row in csv.DictReader(io.StringIO(sheet))}),
        "note": note.strip(),
    }
    known = read_reviews(directory)
    listed = known if review in known else [*known, review]
    return reports.data(os.path.join(directory, RECORDS), listed), review


def _day(text: str, today: date) -> date:
    try:
        found = date.fromisoformat(text) if text else today
    except ValueError:
        raise InvalidInput(f"{text!r} is no day", remedy="Write it as YYYY-MM-DD") from None
    if found > today:
        raise InvalidInput(f"{text} is in the future", remedy="Record a review when it was signed")
    return found


def _row(entry: Mapping[str, Any], account: Mapping[str, Any]) -> Row:
    policy, name = entry["policy"], account["name"]
    rights = entry["rights"]["accounts"].get(name, {})
    listed = [f"{what} ({count})" for what, count in sorted(rights.items())]
    more = [f"and {len(listed) - _SHOWN_RIGHTS} other kinds"] if len(listed) > _SHOWN_RIGHTS else []
    return {
        "instance": entry["instance"],
        "host": entry["host"],
        "account": name,
        "change": "",
        "owner": policy["owners"].get(name, ""),
        "kind": "system" if account["system"] else policy["kinds"].get(name, ""),
        "login": _yes(account["login"]),
        "administrator": _yes(account["superuser"]),
        "locked": _yes(account["locked"]),
        "method": account["method"],
        "last_seen": (account["last_seen"] or ("not known" if "last_seen" in account["unknown"] else "never"))[:10],
        "expires": (account["expires"] or "")[:10],
        "roles": ", ".join(sorted(account["member_of"])),
        "attributes": ", ".join(account["attributes"]),
        "rights": ", ".join([*listed[:_SHOWN_RIGHTS], *more]),
        "mark": entry["rights"].get("marks", {}).get(name, ""),
        "keep": "",
        "remark": "",
    }


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _reviewed(directory: str, review: Review, instance: str) -> dict[str, Row] | None:
    try:
        with open(sheet_path(directory, review["sha256"]), encoding="utf-8", newline="") as stream:
            found = [row for row in csv.DictReader(stream) if row["instance"] == instance and row["change"] != "gone"]
    except FileNotFoundError:
        return None
    plain = [{key: value.removeprefix("'") for key, value in row.items()} for row in found]
    return {row["account"]: row for row in plain}


def _change(row: Row, before: Mapping[str, Row] | None) -> str:
    if before is None:
        return ""
    earlier = before.get(row["account"])
    if earlier is None:
        return "new"
    changed = [name for name in _COMPARED if earlier.get(name, "") != row[name]]
    said = [f"{name}: {earlier.get(name) or 'none'} -> {row[name] or 'none'}" for name in changed]
    # A sheet tells rights by kind and number; one for another of the same kind shows by the mark alone.
    if "rights" not in changed and earlier.get("mark", row["mark"]) != row["mark"]:
        said.append("rights: others of the same kinds")
    return "; ".join(said)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text and text[0] in _FORMULA else text
