"""The record of what was done to logs outside a job: on the host as a whole, or while no record could be announced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import load
from ..errors import HoldfastError
from ..model import Instance, Job
from ..owner import run_as_owner
from ..records import Record, Records, finish, open_record


def note(instance: Instance, said: Mapping[str, Any], seconds: float, error: HoldfastError | None = None) -> Record:
    """Write the record of a change of logs, as the owner. Raises HoldfastError when there is no room for it."""

    def work() -> Record:
        complete = load(instance.name)
        record = open_record(complete, Job.LOG_CHANGE)
        record["logs"] = dict(said)
        done = finish(record, error=error.as_dict() if error else None, seconds=seconds)
        done["exit_code"] = error.exit_code if error else 0
        try:
            Records(complete).append(done)
        except OSError as failed:
            raise HoldfastError(
                f"the record of what was done cannot be written: {failed.strerror}", where=complete.name
            ) from None
        return done

    record: Record = run_as_owner(instance, work)
    return record
