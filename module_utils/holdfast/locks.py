"""One heavy job an instance at a time; log backups, what reads or changes access, and what purges have their own."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from .errors import Busy
from .model import Instance, Job

_POLL_SECONDS = 1.0
_LOCKS = {Job.LOG: "log", Job.ACCESS_AUDIT: "access", Job.ACCESS_CHANGE: "access", Job.LOG_CHANGE: "logs"}


@contextmanager
def job_lock(instance: Instance, job: Job, wait: timedelta) -> Iterator[None]:
    """Hold the lock that the job needs. Raises Busy, naming the holder, when it is not free within ``wait``.

    The kernel frees the lock with the process, so that a killed job never blocks the next.
    """
    path = os.path.join(instance.state_directory, f"{_LOCKS.get(job, 'backup')}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    deadline = time.monotonic() + wait.total_seconds()
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Busy(
                        f"another job is running ({_holder(descriptor)})",
                        where=instance.name,
                        remedy="Wait for it to end; `holdfast status` shows it",
                    ) from None
                time.sleep(_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{job}, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    for _ in range(10):
        found = os.pread(descriptor, 100, 0).decode("utf-8", "replace")
        if found:
            return found
        time.sleep(0.02)  # it has just taken the lock and has yet to write its name
    return "starting"
