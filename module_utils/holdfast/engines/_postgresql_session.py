"""A connection to one database of a server for work that may take long, in transactions of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._postgresql_errors import driver, translate

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_LISTS = frozenset({"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"})


def quoted(*names: str) -> str:
    """Names joined by dots, each an identifier that SQL takes literally."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A string constant, whatever standard_conforming_strings says."""
    body = text.replace("'", "''")
    return " E'" + body.replace("\\", "\\\\") + "'" if "\\" in body else f"'{body}'"


def listed(value: str) -> str:
    """The value of a setting that is a list of names, each an identifier again: what is stored can be anything."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^",\s]+)', value)
    names = [inside.replace('""', '"') or bare.lower() for inside, bare in found]
    return ", ".join(quoted(name) for name in names if name) or "''"


def role_setting(role: str, database: str, name: str, value: str) -> str:
    """The statement that sets a parameter of a role, as the catalog holds it, in one database or in all of them."""
    within = f" IN DATABASE {quoted(database)}" if database else ""
    shown = listed(value) if name in _LISTS else literal(value)
    return f"ALTER ROLE {quoted(role)}{within} SET {quoted(name)} TO {shown}"


def conninfo(database: str) -> str:
    """A connection string in which the name is data, as the client programs take it."""
    return "dbname='" + database.replace("\\", "\\\\").replace("'", "\\'") + "'"


def reach(engine: PostgreSQL) -> list[str]:
    """The arguments by which client programs reach a server."""
    host, port, user = engine.socket_directory, engine.instance.port, engine.instance.os_user
    return [f"--host={host}", f"--port={port}", f"--username={user}", "--no-password"]


class Session:
    """See :func:`session`. What the server says by name is said with its schema."""

    def __init__(self, connection: Any, where: str) -> None:
        self._connection = connection
        self._where = where

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query returns."""
        with _errors(self._where), self._connection.cursor() as cursor:
            cursor.execute(query, tuple(parameters) or None)
            return list(cursor.fetchall())

    def row(self, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The first row."""
        return self.rows(query, parameters)[0]

    def names(self, query: str, parameters: Sequence[Any] = ()) -> list[str]:
        """The first column of every row."""
        return [str(row[0]) for row in self.rows(query, parameters)]

    def run(self, *statements: str) -> None:
        """Run statements one by one."""
        with _errors(self._where), self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What the block does happens as a whole or not at all."""
        self.run("BEGIN")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with _errors(self._where):
                if not self._connection.closed:
                    self._connection.rollback()
                    self.run("ROLLBACK")
            raise


@contextmanager
def session(engine: PostgreSQL, database: str) -> Iterator[Session]:
    """A session without the time limits that short questions have, closed at the end."""
    psycopg2 = driver("psycopg2")
    with _errors(engine.where):
        connection = psycopg2.connect(
            host=engine.socket_directory,
            port=engine.instance.port,
            dbname=database,
            user=engine.instance.os_user,
            connect_timeout=5,
            application_name="holdfast",
            options="-c search_path=pg_catalog -c client_min_messages=error",
        )
    connection.autocommit = True
    try:
        yield Session(connection, engine.where)
    finally:
        connection.close()


@contextmanager
def _errors(where: str) -> Iterator[None]:
    try:
        yield
    except driver("psycopg2").Error as error:
        raise translate(error.pgcode, str(error), where) from None
