"""Who can do what on a PostgreSQL cluster, and what of it should not be so. Nothing is written while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..audit.model import Account, Action, Check, Escalation, Finding, Membership, Right, Step
from . import _postgresql_audit_checks as hardening
from ._postgresql_audit_accounts import accounts
from ._postgresql_audit_change import change
from ._postgresql_audit_escalation import escalations
from ._postgresql_audit_logfiles import observed
from ._postgresql_audit_plan import plan
from ._postgresql_audit_rights import rights
from ._postgresql_audit_roles import Roles
from ._postgresql_audit_sql import reading

if TYPE_CHECKING:
    from .postgresql import PostgreSQL


class PostgreSQLAuditor:
    """The accounts and rights of a cluster, of PostgreSQL 13 and newer, asked as the owner of its data."""

    def __init__(self, engine: PostgreSQL) -> None:
        self._engine = engine

    def checks(self) -> Sequence[Check]:
        return hardening.CHECKS

    def answer(self, check: Check) -> Sequence[Finding]:
        return hardening.answer(self._engine, check)

    def accounts(self) -> Sequence[Account]:
        return accounts(self._engine)

    def memberships(self) -> Sequence[Membership]:
        with reading(self._engine) as seen:
            return Roles.read(seen).memberships()

    def rights(self) -> Iterator[Right]:
        return rights(self._engine)

    def escalations(self) -> Sequence[Escalation]:
        return escalations(self._engine)

    def observed_grants(self, since: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        return observed(self._engine, since)

    def plan(self, action: Action, account: str, **details: Any) -> Sequence[Step]:
        return plan(self._engine, action, account, details)

    def change(self, steps: Sequence[Step]) -> None:
        change(self._engine, steps)
