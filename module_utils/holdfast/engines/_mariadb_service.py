"""The systemd service of a MariaDB server and what its configuration says, whether it runs or not."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import NotInstalled
from ..process import require, run

_DEFAULTS = {"datadir": "/var/lib/mysql", "socket": "/run/mysqld/mysqld.sock"}  # of Debian's packages
_SERVICE = "mariadb.service"
_INSTANCES = "mariadb@*.service"
_VERSION = re.compile(r"Ver (\d+\.\d+\.\d+)")
_INSTANCE = re.compile(r"^mariadb@.+\.service$")


@dataclass(frozen=True)
class Service:
    """A service, and where its server lives. ``active`` is true from the start to the end of its process."""

    unit: str
    data_directory: str
    socket: str
    active: bool
    arguments: tuple[str, ...] = ()  # that name the configuration which its server reads


def service_of(pid: int) -> str | None:
    """The systemd service whose main process this is; None for a server started by hand."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as stream:
            parts = stream.read().replace("\n", "/").split("/")
    except OSError:
        return None
    for unit in dict.fromkeys(part for part in parts if part.endswith(".service")):
        # A server started by hand lives in the unit of the login or job that started it.
        if run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout.strip() == str(pid):
            return unit
    return None


def service_on(socket: str) -> Service | None:
    """The service whose server is configured to listen on this socket."""
    try:
        units = _units()
    except NotInstalled:
        return None  # no systemd
    found = (_service(unit) for unit in units)
    return next((item for item in found if item and _same(item.socket, socket)), None)


def directory_without_service() -> str:
    """The data directory of a server that reads the ordinary configuration, whoever starts it."""
    return _configured([])["datadir"]


def installed_version() -> str:
    """``11.8.6`` of the server that is installed."""
    printed = run([require("mariadbd"), "--no-defaults", "--version"]).check().stdout
    match = _VERSION.search(printed)
    return match[1] if match else printed.strip()


def values(arguments: Iterable[str]) -> dict[str, str]:
    """What options like ``--datadir=/x`` set; the last one counts, as for the server."""
    found = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name.startswith("--"):
            found[name[2:].replace("_", "-")] = value
    return found


def arguments_in(environment: str) -> list[str]:
    """The options of the server in a unit's ``Environment``, which Debian's template for instances puts there."""
    words = (word.partition("=") for word in shlex.split(environment))
    return [part for name, _, value in words if name.startswith("MYSQLD") for part in shlex.split(value)]


def _units() -> list[str]:
    names = [_SERVICE]
    for listing in (["list-unit-files"], ["list-units", "--all"]):
        output = run(["systemctl", *listing, "--plain", "--no-legend", "--full", _INSTANCES]).stdout
        names += [words[0] for words in map(str.split, output.splitlines()) if words and _INSTANCE.match(words[0])]
    return list(dict.fromkeys(names))


def _service(unit: str) -> Service | None:
    shown = run(["systemctl", "show", "--property=LoadState,ActiveState,Environment", unit]).stdout
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if state.get("LoadState") != "loaded":
        return None
    arguments = arguments_in(state.get("Environment", ""))
    found = _configured(arguments)
    active = state.get("ActiveState") not in ("inactive", "failed")
    return Service(unit, found["datadir"].rstrip("/"), found["socket"], active, _files(arguments))


def _files(arguments: Sequence[str]) -> tuple[str, ...]:
    return tuple(argument for argument in arguments if argument.startswith("--defaults-"))


def option_lines(arguments: Sequence[str]) -> list[str]:
    """The options in the files that a server reads, ``--name=value``, the last one of a name counts."""
    return run(["my_print_defaults", *arguments, "--mysqld"]).check().stdout.splitlines()


def _configured(arguments: Sequence[str]) -> dict[str, str]:
    return {**_DEFAULTS, **values(option_lines(_files(arguments))), **values(arguments)}


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
