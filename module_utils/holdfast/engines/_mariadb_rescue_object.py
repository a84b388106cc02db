"""Rescuing what has no rows in MariaDB: routines, views, sequences, events and triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InvalidInput, NotInBackup
from ..parts import Comparison, Part, Statements, free_name
from . import _mariadb_objects as objects
from ._mariadb_connection import quoted
from ._mariadb_objects import NAME_CHARACTERS, Made, printed, renamed

if TYPE_CHECKING:
    from .mariadb import MariaDB

_NAMES = {
    "function": "SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s"
    " AND routine_type = 'FUNCTION'",
    "procedure": "SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s"
    " AND routine_type = 'PROCEDURE'",
    "event": "SELECT event_name FROM information_schema.events WHERE event_schema = %s",
    "trigger": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s",
    "view": "SELECT table_name FROM information_schema.tables WHERE table_schema = %s",
    "sequence": "SELECT table_name FROM information_schema.tables WHERE table_schema = %s",
}
_GRANTS = """
    SELECT user, host, grantor, proc_priv FROM mysql.procs_priv
     WHERE db = %s AND routine_name = %s AND routine_type = %s ORDER BY 1, 2
"""


def names_of(engine: MariaDB, kind: str, schema: str) -> list[str]:
    """The names that another object of a kind cannot have."""
    return [str(name) for (name,) in engine.rows(_NAMES[kind], (schema,))]


def exists(engine: MariaDB, part: Part) -> bool:
    """Whether a server has such a part."""
    schema, name = part.path
    if part.kind in ("view", "sequence"):
        return objects.table_type(engine, schema, name) == part.kind.upper()
    return name in names_of(engine, part.kind, schema)


class NoRows:
    """What everything without rows has in common."""

    size_bytes = 0
    rows: int | None = None
    _part: Part

    def keep_where(self, condition: str) -> None:
        del condition
        raise InvalidInput(f"a {self._part.kind} has no rows to choose from", where=str(self._part))

    def keep_deleted(self, later: MariaDB) -> None:
        del later
        raise InvalidInput(f"a {self._part.kind} has no rows that could be deleted", where=str(self._part))

    def compare(self) -> Sequence[Comparison]:
        return ()


class ObjectRescue(NoRows):
    """See the protocol. An event comes back disabled: two of them would do the work twice."""

    def __init__(self, live: MariaDB, source: MariaDB, part: Part) -> None:
        self._live, self._part = live, part
        self._schema, self._name = part.path
        if not exists(source, part):
            raise NotInBackup(f"there is no {part.kind} {part} in it", where=source.where)
        self._original = self._definition(source, self._name)
        self._grants = self._grants_of(source)
        self.target: Part | None = None
        if part.kind == "trigger":
            return
        occupied = names_of(live, part.kind, self._schema)
        self._new = free_name("rescued", self._name, occupied, NAME_CHARACTERS, "characters")
        self.target = part.renamed(self._new)
        self._loaded = self._under(self._original, self._new)

    def load(self) -> None:
        if self.target is not None:
            self._make(self._loaded)

    def statements(self) -> Statements:
        there = exists(self._live, self._part)
        now = self._definition(self._live, self._name) if there else []
        same = [item.statement for item in now] == [item.statement for item in self._original]
        state = f"the live one is {'the same' if same else 'another'}" if there else "the live server has none"
        swap = [f"USE {quoted(self._schema)};", *self._aside(there=there)]
        swap += [printed(item.statement) for item in self._original]
        swap += [f"{grant};" for grant in self._grants]
        return Statements(swap, (), [f"{self._part.kind} {self._part}: {state}"])

    def replace(self) -> Part | None:
        before = None
        if exists(self._live, self._part):
            before = self._set_aside()
        self._make(self._original)
        for grant in self._grants:
            self._live.execute(grant)
        if self.target is not None:
            self._live.execute(f"DROP {self._part.kind.upper()} {quoted(self._schema, self._new)}")
        return before

    def _set_aside(self) -> Part | None:
        kind, old = self._part.kind, quoted(self._schema, self._name)
        if kind == "trigger":
            self._live.execute(f"DROP TRIGGER {old}")
            return None
        before = free_name("before", self._name, names_of(self._live, kind, self._schema), NAME_CHARACTERS, "chars")
        aside = quoted(self._schema, before)
        if kind in ("view", "sequence"):
            self._live.execute(f"RENAME TABLE {old} TO {aside}")
        else:
            self._make(self._under(self._definition(self._live, self._name), before))
            self._live.execute(f"DROP {kind.upper()} {old}")
        return self._part.renamed(before)

    def _aside(self, *, there: bool) -> list[str]:
        """What a person runs first, with the statement that brings the live object back."""
        if not there:
            return []
        kind, old = self._part.kind, quoted(self._schema, self._name)
        now = [f"-- {line}" for item in self._definition(self._live, self._name) for line in item.statement.split("\n")]
        return ["-- as it is now:", *now, f"DROP {kind.upper()} {old};"]

    def _definition(self, engine: MariaDB, name: str) -> list[Made]:
        if self._part.kind != "sequence":
            return [objects.shown(engine, self._part.kind, self._schema, name)]
        table = quoted(self._schema, name)
        made = str(engine.row(f"SHOW CREATE SEQUENCE {table}")[1])
        value = engine.row(f"SELECT next_not_cached_value FROM {table}")[0]  # noqa: S608  quoted
        return [Made(made, ""), Made(f"SELECT SETVAL({quoted(name)}, {int(value)}, 0)", "")]

    def _under(self, definition: Sequence[Made], name: str) -> list[Made]:
        """The definition of the same object under another name."""
        kind = self._part.kind
        if kind == "sequence":
            value = definition[1].statement.replace(f"SETVAL({quoted(self._name)}", f"SETVAL({quoted(name)}", 1)
            return [renamed(definition[0], kind, self._name, name), Made(value, "")]
        if kind == "event":
            definition = [objects.disabled(item) for item in definition]
        return [renamed(item, kind, self._name, name) for item in definition]

    def _make(self, definition: Sequence[Made]) -> None:
        for item in definition:
            objects.make(self._live, self._schema, item)

    def _grants_of(self, source: MariaDB) -> list[str]:
        kind = self._part.kind.upper()
        if kind not in ("FUNCTION", "PROCEDURE"):
            return []
        found = source.rows(_GRANTS, (self._schema, self._name, kind))
        accounts = {(user, host) for user, host in self._live.rows("SELECT user, host FROM mysql.user")}
        return [
            f"GRANT {str(rights).upper()} ON {kind} {quoted(self._schema, self._name)} TO {quoted(user)}"
            + (f"@{quoted(host)}" if host else "")
            for user, host, _, rights in found
            if (user, host) in accounts
        ]
