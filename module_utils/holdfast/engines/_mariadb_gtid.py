"""Positions of MariaDB's replication, ``0-1-5,1-2-7``: the last transaction of each domain."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from . import _binlog as binlog

History = Mapping[tuple[int, int], int]  # by domain and server, the last sequence number


def goes_further(own: str, other: str) -> bool:
    """Whether ``own`` goes further than ``other`` in any domain."""
    known = _domains(other)
    return any(sequence > known.get(domain, (0, ""))[0] for domain, (sequence, _) in _domains(own).items())


def farther(one: str, other: str) -> str:
    """The farther of two positions in each domain. The server's own gtid_current_pos forgets what another id wrote."""
    first, second, none = _domains(one), _domains(other), (0, "")
    return _join({key: max(first.get(key, none), second.get(key, none)) for key in first.keys() | second.keys()})


def nearer(one: str, other: str) -> str:
    """The nearer of two positions in each domain that both have."""
    first, second = _domains(one), _domains(other)
    return _join({key: min(first[key], second[key]) for key in first.keys() & second.keys()})


def history(state: str) -> dict[tuple[int, int], int]:
    """What a server has, from its gtid_binlog_state."""
    return {(domain, server): sequence for domain, server, sequence in _numbers_of(state)}


def end(known: History) -> str:
    """The position at which a history ends."""
    return _join({domain: max(_of(known, domain)) for domain, _ in known})


def contains(known: History, position: str) -> bool:
    """Whether a history is known to have a position.

    Nobody knows what another server wrote before a log that began with a backup: it counts as not had, so that it is
    saved rather than given up, and not built upon.
    """
    return all(sequence <= known.get((domain, server), 0) for domain, server, sequence in _numbers_of(position))


def last_shared(paths: Sequence[str], known: History) -> str:
    """The last position in log files, oldest first, that a history has; empty when it has nothing of them.

    Raises Unsupported for an encrypted log.
    """
    for path in reversed(paths):
        shared = binlog.gtids_before(path)
        if not contains(known, ",".join(shared.values())):
            continue
        for item in binlog.transactions(path, os.path.getsize(path)):
            if not contains(known, item.gtid):
                break
            shared[item.domain] = item.gtid
        return ",".join(shared[domain] for domain in sorted(shared))
    return ""


def same(one: str, other: str) -> bool:
    """Whether two values of a server variable mean the same."""
    words = {"1": "ON", "0": "OFF"}
    return words.get(one.upper(), one.upper()) == words.get(other.upper(), other.upper())


def shown(value: object) -> str:
    """The value of a server variable as text; empty for none."""
    return "" if value is None else str(value)


def _split(position: str) -> list[str]:
    return [part.strip() for part in position.split(",") if part.strip()]


def _numbers(gtid: str) -> tuple[int, int, int]:
    domain, server, sequence = gtid.split("-")
    return int(domain), int(server), int(sequence)


def _numbers_of(position: str) -> list[tuple[int, int, int]]:
    return [_numbers(part) for part in _split(position)]


def _domains(position: str) -> dict[int, tuple[int, str]]:
    found: dict[int, tuple[int, str]] = {}
    for part in _split(position):
        domain, _, sequence = _numbers(part)
        found[domain] = max(found.get(domain, (0, "")), (sequence, part))
    return found


def _of(known: History, domain: int) -> list[tuple[int, str]]:
    return [(sequence, f"{at}-{server}-{sequence}") for (at, server), sequence in known.items() if at == domain]


def _join(found: Mapping[int, tuple[int, str]]) -> str:
    return ",".join(part for _, (_, part) in sorted(found.items()))
