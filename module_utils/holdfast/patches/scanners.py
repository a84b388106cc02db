"""Lynis on this host, and nmap from this host against another one."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from .. import process
from ..errors import HoldfastError, InvalidInput, NotInstalled
from ..files import read
from . import scan

_PORTS = "1-65535"


def lynis() -> list[dict[str, str]]:
    """Warnings and suggestions of Lynis. Its files go to a directory that is removed."""
    with tempfile.TemporaryDirectory(prefix="holdfast-") as directory:
        report = os.path.join(directory, "report.dat")
        argv = ["lynis", "audit", "system", "--quick", "--quiet", "--no-colors", "--no-log"]
        try:
            done = process.run([*argv, "--report-file", report])
        except NotInstalled:
            raise NotInstalled("Lynis is not installed", remedy="Install the package lynis") from None
        text = read(report)
        if text is None:
            raise HoldfastError(f"Lynis wrote no report: {process.last_words(done.stdout + done.stderr)}")
        return scan.lynis(text)


def nmap(address: str, ports: str = _PORTS) -> list[dict[str, Any]]:
    """The open TCP ports of a host, and what they say of TLS."""
    if address.startswith("-") or ports.startswith("-"):
        raise InvalidInput(
            "it would be taken for an option of nmap",
            where=f"address {address!r}, ports {ports!r}",
            remedy="Give the address of a host, and ports like 1-65535",
        )
    argv = ["nmap", "-n", "-Pn", "-sT", "-sV", "--version-light", "-T4", "--host-timeout", "15m", "-p", ports]
    try:
        done = process.run([*argv, "--script", "ssl-cert,ssl-enum-ciphers", "-oX", "-", address])
    except NotInstalled:
        raise NotInstalled("nmap is not installed", remedy="Install the package nmap where the scan is from") from None
    if done.returncode != 0:
        raise HoldfastError(f"nmap failed: {process.last_words(done.stderr)}")
    return scan.nmap(done.stdout)
