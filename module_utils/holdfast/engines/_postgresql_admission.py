"""How a PostgreSQL cluster lets the other member of its pair in, and how it reaches that one."""

from __future__ import annotations

import os
from typing import Any

from .. import files
from ..errors import RestartRequired, ServerUnavailable
from ..model import Instance
from ..owner import Ask
from ..tools.pgbackrest import PgBackRest
from ._postgresql_errors import driver
from ._postgresql_pair import REWIND_FUNCTIONS, fits, hba_with, scram_verifier, slot_name
from .postgresql import PostgreSQL
from .replication import ACCOUNT, Peer

_LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}
_SLOT_LIMIT = "16GB"  # log kept for a replica that is away; after that it catches up from the repository


class PostgreSQLMember(PostgreSQL):
    """A cluster with its peer, and with the means to have root do what it needs."""

    def __init__(self, instance: Instance, peer: Peer, ask: Ask | None) -> None:
        super().__init__(instance)
        self.peer = peer
        self._root = ask
        self.tool = PgBackRest(instance, self)

    @property
    def passfile(self) -> str:
        return os.path.join(self.instance.state_directory, "replication.pgpass")

    def prepare(self, *, change: bool, restart: bool) -> list[str]:
        found = self._prepare_account(change) + self._prepare_network(change)
        wrong = [item for item in self.settings(self._wanted()) if item.current != item.wanted]
        fresh = [item for item in wrong if not item.pending]
        found += [f"{item.name}: {item.current or 'empty'} becomes {item.wanted}" for item in fresh]
        waiting = [item.name for item in wrong if item.restart]
        if change:
            self.apply_settings(fresh)
            if waiting and not (restart or self.is_replica()):
                raise RestartRequired(
                    f"the server must be restarted to change {', '.join(waiting)}",
                    where=self.instance.name,
                    remedy="Name it in replication_restart_instances when it may be",
                )
            if waiting:
                self.close()
                self._ask("restart")
        return found + (["the server is restarted"] if waiting else [])

    def _connect_to(self) -> Any:
        psycopg2 = driver("psycopg2")
        try:
            connection = psycopg2.connect(
                host=self.peer.host,
                port=self.peer.port,
                user=ACCOUNT,
                password=self.peer.password,
                dbname="postgres",
                connect_timeout=5,
                application_name="holdfast",
            )
        except psycopg2.Error as error:
            raise ServerUnavailable(
                f"{self.peer.address} does not answer: {str(error).strip()}", where=self.peer.name
            ) from None
        connection.autocommit = True
        return connection

    def _ask(self, operation: str) -> Any:
        assert self._root
        return self._root(operation)

    def _wanted(self) -> dict[str, str]:
        wanted: dict[str, str] = {}
        rows = dict(
            self._rows(
                "SELECT name, setting FROM pg_settings WHERE name IN"
                " ('listen_addresses', 'data_checksums', 'wal_log_hints', 'max_slot_wal_keep_size')"
            )
        )
        if {part.strip() for part in rows["listen_addresses"].split(",")} <= _LOOPBACK:
            wanted["listen_addresses"] = "*"
        if rows["data_checksums"] != "on" and rows["wal_log_hints"] != "on":
            wanted["wal_log_hints"] = "on"  # or pg_rewind refuses
        if rows.get("max_slot_wal_keep_size") == "-1":
            wanted["max_slot_wal_keep_size"] = self.instance.options.get("replication_slot_limit", _SLOT_LIMIT)
        return wanted

    def _prepare_account(self, change: bool) -> list[str]:
        if self.is_replica():
            return []
        found = []
        rows = self._rows("SELECT rolpassword, rolreplication FROM pg_authid WHERE rolname = %s", (ACCOUNT,))
        if not rows or not rows[0][1] or not fits(self.peer.password, rows[0][0] or ""):
            found.append(f"account {ACCOUNT}: {'gets this password' if rows else 'is created'}")
        if change and found:
            sql = driver("psycopg2.sql")
            # The statement must reach no log, even though it holds no password but what proves one.
            self._execute("SET log_statement = 'none'; SET log_min_duration_statement = -1")
            if not rows:
                self._execute(f"CREATE ROLE {ACCOUNT}")
            verifier = sql.Literal(scram_verifier(self.peer.password))
            self._execute(
                sql.SQL("ALTER ROLE {} LOGIN REPLICATION PASSWORD {}").format(sql.Identifier(ACCOUNT), verifier)
            )
            self.close()
            for function in REWIND_FUNCTIONS:
                self._execute(f"GRANT EXECUTE ON FUNCTION {function} TO {ACCOUNT}")
        if not self._rows("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (slot_name(self.peer.name),)):
            found.append(f"replication slot {slot_name(self.peer.name)} is created")
            if change:
                self._ensure_slot()
        return found

    def _prepare_network(self, change: bool) -> list[str]:
        path, ssl = self._row("SELECT current_setting('hba_file'), current_setting('ssl')")
        text = files.read(path) or ""
        wanted = hba_with(text, "hostssl" if ssl == "on" else "host", ACCOUNT)
        if text == wanted:
            return []
        if change:
            # Onto the file that is there, whose owner and mode are the administrator's.
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(wanted)
            self._execute("SELECT pg_reload_conf()")
        return [f"{path}: lets {ACCOUNT} in"]

    def _ensure_slot(self) -> None:
        name = slot_name(self.peer.name)
        if not self._rows("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (name,)):
            self._row("SELECT pg_create_physical_replication_slot(%s, true)", (name,))

    def _conninfo(self) -> str:
        connection = self._connect_to()
        # Over TLS the password proves the server as well as the client, whoever signed the certificate.
        tls = "sslmode=require channel_binding=require" if connection.info.ssl_in_use else "sslmode=disable"
        connection.close()
        return (
            f"host={self.peer.host} port={self.peer.port} user={ACCOUNT} passfile={self.passfile}"
            f" application_name={self.instance.name} connect_timeout=5 {tls}"
        )

    def _write_passfile(self) -> bool:
        password = self.peer.password.replace("\\", "\\\\").replace(":", "\\:")
        line = f"{self.peer.host}:{self.peer.port}:*:{ACCOUNT}:{password}\n"
        if files.read(self.passfile) == line:
            return False
        with open(
            os.open(self.passfile, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as stream:
            stream.write(line)
        return True
