"""Who holds which role, through which others, and what that amounts to."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from ..audit.model import PUBLIC
from . import _mariadb_audit_catalog as catalog
from ._mariadb_audit_catalog import Principal
from ._mariadb_audit_session import Reader

Chain = tuple[str, ...]  # from the role that is held directly to the one that is meant


class Graph:
    """Accounts, roles, and the paths between them."""

    def __init__(self, principals: Sequence[Principal], held: Iterable[tuple[str, str, bool]]) -> None:
        self.principals: Mapping[str, Principal] = {item.name: item for item in principals}
        self.memberships = tuple(held)
        self._roles: dict[str, list[str]] = defaultdict(list)
        for role, member, _ in self.memberships:
            self._roles[member].append(role)
        self.reach: Mapping[str, Mapping[str, Chain]] = {name: self._reach(name) for name in self.principals}
        self.superusers = frozenset(name for name in self.principals if self._is_superuser(name))

    @classmethod
    def read(cls, reader: Reader) -> Graph:
        """The graph of a server as it is now."""
        principals = catalog.principals(reader)
        roles = frozenset(item.user for item in principals if item.is_role)
        return cls(principals, catalog.memberships(reader, roles))

    @property
    def roles(self) -> frozenset[str]:
        """The names of all roles."""
        return frozenset(name for name, item in self.principals.items() if item.is_role)

    def definer(self, written: str) -> str:
        """The principal in whose name code runs: a role has an empty host there."""
        name = written.removesuffix("@")
        known = self.principals.get(name)
        return name if known is not None and known.is_role else written

    def direct(self, member: str) -> tuple[str, ...]:
        """The roles that an account or a role holds itself."""
        return tuple(self._roles.get(member, ()))

    def holders(self) -> Mapping[str, Sequence[tuple[str, Chain]]]:
        """For each principal those who have its rights, itself first. Superusers have them anyway and are left out."""
        found: dict[str, list[tuple[str, Chain]]] = defaultdict(list)
        for name in self.principals:
            if name in self.superusers:
                continue
            found[name].insert(0, (name, ()))
            for role, chain in self.reach[name].items():
                found[role].append((name, chain))
        return found

    def powers(self, name: str, *, public: bool = True) -> dict[str, Chain]:
        """Privileges on *.* that an account has or can take by SET ROLE, each with its shortest chain."""
        found: dict[str, Chain] = {}
        for holder, chain in self.sources(name, public=public):
            for privilege in self.principals[holder].privileges:
                found.setdefault(privilege, chain)
        return found

    def sources(self, name: str, *, public: bool = True) -> list[tuple[str, Chain]]:
        """Those whose rights an account has or can take, with the chains: itself, its roles, and PUBLIC."""
        found: list[tuple[str, Chain]] = [(name, ())]
        found += [(role, chain) for role, chain in self.reach[name].items() if role in self.principals]
        if public and name != PUBLIC and PUBLIC in self.principals:
            found.append((PUBLIC, (PUBLIC,)))
            found += [(role, (PUBLIC, *chain)) for role, chain in self.reach[PUBLIC].items() if role in self.principals]
        return found

    def active(self, name: str) -> frozenset[str]:
        """The roles that an account has from login on; a role has those that it holds."""
        principal = self.principals[name]
        if principal.is_role:
            return frozenset(self.reach[name])
        begin = principal.default_role if principal.default_role in self._roles.get(name, ()) else ""
        found = {begin, *self.reach.get(begin, ())} - {""}
        if PUBLIC in self.principals:
            found |= {PUBLIC, *self.reach[PUBLIC]}
        return frozenset(found)

    def _is_superuser(self, name: str) -> bool:
        held = (name, *(role for role in self.active(name) if role in self.principals))
        return frozenset().union(*(self.principals[item].privileges for item in held)) >= catalog.EVERYTHING

    def _reach(self, name: str) -> Mapping[str, Chain]:
        found: dict[str, Chain] = {}
        waiting: deque[tuple[str, Chain]] = deque((role, (role,)) for role in self._roles.get(name, ()))
        while waiting:
            role, chain = waiting.popleft()
            if role in found or role == name:
                continue
            found[role] = chain
            waiting.extend((above, (*chain, above)) for above in self._roles.get(role, ()))
        return found
