"""Where the tools put things below the path of a repository on a file system."""

from __future__ import annotations

import os

from ..engines.catalog import ENGINES
from ..model import Instance, Repository

_OWN_REPOSITORY = frozenset({"pgbackrest"})  # the tools that bring one; all others store in restic


def local_directories(instance: Instance, repository: Repository) -> list[str]:
    """The directories of a ``posix`` repository that the instance's OS user must own; none for other types."""
    if repository.type != "posix":
        return []
    path = repository.settings["path"]
    found = [os.path.join(path, "restic", instance.name)]
    tool = ENGINES[instance.engine].physical_tool
    if tool in _OWN_REPOSITORY:
        found.append(os.path.join(path, tool))
    return found


def is_empty(path: str) -> bool:
    """Whether a directory is there, readable, and without a single entry."""
    try:
        return not os.listdir(path)
    except OSError:
        return False


def is_occupied(path: str) -> bool:
    """Whether a directory is there and has entries. Raises OSError when it cannot be read."""
    try:
        return bool(os.listdir(path))
    except FileNotFoundError:
        return False
