"""restic: encrypted, deduplicated, checked storage for the tools that bring no repository of their own.

Works with restic 0.14 (Debian 12) to 0.18 (Debian 13). Every instance has a restic repository to itself, below
``restic/<instance>`` of its :class:`Repository`. What a tool wants to know of a snapshot it puts into the snapshot's
tags, so that one listing answers every question.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Callable
from urllib.parse import quote, unquote

from ..errors import (
    AccessDenied,
    CommandFailed,
    CorruptBackup,
    ForeignRepository,
    HoldfastError,
    RepositoryUnavailable,
    WrongKey,
)
from ..model import Instance, Repository
from ..process import run
from ._restic_errors import explain, is_locked, is_missing, words
from ._restic_listing import Listing
from ._restic_location import endpoint, location, ssh
from ._restic_output import instant, summary
from .layout import is_empty, is_occupied
from .pipes import Command, Outcome, pipeline

_LOCK_PATIENCE = 120.0  # seconds to wait for another run of restic on the same repository
_CONNECT_TIMEOUT = 10.0
# In this process: an address is asked until it answers, as sshd shuts a host out that often connects for nothing.
_answered: set[tuple[str, int]] = set()
_IDS_AT_ONCE = 500  # snapshot ids on one command line
_REACH = ("endpoint", "region", "uri_style", "ca_file", "host", "user", "port", "private_key_file", "known_hosts_file")


@dataclass(frozen=True)
class Snapshot:
    """What the repository says of one snapshot. ``added_bytes`` and ``read_bytes`` are known of a new one only."""

    id: str
    time: datetime
    tags: Mapping[str, str]
    read_bytes: int = 0
    added_bytes: int = 0


class Restic:
    """The restic repository of one instance in one place.

    Every method raises RepositoryUnavailable, RepositoryFull, AccessDenied, WrongKey, CorruptBackup or Busy where
    restic's own words say so, and CommandFailed for anything else.
    """

    def __init__(self, instance: Instance, repository: Repository) -> None:
        self._instance = instance
        self.repository = repository
        self._cache = os.path.join(instance.state_directory, "cache")
        self.url, self._options = location(instance.name, repository)

    @property
    def where(self) -> str:
        """What error messages call this repository."""
        return f"{self._instance.name}, repository {self.repository.name} ({self.url})"

    def is_initialised(self) -> bool:
        """Whether the repository exists and opens. Raises ForeignRepository if something else is in its place."""
        return self.listing() is not None

    def listing(self) -> list[Snapshot] | None:
        """As :meth:`snapshots`; None when there is no repository."""
        text = self._listing(self._if_there)
        return None if text is None else self._own(text)

    def _if_there(self, arguments: Sequence[str]) -> Outcome | None:
        if self.repository.type == "posix" and is_empty(self.url):
            return None  # restic would think about the key before it looks
        outcome = self._attempt(arguments)
        if outcome.failed is None:
            return outcome
        error = self._error(outcome)
        # An object store that refuses the credentials looks like an empty one as well.
        if isinstance(error, AccessDenied) or not is_missing(outcome.failed.stderr, outcome.failed.returncode):
            raise error
        if self.repository.type == "posix" and is_occupied(self.url):
            raise ForeignRepository(
                "the directory is not empty and holds no restic repository",
                where=self.where,
                remedy="Give the repository another path, or move what is there out of the way",
            )
        return None

    def initialise(self, chunker_of: Restic | None = None) -> None:
        """Create the repository if there is none, with the chunker of another one so that copies deduplicate."""
        if self.is_initialised():
            return
        arguments, env = ["init"], {}
        if chunker_of is not None and chunker_of.copies_to(self):
            env = chunker_of.as_source()
            arguments += ["--copy-chunker-params", *chunker_of.as_origin()]
        self._run(arguments, env=env)

    def backup_stdin(
        self, producers: Sequence[Command], filename: str, tags: Mapping[str, str], *, compress: bool = True
    ) -> Snapshot:
        """Store the output of the last producer as one file. A producer that fails leaves no snapshot.

        Raises CommandFailed with the producer's last words when it is a producer that failed.
        """
        arguments = ["backup", "--stdin", "--stdin-filename", filename, *_as_arguments(self._stamp(tags))]
        return self._backup(producers, arguments, tags, compress)

    def backup_paths(
        self,
        paths: Sequence[str],
        tags: Mapping[str, str],
        *,
        directory: str = "/",
        compress: bool = True,
        parent: str | None = None,
    ) -> Snapshot:
        """Store files and directories, given relative to ``directory``. One that cannot be read leaves no snapshot.

        Files that have not changed since the ``parent`` snapshot are not read again.
        """
        # Without either, restic would look through all its snapshots for a parent.
        arguments = [
            "backup",
            *(["--parent", parent] if parent else ["--force"]),
            *_as_arguments(self._stamp(tags)),
            "--",
            *paths,
        ]
        return self._backup([], arguments, tags, compress, directory)

    def snapshots(self, tags: Mapping[str, str] | None = None) -> list[Snapshot]:
        """The snapshots that carry all of the tags, oldest first.

        Raises ForeignRepository if another instance's are among them.
        """
        wanted = (tags or {}).items()
        return [item for item in self._own(self._listing(self._run) or "") if wanted <= item.tags.items()]

    def _listing(self, ask: Callable[[Sequence[str]], Outcome | None]) -> str | None:
        def answer() -> str | None:
            outcome = ask(["snapshots", "--json"])
            return None if outcome is None else outcome.stdout

        if self.repository.type != "posix":
            return answer()
        os.makedirs(self._cache, mode=0o750, exist_ok=True)
        remembered = os.path.join(self._cache, f"listing-{self.repository.name}.json")
        return Listing(remembered, self.url, self._secret("passphrase")).get(answer)

    def _own(self, text: str) -> list[Snapshot]:
        found = [_snapshot(entry) for entry in json.loads(text or "null") or []]
        strangers = {item.tags.get("instance", "nobody") for item in found} - {self._instance.name}
        if strangers:
            raise ForeignRepository(
                f"it holds backups of {', '.join(sorted(strangers))}",
                where=self.where,
                remedy="Give every instance a repository path of its own",
            )
        return sorted(found, key=lambda item: item.time)

    def dump(self, snapshot: str, filename: str, consumers: Sequence[Command] = ()) -> Outcome:
        """Feed one file of a snapshot to the consumers; raises when restic fails, returns the outcome otherwise.

        Every blob is compared with its checksum on the way. Without consumers the data is read and thrown away.
        """
        command = Command(self._argv(["dump", snapshot, "/" + filename.lstrip("/")]), self._environment())
        outcome = self._patiently([command, *consumers], discard=not consumers)
        if outcome.failed is not None and outcome.failed.command is command:
            raise self._error(outcome)
        return outcome

    def restore(self, snapshot: str, directory: str, *, include: Sequence[str] = ()) -> None:
        """Write a snapshot's files below ``directory``, all of them or only the paths of ``include``."""
        only = [word for path in include for word in ("--include", "/" + path.lstrip("/"))]
        outcome = self._attempt(["restore", snapshot, "--target", directory, *only])
        if outcome.failed is not None:
            raise self._error(outcome)

    def read(self, snapshot: str) -> None:
        """Read a whole snapshot back and compare every blob with its checksum. Raises CorruptBackup if one differs."""
        # A dump of a directory is a tar archive: every file goes through restic's own comparison.
        self.dump(snapshot, "/")

    def check(self, *, read_data: bool = False) -> None:
        """Compare index, packs and snapshots, and with ``read_data`` everything stored. Raises CorruptBackup."""
        outcome = self._attempt(["check", *(["--read-data"] if read_data else [])])
        if outcome.failed is None:
            return
        error = self._error(outcome)
        if not isinstance(error, CommandFailed):
            raise error
        raise CorruptBackup(
            f"restic check found damage: {words(outcome.failed.stderr + outcome.stdout)}",
            where=self.where,
            remedy="Take a full backup now, to another repository if the storage is failing, and verify again",
        )

    def forget(self, snapshots: Sequence[str], *, prune: bool = True) -> None:
        """Remove snapshots, and with ``prune`` the data that no other snapshot needs."""
        for start in range(0, len(snapshots), _IDS_AT_ONCE):
            self._run(["forget", *snapshots[start : start + _IDS_AT_ONCE]])
        if prune and snapshots:
            self._run(["prune"])

    def copies_to(self, target: Restic) -> bool:
        """Whether one run of restic can reach both repositories: it takes one set of S3 credentials and options."""
        mine, others = self.repository, target.repository
        if mine.type != others.type or mine.type == "posix":
            return True
        return mine.secrets.get("key_id") == others.secrets.get("key_id") and all(
            mine.settings.get(name) == others.settings.get(name) for name in _REACH
        )

    def copy(self, snapshots: Sequence[str], target: Restic) -> None:
        """Copy snapshots into another repository, which must be one that :meth:`copies_to` accepts."""
        target.receive(snapshots, self)

    def receive(self, snapshots: Sequence[str], origin: Restic) -> None:
        """Copy snapshots of another repository into this one."""
        self._run(["copy", *origin.as_origin(), *snapshots], env=origin.as_source())

    def as_origin(self) -> list[str]:
        """The arguments that name this repository as the one that restic reads while it writes another."""
        mine = self._options if self.repository.type != "posix" else []
        return ["--from-repo", self.url, *mine]

    def unlock(self) -> None:
        """Remove locks whose process has died. restic keeps those of living processes."""
        self._attempt(["unlock"], patience=0.0)

    def _backup(
        self,
        producers: Sequence[Command],
        arguments: Sequence[str],
        tags: Mapping[str, str],
        compress: bool,
        directory: str = "/",
    ) -> Snapshot:
        level = ["--compression", "auto" if compress else "off"]
        head = ["--json", "--quiet", "--host", self._instance.name]
        argv = self._argv([arguments[0], *head, *level, *arguments[1:]])
        command = Command(argv, self._environment(), cwd=directory)
        outcome = self._patiently([*producers, command])
        if outcome.failed is not None:
            if outcome.failed.command is not command:
                raise CommandFailed(outcome.failed.words(), where=self._instance.name)
            raise self._error(outcome)
        made = summary(outcome.stdout)
        if made is None:
            raise CommandFailed("restic reported no snapshot", where=self.where)
        return Snapshot(
            id=str(made["snapshot_id"]),
            time=datetime.now().astimezone(),
            tags=self._stamp(tags),
            read_bytes=int(str(made.get("total_bytes_processed", 0))),
            added_bytes=int(str(made.get("data_added_packed", made.get("data_added", 0)))),
        )

    def _run(self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None) -> Outcome:
        outcome = self._attempt(arguments, env=env)
        if outcome.failed is not None:
            raise self._error(outcome)
        return outcome

    def _attempt(
        self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None, patience: float = _LOCK_PATIENCE
    ) -> Outcome:
        command = Command(self._argv(arguments), dict(self._environment(), **(env or {})))
        return self._patiently([command], patience=patience)

    def _patiently(
        self, commands: Sequence[Command], *, discard: bool = False, patience: float = _LOCK_PATIENCE
    ) -> Outcome:
        """Run a pipeline; while restic finds the repository locked, drop dead locks and try again."""
        self._require_reachable()
        deadline = time.monotonic() + patience
        while True:
            outcome = pipeline(commands, discard=discard)
            failed = outcome.failed
            if failed is None or not is_locked(failed.stderr, failed.returncode) or time.monotonic() > deadline:
                return outcome
            self.unlock()
            time.sleep(1.0)

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        # The repository of a local disk gains nothing from a second copy of its index on the same disk.
        cache = ["--no-cache"] if self.repository.type == "posix" else ["--cache-dir", self._cache, "--cleanup-cache"]
        return ["restic", "--repo", self.url, *self._options, *cache, *arguments]

    def _environment(self) -> dict[str, str]:
        temporary = os.path.join(self._instance.state_directory, "tmp")
        os.makedirs(temporary, mode=0o750, exist_ok=True)
        env = {"RESTIC_PASSWORD": self._secret("passphrase"), "RESTIC_PROGRESS_FPS": "0.01", "TMPDIR": temporary}
        if self.repository.type == "s3":
            env.update(AWS_ACCESS_KEY_ID=self._secret("key_id"), AWS_SECRET_ACCESS_KEY=self._secret("key_secret"))
        return env

    def as_source(self) -> dict[str, str]:
        """The environment with which restic reads this repository while it writes another. It holds the secrets."""
        env = self._environment()
        env["RESTIC_FROM_PASSWORD"] = env.pop("RESTIC_PASSWORD")
        return env

    def _secret(self, name: str) -> str:
        try:
            return self.repository.secrets[name]
        except KeyError:
            raise WrongKey(
                f"its {name} is missing",
                where=self.where,
                remedy="Run playbooks/site.yml to write the keys, and run the job as root or as the instance's OS user",
            ) from None

    def _stamp(self, tags: Mapping[str, str]) -> dict[str, str]:
        return dict(tags, instance=self._instance.name)

    def _require_reachable(self) -> None:
        # restic itself tries for a quarter of an hour before it says that nobody answers.
        address = endpoint(self.repository)
        if address is None or address in _answered:
            return
        try:
            socket.create_connection(address, _CONNECT_TIMEOUT).close()
        except OSError as error:
            raise RepositoryUnavailable(
                f"{address[0]}:{address[1]} does not answer ({error})",
                where=self.where,
                remedy="Check the network, the firewall and the storage service; the job tries again by itself",
            ) from None
        _answered.add(address)

    def _error(self, outcome: Outcome) -> HoldfastError:
        stage = outcome.failed or outcome.stages[-1]
        said = stage.stderr
        if "unable to start the sftp session" in said:
            # restic may end before it has passed on what its ssh said.
            said += "\n" + run(ssh(self.repository)).stderr
        return explain(said, stage.returncode, self.where)


def encode_tag(value: object) -> str:
    """A tag's value without the characters that restic or its listing would take for their own."""
    return quote(str(value), safe=" :/+-_.;@")


def _as_arguments(tags: Mapping[str, str]) -> list[str]:
    return [word for key, value in sorted(tags.items()) for word in ("--tag", f"{key}={encode_tag(value)}")]


def _snapshot(entry: Mapping[str, Any]) -> Snapshot:
    pairs = (tag.partition("=") for tag in entry.get("tags") or [])
    return Snapshot(
        id=entry["id"],
        time=instant(entry["time"]),
        tags={key: unquote(value) for key, _, value in pairs},
    )
