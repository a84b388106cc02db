"""What Holdfast asks of a backup tool. docs/decisions/0001 shows the answer of each tool of the five engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..engines.base import Engine, Scratch
from ..files import File
from ..model import Backup, BackupType, LogRange, Reached, Repository, RestoreTarget, Verification


@dataclass(frozen=True)
class SavedLog:
    """What one log backup added to the repository."""

    newest: str | None  # newest log file or position in the repository now
    saved_bytes: int
    start: str | None = None
    stop: str | None = None


@dataclass(frozen=True)
class Restored:
    """A scratch server, started and recovered. ``phases`` are seconds by name, in order."""

    engine: Engine
    phases: Mapping[str, float] = field(default_factory=dict)
    reached: Reached | None = None


class Tool(Protocol):
    """One backup tool for one instance.

    Every method that reaches a repository raises RepositoryUnavailable, RepositoryFull, WrongKey or ForeignRepository
    where that is the reason, so that all tools fail in the same words.
    """

    name: str
    types: frozenset[BackupType]  # the backups that it takes

    def notes(self) -> list[str]:
        """What its installed version cannot do and a person should know, in one sentence each."""

    def files(self) -> list[File]:
        """The configuration files that it needs on the host, secrets included."""

    def server_settings(self) -> Mapping[str, str]:
        """The server parameters that it needs."""

    def is_initialised(self, repository: Repository) -> bool:
        """Whether the repository is ready for this instance. Raises ForeignRepository when it is somebody else's."""

    def initialise(self, repository: Repository) -> None:
        """Make the repository ready for this instance; does nothing when it is."""

    def backup(self, type_: BackupType, repository: Repository) -> Backup:
        """Take a backup and return it as the repository then lists it."""

    def archive(self) -> Backup:
        """Put a full backup into the archive repository, newly taken or copied from the first repository."""

    def save_log(self) -> SavedLog:
        """Save the log written so far, as far as the server does not send it to the repository by itself."""

    def newest_log(self, repository: Repository) -> str | None:
        """The newest log file or position that the repository holds."""

    def backups(self, repository: Repository) -> list[Backup]:
        """Every complete backup in the repository, oldest first. Log backups are not listed."""

    def verify(self, repository: Repository, backups: Sequence[Backup]) -> Verification:
        """Read the stored backups back and compare them with their checksums."""

    def expire(self, repository: Repository, backups: Sequence[Backup], oldest_log_of: Backup | None) -> None:
        """Remove exactly these backups, and the log older than the start of ``oldest_log_of`` when one is given."""

    def restore(self, backup: Backup, repository: Repository, target: RestoreTarget, scratch: Scratch) -> Restored:
        """Restore a backup into the scratch server, start it and roll it forward to the target.

        Raises TargetNotReached, with the time or position reached, when the log ends before the target or has a gap:
        without a target, the end is the newest log that the repository holds.
        """

    def log_range(self, backup: Backup, repository: Repository, target: RestoreTarget) -> LogRange:
        """The log that such a restore replays, and why it does not suffice if it does not. Changes nothing.

        Raises InvalidInput for a target that the tool does not know or that lies before the end of the backup.
        """

    def prove_log(self) -> str:
        """Have the server close a log file, see it arrive in the first repository, and return its name."""
