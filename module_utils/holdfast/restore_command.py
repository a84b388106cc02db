"""``holdfast restore``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from . import config, restore, restore_configuration, restore_plan
from .errors import InvalidInput
from .jobs import summary
from .logs import configure_logging
from .model import Instance
from .records import Record
from .restore_request import Request, parse_target

_EXAMPLE = "holdfast restore orders --time 2026-11-21T14:30:00+01:00 --plan"

Add = Callable[[str, str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
Print = Callable[[argparse.Namespace, Any, Callable[[], str]], None]


def add_restore(add: Add, show: Print) -> None:
    """Add the command to the parser."""
    command = add("restore", "put an instance back, proven before it replaces what is there", _runner(show), _EXAMPLE)
    command.add_argument("instance", metavar="INSTANCE", help="the instance whose data are replaced")
    command.add_argument("--plan", action="store_true", help="show what would be done, stopped and lost; do nothing")
    command.add_argument("--confirm", default="", metavar="INSTANCE", help="its exact name again, or nothing is done")
    target = command.add_argument_group("target", "one of these; without any, the newest change in the repository")
    target.add_argument("--time", metavar="TIME", help="the last transaction at or before it; ISO 8601, with a zone")
    target.add_argument("--position", metavar="POSITION", help="log position: LSN, GTID or FILE:OFFSET")
    target.add_argument("--transaction", metavar="ID", help="a transaction")
    target.add_argument("--point", metavar="NAME", help="a named restore point")
    target.add_argument("--consistent", action="store_true", help="the end of the backup")
    target.add_argument("--timeline", metavar="ID", help="follow this history of the log instead of the newest")
    command.add_argument("--source", metavar="INSTANCE", help="restore the backups of another instance of this host")
    command.add_argument("--backup", metavar="ID", help="default: the newest that ends before the target")
    command.add_argument("--repository", metavar="NAME", help="default: the first that has one")
    command.add_argument("--delta", action="store_true", help="onto the live files: no second copy, nothing is kept")
    command.add_argument("--drop-previous", action="store_true", help="remove the data of before when all went well")
    command.add_argument("--disconnect", action="store_true", help="go on although clients or replicas are connected")
    command.add_argument("--create", action="store_true", help="make an empty server first where there is none")
    command.add_argument("--no-check", action="store_true", help="leave the engine's checker out")


def _runner(show: Print) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        request = _request(args)

        def prepare(instance: Instance) -> None:
            configure_logging(instance, quiet=args.json, verbose=args.verbose)

        if args.plan:
            planned = restore.plan(args.instance, request, prepare)
            show(args, planned, lambda: restore_plan.describe(planned, args.instance))
            return InvalidInput.exit_code if planned["problems"] else 0
        record = restore.start(args.instance, request, prepare)
        show(args, record, lambda: text(record))
        return int(record.get("exit_code", 0))

    return run


def _request(args: argparse.Namespace) -> Request:
    given = {name: getattr(args, name) for name in ("time", "position", "transaction", "point", "timeline")}
    target, remark = parse_target({**given, "consistent": "yes" if args.consistent else None})
    return Request(
        target=target,
        source=config.load(args.source) if args.source else None,
        backup_id=args.backup,
        repository=args.repository,
        confirm=args.confirm,
        keep_previous=not args.drop_previous,
        delta=args.delta,
        disconnect=args.disconnect,
        check=not args.no_check,
        create=args.create,
        remark=remark,
    )


def text(record: Record) -> str:
    """The outcome of a restore as a person reads it."""
    measured = record.get("restore", {})
    found = measured.get("configuration") or {}
    lines = [summary(record)]
    reached = measured.get("reached")
    if reached:
        lines.append(f"  reached     {reached['time'] or 'no transaction'}, log position {reached['position']}")
    if measured.get("in_service") and measured.get("previous"):
        lines.append(f"  the data of before are in {measured['previous']} until you remove them")
    lines.extend(f"  {label:<12}{text}" for label, text in restore_configuration.describe(found))
    lines.extend(
        f"  make anew   replica {name}; of a pair, by playbooks/failback.yml" for name in measured.get("rebuild", ())
    )
    return "\n".join(lines)
