"""Roles of PostgreSQL, who holds whom, and what that comes to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ..audit.model import PUBLIC, Membership
from ..errors import HoldfastError
from ._postgresql_audit_sql import BOOTSTRAP, FIRST_OWN_OID
from ._postgresql_session import Session

# What stands for -infinity, which datetime does not have: ended before there was a server.
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# to_jsonb(): the options of a membership are columns since PostgreSQL 16, and before it the member's INHERIT decided.
_ROLES = """
    SELECT r.oid::bigint, r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
           r.rolbypassrls, CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil
                                WHEN r.rolvaliduntil = '-infinity' THEN 'epoch'::timestamptz END
      FROM pg_roles r ORDER BY r.rolname
"""
_MEMBERS = """
    SELECT a.roleid::bigint, a.member::bigint, bool_or(a.admin_option),
           bool_or(coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit)),
           bool_or(coalesce((to_jsonb(a) ->> 'set_option')::boolean, true))
      FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Role:
    """A role with the powers that are no grants."""

    oid: int
    name: str
    login: bool
    superuser: bool
    createrole: bool
    createdb: bool
    replication: bool
    bypassrls: bool
    expires: datetime | None

    @property
    def system(self) -> bool:
        """Whether the server brought it."""
        return self.oid < FIRST_OWN_OID

    @property
    def bootstrap(self) -> bool:
        """Whether initdb made it as the owner of the server."""
        return self.oid == BOOTSTRAP

    @property
    def attributes(self) -> tuple[str, ...]:
        powers = {
            "SUPERUSER": self.superuser,
            "CREATEROLE": self.createrole,
            "CREATEDB": self.createdb,
            "REPLICATION": self.replication,
            "BYPASSRLS": self.bypassrls,
        }
        return tuple(name for name, has in powers.items() if has)


@dataclass(frozen=True)
class Held:
    """A role that another holds: whether it may hand it on, has its rights as its own, may become it."""

    role: int
    member: int
    admin: bool
    inherits: bool
    becomes: bool


class Roles:
    """The roles of a server at one moment."""

    def __init__(self, roles: Sequence[Role], held: Sequence[Held]) -> None:
        self.by_oid: Mapping[int, Role] = {role.oid: role for role in roles}
        self.by_name: Mapping[str, Role] = {role.name: role for role in roles}
        self.held = [item for item in held if item.role in self.by_oid and item.member in self.by_oid]
        self._of: dict[int, list[Held]] = {}
        for item in self.held:
            self._of.setdefault(item.member, []).append(item)

    @classmethod
    def read(cls, seen: Session) -> Roles:
        """Raises HoldfastError where a role has the name of everybody."""
        roles = [Role(*row) for row in seen.rows(_ROLES)]
        if any(role.name == PUBLIC for role in roles):
            raise HoldfastError(
                f"a role is called {PUBLIC}, and what it has cannot be told from what everybody has",
                remedy=f'ALTER ROLE "{PUBLIC}" RENAME TO another name',
            )
        return cls(roles, [Held(*row) for row in seen.rows(_MEMBERS)])

    def __iter__(self) -> Iterator[Role]:
        return iter(self.by_oid.values())

    def of(self, member: int) -> Sequence[Held]:
        """What a role holds directly."""
        return self._of.get(member, ())

    def memberships(self) -> list[Membership]:
        """Every role that is held directly, by name."""
        names = self.by_oid
        found = [
            Membership(names[item.role].name, names[item.member].name, item.admin, item.inherits) for item in self.held
        ]
        return sorted(found, key=lambda item: (item.role, item.member))

    def reached(self, start: int) -> dict[int, tuple[tuple[str, ...], bool]]:
        """The roles whose rights a role has, each with the shortest chain of names to it, and whether it can become it.

        A role can become another along memberships that all let it, and has besides what the one it became inherits.
        What it inherits it cannot become by that alone.
        """
        found: dict[int, tuple[tuple[str, ...], bool]] = {start: ((), True)}
        queue: deque[tuple[int, tuple[str, ...], bool]] = deque([(start, (), True)])
        seen = {(start, True)}
        while queue:
            member, chain, becomes = queue.popleft()
            for item in self.of(member):
                able = becomes and item.becomes
                if not (able or item.inherits) or (item.role, able) in seen:
                    continue
                seen.add((item.role, able))
                further = (*chain, self.by_oid[item.role].name)
                known = found.get(item.role)
                if known is None:
                    found[item.role] = (further, able)
                elif able and not known[1]:
                    found[item.role] = (known[0], True)
                queue.append((item.role, further, able))
        return found

    def superuser_chain(self, start: int) -> tuple[str, ...] | None:
        """How a role becomes a superuser by SET ROLE: nothing for one that is, None for one that cannot."""
        chains = [
            chain for oid, (chain, becomes) in self.reached(start).items() if becomes and self.by_oid[oid].superuser
        ]
        return min(chains, key=len) if chains else None
