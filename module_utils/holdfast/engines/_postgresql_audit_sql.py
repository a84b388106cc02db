"""Sessions of an audit, which cannot write, and what its checks are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import HoldfastError
from ._postgresql_session import Session, session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

BOOTSTRAP = 10  # the role that initdb made: it cannot lose SUPERUSER
FIRST_OWN_OID = 16384  # below it is what the server brought
_BATCH = 5000
_READ_ONLY = (
    "SET default_transaction_read_only = on",
    "SET statement_timeout = '60s'",
    "SET lock_timeout = '5s'",
)
_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1"
# The value that the server has for everybody. A session that is asked starts with what its own role and database have;
# what the files say counts then, and where they say nothing what the server was built with.
SERVER_VALUE = """CASE WHEN s.source IN ('database', 'user', 'database user') THEN coalesce((
         SELECT CASE s.vartype WHEN 'bool' THEN CASE WHEN newest.setting::boolean THEN 'on' ELSE 'off' END
                               WHEN 'enum' THEN lower(newest.setting) ELSE newest.setting END
           FROM (SELECT f.setting FROM pg_file_settings f WHERE lower(f.name) = lower(s.name) AND f.error IS NULL
                  ORDER BY f.seqno DESC LIMIT 1) newest), s.boot_val) ELSE s.reset_val END"""


@contextmanager
def reading(engine: PostgreSQL, database: str = "postgres") -> Iterator[Session]:
    """A session that the server keeps from writing. Its errors name the database."""
    try:
        with session(engine, database) as seen:
            seen.run(*_READ_ONLY)
            yield seen
    except HoldfastError as error:
        error.where = error.where or engine.where
        if database != "postgres" and "database" not in error.where:
            error.where = f"{error.where}, database {database}"
        raise


def databases(engine: PostgreSQL) -> list[str]:
    """Every database that takes connections; template1 is one, and what it holds is copied into new ones."""
    with reading(engine) as seen:
        return seen.names(_DATABASES)


def version(seen: Session) -> int:
    """The major version."""
    return int(seen.row("SELECT current_setting('server_version_num')")[0]) // 10000


def stream(seen: Session, query: str) -> Iterator[tuple[object, ...]]:
    """The rows of a query, of which only a batch is held at a time."""
    with seen.transaction():
        seen.run(f"DECLARE holdfast_rows NO SCROLL CURSOR FOR {query}")
        while True:
            rows = seen.rows(f"FETCH {_BATCH} FROM holdfast_rows")
            yield from rows
            if len(rows) < _BATCH:
                return


def joined(*parts: str) -> str:
    """A statement of parts that several share."""
    return "".join(parts)


def controls(pci_dss: str = "", hipaa: str = "", gdpr: str = "", iso_27001: str = "") -> Mapping[str, tuple[str, ...]]:
    """The numbers of the requirements by framework, each list divided by blanks."""
    given = {"pci_dss": pci_dss, "hipaa": hipaa, "gdpr": gdpr, "iso_27001": iso_27001}
    return {framework: tuple(numbers.split()) for framework, numbers in given.items() if numbers}
