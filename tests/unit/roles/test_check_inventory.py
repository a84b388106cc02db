"""The check of the inventory inside a play, run by Ansible itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  roles: [validate_inventory]
  tasks:
    - ansible.builtin.debug:
        msg: order {{ validate_inventory_found.order | to_json }}, {{ validate_inventory_found.gaps | length }} gaps
"""
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


def play(directory: Path, hosts: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (directory / "inventory").mkdir()
    (directory / "inventory" / "hosts.yml").write_text(hosts)
    (directory / "play.yml").write_text(PLAYBOOK)
    return subprocess.run(
        ["ansible-playbook", "-i", str(directory / "inventory"), *arguments, str(directory / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_right_inventory_passes_in_check_mode_too(tmp_path: Path) -> None:
    done = play(tmp_path, HOSTS, "--check")
    assert done.returncode == 0, done.stdout
    assert "ok=3 " in done.stdout
    assert 'order [["orders"]], 0 gaps' in done.stdout
    assert "WARNING" not in done.stderr


def test_the_order_of_recovery_is_that_of_dependencies(tmp_path: Path) -> None:
    crm = "          depends_on: [crm]\n        - {name: crm, engine: mariadb, port: 3307}\n"
    done = play(tmp_path, HOSTS + crm)
    assert done.returncode == 0, done.stdout
    assert 'order [["crm"], ["orders"]], 0 gaps' in done.stdout


def test_gaps_of_a_critical_instance_are_warnings_with_file_and_line(tmp_path: Path) -> None:
    done = play(tmp_path, HOSTS + "          service_level: critical\n")
    assert done.returncode == 0, done.stdout
    told = " ".join(done.stderr.split())
    assert "hosts.yml:9: db_instances[orders].business.workaround: is empty, and a critical instance" in told
    assert "0 gaps" not in done.stdout


def test_the_command_line_is_no_inventory(tmp_path: Path) -> None:
    done = play(tmp_path, HOSTS.replace("db1:", "db2: {}\n    db1:"), "-e", '{"db_instances": [{"name": "orders"}]}')
    assert done.returncode == 0, done.stdout


def test_all_problems_are_told_with_file_and_line(tmp_path: Path) -> None:
    done = play(tmp_path, HOSTS.replace("mariadb", "clay-tablets\n          port: 0"), "--limit", "localhost,db1")
    assert done.returncode == 2
    assert "2 problems in the inventory" in done.stdout
    for place in ("hosts.yml:10: db_instances[orders].engine", "hosts.yml:11: db_instances[orders].port"):
        assert place in done.stdout


@pytest.mark.parametrize("text", ["- not\n- an inventory\n", "all: {hosts: [\n"])
def test_a_file_that_is_no_inventory_stops_the_run(tmp_path: Path, text: str) -> None:
    done = play(tmp_path, text)
    assert done.returncode != 0
    assert "hosts.yml" in done.stderr
    assert "ok=" not in done.stdout
