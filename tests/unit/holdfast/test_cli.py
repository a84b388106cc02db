"""The runner's commands: exit codes, JSON, and errors that say what to do."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from ansible.module_utils.holdfast import cli, config, files, jobs, listing, logs, restore_test, status, work
from ansible.module_utils.holdfast.completion import BASH
from ansible.module_utils.holdfast.errors import RepositoryFull, ServerUnavailable
from ansible.module_utils.holdfast.locks import job_lock
from ansible.module_utils.holdfast.model import Job, Window, WindowKind
from fakes import FakeAdapters, instance

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def orders(tmp_path, monkeypatch):
    for name in ("INSTANCES", "KEYS", "LOGS"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(config, name, str(tmp_path / name))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "configured").touch()
    found = instance(tmp_path / "state", os_user=ME)
    for file in config.render(found):
        with open(file.path, "w", encoding="utf-8") as stream:
            stream.write(file.content)
        os.utime(file.path)
    return found


@pytest.fixture
def adapters(orders, monkeypatch):
    fake = FakeAdapters(orders)
    for module in (work, restore_test, status, listing):
        monkeypatch.setattr(module, "Adapters", fake)
    monkeypatch.setattr(jobs, "RETRY_DELAYS", ())
    yield fake
    logs.close_logs()


def test_an_instance_survives_the_way_through_its_files(orders):
    assert config.load("orders") == orders


def test_the_file_without_secrets_has_none_and_the_other_is_the_owners_alone(orders):
    plain, secret = config.render(orders)
    assert "s3cret" not in plain.content
    assert not plain.secret
    assert (secret.secret, secret.mode, secret.owner) == (True, 0o400, ME)
    assert isinstance(plain, files.File)


def test_backup_then_list_then_expire(orders, adapters, capsys):
    assert cli.main(["backup", "orders"]) == 0
    assert capsys.readouterr().out.startswith("orders: full done in")
    assert cli.main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["orders"][0]["id"] == "b0"
    assert cli.main(["expire", "orders", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "recoverable window before" in shown
    assert "recoverable window after" in shown


def test_a_failed_job_exits_with_1_and_says_what_to_do(orders, adapters, capsys):
    adapters.physical.failures = [RepositoryFull("no space left", where="/repo", remedy="Free space there")]
    assert cli.main(["backup", "orders", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["orders"]["error"]["remedy"] == "Free space there"


def test_a_busy_instance_exits_with_75(orders, adapters):
    with job_lock(orders, Job.FULL, timedelta(0)):
        assert cli.main(["backup", "orders"]) == 75


def test_status_exits_with_3_when_an_instance_is_critical(orders, adapters, capsys):
    adapters.engine.down = ServerUnavailable("the server does not answer")
    assert cli.main(["status"]) == 3
    assert "the server does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["backup", "nosuch"], ["status", "nosuch", "--json"]])
def test_an_unknown_instance_exits_with_2_and_names_the_known(orders, adapters, capsys, argv):
    assert cli.main(argv) == 2
    assert "Configured here: orders" in capsys.readouterr().err


def test_records_show_what_happened(orders, adapters, capsys):
    cli.main(["backup", "orders"])
    cli.main(["restore-test", "orders"])
    capsys.readouterr()
    assert cli.main(["records"]) == 0
    shown = capsys.readouterr().out
    assert "b0 in local" in shown
    assert "RTO" in shown


def test_metrics_are_printed_or_written(orders, adapters, capsys, tmp_path):
    cli.main(["backup", "orders"])
    capsys.readouterr()
    assert cli.main(["metrics"]) == 0
    shown = capsys.readouterr().out
    assert 'holdfast_job_last_success{db_instance="orders",engine="postgresql"' in shown
    assert cli.main(["metrics", "--output", str(tmp_path / "holdfast.prom")]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "holdfast.prom").read_text() == shown
    assert cli.main(["metrics", "--json"]) == 0
    assert {"name", "labels", "value"} == set(json.loads(capsys.readouterr().out)[0])


OVERRIDE = ["override", "orders", "--reason", "disk", "--by", "Dana"]


@pytest.fixture
def frozen(orders):
    freeze = Window("year-end", WindowKind.FREEZE, "UTC", first=datetime(2020, 1, 1), last=datetime(2099, 1, 1))
    found = replace(orders, windows=(freeze,))
    plain, _ = config.render(found)
    with open(plain.path, "w", encoding="utf-8") as stream:
        stream.write(plain.content)
    return found


def test_an_override_is_put_in_force_and_told(frozen, adapters, capsys):
    assert cli.main([*OVERRIDE, "--for", "30m"]) == 0
    assert "orders: windows are overridden by Dana until" in capsys.readouterr().out
    assert cli.main([*OVERRIDE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["orders"]["override"]["reason"] == "disk"
    cli.main(["status"])
    assert "note: windows are overridden by Dana" in capsys.readouterr().out


def test_an_override_of_nothing_or_by_nobody_is_refused(orders, adapters, capsys):
    assert cli.main(OVERRIDE) == 2
    assert "has no maintenance windows" in capsys.readouterr().err
    assert cli.main(["override", "orders", "--reason", " ", "--by", "Dana"]) == 2
    assert "has no reason" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["", "override", "backup", "list", "status", "verify", "expire", "restore-test", "records"]
)
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "example" in capsys.readouterr().out


def test_completion_knows_every_command_and_every_option():
    for name, command in cli.commands().items():
        assert f" {name}" in BASH.replace('"', " ")
        for action in command._actions:
            for option in action.option_strings:
                assert not option.startswith("--") or option in BASH, (name, option)


def test_completion_is_valid_bash():
    script = BASH + "\nCOMP_WORDS=(holdfast ba); COMP_CWORD=1; _holdfast; printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["backup"]
