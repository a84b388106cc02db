"""The questions that a patch report asks of each host, in the form of the access audit."""

from __future__ import annotations

from ..audit.model import Check, Severity


def _check(
    id_: str, title: str, severity: Severity, why: str, remedy: str, asks: str, pci: tuple[str, ...] = ("6.3.3",)
) -> Check:
    controls = {
        "pci_dss": pci,
        "hipaa": ("164.308(a)(5)(ii)(B)",),
        "gdpr": ("32(1)(b)",),
        "iso_27001": ("8.8",),
    }
    return Check(id_, title, severity, why, remedy, asks, controls)


_APT = "apt-get --simulate upgrade"
DUE = {
    check.id: check
    for check in (
        _check(
            "PT01",
            "Security update that is not installed",
            Severity.HIGH,
            "What it mends is public, and so is how to use it.",
            "Install it: playbooks/patch.yml with deploy.",
            _APT,
        ),
        _check(
            "PT02",
            "Update of a database or its tools that is not installed",
            Severity.MEDIUM,
            "Minor versions mend loss of data, too.",
            "Install it: playbooks/patch.yml with deploy.",
            _APT,
        ),
        _check(
            "PT03",
            "Known vulnerability with a fix",
            Severity.MEDIUM,
            "The fix is there, and the host does not have it.",
            "Install the package that mends it.",
            "debsecan",
        ),
        _check(
            "PT04",
            "Known vulnerability without a fix",
            Severity.LOW,
            "Nobody has mended it yet; whether it can be reached here, a person must say.",
            "Watch it, or take the way to it away.",
            "debsecan",
        ),
        _check(
            "PT05",
            "Version that nobody mends any more, or soon will not",
            Severity.CRITICAL,
            "A vulnerability that is found from then on stays.",
            "Plan the major upgrade: playbooks/upgrade_check.yml.",
            "End-of-life dates in patches/lifecycle.py",
        ),
        _check(
            "PT06",
            "Program that runs on files which were replaced",
            Severity.MEDIUM,
            "An update protects nobody before the program that it mends is started anew.",
            "Restart it: patch.yml does that with servers.",
            "needrestart, and the files that the server has mapped",
        ),
        _check(
            "PT07",
            "Reboot that is asked for",
            Severity.MEDIUM,
            "The kernel that runs is not the one that was mended.",
            "Reboot in a window: patching_reboot=true.",
            "needrestart and /run/reboot-required",
        ),
        _check(
            "PT08",
            "Server that unattended upgrades may restart",
            Severity.MEDIUM,
            "unattended-upgrades is installed and the server is not held: it may be restarted outside any window.",
            "Let patch.yml hold them: patching_hold=true.",
            "dpkg-query",
        ),
        _check(
            "PT09",
            "Package work that was not finished",
            Severity.HIGH,
            "What is half installed can neither be patched nor be relied upon.",
            "Run patch.yml with deploy, which undoes what it had begun, or `dpkg --configure -a`.",
            "dpkg-query, and the journal of patches",
        ),
        _check(
            "PT10",
            "Package lists that are old or could not be read",
            Severity.HIGH,
            "What is due is told from the lists; old ones hide it.",
            "See to the package repositories of the host.",
            "apt-get update",
        ),
    )
}
_LYNIS = "lynis audit system"
_NMAP = "nmap with ssl-cert and ssl-enum-ciphers, from another host"
SCAN = {
    check.id: check
    for check in (
        _check(
            "VS01",
            "Warning of Lynis",
            Severity.MEDIUM,
            "Lynis warns of what makes the host easier to break into.",
            "Do what the warning says, or write down why not.",
            _LYNIS,
            ("2.2.1", "11.3.1"),
        ),
        _check(
            "VS02",
            "Suggestion of Lynis",
            Severity.LOW,
            "A hardening that the host does not have.",
            "Weigh it; not every suggestion fits a database host.",
            _LYNIS,
            ("2.2.1",),
        ),
        _check(
            "VS03",
            "Open port that nobody expects",
            Severity.MEDIUM,
            "What listens can be attacked, and nobody looks after what nobody knows.",
            "Close it, or name it in vulnerability_scan_expected_ports.",
            _NMAP,
            ("1.2.5", "2.2.4"),
        ),
        _check(
            "VS04",
            "Version of TLS that is broken",
            Severity.HIGH,
            "Versions before 1.2 have attacks that work.",
            "Raise the lowest version that the server offers.",
            _NMAP,
            ("4.2.1",),
        ),
        _check(
            "VS05",
            "Weak cipher",
            Severity.MEDIUM,
            "A session that picks it can be read.",
            "Take it out of the ciphers of the server.",
            _NMAP,
            ("4.2.1",),
        ),
        _check(
            "VS06",
            "Certificate that has ended, or soon will",
            Severity.MEDIUM,
            "Clients that check it are locked out, and the others learn not to check.",
            "Renew it.",
            _NMAP,
            ("4.2.1",),
        ),
        _check(
            "VS07",
            "Certificate that is too weak",
            Severity.MEDIUM,
            "Whoever can forge it can stand in for the server.",
            "Renew it with a key of 2048 bits of RSA at least, signed with SHA-256 or better.",
            _NMAP,
            ("4.2.1",),
        ),
        _check(
            "VS08",
            "Database that offers no TLS to the network",
            Severity.HIGH,
            "Passwords and data go over the network as they are.",
            "Give the server a certificate and have it ask for TLS.",
            _NMAP,
            ("4.2.1",),
        ),
    )
}
