"""The ways by which an account of MariaDB gains more power than it was given.

Each was tried on 10.11 and 11.8, but for what follows CHANGE MASTER and for reading the binary log as a replica.
GRANT OPTION on *.* alone is none: it hands on no more than the account has, and sets nobody's password.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..audit.model import PUBLIC, Escalation
from . import _mariadb_audit_catalog as catalog
from ._mariadb_audit_catalog import Grant, Principal
from ._mariadb_audit_graph import Chain, Graph
from ._mariadb_audit_rights import Lender, by_holder, lenders, on_system_tables
from ._mariadb_audit_session import Reader

SUPERUSER, SYSTEM, ROWS = "superuser", "operating system", "every row"
# Who writes there writes its own rights, the code of others, or a library for the server to load.
_DECIDING = frozenset(
    ("global_priv", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv", "roles_mapping", "proc",
     "event", "func", "plugin")
)  # fmt: skip
_CODE = ("CREATE ROUTINE", "CREATE VIEW", "EVENT", "TRIGGER")
_DYNAMIC = re.compile(rb"\b(?:EXECUTE\s+IMMEDIATE|PREPARE)\b", re.IGNORECASE)
_BODIES = "SELECT db, name, lower(type), body FROM mysql.proc WHERE security_type = 'DEFINER'"
_ACTING = frozenset(("pam", "gssapi"))  # plugins that let an account in as another


class _Power(NamedTuple):
    privilege: str
    reaches: str
    how: str


_POWERS = (
    _Power(
        "CREATE USER", SUPERUSER, "sets the password of root or any other account with ALTER USER, and logs in as it"
    ),
    _Power(
        "REPLICATION SLAVE ADMIN",
        SUPERUSER,
        "makes the server follow one of its own with CHANGE MASTER, and sends it changes of mysql.global_priv",
    ),
    _Power(
        "BINLOG REPLAY", SUPERUSER, "applies events to mysql.global_priv with BINLOG, which asks for no right on it"
    ),
    _Power(
        "SUPER",
        SYSTEM,
        "has the server write its general log, with the text of statements, to any file with"
        " SET GLOBAL general_log_file",
    ),
)


class _Server(NamedTuple):
    """What of the set-up makes a power a path."""

    files_anywhere: bool
    logged: bool


class _Held(NamedTuple):
    """What an account has or can take, with the chains."""

    powers: Mapping[str, Chain]
    grants: Sequence[tuple[Grant, Chain]]


def escalations(reader: Reader, graph: Graph) -> list[Escalation]:
    """The paths of every account that can log in, and once those that are open to all."""
    value = reader.variables("secure_file_priv", "log_bin")
    server = _Server(value.get("secure_file_priv", "") in ("", "/"), value.get("log_bin") == "ON")
    lent = lenders(reader, graph)
    called = {item.name for item in lent}
    wanted = by_holder(
        reader, graph, sorted(called), lambda grant: _decides(grant) or _writes_code(grant) or _calls(grant, called)
    )
    search = _Search(graph, server, wanted, lent, _dynamic(reader))
    found: list[Escalation] = []
    for name, principal in graph.principals.items():
        if name in graph.superusers or not (principal.can_log_in or name == PUBLIC):
            continue
        found += search.paths(principal)
    return found + list(_by_proxy(reader, graph))


class _Search:
    def __init__(
        self,
        graph: Graph,
        server: _Server,
        wanted: Mapping[str, Sequence[Grant]],
        lent: Sequence[Lender],
        dynamic: frozenset[tuple[str, str, str]],
    ) -> None:
        self._graph = graph
        self._server = server
        self._wanted = wanted
        self._dynamic = dynamic
        self._lent: dict[str, list[Lender]] = defaultdict(list)
        for item in lent:
            self._lent[item.definer].append(item)

    def paths(self, principal: Principal) -> Iterator[Escalation]:
        name = principal.name
        sources = self._graph.sources(name, public=False)
        held = self._held(sources)
        yield from self._by_role(name)
        yield from self._by_power(name, held)
        yield from self._by_tables(name, held)
        # Each half of this one may come from PUBLIC.
        yield from self._in_the_name_of_others(name, self._held(self._graph.sources(name)))
        yield from self._by_definer(name, held)

    def _held(self, sources: Sequence[tuple[str, Chain]]) -> _Held:
        powers: dict[str, Chain] = {}
        grants: list[tuple[Grant, Chain]] = []
        for holder, chain in sources:
            if holder in self._graph.superusers:
                continue  # a role that has everything is one path, not one for each of its powers
            for privilege in self._graph.principals[holder].privileges:
                powers.setdefault(privilege, chain)
            grants += [(grant, chain) for grant in self._wanted.get(holder, ())]
        return _Held(powers, grants)

    def _by_role(self, name: str) -> Iterator[Escalation]:
        for role, chain in self._graph.reach[name].items():
            if role in self._graph.superusers:
                taken = f"takes it with SET ROLE {catalog.sql_name(chain[0])}"
                yield Escalation(name, (*_holding(chain), f"{role} has all privileges; {name} {taken}"), SUPERUSER)
                return

    def _by_power(self, name: str, held: _Held) -> Iterator[Escalation]:
        for power in _POWERS:
            if power.privilege in held.powers:
                chain = held.powers[power.privilege]
                yield Escalation(name, (*_holding(chain), f"has {power.privilege}", power.how), power.reaches)
        if "FILE" in held.powers and self._server.files_anywhere:
            how = (
                "reads and writes files as the server with LOAD_FILE and INTO DUMPFILE, as secure_file_priv is not set"
            )
            yield Escalation(name, (*_holding(held.powers["FILE"]), "has FILE", how), SYSTEM)
        if "REPLICATION SLAVE" in held.powers and self._server.logged:
            how = "reads the binary log as a replica does, with every row that is changed"
            yield Escalation(name, (*_holding(held.powers["REPLICATION SLAVE"]), "has REPLICATION SLAVE", how), ROWS)

    def _by_tables(self, name: str, held: _Held) -> Iterator[Escalation]:
        how = "writes its own rights there; they hold from the next FLUSH PRIVILEGES or restart on"
        for privilege in ("INSERT", "UPDATE"):
            if privilege in held.powers:
                steps = (*_holding(held.powers[privilege]), f"has {privilege} on *.*, the tables of mysql too", how)
                yield Escalation(name, steps, SUPERUSER)
                return
        for grant, chain in held.grants:
            if _decides(grant):
                verbs = " and ".join(item for item in grant.privileges if item in ("INSERT", "UPDATE"))
                yield Escalation(name, (*_holding(chain), f"has {verbs} on {grant.object}", how), SUPERUSER)
                return

    def _in_the_name_of_others(self, name: str, held: _Held) -> Iterator[Escalation]:
        if "SET USER" not in held.powers:
            return
        places = [(item, "*.*", held.powers[item]) for item in _CODE if item in held.powers]
        places += [
            (item, grant.object, chain) for grant, chain in held.grants for item in _CODE if item in grant.privileges
        ]
        if name != PUBLIC and held.powers["SET USER"][:1] == (PUBLIC,):
            places = [place for place in places if place[2][:1] != (PUBLIC,)]  # or it is a path of PUBLIC
        for privilege, where, chain in places[:1]:
            steps = (
                *_holding(held.powers["SET USER"]),
                "has SET USER",
                *_holding(chain),
                f"has {privilege} on {where}",
                "writes code there that runs as root: DEFINER = root@localhost",
            )
            yield Escalation(name, tuple(dict.fromkeys(steps)), SUPERUSER)

    def _by_definer(self, name: str, held: _Held) -> Iterator[Escalation]:
        for definer, items in self._lent.items():
            reaches = self._reach_of(definer)
            if definer == name or not reaches:
                continue
            # The one that builds statements itself does whatever its caller makes it do.
            for item in sorted(items, key=lambda item: not self._is_dynamic(item)):
                chain = _opened(item, held)
                if chain is None:
                    continue
                verb = "may use the view" if item.kind == "view" else f"may call the {item.kind}"
                what = f"{verb} {catalog.typed(item.database, item.name)}, which runs as {definer}"
                then = (
                    "it builds statements from text: what it is given there runs as the definer"
                    if self._is_dynamic(item)
                    else "what it does there is done with the rights of the definer; its text says how far that goes"
                )
                yield Escalation(name, (*_holding(chain), what, then), reaches)
                break

    def _is_dynamic(self, item: Lender) -> bool:
        return (item.database, item.name, item.kind) in self._dynamic

    def _reach_of(self, definer: str) -> str:
        if definer in self._graph.superusers:
            return SUPERUSER
        if definer not in self._graph.principals:
            return ""
        powers = self._graph.powers(definer)
        return next((power.reaches for power in _POWERS if power.privilege in powers), "")


def _by_proxy(reader: Reader, graph: Graph) -> Iterator[Escalation]:
    for user, host, proxied, proxied_host, _ in reader.rows(catalog.PROXIES):
        name, whom = catalog.named(user, host, False), catalog.named(proxied, proxied_host, False)
        principal = graph.principals.get(name)
        if principal is None or name in graph.superusers or not principal.can_log_in:
            continue
        acting = any(method.plugin in _ACTING for method in principal.methods)
        if acting and (not proxied or whom in graph.superusers):
            what = f"has PROXY on {whom if proxied else 'every account'}"
            yield Escalation(name, (what, "its plugin lets it in as that one"), SUPERUSER)


def _decides(grant: Grant) -> bool:
    return bool({"INSERT", "UPDATE"} & set(grant.privileges)) and on_system_tables(grant, _DECIDING)


def _writes_code(grant: Grant) -> bool:
    return grant.kind in ("database", "table") and any(item in grant.privileges for item in _CODE)


def _calls(grant: Grant, names: set[str]) -> bool:
    if grant.kind == "database":
        return bool(names) and bool({"EXECUTE", "SELECT", "INSERT", "UPDATE", "DELETE"} & set(grant.privileges))
    return grant.name in names


def _opened(item: Lender, held: _Held) -> Chain | None:
    """The chain by which an account may use what runs as another; None when it may not."""
    for privilege in item.opened_by:
        if privilege in held.powers:
            return held.powers[privilege]
    for grant, chain in held.grants:
        if not item.opened_by & set(grant.privileges):
            continue
        if grant.kind == "database" and catalog.matches(grant.database, item.database):
            return chain
        kinds = ("table", "column") if item.kind == "view" else (item.kind,)
        if (grant.database, grant.name) == (item.database, item.name) and grant.kind in kinds:
            return chain
    return None


def _holding(chain: Chain) -> tuple[str, ...]:
    if chain in ((), (PUBLIC,)):
        return ()  # what every account has needs no holding
    through = f", which holds {', which holds '.join(chain[1:])}" if chain[1:] else ""
    return (f"holds the role {chain[0]}{through}",)


def _dynamic(reader: Reader) -> frozenset[tuple[str, str, str]]:
    return frozenset(
        (str(database), str(name), str(kind))
        for database, name, kind, body in reader.rows(_BODIES)
        if _DYNAMIC.search(body if isinstance(body, bytes) else str(body).encode())
    )
