"""What can be rescued of PostgreSQL, and how it is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

from ..errors import InvalidInput, NotInBackup
from ..parts import Part, free_name, parse_name
from ._postgresql_relations import NAME_BYTES, taken
from ._postgresql_rescue_object import RoutineRescue, TriggerRescue
from ._postgresql_rescue_role import RoleRescue
from ._postgresql_rescue_table import RelationRescue
from ._postgresql_rescue_whole import DatabaseRescue, SchemaRescue, discard_database
from ._postgresql_session import quoted, session

if TYPE_CHECKING:
    from .base import Rescue
    from .postgresql import PostgreSQL

_FORMS: dict[str, tuple[str, ...]] = {
    "table": ("DATABASE", "SCHEMA", "TABLE"),
    "schema": ("DATABASE", "SCHEMA"),
    "database": ("DATABASE",),
    "function": ("DATABASE", "SCHEMA", "FUNCTION"),
    "procedure": ("DATABASE", "SCHEMA", "PROCEDURE"),
    "view": ("DATABASE", "SCHEMA", "VIEW"),
    "sequence": ("DATABASE", "SCHEMA", "SEQUENCE"),
    "trigger": ("DATABASE", "SCHEMA", "TABLE", "TRIGGER"),
    "role": ("ROLE",),
}
_MAKERS: dict[str, Callable[[PostgreSQL, PostgreSQL, Part], Rescue]] = {
    "table": RelationRescue,
    "view": RelationRescue,
    "sequence": RelationRescue,
    "schema": SchemaRescue,
    "database": DatabaseRescue,
    "function": RoutineRescue,
    "procedure": RoutineRescue,
    "trigger": TriggerRescue,
    "role": RoleRescue,
}
_NAMES = {
    "database": "SELECT datname FROM pg_database",
    "schema": "SELECT nspname FROM pg_namespace",
    "function": "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname = %s",
}


class PostgreSQLRescuer:
    """See the protocol."""

    def __init__(self, live: PostgreSQL) -> None:
        self._live = live

    def part(self, kind: str, name: str) -> Part:
        if kind not in _FORMS:
            raise InvalidInput(
                f"PostgreSQL has no {kind} to rescue", where=name, remedy=f"It has {', '.join(sorted(_FORMS))}"
            )
        return Part(kind, parse_name(name, _FORMS[kind]))

    def databases(self, part: Part) -> Sequence[str]:
        return () if part.kind == "role" else (part.path[0],)

    def new_name(self, part: Part) -> Part | None:
        if part.kind in ("trigger", "role"):
            return None
        with session(self._live, "postgres") as seen:
            if part.kind == "database":
                return self._free(part, seen.names(_NAMES["database"]))
            if not seen.rows("SELECT 1 FROM pg_database WHERE datname = %s", (part.path[0],)):
                raise InvalidInput(
                    f"the live server has no database {part.path[0]} to load it into",
                    where=self._live.where,
                    remedy="Rescue the database, or make it and try again",
                )
        with session(self._live, part.path[0]) as seen:
            if part.kind == "schema":
                return self._free(part, seen.names(_NAMES["schema"]))
            if part.kind in ("function", "procedure"):
                return self._free(part, seen.names(_NAMES["function"], (part.path[1],)))
            return self._free(part, taken(seen, [part.path[1]]))

    def find(self, source: PostgreSQL, part: Part) -> Rescue:
        if part.kind != "role" and part.path[0] not in source.databases():
            raise NotInBackup(f"there is no database {part.path[0]} in it", where=source.where)
        return _MAKERS[part.kind](self._live, source, part)

    def discard(self, part: Part) -> None:
        # Everything else is whole or not there: it is loaded in one transaction.
        if part.kind == "database":
            discard_database(self._live, part.name)
        elif part.kind == "table":
            with session(self._live, part.path[0]) as seen:
                seen.run(f"DROP TABLE IF EXISTS {quoted(*part.path[1:])}")

    @staticmethod
    def _free(part: Part, occupied: Sequence[str] | set[str]) -> Part:
        return part.renamed(free_name("rescued", part.name, occupied, NAME_BYTES))
