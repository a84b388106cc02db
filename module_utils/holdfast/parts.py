"""Parts of an instance that can be rescued, and the names under which they come back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .errors import InvalidInput
from .units import utcnow

KINDS = ("table", "schema", "database", "function", "procedure", "view", "sequence", "trigger", "event", "role")

_ELEMENT = re.compile(r'"(?:[^"]|"")+"|`(?:[^`]|``)+`|[^."`\s](?:[^."`]*[^."`\s])?')
_PLAIN = re.compile(r"[\w@%-]+\Z")


@dataclass(frozen=True)
class Part:
    """What to rescue: its kind, and its name element by element, the database first where it is in one."""

    kind: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return format_name(self.path)

    @property
    def name(self) -> str:
        """The last element of the name."""
        return self.path[-1]

    def renamed(self, name: str) -> Part:
        """The same part under another last element."""
        return Part(self.kind, (*self.path[:-1], name))


@dataclass(frozen=True)
class Statements:
    """What a person can run on the live server next, exactly as it must be run, and what needs care before."""

    swap: Sequence[str] = ()  # puts the rescued part in place of the live one
    merge: Sequence[str] = ()  # adds what the live one lacks
    care: Sequence[str] = ()  # sentences


@dataclass(frozen=True)
class Comparison:
    """A rescued table against the live one. Without a common key, rows that differ count in both ``only_`` numbers."""

    table: str
    rescued: int
    live: int | None  # None: there is no such table on the live server
    only_rescued: int | None = None
    only_live: int | None = None
    different: int | None = None  # same key, other content; None without a key
    key: Sequence[str] = field(default_factory=tuple)
    note: str = ""

    def as_dict(self) -> Mapping[str, object]:
        """The comparison as records hold it."""
        return {name: list(value) if name == "key" else value for name, value in vars(self).items()}


def parse_name(text: str, form: Sequence[str]) -> tuple[str, ...]:
    """The elements of a dotted name. Raises InvalidInput when there are not as many as ``form`` has words.

    An element with a dot or a quote in it is written as in SQL, between double quotes or backticks that are doubled
    inside. Nothing is folded to lower case.
    """
    elements: list[str] = []
    position = 0
    while True:
        match = _ELEMENT.match(text, position)
        if not match:
            break
        word = match[0]
        elements.append(word[1:-1].replace(word[0] * 2, word[0]) if word[0] in '"`' else word)
        position = match.end()
        if text[position : position + 1] != ".":
            break
        position += 1
    whole = bool(elements) and position == len(text)
    if not whole or len(elements) != len(form):
        raise InvalidInput(
            f"it is not of the form {'.'.join(form)}",
            where=text or "the name",
            remedy='Write an element that holds a dot or a quote between double quotes: app.public."odd.name"',
        )
    return tuple(elements)


def format_name(path: Sequence[str]) -> str:
    """The reverse of :func:`parse_name`."""
    return ".".join(name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"' for name in path)


def suffixes(word: str, now: datetime | None = None) -> Iterator[str]:
    """``_rescued_20261121``, then ``_rescued_20261121_2`` and so on: the date is in UTC."""
    first = f"_{word}_{now or utcnow():%Y%m%d}"
    yield first
    number = 2
    while True:
        yield f"{first}_{number}"
        number += 1


def fit(name: str, suffix: str, limit: int, unit: str = "bytes") -> str:
    """A name with a suffix, cut so that it stays within the engine's limit and still differs from its like."""

    def length(text: str) -> int:
        return len(text.encode()) if unit == "bytes" else len(text)

    if length(name + suffix) <= limit:
        return name + suffix
    mark = "_" + hashlib.sha256(name.encode()).hexdigest()[:6]
    while length(name + mark + suffix) > limit:
        name = name[:-1]
    return name + mark + suffix


def free_suffix(word: str, wanted: Collection[str], taken: Collection[str], limit: int, unit: str = "bytes") -> str:
    """The first suffix with which none of the wanted names is taken."""
    occupied = set(taken)
    return next(
        suffix for suffix in suffixes(word) if not any(fit(name, suffix, limit, unit) in occupied for name in wanted)
    )


def free_name(word: str, name: str, taken: Collection[str], limit: int, unit: str = "bytes") -> str:
    """The first name made of this one and a suffix that is not taken."""
    return fit(name, free_suffix(word, [name], taken, limit, unit), limit, unit)
