"""The parts of the lab that need no container."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

import containers
import images
import lab
import state
from containers import LabError

ONE_HOST = {"suite": "trixie", "s3": True}


def plan(**hosts: object) -> lab.Plan:
    return lab.read_plan({"login": "ops", "packages": ["sudo"], "hosts": hosts})


def test_the_shipped_data_file_is_a_plan():
    shipped = lab.read_plan(yaml.safe_load(lab.HOSTS_FILE.read_text()))
    assert shipped.s3_host == "vault1"


def test_the_static_inventory_names_the_same_hosts():
    inventory = yaml.safe_load((lab.ROOT / "inventories" / "lab" / "hosts.yml").read_text())
    groups = {
        **inventory["databases"]["children"],
        **{name: inventory[name] for name in ["backup_hosts", "alternate_site"]},
    }
    expected = {"postgresql": set(), "mariadb": set(), "backup_hosts": set(), "alternate_site": set()}
    for host in lab.read_plan(yaml.safe_load(lab.HOSTS_FILE.read_text())).hosts:
        if host.spare:
            expected["alternate_site"].add(host.name)
        for service in host.services:
            engine = service.split(":")[0]
            expected["backup_hosts" if engine == "s3" else engine].add(host.name)
    assert {name: set(group["hosts"]) for name, group in groups.items()} == expected


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({}, "exactly one host"),
        ({"a": ONE_HOST, "b": ONE_HOST}, "exactly one host"),
        ({"a": {"s3": True}}, "suite"),
        ({"a": {**ONE_HOST, "mysql": True}}, "mysql"),
        ({"a": None}, "a"),
    ],
)
def test_a_wrong_data_file_is_refused_by_name(hosts, message):
    with pytest.raises(LabError, match=message) as caught:
        plan(**hosts)
    assert str(lab.HOSTS_FILE) in str(caught.value)


def test_services_and_volumes_follow_the_servers():
    host = lab.Host("pg1", "bookworm", postgresql={"main": 5432, "billing": 5433})
    assert host.services == ["postgresql:main:5432", "postgresql:billing:5433"]
    assert "/var/lib/postgresql" in host.volumes
    assert "/var/lib/mysql" not in host.volumes


def test_a_spare_host_has_room_for_every_server_and_none_of_them():
    host = lab.Host("dr1", "trixie", spare=True)
    assert host.services == []
    assert {"/var/lib/postgresql", "/var/lib/mysql"} <= set(host.volumes)


@pytest.mark.parametrize("name", ["", "Demo", "1st", "a_b", "../demo", "x" * 22])
def test_names_that_would_break_paths_are_refused(name):
    with pytest.raises(LabError, match="no name for a lab"):
        lab.Lab(name, plan(vault1=ONE_HOST))


def test_the_endpoint_is_the_container_or_the_published_port():
    settings = {
        "Networks": {"n": {"IPAddress": "10.89.0.7"}},
        "Ports": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40123"}]},
    }
    assert lab.endpoint(settings, rootless=False) == ("10.89.0.7", 22)
    assert lab.endpoint(settings, rootless=True) == ("127.0.0.1", 40123)


def test_all_ends_before_the_first_error_is_raised():
    ended = []

    def work(item: int) -> None:
        if item == 0:
            raise LabError("first")
        ended.append(item)

    with pytest.raises(LabError, match="first"):
        lab.each(work, [0, 1, 2])
    assert sorted(ended) == [1, 2]


def test_an_image_is_known_by_its_recipe(monkeypatch, tmp_path):
    before = images.reference("trixie", ["sudo"])
    assert before == images.reference("trixie", ["sudo"])
    assert before != images.reference("trixie", ["sudo", "cron"])
    script = tmp_path / "customize.sh"
    script.write_text("true\n")
    monkeypatch.setattr(images, "CUSTOMIZE", script)
    assert before != images.reference("trixie", ["sudo"])


@pytest.fixture
def prepared(tmp_path: Path) -> state.State:
    made = state.State(tmp_path / "demo")
    program = tmp_path / "rclone"
    program.write_text("")
    made.prepare(["pg1", "vault1"], "vault1", program)
    return made


def test_a_second_prepare_keeps_keys_and_credentials(prepared, tmp_path):
    files = ["id_ed25519", "ca.crt", "s3.json", "hosts/vault1/server.crt", "hosts/vault1/s3.env"]
    before = [(prepared.directory / name).read_bytes() for name in files]
    prepared.prepare(["pg1", "vault1"], "vault1", tmp_path / "rclone")
    assert [(prepared.directory / name).read_bytes() for name in files] == before


def test_secrets_are_readable_by_the_owner_alone(prepared):
    for name in ["id_ed25519", "ca.key", "s3.json", "hosts/vault1/server.key", "hosts/vault1/s3.env"]:
        assert stat.S_IMODE((prepared.directory / name).stat().st_mode) == 0o600, name
    assert not (prepared.directory / "hosts" / "pg1" / "s3.env").exists()


def test_the_certificate_verifies_for_its_host_only(prepared):
    def verify(name: str) -> int:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", "-verify_hostname", name]
        return subprocess.run(
            [*command, "hosts/vault1/server.crt"], cwd=prepared.directory, capture_output=True, check=False
        ).returncode

    assert verify("vault1") == 0
    assert verify("pg1") != 0


def test_rclone_gets_the_credentials_that_clients_read(prepared):
    s3 = json.loads(prepared.s3.read_text())
    line = (prepared.directory / "hosts" / "vault1" / "s3.env").read_text()
    assert line == f"RCLONE_AUTH_KEY='\"{s3['access_key']},{s3['secret_key']}\"'\n"


def test_ssh_takes_the_configuration_as_meant(prepared):
    prepared.write_ssh("ops", [state.Address("pg1", "10.89.0.7", 2222, "ssh-ed25519 AAAA")])
    output = subprocess.run(
        ["ssh", "-G", "-F", prepared.ssh_config, "pg1"], capture_output=True, text=True, check=True
    ).stdout
    settings = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    assert settings["hostname"] == "10.89.0.7"
    assert settings["port"] == "2222"
    assert settings["user"] == "ops"
    assert settings["hostkeyalias"] == "pg1"
    assert settings["stricthostkeychecking"] in {"true", "yes"}
    assert settings["userknownhostsfile"] == str(prepared.directory / "known_hosts")
    # A socket's path has 107 characters, of which ssh takes 17 for itself.
    assert len(settings["controlpath"]) <= 90
    prepared.forget()
    assert not Path(settings["controlpath"]).parent.exists()
    assert not prepared.directory.exists()


def test_the_limits_are_those_of_the_machine():
    assert 'nofile=20000:20000"' in containers.containers_conf(20000)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sh", "-c", "echo first >&2; echo last >&2; exit 3"], "exit 3: last"),
        (["sh", "-c", "exit 1"], "exit 1: no message"),
        (["/no/such/program"], "not installed"),
    ],
)
def test_a_failed_command_is_one_line(command, message):
    with pytest.raises(LabError, match=message) as caught:
        containers.run(command)
    assert "\n" not in str(caught.value)


def test_a_step_that_another_process_never_leaves_is_given_up(tmp_path):
    with (
        containers.locked(tmp_path / "lock"),
        pytest.raises(LabError, match="has held"),
        containers.locked(tmp_path / "lock", timeout=0.1),
    ):
        pass


def test_a_command_that_hangs_is_given_up():
    with pytest.raises(LabError, match="no end after 0 s"):
        containers.run(["sleep", "5"], timeout=0.1)


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("", False),
        ("36 25 0:31 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n", False),
        ("37 36 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n", False),
        ("36 25 0:31 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n", True),
    ],
)
def test_only_a_unified_hierarchy_will_do(mounts, expected):
    assert containers.unified(mounts) is expected


def test_a_dead_process_holds_no_namespace(monkeypatch, tmp_path):
    monkeypatch.setattr(containers, "RUN_DIR", tmp_path)
    assert containers._namespace() is None
    beyond_the_last_pid = 2**22 + 1
    (tmp_path / "namespace.pid").write_text(str(beyond_the_last_pid))
    assert containers._namespace() is None


@pytest.fixture
def remembered(monkeypatch, tmp_path):
    """What podman keeps in a ``/run`` that outlived its containers."""
    alive, networks = tmp_path / "alive", tmp_path / "networks"
    alive.touch()
    networks.mkdir()
    monkeypatch.setattr(containers, "PODMAN_ALIVE", alive)
    monkeypatch.setattr(containers, "PODMAN_NETWORKS", networks)
    return [alive, networks]


def test_containers_that_ended_with_their_namespace_are_forgotten(monkeypatch, tmp_path, remembered):
    calls = tmp_path / "calls"
    crun = tmp_path / "crun"
    crun.write_text(f'#!/bin/sh\necho "$*" >>{calls}\n[ "$1" != list ] || echo gone\n')
    crun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(containers, "_command", lambda process: "sh")
    containers._forget_containers_as_a_restart_does()
    assert not any(each.exists() for each in remembered)
    assert calls.read_text().splitlines() == ["list --quiet", "delete gone"]


def test_other_containers_are_not_forgotten(monkeypatch, remembered):
    monkeypatch.setattr(containers, "_command", lambda process: "conmon")
    with pytest.raises(LabError, match="restart the machine"):
        containers._forget_containers_as_a_restart_does()
    assert all(each.exists() for each in remembered)
