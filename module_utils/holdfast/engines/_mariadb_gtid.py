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


def same(one: str, other: str) -> bool:
    """Whether two values of a server variable mean the same."""
    words = {"1": "ON", "0": "OFF"}
    return words.get(one.upper(), one.upper()) == words.get(other.upper(), other.upper())
