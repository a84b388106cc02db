"""The summary at the end of the demo."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from screen import Line
from summary import fleet, is_well, next_steps, proof, row, stored

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
WIDE = 200


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "instance": "orders",
        "host": "pg1",
        "engine": "postgresql",
        "version": "15.18",
        "service_level": "critical",
        "state": "ok",
        "problems": [],
        "last_backup": {
            "type": "incremental",
            "finished": "2026-03-01T11:57:30.000Z",
            "size_bytes": 300 << 20,
            "stored_bytes": 5 << 20,
        },
        "rpo": {"target_seconds": 300.0, "lost_seconds": 4.0, "lost_bytes": 100},
        "rto": {"target_seconds": 1800.0},
        "restore_test": {
            "result": "ok",
            "finished": "2026-03-01T11:59:30.000Z",
            "rto_seconds": 3.2,
            "rto_target_seconds": 1800.0,
            "tables": 12,
            "rows": 1_500_000,
            "check": {"checker": "pg_amcheck", "objects": 40, "problems": 0},
        },
        **fields,
    }


UNREACHABLE = {
    "instance": "crm",
    "host": "maria2",
    "engine": "mariadb",
    "service_level": "development",
    "state": "unknown",
    "problems": [{"severity": "critical", "text": "host maria2 cannot be reached"}],
    "notes": [],
    "rpo": {},
}


def plain(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def cells(**fields: Any) -> dict[str, tuple[str, str]]:
    names = ("instance", "host", "server", "level", "backup", "size", "rpo", "test", "rto")
    return dict(zip(names, row(entry(**fields), NOW), strict=True))


def test_row() -> None:
    assert cells() == {
        "instance": ("orders", "strong"),
        "host": ("pg1", ""),
        "server": ("PostgreSQL 15.18", ""),
        "level": ("critical", ""),
        "backup": ("incremental, 2m ago", ""),
        "size": ("300 MiB", ""),
        "rpo": ("4.0s of 5m", "good"),
        "test": ("ok, 30s ago", "good"),
        "rto": ("3.2s of 30m", "good"),
    }


BACKUP = entry()["last_backup"]
TEST = entry()["restore_test"]


@pytest.mark.parametrize(
    ("column", "fields", "cell"),
    [
        ("backup", {"last_backup": None}, ("none", "bad")),
        ("size", {"last_backup": None}, ("-", "")),
        ("size", {"last_backup": {**BACKUP, "size_bytes": 10_000_000_000}}, ("9.3 GiB", "")),
        ("size", {"last_backup": {**BACKUP, "size_bytes": 17}}, ("17 B", "")),
        ("size", {"last_backup": {**BACKUP, "size_bytes": None}}, ("-", "")),
        ("rpo", {"rpo": {"target_seconds": 300.0, "lost_seconds": 300.0}}, ("5m of 5m", "good")),
        ("rpo", {"rpo": {"target_seconds": 300.0, "lost_seconds": 301.0}}, ("5m 1s of 5m", "bad")),
        ("rpo", {"rpo": {"target_seconds": 300.0, "error": "no repository"}}, ("unknown of 5m", "bad")),
        ("rpo", {"rpo": {"target_seconds": 93600.0}}, ("- of 1d 2h", "")),
        ("rpo", {"rpo": {}}, ("-", "")),
        ("test", {"restore_test": None}, ("never", "warn")),
        ("test", {"restore_test": {**TEST, "result": "failed"}}, ("FAILED, 30s ago", "bad")),
        ("rto", {"restore_test": None}, ("-", "")),
        ("rto", {"restore_test": {**TEST, "rto_seconds": 1801.0}}, ("30m 1s of 30m", "bad")),
        ("rto", {"restore_test": {"result": "failed", "finished": "2026-03-01T11:59:30Z"}}, ("-", "")),
    ],
)
def test_cell(column: str, fields: dict[str, Any], cell: tuple[str, str]) -> None:
    assert cells(**fields)[column] == cell


def test_table_is_aligned_and_names_what_is_wrong() -> None:
    lines = plain(fleet([UNREACHABLE, entry()], NOW, WIDE))
    head, crm, orders = lines[:3]
    assert lines[3:] == ["", "  crm: host maria2 cannot be reached"]
    for name, left, right in [("HOST", "maria2", "pg1"), ("SERVER", "MariaDB", "PostgreSQL"), ("RPO NOW", "-", "4.0s")]:
        column = head.index(name)
        assert crm[column:].startswith(left)
        assert orders[column:].startswith(right)


def test_narrow_terminal_gets_a_list() -> None:
    lines = plain(fleet([entry()], NOW, 80))
    assert max(map(len, lines)) <= 80
    assert "  RPO NOW       4.0s of 5m" in lines
    assert len(lines) == 10


def test_proof_counts_only_what_passed() -> None:
    maria = entry(instance="shop", restore_test={**TEST, "check": {"checker": "CHECK TABLE"}, "rows": 1, "tables": 1})
    failed = entry(instance="billing", restore_test={**TEST, "result": "failed"})
    assert proof([entry(), maria, failed, UNREACHABLE]) == [
        "2 of 4 instances restored on scratch servers: 13 tables, 1,500,001 rows",
        "checked by pg_amcheck and CHECK TABLE",
    ]
    assert proof([UNREACHABLE]) == ["0 of 1 instances restored on scratch servers: 0 tables, 0 rows"]


@pytest.mark.parametrize(
    ("fields", "well"),
    [
        ({}, True),
        ({"state": "warning"}, True),
        ({"state": "critical"}, False),
        ({"state": "unknown"}, False),
        ({"restore_test": None}, False),
        ({"restore_test": {**TEST, "result": "failed"}}, False),
    ],
)
def test_is_well(fields: dict[str, Any], well: bool) -> None:
    assert is_well(entry(**fields)) is well


def test_stored() -> None:
    assert stored([{"size_bytes": 3 << 20, "stored_bytes": 1 << 20}]) == "1 backup, 3.0 MiB stored in 1.0 MiB"
    assert stored([{"size_bytes": None, "stored_bytes": 5}, {"size_bytes": 7, "stored_bytes": None}]) == (
        "2 backups, 7 B stored in 5 B"
    )


@pytest.mark.parametrize(("lab", "first"), [("demo", "make shell HOST=pg1"), ("other", "export HOLDFAST_LAB=other")])
def test_next_steps_name_what_exists(lab: str, first: str) -> None:
    relaxed = entry(instance="reports", host="pg2", rpo={"target_seconds": 3600.0})
    commands = [line[1][0].rstrip() for line in next_steps([UNREACHABLE, relaxed, entry()], lab)]
    assert commands[0] == first
    assert "  sudo holdfast list orders" in commands
    assert "  ansible-playbook playbooks/restore_test.yml -e instances=orders" in commands
    assert commands[-1] == "make lab-down"


def test_no_next_steps_without_instances() -> None:
    assert next_steps([], "demo") == []
