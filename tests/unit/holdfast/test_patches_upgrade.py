"""The check before a major upgrade: what an engine finds, what cannot be told, and what it makes of the report."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from ansible.module_utils.holdfast.engines import _mariadb_upgrade, _postgresql_upgrade
from ansible.module_utils.holdfast.engines._mariadb_upgrade import MariaDBUpgrade
from ansible.module_utils.holdfast.engines._postgresql_upgrade import PostgreSQLUpgrade
from ansible.module_utils.holdfast.errors import InvalidInput, ServerUnavailable, Unsupported
from ansible.module_utils.holdfast.patches import publish, upgrade
from fakes import FakeEngine, instance

NOW = datetime(2026, 11, 26, tzinfo=UTC)


class Server(FakeEngine):
    version = "15.20"

    def inspect(self):
        return super().inspect().__class__(**{**vars(super().inspect()), "version": self.version})

    def databases(self):
        return ["app"]


@pytest.fixture
def postgresql(tmp_path, monkeypatch):
    server = PostgreSQLUpgrade(instance(tmp_path))
    server.engine = Server(instance(tmp_path))
    return server


@pytest.fixture
def mariadb(tmp_path):
    server = MariaDBUpgrade(instance(tmp_path, engine="mariadb"))
    server.engine = Server(instance(tmp_path))
    server.engine.version = "10.11.19"
    return server


@pytest.mark.parametrize("target", ["15", "14", "17.2", "latest", ""])
def test_a_version_that_is_not_later_is_refused(postgresql, target):
    postgresql.valid("17")
    with pytest.raises(InvalidInput, match="no later major version than 15"):
        postgresql.valid(target)


@pytest.mark.parametrize("target", ["10.11", "10.6", "11", "latest"])
def test_a_mariadb_that_is_not_later_is_refused(mariadb, target):
    mariadb.valid("11.8")
    with pytest.raises(InvalidInput, match=r"no later major version than 10\.11"):
        mariadb.valid(target)


class Session:
    def __init__(self, rows):
        self._rows = rows

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def rows(self, query, parameters=()):
        return self._rows


def test_extensions_that_nobody_can_compare_are_not_a_pass(postgresql, monkeypatch, tmp_path):
    check = next(item for item in postgresql.checks() if item.id == "PU01")
    monkeypatch.setattr(_postgresql_upgrade, "session", lambda *_: Session([("postgis", "3.3")]))
    monkeypatch.setattr(_postgresql_upgrade, "_CONTROL", str(tmp_path / "{target}"))
    with pytest.raises(
        Unsupported, match="PostgreSQL 17 is not installed here, so nobody knows whether it has postgis"
    ):
        postgresql.answer(check, "17")
    (tmp_path / "17").mkdir()
    assert [(item.subject, item.database) for item in postgresql.answer(check, "17")] == [("postgis", "app")]
    (tmp_path / "17" / "postgis.control").touch()
    assert postgresql.answer(check, "17") == []


def test_options_that_a_later_mariadb_does_not_know(mariadb, monkeypatch):
    check = next(item for item in mariadb.checks() if item.id == "MU01")
    lines = [
        "--innodb-change-buffering=none",
        "--max_connections=100",
        "--loose-innodb_defragment=1",
        "--date_format=x",
    ]
    monkeypatch.setattr(_mariadb_upgrade, "option_lines", lambda _: lines)
    assert [item.subject for item in mariadb.answer(check, "11.8")] == ["innodb_change_buffering", "date_format"]
    assert [item.subject for item in mariadb.answer(check, "11.2")] == ["innodb_change_buffering"]


def test_every_check_of_both_engines_has_its_answer():
    for module, server in ((_postgresql_upgrade, PostgreSQLUpgrade), (_mariadb_upgrade, MariaDBUpgrade)):
        assert [check.id for check in module._CHECKS] == list(module._ANSWERS)
        assert server.checks(None) == module._CHECKS


@pytest.mark.parametrize(
    ("size", "room", "found"), [(100, 1000, []), (1000, 1100, ["1.1 KiB are free, and a copy takes 1.2 KiB"])]
)
def test_room_for_a_copy(size, room, found):
    assert [item.found for item in upgrade._space(size, room, "/data")] == found


def test_a_target_that_soon_ends():
    assert [item.subject for item in upgrade._later("mariadb", "11.8", date(2026, 11, 26))] == ["11.8"]
    assert list(upgrade._later("postgresql", "18", date(2026, 11, 26))) == []
    with pytest.raises(Unsupported):
        list(upgrade._later("mariadb", "99.1", date(2026, 11, 26)))


def test_a_survey_goes_to_the_control_host_and_into_the_report(tmp_path):
    def refuse():
        raise ServerUnavailable("the query was given up")

    asked = [
        upgrade._ask(upgrade.SPACE, lambda: list(upgrade._space(10, 1, "/data"))),
        upgrade._ask(upgrade.PROOF, refuse),
        upgrade._ask(upgrade.LATER, lambda: list(upgrade._later("mariadb", "99.1", date(2026, 11, 26)))),
    ]
    facts = {"size_bytes": 10, "free_bytes": 1, "relations": 3, "largest_bytes": 4, "restore_seconds": None}
    one = {
        "instance": "orders",
        "engine": "postgresql",
        "version": "15.20",
        "target": "17",
        "facts": facts,
        "results": json.loads(json.dumps([upgrade._plain(item) for item in asked])),
    }
    answers = {
        "db1": {"surveys": [one, {"instance": "billing", "engine": "postgresql", "error": "no later version"}]},
        "db2": {"unreachable": True, "msg": "no route"},
        "db3": {"surveys": [{"instance": "shop", "engine": "mariadb", "skipped": "not named"}]},
    }
    made = publish.upgrades(answers, str(tmp_path), NOW)
    assert [(item["instance"], item["state"]) for item in made.entries] == [
        ("orders", "incomplete"),
        ("billing", "not asked"),
        ("db2", "not asked"),
    ]
    status = {check["id"]: check["status"] for check in made.entries[0]["checks"]}
    assert status == {"UG01": "found", "UG02": "error", "UG03": "not_applicable"}
    page = next(file.content for file in made.files if file.path.endswith(".html"))
    assert "not measured" in page
