"""Sending log lines to another host, by rsyslog: it reads any file, keeps its place, and waits on disk. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..engines.logs import JOURNAL, LOGROTATE, SYSLOG, Source
from .settings import Settings, Shipping

FILE = "/etc/rsyslog.d/40-holdfast.conf"
JOURNAL_FILE = "/etc/systemd/journald.conf.d/holdfast.conf"
JOURNAL_TEXT = (
    "# Written by Holdfast: rsyslog sends on what servers give to the journal.\n[Journal]\nForwardToSyslog=yes\n"
)
_TAG = re.compile(r"[^A-Za-z0-9_-]")
_RULESET = "holdfast"


def configuration(sources: Sequence[tuple[str, Source]], settings: Settings) -> str:
    """The configuration of rsyslog; empty where nothing is sent."""
    shipping = settings.shipping
    if shipping is None:
        return ""
    chosen = [(name, item) for name, item in sources if item.kind in shipping.kinds or _as_audit(item, shipping)]
    files = list({(item.path or item.names): (name, item) for name, item in chosen if _is_file(item)}.values())
    programs = sorted({item.program for _, item in chosen if item.program and item.rotated_by in (JOURNAL, SYSLOG)})
    if not files and not programs:
        return ""
    parts = ["# Written by Holdfast; changes made here are lost.\n"]
    if files:
        parts.append('module(load="imfile")\n')
    parts.append(_ruleset(shipping))
    parts.extend(_input(name, source) for name, source in files)
    parts.extend(f"if $programname == '{program}' then call {_RULESET}\n" for program in programs)
    return "".join(parts)


def needs_journal(sources: Sequence[tuple[str, Source]], settings: Settings) -> bool:
    """Whether anything that is sent comes through the journal."""
    return settings.shipping is not None and any(item.rotated_by == JOURNAL for _, item in sources)


def _as_audit(source: Source, shipping: Shipping) -> bool:
    return source.also_audit and "audit" in shipping.kinds


def _is_file(source: Source) -> bool:
    return bool(source.path) or (source.rotated_by not in (JOURNAL, SYSLOG) and bool(source.names))


def _input(instance: str, source: Source) -> str:
    # A file that is copied and emptied keeps its inode: rsyslog must be told that it begins anew.
    emptied = source.rotated_by == LOGROTATE and not source.reopen
    again = ' reopenOnTruncate="on"' if emptied else ""
    tag = _TAG.sub("_", f"{instance}-{source.kind}")
    path = source.path or source.names
    return (
        f'input(type="imfile" File="{path}" Tag="{tag}:" Severity="notice" Facility="local5"'
        f' ruleset="{_RULESET}"{again})\n'
    )


def _ruleset(shipping: Shipping) -> str:
    options = [
        'type="omfwd"', f'target="{shipping.host}"', f'port="{shipping.port}"', 'protocol="tcp"',
        'TCP_Framing="octet-counted"', 'queue.type="LinkedList"', f'queue.filename="{_RULESET}"',
        f'queue.maxDiskSpace="{shipping.queue >> 20}m"', 'queue.saveOnShutdown="on"', 'queue.syncQueueFiles="on"',
        'action.resumeRetryCount="-1"', 'action.resumeInterval="10"', 'action.resumeIntervalMax="60"',
    ]  # fmt: skip
    if shipping.protocol == "tls":
        options += [
            'StreamDriver="gtls"', 'StreamDriverMode="1"', 'StreamDriverAuthMode="x509/name"',
            f'StreamDriverPermittedPeers="{shipping.peer}"', f'StreamDriver.CAFile="{shipping.ca_file}"',
        ]  # fmt: skip
        if shipping.cert_file:
            options.append(f'StreamDriver.CertFile="{shipping.cert_file}"')
            options.append(f'StreamDriver.KeyFile="{shipping.key_file}"')
    body = "".join(f"           {option}\n" for option in options).lstrip()
    return f'ruleset(name="{_RULESET}") {{\n    action({body}    )\n}}\n'
