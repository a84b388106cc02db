"""The module that checks the inventory, with the process that reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

import db_inventory_info

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
          engine: ENGINE
"""


def run(capsys: pytest.CaptureFixture[str], *sources: str, **options: Any) -> dict[str, Any]:
    with patch_module_args({"sources": list(sources), **options}), pytest.raises(SystemExit):
        db_inventory_info.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_right_inventory(tmp_path: Path, capsys: pytest.CaptureFixture[str], check_mode: bool) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS.replace("ENGINE", "mariadb"))
    result = run(capsys, str(tmp_path), _ansible_check_mode=check_mode)
    assert result["changed"] is False
    assert result["problems"] == []
    assert result["instances"] == {
        "db1": [{"name": "orders", "engine": "mariadb", "port": 3306, "service_level": "standard"}]
    }


def test_all_problems_are_in_the_message_and_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS.replace("ENGINE", "mysql\n          port: 0"))
    result = run(capsys, str(tmp_path))
    assert result["failed"] is True
    assert [(each["line"], each["key"]) for each in result["problems"]] == [
        (10, "db_instances[orders].engine"),
        (11, "db_instances[orders].port"),
    ]
    assert result["msg"].startswith("2 problems in the inventory:\n")
    assert "hosts.yml:10: db_instances[orders].engine: 'mysql': is not supported yet" in result["msg"]


def test_no_inventory(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, "/nonexistent/inventory")
    assert result["failed"] is True
    assert "there is no such inventory" in result["msg"]


def test_the_configuration_is_the_one_that_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS.replace("ENGINE", "mariadb"))
    config = tmp_path / "ansible.cfg"
    config.write_text("[inventory]\nenable_plugins = ansible.builtin.ini\n")
    result = run(capsys, str(tmp_path / "hosts.yml"), config=str(config))
    assert result["failed"] is True
    assert "hosts.yml: " in result["msg"]
