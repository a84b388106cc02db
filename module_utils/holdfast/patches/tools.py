"""What debsecan and needrestart say of this host. What is not there or does not answer is told, never passed over."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from .. import process
from ..errors import HoldfastError, NotInstalled, Unsupported
from ..files import read

_VULNERABILITY = re.compile(r"^(?P<id>\S+) (?P<package>\S+)(?: \((?P<notes>[^)]*)\))?$")
_NEEDRESTART = re.compile(r"^NEEDRESTART-(?P<key>[A-Z]+): (?P<value>.*)$", re.MULTILINE)
_KERNEL = {"1": "", "2": "a newer kernel of the same version is installed", "3": "a newer kernel is installed"}
_REQUIRED = "/run/reboot-required"


def asked(call: Callable[[], Any]) -> dict[str, Any]:
    """An answer with ``status``: ``read``, ``not_applicable`` or ``error``, the latter two with the reason."""
    try:
        return {"status": "read", "reason": "", "value": call()}
    except Unsupported as error:
        return {"status": "not_applicable", "reason": error.reason, "value": None}
    except HoldfastError as error:
        return {"status": "error", "reason": str(error), "value": None}


def vulnerabilities(codename: str, source: str) -> list[dict[str, Any]]:
    """What debsecan finds. ``source`` is a URL, ``file:///srv/debsecan/`` for a copy of its data."""
    argv = ["debsecan", "--format", "summary", *(["--suite", codename] if codename else [])]
    try:
        done = process.run([*argv, *(["--source", source] if source else [])])
    except NotInstalled:
        raise NotInstalled("debsecan is not installed", remedy="Install the package debsecan") from None
    if done.returncode != 0:
        raise HoldfastError(f"debsecan has no data: {process.last_words(done.stderr or done.stdout)}")
    return parsed(done.stdout)


def parsed(summary: str) -> list[dict[str, Any]]:
    """The vulnerabilities in debsecan's summary."""
    found = []
    for line in summary.splitlines():
        match = _VULNERABILITY.match(line.strip())
        if match:
            notes = [note.strip() for note in (match["notes"] or "").split(",")]
            urgency = next((note.split()[0] for note in notes if note.endswith(" urgency")), "")
            found.append(
                {
                    "id": match["id"],
                    "package": match["package"],
                    "urgency": urgency,
                    "remote": "remotely exploitable" in notes,
                    "fixed": "fixed" in notes,
                }
            )
    return found


def restarts() -> dict[str, Any]:
    """Services that run on files that were replaced, and why the kernel asks for a reboot, by needrestart."""
    try:
        done = process.run(["needrestart", "-b", "-r", "l"])
    except NotInstalled:
        raise NotInstalled("needrestart is not installed", remedy="Install the package needrestart") from None
    if done.returncode not in (0, 1):
        raise HoldfastError(f"needrestart failed: {process.last_words(done.stderr)}")
    return needed(done.stdout)


def needed(printed: str) -> dict[str, Any]:
    """What needrestart's batch mode printed."""
    values: dict[str, list[str]] = {}
    for match in _NEEDRESTART.finditer(printed):
        values.setdefault(match["key"], []).append(match["value"].strip())
    state = values.get("KSTA", ["0"])[-1]
    kernel = _KERNEL.get(state, "")
    if kernel and values.get("KEXP"):
        kernel += f": {values['KEXP'][-1]}, {values.get('KCUR', ['?'])[-1]} runs"
    return {"services": sorted(values.get("SVC", ())), "kernel": kernel, "kernel_known": state in _KERNEL}


def reboot_wanted() -> str:
    """Why the packages of this host ask for a reboot; empty when they do not."""
    if not os.path.exists(_REQUIRED):
        return ""
    names = (read(_REQUIRED + ".pkgs") or "").split()
    return f"asked for by {', '.join(dict.fromkeys(names))}" if names else "a package asked for it"


def reboot_reason() -> str:
    """Why this host should be rebooted, by its packages or by needrestart, if that is there; empty for nothing."""
    kernel = asked(restarts)["value"] or {}
    return reboot_wanted() or str(kernel.get("kernel", ""))


def system() -> dict[str, str]:
    """The operating system, and the kernel that runs."""
    pairs = (line.partition("=") for line in (read("/etc/os-release") or "").splitlines())
    release = {name: value.strip('"') for name, _, value in pairs}
    return {
        "id": release.get("ID", ""),
        "version": release.get("VERSION_ID", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "title": release.get("PRETTY_NAME", "unknown"),
        "kernel": os.uname().release,
    }
