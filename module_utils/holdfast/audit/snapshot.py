"""What an audit saw, kept for the next one, and what has changed between two of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..model import Instance
from .model import Right

FORMAT = 1
Snapshot = dict[str, Any]
Entry = Mapping[str, Any]

_ANSWERED = ("passed", "found")
_EVENTS = ("AC14",)  # checks that find what happened: the log is read on from there, and nothing of it was mended


class Store:
    """The files of one instance's audits; its owner alone reads them.

    An audit of the schedule is compared with the newest one, so that each new power is told once; one that somebody
    asked for with the newest that somebody asked for, so that what the schedule saw meanwhile is in the report as new.
    """

    def __init__(self, instance: Instance) -> None:
        self.directory = os.path.join(instance.state_directory, "access")
        self.path = os.path.join(self.directory, "audit.json")
        self.rights = os.path.join(self.directory, "rights.jsonl.gz")
        self.asked = os.path.join(self.directory, "asked.json")  # the newest that somebody asked for, and its rights
        self.asked_rights = os.path.join(self.directory, "asked-rights.jsonl.gz")
        self.policy = os.path.join(self.directory, "policy.json")
        self.review = os.path.join(self.directory, "review.json")  # the last one, as the control host has it

    def ready(self) -> None:
        """Make the directory."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.chmod(self.directory, 0o700)

    def last(self) -> Snapshot | None:
        """The newest snapshot; None when there is none that this version understands."""
        return _understood(self.path)

    def before(self, *, scheduled: bool) -> tuple[Snapshot | None, str]:
        """The snapshot that the next audit is compared with, and the file of its rights."""
        asked = None if scheduled else _understood(self.asked)
        return (self.last(), self.rights) if asked is None else (asked, self.asked_rights)

    def save(self, snapshot: Snapshot, *, scheduled: bool) -> None:
        """Keep a snapshot and the rights that were read with it, in place of those before."""
        if os.path.exists(self.rights + ".new"):
            os.replace(self.rights + ".new", self.rights)
        write_json(self.path, snapshot)
        if not scheduled:
            _link(self.rights, self.asked_rights)
            _link(self.path, self.asked)


def _understood(path: str) -> Snapshot | None:
    found = read_json(path)
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def _link(path: str, other: str) -> None:
    """Give a file another name. Files are replaced and never written again, so the other one keeps what it is now."""
    with suppress(FileNotFoundError):
        os.unlink(f"{other}.new")
    with suppress(FileNotFoundError):  # no rights were ever read
        os.link(path, f"{other}.new")
        os.replace(f"{other}.new", other)


def read_json(path: str) -> Any:
    """What a file holds; None when it is not there or was cut short."""
    with suppress(FileNotFoundError, ValueError), open(path, encoding="utf-8") as stream:
        return json.load(stream)
    return None


def write_json(path: str, value: Any) -> None:
    """Put a value in a file in one step, readable by its owner alone."""
    write_text(path, json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def write_text(path: str, text: str) -> None:
    """Put a text in a file in one step, readable by its owner alone."""
    temporary = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def key(found: Entry) -> str:
    """What makes a finding the same in two runs."""
    return "\0".join((found["check"], found["database"], found["subject"]))


def date_findings(snapshot: Snapshot, before: Snapshot | None, newest: Snapshot | None) -> None:
    """Say of each finding since when it has been there, and of what was there before whether it was fixed.

    ``newest`` is the audit right before this one, ``before`` the one that it is compared with.
    """
    known: dict[str, Entry] = {} if before is None else {key(item): item for item in before["known"]}
    seen = {**known, **({} if newest is None else {key(item): item for item in newest["known"]})}
    status = {item["id"]: item["status"] for item in snapshot["checks"]}
    for item in snapshot["findings"]:
        item["since"] = seen.get(key(item), {}).get("since", snapshot["started"])
    now = {key(item) for item in snapshot["findings"]}
    gone = [item for identity, item in known.items() if identity not in now]
    # A check that could not be answered has fixed nothing: what it found before is remembered for the next run.
    lost = (item for identity, item in seen.items() if identity not in now)
    unanswered = [item for item in lost if status.get(item["check"]) == "error"]
    snapshot["known"] = [*map(_short, snapshot["findings"]), *map(_short, unanswered)]
    snapshot["difference"].update(
        new=[] if before is None else [_short(item) for item in snapshot["findings"] if key(item) not in known],
        fixed=[
            _short(item) for item in gone if status.get(item["check"]) in _ANSWERED and item["check"] not in _EVENTS
        ],
    )


def _short(item: Entry) -> dict[str, Any]:
    names = ("check", "database", "subject", "found", "severity", "account", "since", "state")
    return {name: item.get(name, "") for name in names}


def new_power(now: Snapshot, before: Snapshot | None, gained: Iterable[Right]) -> list[dict[str, str]]:
    """What somebody can do since the run before that makes him more powerful, as account and sentence."""
    if before is None:
        return []
    found: list[tuple[str, str]] = []
    for part, powers in (("accounts", _account_powers), ("memberships", _memberships), ("escalations", _paths)):
        if now["parts"].get(part, {}).get("status") == before["parts"].get(part, {}).get("status") == "read":
            earlier = set(powers(before[part]))
            found.extend(item for item in powers(now[part]) if item not in earlier)
    found.extend(
        (right.account, f"may hand on {right.privilege} on {right.kind} {right.object}")
        for right in gained
        if right.grantable and not right.via
    )
    return [{"account": account, "what": what} for account, what in dict.fromkeys(found)]


def _account_powers(accounts: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for item in accounts:
        name = item["name"]
        if item["login"] and not item["locked"]:
            yield name, "may log in"
        if item["superuser"]:
            yield name, "is an administrator of the server"
        for attribute in item["attributes"]:
            yield name, f"has {attribute}"


def _memberships(memberships: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for item in memberships:
        yield item["member"], f"holds the role {item['role']}"
        if item["admin"]:
            yield item["member"], f"may hand on the role {item['role']}"


def _paths(paths: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for item in paths:
        yield item["account"], f"can reach {item['reaches']}: {'; then '.join(item['steps'])}"
