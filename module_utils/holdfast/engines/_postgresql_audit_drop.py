"""Dropping a role of PostgreSQL: what it owns goes to another, and the way back is written down before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..audit.model import Action, Step
from ..errors import Refused
from . import _postgresql_audit_objects as objects
from ._postgresql_audit_defaults import defaults, taken_away
from ._postgresql_audit_grants import Entry, Member, block, dependent, entries_of, give, membership
from ._postgresql_audit_sql import databases, reading, version
from ._postgresql_session import Session, literal, quoted, role_setting

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_DEPENDENCIES = """
    SELECT coalesce(d.datname, ''), count(*) FILTER (WHERE s.deptype = 'o'), count(*)
      FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid
     WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
     GROUP BY 1 ORDER BY 1
"""
# A sequence of a column changes hands with its table, and cannot without it.
_OWNED = """
    SELECT o.type, o.identity FROM pg_shdepend s, pg_identify_object(s.classid, s.objid, s.objsubid) o
     WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o'
       AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
       AND s.dbid IN ((SELECT oid FROM pg_database WHERE datname = current_database()), 0)
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = s.classid AND d.objid = s.objid
                          AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                          AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')) ORDER BY 1, 2
"""
_GRANTED = "SELECT * FROM ({grants}) g WHERE grantee = (SELECT oid FROM pg_roles WHERE rolname = %s)"
# The new owner's own grants become one with its ownership, and would not be there when that is taken back.
_SWALLOWED = """
    SELECT * FROM ({grants}) g WHERE owner = (SELECT oid FROM pg_roles WHERE rolname = %s)
       AND grantee = (SELECT oid FROM pg_roles WHERE rolname = %s)
"""
_POLICIES = """
    SELECT count(*) FROM pg_policy WHERE (SELECT oid FROM pg_roles WHERE rolname = %s) = ANY (polroles)
"""
_ROLE = """
    SELECT concat_ws(' ', CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
           CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN NOT rolinherit THEN 'NOINHERIT' END,
           CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
           CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
           'CONNECTION LIMIT ' || rolconnlimit, 'VALID UNTIL ' || quote_literal(rolvaliduntil)),
           (SELECT a.rolpassword IS NOT NULL FROM pg_authid a WHERE a.oid = r.oid)
      FROM pg_roles r WHERE rolname = %s
"""
_MEMBERS = """
    SELECT r.rolname, m.rolname, g.rolname, a.admin_option, (to_jsonb(a) ->> 'inherit_option')::boolean,
           (to_jsonb(a) ->> 'set_option')::boolean
      FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
      LEFT JOIN pg_roles g ON g.oid = a.grantor
     WHERE %s IN (r.rolname, m.rolname) OR (g.rolname = %s AND to_jsonb(a) ->> 'set_option' IS NOT NULL)
     ORDER BY a.admin_option DESC
"""
_SETTINGS = """
    SELECT coalesce(d.datname, ''), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
      FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
     CROSS JOIN unnest(s.setconfig) c WHERE r.rolname = %s ORDER BY 1, 2
"""
# What DROP OWNED would drop though no plan named it.
_STILL_OWNS = """EXISTS (
    SELECT FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
      JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
     WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o' AND r.rolname = {role}
       AND d.datname = pg_catalog.current_database()
       AND s.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
                             'pg_catalog.pg_user_mapping'::pg_catalog.regclass))"""
_WORDS = {"foreign-data wrapper": "FOREIGN DATA WRAPPER", "statistics object": "STATISTICS", "composite type": "TYPE"}
_LOST = {"extension", "default acl", "user mapping"}


def drop(engine: PostgreSQL, name: str, reassign: str | None) -> Sequence[Step]:
    """The steps that drop a role. Raises Refused where it owns something and nobody is named to get it."""
    with reading(engine) as seen:
        found = seen.rows(_DEPENDENCIES, (name,))
        owned = {database or "the cluster": number for database, number, _ in found if number}
        shared = any(not database for database, _, _ in found)
        last = _role_step(seen, name)
    if owned and not reassign:
        listed = ", ".join(f"{number} in {database}" for database, number in owned.items())
        raise Refused(
            f"{name} owns objects: {listed}",
            where=engine.where,
            remedy="Name the role that is to get them (reassign), or drop them first",
        )
    there = [database for database, _, _ in found if database]
    if shared and not there:
        there = ["postgres"]
    closed = sorted(set(there) - set(databases(engine)))
    if closed:
        raise Refused(
            f"{name} has rights or objects in {', '.join(closed)}, which takes no connections",
            where=engine.where,
            remedy="Let the database take connections for the time of the change",
        )
    steps = [
        _database_step(engine, database, name, reassign, shared=shared and database == there[0]) for database in there
    ]
    return (*steps, last)


def _role_step(seen: Session, name: str) -> Step:
    words, password = seen.row(_ROLE, (name,))
    undo = [f"CREATE ROLE {quoted(name)} {words}"]
    undo += [membership(Member(*row)) for row in seen.rows(_MEMBERS, (name, name))]
    for database, setting, value in seen.rows(_SETTINGS, (name,)):
        undo.append(role_setting(name, database, setting, value))
    lost = f"the password of {name} cannot be brought back: set it anew" if password else ""
    return Step(Action.DROP, name, f"{name} is dropped", (f"DROP ROLE {quoted(name)}",), tuple(undo), irreversible=lost)


def _database_step(engine: PostgreSQL, database: str, name: str, reassign: str | None, *, shared: bool) -> Step:
    undo: list[str] = []
    lost: list[str] = []
    with reading(engine, database) as seen:
        for kind, identity in seen.rows(_OWNED, (name,)):
            if kind in _LOST:
                if kind != "default acl":
                    lost.append(f"{kind} {identity}")
                continue
            undo.append(f"ALTER {_WORDS.get(kind, kind.upper())} {identity} OWNER TO {quoted(name)}")
        sources = (objects.shared(version(seen)), objects.local()) if shared else (objects.local(),)
        for source in sources:
            text = objects.grants(source).replace("%", "%%")
            for row in seen.rows(_GRANTED.format(grants=text), (name,)):
                undo += _given_back(seen, name, row)
            for row in seen.rows(_SWALLOWED.format(grants=text), (name, reassign or "")):
                undo += _given_back(seen, reassign or "", row)
        undo += _defaults(seen, name)
        lost += [f"default privileges of {name} without {what}" for what in taken_away(seen, name)]
        policies = int(seen.row(_POLICIES, (name,))[0])
    if policies:
        lost.append(f"{policies} row security policies that name it lose it, or go with it")
    statements = [f"REASSIGN OWNED BY {quoted(name)} TO {quoted(reassign)}"] if reassign else []
    statements += [_owns_nothing(name), f"DROP OWNED BY {quoted(name)}"]
    to = f"what {name} owns in {database} goes to {reassign}, and " if reassign else ""
    what = f"{to}its rights in {database} are taken away"
    return Step(Action.DROP, name, what, tuple(statements), tuple(undo), database, "; ".join(lost))


def _owns_nothing(name: str) -> str:
    """Fails where the role owns what DROP OWNED would drop: it can have made a table since the plan."""
    message = literal(f"{name} owns objects that the plan does not know: it has made them since. Plan again")
    condition = " ".join(_STILL_OWNS.split()).format(role=literal(name))
    return block(f"IF {condition} THEN RAISE EXCEPTION USING MESSAGE = {message}; END IF;")


def _given_back(seen: Session, name: str, row: Sequence[Any]) -> list[str]:
    _, privilege, kind, thing, *_ = row
    entries = entries_of(seen, kind, thing)
    own = [entry for entry in entries if (entry.grantee, entry.privilege) == (name, privilege)]
    hangs: list[Entry] = dependent(entries, name, privilege)
    return [give(entry, kind, thing) for entry in (*own, *hangs)]


def _defaults(seen: Session, name: str) -> list[str]:
    """What DROP OWNED takes of default privileges: those of the role, and those that name it."""
    return [entry.statement("GRANT") for entry in defaults(seen) if name in (entry.role, entry.grantee)]
