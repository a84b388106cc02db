"""One record a run, as JSON lines: the only thing that status, reports and forecasts read about the past.

A run announces itself in a file before it starts and takes the announcement back when its record is written. An
announcement whose process is gone is a run that was killed; whoever comes next turns it into a failed record.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from . import __version__
from .errors import HoldfastError
from .model import Instance, Job
from .units import format_instant, parse_instant, utcnow

Record = dict[str, Any]

OVERRIDE = "override"  # the record of a person who lets work through closed windows; no job runs

KEEP_RECORDS = timedelta(days=400)  # a year of evidence and a month to look at it
KEEP_LOG_RECORDS = timedelta(days=7)  # a log job that went well, every few minutes, is of no interest for longer
_RESERVED = 8192  # bytes of an announcement: what its removal frees is enough for the record when the disk is full


def open_record(instance: Instance, job: str) -> Record:
    """The record of a run that starts now, before anything is known of its end."""
    return {
        "id": os.urandom(8).hex(),
        "instance": instance.name,
        "engine": instance.engine,
        "host": os.uname().nodename,
        "service_level": instance.service_level.name,
        "job": str(job),
        "started": format_instant(utcnow()),
        "pid": os.getpid(),
        "process_started": _process_started(os.getpid()),
        "version": __version__,
    }


class Records:
    """The records of one instance. ``append`` is one write, so that records of two jobs never mix."""

    def __init__(self, instance: Instance) -> None:
        self.path = os.path.join(instance.state_directory, "records.jsonl")
        self._running = os.path.join(instance.state_directory, "running")

    def announce(self, record: Record) -> None:
        """Leave word that a run has started."""
        os.makedirs(self._running, mode=0o750, exist_ok=True)
        path = self._announcement(record)
        with open(path + ".new", "w", encoding="utf-8") as stream:
            stream.write(json.dumps(record).ljust(_RESERVED))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(path + ".new", path)

    def append(self, record: Record) -> None:
        """Write the record of a finished run and take its announcement back."""
        line = (json.dumps(record, sort_keys=True, default=str) + "\n").encode()
        with self._exclusive():
            try:
                self._write(line)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self.withdraw(record)
                self._write(line)
        self.withdraw(record)

    def _write(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            end = os.fstat(descriptor).st_size
            if os.write(descriptor, line) != len(line):
                os.ftruncate(descriptor, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        # Trimming replaces the file: an append in that moment would go to the old one and be lost.
        descriptor = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def withdraw(self, record: Record) -> None:
        """Take an announcement back without a record: the run found nothing to do."""
        with suppress(FileNotFoundError):
            os.unlink(self._announcement(record))

    def reap(self) -> list[Record]:
        """Write a failed record for every announced run whose process is gone, and return those records."""
        reaped = []
        for record in self.running():
            if _process_started(record["pid"]) == record["process_started"]:
                continue
            error = HoldfastError(
                f"the {record['job']} job was killed before it could finish",
                where=record["instance"],
                remedy="Look for the out-of-memory killer, a reboot or a kill -9; the next run starts afresh",
            )
            reaped.append(finish(record, error=dict(error.as_dict(), code="killed")))
            self.append(reaped[-1])
        return reaped

    def running(self) -> list[Record]:
        """The announced runs, whether their process lives or not."""
        try:
            entries = sorted(os.listdir(self._running))
        except FileNotFoundError:
            return []
        found = []
        for entry in entries:
            if entry.endswith(".json"):
                try:
                    with open(os.path.join(self._running, entry), encoding="utf-8") as stream:
                        found.append(json.load(stream))
                except FileNotFoundError:
                    continue  # its run has just ended
        return found

    def __iter__(self) -> Iterator[Record]:
        """All records, oldest first. A line that a full disk cut short is passed over."""
        if not os.path.exists(self.path):
            return
        with open(self.path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                with suppress(ValueError):
                    yield json.loads(line)

    def newest(self) -> Record | None:
        """The record that was written last, whatever its time says."""
        with suppress(FileNotFoundError), open(self.path, "rb") as stream:
            for line in reversed(stream.readlines()):
                with suppress(ValueError):
                    newest: Record = json.loads(line)
                    return newest
        return None

    def trim(self, now: datetime) -> int:
        """Drop records that are too old to matter; returns how many."""
        with self._exclusive():
            kept, dropped = [], 0
            for record in self:
                if _outlived(record, now):
                    dropped += 1
                else:
                    kept.append(json.dumps(record, sort_keys=True) + "\n")
            if dropped:
                with open(self.path + ".new", "w", encoding="utf-8") as stream:
                    stream.writelines(kept)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.chmod(self.path + ".new", 0o640)
                os.replace(self.path + ".new", self.path)
        return dropped

    def _announcement(self, record: Record) -> str:
        return os.path.join(self._running, f"{record['job']}-{record['id']}.json")


def finish(record: Record, *, error: dict[str, Any] | None = None, seconds: float | None = None) -> Record:
    """The record of a run that ends now: ``ok``, or ``failed`` with the error."""
    now = utcnow()
    if seconds is None:
        started = parse_instant(record["started"]) or now
        seconds = max(0.0, (now - started).total_seconds())
    done = {key: value for key, value in record.items() if key not in ("pid", "process_started")}
    done.update(finished=format_instant(now), seconds=round(seconds, 3), result="failed" if error else "ok")
    if error:
        done["error"] = error
    return done


def _outlived(record: Record, now: datetime) -> bool:
    ended = parse_instant(record["finished"])
    uneventful = record["job"] == str(Job.LOG) and record["result"] == "ok"
    return ended is not None and now - ended > (KEEP_LOG_RECORDS if uneventful else KEEP_RECORDS)


def _process_started(pid: int) -> str | None:
    """Start of a process in clock ticks since boot, with the boot's identity: a reused pid is another process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            ticks = stream.read().rpartition(")")[2].split()[19]
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as stream:
            return f"{stream.read().strip()}:{ticks}"
    except (FileNotFoundError, ProcessLookupError):
        return None
