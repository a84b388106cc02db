"""What can be rescued of MariaDB, and how it is named. A schema is a database here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

from ..errors import InvalidInput, NotInBackup
from ..parts import Part, free_name, parse_name
from ._mariadb_connection import quoted
from ._mariadb_objects import NAME_CHARACTERS
from ._mariadb_rescue_object import ObjectRescue, names_of
from ._mariadb_rescue_table import TableRescue
from ._mariadb_rescue_whole import AccountRescue, DatabaseRescue, databases

if TYPE_CHECKING:
    from .base import Rescue
    from .mariadb import MariaDB

_SYSTEM = ("information_schema", "performance_schema", "mysql", "sys")
_FORMS: dict[str, tuple[str, ...]] = {
    "table": ("DATABASE", "TABLE"),
    "schema": ("DATABASE",),
    "database": ("DATABASE",),
    "function": ("DATABASE", "FUNCTION"),
    "procedure": ("DATABASE", "PROCEDURE"),
    "view": ("DATABASE", "VIEW"),
    "sequence": ("DATABASE", "SEQUENCE"),
    "trigger": ("DATABASE", "TRIGGER"),
    "event": ("DATABASE", "EVENT"),
}
_MAKERS: dict[str, Callable[[MariaDB, MariaDB, Part], Rescue]] = {
    "table": TableRescue,
    "schema": DatabaseRescue,
    "database": DatabaseRescue,
    "role": AccountRescue,
}


class MariaDBRescuer:
    """See the protocol."""

    def __init__(self, live: MariaDB) -> None:
        self._live = live

    def part(self, kind: str, name: str) -> Part:
        if kind == "role":
            # The host of an account may hold dots, so the name is one element whatever is in it.
            user, at, host = name.rpartition("@") if "@" in name else (name, "", "")
            return Part(kind, (user.strip("'`\"") + at + host.strip("'`\""),))
        if kind not in _FORMS:
            raise InvalidInput(
                f"MariaDB has no {kind} to rescue", where=name, remedy=f"It has {', '.join(sorted(_FORMS))}, role"
            )
        part = Part(kind, parse_name(name, _FORMS[kind]))
        if part.path[0].lower() in _SYSTEM:
            raise InvalidInput(
                f"{part.path[0]} is the server's own database", where=name, remedy="Restore the instance aside instead"
            )
        return part

    def databases(self, part: Part) -> Sequence[str]:
        return () if part.kind == "role" else (part.path[0],)

    def new_name(self, part: Part) -> Part | None:
        if part.kind in ("trigger", "role"):
            return None
        if part.kind in ("database", "schema"):
            return part.renamed(free_name("rescued", part.name, databases(self._live), NAME_CHARACTERS, "characters"))
        if part.path[0] not in databases(self._live):
            raise InvalidInput(
                f"the live server has no database {part.path[0]} to load it into",
                where=self._live.where,
                remedy="Rescue the database, or make it and try again",
            )
        occupied = names_of(self._live, "view" if part.kind == "table" else part.kind, part.path[0])
        return part.renamed(free_name("rescued", part.name, occupied, NAME_CHARACTERS, "characters"))

    def find(self, source: MariaDB, part: Part) -> Rescue:
        for engine in (source, self._live):
            engine.execute("SET SESSION sql_mode = ''")  # also decides how SHOW CREATE quotes
        if part.kind != "role" and part.path[0] not in databases(source):
            raise NotInBackup(f"there is no database {part.path[0]} in it", where=source.where)
        return _MAKERS.get(part.kind, ObjectRescue)(self._live, source, part)

    def discard(self, part: Part) -> None:
        if part.kind in ("database", "schema"):
            self._live.execute(f"DROP DATABASE IF EXISTS {quoted(*part.path)}")
        elif part.kind == "table":
            self._live.execute(f"DROP TABLE IF EXISTS {quoted(*part.path)}")
