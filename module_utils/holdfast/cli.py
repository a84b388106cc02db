"""The command line of the host runner, ``holdfast``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from . import __version__, config, metrics, tables, work
from .audit.model import Severity
from .completion import BASH
from .errors import Busy, HoldfastError, InvalidInput
from .jobs import run_job, summary
from .listing import expiry_fields, list_backups, list_records
from .logs import configure_logging
from .model import ON_REQUEST, UPKEEP, Instance, Job
from .override_command import add_override
from .owner import run_as_owner
from .records import Records
from .rescue_command import add_rescue
from .restore_command import add_restore
from .restore_test import run as restore_test

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CRITICAL = 0, 1, 2, 3

_EPILOG = """\
examples:
  holdfast status                           how every instance on this host stands against its objectives
  holdfast backup orders --type incremental take a backup now
  holdfast list orders                      the backups of an instance, in every repository
  holdfast expire orders --dry-run          what retention would remove, and the recoverable window before and after
  holdfast restore-test orders              restore the newest backup onto a scratch server and check it
  holdfast restore orders --plan            what a restore would do, stop and lose; nothing is changed
  holdfast audit orders                     who can do what, and what of it should not be so
  holdfast status --json | jq .             the same for a machine

exit codes:
  0   done; status: no instance is critical
  1   a job failed; its record and the message say why
  2   wrong arguments or configuration; nothing was done
  3   status: at least one instance is critical; audit: a critical finding, or new power
  75  another job of the instance is running; try again later
"""

_BACKUP_TYPES = [str(job) for job in Job if job not in (*UPKEEP, *ON_REQUEST)]

Command = Callable[[Instance, argparse.Namespace], Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except HoldfastError as error:
        if args.json:
            print(json.dumps({"error": error.as_dict()}))
        print(f"holdfast: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast",
        description="Backups of this host's database instances, taken, kept, verified and proven by restore; and who "
        "can do what there.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="show the version and what names this very code, and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    parser.set_defaults(json=False, commands=commands.choices)

    def add(name: str, text: str, run: Callable[[argparse.Namespace], int], example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--json", action="store_true", help="print JSON on standard output and nothing else")
        command.add_argument("-v", "--verbose", action="store_true", help="show what the tools say")
        command.set_defaults(run=run)
        return command

    reading = {"nargs": "*", "metavar": "INSTANCE", "help": "names of instances; default: all of this host"}
    writing = {"nargs": "+", "metavar": "INSTANCE", "help": "names of instances"}

    backup = add("backup", "take a backup now", _run_backup, "holdfast backup orders --type full")
    backup.add_argument("instances", **writing)  # type: ignore[arg-type]
    backup.add_argument("--type", choices=_BACKUP_TYPES, default="full", help="default: full")
    _schedulable(backup)

    listing = add("list", "list the backups in every repository", _run_list, "holdfast list orders --json")
    listing.add_argument("instances", **reading)  # type: ignore[arg-type]

    status = add("status", "show how instances stand against their objectives", _run_status, "holdfast status")
    status.add_argument("instances", **reading)  # type: ignore[arg-type]

    verify = add("verify", "read stored backups back and check them", _run_verify, "holdfast verify orders --again")
    verify.add_argument("instances", **writing)  # type: ignore[arg-type]
    verify.add_argument("--again", action="store_true", help="also those that were verified within 30 days")
    _schedulable(verify)

    expire = add("expire", "remove what retention does not keep", _run_expire, "holdfast expire orders --dry-run")
    expire.add_argument("instances", **writing)  # type: ignore[arg-type]
    expire.add_argument("--dry-run", action="store_true", help="show the plan and the window, remove nothing")
    _schedulable(expire)

    test = add(
        "restore-test",
        "restore a backup onto a scratch server and check it",
        _run_restore_test,
        "holdfast restore-test orders",
    )
    test.add_argument("instances", **writing)  # type: ignore[arg-type]
    test.add_argument("--backup", metavar="ID", help="default: the newest usable one")
    test.add_argument("--repository", metavar="NAME", help="default: the first of the instance")
    _schedulable(test)

    add_restore(add, _print)
    add_rescue(add, _print)
    add_override(add, _print)

    audit = add("audit", "audit accounts, roles and rights", _run_audit, "holdfast audit orders --json")
    audit.add_argument("instances", **reading)  # type: ignore[arg-type]
    audit.add_argument("--last", action="store_true", help="show the last audit instead of making one")
    audit.add_argument("--rights", metavar="ACCOUNT", help="the rights of ACCOUNT as the last audit found them")
    audit.add_argument(
        "--fail-on",
        choices=[str(severity) for severity in Severity],
        default=str(Severity.CRITICAL),
        help="exit with 3 for findings as severe as this, or more; default: critical",
    )
    _schedulable(audit)

    past = add("records", "show the records of past runs", _run_records, "holdfast records orders --last 5")
    past.add_argument("instances", **reading)  # type: ignore[arg-type]
    past.add_argument("--last", type=int, default=20, metavar="N", help="default: 20 of each instance")

    gauges = add(
        "metrics",
        "print metrics for the node exporter's textfile collector",
        _run_metrics,
        "holdfast metrics --output /var/lib/prometheus/node-exporter/holdfast.prom",
    )
    gauges.add_argument("instances", **reading)  # type: ignore[arg-type]
    gauges.add_argument("--output", metavar="FILE", help="write FILE in one step instead of printing")

    reap = add("reap", "write the failed record of jobs that were killed", _run_reap, "holdfast reap orders")
    reap.add_argument("instances", **reading)  # type: ignore[arg-type]
    reap.add_argument("--scheduled", action="store_true", help="print errors only")

    completion = add("completion", "print the tab completion", _run_completion, "holdfast completion bash")
    completion.add_argument("shell", choices=["bash"])
    return parser


class _Version(argparse.Action):
    """Reads the whole package for its hash, so only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from .runner import content_hash

        print(f"holdfast {__version__} ({content_hash()})")
        parser.exit()


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command by its name, for what must know them all."""
    parsers: dict[str, argparse.ArgumentParser] = _parser().get_default("commands")
    return parsers


def _schedulable(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--scheduled", action="store_true", help="wait for a running job instead of failing, and print errors only"
    )


def _instances(args: argparse.Namespace) -> list[Instance]:
    names = list(dict.fromkeys(args.instances)) or config.names()
    if not names:
        raise InvalidInput("no instance is configured on this host", remedy="Run playbooks/site.yml for it")
    return [config.load(name) for name in names]


def _each(args: argparse.Namespace, command: Command) -> dict[str, Any]:
    """Run a command for every instance as its owner. One that fails does not keep the others from running."""
    results: dict[str, Any] = {}
    for instance in _instances(args):
        results[instance.name] = run_as_owner(instance, partial(_logged, command, instance, args))
    return results


def _logged(command: Command, instance: Instance, args: argparse.Namespace) -> Any:
    configure_logging(instance, quiet=args.json or getattr(args, "scheduled", False), verbose=args.verbose)
    # The keys are the owner's alone, so the instance is complete only when the owner reads it.
    return command(config.load(instance.name), args)


def _print(args: argparse.Namespace, value: Any, text: Callable[[], str]) -> None:
    if args.json:
        print(json.dumps(value, indent=2, default=str))
    elif not getattr(args, "scheduled", False):
        print(text())


def _jobs(args: argparse.Namespace, command: Command) -> int:
    records = _each(args, command)
    _print(args, records, lambda: "\n".join(summary(record) for record in records.values()))
    codes: list[int] = [record.get("exit_code", 0) for record in records.values()]
    return next((code for code in codes if code not in (0, Busy.exit_code)), max(codes))


def _run_backup(args: argparse.Namespace) -> int:
    return _jobs(args, lambda instance, a: run_job(instance, Job(a.type), scheduled=a.scheduled))


def _run_verify(args: argparse.Namespace) -> int:
    return _jobs(
        args,
        lambda instance, a: run_job(
            instance, Job.VERIFY, scheduled=a.scheduled, call=partial(work.verify, again=a.again)
        ),
    )


def _run_expire(args: argparse.Namespace) -> int:
    if not args.dry_run:
        return _jobs(args, lambda instance, a: run_job(instance, Job.EXPIRE, scheduled=a.scheduled))
    plans = _each(args, lambda instance, _: [expiry_fields(*plan) for plan in work.plan_expiry(instance)])
    _print(args, plans, lambda: tables.expiry(plans))
    return EXIT_OK


def _run_restore_test(args: argparse.Namespace) -> int:
    call = partial(restore_test, backup_id=args.backup, repository_name=args.repository)
    return _jobs(args, lambda instance, a: run_job(instance, Job.RESTORE_TEST, scheduled=a.scheduled, call=call))


def _run_list(args: argparse.Namespace) -> int:
    backups = _each(args, lambda instance, _: list_backups(instance))
    _print(args, backups, lambda: tables.backups(backups))
    silent = any("error" in item and "id" not in item for listed in backups.values() for item in listed)
    return EXIT_FAILED if silent else EXIT_OK


def _run_status(args: argparse.Namespace) -> int:
    from .status import instance_status  # no other command needs it, and log backups run every few minutes

    found = list(_each(args, lambda instance, _: instance_status(instance)).values())
    _print(args, found, lambda: tables.status(found))
    return EXIT_CRITICAL if any(item["state"] == "critical" for item in found) else EXIT_OK


def _run_audit(args: argparse.Namespace) -> int:
    from .audit.command import run_command  # no other command needs it, and log backups run every few minutes

    return run_command(_each, _print, args)


def _run_records(args: argparse.Namespace) -> int:
    found = _each(args, lambda instance, a: list_records(instance, a.last))
    _print(args, found, lambda: tables.records(found))
    return EXIT_OK


def _run_metrics(args: argparse.Namespace) -> int:
    found = _each(args, lambda instance, _: metrics.of_instance(instance))
    listed = [metrics.Sample(*sample) for samples in found.values() for sample in samples]
    if args.output:
        metrics.write(args.output, metrics.render(listed))
        return EXIT_OK
    _print(args, [sample._asdict() for sample in listed], lambda: metrics.render(listed).rstrip())
    return EXIT_OK


def _run_reap(args: argparse.Namespace) -> int:
    found = _each(args, lambda instance, _: Records(instance).reap())
    lines = [summary(record) for reaped in found.values() for record in reaped]
    _print(args, found, lambda: "\n".join(lines) or "no job was killed")
    return EXIT_OK


def _run_completion(_args: argparse.Namespace) -> int:
    print(BASH, end="")
    return EXIT_OK
