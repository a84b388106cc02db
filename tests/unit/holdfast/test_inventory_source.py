"""Inventories as files: read by Ansible's own code, with the place of every mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils import inventory_source
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.problems import Problem

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "module_utils" / "inventory_source.py"

HOSTS = """\
all:
  vars:
    db_repositories:
      local: {type: posix, path: /backup, passphrase: "{{ lookup('env', 'PASSPHRASE') }}"}
      offsite:
        type: sftp
        host: vault
        user: holdfast
        path: /srv
        private_key_file: /key
        passphrase: "{{ vault_passphrase }}"
  hosts:
    db1:
    db2:
"""


def write(directory: Path, **files: str) -> str:
    """Write an inventory; ``host_vars__db1`` becomes host_vars/db1.yml."""
    (directory / "hosts.yml").write_text(HOSTS)
    for name, text in files.items():
        path = directory / (name.replace("__", "/") + ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(directory)


def check(*sources: str) -> list[Problem]:
    return inventory_source.read(sources).check()


def places(problems: list[Problem]) -> list[tuple[str, int, str]]:
    return [(Path(each.file).name, each.line, each.key) for each in problems]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


LEVELS = """\
db_service_levels:
  mine:
    rpo: 10m
    rto: 1 hour
    full: "0 0 31 2 *"
    log: none
    keep:
      ful: 7d
      minimum_full: 0
  hasty:
    rpo: 1m
    rto: 1h
    full: daily
    log: continuous
    keep: {full: 7d, log: 7d}
  forgetful:
    rpo: 1h
    rto: 1h
    full: weekly
    log: continuous
    keep:
      full: 3d
      log: 1d
"""

DB1 = """\
db_instances:
  - name: Orders
    engine: postgres
    port: 99999
  - name: billing
    engine: mysql
    service_leve: critical
  - engine: mariadb
    repositories:
      - local
      - ofsite
"""

DB2 = """\
db_instances:
  - name: billing
    engine: postgresql
    service_level: critcal
    databases: all
backup_scheduler: crond
"""


def test_every_one_of_many_mistakes_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    source = write(tmp_path, group_vars__all__levels=LEVELS, host_vars__db1=DB1, host_vars__db2=DB2)
    found = check(source)
    assert places(found) == [
        ("levels.yml", 4, "db_service_levels.mine.rto"),
        ("levels.yml", 5, "db_service_levels.mine.full"),
        ("levels.yml", 7, "db_service_levels.mine.keep.full"),  # missing: the place is that of its mapping
        ("levels.yml", 8, "db_service_levels.mine.keep.ful"),
        ("levels.yml", 9, "db_service_levels.mine.keep.minimum_full"),
        ("levels.yml", 11, "db_service_levels.hasty.rpo"),
        ("levels.yml", 22, "db_service_levels.forgetful.keep.full"),
        ("db1.yml", 2, "db_instances[Orders].name"),
        ("db1.yml", 3, "db_instances[Orders].engine"),
        ("db1.yml", 4, "db_instances[Orders].port"),
        ("db1.yml", 6, "db_instances[billing].engine"),
        ("db1.yml", 7, "db_instances[billing].service_leve"),
        ("db1.yml", 8, "db_instances[2].name"),
        ("db1.yml", 11, "db_instances[2].repositories[1]"),
        ("db2.yml", 2, "db_instances[billing].name"),
        ("db2.yml", 4, "db_instances[billing].service_level"),
        ("db2.yml", 5, "db_instances[billing].databases"),
        ("db2.yml", 6, "backup_scheduler"),
    ]
    assert all(each.message for each in found)
    assert all(each.valid for each in found if "missing" not in each.message and "never runs" not in each.message)


RIGHT = "db_instances: [{name: orders, engine: postgresql}]\n"


def test_a_right_inventory(tmp_path: Path) -> None:
    source = inventory_source.read([write(tmp_path, host_vars__db1=RIGHT)])
    assert source.check() == []
    assert set(source.hosts) == {"db1", "db2"}


def test_variables_are_merged_as_ansible_merges_them(tmp_path: Path) -> None:
    files = {"host_vars__db1": RIGHT, "group_vars__all": RIGHT.replace("orders", "Wrong")}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    [problem] = check(write(tmp_path / "one", **files))
    assert (Path(problem.file).name, problem.host) == ("all.yml", "db2")
    assert check(write(tmp_path / "two", **files, host_vars__db2=RIGHT.replace("orders", "billing"))) == []


def test_several_inventories_are_one_fleet(tmp_path: Path) -> None:
    sources = []
    for name in ("east", "west"):
        (tmp_path / name).mkdir()
        sources.append(write(tmp_path / name, host_vars__db1=RIGHT))
        hosts = tmp_path / name / "hosts.yml"
        hosts.write_text(HOSTS.replace("db1", name))
        (tmp_path / name / "host_vars" / "db1.yml").rename(tmp_path / name / "host_vars" / f"{name}.yml")
        assert check(sources[-1]) == []
    [problem] = check(*sources)
    assert problem.message == "is also an instance of east"
    assert problem.file.endswith("west/host_vars/west.yml")


def test_a_file_that_is_no_yaml_is_told_once_with_its_line(tmp_path: Path) -> None:
    found = check(write(tmp_path, group_vars__all="db_instances: [\n  - {\n", host_vars__db1=RIGHT))
    assert len(found) == 1
    assert Path(found[0].file).name == "all.yml"
    assert found[0].line > 0
    assert "cannot be read" in found[0].message


def test_a_vault_that_is_locked_names_the_remedy(tmp_path: Path) -> None:
    vault = "$ANSIBLE_VAULT;1.1;AES256\n" + "31" * 40 + "\n"
    [found] = check(write(tmp_path, group_vars__all__vault=vault, host_vars__db1=RIGHT))
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in found.valid


def test_an_encrypted_value_is_left_to_its_host(tmp_path: Path) -> None:
    text = "          $ANSIBLE_VAULT;1.1;AES256\n          " + "31" * 40 + "\n"
    repositories = f"db_repositories:\n  local:\n    type: posix\n    path: /b\n    passphrase: !vault |\n{text}"
    level = (
        "db_service_levels:\n  standard: {rpo: 1h, rto: 1h, full: daily, log: continuous, keep: {full: 7d, log: 7d}}\n"
    )
    assert check(write(tmp_path, group_vars__all__a=repositories, group_vars__all__b=level, host_vars__db1=RIGHT)) == []


def test_no_such_inventory() -> None:
    with pytest.raises(InvalidInput, match="no such inventory"):
        inventory_source.read(["/nonexistent/inventory"])


def test_the_script_prints_a_line_for_each_problem(tmp_path: Path) -> None:
    source = write(tmp_path, host_vars__db1=RIGHT.replace("orders", "Orders"))
    done = run(source)
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert line.endswith(
        "host_vars/db1.yml:1: db_instances[Orders].name: 'Orders': is not a valid name; "
        "valid: a lower-case letter, then up to 39 lower-case letters, digits and hyphens"
    )
    assert done.stderr.endswith("1 problem\n")


def test_the_script_tells_what_a_right_inventory_has(tmp_path: Path) -> None:
    done = run(write(tmp_path, host_vars__db1=RIGHT))
    assert done.returncode == 0
    assert done.stdout.endswith("no problems in 1 instances on 1 hosts\n")


def test_a_gap_of_a_critical_instance_fails_the_script_with_its_place(tmp_path: Path) -> None:
    done = run(write(tmp_path, host_vars__db1=RIGHT.replace("}]", ", service_level: critical}]")))
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if "business.mtd" in line]
    assert line.endswith(
        "host_vars/db1.yml:1: db_instances[orders].business.mtd: is empty, and a critical instance depends on it; "
        "valid: the maximum tolerable downtime, a duration of at least the RTO"
    )


def test_the_script_says_when_there_is_no_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("- not\n- an inventory\n")
    done = run(str(tmp_path))
    assert done.returncode == 2
    assert "failed to parse" in done.stderr.lower()
    assert run("/nonexistent").returncode == 2
    assert run().returncode == 2


@pytest.mark.parametrize("name", ["example", "lab"])
def test_the_inventories_of_the_repository_are_right(name: str) -> None:
    source = inventory_source.read([str(ROOT / "inventories" / name)])
    assert (source.check(), source.gaps()) == ([], [])
