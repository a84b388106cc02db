"""Bringing a host to the way in which its logs are to be kept: all of it, or nothing of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

from .. import host as holdfast_host
from .. import process
from ..engines.logs import ENGINE, LOGROTATE, Source
from ..errors import HoldfastError, NotInstalled, Unsupported
from ..files import File, differs, read, write
from ..host import Change
from ..model import Instance
from . import appendonly, host, rotation, shipping
from .host import Told
from .note import note
from .settings import FILE, Settings

TIMER = "/etc/systemd/system/logrotate.timer.d/holdfast.conf"
_TIMER_TEXT = (
    "# Written by Holdfast: limits of size are looked at every hour.\n[Timer]\nOnCalendar=\nOnCalendar=hourly\n"
)
_SYSTEMD = "/run/systemd/system"
_MINUTES = {"hourly": 60, "daily": 1440, "weekly": 10080, "monthly": 43200}

Undo = Callable[[], None]


@dataclass
class Plan:
    """What a host lacks. ``after`` are commands that follow when a file of theirs has changed, by its path."""

    changes: list[Change] = field(default_factory=list)
    after: dict[str, list[list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[HoldfastError] = field(default_factory=list)
    undo: list[Undo] = field(default_factory=list)

    def diff(self) -> list[dict[str, str]]:
        """It in the form in which Ansible shows it."""
        return [change.diff() for change in self.changes]


def plan(instances: Sequence[Instance], raw: Mapping[str, Any], settings: Settings) -> Plan:
    """What has to change on this host. Changes nothing. Needs root."""
    made = Plan()
    asked = [host.ask_server(instance) for instance in instances]
    for told in asked:
        for status, reason in told.reasons.values():
            made.failures.append(HoldfastError(f"{status}: {reason}", where=told.instance.name))
    if made.failures:
        return made  # rotation of a host is one file: half of its logs must not fall out of it
    sources = [(told.instance.name, item) for told in asked for item in told.sources or ()]
    _file(made, File(FILE, json.dumps(raw, indent=2, sort_keys=True) + "\n"))
    _runner(made, instances, settings)
    for told in asked:
        _engine(made, told, settings)
    _rotation(made, sources, settings)
    _shipping(made, sources, settings)
    for told in asked:
        _append_only(made, told, settings)
        made.notes += [f"{told.instance.name}: no {kind} log: {why}" for kind, why in sorted(told.missing.items())]
    return made


def apply(made: Plan, instances: Sequence[Instance]) -> None:
    """Carry a plan out. What fails is followed by taking back what was done before it; either is in the records."""
    began, done = time.monotonic(), []
    error: HoldfastError | None = None
    try:
        for change in made.changes:
            change.apply()
            done.append(change.subject)
            for command in made.after.get(change.subject, ()):
                process.run(command).check()
        _check_logrotate()
    except (HoldfastError, OSError) as caught:
        error = caught if isinstance(caught, HoldfastError) else HoldfastError(str(caught))
        _take_back(made, done)
        error.remedy = f"{error.remedy} Everything is as it was before".strip()
    said = {"action": "configure", "changes": done, "undone": bool(error), "notes": made.notes}
    for instance in instances if done or error else ():
        note(instance, said, time.monotonic() - began, error)
    if error:
        raise error


def _take_back(made: Plan, done: Sequence[str]) -> None:
    for undo in reversed(made.undo):
        with suppress(HoldfastError, OSError):
            undo()
    for subject in done:
        for command in made.after.get(subject, ()):
            with suppress(HoldfastError):
                process.run(command)


def _file(made: Plan, file: File, *commands: list[str]) -> None:
    """Have a file as it should be; one without content is to be gone."""
    before = read(file.path)
    if (before is None and not file.content) or (file.content and before is not None and not differs(file)):
        return
    made.after[file.path] = [*commands]

    def put() -> None:
        made.undo.append(partial(_restore, file, before))
        _restore(file, file.content or None)

    made.changes.append(Change(file.path, before or "", file.content, put))


def _restore(file: File, content: str | None) -> None:
    if content is None:
        with suppress(FileNotFoundError):
            os.unlink(file.path)
    else:
        write(File(file.path, content, file.mode, file.owner, file.group))


def _runner(made: Plan, instances: Sequence[Instance], settings: Settings) -> None:
    if os.path.exists(holdfast_host.LOGROTATE):
        _file(made, File(holdfast_host.LOGROTATE, holdfast_host.logrotate(instances, rotation.runner_lines(settings))))


def _engine(made: Plan, told: Told, settings: Settings) -> None:
    """Parameters by which an engine rotates within the limits, or leaves the rotation to logrotate."""
    wanted: dict[str, str] = {}
    lasting: dict[str, str] = {}
    current: dict[str, str] = {}
    for source in told.sources or ():
        if source.rotated_by != ENGINE:
            continue
        adopted = rotation.adopted(source, settings)
        if adopted is not source:
            wanted.update(source.adopt)
            current.update(source.parameters)
            made.notes.append(
                f"{told.instance.name}: {source.why}; logrotate takes over, older files of {source.names} stay"
            )
        else:
            limits = settings.rotation[source.kind]
            call = partial(_limits, source=source, settings=settings)
            found = host.with_keeper(told.instance, call)
            wanted.update(found)
            lasting.update(found)
            current.update(source.parameters)
            made.notes.append(
                f"{told.instance.name}: {source.kind} log is rotated by the engine ({source.why}), within"
                f" {limits.keep} files; compression is not applicable there"
            )
    file = host.with_keeper(told.instance, lambda keeper: keeper.lasting(lasting))
    if file:
        _file(made, File(**file))
    changed = {name: value for name, value in wanted.items() if current.get(name) != value}
    if changed:
        _parameters(made, told.instance, changed, {name: current.get(name, "") for name in changed})


def _limits(keeper: Any, *, source: Source, settings: Settings) -> Mapping[str, str]:
    limits = settings.rotation[source.kind]
    found: Mapping[str, str] = keeper.limit_rotation(
        source, size=limits.size, keep=limits.keep, minutes=_MINUTES[limits.every]
    )
    return found


def _parameters(made: Plan, instance: Instance, wanted: Mapping[str, str], before: Mapping[str, str]) -> None:
    def put() -> None:
        known = {name: value for name, value in before.items() if value}
        made.undo.append(partial(_set, instance, known))
        _set(instance, wanted)

    made.changes.append(Change(f"{instance.name}: parameters", _listed(before), _listed(wanted), put))


def _set(instance: Instance, parameters: Mapping[str, str]) -> None:
    host.with_keeper(instance, lambda keeper: keeper.apply(parameters))


def _listed(values: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in sorted(values.items()))


def _rotation(made: Plan, sources: Sequence[tuple[str, Source]], settings: Settings) -> None:
    planned = rotation.plan(sources, host.logrotate_files(), settings)
    for path in planned.disable:
        _move(made, path, f"{path}{rotation.SUFFIX}")
        made.notes.append(f"{path} is disabled: {rotation.OURS} has every file that it named")
    for path in planned.enable:
        _move(made, f"{path}{rotation.SUFFIX}", path)
    _file(made, File(rotation.OURS, planned.text))
    for path, files in planned.twice.items():
        made.notes.append(f"{path} is rotated twice, by {' and '.join(files)}: take it out of one of them")
    made.notes += [f"{path}: {who}" for path, who in sorted(planned.rotated_by.items())]
    if os.path.isdir(_SYSTEMD):
        _file(
            made, File(TIMER, _TIMER_TEXT if planned.text else ""), ["systemctl", "daemon-reload"],
            ["systemctl", "try-restart", "logrotate.timer"],
        )  # fmt: skip


def _move(made: Plan, path: str, target: str) -> None:
    def put() -> None:
        os.replace(path, target)
        made.undo.append(partial(os.replace, target, path))

    made.changes.append(Change(path, f"{path}\n", f"{target}\n", put))


def _shipping(made: Plan, sources: Sequence[tuple[str, Source]], settings: Settings) -> None:
    after = [(name, rotation.adopted(item, settings)) for name, item in sources]
    text = shipping.configuration(after, settings)
    if text:
        try:
            process.require("rsyslogd")
        except NotInstalled:
            made.failures.append(
                NotInstalled(
                    "rsyslogd is not installed", where=shipping.FILE, remedy="Run playbooks/logs.yml, not in check mode"
                )
            )
            return
    journal = shipping.JOURNAL_TEXT if text and shipping.needs_journal(after, settings) else ""
    _file(made, File(shipping.JOURNAL_FILE, journal), ["systemctl", "restart", "systemd-journald"])
    _file(made, File(shipping.FILE, text), ["rsyslogd", "-N1"], ["systemctl", "restart", "rsyslog"])


def _append_only(made: Plan, told: Told, settings: Settings) -> None:
    try:
        source = told.audit()
    except Unsupported:
        return  # that there is no audit log is told anyway
    if rotation.adopted(source, settings).rotated_by != LOGROTATE:
        made.notes.append(f"{told.instance.name}: append-only is not applicable to its audit log: {source.why}")
        return
    if not os.path.exists(source.path):
        return
    try:
        if appendonly.is_set(source.path) == settings.append_only:
            return
        # Without it the rotation could not open what is append-only, and the file would grow for ever.
        process.require("chattr")
    except Unsupported as error:
        made.notes.append(f"{told.instance.name}: append-only is not applicable: {error.reason}")
        return
    except NotInstalled as error:
        made.failures.append(NotInstalled(error.what, where=source.path, remedy="Install the package e2fsprogs"))
        return

    def put() -> None:
        try:
            if appendonly.put(source.path, on=settings.append_only):
                made.undo.append(partial(_put_back, source.path, on=not settings.append_only))
        except Unsupported as error:
            made.notes.append(f"{told.instance.name}: append-only is not applicable: {error.reason}")

    words = ("append-only\n", "can be rewritten\n")
    before, now = words if not settings.append_only else words[::-1]
    made.changes.append(Change(source.path, before, now, put))


def _put_back(path: str, *, on: bool) -> None:
    appendonly.put(path, on=on)


def _check_logrotate() -> None:
    """Have logrotate read everything: one file that it refuses keeps all others from being rotated."""
    said = process.run(["logrotate", "--debug", "--state", "/dev/null", rotation.MAIN]).stderr
    wrong = [line for line in said.splitlines() if line.startswith("error:")]
    ours = [line for line in wrong if "holdfast" in line or "duplicate" in line]
    if ours:
        raise HoldfastError(f"logrotate refuses the configuration: {ours[0]}", where=rotation.OURS)
