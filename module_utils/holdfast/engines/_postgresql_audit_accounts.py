"""The roles of PostgreSQL as accounts. What the server does not keep is said to be unknown, with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ..audit.model import Account
from ..errors import HoldfastError
from ._postgresql_audit_logfiles import logins
from ._postgresql_audit_roles import Role, Roles
from ._postgresql_audit_sql import reading

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_VERIFIERS = "SELECT oid::bigint, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL"
_OWNED = """
    SELECT refobjid::bigint, count(*) FROM pg_shdepend
     WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o' GROUP BY 1
"""
_CONNECTED = """
    SELECT DISTINCT usesysid::bigint, now() FROM pg_stat_activity
     WHERE backend_type IN ('client backend', 'walsender') AND usesysid IS NOT NULL AND pid <> pg_backend_pid()
"""
_NOT_KEPT = "PostgreSQL does not keep when a role was made"
_PINNED = "PostgreSQL does not record what the role of initdb owns"


def accounts(engine: PostgreSQL) -> Sequence[Account]:
    """See the protocol."""
    with reading(engine) as seen:
        roles = Roles.read(seen)
        forms = {oid: _form(verifier) for oid, verifier in seen.rows(_VERIFIERS)}
        owned = dict(seen.rows(_OWNED))
        connected = dict(seen.rows(_CONNECTED))
    try:
        logged, otherwise = logins(engine)
    except (HoldfastError, OSError) as error:
        logged, otherwise = {}, f"the log cannot be read: {error}"
    return [_account(role, roles, forms, owned, connected, logged, otherwise) for role in roles]


def _form(verifier: str) -> str:
    if verifier.startswith("SCRAM-SHA-256$"):
        return "scram-sha-256"
    return "md5" if re.fullmatch(r"md5[0-9a-f]{32}", verifier) else "password of unknown form"


def _account(
    role: Role,
    roles: Roles,
    forms: Mapping[int, str],
    owned: Mapping[int, int],
    connected: Mapping[int, datetime],
    logged: Mapping[str, datetime],
    otherwise: str,
) -> Account:
    unknown = {"created": _NOT_KEPT}
    last_seen, source = connected.get(role.oid), "pg_stat_activity: connected now"
    if last_seen is None:
        last_seen, source = logged.get(role.name), "the server's log"
    if last_seen is None:
        source = ""
        if role.login:
            unknown["last_seen"] = f"not connected now, and {otherwise}"
    if role.bootstrap:
        unknown["owns"] = _PINNED
    return Account(
        name=role.name,
        login=role.login,
        superuser=role.superuser,
        last_seen=last_seen,
        last_seen_source=source,
        method=forms.get(role.oid, "none"),
        password="set" if role.oid in forms else "none",
        expires=role.expires,
        locked=not role.login and role.oid in forms,
        system=role.system,
        owns=owned.get(role.oid, 0),
        member_of=tuple(sorted(roles.by_oid[item.role].name for item in roles.of(role.oid))),
        attributes=role.attributes,
        unknown=unknown,
    )
