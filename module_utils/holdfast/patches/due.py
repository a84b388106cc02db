"""What is due on this host: packages, vulnerabilities, restarts, a reboot, and what nobody mends any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from .. import config
from ..errors import HoldfastError
from ..units import format_instant, utcnow
from . import tools
from .apt import Apt
from .journal import Journal
from .member import Member, state_directory
from .packages import Package, kind_of
from .wish import Wish

FORMAT = 1


def look(*, refresh: bool, source: str) -> dict[str, Any]:
    """Everything about this host. Needs root; with ``refresh`` the package lists are read anew, and nothing else."""
    apt, journal = Apt(), Journal(state_directory())
    system = tools.system()
    read = tools.asked(apt.refresh) if refresh else {"status": "not_applicable", "reason": "not asked for"}
    members = [Member(name) for name in config.names()]
    known, listed = apt.installed(), apt.listed()
    servers = [_server(member, apt, known) for member in members]
    sources = [item["source"] for item in servers]
    names = sorted({name for member in members for name in member.server.packages()})
    return {
        "format": FORMAT,
        "asked": format_instant(utcnow()),
        "system": system,
        "lists": {
            **{key: read[key] for key in ("status", "reason")},
            "read": format_instant(datetime.fromtimestamp(listed, timezone.utc)) if listed else None,
        },
        "packages": _due(apt, known, sources, names, journal.held()),
        "installed": {name: known[name].version for name in _interesting(known, sources, names)},
        "broken": apt.broken(),
        "servers": servers,
        "vulnerabilities": tools.asked(lambda: tools.vulnerabilities(system["codename"], source)),
        "restarts": tools.asked(tools.restarts),
        "reboot": tools.reboot_wanted(),
        "unattended": "unattended-upgrades" in known,
        "half_done": journal.read() is not None,
    }


def _server(member: Member, apt: Apt, known: dict[str, Package]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "instance": member.name,
        "engine": member.instance.engine,
        "package": "",
        "package_version": "",
        "source": "",
        "held": False,
        "version": "",
        "outdated": None,
        "error": "",
    }
    try:
        name = apt.owner(member.server.executable())
        if name in known:
            package = known[name]
            found.update(package=name, package_version=package.version, source=package.source, held=package.held)
        found["outdated"] = member.outdated()
        state = member.look(Wish())
        found.update(version=state.get("version", ""), role=state.get("role", ""), error=state["error"])
    except HoldfastError as error:
        found["error"] = str(error)
    return found


def _due(
    apt: Apt, known: dict[str, Package], sources: Sequence[str], names: Sequence[str], ours: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "package": item.package,
            "installed": item.before,
            "available": item.after,
            "kind": str(kind_of(item.package, known, sources, names)),
            "security": item.security,
            "origins": list(item.origins),
            "held": item.package in known and known[item.package].held,
            "held_by_us": item.package in ours,
        }
        for item in apt.upgradable()
        if item.before
    ]


def _interesting(known: dict[str, Package], sources: Sequence[str], names: Sequence[str]) -> list[str]:
    return sorted(item.name for item in known.values() if item.source in sources or item.name in names)
