"""The nouns that everything shares: instances, service levels, repositories, backups."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import Enum

from .errors import InvalidInput


class BackupType(str, Enum):
    """What a backup holds; the five engines' own names are mapped to these in docs/decisions/0001."""

    FULL = "full"
    DIFFERENTIAL = "differential"
    INCREMENTAL = "incremental"
    LOG = "log"
    LOGICAL = "logical"

    def __str__(self) -> str:
        return self.value


class Job(str, Enum):
    """What the runner does on a schedule or on request.

    ``archive`` puts a full backup into the archive repository, ``log`` saves the log up to now and writes the
    heartbeat marker, ``restore`` puts an instance back and ``rescue`` a part of one, ``replication``
    makes it a primary or a replica, ``access_audit`` reads who can do what and ``access_change`` changes that,
    ``log_change`` sets up how logs are kept, purges them or frees disk,
    ``patch`` brings the packages of its server to their newest version, the rest are what their names say.
    """

    FULL = "full"
    DIFFERENTIAL = "differential"
    INCREMENTAL = "incremental"
    LOG = "log"
    LOGICAL = "logical"
    ARCHIVE = "archive"
    VERIFY = "verify"
    EXPIRE = "expire"
    RESTORE_TEST = "restore_test"
    RESTORE = "restore"
    RESCUE = "rescue"
    REPLICATION = "replication"
    ACCESS_AUDIT = "access_audit"
    ACCESS_CHANGE = "access_change"
    LOG_CHANGE = "log_change"
    PATCH = "patch"

    def __str__(self) -> str:
        return self.value


# A person decides on these; no schedule may.
ON_REQUEST = frozenset({Job.RESTORE, Job.RESCUE, Job.REPLICATION, Job.ACCESS_CHANGE, Job.LOG_CHANGE, Job.PATCH})
# What a schedule has besides backups.
UPKEEP = (Job.VERIFY, Job.EXPIRE, Job.RESTORE_TEST, Job.ACCESS_AUDIT)


@dataclass(frozen=True)
class Keep:
    """How long one type of backup is kept: while it is among the newest ``count`` or younger than ``age``.

    The grandfather-father-son counts keep the newest backup of each of the last N days, ISO weeks, months or years.
    A backup stays while any of the rules holds it. With no rule at all nothing is kept for its own sake.
    """

    count: int = 0
    age: timedelta | None = None
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


@dataclass(frozen=True)
class Retention:
    """What an instance keeps. ``minimum_full`` complete full backups stay in every repository whatever else is said."""

    full: Keep
    differential: Keep
    incremental: Keep
    log: timedelta
    logical: Keep
    archive: Keep
    minimum_full: int = 2


@dataclass(frozen=True)
class ServiceLevel:
    """The objectives of an instance and the schedule that serves them. Cron expressions are in the host's time zone."""

    name: str
    rpo: timedelta
    rto: timedelta
    keep: Retention
    schedule: Mapping[Job, str]  # five-field cron expression of each job that runs
    log_interval: timedelta | None = None  # of continuous log backup; None when the log is not backed up

    def runs(self, job: Job) -> bool:
        """Whether the job is on the schedule."""
        return job in self.schedule


@dataclass(frozen=True)
class Repository:
    """A place where backups live.

    ``type`` is posix, s3 or sftp. ``settings`` are its plain parameters (path, bucket, endpoint, region, host, user);
    ``secrets`` are those that must reach neither an argument list, a log, a record nor a diff (passphrase, key_id,
    key_secret).
    """

    name: str
    type: str
    settings: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def passphrase(self) -> str:
        """The encryption key. Raises KeyError where secrets were not loaded."""
        return self.secrets["passphrase"]


class WindowKind(str, Enum):
    """What a window is for; docs/windows.md says which work each kind lets in or keeps out."""

    MAINTENANCE = "maintenance"
    LOW_IMPACT = "low_impact"
    BLACKOUT = "blackout"
    FREEZE = "freeze"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Window:
    """A time at which work of some kind may or may not begin, by the clock of a time zone.

    It recurs, from every ``start`` for a ``duration`` or until an ``end`` by the clock, or it comes once, from
    ``first`` until ``last``.
    """

    name: str
    kind: WindowKind
    time_zone: str
    start: str = ""  # five-field cron expression
    duration: timedelta | None = None
    end: time | None = None
    first: datetime | None = None  # naive, as the clock shows it
    last: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class Instance:
    """One database server process on one host: a PostgreSQL cluster, a MariaDB server."""

    name: str
    engine: str
    port: int
    service_level: ServiceLevel
    repositories: tuple[Repository, ...]  # regular backups go to the first, archive copies to the last
    os_user: str  # owner of the data directory; jobs of the instance run as this user
    state_directory: str  # records, locks, staging and scratch space: /var/lib/holdfast/<name>
    databases: tuple[str, ...] = ()  # of logical backups; empty means all
    socket_directory: str = ""  # empty means the engine's default on this system
    options: Mapping[str, str] = field(default_factory=dict)  # tool options of an advanced user, see docs
    replica_of: str = ""  # the instance that it was made a replica of; which one is primary now, the servers say
    windows: tuple[Window, ...] = ()  # those that apply to it; without any, everything may begin at any time

    def repository(self, name: str) -> Repository:
        """The repository of that name. Raises InvalidInput when the instance has none."""
        for repository in self.repositories:
            if repository.name == name:
                return repository
        known = ", ".join(repository.name for repository in self.repositories)
        raise InvalidInput(f"no repository {name!r}", where=self.name, remedy=f"It has {known}")

    @property
    def primary_repository(self) -> Repository:
        """The one that regular backups go to."""
        return self.repositories[0]

    @property
    def archive_repository(self) -> Repository:
        """The one that archive copies go to; the same as the first when there is no other."""
        return self.repositories[-1]

    def is_archive(self, repository: Repository) -> bool:
        """Whether the repository holds archive copies: the last of several does."""
        return len(self.repositories) > 1 and repository == self.archive_repository


@dataclass(frozen=True)
class Backup:
    """One complete backup as its repository lists it. An incomplete one is not listed."""

    id: str  # unique in its repository
    type: BackupType
    tool: str
    repository: str
    started: datetime
    finished: datetime
    size_bytes: int | None = None  # of the database when it was taken
    stored_bytes: int | None = None  # that it added to the repository
    parent: str | None = None  # the backup that it needs for a restore
    log_start: str | None = None  # position in the engine's own notation: LSN, GTID, SCN, oplog timestamp
    log_stop: str | None = None  # the restore is consistent from here on
    error: str | None = None  # what makes it unfit for a restore, as far as its repository knows
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerInfo:
    """What a running server says of itself."""

    version: str  # "15.18", "10.11.19"
    data_directory: str
    role: str  # primary | replica
    size_bytes: int
    databases: tuple[str, ...]
    system_identifier: str  # tells this database cluster from any other
    started: datetime | None = None


@dataclass(frozen=True)
class LogExposure:
    """The log that would be lost if the host burnt down now."""

    lost_bytes: int
    lost_seconds: float  # age of the oldest change that is not in the repository; 0.0 when nothing is at risk
    failing: str | None = None  # why the log does not reach the repository, if it does not
    newest_saved: str | None = None  # newest log file or position in the repository
    newest_believed: str | None = None  # newest one that the server believes saved; differs when log was dropped


@dataclass(frozen=True)
class Marker:
    """A row with the time it was written, looked for after a restore to measure what was lost."""

    id: int
    written: datetime


@dataclass(frozen=True)
class CheckResult:
    """Outcome of the engine's checker on a server: ``problems`` is empty when it found none."""

    checker: str
    objects: int  # relations or tables looked at
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """Outcome of a repository check: ``intact`` and ``damaged`` are backup ids, ``damaged`` with the reason."""

    intact: tuple[str, ...]
    damaged: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # damage that belongs to no single backup, such as a gap in the log


@dataclass(frozen=True)
class Setting:
    """A server parameter that backups need. ``wanted`` is what it must be, ``current`` what the running server uses."""

    name: str
    current: str
    wanted: str
    restart: bool  # changing it takes a restart
    pending: bool = False  # already written to the configuration, waiting for that restart


@dataclass(frozen=True)
class RestoreTarget:
    """Where a restore ends: at one of these, or with none of them at the end of the log in the repository.

    The change that the target names is the last one that comes back: the last transaction committed at or before
    ``time``, the one that ``position`` ends, ``transaction`` itself, what was there at the named restore ``point``.
    """

    time: datetime | None = None
    position: str | None = None  # PostgreSQL: LSN; MariaDB: GTID, or FILE:OFFSET of the binary log
    transaction: str | None = None
    point: str | None = None
    consistent: bool = False  # the end of the backup itself: no more log than it needs
    timeline: str | None = None  # PostgreSQL: the history to follow; the newest without it
    databases: tuple[str, ...] = ()  # that are needed, where a tool can leave the others out; empty means all

    @property
    def ends_early(self) -> bool:
        """Whether the restore is to end before the newest log."""
        return self.consistent or any((self.time, self.position, self.transaction, self.point, self.timeline))

    def describe(self) -> str:
        """The target in words."""
        words = [
            ("time", self.time.isoformat() if self.time else None),
            ("position", self.position),
            ("transaction", self.transaction),
            ("restore point", self.point),
        ]
        found = [f"{name} {value}" for name, value in words if value]
        return found[0] if found else "the end of the backup" if self.consistent else "the newest change"


@dataclass(frozen=True)
class Reached:
    """How far a restored server got, as itself or its log says."""

    position: str  # of the last change replayed, in the engine's own notation
    time: datetime | None = None  # of the last transaction replayed; None when none was
    timeline: str | None = None  # PostgreSQL: the history that the server writes from now on


@dataclass(frozen=True)
class LogRange:
    """The log that a restore replays, as its repository lists it."""

    files: int
    size_bytes: int
    first: str | None = None
    last: str | None = None
    until: datetime | None = None  # a moment that the log is known to reach
    gap: str | None = None  # why the log does not reach the target


@dataclass(frozen=True)
class Place:
    """Where a server lives on its host, known also when it is down or its data are gone."""

    data_directory: str
    service: str | None  # of the service manager; None when nothing known manages the server
    running: bool
    # What a directory inside the data is called so that the server does not look at it; None where it looks at all.
    unseen: str | None = None

    @property
    def is_mount(self) -> bool:
        """Whether the data directory is a file system of its own: what is beside it cannot be moved into it."""
        return os.path.ismount(self.data_directory)

    def room(self, instance: str) -> str:
        """The directory in which new data for the instance are made: on the file system of the live ones."""
        if self.is_mount:
            return os.path.join(self.data_directory, f"{self.unseen}-{instance}")
        return os.path.join(os.path.dirname(self.data_directory), f".holdfast-{instance}")

    def aside(self, moment: str) -> str:
        """The directory to which the data of before are set aside."""
        if self.is_mount:
            return os.path.join(self.data_directory, f"{self.unseen}-before-{moment}")
        return f"{self.data_directory}.before-{moment}"


@dataclass(frozen=True)
class Configuration:
    """What a server is configured with outside its data, as its own parser reads it. Holds no secret.

    ``files`` are texts that are taken as they are, by the names that the engine gives them. ``left_out`` is what is not
    in here, and why.
    """

    version: str  # of the server
    parameters: Mapping[str, str | None]  # None for one without a value; several values of one are lines
    files: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    taken: datetime | None = None


@dataclass
class Fitted:
    """A configuration as this host can have it: what is taken, what is not or not as it was, and why."""

    parameters: dict[str, str | None] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    of_the_place: list[str] = field(default_factory=list)  # what every server has its own of, such as directories
    problem: str | None = None  # why nothing of it was taken, after all
