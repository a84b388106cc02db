"""Rescuing a whole schema or a whole database of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import CommandFailed, HoldfastError, InvalidInput, NotInBackup, Unsupported
from ..parts import Comparison, Part, Statements, free_name
from . import _postgresql_compare as comparing
from ._postgresql_move import adopt_orphans, move
from ._postgresql_relations import NAME_BYTES
from ._postgresql_session import Session, quoted, session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_SCHEMA_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
       AND n.nspname NOT LIKE 'pg\\_temp%' ORDER BY 1, 2
"""
_ABROAD = """
    SELECT n.nspname, c.relname, f.conname, pg_get_constraintdef(f.oid)
      FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_class o ON o.oid = f.confrelid
     WHERE f.contype = 'f' AND f.conparentid = 0 AND n.nspname = %s AND o.relnamespace <> n.oid ORDER BY 1, 2, 3
"""
_SCHEMA_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'm')
"""
_EXTENSIONS = """
    SELECT e.extname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE n.nspname = %s AND e.extrelocatable
"""


class _Whole:
    """What schemas and databases have in common."""

    target: Part | None
    size_bytes: int
    rows: int | None = None
    _part: Part

    def keep_where(self, condition: str) -> None:
        del condition
        raise InvalidInput(f"rows can be chosen of a table, not of a {self._part.kind}", where=str(self._part))

    def keep_deleted(self, later: PostgreSQL) -> None:
        del later
        raise InvalidInput(f"deleted rows can be rescued of a table, not of a {self._part.kind}", where=str(self._part))


class SchemaRescue(_Whole):
    """See the protocol. The bodies of its functions go on naming the schema that they were written for."""

    def __init__(self, live: PostgreSQL, source: PostgreSQL, part: Part) -> None:
        self._live, self._source, self._part = live, source, part
        self._database, self._name = part.path
        self._orphans = adopt_orphans(source, self._database, live)
        with session(live, self._database) as seen:
            occupied = seen.names("SELECT nspname FROM pg_namespace")
        self._new = free_name("rescued", self._name, occupied, NAME_BYTES)
        self.target = part.renamed(self._new)
        with session(source, self._database) as copy:
            if not copy.rows("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._name,)):
                raise NotInBackup(f"there is no schema {part} in it", where=source.where)
            self.size_bytes = int(copy.row(_SCHEMA_SIZE, (self._name,))[0])
            self._abroad = copy.rows(_ABROAD, (self._name,))
            for schema, table, name, _ in self._abroad:
                copy.run(f"ALTER TABLE {quoted(schema, table)} DROP CONSTRAINT {quoted(name)}")
            extensions = copy.names(_EXTENSIONS, (self._name,))
            copy.run(f"ALTER SCHEMA {quoted(self._name)} RENAME TO {quoted(self._new)}")
            # An extension stays where the live server has it: what needs it is dumped with that schema's name.
            copy.run(f"CREATE SCHEMA {quoted(self._name)}")
            copy.run(*(f"ALTER EXTENSION {quoted(name)} SET SCHEMA {quoted(self._name)}" for name in extensions))

    def load(self) -> None:
        selection = [f"--schema={quoted(self._new)}"]
        move(self._source, self._database, selection, self._live, self._database)
        with session(self._live, self._database) as seen:
            seen.run(*(f"ANALYZE {quoted(self._new, table)}" for table in self._tables(seen)))

    def compare(self) -> Sequence[Comparison]:
        with session(self._live, self._database) as seen:
            return [
                comparing.compare(seen, f"{self._part}.{table}", quoted(self._new, table), quoted(self._name, table))
                for table in self._tables(seen)
            ]

    def statements(self) -> Statements:
        swap, _ = self._swap()
        care = list(self._orphans)
        care += [
            f"{table} had the foreign key {name} ({definition}) out of the schema: it was left out"
            for _, table, name, definition in self._abroad
        ]
        care.append("functions, views of other schemas and search_path go by the name of the schema they were made for")
        return Statements(["BEGIN;", *swap, "COMMIT;"], (), care)

    def replace(self) -> Part | None:
        swap, before = self._swap()
        with session(self._live, self._database) as seen, seen.transaction():
            seen.run("SET LOCAL lock_timeout = '10s'", *swap)
        return self._part.renamed(before) if before else None

    def _swap(self) -> tuple[list[str], str]:
        with session(self._live, self._database) as seen:
            occupied = seen.names("SELECT nspname FROM pg_namespace")
        back = f"ALTER SCHEMA {quoted(self._new)} RENAME TO {quoted(self._name)};"
        if self._name not in occupied:
            return [back], ""
        before = free_name("before", self._name, occupied, NAME_BYTES)
        return [f"ALTER SCHEMA {quoted(self._name)} RENAME TO {quoted(before)};", back], before

    def _tables(self, seen: Session) -> list[str]:
        return [table for schema, table in seen.rows(_SCHEMA_TABLES) if schema == self._new]


class DatabaseRescue(_Whole):
    """See the protocol. Its tables are compared by count and by a number made of their rows."""

    def __init__(self, live: PostgreSQL, source: PostgreSQL, part: Part) -> None:
        self._live, self._source, self._part = live, source, part
        (self._name,) = part.path
        if self._name in ("postgres", "template0", "template1"):
            raise Unsupported(source.name, f"the rescue of {self._name}", "the server itself needs this database")
        with session(source, "postgres") as copy:
            if not copy.rows("SELECT 1 FROM pg_database WHERE datname = %s", (self._name,)):
                raise NotInBackup(f"there is no database {part} in it", where=source.where)
            self.size_bytes = int(copy.row("SELECT pg_database_size(%s)", (self._name,))[0])
        self._orphans = adopt_orphans(source, self._name, live)
        self._new = free_name("rescued", self._name, _databases(live), NAME_BYTES)
        self.target = part.renamed(self._new)
        source.close()
        with session(source, "postgres") as copy:
            copy.run(f"ALTER DATABASE {quoted(self._name)} RENAME TO {quoted(self._new)}")

    def load(self) -> None:
        try:
            move(self._source, self._new, ["--create"], self._live, "postgres")
        except HoldfastError:
            discard_database(self._live, self._new)
            raise
        with session(self._live, self._new) as seen:
            seen.run("ANALYZE")

    def compare(self) -> Sequence[Comparison]:
        there = self._name in _databases(self._live)
        with session(self._live, self._new) as ours, session(self._live, self._name if there else "postgres") as theirs:
            known = set(theirs.rows(_SCHEMA_TABLES)) if there else set()
            return [
                self._compare(ours, theirs, found, there=found in known)
                for found in ours.rows(_SCHEMA_TABLES)
                if found[0] != "holdfast"
            ]

    def _compare(self, ours: Session, theirs: Session, path: tuple[str, ...], *, there: bool) -> Comparison:
        table, label = quoted(*path), str(Part("table", (self._name, *path)))
        rescued, sum_rescued = comparing.digest(ours, table)
        if not there:
            return Comparison(label, rescued, None, note="there is no such table on the live server")
        live, sum_live = comparing.digest(theirs, table)
        same = (rescued, sum_rescued) == (live, sum_live)
        return Comparison(label, rescued, live, note="the same rows" if same else "not the same rows")

    def statements(self) -> Statements:
        swap, _ = self._swap()
        care = list(self._orphans)
        care.append("a database can be renamed only while nobody is connected to it; clients must reconnect")
        return Statements(["BEGIN;", *swap, "COMMIT;"], (), care)

    def replace(self) -> Part | None:
        swap, before = self._swap()
        self._live.close()
        with session(self._live, "postgres") as seen, seen.transaction():
            seen.run(*swap)
        return self._part.renamed(before) if before else None

    def _swap(self) -> tuple[list[str], str]:
        occupied = _databases(self._live)
        back = f"ALTER DATABASE {quoted(self._new)} RENAME TO {quoted(self._name)};"
        if self._name not in occupied:
            return [back], ""
        before = free_name("before", self._name, occupied, NAME_BYTES)
        return [f"ALTER DATABASE {quoted(self._name)} RENAME TO {quoted(before)};", back], before


def discard_database(live: PostgreSQL, name: str) -> None:
    """Remove a database that a rescue has made and not finished."""
    with session(live, "postgres") as seen:
        if seen.rows("SELECT 1 FROM pg_stat_activity WHERE datname = %s AND application_name <> 'holdfast'", (name,)):
            raise CommandFailed(
                f"a half-loaded database {name} of an interrupted rescue is in use",
                where=live.where,
                remedy="Drop it, and run the rescue again",
            )
        seen.run(f"DROP DATABASE IF EXISTS {quoted(name)}")


def _databases(live: PostgreSQL) -> list[str]:
    with session(live, "postgres") as seen:
        return seen.names("SELECT datname FROM pg_database")
