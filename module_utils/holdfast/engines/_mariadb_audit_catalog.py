"""What MariaDB keeps about accounts, roles and rights, and how it writes that down.

All that MySQL stores otherwise is here: the tables, their columns, and the numbers of the privileges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..audit.model import PUBLIC
from ..errors import CommandFailed
from ._mariadb_audit_session import Reader, text
from ._mariadb_connection import quoted

PRINCIPALS = "SELECT User, Host, Priv FROM mysql.global_priv ORDER BY User, Host"
MEMBERSHIPS = "SELECT User, Host, Role, Admin_option = 'Y' FROM mysql.roles_mapping ORDER BY User, Host, Role"
# In one column: the driver takes most of its time for each, and there may be a hundred thousand rows.
TABLES = (
    "SELECT concat_ws(char(0 USING utf8mb4), User, Host, Db, Table_name, Table_priv) FROM mysql.tables_priv"
    # A grant option that stands alone there may be that of columns, which have their own rows.
    " WHERE Table_priv <> '' AND NOT (Table_priv = 'Grant' AND Column_priv <> '')"
)
COLUMNS = "SELECT User, Host, Db, Table_name, Column_name, Column_priv FROM mysql.columns_priv WHERE Column_priv <> ''"
ROUTINES = "SELECT User, Host, Db, Routine_name, Routine_type, Proc_priv FROM mysql.procs_priv WHERE Proc_priv <> ''"
PROXIES = "SELECT User, Host, Proxied_user, Proxied_host, With_grant FROM mysql.proxies_priv ORDER BY 1, 2, 3, 4"
# The columns of mysql.db are not the same in every version.
_DATABASE_COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'mysql' AND table_name = 'db'"
    " AND column_name LIKE '%\\_priv' ORDER BY ordinal_position"
)

GRANT_OPTION = "GRANT OPTION"
ALL = "ALL PRIVILEGES"
# By the position of their bit in the number that mysql.global_priv holds.
PRIVILEGES = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "SHUTDOWN", "PROCESS", "FILE", GRANT_OPTION,
    "REFERENCES", "INDEX", "ALTER", "SHOW DATABASES", "SUPER", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE",
    "REPLICATION SLAVE", "BINLOG MONITOR", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE",
    "CREATE USER", "EVENT", "TRIGGER", "CREATE TABLESPACE", "DELETE HISTORY", "SET USER", "FEDERATED ADMIN",
    "CONNECTION ADMIN", "READ_ONLY ADMIN", "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN", "BINLOG ADMIN",
    "BINLOG REPLAY", "SLAVE MONITOR", "SHOW CREATE ROUTINE",
)  # fmt: skip
_SPLIT_FROM_SUPER = (
    "SET USER", "FEDERATED ADMIN", "CONNECTION ADMIN", "READ_ONLY ADMIN", "REPLICATION SLAVE ADMIN", "BINLOG ADMIN",
    "BINLOG REPLAY",
)  # fmt: skip
# Powers over the server, which are about no object.
ADMINISTRATIVE = frozenset(
    ("RELOAD", "SHUTDOWN", "PROCESS", "FILE", "SHOW DATABASES", "SUPER", "REPLICATION SLAVE", "BINLOG MONITOR",
     "CREATE USER", "CREATE TABLESPACE", "REPLICATION MASTER ADMIN", "SLAVE MONITOR", *_SPLIT_FROM_SUPER)
)  # fmt: skip
# What ALL PRIVILEGES meant before SUPER was split. A later version adds to it, and accounts keep what they had.
EVERYTHING = frozenset(PRIVILEGES[:29]) - {GRANT_OPTION}
_NAMES = {  # in the tables of rights, where they are not the words of GRANT
    "CREATE TMP TABLE": "CREATE TEMPORARY TABLES",
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
    "GRANT": GRANT_OPTION,
}
_SPLIT = 100502  # the version that split SUPER, as accounts have it
_NO_LIMIT = -1
_USABLE_NATIVE = re.compile(r"\*[0-9A-F]{40}$|[0-9a-f]{16}$", re.IGNORECASE)
_NATIVE = ("mysql_native_password", "mysql_old_password")
_WITHOUT_PASSWORD = frozenset(("unix_socket", "pam", "gssapi", "named_pipe"))
_PLAIN = re.compile(r"[0-9A-Za-z_$]+\Z")
LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


class Method(NamedTuple):
    """A way to log in."""

    plugin: str
    stored: str  # what the plugin compares with: a secret, where the plugin takes passwords

    @property
    def takes_password(self) -> bool:
        return self.plugin not in _WITHOUT_PASSWORD

    @property
    def open(self) -> bool:
        """Whether an empty password is let in."""
        return self.takes_password and not self.stored

    @property
    def usable(self) -> bool:
        """Whether there is anything that it lets in: ``invalid`` is what the server itself writes for nothing."""
        return self.plugin not in _NATIVE or not self.stored or bool(_USABLE_NATIVE.match(self.stored))


class Principal(NamedTuple):
    """An account or a role as mysql.global_priv has it."""

    user: str
    host: str
    is_role: bool
    privileges: frozenset[str]  # on *.*, GRANT OPTION among them
    methods: tuple[Method, ...]
    locked: bool
    changed: int | None  # when its password was set, as a time of Unix; 0 says that it has expired
    lifetime: int  # of its password in days; 0 for ever, -1 as the server has it
    default_role: str
    encrypted: bool  # takes connections with TLS only
    connections: int  # at a time; 0 as the server has it

    @property
    def name(self) -> str:
        return named(self.user, self.host, self.is_role)

    @property
    def remote(self) -> bool:
        """Whether it can log in from another host. An empty host means any."""
        return not self.is_role and self.host not in LOCAL

    @property
    def can_log_in(self) -> bool:
        return not (self.is_role or self.locked) and any(method.usable for method in self.methods)


class Grant(NamedTuple):
    """A row of one of the tables of rights."""

    holder: str
    privileges: tuple[str, ...]
    grantable: bool
    kind: str
    object: str
    database: str  # a pattern where the kind is database
    name: str = ""  # of the table or routine


def named(user: str, host: str, is_role: bool) -> str:
    """A principal as Holdfast writes it."""
    return user if is_role else f"{user}@{host}"


def split(account: str) -> tuple[str, str | None]:
    """User and host of an account; a role has no host."""
    user, at, host = account.rpartition("@")
    return (user, host) if at else (account, None)


def sql_name(account: str) -> str:
    """An account or role as statements name it."""
    user, host = split(account)
    if host is None:
        return account if account == PUBLIC else quoted(account)
    return f"{quoted(user)}@{quoted(host)}"


def literal(value: str) -> str:
    """A text as statements have it, in the dialect of the session."""
    # A quote that is doubled is one in every mode; after a backslash it ends the text where NO_BACKSLASH_ESCAPES is on.
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def typed(*names: str) -> str:
    """Names joined by dots, as a person types them."""
    return ".".join(name if name == "*" or _PLAIN.match(name) else quoted(name) for name in names)


def principals(reader: Reader) -> list[Principal]:
    """Every account and role."""
    return [principal(str(user), str(host), text(priv)) for user, host, priv in reader.rows(PRINCIPALS)]


def principal(user: str, host: str, stored: str) -> Principal:
    """An account or role, from the JSON that the server keeps of it."""
    try:
        value: Mapping[str, Any] = json.loads(stored)
    except ValueError:
        # The text holds a password hash, and is not shown.
        raise CommandFailed(
            f"the entry of {user}@{host} in mysql.global_priv is no JSON",
            remedy="Restore the entry, or drop the account with DELETE FROM mysql.global_priv and FLUSH PRIVILEGES",
        ) from None
    is_role = bool(value.get("is_role"))
    return Principal(
        user=user,
        host=host,
        is_role=is_role,
        privileges=_privileges(int(value.get("access", 0)), int(value.get("version_id", 0))),
        methods=() if is_role else _methods(value),
        locked=bool(value.get("account_locked")),
        changed=value.get("password_last_changed"),
        lifetime=int(value.get("password_lifetime", _NO_LIMIT)),
        default_role=str(value.get("default_role", "")),
        encrypted=bool(value.get("ssl_type", 0)),
        connections=int(value.get("max_user_connections", 0)),
    )


def memberships(reader: Reader, roles: frozenset[str]) -> list[tuple[str, str, bool]]:
    """Role, member, and whether it may hand the role on."""
    return [
        (str(role), named(str(user), str(host), not host and user in roles), bool(admin))
        for user, host, role, admin in reader.rows(MEMBERSHIPS)
    ]


def grants(reader: Reader, roles: frozenset[str], chosen: Sequence[str] | None = None) -> Iterator[Grant]:
    """Every grant below the level of the server, while the server still sends them.

    With names chosen, of the tables only those of these names, those of the server itself, and those for code.
    """
    yield from database_grants(reader, roles)
    marks = ", ".join(["%s"] * len(chosen or ())) or "''"
    some = "" if chosen is None else f" AND (Db = 'mysql' OR Table_name IN ({marks})"
    code = " OR find_in_set('Create View', Table_priv) OR find_in_set('Trigger', Table_priv))" if some else ""
    for (row,) in reader.stream(TABLES + some + code, chosen or ()):
        user, host, database, table, privileges = text(row).split("\0")
        place = (typed(database, table), database, table)
        yield _grant(named(user, host, not host and user in roles), privileges, "table", *place)
    for user, host, database, table, column, privileges in reader.stream(COLUMNS + (some and some + ")"), chosen or ()):
        place = (f"{typed(database, table)}({typed(column)})", database, table)
        yield _grant(named(user, host, not host and user in roles), privileges, "column", *place)
    for user, host, database, routine, kind, privileges in reader.stream(ROUTINES):
        place = (typed(database, routine), database, routine)
        yield _grant(named(user, host, not host and user in roles), privileges, kind.lower(), *place)


def database_grants(reader: Reader, roles: frozenset[str]) -> Iterator[Grant]:
    """Every grant on a database, or on those that a pattern names."""
    columns = [str(name) for (name,) in reader.rows(_DATABASE_COLUMNS)]
    for user, host, pattern, held in reader.stream(_databases(columns)):
        holder = named(user, host, not host and user in roles)
        yield _grant(holder, held, "database", typed(pattern, "*"), pattern)


def matches(pattern: str, database: str) -> bool:
    """Whether a grant on a database is about this one: % and _ stand for others unless a backslash is before them."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wanted = "".join({"%": ".*", "_": "."}.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(wanted, database, re.DOTALL) is not None


def _grant(holder: str, privileges: str, kind: str, what: str, database: str, name: str = "") -> Grant:
    found = _split_set(privileges)
    own = tuple(item for item in found if item != GRANT_OPTION)
    return Grant(holder, own, len(own) < len(found), kind, what, database, name)


# The same few sets of privileges come again and again, a hundred thousand times.
_SETS: dict[str, tuple[str, ...]] = {}


def _split_set(privileges: str) -> tuple[str, ...]:
    found = _SETS.get(privileges)
    if found is None:
        words = [word.replace("_", " ").upper() for word in privileges.split(",") if word]
        found = _SETS[privileges] = tuple(_NAMES.get(word, word) for word in words)
    return found


def _databases(columns: Sequence[str]) -> str:
    held = ", ".join(f"IF({name} = 'Y', '{name[: -len('_priv')]}', NULL)" for name in columns)
    return f"SELECT User, Host, Db, concat_ws(',', {held}) FROM mysql.db"  # noqa: S608  columns of the server


def _privileges(number: int, version: int) -> frozenset[str]:
    found = {name for bit, name in enumerate(PRIVILEGES) if number >> bit & 1}
    if version < _SPLIT and "SUPER" in found:
        found.update(_SPLIT_FROM_SUPER)
    return frozenset(found)


def _methods(value: Mapping[str, Any]) -> tuple[Method, ...]:
    first = Method(str(value.get("plugin") or _NATIVE[0]), str(value.get("authentication_string", "")))
    # An entry without a plugin stands for the one above.
    return tuple(
        Method(str(item["plugin"]), str(item.get("authentication_string", ""))) if "plugin" in item else first
        for item in value.get("auth_or", ({},))
    )
