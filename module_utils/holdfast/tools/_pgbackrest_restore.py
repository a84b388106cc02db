"""From a pgBackRest repository to a running PostgreSQL server, and the log that it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .. import process
from ..engines import _postgresql_wal as wal
from ..engines._postgresql_scratch import PostgreSQLScratch
from ..engines._postgresql_staging import PostgreSQLStaging
from ..errors import InvalidInput, TargetNotReached
from ..model import Backup, LogRange, RestoreTarget
from ..units import format_instant
from . import _pgbackrest_config as config
from ._pgbackrest_errors import failure
from .base import Restored

_ID_SPACE = 0x100000000  # bytes of log that one value of the middle part of a segment name stands for


class Restore:
    """One restore into one server. ``options`` are those of the repository."""

    def __init__(self, stanza: str, options: Mapping[str, str], where: str, scratch: PostgreSQLScratch) -> None:
        self.stanza = stanza
        self.options = dict(options)
        self.where = where
        self.scratch = scratch

    def run(self, backup: Backup, target: RestoreTarget, expected: str | None) -> Restored:
        """Restore and recover. ``expected`` is the newest segment that must have been replayed, if one must."""
        self.scratch.prepare()
        arguments = [
            f"--config={self._configuration()}",
            f"--set={backup.id}",
            *self._placement(),
            *target_arguments(target),
        ]
        begun = time.monotonic()
        result = process.run(["pgbackrest", *arguments, f"--stanza={self.stanza}", "restore"])
        if result.returncode:
            # What pgBackRest has against its options it says on the other channel.
            raise failure("restore", result.returncode, result.stderr or result.stdout, self.where)
        restored = time.monotonic()
        engine = self.scratch.start()
        phases = {"restore": restored - begun, "recovery": time.monotonic() - restored}
        reached = engine.reached()
        if expected:
            size = engine.segment_size()
            if wal.parse_lsn(reached.position) < wal.end(expected, size) - size:
                engine.close()
                raise TargetNotReached(
                    f"the log has a gap: the recovery ended at {reached.position}"
                    f"{f', {format_instant(reached.time)}' if reached.time else ''},"
                    f" while the repository holds log up to {expected}",
                    where=self.where,
                    remedy="Give the time reached as the target, if that is what you want",
                )
        return Restored(engine, phases, reached)

    def _placement(self) -> list[str]:
        staging = isinstance(self.scratch, PostgreSQLStaging)
        arguments = [f"--archive-mode={'preserve' if staging else 'off'}"]
        if isinstance(self.scratch, PostgreSQLStaging) and self.scratch.onto_live:
            return [*arguments, "--delta", "--link-all"]
        return [*arguments, "--no-link-all", f"--tablespace-map-all={self.scratch.tablespace_directory}"]

    def _configuration(self) -> str:
        # A file of its own, because the scratch server fetches log with it too. Its own spool and locks, because the
        # live server of the same stanza may be archiving at this moment.
        directory = self.scratch.directory
        options = {
            **self.options,
            "archive-async": "y",
            "archive-get-queue-max": "512MiB",
            "lock-path": os.path.join(directory, "lock"),
            "log-level-console": "off",
            "log-level-file": "off",
            "log-level-stderr": "warn",
            "log-timestamp": "n",
            "pg1-path": self.scratch.data_directory,
            "process-max": str(os.cpu_count() or 1),
            "spool-path": os.path.join(directory, "spool"),
        }
        path = os.path.join(directory, "pgbackrest.conf")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(config.section(self.stanza, options))
        for needed in (self.scratch.data_directory, *(os.path.join(directory, name) for name in ("lock", "spool"))):
            os.makedirs(needed, mode=0o700, exist_ok=True)
        os.makedirs(self.scratch.tablespace_directory, mode=0o700, exist_ok=True)
        return path


def target_arguments(target: RestoreTarget) -> list[str]:
    """What tells pgBackRest, and by it the server, where to end."""
    if target.consistent:
        # The end of a backup lies on one timeline, its own: pgBackRest refuses to be told another.
        return ["--type=immediate", "--target-action=promote"]
    arguments = [f"--target-timeline={target.timeline}"] if target.timeline else []
    if target.time:
        moment = target.time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        return [*arguments, "--type=time", f"--target={moment}", "--target-action=promote"]
    for kind, value in (("lsn", target.position), ("xid", target.transaction), ("name", target.point)):
        if value:
            return [*arguments, f"--type={kind}", f"--target={value}", "--target-action=promote"]
    return arguments


@dataclass(frozen=True)
class ArchivedFile:
    """One log segment in the repository."""

    name: str
    archived: datetime
    stored_bytes: int


def archived_files(listing: Mapping[str, Mapping[str, Any]]) -> list[ArchivedFile]:
    """The segments in the output of ``pgbackrest repo-ls --output=json --recurse`` of an archive."""
    found = []
    for path, item in listing.items():
        name = os.path.basename(path)[:24]
        if item["type"] == "file" and "-" in os.path.basename(path) and wal.SEGMENT_NAME.match(name):
            found.append(ArchivedFile(name, datetime.fromtimestamp(item["time"], timezone.utc), item["size"]))
    return sorted(found, key=lambda file: file.name[8:] + file.name[:8])


def log_range(backup: Backup, files: Sequence[ArchivedFile], target: RestoreTarget) -> LogRange:
    """See the protocol of tools. A segment was archived after every commit in it, which bounds what it can reach."""
    check_target(backup, target)
    logs: Any = backup.details.get("log_files") or [None, None]
    first, consistent = str(logs[0] or ""), str(logs[1] or logs[0] or "")
    needed = [file for file in files if file.name[8:] >= first[8:]]
    if target.consistent:
        needed = [file for file in needed if file.name[8:] <= consistent[8:]]
    until = max((file.archived for file in needed), default=None)
    gap = _gap(first, needed, target, until)
    if target.time and gap is None:
        last = next(index for index, file in enumerate(needed) if target.time and file.archived >= target.time)
        needed = needed[: last + 1]
    names = [file.name for file in needed]
    return LogRange(
        len(needed),
        sum(file.stored_bytes for file in needed),
        names[0] if names else None,
        names[-1] if names else None,
        until,
        gap,
    )


def check_target(backup: Backup, target: RestoreTarget) -> None:
    """Raise InvalidInput for a target that is no target of PostgreSQL, or one before the end of the backup."""
    if target.position is not None:
        try:
            position = wal.parse_lsn(target.position)
        except ValueError:
            raise InvalidInput(f"{target.position!r} is no log position", remedy="Give one like 16/B374D848") from None
        if backup.log_stop and position < wal.parse_lsn(backup.log_stop):
            raise InvalidInput(f"{target.position} lies before the end of backup {backup.id}, {backup.log_stop}")
    if target.transaction is not None and not target.transaction.isdigit():
        raise InvalidInput(f"{target.transaction!r} is no transaction id", remedy="Give what txid_current() says")
    if target.timeline not in (None, "current", "latest") and not str(target.timeline).isdigit():
        raise InvalidInput(f"{target.timeline!r} is no timeline", remedy="Give its number, current or latest")
    # Its end is known in whole seconds only.
    if target.time and target.time < backup.finished + timedelta(seconds=1):
        raise InvalidInput(f"{format_instant(target.time)} lies before the end of backup {backup.id}")


def _gap(first: str, needed: Sequence[ArchivedFile], target: RestoreTarget, until: datetime | None) -> str | None:
    numbers = sorted({(int(file.name[8:16], 16), int(file.name[16:], 16)) for file in needed})
    if not numbers or (int(first[8:16], 16), int(first[16:], 16)) != numbers[0]:
        return f"{first}, with which the backup begins, is not in the repository"
    # Segments of an id are numbered up to a count that depends on their size; the next id begins with 0.
    for (high, low), (next_high, next_low) in zip(numbers, numbers[1:]):
        if (next_high, next_low) != (high, low + 1) and (next_high, next_low) != (high + 1, 0):
            return f"after {high:08X}{low:08X} the next segment is {next_high:08X}{next_low:08X}"
    if target.time and until and until < target.time:
        return f"the log in the repository ends at {format_instant(until)}"
    if target.position and wal.parse_lsn(target.position) > _reach(needed[-1].name):
        return f"the log in the repository ends with segment {needed[-1].name}"
    return None


def _reach(name: str) -> int:
    """A position that the log after this segment is certainly beyond, whatever the size of segments."""
    return int(name[8:16], 16) * _ID_SPACE + _ID_SPACE - 1
