"""What a host shows of logs: the files of logrotate, the file systems, and what each server tells of its own."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

from ..adapters import Adapters
from ..audit.facts import ask, plain
from ..audit.model import Status
from ..audit.snapshot import read_json
from ..config import STATE, load
from ..engines import registry
from ..engines.logs import ENGINE, LOGROTATE, Holder, LogKeeper, LogSpace, Need, Source
from ..errors import HoldfastError, Unsupported
from ..files import read
from ..model import Instance
from ..owner import run_as_owner
from ..records import Records
from ..units import utcnow
from . import rotation, sizing
from .sizing import Disk

DIRECTORY = os.path.join(STATE, ".logs")  # no instance can have this name


@dataclass
class Told:
    """What was asked of one instance. A part that could not be had is None, and ``reasons`` says why, by part."""

    instance: Instance
    version: str = ""
    role: str = ""
    system_identifier: str = ""
    sources: list[Source] | None = None
    missing: dict[str, str] = field(default_factory=dict)  # kinds of log that there are none of, and why
    space: LogSpace | None = None
    need: Need | None = None
    peak: float = 0.0
    reasons: dict[str, tuple[Status, str]] = field(default_factory=dict)

    def audit(self) -> Source:
        """The log that holds the audit trail, as files. Raises Unsupported."""
        for source in self.sources or ():
            if source.also_audit and (source.path or source.names):
                return source
        if self.sources is None:
            raise HoldfastError(self.reasons["sources"][1], where=self.instance.name)
        raise Unsupported(self.instance.engine, "an audit log", self.missing.get("audit", "nothing is audited"))


def ask_server(instance: Instance) -> Told:
    """Ask a server as its owner. Never raises what can be told."""
    try:
        raw = run_as_owner(instance, partial(_as_owner, instance.name))
    except HoldfastError as error:
        return Told(instance, reasons=dict.fromkeys(("server", "sources", "space"), (Status.ERROR, str(error))))
    told = Told(instance, raw["version"], raw["role"], raw["system_identifier"], peak=raw["peak"])
    told.reasons = {part: (Status(status), reason) for part, (status, reason) in raw["reasons"].items()}
    if raw["sources"] is not None:
        told.sources = [_source(item) for item in raw["sources"][0]]
        told.missing = raw["sources"][1]
    if raw["space"] is not None:
        holders = tuple(Holder(**item) for item in raw["space"].pop("holders"))
        directories = tuple(raw["space"].pop("directories"))
        told.space = LogSpace(holders=holders, directories=directories, **raw["space"])
    told.need = Need(**raw["need"]) if raw["need"] else None
    return told


def _source(raw: dict[str, Any]) -> Source:
    fields: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in raw.items()}
    return Source(**fields)


def _as_owner(name: str) -> dict[str, Any]:
    instance = load(name)
    found: dict[str, Any] = {"version": "", "role": "", "system_identifier": "", "reasons": {}}
    with Adapters(instance) as adapters:
        info = ask(adapters.engine.inspect)
        if info.value:
            found.update({key: getattr(info.value, key) for key in ("version", "role", "system_identifier")})
        keeper = registry.log_keeper(adapters.engine)
        questions: dict[str, Callable[[], Any]] = {
            "sources": keeper.sources,
            "space": keeper.space,
            "need": keeper.need,
        }
        for part, question in questions.items():
            answer = ask(question)
            found[part] = plain(answer.value)
            if answer.value is None and answer.reason:
                found["reasons"][part] = (str(answer.status), answer.reason)
    found["peak"] = sizing.peak_hour(Records(instance), utcnow())
    return found


def remembered_at(name: str) -> str:
    """The file in which the last look at an instance is kept."""
    return os.path.join(DIRECTORY, f"{name}.json")


def remember(told: Told) -> None:
    """Have the logs of a server that does not answer be those of the last look: a full disk may have stopped it."""
    path = remembered_at(told.instance.name)
    if told.sources is None and os.access(path, os.R_OK):
        told.sources = [_source(item) for item in (read_json(path) or {}).get("sources") or ()]


def with_keeper(instance: Instance, call: Callable[[LogKeeper], Any]) -> Any:
    """Call something with what looks after the logs of a server, as its owner."""

    def work() -> Any:
        complete = load(instance.name)
        with Adapters(complete) as adapters:
            return plain(call(registry.log_keeper(adapters.engine)))

    return run_as_owner(instance, work)


def logrotate_files() -> dict[str, str]:
    """Every file that logrotate reads here, and those that an earlier run of Holdfast has disabled, by path."""
    found = {}
    for path in (rotation.MAIN, *sorted(glob.glob(os.path.join(rotation.DIRECTORY, "*")))):
        asleep = path.endswith(rotation.SUFFIX)
        if os.path.isfile(path) and (asleep or not path.endswith((".disabled", "~", ".bak"))) and ".dpkg-" not in path:
            with suppress(OSError, UnicodeDecodeError):
                found[path] = read(path) or ""
    return found


def written_by_engines(sources: Sequence[Source]) -> list[str]:
    """The rotated files that engines have made themselves."""
    return [path for item in sources if item.rotated_by == ENGINE and item.names for path in glob.glob(item.names)]


def disks(directories: Sequence[str]) -> dict[str, Disk]:
    """The file systems of directories. One that is not there has that of the directory above it."""
    found = {}
    for directory in directories:
        path = directory
        while not os.path.isdir(path):
            path = os.path.dirname(path)
        status = os.statvfs(path)
        total, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
        found[directory] = Disk(path, total, free, os.stat(path).st_dev)
    return found


def places(told: Told) -> list[str]:
    """The directories that an instance writes to: data, log, and messages."""
    found = list(told.space.directories) if told.space else []
    if told.space:
        found.append(told.space.directory)
    found.extend(
        os.path.dirname(item.path) for item in told.sources or () if item.path and item.rotated_by == LOGROTATE
    )
    return list(dict.fromkeys(found))
