"""What every account may do in effect, and how it came by it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..audit.model import Membership, Right
from . import _mariadb_audit_catalog as catalog
from ._mariadb_audit_catalog import ALL, GRANT_OPTION, Grant
from ._mariadb_audit_graph import Chain, Graph
from ._mariadb_audit_session import Reader, text

# Views and routines that run with the rights of their definer. Those of the server itself have one without power.
DEFINERS = """
    SELECT db, name, lower(type), definer FROM mysql.proc
     WHERE security_type = 'DEFINER' AND definer <> 'mariadb.sys@localhost'
    UNION ALL
    SELECT table_schema, table_name, 'view', definer FROM information_schema.views
     WHERE security_type = 'DEFINER' AND definer <> 'mariadb.sys@localhost'
"""
_LENDS = {"view": frozenset(("SELECT", "INSERT", "UPDATE", "DELETE"))}
_EXECUTE = frozenset(("EXECUTE",))


class Lender(NamedTuple):
    """A routine or a view that runs with the rights of its definer."""

    database: str
    name: str
    kind: str  # procedure, function, package, package body, view
    definer: str

    @property
    def opened_by(self) -> frozenset[str]:
        """The privileges that let an account use it."""
        return _LENDS.get(self.kind, _EXECUTE)


def lenders(reader: Reader, graph: Graph) -> list[Lender]:
    """Every routine and view that runs with the rights of its definer."""
    found = (Lender(*map(text, row)) for row in reader.rows(DEFINERS))
    return [item._replace(definer=graph.definer(item.definer)) for item in found]


def memberships(graph: Graph) -> list[Membership]:
    """Every role that is held directly. An account has a role that is not its default only after SET ROLE."""
    found = []
    for role, member, admin in graph.memberships:
        principal = graph.principals.get(member)
        inherits = principal is None or principal.is_role or principal.default_role == role
        found.append(Membership(role, member, admin, inherits))
    return found


def rights(reader: Reader, graph: Graph) -> Iterator[Right]:
    """Every right, while the server still sends the grants."""
    holders = graph.holders()
    yield from _superusers(graph)
    yield from _on_server(graph, holders)
    yield from _proxies(reader, holders)
    lent = _Lent(lenders(reader, graph))
    for name, principal in graph.principals.items():
        if "EXECUTE" in principal.privileges or "SELECT" in principal.privileges:
            own = tuple(sorted(principal.privileges - {GRANT_OPTION}))
            yield from _through_definers(lent, Grant(name, own, False, "server", "*.*", ""), holders)
    for grant in catalog.grants(reader, graph.roles):
        holding = holders.get(grant.holder, ())
        for account, chain in holding:
            for privilege in grant.privileges or _alone(grant.grantable):
                yield Right(account, privilege, grant.kind, grant.object, grant.database, grant.grantable, chain)
        if holding and lent:
            yield from _through_definers(lent, grant, holders)


def _superusers(graph: Graph) -> Iterator[Right]:
    for name in sorted(graph.superusers):
        powers = graph.powers(name)
        chain = powers["SUPER"]
        yield Right(name, ALL, "server", "*.*", grantable=GRANT_OPTION in powers, via=chain)


def _on_server(graph: Graph, holders: Mapping[str, Sequence[tuple[str, Chain]]]) -> Iterator[Right]:
    for name, principal in graph.principals.items():
        grantable = GRANT_OPTION in principal.privileges
        own = principal.privileges - {GRANT_OPTION}
        names = [ALL] if own >= catalog.EVERYTHING else sorted(own) or _alone(grantable)
        for account, chain in holders.get(name, ()):
            for privilege in names:
                yield Right(account, privilege, "server", "*.*", grantable=grantable, via=chain)


def _alone(grantable: bool) -> Sequence[str]:
    # It stays when the privileges beside it are revoked one by one, for whatever is granted there next.
    return (GRANT_OPTION,) if grantable else ()


def _proxies(reader: Reader, holders: Mapping[str, Sequence[tuple[str, Chain]]]) -> Iterator[Right]:
    for user, host, proxied, proxied_host, grantable in reader.rows(catalog.PROXIES):
        for account, chain in holders.get(catalog.named(user, host, False), ()):
            whom = catalog.named(proxied, proxied_host, False)
            yield Right(account, "PROXY", "account", whom, grantable=bool(grantable), via=chain)


class _Lent:
    """The definers whose rights a grant lets an account use, found by the place of the grant."""

    def __init__(self, found: Sequence[Lender]) -> None:
        self._all = found
        self._by_database: dict[str, list[Lender]] = defaultdict(list)
        self._by_name: dict[tuple[str, str], list[Lender]] = defaultdict(list)
        for item in found:
            self._by_database[item.database].append(item)
            self._by_name[item.database, item.name].append(item)

    def __bool__(self) -> bool:
        return bool(self._all)

    def of(self, grant: Grant) -> Sequence[Lender]:
        if grant.kind == "server":
            return self._all
        if grant.kind == "database":
            return [
                item
                for database, listed in self._by_database.items()
                if catalog.matches(grant.database, database)
                for item in listed
            ]
        kinds = ("view",) if grant.kind in ("table", "column") else (grant.kind,)
        return [item for item in self._by_name.get((grant.database, grant.name), ()) if item.kind in kinds]


def _through_definers(lent: _Lent, grant: Grant, holders: Mapping[str, Sequence[tuple[str, Chain]]]) -> Iterator[Right]:
    # One row for each definer, not for each of its routines: what it says is whose rights are lent.
    found = {
        f"{privilege} AS {item.definer}": item.definer
        for item in lent.of(grant)
        for privilege in sorted(item.opened_by & set(grant.privileges))
    }
    for privilege, definer in found.items():
        for account, chain in holders.get(grant.holder, ()):
            if definer != account:
                via = (*chain, definer)  # it goes when the definer's code goes, and is no grant to take back
                yield Right(account, privilege, grant.kind, grant.object, grant.database, via=via, source="routine")


def on_system_tables(grant: Grant, tables: frozenset[str]) -> bool:
    """Whether a grant is about tables of the server's own database: any of them, or one of those named."""
    if grant.kind == "database":
        return catalog.matches(grant.database, "mysql")
    return grant.database == "mysql" and grant.kind in ("table", "column") and grant.name in tables


def by_holder(
    reader: Reader, graph: Graph, names: Sequence[str], wanted: Callable[[Grant], bool]
) -> dict[str, list[Grant]]:
    """The grants that are wanted, by who holds them; of tables only those of the server, for code, and of the names."""
    found: dict[str, list[Grant]] = defaultdict(list)
    for grant in catalog.grants(reader, graph.roles, names):
        if wanted(grant):
            found[grant.holder].append(grant)
    return found
