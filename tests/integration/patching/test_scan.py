"""Real scanners on real hosts with planted weaknesses, and what a major upgrade would take, with planted obstacles."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from tests.integration.fleet import ROOT, Database, Fleet, playbook, together, until

# Something with a certificate that soon ends, which offers what should no longer be offered, on a port of nobody.
LISTENER = """
mkdir -p /run/lab-tls && cd /run/lab-tls
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 10 -subj /CN=forgotten 2>/dev/null
systemd-run --quiet --collect --unit lab-tls openssl s_server -accept 8443 -key /run/lab-tls/key \\
    -cert /run/lab-tls/cert -cipher DEFAULT@SECLEVEL=0 -min_protocol TLSv1.1 -quiet
"""
INSTALL = "command -v %s >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install %s"


def _install(wanted: tuple[Host, str]) -> None:
    host, package = wanted
    host.check_output("apt-get -qq update")
    host.check_output(INSTALL, package, package)


def _report(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "reports" / "patches" / f"{name}.json").read_text())


def _entry(name: str, of: str) -> dict[str, Any]:
    return next(item for item in _report(name)["hosts"] if item["instance"] == of)


def _found(entry: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["check"], item["subject"]) for item in entry["findings"]}


def test_planted_weaknesses_are_found_from_outside_and_from_inside(fleet: Fleet) -> None:
    host, scanner = fleet.hosts["pg1"], fleet.hosts["vault1"]
    together(_install, (scanner, "nmap"), (host, "lynis"))
    host.check_output(LISTENER)
    until(lambda: host.run("openssl s_client -connect 127.0.0.1:8443 </dev/null").rc == 0)
    try:
        extra = {"target": "pg1", "scan_from": "vault1", "fail_on": "high"}
        said = playbook("vulnerability_scan", extra=extra, code=2)
    finally:
        host.check_output("systemctl stop lab-tls; rm -rf /run/lab-tls")
    assert "findings are high or worse" in " ".join(said.split())
    entry = _entry("vulnerability-scan", "pg1")
    assert {check["id"]: check["status"] for check in entry["checks"] if check["status"] == "error"} == {}
    found = _found(entry)
    assert ("VS03", "port 8443") in found
    assert ("VS04", "port 8443 TLSv1.1") in found
    assert ("VS06", "port 8443 forgotten") in found
    assert ("VS03", "port 22") not in found
    assert any(check == "VS02" for check, _ in found)


def test_a_scanner_that_is_missing_is_no_pass(fleet: Fleet) -> None:
    playbook("vulnerability_scan", extra={"target": "pg2", "scan_from": "pg2"})
    entry = _entry("vulnerability-scan", "pg2")
    assert {check["status"] for check in entry["checks"]} == {"error"}
    assert {check["reason"].split(".")[0] for check in entry["checks"]} == {
        "Lynis is not installed",
        "nmap is not installed",
    }


def test_obstacles_of_a_major_upgrade_are_found(fleet: Fleet, shop: Database) -> None:
    orders = fleet["orders"]
    targets = {"targets": {"postgresql": "17", "mariadb": "11.8"}, "target": "pg1,maria1"}
    orders.sql("CREATE TABLE planted (what regproc)", "orders")
    orders.sql("SET password_encryption = 'md5'; CREATE ROLE planted PASSWORD 'planted'")
    option = "/etc/mysql/mariadb.conf.d/99-lab.cnf"
    shop.run("printf '[mariadbd]\\ninnodb_change_buffering = none\\n' >%s", option)
    before = [orders.identity(), shop.identity()]
    try:
        playbook("upgrade_check", extra=targets)
    finally:
        orders.sql("DROP TABLE planted", "orders")
        orders.sql("DROP ROLE planted")
        shop.run("rm -f %s", option)
    assert [orders.identity(), shop.identity()] == before
    entry = _entry("upgrade-check", "orders")
    assert ("PU02", "public.planted.what") in _found(entry)
    assert ("PU06", "planted") in _found(entry)
    assert {check["status"] for check in entry["checks"]} <= {"passed", "found", "not_applicable"}
    entry = _entry("upgrade-check", "shop")
    assert ("MU01", "innodb_change_buffering") in _found(entry)
    assert next(check["status"] for check in entry["checks"] if check["id"] == "MU02") == "passed"
    facts = {item["instance"]: item["facts"] for item in _report("upgrade-check")["surveys"]}
    assert facts["orders"]["size_bytes"] > 1_000_000
    assert facts["shop"]["relations"] > 10


def test_a_version_that_is_not_later_is_refused(fleet: Fleet) -> None:
    playbook("upgrade_check", extra={"targets": {"postgresql": "15"}, "target": "pg1"})
    entry = _entry("upgrade-check", "orders")
    assert "'15' is no later major version than 15" in entry["error"]
