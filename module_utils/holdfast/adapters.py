"""The engine and the tools of one instance, made from its name."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType

from .engines.registry import adapters
from .model import Instance, Repository
from .tools.base import Tool


class Adapters:
    """The engine of an instance with its physical and its logical backup tool; closes the connection at the end."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._adapters = adapters(instance.engine)
        self.engine = self._adapters.engine()(instance)
        self.physical: Tool = self._adapters.physical()(instance, self.engine)

    @cached_property
    def logical(self) -> Tool:
        """The logical backup tool. Most jobs have no use for it."""
        return self._adapters.logical()(self.instance, self.engine)

    def __enter__(self) -> Adapters:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()

    def tools_of(self, repository: Repository) -> list[Tool]:
        """The tools that have backups in a repository. Logical backups go to the first one only."""
        tools = [self.physical]
        if repository == self.instance.primary_repository and self.logical.is_initialised(repository):
            tools.append(self.logical)
        return tools

    def named(self, name: str) -> Tool:
        """The tool of that name."""
        return self.physical if self.physical.name == name else self.logical
