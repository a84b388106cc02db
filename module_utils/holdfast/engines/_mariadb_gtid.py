"""Positions of MariaDB's replication, ``0-1-5,1-2-7``: the last transaction of each domain."""

from __future__ import annotations


def sequences(position: str) -> dict[int, int]:
    """The last sequence number of each domain."""
    found: dict[int, int] = {}
    for part in filter(None, (part.strip() for part in position.split(","))):
        domain, _server, sequence = part.split("-")
        found[int(domain)] = max(found.get(int(domain), 0), int(sequence))
    return found


def goes_further(own: str, other: str) -> bool:
    """Whether ``own`` goes further than ``other`` in any domain."""
    known = sequences(other)
    return any(sequence > known.get(domain, 0) for domain, sequence in sequences(own).items())


def merged(one: str, other: str) -> str:
    """The farther of two positions in each domain. The server's own gtid_current_pos forgets what another id wrote."""
    farthest: dict[int, tuple[int, str]] = {}
    for part in filter(None, (part.strip() for part in f"{one},{other}".split(","))):
        domain, _server, sequence = part.split("-")
        farthest[int(domain)] = max(farthest.get(int(domain), (0, "")), (int(sequence), part))
    return ",".join(part for _, (_, part) in sorted(farthest.items()))


def same(one: str, other: str) -> bool:
    """Whether two values of a server variable mean the same."""
    words = {"1": "ON", "0": "OFF"}
    return words.get(one.upper(), one.upper()) == words.get(other.upper(), other.upper())


def shown(value: object) -> str:
    """The value of a server variable as text; empty for none."""
    return "" if value is None else str(value)
