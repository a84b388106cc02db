"""The runner as a person at the host meets it."""

from __future__ import annotations

import json

import pytest

from tests.integration.fleet import Database, Fleet

pytestmark = pytest.mark.usefixtures("quiet")

COMMANDS = ("backup", "list", "status", "verify", "expire", "restore-test", "restore", "rescue", "records", "reap")


def test_help_has_examples(fleet: Fleet) -> None:
    host = fleet.hosts["pg1"]
    general = host.check_output("holdfast --help")
    assert "examples:" in general
    assert "exit codes:" in general
    for command in COMMANDS:
        assert command in general
        assert f"holdfast {command}" in host.check_output("holdfast %s --help", command)


def test_tables_are_for_people(fleet: Fleet) -> None:
    orders = fleet["orders"]
    for command in ("list", "status", "records"):
        output = orders.host.run("holdfast %s", command).stdout
        assert "orders" in output
        assert "billing" in output, "without a name every instance of the host is shown"
        assert not output.lstrip().startswith(("{", "["))


def test_several_instances_at_once(fleet: Fleet) -> None:
    result = fleet.hosts["pg1"].run("holdfast backup orders billing --type incremental --json")
    assert result.rc == 0
    assert {name: record["result"] for name, record in json.loads(result.stdout).items()} == {
        "orders": "ok",
        "billing": "ok",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("holdfast re", {"restore", "restore-test", "rescue", "records", "reap"}),
        ("holdfast backup o", {"orders"}),
        ("holdfast backup orders --type lo", {"log", "logical"}),
        ("holdfast expire --d", {"--dry-run"}),
    ],
)
def test_completion(fleet: Fleet, line: str, expected: set[str]) -> None:
    words = line.split(" ")
    script = (
        "source /usr/share/bash-completion/completions/holdfast;"
        f" COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _holdfast; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    assert set(fleet.hosts["pg1"].check_output("bash -c %s", script).split()) == expected


def test_owner_needs_no_root(database: Database) -> None:
    assert json.loads(database.run(f"runuser -u {database.owner} -- holdfast list {database.name} --json"))[
        database.name
    ]


def test_the_runner_imports_nothing_of_ansible(fleet: Fleet) -> None:
    listing = fleet.hosts["pg1"].check_output("python3 -m zipfile --list /opt/holdfast/holdfast.pyz")
    assert "holdfast/jobs" in listing
    assert "ansible" not in listing


def test_logs_are_rotated(database: Database) -> None:
    path = f"/var/log/holdfast/{database.name}.log"
    database.run("holdfast reap %s; echo marked-before-rotation >> %s", database.name, path)
    database.run("rm -f %s.1 && logrotate --force /etc/logrotate.d/holdfast", path)
    assert "marked-before-rotation" in database.run("cat %s.1", path)
    assert database.run("stat -c '%s %U' " + path).split()[1] == database.owner
    assert database.backup("incremental")["result"] == "ok"
    assert "incremental" in database.run("cat %s", path), "the next job writes into the new file"
    assert database.run(f"stat -c '%a %U' {path}").split() == ["640", database.owner]


def test_ordinary_users_are_refused(database: Database) -> None:
    result = database.host.run("runuser -u nobody -- holdfast list %s", database.name)
    assert result.rc == 2
    assert "root" in result.stderr
