"""Reading for an audit: in transactions that cannot write, with large answers row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Protocol

from ..errors import Unsupported
from ._mariadb_connection import Connection

_BEGIN = "START TRANSACTION READ ONLY"
# A global ANSI_QUOTES, ORACLE, NO_BACKSLASH_ESCAPES or EMPTY_STRING_IS_NULL changes what is printed and what is meant.
# Without NO_AUTO_CREATE_USER a GRANT to an account that was dropped meanwhile would make it, without a password.
DIALECT = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER', sql_quote_show_create = 1"


class Reader(Protocol):
    """What questions are asked through."""

    def rows(self, statement: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Every row of a small answer."""

    def stream(self, statement: str, arguments: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of an answer that may not fit into memory."""

    def records(self, statement: str) -> list[dict[str, Any]]:
        """Every row of a small answer, with the names of its columns."""

    def variables(self, *names: str) -> dict[str, str]:
        """Global variables of the server, by name in lower case; those that it does not have are left out."""


class Session:
    """Reads from a server through the connection of its engine, and through one beside it while rows still come."""

    def __init__(self, engine: Connection) -> None:
        self.engine = engine
        self._plain: object = None  # the connection that speaks the dialect

    def execute(self, statement: str) -> None:
        """Run a statement that changes something."""
        self._speak_plainly()
        self.engine.execute(statement)

    def rows(self, statement: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._speak_plainly()
        self.engine.execute(_BEGIN)
        try:
            return self.engine.rows(statement, arguments)
        finally:
            if self._open():
                self.engine.execute("ROLLBACK")

    def stream(self, statement: str, arguments: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        beside = type(self.engine)(self.engine.instance)
        try:
            beside.execute(DIALECT)
            beside.execute(_BEGIN)
            with beside._errors():  # noqa: SLF001  one engine, in two files
                cursor = beside._connect().cursor(import_module("pymysql.cursors").SSCursor)  # noqa: SLF001
                cursor.execute(statement, tuple(arguments) or None)
                try:
                    yield from iter(cursor.fetchone, None)
                finally:
                    # Or the driver reads on, from a connection that is closed, when the reader stopped early.
                    cursor._result.unbuffered_active = False  # noqa: SLF001
        finally:
            beside.close()

    def records(self, statement: str) -> list[dict[str, Any]]:
        self._speak_plainly()
        with self.engine._errors():  # noqa: SLF001  one engine, in two files
            cursor = self.engine._connect().cursor(import_module("pymysql.cursors").DictCursor)  # noqa: SLF001
            cursor.execute(statement)
            return list(cursor.fetchall())

    def variables(self, *names: str) -> dict[str, str]:
        marks = ", ".join(["%s"] * len(names))
        table = "information_schema.global_variables"
        query = f"SELECT lower(variable_name), variable_value FROM {table} WHERE variable_name IN ({marks})"  # noqa: S608
        return {str(name): str(value or "") for name, value in self.rows(query, names)}

    def _speak_plainly(self) -> None:
        with self.engine._errors():  # noqa: SLF001
            connection = self.engine._connect()  # noqa: SLF001
        if connection is not self._plain:
            self.engine.execute(DIALECT)
            self._plain = connection

    def _open(self) -> bool:
        connection = self.engine._connection  # noqa: SLF001
        return connection is not None and connection.open


def text(value: object) -> str:
    """A value as text; the server sends some columns of names as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def not_applicable(what: str, reason: str) -> Unsupported:
    """The error for what a server has no such thing of."""
    return Unsupported("mariadb", what, reason)
