"""What Holdfast asks of a database engine. docs/decisions/0001 shows the answer of each of the five."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..model import CheckResult, Configuration, Fitted, LogExposure, Marker, Place, Reached, ServerInfo, Setting
from ..parts import Comparison, Part, Statements


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

    def configuration(self) -> Configuration:
        """What this server is configured with outside its data, by the files that it reads."""

    def save_configuration(self) -> Configuration | None:
        """Keep :meth:`configuration` in the data, next to the markers, so that every backup has it; return it.

        Writes only what differs from what is kept. None, and nothing is written, on a replica.
        """

    def saved_configuration(self) -> Configuration | None:
        """The configuration that this server's data hold; None in those of before there was one."""

    def fit(self, saved: Configuration) -> Fitted:
        """What of a configuration this host can have. Must run as the owner; the server need not run."""

    def configure(self, saved: Configuration | None) -> Fitted:
        """Have the server of the instance, which is down, start with a configuration as far as it fits this host.

        The server's own parser has read it then; what it refuses is left out or, where that does not help, everything
        is as it was and ``problem`` says why. None takes back what an earlier call did. Needs root.
        """

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

    def create(self, version: str | None) -> bool:
        """Make a server for the instance where there is none, to be filled by a restore. Needs root; it is not started.

        ``version`` is that of the server whose data will come. Returns whether the server is new, used by
        nobody yet. Raises NotInstalled when the packages of such a server are missing, Unsupported when the host can
        have no second server.
        """

    def unfit(self, version: str) -> str | None:
        """Why the server of this instance cannot take the data files of a server of that version, if it cannot."""

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

    def rescuer(self) -> Rescuer:
        """What brings parts of a restored copy back into this server."""


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

    def release(self, settings: Mapping[str, str]) -> None:
        """Stop the server in order and leave its data directory as the service of the instance can start on it.

        Parameters that came with the data give way to ``settings``: those of another instance would have this one send
        its log into the other's repository.
        """


class Rescuer(Protocol):
    """Finds parts in a restored copy of a server, to bring them back into the live one. Both are of this engine."""

    def part(self, kind: str, name: str) -> Part:
        """The part of that name. Raises InvalidInput for a kind or a name that the engine does not have."""

    def databases(self, part: Part) -> Sequence[str]:
        """The databases that a restore must bring back to have the part; empty when it may take all of them."""

    def new_name(self, part: Part) -> Part | None:
        """The part under the name that is free for it on the live server; None when it is not loaded at all."""

    def find(self, source: Any, part: Part) -> Rescue:
        """The part in a restored copy, which is changed from now on. Raises NotInBackup when it is not there."""

    def discard(self, part: Part) -> None:
        """Remove from the live server what a rescue that was killed has loaded of a part, if anything."""


class Rescue(Protocol):
    """One part on its way from a restored copy into the live server. The methods are called in this order."""

    target: Part | None  # what it is called on the live server; None when nothing is loaded
    size_bytes: int
    rows: int | None  # None for what has no rows

    def keep_where(self, condition: str) -> None:
        """Leave only the rows for which a condition in SQL holds. Raises InvalidInput when it cannot be understood."""

    def keep_deleted(self, later: Any) -> None:
        """Leave only the rows that a later server, the live one or another copy, does not have."""

    def load(self) -> None:
        """Bring the part into the live server under its new name, whole or not at all as far as the engine can."""

    def compare(self) -> Sequence[Comparison]:
        """How the rescued tables differ from the live ones. Reads both."""

    def statements(self) -> Statements:
        """What swaps or merges the loaded part. Holds no secret."""

    def replace(self) -> Part | None:
        """Put the part in place of the live one, and return what the old one is called now; None when there was none.

        Raises Refused or Unsupported, with the reason, where that cannot be done safely.
        """
