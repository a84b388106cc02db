"""What an auditor told of a server, part by part: one that cannot be read has the reason, and stops no other."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Callable, Generic, TypeVar

from ..errors import HoldfastError, Interrupted, TimeLimitExceeded, Unsupported
from ..units import format_instant, utcnow
from .model import Account, Check, Escalation, Finding, Membership, Result, Status

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """One thing that was asked for. ``value`` is None when it could not be had."""

    value: T | None
    status: Status = Status.PASSED
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether it was told."""
        return self.value is not None

    def as_dict(self) -> dict[str, str]:
        """How it ended."""
        return {"status": "read" if self.known else str(self.status), "reason": self.reason}


def ask(call: Callable[[], T]) -> Part[T]:
    """Ask for one part. What stops the whole job, a signal or the time limit, stops it here too."""
    try:
        return Part(call())
    except (Interrupted, TimeLimitExceeded):
        raise
    except Unsupported as error:
        return Part(None, Status.NOT_APPLICABLE, error.reason if hasattr(error, "reason") else error.what)
    except HoldfastError as error:
        return Part(None, Status.ERROR, str(error))
    except Exception as error:
        log.exception("unexpected error")  # a defect in one check must not hide what the others find
        return Part(None, Status.ERROR, f"unexpected {type(error).__name__}: {error}")


def answer(check: Check, call: Callable[[], Sequence[Finding]]) -> Result:
    """How a check ends."""
    asked = utcnow()
    part = ask(call)
    if part.value is None:
        return Result(check, part.status, reason=part.reason, asked=asked)
    found = tuple(part.value)
    return Result(check, Status.FOUND if found else Status.PASSED, found, asked=asked)


@dataclass
class Facts:
    """Everything but the rights, which pass by one after the other."""

    accounts: Part[Sequence[Account]]
    memberships: Part[Sequence[Membership]]
    escalations: Part[Sequence[Escalation]]
    grants: Part[tuple[Sequence[Any], str]]
    results: list[Result] = field(default_factory=list)

    def names(self) -> set[str]:
        """The accounts and roles that the server has."""
        return {account.name for account in self.accounts.value or ()}


def plain(value: Any) -> Any:
    """Nouns of the model as JSON has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return format_instant(value if value.tzinfo else value.astimezone())
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else _other(value)


def _other(value: Any) -> Any:
    return plain(dict(value)) if hasattr(value, "keys") else str(value)


def counted(items: Iterable[str], most: int = 5) -> str:
    """The first few of some names, and how many more there are."""
    found = list(items)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
