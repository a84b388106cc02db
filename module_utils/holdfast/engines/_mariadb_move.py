"""Moving tables of MariaDB from one server to another, and comparing them inside the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import CommandFailed, HoldfastError, RepositoryFull
from ..parts import Comparison
from ..repositories.pipes import Command, Stage, pipeline
from ._mariadb_connection import quoted
from ._mariadb_objects import columns, keys, matches, table_type

if TYPE_CHECKING:
    from .mariadb import MariaDB

_DUMP = ["--single-transaction", "--quick", "--hex-blob", "--no-autocommit", "--skip-add-drop-table"]
_COMMON = ["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]

Place = tuple[str, str]


def move(source: MariaDB, schema: str, selection: Sequence[str], target: MariaDB, into: str) -> None:
    """Pipe a dump of some tables of a database, or with options of all of it, into a database."""
    dump = ["mariadb-dump", *_reach(source), *_DUMP, *_COMMON]
    options = [word for word in selection if word.startswith("--")]
    tables = [word for word in selection if not word.startswith("--")]
    load = ["mariadb", *_reach(target), *_COMMON, "--binary-mode", "--", into]
    outcome = pipeline([Command([*dump, *options, "--", schema, *tables]), Command(load)])
    if outcome.failed:
        raise _failure(outcome.failed, target.where)


def common_key(engine: MariaDB, one: Place, other: Place) -> tuple[str, ...]:
    """The columns that tell the rows of both tables apart; none when there is no such key."""
    theirs = {frozenset(key) for key in keys(engine, *other)}
    return next((key for key in keys(engine, *one) if frozenset(key) in theirs), ())


def count(engine: MariaDB, place: Place) -> int:
    """The rows of a table."""
    return int(engine.row(f"SELECT count(*) FROM {quoted(*place)}", patience=None)[0])  # noqa: S608  quoted


def compare(engine: MariaDB, label: str, rescued: Place, live: Place) -> Comparison:
    """Count the rows of a rescued table that the live one lacks, has besides, or has with other content."""
    ours = count(engine, rescued)
    if table_type(engine, *live) is None:
        return Comparison(label, ours, None, note="there is no such table on the live server")
    names = [column.name for column in columns(engine, *rescued)]
    others = [column.name for column in columns(engine, *live)]
    shared = [name for name in names if name in others]
    odd = sorted(set(names) ^ set(others))
    note = f"only one of the two has the columns {', '.join(odd)}" if odd else ""
    key = common_key(engine, rescued, live)
    one, other = quoted(*rescued), quoted(*live)
    if not key:
        listed = ", ".join(quoted(name) for name in shared)
        left, right = f"SELECT {listed} FROM {one}", f"SELECT {listed} FROM {other}"  # noqa: S608  quoted
        return Comparison(
            label,
            ours,
            count(engine, live),
            _number(engine, f"SELECT count(*) FROM ({left} EXCEPT ALL {right}) AS x"),  # noqa: S608  quoted
            _number(engine, f"SELECT count(*) FROM ({right} EXCEPT ALL {left}) AS y"),  # noqa: S608  quoted
            note=note,
        )
    same = matches("r", "l", key)
    lacking = "SELECT count(*) FROM {} AS r WHERE NOT EXISTS (SELECT 1 FROM {} AS l WHERE {})"
    # Byte by byte: what a collation takes for the same is another text.
    differing = " OR ".join(f"NOT BINARY r.{quoted(name)} <=> BINARY l.{quoted(name)}" for name in shared)
    return Comparison(
        label,
        ours,
        count(engine, live),
        _number(engine, lacking.format(one, other, same)),
        _number(engine, lacking.format(other, one, same)),
        _number(engine, f"SELECT count(*) FROM {one} AS r JOIN {other} AS l ON {same} WHERE {differing}"),  # noqa: S608
        key,
        note,
    )


def _number(engine: MariaDB, query: str) -> int:
    return int(engine.row(query, patience=None)[0])


def _reach(engine: MariaDB) -> list[str]:
    return ["--no-defaults", f"--socket={engine.socket}", f"--user={engine.instance.os_user}"]


def _failure(stage: Stage, where: str) -> HoldfastError:
    if "No space left on device" in stage.stderr or "is full" in stage.stderr:
        return RepositoryFull(f"loading: {stage.words()}", where=where, remedy="Free space for the data directory")
    return CommandFailed(
        f"loading: {stage.words()}",
        where=where,
        remedy="What was loaded is removed again. What the part needs must be there first: rescue its database",
    )
