"""What Holdfast asks of a database engine. docs/decisions/0001 shows the answer of each of the five."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..model import CheckResult, LogExposure, Marker, Place, Reached, ServerInfo, Setting


class Engine(Protocol):
    """A running database server, live or scratch. Connections open on first use.

    Every method raises ServerUnavailable or AccessDenied when the server does not answer or refuses, and Unsupported
    when the engine has no such ability.
    """

    name: str

    def close(self) -> None:
        """Close the connection; the next call opens it again."""

    def inspect(self) -> ServerInfo:
        """Version, data directory, role, size, databases and identity of the server."""

    def log_position(self) -> str:
        """The position up to which the server has written its log now, in its own notation."""

    def log_exposure(self, newest_saved: str | None) -> LogExposure:
        """What would be lost now, given the newest log file or position that the repository holds."""

    def settings(self, wanted: Mapping[str, str]) -> list[Setting]:
        """How each wanted parameter stands. Equal meaning counts as equal (``1min`` and ``60``)."""

    def apply_settings(self, settings: Sequence[Setting]) -> None:
        """Write the parameters into the server's configuration and reload; those that need a restart stay pending."""

    def restart(self) -> None:
        """Restart the server through its service manager and wait until it answers. Needs root.

        Root may not log in to the server: what has to be asked of it is asked as the owner. Raises RestartRequired when
        nothing that Holdfast knows manages the server.
        """

    def ensure_marker(self) -> bool:
        """Create the table that markers go to. Returns whether anything changed. Does nothing on a replica."""

    def write_marker(self) -> Marker | None:
        """Write a row with the current time; None on a replica, where its primary's markers arrive instead."""

    def newest_marker(self) -> Marker | None:
        """The newest marker that this server holds."""

    def tables(self) -> Mapping[str, int]:
        """Estimated rows of every user table, from the catalog: cheap, also on a live server."""

    def row_counts(self) -> Mapping[str, int]:
        """Exact rows of every user table. Reads them all: meant for a scratch server."""

    def check(self) -> CheckResult:
        """Run the engine's own integrity checker over everything. Meant for a scratch server."""

    def scratch(self, directory: str, *, expected_size: int) -> Scratch:
        """A scratch server in an empty directory, not started. Uses the port or socket of nobody else."""

    def query(self, statement: str, database: str | None = None) -> str:
        """The first column of the first row that a statement returns, as text; empty when there is none."""

    def place(self) -> Place:
        """Where the server lives. Asks the host, not the server. Raises Unsupported when nothing there says."""

    def stop(self) -> None:
        """Stop the server in order through its service manager. Needs root. Does nothing when it is down."""

    def start(self) -> None:
        """Start the server through its service manager and wait until it answers. Needs root."""

    def replicas(self) -> Sequence[str]:
        """The replicas attached to this server, as a person would name them."""

    def clients(self) -> Sequence[str]:
        """The sessions of others that could write, as a person would name them. Backup and replication are none."""

    def staging(self, directory: str, *, expected_size: int, onto_live: bool = False) -> Staging:
        """A server in an empty directory whose data are to become the live ones, not started.

        The directory is ``restore`` in the room that :class:`Place` names. With ``onto_live``, all but the data lies
        there: the live files themselves are restored onto. Raises Unsupported when no tool can do that.
        """

    def adopt(self, reached: Reached) -> None:
        """Called once on the live server after its data were replaced: make its log go on from where they end.

        What it writes from now on must be told apart, in names and positions, from what it wrote before the restore.
        """


class Scratch(Protocol):
    """A throwaway server. It listens on a socket inside its own directory or, at most, on the host's own address."""

    directory: str  # of the scratch server: everything it has is in here
    data_directory: str  # inside ``directory``; made by the tool that fills it or, if none does, by ``start``

    def start(self) -> Engine:
        """Start the server on its data directory and wait until it answers and has finished its recovery."""

    def destroy(self) -> None:
        """Stop the server and remove ``directory``. Safe to call at any time and more than once."""


class Staging(Scratch, Protocol):
    """A server that is restored aside, examined, and then put in service."""

    def release(self) -> None:
        """Stop the server in order and leave its data directory as the service of the instance can start on it."""
