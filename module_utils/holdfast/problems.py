"""What is wrong with an inventory, as people are told: file, line, key, value, and what would be valid."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, Optional

from .errors import InvalidInput
from .validation import HIDDEN, Issue, Path

_SECRET = re.compile("pass|secret|token|key|credential", re.IGNORECASE)


class Location(NamedTuple):
    """Where a value was written."""

    file: str
    line: int


Locate = Callable[[str, Path, bool], Optional[Location]]


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in an inventory, with the place where it was written as far as that is known."""

    file: str
    line: int
    host: str
    key: str
    value: str
    message: str
    valid: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else self.host
        value = f"{self.value}: " if self.value else ""
        return f"{place}: {self.key}: {value}{self.message}" + (f"; valid: {self.valid}" if self.valid else "")

    def as_dict(self) -> dict[str, Any]:
        """The problem as modules return it."""
        return {name: getattr(self, name) for name in ("file", "line", "host", "key", "value", "message", "valid")}


class InvalidInventory(InvalidInput):
    """Everything that is wrong with an inventory, in one error."""

    def __init__(self, problems: Sequence[Problem], *, where: str = "") -> None:
        self.problems = tuple(problems)
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{count} in the inventory:{lines}", where=where)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


def problem_of(host: str, variables: Mapping[str, Any], issue: Issue, locate: Locate | None) -> Problem:
    """An issue with the place where it was written and the key as people name it."""
    location = locate(host, issue.path, issue.at_key) if locate else None
    file, line = location or ("", 0)
    return Problem(file, line, host, _key(issue.path, variables), _shown(issue), issue.message, issue.valid)


def _key(path: Path, variables: Mapping[str, Any]) -> str:
    """``db_instances[orders].port``: an instance by its name, where it has one."""
    text, value = "", variables
    for part in path:
        try:
            value = value[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            value = {}
        if isinstance(part, int):
            name = value.get("name") if isinstance(value, Mapping) else None
            text += f"[{name if isinstance(name, str) else part}]"
        else:
            text += f".{part}" if text else part
    return text


def _shown(issue: Issue) -> str:
    if issue.value is None or isinstance(issue.value, (Mapping, list, tuple)):
        return ""
    # What stands under an unknown key of a repository may be a secret whose key is misspelt.
    unknown = issue.at_key and len(issue.path) > 2
    if issue.value == HIDDEN or (
        unknown and (issue.path[0] == "db_repositories" or _SECRET.search(str(issue.path[-1])))
    ):
        return HIDDEN
    text = str(issue.value)
    return repr(text if len(text) <= 60 else text[:57] + "...") if isinstance(issue.value, str) else text
