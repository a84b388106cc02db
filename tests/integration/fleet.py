"""The databases of a running lab as tests reach them: over ssh, as an ordinary user with sudo."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import testinfra
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[2]
LAB = os.environ.get("HOLDFAST_LAB") or "demo"
LAB_DIR = ROOT / ".lab" / LAB
INVENTORY = ROOT / "inventories" / "lab"
_ROUTE = "/run/holdfast-test-route"
# Molecule asks for colours, which are in the way of tests that read.
_PLAIN = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}

_REST = r"""
systemctl stop 'holdfast-*.timer'
# A job that runs is "activating", which is-active takes for inactive.
running="systemctl list-units --no-legend --state=activating,active,deactivating 'holdfast-*.service'"
timeout 300 sh -c "while [ -n \"\$($running)\" ]; do sleep 0.5; done"
"""
_RESUME = "systemctl list-unit-files --no-legend 'holdfast-*.timer' | awk '{print $1}' | xargs -r systemctl start"

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Database:
    """One instance of the inventory, its server and its runner."""

    name: str
    engine: str
    port: int
    level: str
    hostname: str
    host: Host = field(repr=False, compare=False)

    @property
    def is_postgresql(self) -> bool:
        return self.engine == "postgresql"

    @property
    def owner(self) -> str:
        return "postgres" if self.is_postgresql else "mysql"

    @property
    def state(self) -> str:
        return f"/var/lib/holdfast/{self.name}"

    @property
    def keys(self) -> str:
        return f"/etc/holdfast/keys/{self.name}.json"

    @cached_property
    def config(self) -> dict[str, Any]:
        return json.loads(self.host.check_output("cat /etc/holdfast/instances/%s.json", self.name))

    @cached_property
    def secrets(self) -> dict[str, dict[str, str]]:
        return json.loads(self.host.check_output("cat %s", self.keys))["repositories"]

    @property
    def repositories(self) -> list[str]:
        return [item["name"] for item in self.config["repositories"]]

    @cached_property
    def local(self) -> str:
        """Directory of the instance's backups in its first repository, which is on its own host."""
        path = self.config["repositories"][0]["settings"]["path"]
        return f"{path}/pgbackrest" if self.is_postgresql else f"{path}/restic/{self.name}"

    @cached_property
    def unit(self) -> str:
        """The service of the server."""
        if not self.is_postgresql:
            return "mariadb"
        line = self.host.check_output("pg_lsclusters --no-header | awk '$3 == %s'", str(self.port))
        version, cluster, *_ = line.split()
        return f"postgresql@{version}-{cluster}"

    def run(self, command: str, *args: str, code: int | None = 0) -> str:
        """Run a shell command on the host as root and return what it printed."""
        result = self.host.run(command, *args)
        assert code is None or result.rc == code, f"{self.hostname}: {result.command}: {result.rc}: {result.stderr}"
        return result.stdout

    def holdfast(self, command: str, *args: str, code: int = 0) -> Any:
        """Run a command of the runner for this instance, expect its exit code and return its JSON value."""
        line = shlex.join(["holdfast", command, self.name, *args, "--json"])
        result = self.host.run(line)
        assert result.rc == code, f"{line}: exit {result.rc}, not {code}:\n{result.stdout}{result.stderr}"
        value = json.loads(result.stdout)
        return (
            next(item for item in value if item["instance"] == self.name) if command == "status" else value[self.name]
        )

    def backup(self, type_: str = "full", *args: str, code: int = 0) -> dict[str, Any]:
        """Take a backup and return its record."""
        return self.holdfast("backup", "--type", type_, *args, code=code)

    def status(self) -> dict[str, Any]:
        """The instance's status, critical or not."""
        result = self.host.run("holdfast status %s --json", self.name)
        assert result.rc in (0, 3), result.stderr
        return json.loads(result.stdout)[0]

    def backups(self, repository: str | None = None, type_: str | None = None) -> list[dict[str, Any]]:
        """The listed backups, oldest first."""
        wanted = repository or self.repositories[0]
        listed = self.holdfast("list")
        return [
            item
            for item in listed
            if item["repository"] == wanted and (type_ is None or item["type"] == type_) and item["type"] != "logical"
        ]

    def ids(self) -> set[str]:
        """Every listed backup of every repository."""
        return {item["id"] for item in self.holdfast("list")}

    def records(self, job: str | None = None, last: int = 50) -> list[dict[str, Any]]:
        """The newest records, oldest first."""
        found = self.holdfast("records", "--last", str(last))
        return [record for record in found if job is None or record["job"] == job]

    def sql(self, statement: str, database: str | None = None) -> str:
        """Run a statement as the server's administrator; rows are lines, columns are divided by tabs."""
        if self.is_postgresql:
            return self.run(
                "sudo -u postgres psql -XAtq -v ON_ERROR_STOP=1 -F '\t' -p %s -d %s -c %s",
                str(self.port),
                database or "postgres",
                statement,
            ).rstrip("\n")
        return self.run("mariadb -NB %s -e %s", database or "mysql", statement).rstrip("\n")

    def answers(self) -> bool:
        """Whether the server takes a statement."""
        if self.is_postgresql:
            command = f"sudo -u postgres psql -XAtq -p {self.port} -c 'SELECT 1'"
        else:
            command = "mariadb -NB -e 'SELECT 1'"
        return self.host.run(command).rc == 0

    def identity(self) -> dict[str, str]:
        """What tells that a server is the same, still running, on the same files."""
        if self.is_postgresql:
            query = (
                "SELECT (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time(),"
                " (SELECT timeline_id FROM pg_control_checkpoint()), current_setting('data_directory')"
            )
            names = ("system", "started", "timeline", "directory")
        else:
            query = (
                "SELECT @@server_uid, (SELECT variable_value FROM information_schema.global_status"
                " WHERE variable_name = 'Uptime') DIV 1000000, @@pid_file, @@datadir"
            )
            names = ("system", "started", "pid_file", "directory")
        found = dict(zip(names, self.sql(query).split("\t"), strict=True))
        found["pid"] = self.run("systemctl show --property=MainPID --value %s", self.unit).strip()
        return found


class Fleet(Mapping[str, Database]):
    """All databases of the lab, by name."""

    def __init__(self, databases: Iterable[Database], hosts: Mapping[str, Host]) -> None:
        self._databases = {item.name: item for item in databases}
        self.hosts = hosts

    def __getitem__(self, name: str) -> Database:
        return self._databases[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._databases)

    def __len__(self) -> int:
        return len(self._databases)


def connect(*more: Path) -> Fleet:
    """Return the running lab's databases as the inventory, and those named besides, have them."""
    config = LAB_DIR / "ssh_config"
    assert config.exists(), f"lab '{LAB}' is not up: run lab/lab.py --name {LAB} up"
    listing = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "--list"]
        + [word for path in (INVENTORY, *more) for word in ("-i", str(path))],
        capture_output=True,
        check=True,
        env={**os.environ, "HOLDFAST_LAB": LAB, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    variables = json.loads(listing.stdout)["_meta"]["hostvars"]
    hosts = {name: testinfra.get_host(f"ssh://{name}", ssh_config=str(config), sudo=True) for name in variables}
    databases = [
        Database(item["name"], item["engine"], item["port"], item["service_level"], name, hosts[name])
        for name, values in variables.items()
        for item in values.get("db_instances", ())
    ]
    return Fleet(databases, hosts)


def playbook(name: str, *args: str, extra: Mapping[str, Any] | None = None, code: int = 0) -> str:
    """Run one of the project's playbooks on the lab and return its output."""
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        *("-i", str(INVENTORY), str(ROOT / "playbooks" / f"{name}.yml"), *args),
        *("-e", json.dumps(dict(extra or {}))),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "HOLDFAST_LAB": LAB, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **_PLAIN},
    )
    assert done.returncode == code, f"{name}.yml: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
    return done.stdout


def on_console(host: str, *command: str) -> None:
    """Run a command on a host of the lab without its network."""
    argv = [sys.executable, str(ROOT / "lab" / "lab.py"), "--name", LAB, "exec", host, *command]
    subprocess.run(argv, check=True, timeout=60, capture_output=True)


def unplug(*hosts: str) -> None:
    """Take hosts of the lab off its network."""
    # The route goes with the link, and does not come back with it.
    command = f"ip route show default >{_ROUTE}; ip link set eth0 down"
    together(lambda host: on_console(host, "sh", "-c", command), *hosts)


def plug_in(*hosts: str) -> None:
    """Bring them back, with their way to the world."""
    command = f"ip link set eth0 up; sed 's/^/route replace /' {_ROUTE} | ip -batch -"
    together(lambda host: on_console(host, "sh", "-c", command), *hosts)


def make_bare(host: Host) -> None:
    """Have a host with the packages of servers, and nothing else of what was made there."""
    host.check_output((Path(__file__).parent / "bare.sh").read_text())


def until(condition: Callable[[], T], seconds: float = 30, every: float = 0.3) -> T:
    """Call a function until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not so after {seconds:.0f} s: {condition}"
        time.sleep(every)


def together(function: Callable[[T], R], *items: T) -> list[R]:
    """Call a function for all items at once: hosts work side by side."""
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(function, items))


def rest(*hosts: Host) -> None:
    """Stop the timers, and wait for the jobs that they have started.

    Setting up an instance starts its timers, and what they missed at once.
    """
    together(lambda host: host.check_output(_REST), *hosts)


def resume(*hosts: Host) -> None:
    """Start the timers again."""
    together(lambda host: host.check_output(_RESUME), *hosts)
