"""What Holdfast asks of an engine whose server is patched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Drained:
    """How the sessions of a server ended: ``idle`` ones at once, ``interrupted`` ones in the middle of their work."""

    idle: int
    interrupted: int


class Maintained(Protocol):
    """A server that is stopped and started around new packages."""

    def executable(self) -> str:
        """The program that runs, whose package is the server's. Asks the host, not the server."""

    def packages(self) -> Sequence[str]:
        """Packages of tools that Holdfast uses with this engine."""

    def long_transactions(self, seconds: float) -> Sequence[str]:
        """Transactions of others that have been open for longer, as a person would name them. As the owner."""

    def drain(self, patience: float) -> Drained:
        """Let nobody new in, end sessions that do nothing, and wait so many seconds for the others. As the owner.

        Afterwards the server is on its way down or waits to be stopped; administrators may still be let in.
        """

    def undrain(self) -> None:
        """Take back what :meth:`drain` did to a server that was not stopped after all. As the owner."""

    def stop(self) -> None:
        """Stop the server through its service manager. Needs root."""

    def start(self, patience: float) -> None:
        """Start it, and wait so many seconds until it answers. Needs root. Raises ServerUnavailable, CommandFailed."""
