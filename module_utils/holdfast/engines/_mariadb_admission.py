"""How a MariaDB server lets the other member of its pair in, and how it reaches that one."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .. import files
from ..errors import RestartRequired, ServerUnavailable
from ..model import Instance
from ..owner import Ask
from . import _mariadb_gtid as gtid
from . import _mariadb_pair as pair_file
from .mariadb import MariaDB
from .replication import ACCOUNT, Peer

_AT_START = ("bind_address", "log_bin", "log_slave_updates", "report_host")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PROMOTIONS = (
    "CREATE TABLE IF NOT EXISTS holdfast.promotion (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
    " instance VARCHAR(64) NOT NULL, position TEXT NOT NULL, since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6))"
    " ENGINE=InnoDB COMMENT 'Which instance became primary when, and what it had replayed by then'"
)


class MariaDBMember(MariaDB):
    """A MariaDB server with its peer, and with the means to have root do what it needs."""

    def __init__(self, instance: Instance, peer: Peer, ask: Ask | None) -> None:
        super().__init__(instance)
        self.peer = peer
        self._root = ask

    def prepare(self, *, change: bool, restart: bool) -> list[str]:
        replica = self.is_replica()
        found = [] if replica else self._prepare_account(change)
        wanted = self._wanted(read_only=replica)
        current = {name: gtid.shown(self.row(f"SELECT @@GLOBAL.{name}")[0]) for name in wanted}
        if current.get("log_bin") == "1":
            current["log_bin"] = wanted["log_bin"]
        wrong = {name: value for name, value in wanted.items() if not gtid.same(current[name], value)}
        path = pair_file.path(self.instance)
        if files.read(path) != pair_file.render(wanted):
            found.append(f"{path} is written")
            if change:
                self._ask("configure", wanted)
        found += [f"{name}: {current[name] or 'empty'} becomes {value}" for name, value in wrong.items()]
        if change:
            for name in ("server_id", "gtid_strict_mode", "slave_net_timeout", "binlog_expire_logs_seconds"):
                if name in wrong:
                    self.execute(f"SET GLOBAL {name} = {wrong[name]}")
        waiting = [name for name in wrong if name in _AT_START]
        if not waiting:
            return found
        if change and not (restart or replica):
            raise RestartRequired(
                f"the server must be restarted to change {', '.join(waiting)}",
                where=self.instance.name,
                remedy="Name it in replication_restart_instances when it may be",
            )
        if change:
            self.close()
            self._ask("restart")
        return [*found, "the server is restarted"]

    def _ask(self, operation: str, *arguments: Any) -> Any:
        assert self._root
        return self._root(operation, *arguments)

    def _wanted(self, *, read_only: bool) -> dict[str, str]:
        number = zlib.crc32(self.instance.name.encode()) | 1
        written = pair_file.read(self.instance)
        try:
            address, own_id, logged = self.row("SELECT @@bind_address, @@server_id, @@log_bin")
        except ServerUnavailable:
            address, own_id, logged = "127.0.0.1", int(written.get("server_id", 1)), 0
        wanted = {
            "server_id": str(own_id if own_id != 1 else number),
            "log_slave_updates": "ON",
            "gtid_strict_mode": "ON",
            "slave_net_timeout": "20",  # or a primary that is cut off counts as streaming for a minute
            "report_host": self.instance.name,
            "read_only": "ON" if read_only else "OFF",
        }
        if (address or "") in _LOOPBACK or "bind_address" in written:
            wanted["bind_address"] = "*"
        if not logged or "log_bin" in written:
            # Where no log is backed up nobody else switched it on, nor says when it may go.
            wanted.update(log_bin="mysql-bin", binlog_expire_logs_seconds="864000")
        return wanted

    def _configure(self, wanted: Mapping[str, str]) -> None:
        owner = self.instance.os_user
        files.write(files.File(pair_file.path(self.instance), pair_file.render(wanted), 0o644, owner, owner))

    def _prepare_account(self, change: bool) -> list[str]:
        stored = self.rows(
            "SELECT json_value(Priv, '$.authentication_string') FROM mysql.global_priv WHERE User = %s AND Host = '%%'",
            (ACCOUNT,),
        )
        inner = hashlib.sha1(self.peer.password.encode()).digest()  # noqa: S324  the server's own form
        proof = "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324
        found = []
        if not stored or stored[0][0] != proof:
            found.append(f"account {ACCOUNT}: {'gets this password' if stored else 'is created'}")
        if not self._has("promotion"):
            found.append("table of promotions is created")
        if change and found:
            self.ensure_marker()
            self.execute(_PROMOTIONS)
            tls = "REQUIRE SSL" if self.row("SELECT @@have_ssl")[0] == "YES" else "REQUIRE NONE"
            verb = "ALTER" if stored else "CREATE"
            self.execute(f"{verb} USER {ACCOUNT}@'%%' IDENTIFIED VIA mysql_native_password USING %s {tls}", (proof,))
            self.execute(f"GRANT REPLICATION SLAVE, REPLICATION MASTER ADMIN, BINLOG MONITOR ON *.* TO {ACCOUNT}@'%'")
            self.execute(f"GRANT SELECT ON holdfast.* TO {ACCOUNT}@'%'")
        return found

    def _ask_peer(self, statement: str) -> list[tuple[Any, ...]]:
        pymysql = self._driver()
        context = import_module("ssl").create_default_context()
        context.check_hostname = False
        context.verify_mode = 0
        last: Exception | None = None
        for options in ({"ssl": context}, {}):
            try:
                connection = pymysql.connect(
                    host=self.peer.host,
                    port=self.peer.port,
                    user=ACCOUNT,
                    password=self.peer.password,
                    connect_timeout=5,
                    **options,
                )
            except (pymysql.MySQLError, OSError) as error:
                last = error
                continue
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        raise ServerUnavailable(f"{self.peer.address} does not answer: {last}", where=self.peer.name)
