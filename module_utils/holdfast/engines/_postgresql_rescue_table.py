"""Rescuing a table, a view or a sequence of PostgreSQL: renamed with all its names on the copy, then dumped across."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import HoldfastError, InvalidInput, NotInBackup, Refused
from ..parts import Comparison, Part, Statements, free_suffix
from . import _postgresql_compare as comparing
from ._postgresql_move import adopt_orphans, move
from ._postgresql_relations import NAME_BYTES, SEQUENCES, TABLES, VIEWS, Member, Relation, columns, renames, taken
from ._postgresql_session import Session, quoted, session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

KINDS = {"table": TABLES, "view": VIEWS, "sequence": SEQUENCES}
_LOCK_ATTEMPTS = 10
_OIDS = """
    SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND (t.typname = 'oid' OR t.typbasetype = 'oid'::regtype)
"""


class RelationRescue:
    """See the protocol. Foreign keys and triggers stay behind: they come with the swap."""

    def __init__(self, live: PostgreSQL, source: PostgreSQL, part: Part) -> None:
        self._live = live
        self._source = source
        self._part = part
        self._database, self._schema, self._name = part.path
        self._partial = False
        self._orphans = adopt_orphans(source, self._database, live)
        with session(source, self._database) as copy:
            relation = Relation(copy, self._schema, self._name, KINDS[part.kind])
            if not relation.members:
                raise NotInBackup(f"there is no {part.kind} {part} in it", where=source.where)
            self._original = relation.members
            self._outbound, self._inbound = relation.outbound(), relation.inbound()
            self._triggers, self._views = relation.triggers(), relation.views()
            self.size_bytes = relation.size()
            copy.run(*(item.drop() for item in self._triggers), *(item.drop() for item in self._outbound))
            self._suffix = self._free_suffix("rescued")
            self._names = renames(self._original, self._suffix)
            copy.run(*(member.rename(to) for member, to in self._names.items()))
            self.target: Part | None = part.renamed(self._names[self._original[0]])
            self.rows = comparing.count(copy, self._new) if part.kind == "table" else None

    @property
    def _new(self) -> str:
        return quoted(self._schema, self._names[self._original[0]])

    @property
    def _old(self) -> str:
        return quoted(self._schema, self._name)

    def keep_where(self, condition: str) -> None:
        self._partial = True
        with session(self._source, self._database) as copy:
            try:
                copy.rows(f"SELECT 1 FROM {self._new} WHERE ({condition}) LIMIT 1")  # noqa: S608  asked for
            except HoldfastError as error:
                raise InvalidInput(
                    f"the condition on the rows cannot be understood: {error.what}",
                    where=str(self._part),
                    remedy="Write what would follow WHERE in a query of this table",
                ) from None
            copy.run(
                "SET session_replication_role = replica",
                f"DELETE FROM {self._new} WHERE ({condition}) IS NOT TRUE",  # noqa: S608  asked for
            )
            self.rows = comparing.count(copy, self._new)

    def keep_deleted(self, later: PostgreSQL) -> None:
        self._partial = True
        if later is not self._live:
            move(self._source, self._database, self._selection(), later, self._database)
            self._source = later
        with session(later, self._database) as seen:
            if seen.row("SELECT to_regclass(%s)", (self._old,))[0] is not None:
                key = comparing.common_key(seen, self._new, self._old)
                if not key:
                    raise InvalidInput(
                        "without a primary key nothing tells which rows were deleted",
                        where=str(self._part),
                        remedy="Rescue the table as it was, and compare it yourself",
                    )
                seen.run(
                    "SET session_replication_role = replica",
                    f"DELETE FROM {self._new} AS r USING {self._old} AS l"  # noqa: S608  quoted
                    f" WHERE {comparing.matches('r', 'l', key)}",
                )
            self.rows = comparing.count(seen, self._new)

    def load(self) -> None:
        with session(self._live, self._database) as seen:
            for schema in sorted({member.schema for member in self._original}):
                if not seen.rows("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)):
                    raise InvalidInput(
                        f"the live server has no schema {schema} any more",
                        where=str(self._part),
                        remedy="Rescue the schema, or make it and try again",
                    )
        move(self._source, self._database, self._selection(), self._live, self._database)
        if self._part.kind == "table":
            with session(self._live, self._database) as seen:
                seen.run(f"ANALYZE {self._new}")

    def compare(self) -> Sequence[Comparison]:
        if self._part.kind != "table":
            return ()
        with session(self._live, self._database) as seen:
            return [comparing.compare(seen, str(self._part), self._new, self._old)]

    def statements(self) -> Statements:
        with session(self._live, self._database) as seen:
            there = Relation(seen, self._schema, self._name, KINDS[self._part.kind])
            swap = [] if self._partial else self._swap(seen, there)[0]
            merge = self._merge(seen) if there.members and self._part.kind == "table" else ()
            return Statements(["BEGIN;", *swap, "COMMIT;"] if swap else (), merge, self._care(seen, there))

    def replace(self) -> Part | None:
        if self._partial:
            raise Refused(
                "some of its rows cannot take the place of the whole table",
                where=str(self._part),
                remedy="Merge them with the statements that the rescue prints",
            )
        with session(self._live, self._database) as seen:
            for attempt in range(_LOCK_ATTEMPTS):
                there = Relation(seen, self._schema, self._name, KINDS[self._part.kind])
                swap, before = self._swap(seen, there)
                try:
                    # A swap that waits for a lock stops everyone behind it: it gives way, and tries again.
                    with seen.transaction():
                        seen.run("SET LOCAL lock_timeout = '2s'", *swap)
                except HoldfastError as error:
                    if "lock timeout" not in error.what or attempt == _LOCK_ATTEMPTS - 1:
                        raise
                    time.sleep(1)
                else:
                    break
        return self._part.renamed(before) if before else None

    def _selection(self) -> list[str]:
        return [f"--table={quoted(member.schema, to)}" for member, to in self._names.items() if member.kind == "TABLE"]

    def _free_suffix(self, word: str, members: Sequence[Member] | None = None) -> str:
        listed = members or self._original
        with session(self._live, self._database) as seen:
            occupied = taken(seen, {member.schema for member in listed})
        return free_suffix(word, [member.name for member in listed], occupied, NAME_BYTES)

    def _swap(self, seen: Session, there: Relation) -> tuple[list[str], str]:
        """The statements of the swap, and the name of what was there."""
        if self._part.kind == "sequence" and there.members:
            value, called = seen.row(f"SELECT last_value, is_called FROM {self._new}")  # noqa: S608  quoted
            return [f"SELECT setval('{_text(self._old)}', {value}, {str(called).lower()});"], ""
        statements, before = [], ""
        if there.members:
            suffix = self._free_suffix("before", there.members)
            away = renames(there.members, suffix)
            before = away[there.members[0]]
            statements += [member.rename(to) for member, to in away.items()]
        occupied = taken(seen, {member.schema for member in self._original}) - {item.name for item in there.members}
        back = [member for member in self._original if member.name not in occupied]
        if self._original[0] not in back:
            raise Refused(f"something else is called {self._part} on the live server", where=self._live.where)
        statements += [member._replace(name=self._names[member]).rename(member.name) for member in back]
        if there.members:
            statements += self._advance(there, away, back)
        statements += [item.add() for item in self._outbound]
        statements += [line for item in self._triggers for line in item.create()]
        statements += [line for item in there.inbound() for line in (item.drop(), item.add())]
        statements += [item.replace() for item in there.views() if not item.materialised]
        return statements, before

    def _advance(self, there: Relation, away: Mapping[Member, str], back: Sequence[Member]) -> list[str]:
        """Sequences go on where the live ones are, so that no number is given twice."""
        found = []
        for member in back:
            if member.kind == "SEQUENCE" and member in there.members:
                now, old = quoted(member.schema, member.name), quoted(member.schema, away[member])
                found.append(
                    f"SELECT setval('{_text(now)}', greatest((SELECT last_value FROM {old}),"  # noqa: S608  quoted
                    f" (SELECT last_value FROM {now})));"
                )
        return found

    def _merge(self, seen: Session) -> list[str]:
        ours, theirs = columns(seen, self._new), columns(seen, self._old)
        shared = [name for name in ours.written if name in theirs.written]
        listed = ", ".join(quoted(name) for name in shared)
        always = " OVERRIDING SYSTEM VALUE" if theirs.always else ""
        key = comparing.common_key(seen, self._new, self._old)
        missing = comparing.missing_by_key if key else comparing.missing_by_row
        rest = missing(self._new, self._old, listed, key)
        return [f"INSERT INTO {self._old} ({listed}){always} {rest};"]

    def _care(self, seen: Session, there: Relation) -> list[str]:
        found = list(self._orphans)
        if self._part.kind == "sequence" and there.members:
            return [*found, "the swap sets the live sequence to the rescued value; it does not rename"]
        found += [
            f"column {name} may name large objects, which a table rescue does not bring back"
            for name in seen.names(_OIDS, (self._new,))
        ]
        if self._partial:
            return found
        found += [
            f"the swap adds foreign key {item.name} without a look at the rescued rows: check with {item.validate()}"
            for item in self._outbound
        ]
        if not there.members:
            found += [f"{item.schema}.{item.table} had a foreign key on it: {item.add()}" for item in self._inbound]
            found += [f"the view {item.schema}.{item.name} read it: rescue it too" for item in self._views]
        found += [
            f"the swap points foreign key {item.name} of {item.schema}.{item.table} at the rescued rows"
            + (" and reads all of its own" if item.partitioned else f" only: check the others with {item.validate()}")
            for item in there.inbound()
        ]
        found += [
            f"the materialised view {view.schema}.{view.name} would go on reading the old table"
            for view in there.views()
            if view.materialised
        ]
        publications = "SELECT pubname FROM pg_publication_tables WHERE schemaname = %s AND tablename = %s"
        found += [
            f"the publication {name} would go on publishing the old table"
            for name in seen.names(publications, (self._schema, self._name))
        ]
        return found


def _text(name: str) -> str:
    return name.replace("'", "''")
