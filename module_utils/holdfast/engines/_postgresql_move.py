"""Moving what a restored copy of PostgreSQL holds into the live server, with the server's own programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import CommandFailed, HoldfastError, RepositoryFull
from ..repositories.pipes import Command, Stage, pipeline
from ._postgresql_programs import program
from ._postgresql_session import conninfo, quoted, reach, session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_ENVIRONMENT = {"PGAPPNAME": "holdfast", "PGCONNECT_TIMEOUT": "5", "PGOPTIONS": "-c statement_timeout=0"}
_ROLES = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'"
_TABLESPACES = "SELECT spcname FROM pg_tablespace"


def move(source: PostgreSQL, database: str, selection: Sequence[str], target: PostgreSQL, into: str) -> None:
    """Pipe a dump of a selection into a database, in one transaction unless the dump makes the database itself."""
    with session(target, "postgres") as live, session(source, "template1") as copy:
        version = live.row("SHOW server_version")[0].split()[0]
        missing = set(copy.names(_TABLESPACES)) - set(live.names(_TABLESPACES))
    dump = [program("pg_dump", version), *reach(source), f"--dbname={conninfo(database)}", *selection]
    dump += ["--no-publications", "--no-subscriptions", *(["--no-tablespaces"] if missing else [])]
    load = [program("psql", version), *reach(target), f"--dbname={conninfo(into)}", "--no-psqlrc", "--quiet"]
    load += ["--set=ON_ERROR_STOP=1", f"--output={os.devnull}"]
    load += [] if "--create" in selection else ["--single-transaction"]
    outcome = pipeline([Command(dump, _ENVIRONMENT), Command(load, _ENVIRONMENT)])
    if outcome.failed:
        raise _failure(outcome.failed, target.where)


def adopt_orphans(source: PostgreSQL, database: str, target: PostgreSQL) -> list[str]:
    """Give what roles that the live server no longer has own in a database of the copy to its administrator.

    Returns a sentence for each of the roles that owned something there or had rights on it.
    """
    with session(target, "postgres") as live:
        known = set(live.names(_ROLES))
    found = []
    with session(source, database) as copy:
        for role in sorted(set(copy.names(_ROLES)) - known):
            query = (
                "SELECT 1 FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole(%s)"
                " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"
            )
            if copy.rows(query, (quoted(role),)):
                found.append(
                    f"the role {role} is not on the live server: what it owned and its rights did not come back"
                )
                owner = quoted(source.instance.os_user)
                copy.run(f"REASSIGN OWNED BY {quoted(role)} TO {owner}", f"DROP OWNED BY {quoted(role)}")
    return found


def _failure(stage: Stage, where: str) -> HoldfastError:
    if "No space left on device" in stage.stderr:
        return RepositoryFull(f"loading: {stage.words()}", where=where, remedy="Free space for the data directory")
    return CommandFailed(
        f"loading: {stage.words()}",
        where=where,
        remedy="Nothing was loaded. What the part needs must be there first: rescue its schema or database as a whole",
    )
