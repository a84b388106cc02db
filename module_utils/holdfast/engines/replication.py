"""What Holdfast asks of an engine whose instances form pairs of a primary and a replica."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

ACCOUNT = "holdfast_replica"  # of replicas at their primary, and of either at the other


@dataclass(frozen=True)
class Peer:
    """The other member of a pair, as this one reaches it."""

    name: str
    host: str
    port: int
    password: str = field(default="", repr=False)  # of the account
    version: str = ""  # of its server, where that matters

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ReplicationState:
    """What a running server says of its part in a pair.

    ``generation`` grows with every promotion: of two servers that take writes, the one with the larger is the primary
    and the other one was forgotten. Positions are the engine's own.
    """

    role: str  # primary | replica
    writable: bool
    generation: int
    position: str  # up to which a primary has written, and a replica replayed
    version: str
    source: str | None = None  # host:port that a replica follows
    streaming: bool = False  # log arrives from the primary now
    lag_bytes: int | None = None  # received or announced, and not replayed; None when nobody knows
    lag_seconds: float | None = None  # age of the first change that is not replayed, or an upper bound of it
    problem: str = ""  # why nothing is streamed
    replicas: tuple[str, ...] = ()  # attached to a primary


@dataclass(frozen=True)
class Lost:
    """Changes of a server that its new primary never got, saved before they are discarded."""

    transactions: int
    size_bytes: int
    since: str  # the last position that both have in common
    directory: str | None = None  # where they were saved


@dataclass(frozen=True)
class Replayed:
    """How far a replica got with everything that could be had without its primary."""

    position: str
    missing_bytes: int = 0  # of log that the repositories are known to hold and that was not replayed


class Replication(Protocol):
    """A server as member of a pair. Every method but ``operations`` runs as the instance's OS user.

    It is made with its peer and with the means to have root do one of its ``operations``, where there is one. Methods
    raise Refused while nothing was changed.
    """

    peer: Peer

    def operations(self) -> Mapping[str, Callable[..., Any]]:
        """What root does for it, by name."""

    def close(self) -> None:
        """Close every connection."""

    def has_server(self) -> bool:
        """Whether there is a server of this instance on the host, running or not."""

    def state(self) -> ReplicationState:
        """What the server says now. Raises ServerUnavailable."""

    def tables(self) -> Mapping[str, int]:
        """Its user tables, as the engine has them."""

    def prepare(self, *, change: bool, restart: bool) -> list[str]:
        """Let the peer follow this server, now or after roles were swapped. Returns what changed.

        Network, account and log settings are seen to. Without ``change`` only says what would be. Raises
        RestartRequired where that takes a restart which ``restart`` does not allow; all else is done by then.
        """

    def fill(self) -> dict[str, Any]:
        """Fill the instance from the newest backup of the pair, ready to follow. What was there before is set aside.

        Needs the version of the peer. Returns the backup and where the old data are.
        """

    def follow(self, *, position: str = "") -> bool:
        """Make the server a replica of the peer and wait until log arrives. Returns whether anything changed.

        ``position`` is where the peer took over: a server that went further is refused.
        """

    def demote(self) -> str:
        """Stop taking writes, for good until ``resume`` or ``promote``, and return the last position."""

    def resume(self) -> None:
        """Undo :meth:`demote`."""

    def catch_up(self, position: str, patience: float) -> None:
        """Wait until the replica has replayed up to that position. Raises TargetNotReached."""

    def replay_saved(self, patience: float) -> Replayed:
        """Replay what was received and what the repositories still hold."""

    def promote(self) -> None:
        """Make a replica the primary. Nothing that may fail comes after the point of no return but what repeats."""

    def fence(self) -> None:
        """Keep the server from taking writes, also when it is started again; without root, as far as its owner can."""

    def rejoin(self) -> tuple[Lost | None, dict[str, Any]]:
        """Follow a peer that took over, whatever happened here since; save first what only this server has."""

    def look_at(self) -> tuple[bool, int]:
        """Whether the peer takes writes, and its generation. Raises ServerUnavailable when it does not answer."""
