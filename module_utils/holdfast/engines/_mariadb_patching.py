"""A MariaDB server that is stopped and started around new packages."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..errors import HoldfastError, ServerUnavailable
from ..model import Instance
from ..owner import run_as_owner
from ..process import require, run
from .mariadb import MariaDB
from .patching import Drained

_TOOLS = ("mariadb-backup", "python3-pymysql", "restic", "zstd")
_LONG = """
    SELECT trx_mysql_thread_id, coalesce(p.user, '?'), coalesce(p.db, ''), t.trx_started
      FROM information_schema.innodb_trx t LEFT JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
     WHERE t.trx_mysql_thread_id NOT IN (0, connection_id()) AND t.trx_started < now() - INTERVAL %s SECOND
       AND coalesce(p.user, '') <> 'system user' ORDER BY t.trx_started
"""
_SESSIONS = """
    SELECT p.id, p.command = 'Sleep' AND t.trx_mysql_thread_id IS NULL
      FROM information_schema.processlist p
      LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id
     WHERE p.id <> connection_id() AND p.user NOT IN ('system user', 'event_scheduler')
       AND p.command NOT IN ('Daemon', 'Binlog Dump')
"""
# Run for every new session but those of administrators; one that fails ends the session.
_NOBODY = "SIGNAL SQLSTATE '08004' SET MESSAGE_TEXT = 'The server is about to be restarted'"
_POLL_SECONDS = 0.1


class MariaDBPatching:
    """See the protocol."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.engine = MariaDB(instance)

    def executable(self) -> str:
        return require("mariadbd")

    def packages(self) -> Sequence[str]:
        return _TOOLS

    def long_transactions(self, seconds: float) -> Sequence[str]:
        rows = self.engine.rows(_LONG, (seconds,))
        return [
            f"thread {thread} of {user}{f' in {base}' if base else ''}, open since {since}Z"
            for thread, user, base, since in rows
        ]

    def drain(self, patience: float) -> Drained:
        """New sessions fail with their first statement; the setting is gone with the process."""
        idle, deadline = 0, time.monotonic() + patience
        if not self.engine.row("SELECT @@GLOBAL.init_connect")[0]:
            self.engine.execute("SET GLOBAL init_connect = %s", (_NOBODY,))
        while True:
            sessions = self.engine.rows(_SESSIONS)
            for number, rests in sessions:
                if rests:
                    idle += self._end(number)
            left = sum(not rests for _, rests in sessions)
            if not left or time.monotonic() > deadline:
                return Drained(idle, left)
            time.sleep(_POLL_SECONDS)

    def undrain(self) -> None:
        if self.engine.row("SELECT @@GLOBAL.init_connect")[0] == _NOBODY:
            self.engine.execute("SET GLOBAL init_connect = ''")

    def stop(self) -> None:
        self.engine.stop()

    def start(self, patience: float) -> None:
        place = self.engine.place()
        if place.service is None:
            raise ServerUnavailable("no systemd service is known for this server", where=self.engine.where)
        run(["systemctl", "reset-failed", place.service])
        run(["systemctl", "start", place.service]).check()
        run_as_owner(self.instance, lambda: self._await(patience))

    def _end(self, number: int) -> int:
        try:
            self.engine.execute(f"KILL CONNECTION {int(number)}")
        except HoldfastError:
            return 0  # it went by itself
        return 1

    def _await(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                self.engine.row("SELECT 1")
            except HoldfastError:
                if time.monotonic() > deadline:
                    raise ServerUnavailable(
                        f"the server does not answer {patience:.0f} s after its start", where=self.engine.where
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                return
