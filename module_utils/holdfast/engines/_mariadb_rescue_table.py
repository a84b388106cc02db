"""Rescuing a table of MariaDB: renamed on the copy, then dumped across, or its file taken over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import HoldfastError, InvalidInput, NotInBackup, Refused
from ..parts import Comparison, Part, Statements, free_name
from . import _mariadb_import
from . import _mariadb_objects as objects
from ._mariadb_connection import quoted
from ._mariadb_move import common_key, compare, count, move
from ._mariadb_objects import NAME_CHARACTERS, Made, printed

if TYPE_CHECKING:
    from .mariadb import MariaDB

_TABLES = ("BASE TABLE", "SYSTEM VERSIONED")
_SIZE = """
    SELECT coalesce(data_length + index_length, 0) FROM information_schema.tables
     WHERE table_schema = %s AND table_name = %s
"""
_COUNTER = "SELECT auto_increment FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
_NUMBERS_LEFT_OUT = 1000  # for the rows that are written until the swap


class TableRescue:
    """See the protocol. Foreign keys and triggers stay behind: they come with the swap."""

    def __init__(self, live: MariaDB, source: MariaDB, part: Part) -> None:
        self._live, self._source, self._part = live, source, part
        self._schema, self._name = part.path
        self._partial = False
        found = objects.table_type(source, self._schema, self._name)
        if found not in _TABLES:
            raise NotInBackup(f"there is no table {part} in it", where=source.where)
        self._versioned = found == "SYSTEM VERSIONED"
        self.size_bytes = int(source.row(_SIZE, part.path)[0])
        self._outbound = objects.outbound(source, *part.path)
        self._inbound = objects.inbound(source, *part.path)
        self._triggers = objects.triggers(source, *part.path)
        new = free_name("rescued", self._name, objects.names(live, self._schema), NAME_CHARACTERS, "characters")
        self.target: Part | None = part.renamed(new)
        self._new, self._old = (self._schema, new), (self._schema, self._name)
        for name in self._triggers:
            source.execute(f"DROP TRIGGER {quoted(self._schema, name)}")
        for key in self._outbound:
            source.execute(key.drop())
        source.execute(f"RENAME TABLE {quoted(*self._old)} TO {quoted(*self._new)}")
        self.rows: int | None = count(source, self._new)

    def keep_where(self, condition: str) -> None:
        self._partial = True
        table = quoted(*self._new)
        try:
            # A percent sign is a percent sign: nothing is put into this statement by the driver.
            self._source.rows(f"SELECT 1 FROM {table} WHERE ({condition}) LIMIT 1", patience=None)  # noqa: S608
        except HoldfastError as error:
            raise InvalidInput(
                f"the condition on the rows cannot be understood: {error.what}",
                where=str(self._part),
                remedy="Write what would follow WHERE in a query of this table",
            ) from None
        self._source.execute("SET SESSION foreign_key_checks = 0")
        self._source.rows(f"DELETE FROM {table} WHERE ({condition}) IS NOT TRUE", patience=None)  # noqa: S608
        self.rows = count(self._source, self._new)

    def keep_deleted(self, later: MariaDB) -> None:
        self._partial = True
        if later is not self._live:
            move(self._source, self._schema, ["--skip-triggers", self._new[1]], later, self._schema)
            self._source = later
        if objects.table_type(later, *self._old) is not None:
            key = common_key(later, self._new, self._old)
            if not key:
                raise InvalidInput(
                    "without a primary key nothing tells which rows were deleted",
                    where=str(self._part),
                    remedy="Rescue the table as it was, and compare it yourself",
                )
            later.execute("SET SESSION foreign_key_checks = 0")
            later.rows(
                f"DELETE r FROM {quoted(*self._new)} AS r JOIN {quoted(*self._old)} AS l"
                f" ON {objects.matches('r', 'l', key)}",
                patience=None,
                database=self._schema,
            )
        self.rows = count(later, self._new)

    def load(self) -> None:
        large = _mariadb_import.saves_time(self._source, self._new, self.size_bytes, self._live)
        try:
            if large and _mariadb_import.take_over(self._source, self._new, self._live):
                return
            move(self._source, self._schema, ["--skip-triggers", self._new[1]], self._live, self._schema)
        except BaseException:
            self._live.execute(f"DROP TABLE IF EXISTS {quoted(*self._new)}")
            raise

    def compare(self) -> Sequence[Comparison]:
        return [compare(self._live, str(self._part), self._new, self._old)]

    def statements(self) -> Statements:
        there = objects.table_type(self._live, *self._old) is not None
        swap = [] if self._partial else [f"USE {quoted(self._schema)};", *self._printed(there=there)]
        merge = self._merge() if there else []
        care = ["it is system-versioned: the history of its rows does not come back"] if self._versioned else []
        if not self._partial:
            care += self._care(there=there)
        return Statements(swap, merge, care)

    def _care(self, *, there: bool) -> list[str]:
        care = [f"the swap adds foreign key {key.name} without a look at the rescued rows" for key in self._outbound]
        if there:
            care += [
                f"the swap points foreign key {key.name} of {key.schema}.{key.table} at the rescued rows without a look"
                " at its own"
                for key in objects.inbound(self._live, *self._old)
            ]
        else:
            care += [f"{key.schema}.{key.table} had a foreign key on it: {key.add()};" for key in self._inbound]
        if self._triggers or self._outbound:
            care.append("only the renaming is one step: triggers and foreign keys follow within moments")
        return care

    def replace(self) -> Part | None:
        if self._partial:
            raise Refused(
                "some of its rows cannot take the place of the whole table",
                where=str(self._part),
                remedy="Merge them with the statements that the rescue prints",
            )
        there = objects.table_type(self._live, *self._old)
        if there not in (*_TABLES, None):
            raise Refused(f"{self._part} is a {there} on the live server", where=self._live.where)
        statements, before = self._swap(there=there is not None)
        self._live.execute("SET SESSION lock_wait_timeout = 10")
        for statement in statements:
            if isinstance(statement, Made):
                objects.make(self._live, self._schema, statement)
            else:
                self._live.rows(statement, patience=None)
        return self._part.renamed(before) if before else None

    def _printed(self, *, there: bool) -> list[str]:
        statements, _ = self._swap(there=there)
        return [printed(item.statement if isinstance(item, Made) else item) for item in statements]

    def _swap(self, *, there: bool) -> tuple[list[str | Made], str]:
        """The statements of the swap, and the name of what was there."""
        old, new = quoted(*self._old), quoted(*self._new)
        statements: list[str | Made] = []
        before, inbound = "", []
        if there:
            before = free_name("before", self._name, objects.names(self._live, self._schema), NAME_CHARACTERS, "chars")
            inbound = objects.inbound(self._live, *self._old)
            counter = self._live.row(_COUNTER, self._old)[0]
            if counter:
                statements.append(f"ALTER TABLE {new} AUTO_INCREMENT = {int(counter) + _NUMBERS_LEFT_OUT}")
            aside = quoted(self._schema, before)
            statements.append(f"RENAME TABLE {old} TO {aside}, {new} TO {old}")
            live_triggers = objects.triggers(self._live, *self._old)
            statements += [f"DROP TRIGGER {quoted(self._schema, name)}" for name in live_triggers]
            # Names that InnoDB made up follow the table; those that people gave are taken until they are dropped.
            kept = [key for key in objects.outbound(self._live, *self._old) if not self._is_made_up(key.name)]
            statements.append("SET SESSION foreign_key_checks = 0")
            statements += [key._replace(table=before).drop() for key in kept]
        else:
            statements += [f"RENAME TABLE {new} TO {old}", "SET SESSION foreign_key_checks = 0"]
        statements += [key.add() for key in self._outbound]
        statements += [line for key in inbound for line in (key.drop(), key.add())]
        statements.append("SET SESSION foreign_key_checks = 1")
        return [*statements, *self._triggers.values()], before

    def _is_made_up(self, name: str) -> bool:
        return name.startswith(f"{self._name}_ibfk_")

    def _merge(self) -> list[str]:
        theirs = {column.name for column in objects.columns(self._live, *self._old) if not column.generated}
        ours = [column for column in objects.columns(self._live, *self._new) if not column.generated]
        listed = ", ".join(quoted(column.name) for column in ours if column.name in theirs)
        old, new = quoted(*self._old), quoted(*self._new)
        key = common_key(self._live, self._new, self._old)
        if key:
            rest = (
                f"SELECT {listed} FROM {new} AS r WHERE NOT EXISTS"  # noqa: S608  quoted
                f" (SELECT 1 FROM {old} AS l WHERE {objects.matches('r', 'l', key)})"
            )
        else:
            rest = f"SELECT {listed} FROM {new} EXCEPT ALL SELECT {listed} FROM {old}"  # noqa: S608  quoted
        return [f"INSERT INTO {old} ({listed}) {rest};"]
