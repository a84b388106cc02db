"""Remediation: what is done to an account, what undoes it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..audit.model import PUBLIC, Action, Step
from ..errors import InvalidInput, Refused
from . import _mariadb_audit_catalog as catalog
from . import _mariadb_audit_shown as shown
from ._mariadb_audit_apply import administrators
from ._mariadb_audit_catalog import ALL, GRANT_OPTION, Principal, literal, sql_name
from ._mariadb_audit_graph import Graph
from ._mariadb_audit_session import DIALECT

if TYPE_CHECKING:
    from ._mariadb_audit_session import Session

_FLUSH = "FLUSH PRIVILEGES"
_INVALID = "IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK"
_METHODS = ("unix_socket", "pam", "gssapi")
_DETAILS = {
    Action.REVOKE: frozenset(("privilege", "object", "kind", "role", "admin", "grantable", "database")),
    Action.GRANT: frozenset(("privilege", "object", "kind", "role", "admin", "grantable", "database")),
    Action.CREATE: frozenset(("role", "method")),
}


class Planner:
    """Plans for one server, as it is now."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._graph = Graph.read(session)
        self._connected = str(session.rows("SELECT current_user()")[0][0])

    def plan(self, action: Action, account: str, details: Mapping[str, Any]) -> Sequence[Step]:
        """See the protocol. No step where everything is as wanted already."""
        self._known(action, account, details)
        self._guard(action, account)
        if "role" in details and action is not Action.CREATE:
            steps = self._role(action, account, str(details["role"]), bool(details.get("admin")))
        else:
            plans: Mapping[Action, Callable[[str, Mapping[str, Any]], Sequence[Step]]] = {
                Action.REVOKE: self._revoke,
                Action.GRANT: self._grant,
                Action.LOCK: self._lock,
                Action.EXPIRE: self._expire,
                Action.DROP: self._drop,
                Action.CREATE: self._create,
            }
            steps = plans[action](account, details)
        if steps:
            self._keeps_administrators(action, account, details)
        # A person runs an undo in a session of his own, perhaps with a mode in which its literals mean something else.
        return [replace(step, undo=(DIALECT, *step.undo)) for step in steps]

    def _known(self, action: Action, account: str, details: Mapping[str, Any]) -> None:
        wrong = sorted(set(details) - _DETAILS.get(action, frozenset()))
        if wrong:
            raise InvalidInput(f"{action} takes no {', '.join(wrong)}", where=account)
        if action in (Action.GRANT, Action.REVOKE) and not (
            "role" in details or {"privilege", "object"} <= set(details)
        ):
            raise InvalidInput(f"{action} needs a role, or a privilege and an object", where=account)
        there = account in self._graph.principals or (account == PUBLIC and action is Action.GRANT)
        if there == (action is Action.CREATE):
            raise InvalidInput("is there already" if there else "there is no such account or role", where=account)

    def _guard(self, action: Action, account: str) -> None:
        if account == self._connected:
            raise Refused(
                f"Holdfast is connected as {account} and does not {action} it",
                where=self._session.engine.where,
                remedy="Change it by hand, as another administrator",
            )
        if account in ("mariadb.sys@localhost", PUBLIC) and action in (Action.DROP, Action.EXPIRE, Action.LOCK):
            raise Refused(
                f"{account} belongs to the server, and {action} would break it",
                where=self._session.engine.where,
                remedy="Revoke from it what it should not have",
            )
        if self._session.rows("SELECT @@read_only")[0][0] and self._session.engine.rows("SHOW ALL SLAVES STATUS"):
            raise Refused(
                "a replica takes its accounts from its primary",
                where=self._session.engine.where,
                remedy="Change them on the primary",
            )

    def _keeps_administrators(self, action: Action, account: str, details: Mapping[str, Any]) -> None:
        before, after = administrators(self._graph), administrators(self._after(action, account, details))
        lost = before - after
        others = after - {self._connected}
        if self._connected in lost or (lost and not others):
            whom = self._connected if self._connected in lost else ", ".join(sorted(lost))
            raise Refused(
                f"{action} of {account} leaves nobody but Holdfast to administer the server: {whom} is the last"
                if self._connected not in lost
                else f"{action} of {account} takes its powers from {whom}, as which Holdfast is connected",
                where=self._session.engine.where,
                remedy="Make another account first that has all privileges and can log in",
            )

    def _after(self, action: Action, account: str, details: Mapping[str, Any]) -> Graph:
        """The graph as it will be, where that can take power from somebody."""
        principals = dict(self._graph.principals)
        held = list(self._graph.memberships)
        if action is Action.DROP:
            del principals[account]
            held = [item for item in held if account not in item[:2]]
        elif action in (Action.LOCK, Action.EXPIRE):
            # An expired password lets nobody in whose client cannot set a new one.
            principals[account] = principals[account]._replace(locked=True)
        elif action is Action.REVOKE and "role" in details:
            held = [item for item in held if item[:2] != (details["role"], account) or details.get("admin")]
        elif action is Action.REVOKE and str(details["object"]).replace(" ", "") == "*.*":
            taken = set(shown.privileges(details["privilege"]))
            left = frozenset() if ALL in taken else principals[account].privileges - taken
            principals[account] = principals[account]._replace(privileges=left)
        return Graph(list(principals.values()), held)

    def _revoke(self, account: str, details: Mapping[str, Any]) -> Sequence[Step]:
        """``grantable`` takes back only that the privileges may be handed on."""
        if details.get("kind") == "account":
            return self._revoke_proxy(account, str(details["object"]))
        where, target = _target(details)
        names = (GRANT_OPTION,) if details.get("grantable") else shown.privileges(details["privilege"])
        line = self._line(account, target)
        held = [name for name in names if line and self._has(line, name, target)]
        if line is None or not held:
            return ()
        statements = [f"REVOKE {_listed(held, target)} ON {target.sql} FROM {sql_name(account)}"]
        if line.grantable and GRANT_OPTION not in held and (ALL in held or set(held) >= set(line.held)):
            # It would stay, for whatever is granted there next.
            statements.append(f"REVOKE {GRANT_OPTION} ON {target.sql} FROM {sql_name(account)}")
        what = f"revoke {', '.join(held)} on {where} from {account}"
        return (Step(Action.REVOKE, account, what, tuple(statements), (line.statement,)),)

    def _revoke_proxy(self, account: str, other: str) -> Sequence[Step]:
        for user, host, proxied, proxied_host, grantable in self._session.rows(catalog.PROXIES):
            if (catalog.named(user, host, False), catalog.named(proxied, proxied_host, False)) == (account, other):
                # Quoted as identifiers, names may be empty here, as nowhere else.
                whom = f"{literal(proxied)}@{literal(proxied_host)}"
                option = " WITH GRANT OPTION" if grantable else ""
                what = f"revoke PROXY on {other} from {account}"
                taken = (f"REVOKE PROXY ON {whom} FROM {sql_name(account)}",)
                given = (f"GRANT PROXY ON {whom} TO {sql_name(account)}{option}",)
                return (Step(Action.REVOKE, account, what, taken, given),)
        return ()

    @staticmethod
    def _has(line: shown.Line, name: str, target: shown.Target) -> bool:
        if name == GRANT_OPTION:
            return line.grantable
        return bool(line.held) if name == ALL else line.has(name, target.columns)

    def _grant(self, account: str, details: Mapping[str, Any]) -> Sequence[Step]:
        where, target = _target(details)
        names = shown.privileges(details["privilege"])
        line = self._line(account, target)
        missing = [name for name in names if line is None or not (ALL in line.held or line.has(name, target.columns))]
        hand_on = (bool(details.get("grantable")) or GRANT_OPTION in names) and not (line and line.grantable)
        missing = [name for name in missing if name != GRANT_OPTION]
        if not missing and not hand_on:
            return ()
        who = sql_name(account)
        given = _listed(missing or ["USAGE"], target._replace(columns=target.columns if missing else ""))
        option = " WITH GRANT OPTION" if hand_on else ""
        undo = [f"REVOKE {_listed(missing, target)} ON {target.sql} FROM {who}"] if missing else []
        if hand_on:
            undo.append(f"REVOKE {GRANT_OPTION} ON {target.sql} FROM {who}")
        if line and ALL in missing:
            undo.append(line.statement)
        what = f"grant {', '.join(missing) or GRANT_OPTION} on {where} to {account}"
        statement = f"GRANT {given} ON {target.sql} TO {who}{option}"
        return (Step(Action.GRANT, account, what, (statement,), tuple(undo)),)

    def _role(self, action: Action, member: str, role: str, admin: bool) -> Sequence[Step]:
        if role not in self._graph.roles:
            raise InvalidInput(f"there is no role {role}", where=member)
        now = next((item for item in self._graph.memberships if item[:2] == (role, member)), None)
        if action is Action.GRANT:
            if now and (now[2] or not admin):
                return ()
            undo = self._given(role, member, False) if now else self._taken(role, member)
            what = f"grant the role {role} to {member}" + (", to hand on too" if admin else "")
            return (Step(action, member, what, self._given(role, member, admin), undo),)
        if now is None or (admin and not now[2]):
            return ()
        if admin:
            what = f"{member} keeps the role {role} and may no longer hand it on"
            return (Step(action, member, what, self._given(role, member, False), self._given(role, member, True)),)
        default = self._graph.principals[member].default_role == role
        taken, undo = self._taken(role, member), self._given(role, member, now[2])
        if default:
            taken = (f"SET DEFAULT ROLE NONE FOR {sql_name(member)}", *taken)
            undo = (*undo, f"SET DEFAULT ROLE {sql_name(role)} FOR {sql_name(member)}")
        return (Step(action, member, f"revoke the role {role} from {member}", taken, undo),)

    def _given(self, role: str, member: str, admin: bool) -> tuple[str, ...]:
        if self._may_hand_on(role):
            now = next((item for item in self._graph.memberships if item[:2] == (role, member)), None)
            if now and now[2] and not admin:
                return (f"REVOKE ADMIN OPTION FOR {sql_name(role)} FROM {sql_name(member)}",)
            return (f"GRANT {sql_name(role)} TO {sql_name(member)}{' WITH ADMIN OPTION' if admin else ''}",)
        # Nobody, with whatever privileges, may grant a role that he does not administer.
        host, user = _place(member)
        values = f"({host}, {user}, {literal(role)}, '{'NY'[admin]}')"
        into = "REPLACE INTO mysql.roles_mapping (Host, User, Role, Admin_option) VALUES"
        return (f"{into} {values}", _FLUSH)

    def _taken(self, role: str, member: str) -> tuple[str, ...]:
        if self._may_hand_on(role):
            return (f"REVOKE {sql_name(role)} FROM {sql_name(member)}",)
        host, user = _place(member)
        condition = f"Host = {host} AND User = {user} AND Role = {literal(role)}"
        return (f"DELETE FROM mysql.roles_mapping WHERE {condition}", _FLUSH)  # noqa: S608  quoted

    def _may_hand_on(self, role: str) -> bool:
        return (role, self._connected, True) in self._graph.memberships

    def _lock(self, account: str, _: Mapping[str, Any]) -> Sequence[Step]:
        if self._login(account, "locked").locked:
            return ()
        who = sql_name(account)
        what = f"lock {account}; sessions that are open go on"
        return (
            Step(
                Action.LOCK, account, what, (f"ALTER USER {who} ACCOUNT LOCK",), (f"ALTER USER {who} ACCOUNT UNLOCK",)
            ),
        )

    def _expire(self, account: str, _: Mapping[str, Any]) -> Sequence[Step]:
        principal = self._login(account, "made to set a new password")
        if principal.changed == 0:
            return ()
        if not any(method.takes_password and method.usable for method in principal.methods):
            raise InvalidInput("it has no password that could expire", where=account)
        # No statement takes an expiry back. What the server writes for one is 0 as the time of the last change.
        if principal.changed is None:
            value = "json_remove(Priv, '$.password_last_changed')"
        else:
            value = f"json_set(Priv, '$.password_last_changed', {int(principal.changed)})"
        host, user = _place(account)
        condition = f"Host = {host} AND User = {user} AND json_value(Priv, '$.password_last_changed') = 0"
        undo = f"UPDATE mysql.global_priv SET Priv = {value} WHERE {condition}"  # noqa: S608  quoted
        statement = f"ALTER USER {sql_name(account)} PASSWORD EXPIRE"
        return (Step(Action.EXPIRE, account, f"expire the password of {account}", (statement,), (undo, _FLUSH)),)

    def _drop(self, account: str, _: Mapping[str, Any]) -> Sequence[Step]:
        principal = self._graph.principals[account]
        who = sql_name(account)
        kind = "ROLE" if principal.is_role else "USER"
        if principal.is_role:
            made, lost = f"CREATE ROLE {who}", ""
        else:
            printed = str(self._session.rows(f"SHOW CREATE USER {who}")[0][0])
            made, lost = shown.made_again(principal, printed)
        undo = [made, *(line.statement for line in self._lines(account))]
        for role, member, admin in self._graph.memberships:
            # The server gives a new role to the one that makes it.
            if account in (role, member) and (role, member) != (account, self._connected):
                undo += self._given_new(role, member, admin, account)
        undo += self._defaults(account)
        what = f"drop the {'role' if principal.is_role else 'account'} {account}{self._in_its_name(account)}"
        return (Step(Action.DROP, account, what, (f"DROP {kind} {who}",), tuple(undo), irreversible=lost),)

    def _given_new(self, role: str, member: str, admin: bool, made: str) -> tuple[str, ...]:
        if role == made:
            return (f"GRANT {sql_name(role)} TO {sql_name(member)}{' WITH ADMIN OPTION' if admin else ''}",)
        return self._given(role, member, admin)

    def _defaults(self, account: str) -> list[str]:
        return [
            f"SET DEFAULT ROLE {sql_name(item.default_role)} FOR {sql_name(item.name)}"
            for item in self._graph.principals.values()
            if item.default_role and account in (item.name, item.default_role)
        ]

    def _in_its_name(self, account: str) -> str:
        query = (
            "SELECT (SELECT count(*) FROM mysql.proc WHERE definer = %s)"
            " + (SELECT count(*) FROM mysql.event WHERE definer = %s)"
            " + (SELECT count(*) FROM information_schema.views WHERE definer = %s)"
            " + (SELECT count(*) FROM information_schema.triggers WHERE definer = %s)"
        )
        count = int(self._session.rows(query, (account,) * 4)[0][0])
        return f"; {count} routines, views, triggers or events run in its name and stop working" if count else ""

    def _create(self, account: str, details: Mapping[str, Any]) -> Sequence[Step]:
        role, method = bool(details.get("role")), str(details.get("method") or "")
        if role:
            if "@" in account:
                raise InvalidInput("a role has no host", where=account, remedy="Leave out what follows the @")
            statement, kind, what = f"CREATE ROLE {sql_name(account)}", "ROLE", f"create the role {account}"
        elif catalog.split(account)[1] is None:
            raise InvalidInput("an account needs a host", where=account, remedy="Write it as name@host")
        elif method and method not in _METHODS:
            raise InvalidInput(
                f"{method} needs a password, which is never part of a plan",
                where=account,
                remedy=f"Leave the method out: the account is made locked; or take one of {', '.join(_METHODS)}",
            )
        else:
            kind, made = "USER", f"IDENTIFIED VIA {method}" if method else _INVALID
            statement = f"CREATE USER {sql_name(account)} {made}"
            what = f"create {account}, " + (f"which logs in by {method}" if method else "locked and without a password")
        return (Step(Action.CREATE, account, what, (statement,), (f"DROP {kind} {sql_name(account)}",)),)

    def _login(self, account: str, what: str) -> Principal:
        principal = self._graph.principals[account]
        if principal.is_role:
            raise InvalidInput(f"a role cannot be {what}", where=account, remedy="Name an account: user@host")
        return principal

    def _lines(self, account: str) -> list[shown.Line]:
        if account not in self._graph.principals:
            return []
        printed = self._session.rows(f"SHOW GRANTS FOR {sql_name(account)}")
        return shown.lines((str(text) for (text,) in printed), account)

    def _line(self, account: str, target: shown.Target) -> shown.Line | None:
        return next((line for line in self._lines(account) if line.object == target.sql), None)


def _listed(names: Sequence[str], target: shown.Target) -> str:
    return ALL if ALL in names else target.of(names)


def _target(details: Mapping[str, Any]) -> tuple[str, shown.Target]:
    """The object as it was given, and as statements name it. Its kind is seen, but for routines."""
    where = str(details["object"])
    kind = str(details.get("kind") or "")
    if not kind:
        bare = where.replace(" ", "")
        ends = {"*": "database", ")": "column"}
        kind = "server" if bare == "*.*" else ends.get(bare[-1:], "table")
    return where, shown.target(kind, where)


def _place(account: str) -> tuple[str, str]:
    """Host and user as literals."""
    user, host = catalog.split(account)
    return literal(host or ""), literal(user)
