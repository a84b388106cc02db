"""What an instance needs of its server and its repositories: read without a change, put in place by its owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .adapters import Adapters
from .errors import HoldfastError
from .model import Instance, Job, Repository, Setting
from .tools.base import Tool

AWAITED = "awaited"  # the role of a server that is still to be made


@dataclass
class Setup:
    """How an instance stands. Plain values only: it crosses from the owner's process to root's as JSON.

    ``missing`` is what :func:`set_up` has to do, or what it did, in before and after form.
    """

    version: str = ""
    role: str = ""
    missing: list[dict[str, str]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)  # parameters that only a restart puts into effect
    unused: bool = False  # it has no table and no client: a restart that it waits for is felt by nobody
    notes: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    def restart_sentence(self, instance: str, verb: str) -> str:
        """``the server of orders must be restarted to change archive_mode (off to on)``."""
        what = ", ".join(f"{item['name']} ({item['current']} to {item['wanted']})" for item in self.waiting)
        return f"the server of {instance} {verb} to change {what}"

    @property
    def is_awaited(self) -> bool:
        """Whether the server is still to be made, as a replica."""
        return self.role == AWAITED

    @property
    def is_primary(self) -> bool:
        """Whether the server takes writes."""
        return self.role == "primary"


def inspect(instance: Instance, *, configured: bool = True) -> dict[str, Any]:
    """A :class:`Setup` as plain values. Must run as the instance's OS user. Changes nothing.

    What fails is in ``errors``. Repositories are looked at only when the tools are ``configured``:
    before that they cannot be reached.
    """
    found = Setup()
    with Adapters(instance) as adapters:
        for repository, tool in _homes(adapters) if configured else ():
            with _collect(found):
                if not tool.is_initialised(repository):
                    found.missing.append(_initialised(instance, repository, tool))
        with _collect(found):
            _server(adapters, found, change=False)
        with _collect(found):
            found.notes.extend(adapters.physical.notes())
    return vars(found)


def set_up(instance: Instance) -> dict[str, Any]:
    """Bring repositories, marker table and server parameters about, and return the :class:`Setup` after it.

    Repositories come first: a server that archives its log before there is a place for it only collects failures. Must
    run as the instance's OS user. One part that fails does not keep the others from being done.
    """
    found = Setup()
    with Adapters(instance) as adapters:
        for repository, tool in _homes(adapters):
            with _collect(found):
                if not tool.is_initialised(repository):
                    tool.initialise(repository)
                    found.missing.append(_initialised(instance, repository, tool))
        with _collect(found):
            _server(adapters, found, change=True)
        with _collect(found):
            found.notes.extend(adapters.physical.notes())
    return vars(found)


def revive(raw: Mapping[str, Any], instance: str) -> HoldfastError:
    """The error that was collected, with the instance it belongs to."""
    error = HoldfastError(raw["what"], where=raw["where"] or instance, remedy=raw["remedy"])
    error.code = raw["code"]
    return error


def _server(adapters: Adapters, found: Setup, *, change: bool) -> None:
    engine, instance = adapters.engine, adapters.instance
    info = engine.inspect()
    found.version, found.role = info.version, info.role
    if info.role == "primary" and engine.newest_marker() is None and _make_marker(adapters, change=change):
        found.missing.append(_change(f"{instance.name}: table of markers", "", "created\n"))
    settings = engine.settings(adapters.physical.server_settings())
    wrong = [item for item in settings if item.current != item.wanted and not item.pending]
    if wrong:
        before = "".join(f"{item.name} = {item.current}\n" for item in wrong)
        after = "".join(f"{item.name} = {item.wanted}{_when(item)}\n" for item in wrong)
        found.missing.append(_change(f"{instance.name}: server parameters", before, after))
        if change:
            engine.apply_settings(wrong)
            settings = engine.settings(adapters.physical.server_settings())
    found.waiting = [vars(item) for item in settings if item.current != item.wanted and item.restart]
    found.unused = bool(found.waiting) and not engine.tables() and not engine.clients()


def _make_marker(adapters: Adapters, *, change: bool) -> bool:
    if not change:
        return True
    created = adapters.engine.ensure_marker()
    adapters.engine.write_marker()  # an empty table could not be told from none
    return created


def _homes(adapters: Adapters) -> list[tuple[Repository, Tool]]:
    """Where the tools of the instance store what its schedule has them take."""
    instance = adapters.instance
    homes = [(repository, adapters.physical) for repository in instance.repositories]
    if instance.service_level.runs(Job.LOGICAL):
        homes.append((instance.primary_repository, adapters.logical))
    return homes


def _initialised(instance: Instance, repository: Repository, tool: Tool) -> dict[str, str]:
    return _change(f"{instance.name}: repository {repository.name}", "", f"initialised for {tool.name}\n")


def _change(subject: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": subject, "after_header": subject, "before": before, "after": after}


@contextmanager
def _collect(found: Setup) -> Iterator[None]:
    try:
        yield
    except HoldfastError as error:
        if error.as_dict() not in found.errors:
            found.errors.append(error.as_dict())


def _when(setting: Setting) -> str:
    return "  (after a restart)" if setting.restart else ""
