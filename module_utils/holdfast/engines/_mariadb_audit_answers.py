"""How the checks about accounts and rights are answered. What they ask, and why, is data elsewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Callable, NamedTuple

from ..audit.model import PUBLIC, Check, Finding, Severity
from . import _mariadb_audit_catalog as catalog
from ._mariadb_audit_accounts import is_system
from ._mariadb_audit_catalog import ADMINISTRATIVE, ALL, GRANT_OPTION, Principal, named
from ._mariadb_audit_checks import DEFINED, GRANTABLE, SYSTEM_RIGHTS
from ._mariadb_audit_graph import Graph
from ._mariadb_audit_passwords import Guesser, weak
from ._mariadb_audit_session import Reader, text

CRITICAL, HIGH, LOW = Severity.CRITICAL, Severity.HIGH, Severity.LOW
SUPER = frozenset(
    ("SUPER", "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN", "READ_ONLY ADMIN", "REPLICATION SLAVE ADMIN",
     "BINLOG ADMIN", "BINLOG REPLAY")
)  # fmt: skip
_OTHER = ADMINISTRATIVE - SUPER - {"FILE", "SHOW DATABASES"}
_ANYWHERE = re.compile(r"[%_.]*$|0\.0\.0\.0/")
_LISTED = 3  # names that one finding holds, of many


class Question(NamedTuple):
    """A check that is put to a server."""

    check: Check
    reader: Reader
    graph: Graph
    owner: str  # the operating system's user whose the server is

    def finding(
        self, subject: str, found: str, *, account: str = "", severity: Severity | None = None, database: str = ""
    ) -> Finding:
        """A row of the answer."""
        return Finding(self.check.id, subject, found, severity or self.check.severity, account, database)

    def logins(self) -> Iterator[Principal]:
        """Accounts that are not roles."""
        return (item for item in self.graph.principals.values() if not item.is_role)

    def open(self) -> Iterator[Principal]:
        """Accounts that can log in."""
        return (item for item in self.logins() if item.can_log_in)

    def judged(self) -> Iterator[Principal]:
        """Accounts whose powers are judged one by one: not those of the server, and not those that have them all."""
        return (
            item for item in self.logins() if not is_system(item, self.owner) and item.name not in self.graph.superusers
        )

    def judged_and_public(self) -> Iterator[Principal]:
        """Those, and before them PUBLIC where it is in use."""
        if PUBLIC in self.graph.principals:
            yield self.graph.principals[PUBLIC]
        yield from self.judged()

    def all_of(self, chain: tuple[str, ...]) -> bool:
        """Whether a chain leads to a role with all privileges."""
        return bool(chain) and chain[-1] in self.graph.superusers


Answer = Callable[[Question], Iterable[Finding]]


def _nameless(ask: Question) -> Iterator[Finding]:
    for item in ask.logins():
        if not item.user:
            yield ask.finding(item.name, "an account without a name", account=item.name)


def _anywhere(ask: Question) -> Iterator[Finding]:
    for item in ask.logins():
        if _ANYWHERE.match(item.host):
            found = f"may log in from {item.host or 'any host'}" + (", and is locked" if item.locked else "")
            yield ask.finding(item.name, found, account=item.name, severity=LOW if item.locked else None)


def _remote_administrators(ask: Question) -> Iterator[Finding]:
    for item in ask.open():
        if item.remote and (item.user == "root" or item.name in ask.graph.superusers):
            powers = "all privileges" if item.name in ask.graph.superusers else "the name root"
            yield ask.finding(item.name, f"{powers}, from {item.host or 'any host'}", account=item.name)


def _empty_passwords(ask: Question) -> Iterator[Finding]:
    for item in ask.open():
        methods = [method.plugin for method in item.methods if method.open]
        if methods:
            yield ask.finding(item.name, f"logs in without a password ({', '.join(methods)})", account=item.name)


def _weak_passwords(ask: Question) -> Iterator[Finding]:
    for item, found, untested in weak(ask.open(), Guesser()):
        shown = found or f"not tested: {untested}"
        yield ask.finding(item.name, shown, account=item.name, severity=None if found else LOW)


def _old_methods(ask: Question) -> Iterator[Finding]:
    for item in ask.open():
        for method in item.methods:
            if method.plugin in ("mysql_native_password", "mysql_old_password") and method.stored and method.usable:
                old = not method.stored.startswith("*")
                found = "16 digits, as before MySQL 4.1" if old else f"{method.plugin}, an unsalted SHA-1"
                yield ask.finding(item.name, found, account=item.name, severity=HIGH if old else None)
                break


def _holders_of(wanted: Iterable[str], severe: Mapping[str, Severity]) -> Answer:
    names = frozenset(wanted)

    def answer(ask: Question) -> Iterator[Finding]:
        for item in ask.judged():
            held = sorted(item.privileges & names)
            if held:
                worst = next((severe[name] for name in held if name in severe), None)
                yield ask.finding(item.name, ", ".join(held), account=item.name, severity=worst)

    return answer


def _super(ask: Question) -> Iterator[Finding]:
    for item in ask.logins():
        if item.name in ask.graph.superusers and not is_system(item, ask.owner):
            yield ask.finding(item.name, ALL, account=item.name, severity=CRITICAL)
    yield from _holders_of(SUPER, {})(ask)


def _grantable(ask: Question) -> Iterator[Finding]:
    roles = [item for name, item in ask.graph.principals.items() if name in ask.graph.roles]
    for item in (*ask.judged(), *roles):
        if GRANT_OPTION in item.privileges:
            yield ask.finding(f"{item.name} on *.*", GRANT_OPTION, account=item.name)
    judged = {item.name for item in ask.judged()} | ask.graph.roles
    for user, host, where, count in ask.reader.rows(GRANTABLE):
        name = named(user, host, not host and user in ask.graph.roles)
        if name in judged:
            found = f"{GRANT_OPTION}, {count} times" if int(count) > 1 else GRANT_OPTION
            yield ask.finding(f"{name} on {text(where)}", found, account=name, severity=Severity.MEDIUM)


def _system_rights(ask: Question) -> Iterator[Finding]:
    judged = {item.name for item in ask.judged()} | ask.graph.roles
    found: dict[str, list[str]] = defaultdict(list)
    for user, host, database, table, held in ask.reader.rows(SYSTEM_RIGHTS):
        name = named(user, host, not host and user in ask.graph.roles)
        if held and name in judged:
            found[name].append(f"{text(held)} on {catalog.typed(text(database), text(table) or '*')}")
    for name, rights in found.items():
        yield ask.finding(name, _some(rights, "; "), account=name)


def _everywhere(ask: Question) -> Iterator[Finding]:
    # GRANT OPTION and the powers over the server are other checks, and so is a role that has everything.
    for item in ask.judged_and_public():
        held: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for privilege, chain in ask.graph.powers(item.name, public=False).items():
            if privilege not in ADMINISTRATIVE | {GRANT_OPTION} and not ask.all_of(chain):
                held[chain].append(privilege)
        found = [f"{', '.join(sorted(names))} on *.*{_through(chain)}" for chain, names in sorted(held.items())]
        if found:
            yield ask.finding(_whose(item), "; ".join(found), account=item.name)


def _unencrypted(ask: Question) -> Iterator[Finding]:
    if ask.reader.variables("require_secure_transport").get("require_secure_transport") == "ON":
        return
    for item in ask.open():
        if item.remote and not item.encrypted:
            found = f"may log in from {item.host or 'any host'} without TLS"
            yield ask.finding(item.name, found, account=item.name)


def _definers(ask: Question) -> Iterator[Finding]:
    strong = SUPER | {"CREATE USER"}
    powerful = {name for name, item in ask.graph.principals.items() if item.privileges & strong} | ask.graph.superusers
    for kind, database, name, written, security in (map(text, row) for row in ask.reader.rows(DEFINED)):
        if security != "DEFINER" or written == "mariadb.sys@localhost":
            continue
        subject, definer = f"{kind} {catalog.typed(database, name)}", ask.graph.definer(written)
        if definer not in ask.graph.principals:
            found = f"runs as {definer}, which is not there"
            yield ask.finding(subject, found, account=definer, database=database)
        elif definer in powerful:
            # Nobody calls a trigger or an event: it runs what its definer wrote.
            lesser = LOW if kind in ("trigger", "event") else None
            found = f"runs as {definer}, which is powerful"
            yield ask.finding(subject, found, account=definer, database=database, severity=lesser)


def _through_roles(ask: Question) -> Iterator[Finding]:
    for item in ask.judged_and_public():
        found = []
        for privilege, chain in sorted(ask.graph.powers(item.name, public=False).items()):
            whole = ask.all_of(chain)
            if whole and f"{ALL}{_through(chain)}" not in found:
                found.append(f"{ALL}{_through(chain)}")
            elif privilege in ADMINISTRATIVE and not whole and (chain or item.name == PUBLIC):
                found.append(f"{privilege}{_through(chain) or f' through {PUBLIC}'}")
        if found:
            yield ask.finding(_whose(item), "; ".join(found), account=item.name, severity=_severity_of(found))


def _whose(item: Principal) -> str:
    # What every account has through PUBLIC is said once.
    return "every account" if item.name == PUBLIC else item.name


def _through(chain: tuple[str, ...]) -> str:
    return f" through {' and '.join(chain)}" if chain else ""


def _severity_of(found: Iterable[str]) -> Severity | None:
    severe = SUPER | {"FILE", "CREATE USER", ALL}
    return None if any(item.partition(" through")[0] in severe for item in found) else Severity.MEDIUM


def _proxies(ask: Question) -> Iterator[Finding]:
    judged = {item.name for item in ask.judged()}
    for user, host, proxied, proxied_host, grantable in ask.reader.rows(catalog.PROXIES):
        name = named(text(user), text(host), False)
        if name in judged:
            whom = named(text(proxied), text(proxied_host), False) if proxied else "any account"
            found = f"may act as {whom}" + (", and hand that on" if grantable else "")
            yield ask.finding(f"{name} as {whom}", found, account=name)


def _some(items: list[str], joint: str) -> str:
    more = len(items) - _LISTED
    return joint.join(items[:_LISTED]) + (f" and {more} more" if more > 0 else "")


ANSWERS: Mapping[str, Answer] = {
    "MY01": _nameless,
    "MY02": _anywhere,
    "MY03": _remote_administrators,
    "MY04": _empty_passwords,
    "MY05": _weak_passwords,
    "MY06": _old_methods,
    "MY07": _holders_of(("FILE",), {}),
    "MY08": _super,
    "MY09": _holders_of(_OTHER, {"CREATE USER": CRITICAL}),
    "MY10": _grantable,
    "MY11": _system_rights,
    "MY12": _everywhere,
    "MY18": _unencrypted,
    "MY25": _definers,
    "MY26": _through_roles,
    "MY36": _proxies,
}
