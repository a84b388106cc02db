"""Talking to a MariaDB server through its unix socket."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import AccessDenied, CommandFailed, HoldfastError, NotInstalled, ServerUnavailable
from ..model import Instance

SOCKET_DIRECTORY = "/run/mysqld"
_CONNECT_SECONDS = 5
_QUERY_SECONDS = 60
_DENIED = {1044, 1045, 1142, 1227, 1370, 1698, 4151}
_UNAVAILABLE = {1040, 1053, 1203, 2002, 2003, 2006, 2013, 2055}


@dataclass(frozen=True)
class Dialect:
    """What MariaDB and MySQL call differently."""

    name: str = "mariadb"
    title: str = "MariaDB"
    replica_status: str = "SHOW ALL SLAVES STATUS"
    log_status: str = "SHOW MASTER STATUS"
    gtid: str = "@@gtid_binlog_pos"
    server_uid: str = "@@server_uid"
    driver_package: str = "python3-pymysql"


class Connection:
    """A MariaDB server, as the operating system user that owns it (unix_socket authentication)."""

    dialect = Dialect()

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._connection: Any = None

    @property
    def socket(self) -> str:
        """The path of the server's unix socket."""
        directory = self.instance.socket_directory or SOCKET_DIRECTORY
        return os.path.join(directory, self.instance.options.get("socket", "mysqld.sock"))

    @property
    def where(self) -> str:
        """What error messages call this server."""
        return f"{self.instance.name} ({self.dialect.title}, {self.socket})"

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            connection.close()

    def rows(
        self,
        statement: str,
        arguments: Sequence[object] = (),
        *,
        patience: float | None = _QUERY_SECONDS,
        database: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """The rows that a statement returns; ``patience`` is in seconds, None waits for ever."""
        with self._errors():
            connection = self._connect()
            if database:
                connection.select_db(database)
            connection._read_timeout = patience  # noqa: SLF001  the driver has no other way to change it
            with connection.cursor() as cursor:
                cursor.execute(statement, tuple(arguments) or None)
                return list(cursor.fetchall())

    def dict_rows(self, statement: str) -> list[dict[str, Any]]:
        """The rows that a statement returns, by the names of their columns."""
        with self._errors(), self._connect().cursor(import_module("pymysql.cursors").DictCursor) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def row(
        self, statement: str, arguments: Sequence[object] = (), *, patience: float | None = _QUERY_SECONDS
    ) -> tuple[Any, ...]:
        """The first row that a statement returns."""
        return self.rows(statement, arguments, patience=patience)[0]

    def execute(self, statement: str, arguments: Sequence[object] = ()) -> None:
        """Run a statement that returns nothing."""
        self.rows(statement, arguments)

    def _connect(self) -> Any:
        if self._connection is None or not self._connection.open:
            self._connection = self._driver().connect(
                unix_socket=self.socket,
                user=self.instance.os_user,
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_QUERY_SECONDS,
                charset="utf8mb4",
                autocommit=True,
                init_command="SET time_zone = '+00:00'",
            )
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        driver = self._driver()
        try:
            yield
        except driver.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if code in _UNAVAILABLE or code == 0:
                self.close()
            raise translate(code, str(error.args[-1] if error.args else error), self.where) from None

    def _driver(self) -> Any:
        try:
            return import_module("pymysql")
        except ImportError:
            raise NotInstalled(
                f"the {self.dialect.title} driver is not installed",
                remedy=f"Install the package {self.dialect.driver_package}",
            ) from None


def translate(code: int, message: str, where: str) -> HoldfastError:
    """The error of ours that a driver's error stands for; ``code`` is the server's or client's error number."""
    if code in _DENIED:
        return AccessDenied(
            message,
            where=where,
            remedy="Run as the owner of the data directory; its account must use unix_socket and have all privileges",
        )
    if code in _UNAVAILABLE or code == 0:
        return ServerUnavailable(
            message, where=where, remedy="Check that the server runs: systemctl status mariadb, and its error log"
        )
    return CommandFailed(f"{message} (error {code})", where=where)


def quoted(*names: str) -> str:
    """Names joined by dots, each an identifier that SQL takes literally."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)
