"""``holdfast audit``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from .. import tables
from ..errors import InvalidInput
from ..jobs import run_job, summary
from ..model import Instance, Job
from .model import Right, Severity, Status
from .reviews import Review, tell
from .rights import of_account, words
from .run import audit
from .snapshot import Snapshot, Store

_MOST = 60  # findings that a terminal shows; JSON has them all
_CRITICAL = 3

Each = Callable[[argparse.Namespace, Callable[[Instance, argparse.Namespace], Any]], dict[str, Any]]
Print = Callable[[argparse.Namespace, Any, Callable[[], str]], None]


def run(
    instance: Instance,
    policy: Mapping[str, Any] | None,
    *,
    reviews: Sequence[Review] | None = None,
    scheduled: bool = False,
) -> dict[str, Any]:
    """Audit an instance as its owner: the record of the run, and what it saw, None where it saw nothing.

    ``reviews`` are those that the control host has recorded, where it tells.
    """
    if reviews is not None:
        tell(Store(instance), reviews, instance.name)
    call = partial(audit, raw_policy=policy, scheduled=scheduled)
    record = run_job(instance, Job.ACCESS_AUDIT, scheduled=scheduled, call=call)
    return {"record": record, "audit": Store(instance).last() if "access" in record else None}


def run_command(each: Each, show: Print, args: argparse.Namespace) -> int:
    """Carry the command out and return its exit code."""
    if args.rights:
        found = each(args, lambda instance, a: of_account(Store(instance).rights, a.rights))
        show(args, found, lambda: _rights_text(found, args.rights))
        return 0
    found = each(args, lambda instance, a: last(instance) if a.last else run(instance, None, scheduled=a.scheduled))
    show(args, found, lambda: "\n\n".join(text(item) for item in found.values()))
    codes = [int(item["record"].get("exit_code", 0)) for item in found.values()]
    failed = next((code for code in codes if code), 0)
    if args.scheduled:
        return failed  # findings are no failure of the job: metrics and status tell them
    alarming = any(is_alarming(item["audit"], args.fail_on) for item in found.values() if item["audit"])
    return failed or (_CRITICAL if alarming else 0)


def last(instance: Instance) -> dict[str, Any]:
    """The last audit of an instance. Raises InvalidInput when there was none."""
    found = Store(instance).last()
    if found is None:
        raise InvalidInput("it was never audited", where=instance.name, remedy="Audit it first")
    return {"record": {}, "audit": found}


def is_alarming(snapshot: Snapshot, severity: str) -> bool:
    """Whether there is an open finding as severe as this, or new power."""
    order = list(map(str, Severity))
    worst = order[: order.index(severity) + 1]
    found = any(item["state"] == "open" and item["severity"] in worst for item in snapshot["findings"])
    return found or bool(snapshot["difference"]["power"])


def text(found: Mapping[str, Any]) -> str:
    """An audit as a person reads it in a terminal."""
    record, snapshot = found["record"], found["audit"]
    lines = [summary(record)] if record else []
    if snapshot is None:
        return "\n".join(lines)
    open_ = [item for item in snapshot["findings"] if item["state"] == "open"]
    counts = {severity: sum(item["severity"] == str(severity) for item in open_) for severity in Severity}
    ended = {status: sum(item["status"] == str(status) for item in snapshot["checks"]) for status in Status}
    lines.append(
        f"{snapshot['instance']}: {snapshot['engine']} {snapshot['version']}, {snapshot['started'][:16]}Z: "
        + ", ".join(f"{count} {severity}" for severity, count in counts.items())
        + f"; {len(snapshot['findings']) - len(open_)} excepted; checks: "
        + ", ".join(f"{count} {str(status).replace('_', ' ')}" for status, count in ended.items())
    )
    if open_:
        order = list(map(str, Severity))
        worst = sorted(open_, key=lambda item: order.index(item["severity"]))
        rows = [[item["severity"], item["check"], _where(item), item["found"], item["since"][:10]] for item in worst]
        lines.extend(["", tables.table(("SEVERITY", "CHECK", "SUBJECT", "FOUND", "SINCE"), rows[:_MOST])])
        if len(rows) > _MOST:
            lines.append(f"and {len(rows) - _MOST} more; --json has them all")
    difference = snapshot["difference"]
    if difference["since"]:
        changes = f"{len(difference['new'])} new, {len(difference['fixed'])} fixed"
        lines.extend(["", f"since {difference['since'][:16]}Z: {changes}"])
    lines.extend(f"NEW POWER: {item['account']} {item['what']}" for item in difference["power"])
    lines.extend(
        f"ERROR: {item['id']} {item['title']}: {item['reason']}"
        for item in snapshot["checks"]
        if item["status"] == str(Status.ERROR)
    )
    return "\n".join(lines)


def _where(item: Mapping[str, Any]) -> str:
    return f"{item['database']}: {item['subject']}" if item["database"] else str(item["subject"])


def _rights_text(found: Mapping[str, Any], account: str) -> str:
    lines = []
    for name, listed in found.items():
        rights = [Right(**{**item, "via": tuple(item["via"])}) for item in listed]
        lines.append(f"{name}: {account} has {len(rights)} rights; those of PUBLIC are not among an account's own")
        lines.extend(f"  {words(right)}" for right in rights)
    return "\n".join(lines)
