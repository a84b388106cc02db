"""``holdfast rescue``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from . import rescue, rescue_plan
from .errors import InvalidInput
from .jobs import summary
from .model import Instance
from .parts import KINDS
from .records import Record
from .rescue_plan import Request, make_request

_EXAMPLE = "holdfast rescue orders --kind table --name orders.public.customers --time 2026-11-21T14:30:00+01:00"

Add = Callable[[str, str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
Print = Callable[[argparse.Namespace, Any, Callable[[], str]], None]


def add_rescue(add: Add, show: Print) -> None:
    """Add the command to the parser."""
    command = add("rescue", "bring back a table, or another part, beside the live one", _runner(show), _EXAMPLE)
    command.add_argument("instance", metavar="INSTANCE", help="the instance that lost it")
    command.add_argument("--kind", choices=KINDS, default="table", help="default: table")
    command.add_argument("--name", required=True, metavar="NAME", help="its full name, DATABASE.SCHEMA.TABLE or alike")
    command.add_argument("--time", default="", metavar="TIME", help="as it was then, in ISO 8601, or latest")
    command.add_argument("--where", default="", metavar="SQL", help="only the rows for which this holds")
    command.add_argument(
        "--deleted-until", default="", metavar="TIME", help="only the rows not there any more at this time, or now"
    )
    command.add_argument("--replace", action="store_true", help="put it in place of the live one, which is kept aside")
    command.add_argument("--confirm", default="", metavar="NAME", help="its full name again, to replace")
    command.add_argument("--plan", action="store_true", help="show what would be done; do nothing")


def _runner(show: Print) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        request = _request(args)

        def prepare(instance: Instance) -> None:
            from .cli import configure_logging

            configure_logging(instance, quiet=args.json, verbose=args.verbose)

        if args.plan:
            planned = rescue.plan(args.instance, request, prepare)
            show(args, {args.instance: planned}, lambda: rescue_plan.describe(planned, args.instance))
            return InvalidInput.exit_code if planned["problems"] else 0
        record = rescue.start(args.instance, request, prepare)
        show(args, {args.instance: record}, lambda: text(record))
        return int(record.get("exit_code", 0))

    return run


def _request(args: argparse.Namespace) -> Request:
    return make_request(
        args.kind,
        args.name,
        time=args.time,
        where=args.where,
        deleted_until=args.deleted_until,
        replace=args.replace,
        confirm=args.confirm,
    )


def text(record: Record) -> str:
    """The outcome of a rescue as a person reads it."""
    measured: Mapping[str, Any] = record.get("rescue", {})
    lines = [summary(record)]
    lines.extend(f"  note: {note}" for note in measured.get("notes", ()))
    if record["result"] != "ok":
        return "\n".join(lines)

    def say(label: str, value: object) -> None:
        lines.append(f"  {label:<12}{value}")

    say("from", measured["source"]["text"])
    rows = "" if measured["rows"] is None else f", {measured['rows']} rows"
    say("rescued", f"{measured['target']}{rows}" if measured["target"] else "as statements, nothing was loaded")
    if measured.get("replaced"):
        say(
            "replaced",
            f"the old one is {measured['before']}"
            if measured["before"]
            else "there was none of that name, or nothing of it could be kept",
        )
    lines.extend(f"  {'compared':<12}{_compared(item)}" for item in measured["compare"])
    lines.extend(f"  care: {sentence}" for sentence in measured["care"])
    for word, statements in measured["statements"].items():
        if statements and not measured.get("replaced"):
            lines.extend([f"  to {word}:", *(f"    {line}" for item in statements for line in item.split("\n"))])
    return "\n".join(lines)


def _compared(item: Mapping[str, Any]) -> str:
    found = f"{item['table']}: {item['rescued']} rows rescued"
    if item["live"] is not None:
        found += f", {item['live']} live"
    if item["only_rescued"] is not None:
        found += f"; only rescued {item['only_rescued']}, only live {item['only_live']}"
    if item["different"] is not None:
        found += f", different {item['different']}"
    return f"{found}; {item['note']}" if item["note"] else found
