"""What belongs to a table of PostgreSQL: partitions, indexes, sequences, keys, triggers, and who depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..parts import fit
from ._postgresql_session import Session, quoted

NAME_BYTES = 63
TABLES, VIEWS, SEQUENCES = ("r", "p", "f"), ("v", "m"), ("S",)

_TREE = """
    WITH RECURSIVE tree(oid) AS (
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relname = %s AND c.relkind = ANY(%s)
        UNION ALL
        SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
          JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition)
"""
_MEMBERS = """
    SELECT m.kind, n.nspname, m.name FROM (
        SELECT 0 AS rank, 'TABLE' AS kind, c.relnamespace AS schema, c.relname AS name, t.oid
          FROM tree t JOIN pg_class c USING (oid)
        UNION SELECT 1, 'INDEX', c.relnamespace, c.relname, c.oid
          FROM tree t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
        UNION SELECT 2, 'SEQUENCE', c.relnamespace, c.relname, c.oid
          FROM tree t JOIN pg_depend d ON d.refobjid = t.oid AND d.refclassid = 'pg_class'::regclass
           AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
          JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
        UNION SELECT 3, 'STATISTICS', s.stxnamespace, s.stxname, s.oid
          FROM tree t JOIN pg_statistic_ext s ON s.stxrelid = t.oid) m
      JOIN pg_namespace n ON n.oid = m.schema
     ORDER BY m.rank, (n.nspname, m.name) <> (%s, %s), m.oid
"""
_OUTBOUND = """
    SELECT n.nspname, c.relname, f.conname, pg_get_constraintdef(f.oid), c.relkind = 'p'
      FROM pg_constraint f JOIN tree t ON t.oid = f.conrelid
      JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE f.contype = 'f' AND f.conparentid = 0 ORDER BY 1, 2, 3
"""
_INBOUND = """
    SELECT n.nspname, c.relname, f.conname, pg_get_constraintdef(f.oid), c.relkind = 'p'
      FROM pg_constraint f JOIN tree t ON t.oid = f.confrelid
      JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE f.contype = 'f' AND f.conparentid = 0 AND f.conrelid NOT IN (SELECT oid FROM tree) ORDER BY 1, 2, 3
"""
# tgparentid came with PostgreSQL 13.
_TRIGGERS = """
    SELECT n.nspname, c.relname, g.tgname, pg_get_triggerdef(g.oid), g.tgenabled
      FROM pg_trigger g JOIN tree t ON t.oid = g.tgrelid
      JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT g.tgisinternal AND coalesce((to_jsonb(g) ->> 'tgparentid')::oid, 0) = 0 ORDER BY 1, 2, 3
"""
_VIEWS = """
    SELECT DISTINCT n.nspname, c.relname, c.relkind, pg_get_viewdef(c.oid), array_to_string(c.reloptions, ', ')
      FROM tree t JOIN pg_depend d ON d.refobjid = t.oid AND d.refclassid = 'pg_class'::regclass
       AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid NOT IN (SELECT oid FROM tree) ORDER BY 1, 2
"""
_COLUMNS = """
    SELECT a.attname, a.attgenerated <> '', a.attidentity = 'a'
      FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEYS = """
    SELECT array_agg(a.attname::text ORDER BY k.position)
      FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
      LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
       AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
     GROUP BY i.indexrelid, i.indisprimary HAVING bool_and(a.attnotnull)
     ORDER BY i.indisprimary DESC, i.indexrelid
"""
_TAKEN = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY(%s)
    UNION SELECT s.stxname FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
     WHERE n.nspname = ANY(%s)
    UNION SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY(%s)
"""
_STATES = {"D": "DISABLE TRIGGER", "R": "ENABLE REPLICA TRIGGER", "A": "ENABLE ALWAYS TRIGGER"}


class Member(NamedTuple):
    """A relation, index, sequence or statistics object: what has a name of its own in a schema."""

    kind: str
    schema: str
    name: str

    def rename(self, to: str) -> str:
        """The statement that gives it another name."""
        return f"ALTER {self.kind} {quoted(self.schema, self.name)} RENAME TO {quoted(to)};"


class Constraint(NamedTuple):
    """A foreign key, with its table."""

    schema: str
    table: str
    name: str
    definition: str
    partitioned: bool

    def drop(self) -> str:
        """The statement that removes it."""
        return f"ALTER TABLE {quoted(self.schema, self.table)} DROP CONSTRAINT {quoted(self.name)};"

    def add(self) -> str:
        """The statement that adds it, without looking at the rows that are there where the server can do that."""
        later = "" if self.partitioned or self.definition.endswith("NOT VALID") else " NOT VALID"
        table = quoted(self.schema, self.table)
        return f"ALTER TABLE {table} ADD CONSTRAINT {quoted(self.name)} {self.definition}{later};"

    def validate(self) -> str:
        """The statement that looks at the rows that were there."""
        return f"ALTER TABLE {quoted(self.schema, self.table)} VALIDATE CONSTRAINT {quoted(self.name)};"


class Trigger(NamedTuple):
    """A trigger, with its table."""

    schema: str
    table: str
    name: str
    definition: str
    state: str

    def drop(self) -> str:
        """The statement that removes it."""
        return f"DROP TRIGGER {quoted(self.name)} ON {quoted(self.schema, self.table)};"

    def create(self) -> list[str]:
        """The statements that make it again."""
        made = [f"{self.definition};"]
        if self.state in _STATES:
            made.append(f"ALTER TABLE {quoted(self.schema, self.table)} {_STATES[self.state]} {quoted(self.name)};")
        return made


class View(NamedTuple):
    """A view that reads a table."""

    schema: str
    name: str
    kind: str
    definition: str
    options: str | None

    @property
    def materialised(self) -> bool:
        """Whether it holds rows of its own, and cannot be replaced in place."""
        return self.kind == "m"

    def replace(self) -> str:
        """The statement that makes it read whatever has the table's name then."""
        options = f" WITH ({self.options})" if self.options else ""
        body = self.definition.rstrip().rstrip(";")
        return f"CREATE OR REPLACE VIEW {quoted(self.schema, self.name)}{options} AS {body};"


class Relation:
    """A table with its partitions, a view or a sequence, as one session sees it now."""

    def __init__(self, seen: Session, schema: str, name: str, kinds: Sequence[str]) -> None:
        self._session = seen
        self._of = (schema, name, list(kinds))
        self.members = [Member(*row) for row in seen.rows(_TREE + _MEMBERS, (*self._of, schema, name))]

    @property
    def tables(self) -> list[Member]:
        """The relation itself, and its partitions."""
        return [member for member in self.members if member.kind == "TABLE"]

    def outbound(self) -> list[Constraint]:
        """Its own foreign keys."""
        return [Constraint(*row) for row in self._session.rows(_TREE + _OUTBOUND, self._of)]

    def inbound(self) -> list[Constraint]:
        """The foreign keys of other tables that point at it."""
        return [Constraint(*row) for row in self._session.rows(_TREE + _INBOUND, self._of)]

    def triggers(self) -> list[Trigger]:
        """Its triggers."""
        return [Trigger(*row) for row in self._session.rows(_TREE + _TRIGGERS, self._of)]

    def views(self) -> list[View]:
        """The views that read it."""
        return [View(*row) for row in self._session.rows(_TREE + _VIEWS, self._of)]

    def size(self) -> int:
        """Bytes on disk, with indexes."""
        query = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM tree"
        return int(self._session.row(_TREE + query, self._of)[0])


class Columns(NamedTuple):
    """The columns of a table: all, those that can be written, and whether one of them is always generated by number."""

    every: tuple[str, ...]
    written: tuple[str, ...]
    always: bool


def columns(seen: Session, table: str) -> Columns:
    """The columns of a table, whose name is quoted already."""
    found = seen.rows(_COLUMNS, (table,))
    return Columns(
        tuple(name for name, _, _ in found),
        tuple(name for name, generated, _ in found if not generated),
        any(always for _, _, always in found),
    )


def keys(seen: Session, table: str) -> list[tuple[str, ...]]:
    """The column lists that tell the rows of a table apart, the primary key first."""
    return [tuple(found) for (found,) in seen.rows(_KEYS, (table,))]


def taken(seen: Session, schemas: Iterable[str]) -> set[str]:
    """Every name in these schemas that a relation could not have."""
    listed = sorted(set(schemas))
    return set(seen.names(_TAKEN, (listed, listed, listed)))


def renames(members: Sequence[Member], suffix: str) -> Mapping[Member, str]:
    """The new name of each member."""
    return {member: fit(member.name, suffix, NAME_BYTES) for member in members}
