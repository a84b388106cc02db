"""Throwaway database hosts: whole Debian systems in containers, reached over ssh."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from containers import LABEL, LabError, Podman, connect, locked, release, run
from images import build, reference
from state import BUCKET, Address, State

ROOT = Path(__file__).resolve().parent.parent
HOSTS_FILE = ROOT / "lab" / "hosts.yml"
SETUP = ROOT / "lab" / "host" / "setup.sh"
SETUP_SECONDS = 180
# Clones of the repository on one machine must not meet in podman, where names are the machine's.
TREE = hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Host:
    """One host of the lab: a Debian release and the servers on it."""

    name: str
    suite: str
    postgresql: dict[str, int] = field(default_factory=dict)
    mariadb: bool = False
    s3: bool = False
    spare: bool = False  # room for the servers that a recovery makes; none is there before

    @property
    def services(self) -> list[str]:
        """The servers, as the setup script takes them."""
        services = [f"postgresql:{cluster}:{port}" for cluster, port in self.postgresql.items()]
        if self.mariadb:
            services.append("mariadb")
        if self.s3:
            services.append(f"s3:{BUCKET}")
        return services

    @property
    def volumes(self) -> list[str]:
        """Directories that need a real file system: renaming a directory fails on an overlay."""
        volumes = ["/var/lib/holdfast"]
        if self.postgresql or self.spare:
            volumes.append("/var/lib/postgresql")
        if self.mariadb or self.spare:
            volumes.append("/var/lib/mysql")
        if self.s3:
            volumes.append("/srv")
        return volumes


@dataclass(frozen=True)
class Plan:
    """What the data file asks for."""

    login: str
    packages: list[str]
    hosts: list[Host]

    @property
    def s3_host(self) -> str:
        """The host with the object store."""
        return next(host.name for host in self.hosts if host.s3)


def read_plan(data: dict[str, Any]) -> Plan:
    """Return the plan in a parsed data file.

    :raises LabError: a key is unknown or missing, or not exactly one host has the object store.
    """
    try:
        hosts = [Host(name, **options) for name, options in data["hosts"].items()]
        plan = Plan(data["login"], data["packages"], hosts)
    except (KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{HOSTS_FILE}: {error}") from None
    if sum(host.s3 for host in hosts) != 1:
        raise LabError(f"{HOSTS_FILE}: exactly one host needs 's3: true'")
    return plan


class Lab:
    """A named set of running hosts."""

    def __init__(self, name: str, plan: Plan) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,20}", name):
            raise LabError(f"'{name}' is no name for a lab: use up to 21 of a-z, 0-9 and -, a letter first")
        self.name = name
        self.plan = plan
        self.labels = [f"label={LABEL}={name}", f"label={LABEL}.tree={ROOT}"]
        self.state = State(ROOT / ".lab" / name)
        self.podman: Podman = connect()
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line of progress."""
        sys.stdout.write(f"[{time.monotonic() - self.started:5.1f} s] {text}\n")
        sys.stdout.flush()

    def container(self, host: str) -> str:
        """Return the name of a host's container."""
        return f"holdfast-{self.name}-{TREE}-{host}"

    def up(self) -> None:
        """Bring every host to its state; what is there already is kept."""
        object_store = rclone()
        self._images()
        self.state.prepare([host.name for host in self.plan.hosts], self.plan.s3_host, object_store)
        network = self._network()
        states = self._states()
        keys = each(lambda host: self._host(host, states[host.name], network), self.plan.hosts)
        endpoints = self._endpoints()
        self.state.write_ssh(
            self.plan.login,
            [
                Address(host.name, *endpoints[self.container(host.name)], key)
                for host, key in zip(self.plan.hosts, keys, strict=True)
            ],
        )
        each(
            lambda host: run(self.ssh(host.name, "-o", "ControlPath=none", "true"), what=f"ssh {host.name}"),
            self.plan.hosts,
        )
        self.say(f"lab '{self.name}' is up: ssh -F {self.state.ssh_config.relative_to(ROOT)} HOST")

    def down(self) -> None:
        """Remove the hosts, their data, their network and every key."""
        containers = self._labelled("ps", "--all", "--format={{.Names}}")
        if containers:
            self.podman("rm", "--force", "--volumes", "--time=0", *containers)
        for network in self._labelled("network", "ls", "--format={{.Name}}"):
            self.podman("network", "rm", "--force", network)
        self.state.forget()
        release(self.podman)
        self.say(f"lab '{self.name}' is removed: {len(containers)} hosts")

    def status(self) -> str:
        """Return a table of the hosts."""
        states = self._states()
        rows = [(host.name, host.suite, states[host.name], " ".join(host.services)) for host in self.plan.hosts]
        return "\n".join(f"{name:10} {suite:10} {state:10} {services}" for name, suite, state, services in rows)

    def ssh(self, host: str, *args: str) -> list[str]:
        """Return the command line that logs in to a host."""
        self._known(host)
        if not self.state.ssh_config.exists():
            raise LabError(f"lab '{self.name}' is not up: run lab/lab.py --name {self.name} up")
        return ["ssh", "-F", str(self.state.ssh_config), host, *args]

    def exec(self, host: str, command: list[str]) -> list[str]:
        """Return the command line that runs a command as root, also where ssh does not answer."""
        self._known(host)
        return self.podman.command("exec", "--interactive", self.container(host), *command)

    def _known(self, host: str) -> None:
        names = [each.name for each in self.plan.hosts]
        if host not in names:
            raise LabError(f"no host '{host}': the lab has {', '.join(names)}")

    def _states(self) -> dict[str, str]:
        listed = json.loads("".join(self._labelled("ps", "--all", "--format=json")) or "[]")
        found = {each["Names"][0]: each["State"] for each in listed}
        return {host.name: found.get(self.container(host.name), "absent") for host in self.plan.hosts}

    def _labelled(self, *command: str) -> list[str]:
        return self.podman(*command, *(f"--filter={label}" for label in self.labels)).splitlines()

    def _images(self) -> None:
        with locked(ROOT / ".lab" / "images.lock"):
            missing = [
                suite
                for suite in sorted({host.suite for host in self.plan.hosts})
                if not self.podman.succeeds("image", "exists", reference(suite, self.plan.packages))
            ]
            if missing:
                self.say(f"building images: {', '.join(missing)} (about a minute)")
            each(self._image, missing)

    def _image(self, suite: str) -> None:
        build(self.podman, suite, self.plan.packages, ROOT / ".lab" / f"image-{suite}.log")
        self.say(f"{suite}: image built")

    def _network(self) -> str:
        existing = self._labelled("network", "ls", "--format={{.Name}}")
        if existing:
            return existing[0]
        # A name used before can meet the DNS server of the network that had it.
        name = f"holdfast-{self.name}-{secrets.token_hex(3)}"
        return self.podman("network", "create", *(f"--{label}" for label in self.labels), name)

    def _host(self, host: Host, state: str, network: str) -> str:
        """Bring one host to its state and return its ssh host key."""
        container = self.container(host.name)
        try:
            if state == "absent":
                self._run(host, network)
            elif state != "running":
                self.podman("start", container)
            output = self.podman(
                *("exec", "--interactive", container, "sh", "-s", "--", *host.services),
                stdin=SETUP.read_text(),
                timeout=SETUP_SECONDS,
            )
        except LabError as error:
            raise LabError(f"{host.name}: {error}") from None
        self.say(f"{host.name}: Debian {host.suite}, {', '.join(host.services) or 'no server yet'}")
        return output.splitlines()[-1]

    def _run(self, host: Host, network: str) -> None:
        options = [
            # Restarted, so that a host which reboots comes back.
            *("--privileged", "--systemd=always", "--restart=unless-stopped", f"--hostname={host.name}"),
            *(f"--network={network}", f"--network-alias={host.name}"),
            *(f"--{label}" for label in self.labels),
            f"--volume={self.state.shared(host.name)}:/lab:ro",
            *(f"--volume={directory}" for directory in host.volumes),
        ]
        if self.podman.rootless:
            options.append("--publish=127.0.0.1::22")
        image = reference(host.suite, self.plan.packages)
        self.podman("run", "--detach", f"--name={self.container(host.name)}", *options, image, "/sbin/init")

    def _endpoints(self) -> dict[str, tuple[str, int]]:
        """Return where ssh reaches each container."""
        names = [self.container(host.name) for host in self.plan.hosts]
        found = json.loads(self.podman("inspect", "--type=container", *names))
        return {each["Name"]: endpoint(each["NetworkSettings"], self.podman.rootless) for each in found}


def endpoint(settings: dict[str, Any], rootless: bool) -> tuple[str, int]:
    """Return a container's address and port for ssh, out of what podman tells about its network."""
    if rootless:
        published = settings["Ports"]["22/tcp"][0]
        return published["HostIp"] or "127.0.0.1", int(published["HostPort"])
    return next(iter(settings["Networks"].values()))["IPAddress"], 22


def rclone() -> Path:
    """Return the path of the object store's program.

    :raises LabError: it is not in this Python's environment.
    """
    path = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if not path:
        raise LabError("rclone is not installed: run lab/lab.py by the Python of .venv (make venv)")
    return Path(path)


def each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function for all items at once; the first error is raised when all have ended."""
    items = list(items)
    with ThreadPoolExecutor(max(len(items), 1)) as pool:
        # Not map, which cancels what has not begun when one fails.
        calls = [pool.submit(function, item) for item in items]
    return [call.result() for call in calls]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    parser.add_argument(
        "--name", default=os.environ.get("HOLDFAST_LAB") or "demo", help="which lab (HOLDFAST_LAB; demo)"
    )
    parser.add_argument(
        "--also", type=Path, metavar="FILE", help="a file with further hosts, in the form of lab/hosts.yml"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start the hosts; resumes and repairs")
    commands.add_parser("down", help="remove the hosts and their data")
    commands.add_parser("status", help="list the hosts")
    shell = commands.add_parser("shell", help="log in to a host over ssh")
    shell.add_argument("host")
    execute = commands.add_parser("exec", help="run a command on a host as root, without ssh")
    execute.add_argument("host")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser.parse_args(argv)


def main() -> int:
    """Run one command and return its exit code."""
    options = parse()
    try:
        data = yaml.safe_load(HOSTS_FILE.read_text())
        if options.also:
            data["hosts"].update(yaml.safe_load(options.also.read_text())["hosts"])
        lab = Lab(options.name, read_plan(data))
        if options.command == "status":
            print(lab.status())
        elif options.command == "shell":
            return subprocess.call(lab.ssh(options.host))
        elif options.command == "exec":
            command = lab.exec(options.host, options.argv)
            return subprocess.call(command, env={**os.environ, **lab.podman.env})
        else:
            with locked(ROOT / ".lab" / f"{lab.name}.lock"):
                lab.up() if options.command == "up" else lab.down()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
