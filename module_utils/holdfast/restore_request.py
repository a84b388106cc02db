"""What a person asks of a restore, read from text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from .errors import InvalidInput
from .guard import Override
from .model import Instance, RestoreTarget

_TARGETS = ("time", "position", "transaction", "point")


@dataclass(frozen=True)
class Assertion:
    """A query of the user's that tells whether restored data are right: its first value, as text, must be as expected.

    With a ``url`` instead, the application answers there with HTTP status 200 to 299 once the instance is in service.
    """

    name: str
    sql: str = ""
    expected: str = ""
    database: str | None = None
    url: str = ""


@dataclass(frozen=True)
class Request:
    """One restore of ``source`` into an instance; without a source, of the instance itself."""

    target: RestoreTarget = field(default_factory=RestoreTarget)
    source: Instance | None = None
    backup_id: str | None = None
    repository: str | None = None
    confirm: str = ""
    keep_previous: bool = True
    delta: bool = False  # onto the live files, which are lost if it fails
    disconnect: bool = False  # go on although clients or replicas are connected
    check: bool = True
    create: bool = False  # make an empty server first where there is none
    assertions: tuple[Assertion, ...] = ()
    remark: str = ""  # how the target was understood
    override: Override | None = None  # of the windows of the instance


def parse_target(given: Mapping[str, str | None]) -> tuple[RestoreTarget, str]:
    """A target from ``time``, ``position``, ``transaction``, ``point``, ``consistent`` and ``timeline``, and a remark.

    A time without a zone is in the zone of the host, and the remark says so. Raises InvalidInput for a time that is
    none, and for more than one target.
    """
    chosen = [name for name in (*_TARGETS, "consistent") if given.get(name)]
    if len(chosen) > 1:
        raise InvalidInput(
            f"{' and '.join(chosen)} cannot be targets at once",
            remedy="Give one of them, or none for the newest change",
        )
    moment, remark = parse_time(given["time"] or "") if "time" in chosen else (None, "")
    target = RestoreTarget(
        moment,
        given.get("position") or None,
        given.get("transaction") or None,
        given.get("point") or None,
        "consistent" in chosen,
        given.get("timeline") or None,
    )
    return target, remark


def parse_time(text: str) -> tuple[datetime, str]:
    """An instant from ISO 8601, and how its zone was understood. Raises InvalidInput."""
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no time",
            remedy="Give one like 2026-11-21T14:30:00+01:00, or without a zone in that of the host",
        ) from None
    if moment.tzinfo is not None:
        return moment.astimezone(timezone.utc), ""
    local = moment.astimezone()
    return local.astimezone(timezone.utc), f"{text} has no zone: taken as {local.isoformat()}, the zone of this host"
