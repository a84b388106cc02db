"""Rescuing a whole database of MariaDB, or an account with its grants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import HoldfastError, InvalidInput, NotInBackup, Unsupported
from ..parts import Comparison, Part, Statements, free_name
from ._mariadb_connection import quoted
from ._mariadb_move import compare, move
from ._mariadb_objects import NAME_CHARACTERS
from ._mariadb_rescue_object import NoRows

if TYPE_CHECKING:
    from .mariadb import MariaDB

_SIZE = "SELECT coalesce(sum(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = %s"
_DATABASE = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
_TABLES = """
    SELECT table_name FROM information_schema.tables
     WHERE table_schema = %s AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1
"""
# ALTER EVENT would make this account its definer.
_SET_EVENTS = "UPDATE mysql.event SET status = %s WHERE db = %s AND status = %s"
_MEMBERSHIPS = """
    SELECT role, user, host, admin_option FROM mysql.roles_mapping
     WHERE (user = %s AND host = %s) OR (role = %s AND %s = '' AND user <> 'root')
"""
_SECRET = re.compile(r"\s+(?:IDENTIFIED (?:BY PASSWORD|VIA)\b.*?)(?= REQUIRE | WITH | PASSWORD EXPIRE| ACCOUNT |$)")
_NOT_THERE = (1141, 1396, 1959)


class DatabaseRescue:
    """See the protocol. Its events come back disabled."""

    rows: int | None = None

    def __init__(self, live: MariaDB, source: MariaDB, part: Part) -> None:
        self._live, self._source, self._part = live, source, part
        (self._name,) = part.path
        found = source.rows(f"{_DATABASE} WHERE schema_name = %s", (self._name,))
        if not found:
            raise NotInBackup(f"there is no database {part} in it", where=source.where)
        self._character_set, self._collation = found[0]
        self.size_bytes = int(source.row(_SIZE, (self._name,))[0])
        self._new = free_name("rescued", self._name, databases(live), NAME_CHARACTERS, "characters")
        self.target: Part | None = part.renamed(self._new)
        query = "SELECT event_name FROM information_schema.events WHERE event_schema = %s AND status = 'ENABLED'"
        self._events = [name for (name,) in source.rows(query, (self._name,))]
        source.execute(_SET_EVENTS, ("DISABLED", self._name, "ENABLED"))

    def keep_where(self, condition: str) -> None:
        del condition
        raise InvalidInput("rows can be chosen of a table, not of a database", where=str(self._part))

    def keep_deleted(self, later: MariaDB) -> None:
        del later
        raise InvalidInput("deleted rows can be rescued of a table, not of a database", where=str(self._part))

    def load(self) -> None:
        self._load_as(self._new)

    def compare(self) -> Sequence[Comparison]:
        tables = [name for (name,) in self._live.rows(_TABLES, (self._new,))]
        return [
            compare(self._live, str(Part("table", (self._name, table))), (self._new, table), (self._name, table))
            for table in tables
        ]

    def statements(self) -> Statements:
        care = ["a statement inside it that names the database names the live one"]
        care += [f"the event {name} is disabled in it" for name in self._events]
        if self._name in databases(self._live):
            care.append("MariaDB cannot rename a database: rescue the tables that are to be swapped one by one")
        return Statements((), (), care)

    def replace(self) -> Part | None:
        if self._name in databases(self._live):
            raise Unsupported(
                self._live.name,
                "the swap of a database",
                "MariaDB cannot rename one, and moving its tables would lose their triggers",
                remedy="Rescue its tables one by one with rescue_replace",
            )
        for name in self._events:
            self._source.execute(f"{_SET_EVENTS} AND name = %s", ("ENABLED", self._name, "DISABLED", name))
        self._load_as(self._name)
        self._live.execute(f"DROP DATABASE {quoted(self._new)}")
        return None

    def _load_as(self, name: str) -> None:
        made = f"CREATE DATABASE {quoted(name)} CHARACTER SET {self._character_set} COLLATE {self._collation}"
        self._live.execute(made)
        try:
            move(self._source, self._name, ["--routines", "--events", "--triggers"], self._live, name)
        except BaseException:
            self._live.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")
            raise


class AccountRescue(NoRows):
    """See the protocol. An account under another name is of no use to anybody: nothing is loaded."""

    target: Part | None = None

    def __init__(self, live: MariaDB, source: MariaDB, part: Part) -> None:
        self._live, self._part = live, part
        self._user, _, self._host = part.name.rpartition("@") if "@" in part.name else (part.name, "", "")
        try:
            grants = [str(row[0]) for row in source.rows(f"SHOW GRANTS FOR {self._account}")]
            self._made = str(source.row(f"SHOW CREATE USER {self._account}")[0]) if self._host else ""
        except HoldfastError as error:
            if any(f"error {code}" in error.what for code in _NOT_THERE):
                raise NotInBackup(f"there is no account {part.name} in it", where=source.where) from None
            raise
        self._grants = [
            _SECRET.sub("", grant) for grant in grants if not grant.startswith(("GRANT USAGE ON *.*", "GRANT `"))
        ]
        found = source.rows(_MEMBERSHIPS, (self._user, self._host, self._user, self._host))
        self._memberships = [tuple(str(value) for value in row) for row in found]

    @property
    def _account(self) -> str:
        return quoted(self._user) + (f"@{quoted(self._host)}" if self._host else "")

    def load(self) -> None:
        """Nothing to load."""

    def statements(self) -> Statements:
        there = self._is_there()
        care = ["what the live account has besides is not taken away"] if there else []
        if _SECRET.search(self._made):
            care.append("how it identifies itself is not printed: replacing sets it from the backup without showing it")
        swap = [_SECRET.sub("", line) for line in self._making(there=there)]
        swap += [_membership(*row) for row in self._memberships] + self._grants
        return Statements([f"{line};" for line in swap], (), care)

    def replace(self) -> Part | None:
        # The statement holds the hash of the password: it is kept out of the general and the slow log.
        self._live.execute("SET SESSION sql_log_off = 1, slow_query_log = 0")
        try:
            for line in self._making(there=self._is_there()):
                self._live.execute(line)
        finally:
            self._live.execute("SET SESSION sql_log_off = 0")
        self._join()
        refused = []
        for grant in self._grants:
            try:
                self._live.execute(grant)
            except HoldfastError as error:
                refused.append(f"{grant} ({error.what})")
        if refused:
            raise HoldfastError(
                f"the account is back, but {len(refused)} of its grants are not: {'; '.join(refused[:3])}",
                where=self._part.name,
                remedy="What they name is not on the live server; the record has all of them",
            )
        return None

    def _join(self) -> None:
        """Only who administers a role may grant it, and the owner of the data directory need not be that."""
        for role, user, host, admin in self._memberships:
            self._live.execute(
                "INSERT IGNORE INTO mysql.roles_mapping (host, user, role, admin_option)"
                " SELECT %s, %s, %s, %s FROM mysql.user AS r WHERE r.user = %s AND r.is_role = 'Y'"
                " AND EXISTS (SELECT 1 FROM mysql.user AS m WHERE m.user = %s AND m.host = %s)",
                (host, user, role, admin, role, user, host),
            )
        self._live.execute("FLUSH PRIVILEGES")

    def _is_there(self) -> bool:
        query = "SELECT 1 FROM mysql.user WHERE user = %s AND host = %s"
        return bool(self._live.rows(query, (self._user, self._host)))

    def _making(self, *, there: bool) -> list[str]:
        if self._made:
            return [self._made.replace("CREATE USER", "ALTER USER", 1) if there else self._made]
        return [] if there else [f"CREATE ROLE {self._account}"]


def databases(engine: MariaDB) -> list[str]:
    """Every database of a server."""
    return [str(name) for (name,) in engine.rows("SHOW DATABASES")]


def _membership(role: str, user: str, host: str, admin: str) -> str:
    to = quoted(user) + (f"@{quoted(host)}" if host else "")
    return f"GRANT {quoted(role)} TO {to}{' WITH ADMIN OPTION' if admin == 'Y' else ''}"
