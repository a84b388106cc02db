"""The rights of every role of PostgreSQL in effect. One database after the other, so that one is held at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..audit.model import PUBLIC, Right
from . import _postgresql_audit_objects as objects
from ._postgresql_audit_roles import Role, Roles
from ._postgresql_audit_sql import databases, reading, stream, version
from ._postgresql_session import Session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_EVERYBODY = 0
_BECOMES_OWNER = "pg_database_owner"
# What the server knows of these by their names; other predefined roles have grants on functions only.
PREDEFINED = {
    "pg_execute_server_program": ("EXECUTE", "operating system", "programs as the server's user"),
    "pg_read_server_files": ("READ", "operating system", "files as the server's user"),
    "pg_write_server_files": ("WRITE", "operating system", "files as the server's user"),
    "pg_read_all_data": ("SELECT", "server", "every table, view and sequence"),
    "pg_write_all_data": ("INSERT, UPDATE, DELETE", "server", "every table, view and sequence"),
    "pg_maintain": ("MAINTAIN", "server", "every table"),
    "pg_read_all_settings": ("READ", "server", "every setting"),
    "pg_read_all_stats": ("READ", "server", "every statistic"),
    "pg_stat_scan_tables": ("READ", "server", "monitoring that locks tables"),
    "pg_signal_backend": ("SIGNAL", "server", "sessions of others"),
    "pg_signal_autovacuum_worker": ("SIGNAL", "server", "autovacuum"),
    "pg_checkpoint": ("CHECKPOINT", "server", "all"),
    "pg_create_subscription": ("CREATE", "server", "subscriptions"),
    "pg_use_reserved_connections": ("CONNECT", "server", "reserved connections"),
}


class _Own(NamedTuple):
    """A right of a role itself."""

    privilege: str
    kind: str
    object: str
    grantable: bool
    via: tuple[str, ...]
    source: str


_Table = dict[int, list[_Own]]


def rights(engine: PostgreSQL) -> Iterator[Right]:
    """See the protocol."""
    with reading(engine) as seen:
        roles = Roles.read(seen)
        major = version(seen)
        everywhere = _attributes(roles)
        _read(seen, everywhere, objects.shared(major))
    plain, supers = [], {}
    for role in roles:
        chain = roles.superuser_chain(role.oid)
        if chain is None:
            plain.append(role)
        else:
            supers[role.name] = chain
    for name, chain in supers.items():
        yield Right(name, "SUPERUSER", "server", "all", via=chain, source="attribute")
    reached = {role.oid: [(oid, chain) for oid, (chain, _) in roles.reached(role.oid).items()] for role in plain}
    yield from _resolved(plain, reached, everywhere, "")
    del everywhere
    for database in databases(engine):
        yield from _resolved(plain, reached, _of_database(engine, database, roles), database)


def _attributes(roles: Roles) -> _Table:
    table: _Table = {}
    for role in roles:
        own = [_Own(name, "server", "all", False, (), "attribute") for name in role.attributes]
        if role.system and role.name in PREDEFINED:
            own.append(_Own(*PREDEFINED[role.name], False, (), "attribute"))
        if own:
            table[role.oid] = own
    return table


def _of_database(engine: PostgreSQL, database: str, roles: Roles) -> _Table:
    table: _Table = {}
    with reading(engine, database) as seen:
        _read(seen, table, objects.local())
        for grantee, privilege, kind, name, grantable, *_ in seen.rows(objects.DEFAULTS):
            table.setdefault(grantee, []).append(_Own(privilege, kind, name, grantable, (), "default"))
        (owner,) = seen.row("SELECT datdba::bigint FROM pg_database WHERE datname = current_database()")
    implied = roles.by_name.get(_BECOMES_OWNER)
    for own in table.get(implied.oid, ()) if implied else ():
        table.setdefault(owner, []).append(own._replace(via=(_BECOMES_OWNER, *own.via)))
    return table


def _read(seen: Session, table: _Table, source: str) -> None:
    known: dict[str, str] = {}
    definers = {row[0] for row in seen.rows(objects.DEFINERS)}
    for row in stream(seen, objects.grants(source)):
        grantee, privilege, kind, name, grantable, oid, *_ = _interned(row, known)
        origin = "routine" if kind == "routine" and oid in definers else "grant"
        table.setdefault(grantee, []).append(_Own(privilege, kind, name, grantable, (), origin))
    for row in stream(seen, objects.owned(source)):
        owner, kind, name = _interned(row, known)
        table.setdefault(owner, []).append(_Own("OWNER", kind, name, True, ("owner",), "ownership"))
    for grantee, own in table.items():
        table[grantee] = list(dict.fromkeys(own))  # granted by several it is the same right


def _interned(row: Sequence[Any], known: dict[str, str]) -> list[Any]:
    """The row with equal texts held once: a hundred thousand grants name few objects."""
    return [known.setdefault(item, item) if isinstance(item, str) else item for item in row]


def _resolved(
    plain: Sequence[Role],
    reached: dict[int, list[tuple[int, tuple[str, ...]]]],
    table: _Table,
    database: str,
) -> Iterator[Right]:
    for own in table.get(_EVERYBODY, ()):
        yield Right(PUBLIC, own.privilege, own.kind, own.object, database, own.grantable, own.via, own.source)
    for role in plain:
        name = role.name
        for oid, chain in reached[role.oid]:
            for privilege, kind, what, grantable, via, source in table.get(oid, ()):
                yield Right(name, privilege, kind, what, database, grantable, chain + via, source)
