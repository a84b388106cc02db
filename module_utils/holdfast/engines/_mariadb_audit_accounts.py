"""Accounts as an audit lists them, and what the server can tell about their use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone

from ..audit.model import PUBLIC, Account
from . import _mariadb_audit_catalog as catalog
from ._mariadb_audit_catalog import Principal
from ._mariadb_audit_graph import Graph
from ._mariadb_audit_session import Reader, text

# MariaDB knows no owner of an object, only in whose name a routine, an event, a view or a trigger runs.
OWNED = """
    SELECT definer, count(*) FROM mysql.proc GROUP BY 1
    UNION ALL SELECT definer, count(*) FROM mysql.event GROUP BY 1
    UNION ALL SELECT definer, count(*) FROM information_schema.views GROUP BY 1
    UNION ALL SELECT definer, count(*) FROM information_schema.triggers GROUP BY 1
"""
CONNECTED = """
    SELECT DISTINCT user, regexp_replace(host, ':[0-9]+$', '') FROM information_schema.processlist
     WHERE id <> connection_id() AND user NOT IN ('system user', 'event_scheduler', 'unauthenticated user')
"""
_STATISTICS = "SELECT user, total_connections FROM information_schema.user_statistics WHERE total_connections > 0"
_CREATED = "MariaDB keeps no date of creation"

Seen = Mapping[str, tuple[datetime, str]]  # by account, with what told it


def accounts(reader: Reader, graph: Graph, seen: Seen, silence: str, *, owner: str) -> list[Account]:
    """Every principal. ``silence`` says why an account that is not among those seen may have logged in all the same."""
    owned: Counter[str] = Counter()
    for definer, count in reader.rows(OWNED):
        owned[text(definer)] += int(count)
    lifetime = int(reader.variables("default_password_lifetime").get("default_password_lifetime") or 0)
    used = _used(reader)
    return [
        _account(item, graph, owned[item.name], lifetime, seen.get(item.name), used.get(item.user, silence), owner)
        for item in graph.principals.values()
    ]


def match(principals: Iterable[Principal], user: str, host: str) -> str | None:
    """The account that the server takes for a user from a host: the most specific one."""
    fitting = [item for item in principals if not item.is_role and item.user == user and _fits(item.host, host)]
    # The server sorts by what comes before the first wildcard.
    fitting.sort(key=lambda item: (bool(_WILD.search(item.host)) or not item.host, -len(_WILD.split(item.host)[0])))
    return fitting[0].name if fitting else None


def connected(reader: Reader, principals: Sequence[Principal], now: datetime) -> dict[str, tuple[datetime, str]]:
    """The accounts that are logged in now."""
    found = (match(principals, text(user), text(host)) for user, host in reader.rows(CONNECTED))
    return {name: (now, "it is connected now") for name in found if name}


def moment(seconds: int | None) -> datetime | None:
    """A time of Unix."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def expiry(principal: Principal, lifetime: int) -> datetime | None:
    """When its password expires. The server writes the beginning of Unix time for one that was made to expire."""
    if principal.changed is None or not any(method.takes_password for method in principal.methods):
        return None
    if principal.changed == 0:
        return moment(0)
    days = lifetime if principal.lifetime < 0 else principal.lifetime
    set_at = moment(principal.changed)
    return set_at + timedelta(days=days) if days and set_at else None


def password_state(principal: Principal) -> str:
    """Whether there is a password: set, empty, or none where nothing takes one."""
    taking = [method for method in principal.methods if method.takes_password and method.usable]
    if not taking:
        return "none"
    return "empty" if any(method.open for method in taking) else "set"


def is_system(principal: Principal, owner: str) -> bool:
    """Whether the server's installation brought it: the account of its views, and the two that own the server."""
    local = principal.host == "localhost" and principal.user in ("mariadb.sys", "root", owner)
    return local or principal.name == PUBLIC


def _account(
    item: Principal,
    graph: Graph,
    owns: int,
    lifetime: int,
    seen: tuple[datetime, str] | None,
    silence: str,
    owner: str,
) -> Account:
    unknown = {"created": _CREATED + ("" if item.is_role else "; password_changed is when its password was set")}
    if seen is None and not item.is_role:
        unknown["last_seen"] = silence
    return Account(
        name=item.name,
        login=not item.is_role,
        superuser=item.name in graph.superusers,
        last_seen=seen[0] if seen else None,
        last_seen_source=seen[1] if seen else "",
        method=" or ".join(method.plugin for method in item.methods if method.usable) or "none",
        password=password_state(item),
        expires=expiry(item, lifetime),
        locked=item.locked,
        system=is_system(item, owner),
        owns=owns,
        member_of=graph.direct(item.name),
        attributes=tuple(sorted(item.privileges & catalog.ADMINISTRATIVE)),
        unknown=unknown,
        password_changed=moment(item.changed or None),
    )


def _used(reader: Reader) -> dict[str, str]:
    """What statistics say of users, without a time, where the server keeps them."""
    if reader.variables("userstat").get("userstat") != "ON":
        return {}
    return {
        text(user): f"it logged in {count} times since the server or its statistics began; when is not kept"
        for user, count in reader.rows(_STATISTICS)
    }


_WILD = re.compile(r"[%_/]")


def _fits(pattern: str, host: str) -> bool:
    if "/" in pattern:
        return _in_network(pattern, host)
    return pattern in ("", "%") or catalog.matches(pattern.lower(), host.lower())


def _in_network(pattern: str, host: str) -> bool:
    network, mask = pattern.split("/", 1)
    try:
        bits = [int.from_bytes(bytes(map(int, text.split("."))), "big") for text in (network, mask, host)]
    except ValueError:
        return False
    return bits[2] & bits[1] == bits[0]
