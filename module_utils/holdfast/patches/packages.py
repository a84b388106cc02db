"""Packages as dpkg and apt tell of them, and what an upgrade would change. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

QUERY = "${db:Status-Abbrev}\t${binary:Package}\t${Version}\t${source:Package}\t${source:Version}\n"
_INSTALL = re.compile(r"^Inst (?P<name>\S+)(?: \[(?P<before>[^]]+)\])? \((?P<after>\S+) (?P<origins>.*?) ?\[[^]]*\]\)")
_REMOVE = re.compile(r"^Remv (?P<name>\S+) \[(?P<before>[^]]+)\]")
_UPSTREAM = re.compile(r"^(?:\d+:)?(?P<version>\d+(?:\.\d+)*)")


class Kind(str, Enum):
    """What a package is to the databases of its host."""

    DATABASE = "database"  # of the source that the server itself comes from
    TOOLS = "tools"  # what takes backups of it and reaches it
    SYSTEM = "system"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Package:
    """An installed package.

    ``held`` says that somebody told apt to leave it as it is; ``whole`` is false where dpkg began and did not finish.
    """

    name: str
    version: str
    source: str
    source_version: str
    held: bool = False
    whole: bool = True


@dataclass(frozen=True)
class Change:
    """What apt would do to one package. ``before`` is empty for a new one, ``after`` for one that goes."""

    package: str
    before: str
    after: str
    origins: tuple[str, ...] = ()

    @property
    def security(self) -> bool:
        """Whether the new version comes from the security updates of the distribution."""
        return any("security" in origin.lower() for origin in self.origins)

    def describe(self) -> str:
        """It in words."""
        if not self.after:
            return f"{self.package} {self.before} goes"
        return f"{self.package} {self.before} becomes {self.after}" if self.before else f"{self.package} is new"


def bare(name: str) -> str:
    """The name of a package without its architecture."""
    return name.partition(":")[0]


def installed(listing: str) -> dict[str, Package]:
    """The packages in the output of ``dpkg-query --show`` with :data:`QUERY`, by name."""
    found = {}
    for line in listing.splitlines():
        status, name, version, source, source_version = line.split("\t")
        if status[1:2] in ("n", "c"):
            continue  # removed, with or without its configuration
        held = status[:1] == "h"
        found[bare(name)] = Package(bare(name), version, source, source_version, held, status[1:2] == "i")
    return found


def changes(simulation: str) -> list[Change]:
    """What ``apt-get --simulate`` would install and remove, in its order."""
    found = []
    for line in simulation.splitlines():
        match = _INSTALL.match(line)
        if match:
            origins = tuple(part.strip() for part in match["origins"].split(",") if part.strip())
            found.append(Change(bare(match["name"]), match["before"] or "", match["after"], origins))
            continue
        match = _REMOVE.match(line)
        if match:
            found.append(Change(bare(match["name"]), match["before"], ""))
    return found


def upstream(version: str) -> str:
    """The part of a package's version that its server tells of itself: ``15.20`` of ``15.20-0+deb12u1``."""
    match = _UPSTREAM.match(version)
    return match["version"] if match else version


def kind_of(name: str, known: Mapping[str, Package], sources: Iterable[str], tools: Iterable[str]) -> Kind:
    """What a package is here. ``sources`` are those of the servers, ``tools`` names of packages."""
    package = known.get(name)
    if package is not None and package.source in set(sources):
        return Kind.DATABASE
    return Kind.TOOLS if name in set(tools) else Kind.SYSTEM
