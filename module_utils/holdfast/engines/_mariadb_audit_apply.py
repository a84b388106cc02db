"""Steps of remediation are run, and taken back when one fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..audit.model import Step
from ..errors import HoldfastError, Refused
from ._mariadb_audit_graph import Graph
from ._mariadb_audit_session import DIALECT

if TYPE_CHECKING:
    from ._mariadb_audit_session import Session


def change(session: Session, steps: Sequence[Step]) -> None:
    """Run the steps. MariaDB cannot take such statements back as one: after a failure those that ran are undone."""
    connected = str(session.rows("SELECT current_user()")[0][0])
    before = _others(session, connected)
    done: list[Step] = []
    for step in steps:
        try:
            for statement in step.statements:
                session.execute(statement)
                if statement != DIALECT and step not in done[-1:]:
                    done.append(step)
            # Each step was planned as if it were alone.
            if before and not _others(session, connected):
                raise Refused(
                    "it leaves nobody but Holdfast to administer the server",
                    where=session.engine.where,
                    remedy="Make another account first that has all privileges and can log in",
                )
        except HoldfastError as error:
            raise _taken_back(session, step, done, error) from None


def _others(session: Session, connected: str) -> frozenset[str]:
    return administrators(Graph.read(session)) - {connected}


def administrators(graph: Graph) -> frozenset[str]:
    """Superusers that can log in."""
    return frozenset(name for name in graph.superusers if graph.principals[name].can_log_in)


def _taken_back(session: Session, failed: Step, done: Sequence[Step], error: HoldfastError) -> HoldfastError:
    left = []
    for step in reversed(done):
        try:
            for statement in step.undo:
                session.execute(statement)
        except HoldfastError as second:
            left.append(f"{step.what} ({second.what})")
    undone = f"could not be undone: {'; '.join(left)}" if left else "what was done before is undone"
    error.what = f"{failed.what}: {error.what}; {undone}"
    return error
