"""Comparing tables of PostgreSQL inside the server, in the memory that it gives to one query."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import HoldfastError
from ..parts import Comparison
from ._postgresql_relations import columns, keys
from ._postgresql_session import Session, quoted


def common_key(seen: Session, one: str, other: str) -> tuple[str, ...]:
    """The columns that tell the rows of both tables apart; none when there is no such key. Names are quoted already."""
    theirs = {frozenset(key) for key in keys(seen, other)}
    return next((key for key in keys(seen, one) if frozenset(key) in theirs), ())


def compare(seen: Session, label: str, rescued: str, live: str) -> Comparison:
    """Count the rows of a rescued table that the live one lacks, has besides, or has with other content."""
    if seen.row("SELECT to_regclass(%s)", (live,))[0] is None:
        return Comparison(label, count(seen, rescued), None, note="there is no such table on the live server")
    ours, theirs = columns(seen, rescued).every, columns(seen, live).every
    shared = [name for name in ours if name in theirs]
    odd = sorted(set(ours) ^ set(theirs))
    note = f"only one of the two has the columns {', '.join(odd)}" if odd else ""
    key = common_key(seen, rescued, live)
    try:
        if key:
            found = seen.row(_by_key(rescued, live, key, shared))
            return Comparison(label, found[0], found[1], found[2], found[3], found[4], key, note)
        only_rescued, only_live = seen.row(_by_row(rescued, live, shared))
    except HoldfastError as error:
        note = f"the rows cannot be compared: {error.what}"
        return Comparison(label, count(seen, rescued), count(seen, live), note=note)
    return Comparison(label, count(seen, rescued), count(seen, live), only_rescued, only_live, None, (), note)


def count(seen: Session, table: str) -> int:
    """The rows of a table, whose name is quoted already."""
    return int(seen.row(f"SELECT count(*) FROM {table}")[0])  # noqa: S608  quoted


def digest(seen: Session, table: str) -> tuple[int, str]:
    """Rows of a table and a number that does not depend on their order, to compare what no query can join."""
    query = f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {table} AS t"  # noqa: S608  quoted
    rows, total = seen.row(query)
    return int(rows), str(total)


def matches(one: str, other: str, key: Sequence[str]) -> str:
    """The condition that two rows have the same key."""
    return " AND ".join(f"{one}.{quoted(name)} = {other}.{quoted(name)}" for name in key)


def missing_by_key(rescued: str, live: str, listed: str, key: Sequence[str]) -> str:
    """The query for the rescued rows whose key the live table lacks; ``listed`` are quoted columns."""
    known = f"SELECT FROM {live} AS l WHERE {matches('r', 'l', key)}"
    return f"SELECT {listed} FROM {rescued} AS r WHERE NOT EXISTS ({known})"  # noqa: S608  quoted


def missing_by_row(rescued: str, live: str, listed: str, _key: Sequence[str] = ()) -> str:
    """The query for the rescued rows that the live table lacks, a row that is there twice counting twice.

    Compared as text: not every type knows what is equal.
    """
    row = f"ROW({listed})::text"
    numbered = f"SELECT {listed}, {row} AS row_text, row_number() OVER (PARTITION BY {row}) AS number FROM {rescued}"  # noqa: S608  quoted
    counted = f"SELECT {row} AS row_text, count(*) AS number FROM {live} GROUP BY 1"  # noqa: S608  quoted
    return (
        f"SELECT {listed} FROM ({numbered}) AS r LEFT JOIN ({counted}) AS l USING (row_text)"  # noqa: S608  quoted
        " WHERE r.number > coalesce(l.number, 0)"
    )


def _by_key(rescued: str, live: str, key: Sequence[str], shared: Sequence[str]) -> str:
    first = quoted(key[0])
    ours = ", ".join(f"r.{quoted(name)}::text" for name in shared)
    theirs = ", ".join(f"l.{quoted(name)}::text" for name in shared)
    return (
        f"SELECT count(r.{first}), count(l.{first}), count(*) FILTER (WHERE l.{first} IS NULL),"  # noqa: S608  quoted
        f" count(*) FILTER (WHERE r.{first} IS NULL),"
        f" count(*) FILTER (WHERE r.{first} IS NOT NULL AND l.{first} IS NOT NULL"
        f" AND ROW({ours}) IS DISTINCT FROM ROW({theirs}))"
        f" FROM {rescued} AS r FULL JOIN {live} AS l ON {matches('r', 'l', key)}"
    )


def _by_row(rescued: str, live: str, shared: Sequence[str]) -> str:
    listed = ", ".join(f"{quoted(name)}::text" for name in shared)
    ours, theirs = f"SELECT {listed} FROM {rescued}", f"SELECT {listed} FROM {live}"  # noqa: S608  quoted
    return (
        f"SELECT (SELECT count(*) FROM ({ours} EXCEPT ALL {theirs}) AS x),"  # noqa: S608  quoted
        f" (SELECT count(*) FROM ({theirs} EXCEPT ALL {ours}) AS y)"
    )
