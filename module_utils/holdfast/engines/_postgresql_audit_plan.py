"""What remediation does to a role of PostgreSQL, with the way back read from the catalog before.

Objects are looked up by the text that an audit writes, so no text of a policy becomes part of a statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..audit.model import PUBLIC, Action, Step
from ..errors import InvalidInput, Refused
from ._postgresql_audit_drop import drop
from ._postgresql_audit_grants import grant_membership, grant_right, revoke_membership, revoke_right
from ._postgresql_audit_roles import EPOCH, Role, Roles
from ._postgresql_audit_sql import reading
from ._postgresql_session import Session, literal, quoted

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

ATTRIBUTES = ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")
_KNOWN = {
    Action.LOCK: frozenset(),
    Action.EXPIRE: frozenset({"expires"}),
    Action.DROP: frozenset({"reassign"}),
    Action.CREATE: frozenset({"login", "expires", "connections", "attributes"}),
    Action.GRANT: frozenset({"role", "admin", "attribute", "privilege", "kind", "object", "database", "grantable"}),
    Action.REVOKE: frozenset({"role", "admin", "attribute", "privilege", "kind", "object", "database"}),
}
_WHO = "SELECT session_user::text, pg_is_in_recovery()"
_CAN_ADMINISTER = """
    SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin AND coalesce(rolvaliduntil, 'infinity') > now()
"""


def plan(engine: PostgreSQL, action: Action, account: str, details: dict[str, Any]) -> Sequence[Step]:
    """See the protocol. What details there are, by action.

    ``revoke`` and ``grant`` take ``role`` (with ``admin``: the admin option alone), ``attribute``, or ``privilege``,
    ``kind``, ``object`` and ``database`` as the fields of a Right (``grant`` also ``grantable``); ``expire`` takes
    ``expires``, now when left out; ``drop`` takes ``reassign``, the role that gets what the account owns; ``create``
    takes ``login``, ``expires``, ``connections`` and ``attributes``.
    """
    strange = sorted(set(details) - _KNOWN[action])
    if strange:
        raise InvalidInput(
            f"{action} takes no {', '.join(strange)}",
            where=account,
            remedy=f"It takes {', '.join(sorted(_KNOWN[action])) or 'nothing more'}",
        )
    with reading(engine) as seen:
        roles = Roles.read(seen)
        _guard(seen, action, account, details, engine.where)
        if action is Action.CREATE:
            return _create(roles, account, details)
        role = _known(roles, account, engine.where)
        if account == PUBLIC and "privilege" not in details:
            raise InvalidInput("PUBLIC is no account: it has privileges only", where=engine.where)
        if action is Action.LOCK:
            return _lock(role)
        if action is Action.EXPIRE:
            return _expire(role, details.get("expires"))
        if action in (Action.GRANT, Action.REVOKE) and "attribute" in details:
            return _attribute(role, action, str(details["attribute"]))
        if action in (Action.GRANT, Action.REVOKE) and "role" in details:
            held = _known(roles, str(details["role"]), engine.where)
            change = grant_membership if action is Action.GRANT else revoke_membership
            return change(seen, held.name, role.name, admin=bool(details.get("admin")))
    if action is Action.DROP:
        reassign = details.get("reassign")
        return drop(engine, role.name, _known(roles, str(reassign), engine.where).name if reassign else None)
    right = grant_right if action is Action.GRANT else revoke_right
    return right(engine, account, details)


def survivors(seen: Session) -> set[str]:
    """The accounts that can administer the server now."""
    return set(seen.names(_CAN_ADMINISTER))


def _guard(seen: Session, action: Action, account: str, details: dict[str, Any], where: str) -> None:
    own, replica = seen.row(_WHO)
    if replica:
        raise Refused("a replica takes no changes", where=where, remedy="Change the primary")
    if action is Action.REVOKE and not details:
        raise InvalidInput(
            "what is to be revoked is not said", where=account, remedy="Give role, attribute or privilege"
        )
    if action in (Action.GRANT, Action.CREATE):
        return
    if account == own:
        raise Refused(
            f"{account} is the account that this connection uses: nothing is taken from it",
            where=where,
            remedy="Connect as another administrator",
        )
    takes = action in (Action.LOCK, Action.EXPIRE, Action.DROP) or details.get("attribute") == "SUPERUSER"
    if takes and survivors(seen) <= {account}:
        raise Refused(f"{account} is the last superuser that can log in", where=where, remedy="Make another one first")
    if action is not Action.REVOKE and account.startswith("pg_"):
        raise Refused(f"{account} belongs to the server", where=where, remedy="Revoke it from its members instead")


def _known(roles: Roles, name: str, where: str) -> Role:
    if name == PUBLIC:
        return Role(0, PUBLIC, False, False, False, False, False, False, None)
    if name not in roles.by_name:
        raise InvalidInput(f"there is no role {name}", where=where, remedy="Name one that the audit lists")
    return roles.by_name[name]


def _step(action: Action, role: str, what: str, do: str, undo: str) -> Step:
    return Step(action, role, what, (do,), (undo,))


def _lock(role: Role) -> Sequence[Step]:
    if not role.login:
        return ()
    name = quoted(role.name)
    what = f"{role.name} can no longer log in; sessions that are open go on"
    return (_step(Action.LOCK, role.name, what, f"ALTER ROLE {name} NOLOGIN", f"ALTER ROLE {name} LOGIN"),)


def _moment(given: Any) -> datetime:
    if given is None:
        return datetime.now(timezone.utc)
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given).replace("Z", "+00:00"))
    except ValueError:
        raise InvalidInput(
            f"{given!r} is no time", where="expires", remedy="Write it as 2027-01-31T00:00:00+00:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _until(moment: datetime | None) -> str:
    if moment == EPOCH:
        return literal("-infinity")
    return literal(moment.isoformat() if moment else "infinity")


def _expire(role: Role, given: Any) -> Sequence[Step]:
    moment = _moment(given)
    if role.expires is not None and role.expires <= moment:
        return ()
    do = f"ALTER ROLE {quoted(role.name)} VALID UNTIL {_until(moment)}"
    undo = f"ALTER ROLE {quoted(role.name)} VALID UNTIL {_until(role.expires)}"
    what = f"the password of {role.name} ends at {moment:%Y-%m-%d %H:%M %Z}; peer and certificates still let it in"
    return (_step(Action.EXPIRE, role.name, what, do, undo),)


def _create(roles: Roles, account: str, details: dict[str, Any]) -> Sequence[Step]:
    if account in roles.by_name:
        return ()
    attributes = [str(item).upper() for item in details.get("attributes", ())]
    for attribute in attributes:
        _power(attribute)
    words = ["LOGIN" if details.get("login") else "NOLOGIN", *attributes]
    if details.get("connections") is not None:
        words.append(f"CONNECTION LIMIT {int(details['connections'])}")
    if details.get("expires") is not None:
        words.append(f"VALID UNTIL {_until(_moment(details['expires']))}")
    do = f"CREATE ROLE {quoted(account)} {' '.join(words)}"
    what = f"{account} is made, without a password"
    return (_step(Action.CREATE, account, what, do, f"DROP ROLE {quoted(account)}"),)


def _power(attribute: str) -> str:
    if attribute not in ATTRIBUTES:
        raise InvalidInput(f"there is no attribute {attribute}", where="attribute", remedy=", ".join(ATTRIBUTES))
    return attribute


def _attribute(role: Role, action: Action, given: str) -> Sequence[Step]:
    attribute, name = _power(given.upper()), quoted(role.name)
    has, wants = attribute in role.attributes, action is Action.GRANT
    if has == wants:
        return ()
    if role.bootstrap:
        raise Refused(f"{role.name} is the role of initdb, which stays a superuser", where=attribute)
    words = (attribute, f"NO{attribute}") if wants else (f"NO{attribute}", attribute)
    what = f"{role.name} {'gets' if wants else 'loses'} {attribute}"
    return (_step(action, role.name, what, f"ALTER ROLE {name} {words[0]}", f"ALTER ROLE {name} {words[1]}"),)


def by_database(steps: Sequence[Step]) -> Iterator[tuple[str, list[Step]]]:
    """Steps that follow each other in one database."""
    held: list[Step] = []
    for step in steps:
        if held and (step.database or "postgres") != (held[0].database or "postgres"):
            yield held[0].database or "postgres", held
            held = []
        held.append(step)
    if held:
        yield held[0].database or "postgres", held
