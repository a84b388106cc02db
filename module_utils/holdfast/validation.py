"""Checking what a person wrote: every mistake is noted with its place and what would be valid."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Callable, NamedTuple, TypeVar, Union

from .units import DURATION_FORM, parse_duration

Path = tuple[Union[str, int], ...]
T = TypeVar("T")

HIDDEN = "(hidden)"


class Issue(NamedTuple):
    """One mistake. ``path`` leads to the value from the top variable; ``at_key`` says that the key itself is wrong."""

    path: Path
    value: object
    message: str
    valid: str = ""
    at_key: bool = False


def did_you_mean(word: object, known: Collection[str]) -> str:
    """``did you mean X? `` when a known word is close, otherwise nothing."""
    close = difflib.get_close_matches(word.lower(), known, n=1) if isinstance(word, str) else []
    return f"did you mean {close[0]}? " if close else ""


class Checker:
    """Reads raw values into typed ones and collects what is wrong with them.

    Every reading method returns None for a value that is wrong, or that is a template which only its host can render.
    With ``rendered`` there are no templates any more: braces are text.
    """

    def __init__(self, *, rendered: bool) -> None:
        self.issues: list[Issue] = []
        self.rendered = rendered

    def note(self, path: Path, value: object, message: str, valid: str = "", *, at_key: bool = False) -> None:
        """Remember a mistake and go on."""
        self.issues.append(Issue(path, value, message, valid, at_key))

    def is_template(self, value: object) -> bool:
        """Whether only the host can tell what the value will be."""
        return not self.rendered and isinstance(value, str) and ("{{" in value or "{%" in value)

    def mapping(
        self, path: Path, value: object, known: Collection[str] | None = None, required: Sequence[str] = ()
    ) -> Mapping[str, Any] | None:
        """A mapping whose keys are all ``known`` ones and hold all ``required`` ones."""
        if self.is_template(value):
            return None
        if not isinstance(value, Mapping):
            self.note(path, value, "is not a mapping", f"keys {', '.join(known)}" if known else "a mapping")
            return None
        for key in value:
            if not isinstance(key, str):
                self.note((*path, str(key)), key, "the key is not a text", at_key=True)
            elif known is not None and key not in known:
                valid = f"{did_you_mean(key, known)}known keys are {', '.join(known)}"
                self.note((*path, key), value[key], "unknown key", valid, at_key=True)
        for key in required:
            if key not in value:
                self.note((*path, key), None, "is missing")
        return value

    def sequence(self, path: Path, value: object, of: str) -> Sequence[Any]:
        """A list; empty when it is wrong or a template."""
        if self.is_template(value):
            return ()
        if not isinstance(value, (list, tuple)):
            self.note(path, value, "is not a list", f"a list of {of}")
            return ()
        return value

    def text(self, path: Path, value: object, valid: str, accept: Callable[[str], object] = bool) -> str | None:
        """A text that ``accept`` finds true."""
        if self.is_template(value):
            return None
        if not isinstance(value, str) or not accept(value):
            self.note(path, value, "is not valid", valid)
            return None
        return str(value)

    def choice(self, path: Path, value: object, known: Collection[str], what: str) -> str | None:
        """One of the ``known`` words; ``what`` names their kind."""
        if self.is_template(value):
            return None
        if not isinstance(value, str) or value not in known:
            self.note(path, value, f"unknown {what}", f"{did_you_mean(value, known)}valid are {', '.join(known)}")
            return None
        return str(value)

    def whole(self, path: Path, value: object, low: int, high: int | None = None) -> int | None:
        """A whole number from ``low`` to ``high``."""
        if self.is_template(value):
            return None
        number = int(value) if self.rendered and isinstance(value, str) and value.isdigit() else value
        if (
            not isinstance(number, int)
            or isinstance(number, bool)
            or number < low
            or (high is not None and number > high)
        ):
            self.note(
                path, value, "is not valid", f"a whole number, {low} or more" if high is None else f"{low} to {high}"
            )
            return None
        return int(number)

    def duration(self, path: Path, value: object) -> timedelta | None:
        """A duration such as ``15m``."""
        return self.parsed(path, value, parse_duration, "is not a duration", DURATION_FORM)

    def parsed(
        self, path: Path, value: object, parse: Callable[[object], T], message: str = "", valid: str = ""
    ) -> T | None:
        """What ``parse`` makes of the value; the text of its ValueError is the message when none is given."""
        if self.is_template(value):
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.note(path, value, message or str(error), valid)
            return None
