"""Rescuing a function, a procedure or a trigger of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InvalidInput, NotInBackup
from ..parts import Comparison, Part, Statements, free_name
from ._postgresql_relations import NAME_BYTES, TABLES, VIEWS, Relation, Trigger
from ._postgresql_session import Session, literal, quoted, session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_ROUTINES = """
    SELECT p.oid::regprocedure::text, pg_get_function_identity_arguments(p.oid), pg_get_functiondef(p.oid),
           pg_get_userbyid(p.proowner), obj_description(p.oid, 'pg_proc'),
           ARRAY(SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END
                   FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner ORDER BY 1), p.proacl IS NOT NULL
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = %s AND p.proname = %s AND p.prokind = ANY(%s) ORDER BY 1
"""
_KINDS = {"function": ["f", "w"], "procedure": ["p"]}


class _Routine(NamedTuple):
    signature: str
    arguments: str
    definition: str
    owner: str
    comment: str | None
    grantees: Sequence[str]
    restricted: bool


class _NoRows:
    """What everything without rows has in common."""

    size_bytes = 0
    rows: int | None = None
    _part: Part

    def keep_where(self, condition: str) -> None:
        del condition
        raise InvalidInput(f"a {self._part.kind} has no rows to choose from", where=str(self._part))

    def keep_deleted(self, later: PostgreSQL) -> None:
        del later
        raise InvalidInput(f"a {self._part.kind} has no rows that could be deleted", where=str(self._part))

    def compare(self) -> Sequence[Comparison]:
        return ()


class RoutineRescue(_NoRows):
    """See the protocol. All functions of the name come back, whatever their arguments."""

    def __init__(self, live: PostgreSQL, source: PostgreSQL, part: Part) -> None:
        self._live, self._part = live, part
        self._database, self._schema, self._name = part.path
        with session(live, self._database) as seen:
            occupied = seen.names(
                "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname = %s",
                (self._schema,),
            )
            self._known = set(seen.names("SELECT rolname FROM pg_roles"))
        new = free_name("rescued", self._name, occupied, NAME_BYTES)
        self.target: Part | None = part.renamed(new)
        with session(source, self._database) as copy:
            self._original = self._routines(copy, self._name)
            if not self._original:
                raise NotInBackup(f"there is no {part.kind} {part} in it", where=source.where)
            self._rename(copy, self._original, self._name, new)
            self._renamed = self._routines(copy, new)

    def load(self) -> None:
        with session(self._live, self._database) as seen, seen.transaction():
            for routine in self._renamed:
                self._make(seen, routine)

    def statements(self) -> Statements:
        with session(self._live, self._database) as seen:
            there = {item.signature: item.definition for item in self._routines(seen, self._name)}
        care = []
        for item in self._original:
            state = "the same as" if there.get(item.signature) == item.definition else "another than"
            care.append(
                f"{item.signature}: the rescued definition is {state} the live one"
                if item.signature in there
                else f"{item.signature} is not on the live server"
            )
        return Statements([line for item in self._original for line in self._making(item)], (), care)

    def replace(self) -> Part | None:
        with session(self._live, self._database) as seen:
            there = self._routines(seen, self._name)
            new = self.target.name if self.target else ""
            occupied = {new}
            before = free_name("before", self._name, occupied, NAME_BYTES)
            with seen.transaction():
                # Renamed and back, so that the server itself writes the old definition under the other name.
                self._rename(seen, there, self._name, before)
                kept = self._routines(seen, before)
                self._rename(seen, kept, before, self._name)
                for routine in (*kept, *self._original):
                    self._make(seen, routine)
                for routine in self._routines(seen, new):
                    seen.run(f"DROP ROUTINE {quoted(self._schema, new)}({routine.arguments})")
        return self._part.renamed(before) if there else None

    def _routines(self, seen: Session, name: str) -> list[_Routine]:
        return [_Routine(*row) for row in seen.rows(_ROUTINES, (self._schema, name, _KINDS[self._part.kind]))]

    def _rename(self, seen: Session, routines: Sequence[_Routine], old: str, new: str) -> None:
        for item in routines:
            seen.run(f"ALTER ROUTINE {quoted(self._schema, old)}({item.arguments}) RENAME TO {quoted(new)}")

    def _make(self, seen: Session, routine: _Routine) -> None:
        seen.run("SET check_function_bodies = off", *self._making(routine))

    def _making(self, routine: _Routine) -> list[str]:
        name = routine.signature
        lines = [routine.definition.rstrip() + ";"]
        if routine.owner in self._known:
            lines.append(f"ALTER ROUTINE {name} OWNER TO {quoted(routine.owner)};")
        if routine.restricted:
            lines.append(f"REVOKE ALL ON ROUTINE {name} FROM PUBLIC;")
            roles = [role for role in routine.grantees if not role or role in self._known]
            lines += [f"GRANT EXECUTE ON ROUTINE {name} TO {quoted(role) if role else 'PUBLIC'};" for role in roles]
        if routine.comment:
            lines.append(f"COMMENT ON ROUTINE {name} IS {literal(routine.comment)};")
        return lines


class TriggerRescue(_NoRows):
    """See the protocol. A second trigger beside the live one would do its work twice: nothing is loaded."""

    target: Part | None = None

    def __init__(self, live: PostgreSQL, source: PostgreSQL, part: Part) -> None:
        self._live, self._part = live, part
        self._database, self._schema, self._table, self._name = part.path
        with session(source, self._database) as copy:
            found = [item for item in self._triggers(copy) if item.name == self._name]
        if not found:
            raise NotInBackup(f"there is no trigger {part} in it", where=source.where)
        self._trigger = found[0]

    def load(self) -> None:
        """Nothing to load."""

    def statements(self) -> Statements:
        with session(self._live, self._database) as seen:
            swap, _ = self._swap(seen)
        return Statements(["BEGIN;", *swap, "COMMIT;"], (), ["the function that it calls must be there: rescue it too"])

    def replace(self) -> Part | None:
        with session(self._live, self._database) as seen:
            swap, before = self._swap(seen)
            with seen.transaction():
                seen.run("SET LOCAL lock_timeout = '10s'", *swap)
        return self._part.renamed(before) if before else None

    def _triggers(self, seen: Session) -> list[Trigger]:
        return Relation(seen, self._schema, self._table, TABLES + VIEWS).triggers()

    def _swap(self, seen: Session) -> tuple[list[str], str]:
        names = [item.name for item in self._triggers(seen)]
        if self._name not in names:
            return self._trigger.create(), ""
        table = quoted(self._schema, self._table)
        before = free_name("before", self._name, names, NAME_BYTES)
        aside = [
            f"ALTER TRIGGER {quoted(self._name)} ON {table} RENAME TO {quoted(before)};",
            f"ALTER TABLE {table} DISABLE TRIGGER {quoted(before)};",
        ]
        return [*aside, *self._trigger.create()], before
