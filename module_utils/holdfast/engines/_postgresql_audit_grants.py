"""Taking and giving single rights and memberships of PostgreSQL, with the statements that give and take them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..audit.model import PUBLIC, Action, Step
from ..errors import InvalidInput
from . import _postgresql_audit_objects as objects
from ._postgresql_audit_defaults import revoke_default
from ._postgresql_audit_sql import reading, version
from ._postgresql_session import Session, literal, quoted

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

SHARED = ("database", "tablespace", "parameter")
_WORDS = {
    "view": "TABLE",
    "materialized view": "TABLE",
    "foreign table": "TABLE",
    "column": "TABLE",
    "domain": "DOMAIN",
}
_ENTRIES = """
    SELECT coalesce(r.rolname, 'PUBLIC'), a.privilege_type, a.is_grantable, g.rolname, a.grantor <> o.owner
      FROM ({objects}) o CROSS JOIN LATERAL aclexplode(o.acl) a
      LEFT JOIN pg_roles r ON r.oid = a.grantee JOIN pg_roles g ON g.oid = a.grantor
     WHERE o.kind = %s AND o.object = %s AND a.grantee <> o.owner ORDER BY 1, 2, 4
"""
_THERE = "SELECT 1 FROM ({objects}) o WHERE o.kind = %s AND o.object = %s"
_COLUMN = """
    SELECT 1 FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE format('%%I.%%I (%%I)', n.nspname, c.relname, t.attname) = %s AND t.attnum > 0 AND NOT t.attisdropped
"""
_PARAMETER = "SELECT 1 FROM pg_settings WHERE lower(name) = lower(%s)"
_PRIVILEGES = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN", "USAGE", "CREATE"),
    *("CONNECT", "TEMPORARY", "EXECUTE", "SET", "ALTER SYSTEM"),
)


class Entry(NamedTuple):
    """One entry of an access list: who may do what, whether it may hand it on, and from whom it has it."""

    grantee: str
    privilege: str
    grantable: bool
    grantor: str
    foreign: bool  # not from the owner, so that only the grantor's own statement takes it back


def through(names: set[str]) -> str:
    """Who else loses something, for a sentence."""
    return f", and from {', '.join(sorted(names))}, who have it from there" if names else ""


def role_name(name: str) -> str:
    """A grantee in a statement."""
    return PUBLIC if name == PUBLIC else quoted(name)


def target(kind: str, name: str, privilege: str) -> tuple[str, str]:
    """What is granted on what, in the words of GRANT: the name is one that the catalog gave."""
    word = _WORDS.get(kind, kind.upper())
    if kind == "column":
        relation, column = _column(name)
        return f"{privilege} ({column})", f"TABLE {relation}"
    return privilege, f"{word} {name}"


def as_grantor(grantor: str, kind: str, name: str, privilege: str, statement: str) -> str:
    """A statement in the name of who gave a right, as the server takes it back from nobody else.

    It is left out where the grantor no longer may: what it gave went with its own right then, and comes back with it.
    """
    unit = f"SET LOCAL ROLE {quoted(grantor)}; {statement}; RESET ROLE;"
    may = _may(grantor, kind, name, privilege)
    return block(f"IF {may} THEN {unit} END IF;" if may else unit)


def block(body: str) -> str:
    """Statements of PL/pgSQL as one statement."""
    tag = "$holdfast$"
    while tag in body:  # a name that somebody chose would else end the block, and go on as the administrator
        tag = f"${tag[1:-1]}_$"
    return f"DO {tag}BEGIN {body} END{tag}"


_FUNCTIONS = {
    **dict.fromkeys(("table", "view", "materialized view", "foreign table"), "table"),
    "routine": "function",
    "domain": "type",
    "type": "type",
    "sequence": "sequence",
    "schema": "schema",
    "database": "database",
    "language": "language",
    "tablespace": "tablespace",
    "foreign server": "server",
    "foreign data wrapper": "foreign_data_wrapper",
    "parameter": "parameter",
    "column": "column",
}
_RAW = {"schema", "database", "language", "tablespace", "foreign server", "foreign data wrapper"}


def _may(grantor: str, kind: str, name: str, privilege: str) -> str:
    """A condition that the grantor may still hand the right on; empty where the server has no function for it."""
    if kind not in _FUNCTIONS:
        return ""
    given = [literal(grantor)]
    if kind == "column":
        relation, column = _column(name)
        given += [literal(relation), literal(_unquoted(column))]
    else:
        given.append(literal(_unquoted(name) if kind in _RAW else name))
    given.append(literal(f"{privilege} WITH GRANT OPTION"))
    return f"has_{_FUNCTIONS[kind]}_privilege({', '.join(given)})"


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _column(name: str) -> tuple[str, str]:
    relation, _, column = name.partition(" (") if name.count(" (") == 1 else name.rpartition(" (")
    return relation, column[:-1]


def _given(details: dict[str, Any], account: str) -> tuple[str, str, str, str]:
    missing = [name for name in ("privilege", "kind", "object") if not details.get(name)]
    if missing:
        raise InvalidInput(
            f"{', '.join(missing)} not given",
            where=account,
            remedy="Give the fields of the right as the audit writes them",
        )
    privilege, kind = str(details["privilege"]).upper(), str(details["kind"])
    if privilege not in _PRIVILEGES:
        raise InvalidInput(f"{privilege} is no privilege that can be granted", where=account)
    if kind in ("server", "operating system"):
        raise InvalidInput(
            f"a right of kind {kind!r} is no grant on an object",
            where=account,
            remedy="Name the role or the attribute that it comes from",
        )
    return privilege, kind, str(details["object"]), str(details.get("database") or "postgres")


def _source(seen: Session, kind: str) -> str:
    return objects.shared(version(seen)) if kind in SHARED else objects.local()


def entries_of(seen: Session, kind: str, name: str) -> list[Entry]:
    query = _ENTRIES.format(objects=_source(seen, kind).replace("%", "%%"))
    return [Entry(*row) for row in seen.rows(query, (kind, name))]


def _there(seen: Session, kind: str, name: str) -> bool:
    if kind == "column":
        return bool(seen.rows(_COLUMN, (name,)))
    if kind == "parameter":
        return bool(seen.rows(_PARAMETER, (name,)))
    query = _THERE.format(objects=_source(seen, kind).replace("%", "%%"))
    return bool(seen.rows(query, (kind, name)))


def _must_be_there(seen: Session, kind: str, name: str, where: str) -> None:
    if not _there(seen, kind, name):
        raise InvalidInput(f"there is no {kind} {name}", where=where, remedy="Write it as the audit does: schema.name")


def revoke_right(engine: PostgreSQL, account: str, details: dict[str, Any]) -> Sequence[Step]:
    """Take a right from an account, and what others have from it through this account."""
    privilege, kind, name, database = _given(details, account)
    with reading(engine, database) as seen:
        if kind.startswith("future "):
            return revoke_default(seen, account, (privilege, kind, name), database)
        _must_be_there(seen, kind, name, f"{engine.where}, database {database}")
        entries = entries_of(seen, kind, name)
    own = [entry for entry in entries if entry.grantee == account and entry.privilege == privilege]
    if not own:
        return ()
    hangs = dependent(entries, account, privilege) if any(entry.grantable for entry in own) else []
    what, on = target(kind, name, privilege)
    statements: list[str] = []
    for entry in own:
        statement = f"REVOKE {what} ON {on} FROM {role_name(account)}{' CASCADE' if hangs else ''}"
        statements.append(as_grantor(entry.grantor, kind, name, privilege, statement) if entry.foreign else statement)
    undo = [give(entry, kind, name) for entry in (*own, *hangs)]
    others = through({entry.grantee for entry in hangs})
    sentence = f"{privilege} on {kind} {name} is taken from {account}{others}"
    return (Step(Action.REVOKE, account, sentence, tuple(statements), tuple(undo), database),)


def give(entry: Entry, kind: str, name: str) -> str:
    """The statement that makes an entry as it is."""
    what, on = target(kind, name, entry.privilege)
    option = " WITH GRANT OPTION" if entry.grantable else ""
    statement = f"GRANT {what} ON {on} TO {role_name(entry.grantee)}{option}"
    return as_grantor(entry.grantor, kind, name, entry.privilege, statement) if entry.foreign else statement


def dependent(entries: Sequence[Entry], grantor: str, privilege: str) -> list[Entry]:
    """What hangs on the grant option of a role, those first that others hang on."""
    found: list[Entry] = []
    waiting = [grantor]
    while waiting:
        source = waiting.pop(0)
        for entry in entries:
            if entry.grantor == source and entry.privilege == privilege and entry.foreign and entry not in found:
                found.append(entry)
                waiting.append(entry.grantee)
    return found


def grant_right(engine: PostgreSQL, account: str, details: dict[str, Any]) -> Sequence[Step]:
    """Give an account a right on an object."""
    privilege, kind, name, database = _given(details, account)
    grantable = bool(details.get("grantable"))
    with reading(engine, database) as seen:
        _must_be_there(seen, kind, name, f"{engine.where}, database {database}")
        entries = entries_of(seen, kind, name)
    own = [entry for entry in entries if entry.grantee == account and entry.privilege == privilege]
    if any(entry.grantable or not grantable for entry in own):
        return ()
    what, on = target(kind, name, privilege)
    option = " WITH GRANT OPTION" if grantable else ""
    undo = f"REVOKE {'GRANT OPTION FOR ' if own else ''}{what} ON {on} FROM {role_name(account)}"
    statement = f"GRANT {what} ON {on} TO {role_name(account)}{option}"
    sentence = f"{account} gets {privilege} on {kind} {name}{', and may hand it on' if grantable else ''}"
    return (Step(Action.GRANT, account, sentence, (statement,), (undo,), database),)


_HELD = """
    SELECT r.rolname, m.rolname, g.rolname, a.admin_option, (to_jsonb(a) ->> 'inherit_option')::boolean,
           (to_jsonb(a) ->> 'set_option')::boolean
      FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
      LEFT JOIN pg_roles g ON g.oid = a.grantor WHERE r.rolname = %s ORDER BY 2, 3
"""


class Member(NamedTuple):
    """One row of a role's members. ``inherits`` and ``becomes`` are options since PostgreSQL 16, None before."""

    role: str
    member: str
    grantor: str | None
    admin: bool
    inherits: bool | None
    becomes: bool | None


def members(seen: Session, role: str) -> list[Member]:
    """Who holds a role, and from whom."""
    return [Member(*row) for row in seen.rows(_HELD, (role,))]


def membership(item: Member) -> str:
    """The statement that makes a membership as it is."""
    options = []
    if item.inherits is not None:
        options = [f"ADMIN {item.admin}", f"INHERIT {item.inherits}", f"SET {item.becomes}"]
    elif item.admin:
        options = ["ADMIN OPTION"]
    text = f"GRANT {quoted(item.role)} TO {quoted(item.member)}"
    text += f" WITH {', '.join(options).upper()}" if options else ""
    # Before 16 the grantor is a remark that may name a role which is gone.
    return text + (f" GRANTED BY {quoted(item.grantor)}" if item.grantor and item.inherits is not None else "")


def revoke_membership(seen: Session, role: str, member: str, *, admin: bool = False) -> Sequence[Step]:
    """Take a role from a member, and from those who have it from there; or the admin option alone."""
    everyone = members(seen, role)
    own = [item for item in everyone if item.member == member and (item.admin or not admin)]
    if not own:
        return ()
    hangs = _handed_on(everyone, member)
    option = "ADMIN OPTION FOR " if admin else ""
    statements = []
    for item in own:
        by = f" GRANTED BY {quoted(item.grantor)}" if item.grantor and item.inherits is not None else ""
        cascade = " CASCADE" if hangs else ""
        statements.append(f"REVOKE {option}{quoted(role)} FROM {quoted(member)}{by}{cascade}")
    undo = tuple(membership(item) for item in (*own, *hangs))
    others = through({item.member for item in hangs})
    thing = f"the admin option of {role}" if admin else f"the role {role}"
    return (Step(Action.REVOKE, member, f"{thing} is taken from {member}{others}", tuple(statements), undo),)


def _handed_on(everyone: Sequence[Member], grantor: str) -> list[Member]:
    """Since PostgreSQL 16 a membership hangs on the admin option of who granted it."""
    found: list[Member] = []
    waiting = [grantor]
    while waiting:
        source = waiting.pop(0)
        for item in everyone:
            if item.inherits is not None and item.grantor == source and item.member != source and item not in found:
                found.append(item)
                waiting.append(item.member)
    return found


def grant_membership(seen: Session, role: str, member: str, *, admin: bool = False) -> Sequence[Step]:
    """Give a member a role."""
    own = [item for item in members(seen, role) if item.member == member]
    if any(item.admin or not admin for item in own):
        return ()
    statement = f"GRANT {quoted(role)} TO {quoted(member)}{' WITH ADMIN OPTION' if admin else ''}"
    undo = f"REVOKE {'ADMIN OPTION FOR ' if own else ''}{quoted(role)} FROM {quoted(member)}"
    sentence = f"{member} gets the role {role}{', and may hand it on' if admin else ''}"
    return (Step(Action.GRANT, member, sentence, (statement,), (undo,)),)
