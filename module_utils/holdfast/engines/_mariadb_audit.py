"""Accounts and rights of a MariaDB server, for an audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..audit.model import Account, Action, Check, Escalation, Finding, Membership, Right, Step
from . import _mariadb_audit_accounts as accounts
from . import _mariadb_audit_answers as answers
from . import _mariadb_audit_answers_server as server_answers
from . import _mariadb_audit_log as log
from . import _mariadb_audit_paths as paths
from . import _mariadb_audit_rights as rights
from ._mariadb_audit_apply import change
from ._mariadb_audit_changes import Planner
from ._mariadb_audit_checks import ACCOUNT_CHECKS
from ._mariadb_audit_checks_server import SERVER_CHECKS
from ._mariadb_audit_graph import Graph
from ._mariadb_audit_session import Session

if TYPE_CHECKING:
    from .mariadb import MariaDB

CHECKS = tuple(sorted((*ACCOUNT_CHECKS, *SERVER_CHECKS), key=lambda check: check.id))
_ANSWERS = {**answers.ANSWERS, **server_answers.ANSWERS}


class MariaDBAuditor:
    """See the protocol. Who holds which role is read once and kept until something is changed here."""

    def __init__(self, engine: MariaDB) -> None:
        self.engine = engine
        self._session = Session(engine)
        self._graph: Graph | None = None

    @property
    def graph(self) -> Graph:
        """Accounts and roles."""
        if self._graph is None:
            self._graph = Graph.read(self._session)
        return self._graph

    def checks(self) -> Sequence[Check]:
        return CHECKS

    def answer(self, check: Check) -> Sequence[Finding]:
        question = answers.Question(check, self._session, self.graph, self.engine.instance.os_user)
        return tuple(_ANSWERS[check.id](question))

    def accounts(self) -> Sequence[Account]:
        principals = list(self.graph.principals.values())
        seen, silence = log.last_logins(self._session, principals)
        seen.update(accounts.connected(self._session, principals, datetime.now(timezone.utc)))
        return accounts.accounts(self._session, self.graph, seen, silence, owner=self.engine.instance.os_user)

    def memberships(self) -> Sequence[Membership]:
        return rights.memberships(self.graph)

    def rights(self) -> Iterator[Right]:
        return rights.rights(self._session, self.graph)

    def escalations(self) -> Sequence[Escalation]:
        return paths.escalations(self._session, self.graph)

    def observed_grants(self, since: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        return log.observed(self._session, list(self.graph.principals.values()), since)

    def plan(self, action: Action, account: str, **details: Any) -> Sequence[Step]:
        return Planner(self._session).plan(action, account, details)

    def change(self, steps: Sequence[Step]) -> None:
        self._graph = None
        change(self._session, steps)
