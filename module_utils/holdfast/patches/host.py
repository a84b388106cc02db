"""A patch of this host with everything around it: locks, overrides, and a record for each of its instances."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from .. import config
from ..locks import job_lock
from ..model import Instance, Job
from ..owner import run_as_owner
from ..records import Record, Records, finish, open_record
from .apt import Apt
from .deploy import Deployment
from .journal import Journal
from .member import Member, state_directory
from .wish import NOTHING, Outcome, Wish

Prepare = Callable[[Instance], None]


def patch_host(wish: Wish, prepare: Prepare, *, change: bool) -> tuple[Outcome, list[Record]]:
    """Patch this host, or without ``change`` say what would be done. Returns the records, one for each instance.

    Must run as root. Raises Refused, without a record, for a plan that something stands in the way of; a patch that
    fails has its error in the outcome.
    """
    members = [Member(name) for name in config.names()]
    if not change:
        return Deployment(Apt(), members, Journal(state_directory()), wish).plan(), []
    records: dict[str, Record] = {}
    with _locked(members):
        for member in members:
            records[member.name] = open_record(member.instance, str(Job.PATCH))
            run_as_owner(member.instance, partial(_announce, member.name, records[member.name], prepare))

        def permit() -> None:
            for member in members:
                member.use(wish, records[member.name])

        outcome = Deployment(Apt(), members, Journal(state_directory()), wish, permit=permit).run()
        return outcome, [_end(member, records[member.name], outcome) for member in members]


@contextmanager
def _locked(members: Sequence[Member]) -> Iterator[None]:
    """No job of any instance runs meanwhile. Log jobs go on: what they save is not lost."""
    with ExitStack() as stack:
        for member in members:
            # Made by its owner: a file of root's, no job could open.
            run_as_owner(member.instance, partial(_touch, member.name))
            stack.enter_context(job_lock(member.instance, Job.PATCH, timedelta(0)))
        yield


def _touch(name: str) -> None:
    path = os.path.join(config.load(name).state_directory, "backup.lock")
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o640))


def _announce(name: str, record: Record, prepare: Prepare) -> None:
    instance = config.load(name)
    prepare(instance)
    records = Records(instance)
    records.reap()
    records.announce(record)


def _end(member: Member, record: Record, outcome: Outcome) -> Record:
    uneventful = outcome.result == NOTHING and not outcome.steps and not outcome.error
    record["patch"] = outcome.fields()
    done = finish(record, error=outcome.error)
    done["exit_code"] = 0 if outcome.error is None else 1
    written: dict[str, Any] = run_as_owner(member.instance, partial(_append, member.name, done, uneventful))
    return written


def _append(name: str, record: Record, uneventful: bool) -> Record:
    records = Records(config.load(name))
    if uneventful:
        records.withdraw(record)
    else:
        records.append(record)
    return record
