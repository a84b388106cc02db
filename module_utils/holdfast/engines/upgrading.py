"""What Holdfast asks of an engine before a major upgrade, which a person plans and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..audit.model import Check, Finding


class Upgradable(Protocol):
    """A server that somebody plans to upgrade, asked what stands in the way. As its owner; changes nothing."""

    def valid(self, target: str) -> None:
        """Raise InvalidInput for what is no later version of this server."""

    def checks(self) -> Sequence[Check]:
        """Every question, in the order of their ids."""

    def answer(self, check: Check, target: str) -> Sequence[Finding]:
        """What stands in the way. Raises Unsupported where it cannot be told here, with the reason: never a pass."""

    def facts(self) -> dict[str, Any]:
        """What time and space depend on: ``relations``, ``largest_bytes``."""
