"""What Holdfast asks of an engine whose accounts and rights are audited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..audit.model import Account, Action, Check, Escalation, Finding, Membership, Right, Step


class Auditor(Protocol):
    """Reads the catalog of a running server, in read-only transactions, and leaves nothing there.

    Methods raise Unsupported, with the reason, for what the engine does not have, and HoldfastError for what the server
    refuses. Neither is ever an empty answer.
    """

    def checks(self) -> Sequence[Check]:
        """Every hardening check of the engine, in the order of their ids; also those this version cannot answer."""

    def answer(self, check: Check) -> Sequence[Finding]:
        """What a check finds. Raises Unsupported where it is not applicable to this version or set-up."""

    def accounts(self) -> Sequence[Account]:
        """Every principal, those that the server brought among them."""

    def memberships(self) -> Sequence[Membership]:
        """Every role that is held directly."""

    def rights(self) -> Iterator[Right]:
        """The rights of every account in effect, resolved through roles, PUBLIC, ownership and routines.

        A superuser has every right: it yields one row of kind ``server`` and no more. The rights that every account has
        come once, under the account PUBLIC, and not once for each.
        """

    def escalations(self) -> Sequence[Escalation]:
        """The paths by which accounts gain more power than they were given."""

    def observed_grants(self, since: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        """Changes of power that the server's own log shows after a position, and the position that it is read up to.

        Each has ``time``, ``account`` and ``statement``, without secrets. Raises Unsupported where nothing is logged.
        """

    def plan(self, action: Action, account: str, **details: Any) -> Sequence[Step]:
        """The steps that bring an action about, read from the catalog so that the undo is what is there now.

        :raises Refused: the account is the one connected with, or the last that can administer the server.
        """

    def change(self, steps: Sequence[Step]) -> None:
        """Carry the steps out, all of them or none as far as the engine can."""
