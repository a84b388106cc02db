"""What is asked about logs, in the form of the access audit, so that reports are the same."""

from __future__ import annotations

from ..audit.model import Check, Severity

_DISK = "The log on disk, the rate at which it grows, and what is free there"
_SLOTS = "What keeps the server from removing log, and how much of it"
_ROTATION = "Where each log is written, and every configuration of logrotate"
_CHAIN = "The audit log, read on from where it was last copied, and the chain of its copies"


def _check(
    id_: str,
    title: str,
    severity: Severity,
    why: str,
    remedy: str,
    statement: str,
    pci: tuple[str, ...],
    iso: tuple[str, ...],
) -> Check:
    controls = {"pci_dss": pci, "hipaa": ("164.312(b)",), "gdpr": ("32(1)(b)",), "iso_27001": iso}
    return Check(id_, title, severity, why, remedy, statement, controls)


CHECKS = {
    check.id: check
    for check in (
        _check(
            "LG01",
            "Disk too small for the log while its repository is away",
            Severity.HIGH,
            "While the log cannot be saved it stays on the server, and a server whose log disk is full stops.",
            "Make room, give the log a file system of its own, or accept a shorter db_logs.outage.",
            _DISK,
            ("10.7.1",),
            ("8.6", "8.13"),
        ),
        _check(
            "LG02",
            "Log removed before an outage is over",
            Severity.HIGH,
            "What the server removes by its age alone is lost for recovery and for replicas if it was not saved.",
            "Let the server keep its log for longer than db_logs.outage.",
            "The parameters by which the server removes log by itself",
            ("10.5.1",),
            ("8.13",),
        ),
        _check(
            "LG03",
            "Slots may hold log without limit",
            Severity.HIGH,
            "A consumer that is gone makes the server keep its log until the disk is full and the server stops.",
            "Set max_slot_wal_keep_size to less than what is free, and watch what slots hold.",
            _SLOTS,
            ("10.7.1",),
            ("8.6",),
        ),
        _check(
            "LG04",
            "Slot that nobody uses holds log",
            Severity.HIGH,
            "Nobody reads from it, and the log that it holds grows with every change.",
            "Bring its consumer back, or drop it: playbooks/logs.yml with drop_slots and the name of the instance.",
            _SLOTS,
            ("10.7.1",),
            ("8.6",),
        ),
        _check(
            "LG05",
            "Log leaves the server later than the RPO allows",
            Severity.MEDIUM,
            "On a quiet server a log file is not full for hours, and what it holds is lost with the host.",
            "Run playbooks/site.yml: it sets archive_timeout to a fifth of the RPO.",
            "archive_mode, archive_timeout, and the RPO of the service level",
            ("10.3.3",),
            ("8.13",),
        ),
        _check(
            "LG06",
            "Redo log too small for the load",
            Severity.LOW,
            "A server that runs out of redo log must flush pages at once: writes wait, and pages are written twice.",
            "Raise the parameter to what the finding names; the disk must have room for it.",
            "The redo log written since the server started, and the size that it may have",
            (),
            ("8.6",),
        ),
        _check(
            "LG07",
            "Log that nothing rotates",
            Severity.MEDIUM,
            "It grows until the disk is full.",
            "Run playbooks/logs.yml.",
            _ROTATION,
            ("10.5.1",),
            ("8.6", "8.15"),
        ),
        _check(
            "LG08",
            "Log that is rotated twice",
            Severity.HIGH,
            "Two that rotate the same file lose lines, and logrotate refuses a file that is configured twice.",
            "Run playbooks/logs.yml, or take the file out of one of the two.",
            _ROTATION,
            ("10.5.1",),
            ("8.15",),
        ),
        _check(
            "LG09",
            "Audit log with a gap",
            Severity.HIGH,
            "Lines that were written and never copied are lost; whoever has something to hide removes them.",
            "Find out who removed or emptied the file; copy more often, or keep more rotated files.",
            _CHAIN,
            ("10.3.2", "10.5.1"),
            ("8.15",),
        ),
        _check(
            "LG10",
            "Audit log or its copy was altered",
            Severity.CRITICAL,
            "A trace that can be rewritten proves nothing.",
            "Treat the host as one that somebody broke into; the copies before the place named are good.",
            _CHAIN,
            ("10.3.2", "10.3.4"),
            ("8.15",),
        ),
        _check(
            "LG11",
            "Audit log that can be rewritten on its host",
            Severity.LOW,
            "Who has the rights of the server can remove lines from its log before they are copied.",
            "Let db_logs.append_only be true and run playbooks/logs.yml; ship the log off the host.",
            "The attributes of the file, where its file system has any",
            ("10.3.2",),
            ("8.15",),
        ),
        _check(
            "LG12",
            "File system nearly full",
            Severity.HIGH,
            "A server that cannot write its log stops.",
            "Run playbooks/disk_emergency.yml in check mode: it shows what can go, with the least harm first.",
            "What is free where the data, the log and the messages of the server are",
            ("10.7.1",),
            ("8.6",),
        ),
    )
}
