"""What Lynis and nmap print, as findings in the form of the access audit. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from ..audit.model import Check, Finding, Result, Severity, Status
from ..errors import HoldfastError
from .checks import SCAN

SOON = timedelta(days=30)  # before a certificate ends
_OLD_PROTOCOLS = frozenset({"SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"})
_WEAK = re.compile(r"^[C-F]$")  # of nmap's letters; B is what is no longer recommended and not yet broken
_SMALLEST = {"rsa": 2048, "dsa": 2048, "ec": 224}
_BROKEN_DIGESTS = ("md5", "sha1")
_LYNIS = re.compile(r"^(?P<kind>warning|suggestion)\[\]=(?P<rest>.*)$", re.MULTILINE)

Port = dict[str, Any]


def lynis(report: str) -> list[dict[str, str]]:
    """Warnings and suggestions of a Lynis report. Raises HoldfastError for a report that did not reach its end."""
    if "report_datetime_end=" not in report:
        raise HoldfastError("the Lynis report has no end: the scan was cut short")
    found = []
    for match in _LYNIS.finditer(report):
        test, message, details = [*match["rest"].split("|"), "", "", ""][:3]
        text = message if details in ("", "-") else f"{message} ({details})"
        found.append({"kind": match["kind"], "test": test, "message": text})
    return found


def nmap(printed: str) -> list[Port]:
    """The open ports of one host in nmap's XML, each with what it says of TLS. Raises HoldfastError."""
    try:
        root = ET.fromstring(printed)  # noqa: S314 - written by the nmap that was started here
    except ET.ParseError as error:
        raise HoldfastError(f"nmap printed no XML: {error}") from None
    finished = root.find("runstats/finished")
    if finished is None or finished.get("exit") != "success":
        raise HoldfastError(
            f"nmap did not finish: {finished.get('errormsg', '') if finished is not None else 'cut short'}"
        )
    host = root.find("host")
    if host is None:
        raise HoldfastError("nmap got no answer from it")
    if host.get("timedout") == "true":
        raise HoldfastError("nmap gave up: the host answers too slowly")
    return [_port(item) for item in host.iterfind("ports/port") if _state(item) == "open"]


def _state(port: ET.Element) -> str:
    state = port.find("state")
    return state.get("state", "") if state is not None else ""


def _port(port: ET.Element) -> Port:
    service = port.find("service")
    scripts = {item.get("id"): item for item in port.iterfind("script")}
    ciphers = scripts.get("ssl-enum-ciphers")
    return {
        "port": int(port.get("portid", "0")),
        "service": service.get("name", "") if service is not None else "",
        "protocols": {} if ciphers is None else _protocols(ciphers),
        "certificate": _certificate(scripts["ssl-cert"]) if "ssl-cert" in scripts else None,
    }


def _protocols(script: ET.Element) -> dict[str, dict[str, str]]:
    """The ciphers of each version of TLS, with nmap's letter."""
    found = {}
    for table in script.iterfind("table"):
        listed = table.find("table[@key='ciphers']")
        rows = [_elements(row) for row in listed.iterfind("table")] if listed is not None else []
        found[table.get("key", "")] = {row.get("name", "?"): row.get("strength", "") for row in rows}
    return found


def _certificate(script: ET.Element) -> dict[str, Any]:
    tables = {table.get("key"): _elements(table) for table in script.iterfind("table")}
    plain = _elements(script)
    key = tables.get("pubkey", {})
    return {
        "subject": tables.get("subject", {}).get("commonName", ""),
        "issuer": tables.get("issuer", {}).get("commonName", ""),
        "from": tables.get("validity", {}).get("notBefore", ""),
        "until": tables.get("validity", {}).get("notAfter", ""),
        "key": key.get("type", ""),
        "bits": int(key.get("bits") or 0),
        "digest": plain.get("sig_algo", ""),
    }


def _elements(parent: ET.Element) -> dict[str, str]:
    return {item.get("key", ""): item.text or "" for item in parent.iterfind("elem")}


def results(answer: Mapping[str, Any], now: datetime) -> list[Result]:
    """How each check of a scan ended on one host. ``answer`` has ``lynis``, ``nmap`` and ``expected``."""
    return [_ended(check, answer, now) for check in SCAN.values()]


def _ended(check: Check, answer: Mapping[str, Any], now: datetime) -> Result:
    part = answer["lynis" if check.id in ("VS01", "VS02") else "nmap"]
    if part["status"] != "read":
        status = Status.NOT_APPLICABLE if part["status"] == "not_applicable" else Status.ERROR
        return Result(check, status, (), part["reason"], now)
    found = tuple(_FINDERS[check.id](check, answer, now))
    return Result(check, Status.FOUND if found else Status.PASSED, found, "", now)


def _said(kind: str) -> Callable[[Check, Mapping[str, Any], datetime], Iterator[Finding]]:
    def find(check: Check, answer: Mapping[str, Any], _now: datetime) -> Iterator[Finding]:
        for item in answer["lynis"]["value"]:
            if item["kind"] == kind:
                yield Finding(check.id, f"{item['test']} {item['message']}"[:120], item["message"], check.severity)

    return find


def _ports(answer: Mapping[str, Any]) -> Sequence[Port]:
    ports: Sequence[Port] = answer["nmap"]["value"]
    return ports


def _unexpected(check: Check, answer: Mapping[str, Any], _now: datetime) -> Iterator[Finding]:
    for item in _ports(answer):
        if item["port"] not in answer["expected"]:
            text = (
                f"is open to the network ({item['service'] or 'unknown service'}), and nothing says that it should be"
            )
            yield Finding(check.id, f"port {item['port']}", text, check.severity)


def _old(check: Check, answer: Mapping[str, Any], _now: datetime) -> Iterator[Finding]:
    for item in _ports(answer):
        for name in sorted(_OLD_PROTOCOLS & set(item["protocols"])):
            yield Finding(check.id, f"port {item['port']} {name}", f"{name} is offered", check.severity)


def _weak(check: Check, answer: Mapping[str, Any], _now: datetime) -> Iterator[Finding]:
    for item in _ports(answer):
        weak = {name: grade for ciphers in item["protocols"].values() for name, grade in ciphers.items()}
        for name, grade in sorted(weak.items()):
            if _WEAK.match(grade):
                text = f"is offered; nmap grades it {grade}"
                yield Finding(check.id, f"port {item['port']} {name}", text, check.severity)


def _certificates(answer: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in _ports(answer):
        if item["certificate"]:
            yield f"port {item['port']} {item['certificate']['subject']}".strip(), item["certificate"]


def _expiring(check: Check, answer: Mapping[str, Any], now: datetime) -> Iterator[Finding]:
    for subject, found in _certificates(answer):
        until = _moment(found["until"])
        if until is None:
            yield Finding(check.id, subject, f"its end cannot be read: {found['until']!r}", check.severity)
        elif until <= now:
            yield Finding(check.id, subject, f"the certificate ended on {until:%Y-%m-%d}", Severity.HIGH)
        elif until - now < SOON:
            text = f"the certificate ends on {until:%Y-%m-%d}, in {(until - now).days} days"
            yield Finding(check.id, subject, text, check.severity)


def _feeble(check: Check, answer: Mapping[str, Any], _now: datetime) -> Iterator[Finding]:
    for subject, found in _certificates(answer):
        if found["bits"] < _SMALLEST.get(found["key"], 0):
            yield Finding(check.id, subject, f"its key has {found['bits']} bits ({found['key']})", check.severity)
        if any(name in found["digest"].lower() for name in _BROKEN_DIGESTS):
            yield Finding(check.id, f"{subject} signature", f"is signed with {found['digest']}", check.severity)


def _bare(check: Check, answer: Mapping[str, Any], _now: datetime) -> Iterator[Finding]:
    for item in _ports(answer):
        if item["port"] in answer["databases"] and not item["protocols"] and not item["certificate"]:
            yield Finding(check.id, f"port {item['port']}", "answers the network and offers no TLS", check.severity)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


_FINDERS: Mapping[str, Callable[[Check, Mapping[str, Any], datetime], Iterator[Finding]]] = {
    "VS01": _said("warning"),
    "VS02": _said("suggestion"),
    "VS03": _unexpected,
    "VS04": _old,
    "VS05": _weak,
    "VS06": _expiring,
    "VS07": _feeble,
    "VS08": _bare,
}
