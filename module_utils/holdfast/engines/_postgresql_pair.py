"""What the members of a PostgreSQL pair write down: account, access rules, recovery settings. Nothing here runs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping

from ._postgresql_scratch import required_settings

REWIND_FUNCTIONS = (
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
)
_BEGIN, _END = "# Holdfast: the other member of the pair {", "# Holdfast }"
_BLOCK = re.compile(rf"^{re.escape(_BEGIN)}\n.*?^{re.escape(_END)}\n", re.MULTILINE | re.DOTALL)
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")
# A standby refuses to start with less than its primary has; these are what a server has that was never told.
_DEFAULTS = {
    "max_connections": "100",
    "max_worker_processes": "8",
    "max_wal_senders": "10",
    "max_prepared_transactions": "0",
    "max_locks_per_transaction": "64",
}


def slot_name(instance: str) -> str:
    """The replication slot of an instance at its primary."""
    return "holdfast_" + instance.replace("-", "_")


def scram_verifier(password: str, salt: bytes | None = None, iterations: int = 4096) -> str:
    """What the server stores of a password: proves one who knows it, and does not tell it (RFC 5803)."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def fits(password: str, verifier: str) -> bool:
    """Whether the server stores this password."""
    match = _VERIFIER.fullmatch(verifier)
    return bool(match) and scram_verifier(password, base64.b64decode(match[2]), int(match[1])) == verifier  # type: ignore[index]


def hba_with(text: str, kind: str, account: str) -> str:
    """The access rules with those for the peer's account. The first rule that matches decides, so they come first."""
    rules = [f"{kind} {database} {account} all scram-sha-256" for database in ("replication", "postgres")]
    return "\n".join([_BEGIN, *rules, _END, ""]) + _BLOCK.sub("", text)


def with_settings(automatic: str, settings: Mapping[str, str]) -> str:
    """The text of postgresql.auto.conf with these settings in place of those that it has of these names."""
    kept = [line for line in automatic.splitlines() if line.split("=", 1)[0].strip() not in settings]
    added = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    return "\n".join([*kept, *added, ""])


def needed_settings(controldata: str) -> dict[str, str]:
    """The settings that a standby needs at least, where the primary does not have what every server has."""
    return {name: value for name, value in required_settings(controldata).items() if value != _DEFAULTS[name]}
