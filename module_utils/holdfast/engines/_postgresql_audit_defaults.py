"""Default privileges of PostgreSQL: what is granted on objects that do not exist yet, and how that is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..audit.model import Action, Step
from . import _postgresql_audit_objects as objects
from ._postgresql_session import Session, quoted

_NAMES = "SELECT oid::bigint, rolname FROM pg_roles"


# What a role gives of each kind by itself, as that is how the server was built, and no longer does. The letter of a
# sequence is another there. Entries of a schema add to it and take nothing away.
_TAKEN_AWAY = """
    SELECT format('%%s on future %%s to %%s', a.privilege_type,
                  CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'routines'
                       WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects'
                       ELSE d.defaclobjtype::text END, coalesce(g.rolname, 'PUBLIC'))
      FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole
     CROSS JOIN LATERAL aclexplode(acldefault(
           CASE d.defaclobjtype WHEN 'S' THEN 's'::"char" ELSE d.defaclobjtype END, d.defaclrole)) a
      LEFT JOIN pg_roles g ON g.oid = a.grantee
     WHERE r.rolname = %s AND d.defaclnamespace = 0
       AND NOT EXISTS (SELECT FROM aclexplode(d.defaclacl) h
                        WHERE h.grantee = a.grantee AND h.privilege_type = a.privilege_type) ORDER BY 1
"""


class Default(NamedTuple):
    """One entry: who gets what on which kind of object that a role will make, everywhere or in a schema."""

    grantee: str
    privilege: str
    kind: str
    object: str
    grantable: bool
    role: str
    schema: str | None

    def statement(self, verb: str) -> str:
        """GRANT or REVOKE of it."""
        within = f" IN SCHEMA {quoted(self.schema)}" if self.schema else ""
        to = self.grantee if self.grantee == "PUBLIC" else quoted(self.grantee)
        option = " WITH GRANT OPTION" if self.grantable and verb == "GRANT" else ""
        on = self.kind.partition(" ")[2].upper()
        what = f"{verb} {self.privilege} ON {on} {'TO' if verb == 'GRANT' else 'FROM'} {to}{option}"
        return f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(self.role)}{within} {what}"


def defaults(seen: Session) -> Iterator[Default]:
    """The entries of the database."""
    names = {0: "PUBLIC", **dict(seen.rows(_NAMES))}
    for grantee, *rest in seen.rows(objects.DEFAULTS):
        yield Default(names.get(grantee, str(grantee)), *rest)


def taken_away(seen: Session, role: str) -> list[str]:
    """What the role would give others, or itself, on objects that it makes, and does not."""
    return seen.names(_TAKEN_AWAY, (role,))


def revoke_default(seen: Session, account: str, wanted: tuple[str, str, str], database: str) -> list[Step]:
    """Take a right on future objects from an account: privilege, kind and object as an audit writes them."""
    return [
        Step(
            Action.REVOKE,
            account,
            f"{entry.privilege} on {entry.kind} {entry.object} is no longer given to {account}",
            (entry.statement("REVOKE"),),
            (entry.statement("GRANT"),),
            database,
        )
        for entry in defaults(seen)
        if entry.grantee == account and (entry.privilege, entry.kind, entry.object) == wanted
    ]
