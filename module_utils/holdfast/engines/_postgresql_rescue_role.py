"""Rescuing a role of PostgreSQL with its settings, memberships and grants. Its password goes from server to server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HoldfastError, NotInBackup
from ..parts import Part, Statements
from ._postgresql_rescue_object import _NoRows
from ._postgresql_session import Session, literal, quoted, role_setting, session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_ATTRIBUTES = """
    SELECT concat_ws(' ',
        CASE WHEN rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END,
        CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
        CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END,
        CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END,
        CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
        CASE WHEN rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END,
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END,
        'CONNECTION LIMIT ' || rolconnlimit, 'VALID UNTIL ' || quote_literal(rolvaliduntil)), rolpassword
      FROM pg_authid WHERE rolname = %s
"""
_MEMBERSHIPS = """
    SELECT g.rolname, m.rolname, a.admin_option FROM pg_auth_members a
      JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
     WHERE %s IN (g.rolname, m.rolname) ORDER BY 1, 2
"""
_SETTINGS = """
    SELECT coalesce(d.datname, ''), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
      FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
     CROSS JOIN unnest(s.setconfig) AS c WHERE r.rolname = %s ORDER BY 1, 2
"""
_GRANTS = """
    SELECT format('GRANT %%s ON %%s TO %%I%%s;', x.privilege, x.object, r.rolname,
                  CASE WHEN x.grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM (
        SELECT a.grantee, a.privilege_type AS privilege, a.is_grantable AS grantable,
               'DATABASE ' || quote_ident(datname) AS object, datname
          FROM pg_database, aclexplode(datacl) a WHERE datname = current_database()
        UNION ALL SELECT a.grantee, a.privilege_type, a.is_grantable, 'SCHEMA ' || quote_ident(nspname), ''
          FROM pg_namespace, aclexplode(nspacl) a
        UNION ALL SELECT a.grantee, a.privilege_type, a.is_grantable,
               CASE WHEN c.relkind = 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || format('%%I.%%I', nspname, relname), ''
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
        UNION ALL SELECT a.grantee, format('%%s (%%I)', a.privilege_type, t.attname), a.is_grantable,
               'TABLE ' || format('%%I.%%I', nspname, relname), ''
          FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
               aclexplode(t.attacl) a
        UNION ALL SELECT a.grantee, a.privilege_type, a.is_grantable, 'ROUTINE ' || p.oid::regprocedure::text, ''
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl) a
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
        UNION ALL SELECT a.grantee, a.privilege_type, a.is_grantable, 'TYPE ' || t.oid::regtype::text, ''
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace, aclexplode(t.typacl) a
         WHERE n.nspname <> 'pg_catalog'
      ) x JOIN pg_roles r ON r.oid = x.grantee WHERE r.rolname = %s ORDER BY x.object, x.privilege
"""
_OWNED = """
    SELECT count(*) FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
       AND d.refobjid = to_regrole(%s) AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# What is logged of a statement with a password in it would be the password.
_SILENT = (
    "SET LOCAL log_statement = 'none'",
    "SET LOCAL log_min_duration_statement = -1",
    "SET LOCAL log_min_duration_sample = -1",
    "SET LOCAL log_min_error_statement = 'panic'",
)


class RoleRescue(_NoRows):
    """See the protocol. A role under another name is of no use to anybody: nothing is loaded."""

    target: Part | None = None

    def __init__(self, live: PostgreSQL, source: PostgreSQL, part: Part) -> None:
        self._live, self._part = live, part
        (self._name,) = part.path
        with session(source, "postgres") as copy:
            found = copy.rows(_ATTRIBUTES, (self._name,))
            if not found:
                raise NotInBackup(f"there is no role {part} in it", where=source.where)
            self._attributes, self._password = found[0]
            self._memberships = [
                f"GRANT {quoted(group)} TO {quoted(member)}{' WITH ADMIN OPTION' if admin else ''};"
                for group, member, admin in copy.rows(_MEMBERSHIPS, (self._name,))
            ]
            self._settings = [role_setting(self._name, *row) + ";" for row in copy.rows(_SETTINGS, (self._name,))]
        self._grants: dict[str, list[str]] = {}
        self._owned: dict[str, int] = {}
        for database in source.databases():
            with session(source, database) as copy:
                self._grants[database] = copy.names(_GRANTS, (self._name,))
                self._owned[database] = int(copy.row(_OWNED, (quoted(self._name),))[0])

    def load(self) -> None:
        """Nothing to load."""

    def statements(self) -> Statements:
        swap = [*self._making(self._is_there()), *self._memberships, *self._settings]
        for database, grants in self._grants.items():
            if grants:
                swap += [f"\\connect {quoted(database)}", *grants]
        care = ["what the live role has besides is not taken away"] if self._is_there() else []
        if self._password:
            care.append("its password is not printed: replacing sets it from the backup without showing it")
        for database, number in self._owned.items():
            if number:
                care.append(f"it owned {number} objects of the database {database}: give them back where they are")
        return Statements(swap, (), care)

    def replace(self) -> Part | None:
        with session(self._live, "postgres") as seen:
            with seen.transaction():
                seen.run(*_SILENT, *self._making(self._is_there()))
                if self._password:
                    seen.run(f"ALTER ROLE {quoted(self._name)} PASSWORD {literal(self._password)}")
            refused = self._each(seen, [*self._memberships, *self._settings])
        there = self._live.databases()
        for database, grants in self._grants.items():
            if database in there:
                with session(self._live, database) as seen:
                    refused += self._each(seen, grants)
        if refused:
            raise HoldfastError(
                f"the role is back, but {len(refused)} of its grants and settings are not: {'; '.join(refused[:3])}",
                where=str(self._part),
                remedy="What they name is not on the live server; the record has all of them",
            )
        return None

    def _is_there(self) -> bool:
        with session(self._live, "postgres") as seen:
            return bool(seen.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", (self._name,)))

    def _making(self, there: bool) -> list[str]:
        return [f"{'ALTER' if there else 'CREATE'} ROLE {quoted(self._name)} WITH {self._attributes};"]

    @staticmethod
    def _each(seen: Session, statements: list[str]) -> list[str]:
        refused = []
        for statement in statements:
            try:
                seen.run(statement)
            except HoldfastError as error:
                refused.append(f"{statement} ({error.what})")
        return refused
