"""Reports of Lynis and nmap, as they write them, and what is found in them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput
from ansible.module_utils.holdfast.patches import publish, scan, scanners

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LYNIS = """\
# Lynis Report
report_version_major=1
warning[]=FIRE-4512|iptables module(s) loaded, but no rules active|-|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|AllowTcpForwarding (set YES to NO)|-|
hardening_index=62
report_datetime_end=2026-11-26 02:00:00
"""
NMAP = """\
<?xml version="1.0"?>
<nmaprun scanner="nmap"><host><status state="up" reason="user-set"/>
<ports><extraports state="closed" count="65531"/>
<port protocol="tcp" portid="22"><state state="open"/><service name="ssh"/></port>
<port protocol="tcp" portid="3306"><state state="open"/><service name="mysql"/></port>
<port protocol="tcp" portid="8080"><state state="open"/><service name="http-proxy"/></port>
<port protocol="tcp" portid="9999"><state state="filtered"/></port>
<port protocol="tcp" portid="5432"><state state="open"/><service name="postgresql"/>
<script id="ssl-cert" output="...">
<table key="subject"><elem key="commonName">pg1</elem></table>
<table key="issuer"><elem key="commonName">pg1</elem></table>
<table key="pubkey"><elem key="type">rsa</elem><elem key="bits">{bits}</elem></table>
<table key="validity"><elem key="notBefore">2025-01-01T00:00:00</elem><elem key="notAfter">{until}</elem></table>
<elem key="sig_algo">{digest}</elem></script>
<script id="ssl-enum-ciphers" output="...">
<table key="TLSv1.1"><table key="ciphers"><table><elem key="name">TLS_RSA_WITH_3DES_EDE_CBC_SHA</elem>
<elem key="strength">C</elem></table></table></table>
<table key="TLSv1.2"><table key="ciphers"><table><elem key="name">TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384</elem>
<elem key="strength">A</elem></table></table></table>
<elem key="least strength">C</elem></script></port>
</ports></host><runstats><finished exit="success"/></runstats></nmaprun>
"""


def printed(until="2027-06-01T00:00:00", bits=2048, digest="sha256WithRSAEncryption"):
    return NMAP.format(until=until, bits=bits, digest=digest)


def ended(nmap=None, **changes):
    answer = {
        "lynis": {"status": "read", "reason": "", "value": scan.lynis(LYNIS)},
        "nmap": {"status": "read", "reason": "", "value": scan.nmap(nmap or printed())},
        "expected": [22, 3306, 5432],
        "databases": [3306, 5432],
    }
    return {item.check.id: item for item in scan.results({**answer, **changes}, NOW)}


@pytest.mark.parametrize(
    ("check", "subjects"),
    [
        ("VS01", ["FIRE-4512 iptables module(s) loaded, but no rules active"]),
        ("VS02", ["SSH-7408 Consider hardening SSH configuration (AllowTcpForwarding (set YES to NO))"]),
        ("VS03", ["port 8080"]),
        ("VS04", ["port 5432 TLSv1.1"]),
        ("VS05", ["port 5432 TLS_RSA_WITH_3DES_EDE_CBC_SHA"]),
        ("VS06", []),
        ("VS07", []),
        ("VS08", ["port 3306"]),
    ],
)
def test_what_the_scanners_say_are_findings(check, subjects):
    result = ended()[check]
    assert [item.subject for item in result.findings] == subjects
    assert str(result.status) == ("found" if subjects else "passed")


@pytest.mark.parametrize(
    ("until", "words", "severity"),
    [
        ("2026-11-01T00:00:00", "the certificate ended on 2026-11-01", "high"),
        ("2026-12-01T00:00:00", "ends on 2026-12-01, in 5 days", "medium"),
        ("never", "its end cannot be read", "medium"),
    ],
)
def test_a_certificate_that_ends_is_a_finding(until, words, severity):
    (found,) = ended(printed(until=until))["VS06"].findings
    assert words in found.found
    assert (found.subject, str(found.severity)) == ("port 5432 pg1", severity)


def test_a_certificate_that_is_weak_is_a_finding():
    found = ended(printed(bits=1024, digest="sha1WithRSAEncryption"))["VS07"].findings
    assert [item.found for item in found] == ["its key has 1024 bits (rsa)", "is signed with sha1WithRSAEncryption"]


def test_a_scanner_that_did_not_answer_is_never_a_pass():
    error = {"status": "error", "reason": "nmap is not installed", "value": None}
    found = ended(lynis={**error, "reason": "Lynis is not installed"})
    assert {str(found[name].status) for name in ("VS01", "VS02")} == {"error"}
    assert str(found["VS03"].status) == "found"
    answer = {"lynis": error, "nmap": error, "expected": [], "databases": []}
    assert {str(item.status) for item in scan.results(answer, NOW)} == {"error"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nmap printed no XML"),
        ("<nmaprun></nmaprun>", "nmap did not finish"),
        ('<nmaprun><runstats><finished exit="success"/></runstats></nmaprun>', "no answer"),
        (
            '<nmaprun><host timedout="true"/><runstats><finished exit="success"/></runstats></nmaprun>',
            "answers too slowly",
        ),
    ],
)
def test_a_scan_that_was_cut_short_is_an_error(text, words):
    with pytest.raises(HoldfastError, match=words):
        scan.nmap(text)


def test_a_lynis_report_without_an_end_is_an_error():
    with pytest.raises(HoldfastError, match="has no end"):
        scan.lynis("warning[]=X|y|-|-|\n")


def test_the_report_of_a_scan(tmp_path):
    answer = {
        "lynis": {"status": "read", "reason": "", "value": scan.lynis(LYNIS)},
        "nmap": {"status": "error", "reason": "nmap is not installed", "value": None},
        "expected": [8080],
        "instances": [{"name": "orders", "engine": "postgresql"}],
    }
    made = publish.scanned({"pg1": answer}, str(tmp_path), NOW)
    assert made.counts["findings"] == {"critical": 0, "high": 0, "medium": 1, "low": 1}
    assert made.counts["errors"] == 6
    assert "pg1: VS03 Open port that nobody expects has no answer: nmap is not installed" in made.notes
    assert {file.path.rsplit("/", 1)[1] for file in made.files} == {
        "vulnerability-scan.json",
        "vulnerability-scan.csv",
        "vulnerability-scan.html",
        "vulnerability-scan.sarif",
        "vulnerability-scan.junit.xml",
    }


@pytest.mark.parametrize(("address", "ports"), [("-oN/etc/motd", "22"), ("db1.example.com", "-iL/etc/shadow")])
def test_no_address_is_an_option_of_nmap(monkeypatch, address, ports):
    monkeypatch.setattr(scanners.process, "run", lambda *_: pytest.fail("it was run"))
    with pytest.raises(InvalidInput, match="option of nmap"):
        scanners.nmap(address, ports)
