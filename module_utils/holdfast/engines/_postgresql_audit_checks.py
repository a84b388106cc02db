"""The checks of PostgreSQL, and how each is answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Callable

from ..audit.model import Check, Finding, Severity
from ..errors import HoldfastError, Unsupported
from . import _postgresql_audit_exposed as exposed
from . import _postgresql_audit_files as files
from ._postgresql_audit_checks_accounts import ACCOUNTS
from ._postgresql_audit_checks_host import HOST
from ._postgresql_audit_checks_network import NETWORK
from ._postgresql_audit_checks_objects import OBJECTS
from ._postgresql_audit_checks_settings import SETTINGS
from ._postgresql_audit_passwords import readable, try_all
from ._postgresql_audit_sql import databases, reading
from ._postgresql_errors import driver

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

CHECKS: Sequence[Check] = tuple(sorted((*ACCOUNTS, *NETWORK, *SETTINGS, *OBJECTS, *HOST), key=lambda check: check.id))
_SUBSCRIPTIONS = """
    SELECT subname, subconninfo FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
     WHERE d.datname = current_database() ORDER BY 1
"""


def answer(engine: PostgreSQL, check: Check) -> Sequence[Finding]:
    """What a check finds, in the order of its rows."""
    if check.id in _OTHERWISE:
        return list(_OTHERWISE[check.id](engine, check))
    found: list[Finding] = []
    for database in databases(engine) if check.per_database else ("",):
        with reading(engine, database or "postgres") as seen:
            rows = seen.rows(check.statement)
        found += [_finding(check, row, database) for row in rows]
    return found


def _finding(check: Check, row: Sequence[Any], database: str) -> Finding:
    subject, found, severity, account = row
    matters = Severity(severity) if severity else check.severity
    return Finding(check.id, str(subject), str(found), matters, account or "", database)


def _passwords(engine: PostgreSQL, check: Check) -> Iterable[Finding]:
    with reading(engine) as seen:
        stored = dict(seen.rows(check.statement.partition(" -- ")[0] + " ORDER BY 1"))
    strange = sorted(account for account, verifier in stored.items() if not readable(verifier))
    tried = try_all({account: verifier for account, verifier in stored.items() if account not in strange})
    for account, what in sorted(tried.given_away.items()):
        yield Finding(check.id, account, f"the password {what}", check.severity, account)
    if strange:
        # Not to be able to look is not to have found nothing.
        names = ", ".join(strange[:5])
        yield Finding(check.id, "not tried", f"{len(strange)} verifiers of unknown form: {names}", Severity.LOW)
    if tried.left_out:
        text = f"{tried.left_out} trials on {len(stored)} accounts were left out, as they would take too long"
        whole = len(tried.accounts_left_out)
        text += f"; {whole} accounts were not tried at all" if whole else "; every account was tried with its name"
        yield Finding(check.id, "not all tried", text, Severity.LOW)


def _replication(engine: PostgreSQL, check: Check) -> Iterable[Finding]:
    with reading(engine) as seen:
        replica, conninfo = seen.row("SELECT pg_is_in_recovery(), current_setting('primary_conninfo')")
    sources = [("primary_conninfo", conninfo, "")] if replica and conninfo else []
    for database in databases(engine):
        with reading(engine, database) as seen:
            sources += [(f"subscription {name}", text, database) for name, text in seen.rows(_SUBSCRIPTIONS)]
    if not sources:
        raise Unsupported(engine.name, check.title, "the server follows no other, and subscribes to none")
    for subject, text, database in sources:
        mode = weak_mode(text)
        if mode:
            yield Finding(check.id, subject, mode, check.severity, "", database)


def weak_mode(conninfo: str) -> str:
    """What is wrong with how a connection string checks the other end, or nothing. Says nothing else of the string."""
    try:
        parsed = driver("psycopg2.extensions").parse_dsn(conninfo)
    except driver("psycopg2").Error:
        # Its message would show a piece of the string, which can be the password.
        raise HoldfastError("a connection string cannot be read", remedy="Correct it where it is set") from None
    host = parsed.get("host", "")
    if host.startswith("/") or (not host and not parsed.get("hostaddr")):
        return ""
    mode = parsed.get("sslmode", "prefer, as none is given")
    return "" if mode == "verify-full" else f"sslmode {mode}"


def _file_check(look: Callable[[PostgreSQL], Iterable[tuple[str, str]]]) -> Callable[..., Iterable[Finding]]:
    def findings(engine: PostgreSQL, check: Check) -> Iterable[Finding]:
        for path, found in look(engine):
            yield Finding(check.id, path, found, check.severity)

    return findings


# What no single statement answers.
_OTHERWISE: dict[str, Callable[[PostgreSQL, Check], Iterable[Finding]]] = {
    "PG07": _passwords,
    "PG33": _replication,
    **{name: _file_check(look) for name, look in {**files.SEEN, **exposed.SEEN}.items()},
}
