"""``holdfast override``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from . import config, guard
from .errors import InvalidInput
from .logs import configure_logging
from .owner import run_as_owner
from .records import Record

_EXAMPLE = 'holdfast override orders --reason "disk of db1 is failing, INC-4711" --by "Dana Example" --for 2h'

Add = Callable[[str, str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
Print = Callable[[argparse.Namespace, Any, Callable[[], str]], None]


def add_override(add: Add, show: Print) -> None:
    """Add the command to the parser."""
    command = add("override", "let work through closed maintenance windows, on record", _runner(show), _EXAMPLE)
    command.add_argument("instance", metavar="INSTANCE", help="the instance whose windows are overridden")
    command.add_argument("--reason", required=True, metavar="TEXT", help="why")
    command.add_argument("--by", required=True, metavar="PERSON", help="who answers for it")
    command.add_argument("--for", dest="lasting", metavar="DURATION", help="for how long; default: 2h, at most 1d")


def _runner(show: Print) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        wish = guard.wanted(args.by, args.reason, args.lasting)
        instance = config.load(args.instance)
        if wish is None:
            raise InvalidInput("an override needs a person and a reason", remedy="Give --by and --reason")
        if not instance.windows:
            raise InvalidInput(
                "it has no maintenance windows, so there is nothing to override",
                where=instance.name,
                remedy="db_maintenance_windows of the inventory has them",
            )
        record: Record = run_as_owner(instance, partial(_grant, args, wish))
        show(
            args, {instance.name: record}, lambda: f"{instance.name}: {guard.Granted(**record['override']).describe()}"
        )
        return 0

    return run


def _grant(args: argparse.Namespace, wish: guard.Override) -> Record:
    instance = config.load(args.instance)
    configure_logging(instance, quiet=True, verbose=args.verbose)
    return guard.grant(instance, wish)
