"""Windows as people write them: what becomes of right ones, and in which words wrong ones are refused."""

from __future__ import annotations

import copy
import zoneinfo
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.holdfast import config, inventory
from ansible.module_utils.holdfast.model import WindowKind
from ansible.module_utils.holdfast.problems import InvalidInventory

LOCAL = {"type": "posix", "path": "/backup", "passphrase": "one"}
OFFSITE = {"type": "posix", "path": "/mnt/elsewhere", "passphrase": "two"}
NIGHTS = {"kind": "low_impact", "time_zone": "Europe/Berlin", "start": "0 20 * * *", "end": "10:00"}
SUNDAY = {"kind": "maintenance", "time_zone": "Europe/Berlin", "start": "0 2 * * sun", "duration": "4h"}
FREEZE = {"kind": "freeze", "time_zone": "Europe/Berlin", "from": "2026-12-20", "until": "2027-01-03"}


def variables(windows: Any, *instances: dict[str, Any], **others: Any) -> dict[str, Any]:
    listed = instances or ({"name": "orders", "engine": "postgresql"},)
    repositories = {"local": LOCAL, "offsite": OFFSITE}
    given = {"db_instances": list(listed), "db_repositories": repositories, "db_maintenance_windows": windows, **others}
    return copy.deepcopy(given)


def problems(*hosts: dict[str, Any]) -> list[str]:
    return [str(each) for each in inventory.check({f"db{number}": host for number, host in enumerate(hosts, 1)})]


def test_windows_of_every_kind_have_no_problem() -> None:
    given = {"nights": NIGHTS, "sunday": SUNDAY, "year-end": FREEZE}
    assert problems(variables(given)) == []


def test_what_becomes_of_windows_and_that_they_survive_the_way_to_the_host() -> None:
    day = {"kind": "blackout", "time_zone": "UTC", "from": date(2026, 11, 27), "reason": "sale"}
    [found] = inventory.resolve(variables({"sunday": SUNDAY, "nights": NIGHTS, "year-end": FREEZE, "sale": day}))
    sunday, nights, freeze, sale = found.windows
    assert (sunday.kind, sunday.start, sunday.duration) == (WindowKind.MAINTENANCE, "0 2 * * 0", timedelta(hours=4))
    assert (nights.kind, nights.end) == (WindowKind.LOW_IMPACT, time(10))
    assert (freeze.first, freeze.last) == (datetime(2026, 12, 20), datetime(2027, 1, 4))
    assert (sale.first, sale.last, sale.reason) == (datetime(2026, 11, 27), datetime(2026, 11, 28), "sale")
    assert config._instance(config._plain(found), {}).windows == found.windows


def test_without_windows_the_file_of_the_host_is_as_it_was() -> None:
    [found] = inventory.resolve(variables({}))
    assert found.windows == ()
    assert "windows" not in config._plain(found)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, {"orders", "billing", "shop"}),
        ({"instances": ["shop"]}, {"shop"}),
        ({"service_levels": ["critical"]}, {"billing"}),
        ({"service_levels": ["critical"], "instances": ["shop"]}, {"billing", "shop"}),
    ],
)
def test_whom_a_window_is_for(scope: dict[str, Any], expected: set[str]) -> None:
    instances = (
        {"name": "orders", "engine": "postgresql"},
        {"name": "billing", "engine": "postgresql", "port": 5433, "service_level": "critical"},
        {"name": "shop", "engine": "mariadb"},
    )
    found = inventory.resolve(variables({"sunday": {**SUNDAY, **scope}}, *instances))
    assert {each.name for each in found if each.windows} == expected


@pytest.mark.parametrize(
    ("given", "value"),
    [("18:00", time(18)), (18 * 60, time(18)), ("06:00", time(6)), ("6:30", time(6, 30)), ("24:00", time(0))],
)
def test_an_end_by_the_clock(given: Any, value: time) -> None:
    [found] = inventory.resolve(variables({"sunday": {**without("duration", SUNDAY), "end": given}}))
    assert found.windows[0].end == value


def without(key: str, of: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in of.items() if name != key}


@pytest.mark.parametrize(
    ("name", "raw", "key", "told"),
    [
        ("w", "always", "w", "'always': is not a mapping"),
        ("Night Shift", SUNDAY, "Night Shift", "is not a valid name"),
        ("w", without("kind", SUNDAY), "w.kind", "is missing"),
        ("w", without("time_zone", SUNDAY), "w.time_zone", "is missing"),
        ("w", {**SUNDAY, "kind": "maintainance"}, "w.kind", "unknown kind of window; valid: did you mean maintenance?"),
        ("w", {**SUNDAY, "tz": "UTC"}, "w.tz", "unknown key"),
        ("w", {**SUNDAY, "time_zone": "Europe/Berlim"}, "w.time_zone", "there is no time zone 'Europe/Berlim'"),
        ("w", {**SUNDAY, "time_zone": 1}, "w.time_zone", "1: is not valid; valid: a name such as Europe/Berlin"),
        ("w", {**SUNDAY, "start": "sundays"}, "w.start", "a cron expression has five fields"),
        ("w", {**SUNDAY, "start": "*/5 * * * *"}, "w.start", "opens more often than hourly"),
        ("w", without("start", SUNDAY), "w.start", "is missing"),
        ("w", without("duration", SUNDAY), "w", "does not say when it closes; valid: duration, for example 4h, or end"),
        ("w", {**SUNDAY, "end": "06:00"}, "w", "has a duration and an end"),
        ("w", {**SUNDAY, "duration": "4 h"}, "w.duration", "is not a duration"),
        ("w", {**SUNDAY, "duration": "5w"}, "w.duration", "is too long for a window that recurs"),
        ("w", {**without("duration", SUNDAY), "end": "25:00"}, "w.end", "a time of day by the clock in quotes"),
        ("w", {**without("duration", SUNDAY), "end": 7}, "w.end", "a time of day by the clock in quotes"),
        ("w", {**SUNDAY, "from": "2026-12-24"}, "w", "recurs and comes once at the same time"),
        ("w", {"kind": "freeze", "time_zone": "UTC"}, "w", "does not say when it opens"),
        ("w", without("from", FREEZE), "w.from", "is missing"),
        ("w", {**FREEZE, "from": "24.12.2026"}, "w.from", "'24.12.2026': is not valid; valid: a day such as"),
        ("w", {**FREEZE, "from": "2026-12-24T18:00+01:00"}, "w.from", "by the clock of time_zone"),
        ("w", {**FREEZE, "until": "2026-12-01"}, "w.until", "is not after the begin of the window"),
        ("w", {**without("until", FREEZE), "from": "2026-12-24T18:00"}, "w.from", "a day, or until as well"),
        ("w", {**SUNDAY, "instances": []}, "w.instances", "is empty: the window is for nobody"),
        ("w", {**SUNDAY, "instances": "orders"}, "w.instances", "is not a list"),
        ("w", {**SUNDAY, "instances": ["order"]}, "w.instances[0]", "there is no such instance; valid: did you mean"),
        ("w", {**SUNDAY, "service_levels": ["gold"]}, "w.service_levels[0]", "'gold': unknown service level"),
        ("w", {**SUNDAY, "reason": 3}, "w.reason", "why, in words"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_window(name: str, raw: Any, key: str, told: str) -> None:
    [problem] = problems(variables({name: raw}))
    assert f"db_maintenance_windows.{key}: " in problem
    assert told in problem


def test_all_mistakes_are_told_at_once() -> None:
    wrong = {"a": {**SUNDAY, "kind": "x", "time_zone": "y", "start": "z"}, "b": without("kind", FREEZE)}
    assert len(problems(variables(wrong))) == 4


def test_a_template_is_left_to_the_host() -> None:
    assert problems(variables("{{ windows }}")) == []
    assert problems(variables({"w": {**SUNDAY, "instances": "{{ names }}"}})) == []
    assert problems(variables({"w": {**SUNDAY, "time_zone": "{{ zone }}"}})) == []


@pytest.mark.parametrize(
    ("windows", "told"),
    [
        # All of these are weekdays; the archive copy is taken on Sunday, in whatever zone.
        (
            {"w": {"kind": "low_impact", "time_zone": "UTC", "start": "0 12 * * 2-4", "duration": "4h"}},
            "its archive job (at 03:00 on Sun) would never run: no window is ever open for it (w)",
        ),
        (
            {"w": {"kind": "low_impact", "time_zone": "UTC", "from": "2020-01-01"}},
            "its full job (daily at 01:00) would never run",
        ),
        (
            {"w": {"kind": "blackout", "time_zone": "UTC", "start": "0 0 * * *", "end": "00:00"}},
            "its incremental job (hourly at :00) would never run",
        ),
    ],
)
def test_a_job_that_no_window_lets_in_is_refused(windows: Any, told: str) -> None:
    found = problems(variables(windows))
    assert any(told in problem for problem in found), found
    assert all("cannot serve this instance" in problem for problem in found)


def test_the_host_knows_its_clock_and_refuses_what_the_control_host_could_not() -> None:
    """The job is at 01:00 in the zone of its host, whatever that is; the window is in the afternoon of one zone."""
    level = {"rpo": "30h", "rto": "4h", "full": "0 1 * * *", "keep": {"full": "7d"}, "verify": "0 1 * * *",
             "expire": "0 1 * * *", "restore_test": "never"}  # fmt: skip
    noon = {"kind": "low_impact", "time_zone": "UTC", "start": "0 12 * * *", "duration": "4h"}
    given = variables({"noon": noon}, {"name": "a", "engine": "mariadb", "service_level": "l"},
                      db_service_levels={"l": level})  # fmt: skip
    assert problems(given) == []
    with pytest.raises(InvalidInventory, match=r"its full job \(daily at 01:00\) would never run"):
        inventory.resolve(given)


def test_maintenance_windows_and_freezes_leave_jobs_alone() -> None:
    assert (
        problems(variables({"sunday": SUNDAY, "always": {**FREEZE, "from": "2020-01-01", "until": "2099-01-01"}})) == []
    )


def test_a_host_without_time_zones_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError

    monkeypatch.setattr(zoneinfo, "ZoneInfo", nothing)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(InvalidInventory, match="has no time zone database: Install the package tzdata"):
        inventory.resolve(variables({"sunday": SUNDAY}))


def test_the_example_is_right_when_its_comments_are_taken_away() -> None:
    path = Path(__file__).parents[3] / "inventories" / "example" / "group_vars" / "all" / "windows.yml"
    lines = [line[2:] for line in path.read_text().splitlines() if line.startswith("# ")]
    text = "\n".join(lines[lines.index("db_maintenance_windows:") :])
    windows = yaml.safe_load(text)["db_maintenance_windows"]
    assert {each["kind"] for each in windows.values()} == {str(kind) for kind in WindowKind}
    found = inventory.resolve(
        variables(windows, {"name": "orders", "engine": "postgresql", "service_level": "critical"})
    )
    assert [len(each.windows) for each in found] == [4]
    assert problems(variables(windows)) == []
