"""Carrying out the steps of remediation on PostgreSQL: a transaction a database, and back where a later one fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..audit.model import Step
from ..errors import HoldfastError, Refused
from ._postgresql_audit_plan import by_database, survivors
from ._postgresql_session import Session, session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

# A change of rights that waits behind a long transaction makes everybody wait behind itself.
_SHORT = ("SET lock_timeout = '10s'", "SET statement_timeout = '300s'")


def change(engine: PostgreSQL, steps: Sequence[Step]) -> None:
    """See the protocol. A role is seen in every database, so one transaction cannot hold what happens in several."""
    done: list[tuple[str, list[Step]]] = []
    for database, group in by_database(steps):
        try:
            _carry_out(engine, database, [statement for step in group for statement in step.statements])
        except HoldfastError as error:
            if done:
                raise _undone(engine, done, error) from None
            raise
        done.append((database, group))


def _carry_out(engine: PostgreSQL, database: str, statements: Sequence[str]) -> None:
    with session(engine, database) as seen:
        seen.run(*_SHORT)
        with seen.transaction():
            _each(seen, statements)
            _somebody_is_left(seen, engine.where)


def _each(seen: Session, statements: Sequence[str]) -> None:
    for statement in statements:
        try:
            seen.run(statement)
        except HoldfastError as error:
            error.what = f"{error.what} (in: {statement})"
            raise


def _somebody_is_left(seen: Session, where: str) -> None:
    """Each step alone can be right and all of them together lock everybody out."""
    own = str(seen.row("SELECT session_user::text")[0])
    left = survivors(seen)
    if own not in left:
        raise Refused(
            f"the changes would leave {own}, which this connection uses, without the right to administer",
            where=where,
            remedy="Nothing was changed in this database. Take that step out",
        )


def _undone(engine: PostgreSQL, done: Sequence[tuple[str, list[Step]]], error: HoldfastError) -> HoldfastError:
    """Undo what was committed in databases before the one that failed, and say how that went."""
    failed = []
    for database, group in reversed(done):
        try:
            _carry_out(engine, database, [statement for step in reversed(group) for statement in step.undo])
        except HoldfastError as second:
            failed.append(f"{database}: {second.what}")
    names = ", ".join(database for database, _ in done)
    state = f"undoing {names} failed too ({'; '.join(failed)})" if failed else f"what was done in {names} is undone"
    return HoldfastError(
        f"{error.what}; {state}",
        where=error.where,
        remedy="Run the undo script, and look at each database" if failed else error.remedy,
    )
