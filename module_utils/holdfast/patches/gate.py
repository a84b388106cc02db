"""What stands in the way of a patch, and whether a server is as well after it as before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ..units import format_duration, parse_instant
from .packages import upstream
from .wish import Wish

State = Mapping[str, Any]  # of a member, see member.look


def reasons(state: State, wish: Wish, now: datetime) -> list[str]:
    """Every reason not to begin, as sentences; a server that does not answer is one."""
    name = state["instance"]
    if state.get("error"):
        return [f"{name} does not answer, and what is wrong before is wrong after: {state['error']}"]
    found = [f"{name}: {text}" for text in (state["window_problem"], _too_short(state, wish, now)) if text]
    if state["fenced"]:
        found.append(f"{name} is fenced: {state['fenced']}. playbooks/failback.yml makes it a replica first")
    found += [f"{name}: a {job} job is running" for job in state["running"]]
    limit = format_duration(timedelta(seconds=wish.longest_transaction))
    found += [f"{name}: a transaction is longer than {limit}: {text}" for text in state["long"]]
    return found + (_replica(state, wish) if state["role"] == "replica" else _backups(state, wish, now))


def _too_short(state: State, wish: Wish, now: datetime) -> str:
    closes = parse_instant(state["closes"])
    if closes is None or closes - now >= wish.expected:
        return ""
    left, needed = format_duration(max(closes - now, timedelta(0))), format_duration(wish.expected)
    return f"its window is open for {left} more, and a patch is expected to take {needed}"


def _replica(state: State, wish: Wish) -> list[str]:
    name, lag = state["instance"], state["lag_seconds"]
    if not state["streaming"]:
        return [f"{name} is a replica that receives no log: {state['problem'] or 'no reason is known'}"]
    if lag is not None and lag > wish.maximum_lag:
        return [f"{name} is {lag:.0f} s behind its primary, at most {wish.maximum_lag:.0f} s may be"]
    return []


def _backups(state: State, wish: Wish, now: datetime) -> list[str]:
    name, found = state["instance"], []
    if state["damaged"]:
        found.append(f"{name}: the last verification found damaged backups: {', '.join(state['damaged'])}")
    for what, key, limit, remedy in (
        ("its backups were verified", "verified", wish.verified_within, "run `holdfast verify`"),
        ("a backup of it was taken", "backup", wish.backup_within, "take one: playbooks/backup.yml"),
    ):
        if limit is None:
            continue
        when = parse_instant(state[key])
        if when is None:
            found.append(f"{name}: nobody knows that {what}: {remedy}")
        elif now - when > limit:
            ago, most = format_duration(now - when), format_duration(limit)
            found.append(f"{name}: {what} {ago} ago, at most {most} may be: {remedy}")
    return found


def worse(before: State, after: State, package_version: str) -> list[str]:
    """What is not as it was, or not as it should be, once a server answers again. ``package_version`` may be empty."""
    name = before["instance"]
    if after.get("error"):
        return [f"{name} does not answer: {after['error']}"]
    found = []
    wanted = upstream(package_version) if package_version else after["version"]
    if after["version"] != wanted:
        found.append(f"{name} says that it is {after['version']}, and its package is {wanted}")
    if after["role"] != before["role"]:
        found.append(f"{name} was a {before['role']} and is a {after['role']}")
    gone = sorted(set(before["tables"]) - set(after["tables"]))
    if gone and before["role"] != "replica":
        found.append(f"{name}: tables are gone: {', '.join(gone[:5])}")
    if (after["marker"] or 0) < (before["marker"] or 0):
        found.append(f"{name}: its newest marker row was {before['marker']} and is {after['marker']}")
    for label, value in before["checks"].items():
        if after["checks"].get(label) != value:
            found.append(f"{name}: the check {label!r} gave {value!r} before and gives {after['checks'].get(label)!r}")
    return found


def unattached(before: State, after: State, wish: Wish) -> list[str]:
    """What of replication is not there yet after a restart; it may take a moment."""
    if after.get("error"):
        return [f"{before['instance']} does not answer: {after['error']}"]
    if before["role"] == "replica":
        return _replica(after, wish)
    lost = sorted(set(before["replicas"]) - set(after["replicas"]))
    return [f"{before['instance']}: its replica {name} is not attached again" for name in lost]
