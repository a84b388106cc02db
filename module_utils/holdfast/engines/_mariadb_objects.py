"""What belongs to a table of MariaDB, and the statements that make its objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ._mariadb_connection import quoted

if TYPE_CHECKING:
    from .mariadb import MariaDB

NAME_CHARACTERS = 64

_FOREIGN_KEY = re.compile(r"^\s+(CONSTRAINT `((?:[^`]|``)+)` FOREIGN KEY .*?),?$", re.MULTILINE)
_ENABLED = re.compile(r"(ON COMPLETION (?:NOT )?PRESERVE) ENABLE\b")
_INBOUND = """
    SELECT constraint_schema, table_name, constraint_name FROM information_schema.referential_constraints
     WHERE unique_constraint_schema = %s AND referenced_table_name = %s
       AND NOT (constraint_schema = %s AND table_name = %s) ORDER BY 1, 2, 3
"""
_KEYS = """
    SELECT index_name, column_name, nullable, sub_part FROM information_schema.statistics
     WHERE table_schema = %s AND table_name = %s AND non_unique = 0
     ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index
"""
# Position of the statement, and of the SQL mode that it was written for, in what SHOW CREATE answers.
_SHOWN = {"function": (2, 1), "procedure": (2, 1), "trigger": (2, 1), "event": (3, 1), "view": (1, None)}


class ForeignKey(NamedTuple):
    """A foreign key with its table."""

    schema: str
    table: str
    name: str
    definition: str  # from CONSTRAINT on

    def drop(self) -> str:
        """The statement that removes it."""
        return f"ALTER TABLE {quoted(self.schema, self.table)} DROP FOREIGN KEY {quoted(self.name)}"

    def add(self) -> str:
        """The statement that adds it."""
        return f"ALTER TABLE {quoted(self.schema, self.table)} ADD {self.definition}"


class Made(NamedTuple):
    """A statement that makes an object, with the SQL mode that it is to be read in."""

    statement: str
    mode: str
    zone: str = ""


class Column(NamedTuple):
    """A column as far as copying rows goes."""

    name: str
    generated: bool


def printed(statement: str) -> str:
    """A statement as it is typed into the client: one with semicolons inside needs another delimiter."""
    if ";" not in statement:
        return f"{statement};"
    return f"DELIMITER //\n{statement}//\nDELIMITER ;"


def table_type(engine: MariaDB, schema: str, name: str) -> str | None:
    """``BASE TABLE``, ``VIEW``, ``SEQUENCE``, ``SYSTEM VERSIONED``; None when there is nothing of that name."""
    query = "SELECT table_type FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    rows = engine.rows(query, (schema, name))
    return str(rows[0][0]) if rows else None


def names(engine: MariaDB, schema: str) -> set[str]:
    """Every name of a table, view or sequence in a database."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
    return {name for (name,) in engine.rows(query, (schema,))}


def outbound(engine: MariaDB, schema: str, table: str) -> list[ForeignKey]:
    """The foreign keys of a table."""
    text = str(engine.row(f"SHOW CREATE TABLE {quoted(schema, table)}")[1])
    return [ForeignKey(schema, table, found[2].replace("``", "`"), found[1]) for found in _FOREIGN_KEY.finditer(text)]


def inbound(engine: MariaDB, schema: str, table: str) -> list[ForeignKey]:
    """The foreign keys of other tables that point at a table."""
    return [
        key
        for other, child, name in engine.rows(_INBOUND, (schema, table, schema, table))
        for key in outbound(engine, other, child)
        if key.name == name
    ]


def triggers(engine: MariaDB, schema: str, table: str) -> dict[str, Made]:
    """The triggers of a table."""
    query = (
        "SELECT trigger_name FROM information_schema.triggers WHERE event_object_schema = %s"
        " AND event_object_table = %s ORDER BY action_timing, event_manipulation, action_order"
    )
    return {name: shown(engine, "trigger", schema, name) for (name,) in engine.rows(query, (schema, table))}


def shown(engine: MariaDB, kind: str, schema: str, name: str) -> Made:
    """The statement that makes an object."""
    # The server writes the names of other databases than the current one only.
    (row,) = engine.rows(f"SHOW CREATE {kind.upper()} {quoted(schema, name)}", database=schema)
    position, mode = _SHOWN[kind]
    return Made(str(row[position]), str(row[mode]) if mode else "", str(row[2]) if kind == "event" else "")


def make(engine: MariaDB, schema: str, made: Made) -> None:
    """Run a statement that makes an object, in its database and its SQL mode."""
    if made.zone:
        engine.execute("SET SESSION time_zone = %s", (made.zone,))
    engine.execute("SET SESSION sql_mode = %s", (made.mode,))
    try:
        engine.rows(made.statement, database=schema)
    finally:
        engine.execute("SET SESSION sql_mode = '', time_zone = '+00:00'")


def columns(engine: MariaDB, schema: str, table: str) -> list[Column]:
    """The columns of a table, in order."""
    query = (
        "SELECT column_name, generation_expression IS NOT NULL AND generation_expression <> ''"
        " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
    )
    return [Column(str(name), bool(generated)) for name, generated in engine.rows(query, (schema, table))]


def keys(engine: MariaDB, schema: str, table: str) -> list[tuple[str, ...]]:
    """The column lists that tell the rows of a table apart, the primary key first."""
    found: dict[str, list[str]] = {}
    unfit = set()
    for index, column, nullable, part in engine.rows(_KEYS, (schema, table)):
        found.setdefault(index, []).append(column)
        if nullable == "YES" or part is not None:
            unfit.add(index)
    return [tuple(listed) for index, listed in found.items() if index not in unfit]


def renamed(made: Made, kind: str, old: str, new: str) -> Made:
    """The statement that makes the same object under another name."""
    word = kind.upper()
    return made._replace(statement=made.statement.replace(f"{word} {quoted(old)}", f"{word} {quoted(new)}", 1))


def disabled(made: Made) -> Made:
    """The statement that makes the same event, which does nothing until it is enabled."""
    return made._replace(statement=_ENABLED.sub(r"\1 DISABLE", made.statement, count=1))


def matches(one: str, other: str, key: Sequence[str]) -> str:
    """The condition that two rows have the same key."""
    return " AND ".join(f"{one}.{quoted(name)} = {other}.{quoted(name)}" for name in key)
