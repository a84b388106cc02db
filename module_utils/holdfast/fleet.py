"""What the hosts told of themselves, put together: an instance that cannot be read is in the report with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .objectives import DEFAULT_LEVEL

UNKNOWN = "unknown"  # the state of an instance whose host does not answer

Entry = dict[str, Any]


def combine(
    answers: Mapping[str, Mapping[str, Any]],
    expected: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Sequence[str] = (),
) -> list[Entry]:
    """The status of every instance of the fleet, sorted by name.

    ``answers`` are the results of db_backup_info by host, with ``unreachable`` or ``msg`` where there is none.
    ``expected`` are the instances that the inventory has on each host. ``names`` chooses instances; empty means all.
    """
    found: list[Entry] = []
    for host, answer in answers.items():
        told = {entry["instance"]: entry for entry in answer.get("instances", ())}
        written = {instance["name"]: instance for instance in expected.get(host, ())}
        chosen = (name for name in {*told, *written} if not names or name in names)
        found.extend(_entry(host, name, told.get(name), written.get(name), answer) for name in chosen)
    return sorted(found, key=lambda entry: str(entry["instance"]))


def _entry(
    host: str,
    name: str,
    told: Mapping[str, Any] | None,
    written: Mapping[str, Any] | None,
    answer: Mapping[str, Any],
) -> Entry:
    if told and "status" in told:
        entry = {**told["status"], "inventory_host": host}
        if written is None:
            entry["notes"] = [*entry["notes"], "is on its host and not in the inventory"]
        return entry
    return {
        "instance": name,
        "engine": (written or {}).get("engine", UNKNOWN),
        "host": host,
        "inventory_host": host,
        "service_level": (written or {}).get("service_level", DEFAULT_LEVEL),
        "state": UNKNOWN,
        "problems": [{"severity": "critical", "text": _reason(host, told, answer)}],
        "notes": [],
        "rpo": {},
    }


def _reason(host: str, told: Mapping[str, Any] | None, answer: Mapping[str, Any]) -> str:
    if told:
        error = told["error"]
        return f"{error['what']}. {error['remedy']}" if error["remedy"] else str(error["what"])
    if answer.get("unreachable"):
        return f"host {host} cannot be reached: {_message(answer)}"
    if "instances" not in answer:
        return f"host {host} does not tell: {_message(answer)}"
    return f"it is not set up on host {host}; run playbooks/site.yml"


def _message(answer: Mapping[str, Any]) -> str:
    return str(answer.get("msg", "no answer")).removeprefix("Task failed: ").strip()
