"""What Holdfast asks of an engine whose logs are looked after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..files import File

LOGROTATE, ENGINE, JOURNAL, SYSLOG = ROTATORS = ("logrotate", "engine", "journal", "syslog")


@dataclass(frozen=True)
class Source:
    """One log that a server writes, and who rotates it.

    ``reopen`` are commands that make the server go on in a new file; without any, the file is copied and emptied.
    ``why`` says in words why it is not logrotate that rotates it. ``parameters`` are what the engine's own rotation
    is set to, ``current`` what it is now. ``names`` are the rotated files that the engine makes, as a pattern.
    """

    kind: str
    path: str
    rotated_by: str = LOGROTATE
    why: str = ""
    user: str = "root"
    group: str = "root"
    su: str = ""
    reopen: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    names: str = ""
    program: str = ""  # by which the journal and syslog know its lines
    distribution: tuple[str, ...] = ()  # files in logrotate.d by which the packages of the engine rotate it
    also_audit: bool = False  # it holds the audit trail as well
    # Parameters with which the engine leaves its rotation to logrotate, and the file that it writes then.
    adopt: Mapping[str, str] = field(default_factory=dict)
    adopted: str = ""


@dataclass(frozen=True)
class Holder:
    """What keeps the server from removing log: a slot. ``size`` is what it holds in bytes, ``limit`` what it may."""

    name: str
    active: bool
    size: int
    limit: int | None = None
    what: str = ""
    state: str = ""


@dataclass(frozen=True)
class LogSpace:
    """The log for recovery on disk: how much there is, how fast it grows, and what bounds it."""

    directory: str
    size: int
    files: int
    rate: float  # bytes a second, on average as the server tells it
    keeps: float | None = None  # seconds after which the server removes it by itself; None for never
    redo_size: int = 0  # what the redo log may have
    redo_rate: float = 0.0  # bytes a second
    redo_wanted: int = 0  # what the load asks for
    redo_parameter: str = ""
    interval: float | None = None  # seconds after which a log file is closed at the latest; None for never
    archiving: bool = False
    failing: str = ""
    holders: tuple[Holder, ...] = ()
    slots_limited: bool | None = None  # None where the engine has no slots
    unlimited_reason: str = ""
    directories: tuple[str, ...] = ()  # whose file systems the server needs: data and log


@dataclass(frozen=True)
class Need:
    """The oldest log that a replica still needs, as it says itself. ``file`` is empty when that is not known."""

    primary: str
    replica: str
    file: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Purge:
    """What can be removed of the log for recovery, and why the rest stays."""

    files: tuple[str, ...] = ()
    size: int = 0
    kept: Mapping[str, str] = field(default_factory=dict)  # why, by file or slot
    statements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class LogKeeper(Protocol):
    """Reads what a running server says of its logs; changes them by the server's own means alone.

    Methods raise Unsupported, with the reason, for what the engine does not have.
    """

    def sources(self) -> tuple[Sequence[Source], Mapping[str, str]]:
        """The logs for people, and why there is none, by the kinds that are missing."""

    def space(self) -> LogSpace:
        """The log for recovery."""

    def need(self) -> Need | None:
        """What this server, as a replica, needs of its primary's log; None when it is none."""

    def limit_rotation(self, source: Source, *, size: int, keep: int, minutes: int) -> Mapping[str, str]:
        """The parameters by which the engine itself rotates a log within these limits."""

    def apply(self, parameters: Mapping[str, str]) -> None:
        """Set parameters that take effect while the server runs, and last where the engine can make them last."""

    def lasting(self, parameters: Mapping[str, str]) -> File | None:
        """The file of root's that makes parameters outlive a restart, where the engine cannot; None without one."""

    def plan_purge(self, needs: Sequence[Need], drop: Sequence[str]) -> Purge:
        """What can go. Reads repositories and records. ``drop`` names slots. Raises Refused for one that is in use."""

    def purge(self, planned: Purge) -> int:
        """Carry a plan out and return the bytes that it freed."""
