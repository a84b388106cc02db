"""One pass over a host that makes it what the inventory says: first the plan, which only reads, then the changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from . import guard, host, pair, setup
from .adapters import Adapters
from .config import STATE, load, render
from .errors import HoldfastError, NotInstalled, Refused
from .files import File
from .guard import Override
from .host import Change, Manifest
from .model import Instance
from .owner import run_as_owner
from .schedulers.base import Scheduler
from .schedulers.cron import Cron
from .schedulers.systemd import Systemd
from .setup import Setup
from .windows import Work

SCHEDULERS: Mapping[str, Callable[[], Scheduler]] = {"systemd": Systemd, "cron": Cron}

_HOST = ""  # stands in for an instance's name where a change is the host's


@dataclass
class Plan:
    """What a host lacks. ``changes`` are in the order in which they are made, each with its instance's name."""

    instances: Sequence[Instance]
    scheduler: Scheduler
    restart: Sequence[str]
    awaiting: Sequence[str]
    manifest: Manifest
    wanted: Manifest = field(default_factory=Manifest)
    changes: list[tuple[str, Change]] = field(default_factory=list)
    removals: list[Change] = field(default_factory=list)
    leftovers: dict[str, list[str]] = field(default_factory=dict)  # tools' files among them, by the instance now served
    inactive: list[str] = field(default_factory=list)  # files of the scheduler whose jobs do not run yet
    setups: dict[str, Setup] = field(default_factory=dict)
    unconfigured: set[str] = field(default_factory=set)  # instances whose tools are not configured as they should be
    failures: list[HoldfastError] = field(default_factory=list)
    lacking: dict[str, list[HoldfastError]] = field(default_factory=dict)  # programs that tools of an instance miss
    notes: list[str] = field(default_factory=list)
    configure_only: bool = False
    override: Override | None = None  # of the windows of instances that are restarted
    closed: dict[str, str] = field(default_factory=dict)  # why windows forbid a restart now, by instance

    def host_diff(self) -> list[dict[str, str]]:
        """Changes of files and jobs, in before and after form."""
        parts = [change.diff() for _, change in self.changes] + [change.diff() for change in self.removals]
        if self.inactive:
            started = "".join(f"{os.path.basename(path)} active\n" for path in self.inactive)
            parts.append(Change(f"{self.scheduler.name}: jobs", "", started, _nothing).diff())
        return parts


@dataclass
class Outcome:
    """What a pass did or, in check mode, would do."""

    diff: list[dict[str, str]]
    instances: dict[str, dict[str, Any]]
    restart_required: list[dict[str, Any]]
    notes: list[str]
    failures: list[HoldfastError]

    @property
    def changed(self) -> bool:
        """Whether anything is different now, or would be."""
        return bool(self.diff)


def plan(
    instances: Sequence[Instance],
    scheduler: str,
    *,
    restart: Sequence[str] = (),
    awaiting: Sequence[str] = (),
    configure_only: bool = False,
    override: Override | None = None,
) -> Plan:
    """What the host lacks for these instances. Changes nothing; root runs it.

    ``restart`` names the instances whose server may be restarted where a parameter needs it, if its windows or an
    ``override`` let that begin, ``awaiting`` those whose server a restore will make. ``configure_only`` leaves servers,
    repositories and schedule alone: what is left lets the runner read backups, and write none. What goes wrong for one
    instance is in ``failures`` and does not hide what is planned for the others. Raises InvalidInput when the host has
    no such scheduler, or something that is not Holdfast's is in its place.
    """
    made = Plan(instances, SCHEDULERS[scheduler](), restart, awaiting, Manifest.read(), configure_only=configure_only)
    made.override = override
    made.closed = {item.name: guard.judge(item, Work.RESTART, override).problem for item in instances}
    made.scheduler.check()
    _plan_host(made)
    for instance in instances:
        try:
            _plan_instance(made, instance)
        except HoldfastError as error:
            made.failures.append(_named(error, instance.name))
            _keep(made, instance.name)
    _plan_removals(made)
    new = {change.subject for _, change in made.changes if not change.before}
    paths = [path for name in made.setups for path in made.wanted.instances[name]]
    started = made.scheduler.inactive([path for path in paths if path not in new])
    made.inactive = started + [path for path in paths if path in new and path.endswith(".timer")]
    return made


def apply(made: Plan) -> Outcome:
    """Carry the plan out. What fails for one instance does not keep the others from being done.

    The list of what is managed grows before the first file is written and shrinks after the last is gone, so that a run
    which is cut short leaves nothing behind that the next one does not know of.
    """
    diff, failures = made.host_diff(), list(made.failures)
    if diff:
        made.manifest.merged(made.wanted).write()
    broken = _change_files(made, failures)
    setups = {}
    for instance in made.instances:
        if instance.name in made.setups and not broken & {instance.name, _HOST}:
            setups[instance.name] = _set_up(made, instance, diff, failures)
    diff = _spare_leftovers(made, setups, diff)
    try:
        _schedule(made)
    except HoldfastError as error:
        failures.append(error)
    if not broken:
        made.wanted.write()
    return _outcome(made, setups, diff, failures)


def preview(made: Plan) -> Outcome:
    """The outcome that :func:`apply` would have, as far as it can be known beforehand."""
    diff, failures = made.host_diff(), list(made.failures)
    notes: list[str] = []
    for instance in made.instances:
        found = made.setups.get(instance.name)
        if not found:
            continue
        diff.extend(found.missing)
        for error in (*made.lacking[instance.name], *_errors(instance, found)):
            if error.code == NotInstalled.code:
                notes.append(f"{instance.name}: {error.what}, so what its server needs cannot be told yet")
            else:
                failures.append(error)
        if instance.name in made.unconfigured:
            notes.append(
                f"{instance.name}: whether its repositories are initialised is known once the tools are configured"
            )
        if _may_restart(made, instance, found):
            diff.append(Change(f"{instance.name}: server", "running\n", "restarted\n", _nothing).diff())
            notes.append(found.restart_sentence(instance.name, "would be restarted"))
    return _outcome(made, made.setups, _spare_leftovers(made, made.setups, diff), failures, notes)


def _plan_host(made: Plan) -> None:
    changes: list[Change | None] = [directory.change() for directory in host.host_directories()]
    changes.extend(host.runner_changes())
    scheduling = made.scheduler.host_files() if made.instances and not made.configure_only else []
    for file in [*host.host_files(made.instances), *scheduling]:
        made.wanted.host.append(file.path)
        changes.append(host.file_change(file, made.manifest))
    made.wanted.host.sort()
    made.changes.extend((_HOST, change) for change in changes if change)


def _plan_instance(made: Plan, instance: Instance) -> None:
    name = instance.name
    changes: list[Change | None] = [directory.change() for directory in host.instance_directories(instance)]
    has_place = all(change is None or change.before for change in changes)
    changes.extend(placeholder.change() for placeholder in host.placeholders(instance))
    jobs = [] if made.configure_only else made.scheduler.files(instance)
    # What has jobs keeps them, whatever becomes of a restore that is only asked for.
    if name in made.awaiting and not {file.path for file in jobs} & {*made.manifest.instances.get(name, ())}:
        jobs = []
    own = [*render(instance), *jobs]
    if made.configure_only:
        changes.extend(host.file_change(file, made.manifest) for file in own)
        made.changes.extend((name, change) for change in changes if change)
        made.wanted.instances[name] = sorted(file.path for file in own)
        return
    to_be_replica = bool(instance.replica_of) and not pair.is_set_up(instance)
    awaited = to_be_replica or name in made.awaiting
    tools, unknown = _tool_files(instance, awaited=awaited)
    changes.extend(host.file_change(file, made.manifest) for file in own)
    configuring = [change for change in (host.file_change(file, made.manifest) for file in tools) if change]
    configured = has_place and not configuring and not unknown
    found = Setup(role=setup.AWAITED)
    if to_be_replica:
        made.notes.append(f"{name}: playbooks/replication.yml makes its server, a replica of {instance.replica_of}")
    if not awaited:
        found = Setup(**run_as_owner(instance, partial(setup.inspect, instance, configured=configured)))
    if found.unused and name in made.restart and made.closed[name]:
        made.closed[name] = ""
        made.notes.append(f"the windows of {name} are closed; it has no table and no client that a restart could harm")
    planned = {change.subject for _, change in made.changes}
    made.changes.extend((name, item) for item in [*changes, *configuring] if item and item.subject not in planned)
    if not configured:
        made.unconfigured.add(name)
    made.wanted.instances[name] = sorted(file.path for file in own)
    made.wanted.tools[name] = sorted(file.path for file in tools) or made.manifest.tools.get(name, [])
    made.setups[name] = found
    made.lacking[name] = unknown


def _tool_files(instance: Instance, *, awaited: bool) -> tuple[list[File], list[HoldfastError]]:
    found: dict[str, File] = {}
    unknown: list[HoldfastError] = []
    with Adapters(instance) as adapters:
        for tool in (adapters.physical, adapters.logical):
            try:
                found.update({file.path: file for file in tool.files()})
            except NotInstalled as error:
                unknown.append(_named(error, instance.name))
            except HoldfastError:
                if not awaited:
                    raise
    return list(found.values()), unknown


def _keep(made: Plan, name: str) -> None:
    """An instance that cannot be planned keeps what it has."""
    for group in ("instances", "tools"):
        if name in getattr(made.manifest, group):
            getattr(made.wanted, group)[name] = getattr(made.manifest, group)[name]


def _plan_removals(made: Plan) -> None:
    known = {instance.name for instance in made.instances}
    for name, paths in made.manifest.tools.items():
        heir = name if name in known else _heir(made, name)
        if heir is None:
            # The server goes on saving its log with these: without them its disk would fill.
            made.wanted.tools[name] = paths
        else:
            made.leftovers.setdefault(heir, []).extend(sorted({*paths} - {*made.wanted.tools.get(heir, ())}))
    for name in sorted({*made.manifest.instances} - known):
        kept = ", ".join(made.wanted.tools.get(name, ()))
        made.notes.append(
            f"{name} is no longer in the inventory: its jobs and its configuration go; its backups, its repositories "
            f"and its records in {os.path.join(STATE, name)} stay"
            + (f", and so does {kept}, which its server uses" if kept else "")
        )
    gone = (host.removal(path) for path in sorted(made.manifest.paths() - made.wanted.paths()))
    made.removals.extend(change for change in gone if change)


def _heir(made: Plan, name: str) -> str | None:
    """The instance that has the server of one that is no longer in the inventory: it was given another name."""
    try:
        gone = load(name)
    except HoldfastError:
        return None
    servers = {_address(instance): instance.name for instance in made.instances}
    return servers.get(_address(gone))


def _address(instance: Instance) -> tuple[object, ...]:
    return (instance.engine, instance.port, instance.socket_directory, *sorted(instance.options.items()))


def _spare_leftovers(made: Plan, setups: Mapping[str, Setup], diff: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Keep what a server may still use: it has not taken the parameters that name its new files. Returns what is left.

    The next run finds the files listed as the instance's own, and not among those that it wants.
    """
    spared: set[str] = set()
    for name, paths in made.leftovers.items():
        found = setups.get(name)
        if found is None or found.is_awaited or found.errors or found.waiting:
            made.wanted.tools[name] = sorted({*made.wanted.tools.get(name, ()), *paths})
            spared.update(paths)
    made.removals = [change for change in made.removals if change.subject not in spared]
    return [part for part in diff if part["after_header"] not in spared]


def _change_files(made: Plan, failures: list[HoldfastError]) -> set[str]:
    broken: set[str] = set()
    for name, change in made.changes:
        if name in broken:
            continue
        try:
            change.apply()
        except OSError as error:
            failures.append(HoldfastError(error.strerror or str(error), where=f"{name or 'host'}: {change.subject}"))
            broken.add(name)
    return broken


def _set_up(made: Plan, instance: Instance, diff: list[dict[str, str]], failures: list[HoldfastError]) -> Setup:
    """Repositories, marker and parameters, where the plan found anything to do, and the restart that was asked for."""
    found = made.setups[instance.name]
    if found.is_awaited:
        return found
    if made.lacking[instance.name]:
        failures.extend(made.lacking[instance.name])
        return found
    try:
        if found.missing or found.errors or instance.name in made.unconfigured:
            found = Setup(**run_as_owner(instance, partial(setup.set_up, instance)))
            diff.extend(found.missing)
            failures.extend(_errors(instance, found))
        if _may_restart(made, instance, found):
            run_as_owner(instance, partial(guard.use, instance, Work.RESTART, made.override))
            with Adapters(instance) as adapters:
                adapters.engine.restart()
            diff.append(Change(f"{instance.name}: server", "running\n", "restarted\n", _nothing).diff())
            made.notes.append(found.restart_sentence(instance.name, "was restarted"))
            found = Setup(**run_as_owner(instance, partial(setup.inspect, instance)))
    except HoldfastError as error:
        failures.append(_named(error, instance.name))
    return found


def _may_restart(made: Plan, instance: Instance, found: Setup) -> bool:
    return _wants_restart(made, instance, found) and not made.closed[instance.name]


def _wants_restart(made: Plan, instance: Instance, found: Setup) -> bool:
    return bool(found.waiting) and instance.name in made.restart and found.is_primary


def _schedule(made: Plan) -> None:
    gone = [change.subject for change in made.removals]
    for scheduler in SCHEDULERS.values():
        scheduler().retire(gone)
    for change in made.removals:
        change.apply()
    units = {path for paths in (made.wanted.host, *made.wanted.instances.values()) for path in paths}
    changed = [change.subject for _, change in made.changes if change.subject in units]
    made.scheduler.activate(changed, made.inactive)


def _outcome(
    made: Plan,
    setups: Mapping[str, Setup],
    diff: list[dict[str, str]],
    failures: list[HoldfastError],
    notes: Sequence[str] = (),
) -> Outcome:
    instances, required = {}, []
    for instance in made.instances:
        found = setups.get(instance.name)
        if not found:
            continue
        instances[instance.name] = {
            "engine": instance.engine,
            "version": found.version,
            "role": found.role,
            "service_level": instance.service_level.name,
            "notes": found.notes,
        }
        if _wants_restart(made, instance, found) and made.closed[instance.name]:
            message = f"{found.restart_sentence(instance.name, 'is not restarted now')}: {made.closed[instance.name]}"
            failures.append(Refused(message, where=instance.name, remedy="All else was done"))
        if found.waiting and not _may_restart(made, instance, found):
            required.append(
                {
                    "instance": instance.name,
                    "parameters": [item["name"] for item in found.waiting],
                    "message": _restart_message(made, instance, found),
                }
            )
    failures = list({str(error): error for error in failures}.values())
    return Outcome(diff, instances, required, [*made.notes, *dict.fromkeys(notes)], failures)


def _restart_message(made: Plan, instance: Instance, found: Setup) -> str:
    sentence = found.restart_sentence(instance.name, "must be restarted")
    if found.is_primary or instance.name not in made.restart:
        return (
            f"{sentence}; until then its backups are not complete. Name it in backup_restart_instances when it may be"
        )
    return f"{sentence}; it is a {found.role}, so restart it by hand, or switch over first"


def _errors(instance: Instance, found: Setup) -> list[HoldfastError]:
    return [setup.revive(raw, instance.name) for raw in found.errors]


def _named(error: HoldfastError, instance: str) -> HoldfastError:
    if instance not in error.where:
        error.where = f"{instance}, {error.where}" if error.where else instance
    return error


def _nothing() -> None:
    return None
