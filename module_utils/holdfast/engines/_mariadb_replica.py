"""A MariaDB server as primary or replica of a pair: GTID replication, filled from the backups."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Callable

from ..errors import CommandFailed, HoldfastError, Refused, TargetNotReached
from ..model import Reached
from . import _mariadb_gtid as gtid
from . import _mariadb_pair as pair_file
from ._mariadb_admission import MariaDBMember
from ._mariadb_fill import Fill, Followed, filled_up_to, set_in_place
from ._mariadb_lost import save_lost
from .replication import ACCOUNT, Lost, Replayed, ReplicationState

log = logging.getLogger(__name__)

_STREAM_SECONDS = 60.0
# Numbers of errors.
_LOG_IS_GONE = "1236"  # the primary purged it, or does not have the position that is asked for
_OUT_OF_ORDER = "1950"  # what arrives was there before, in gtid_strict_mode
_OURS = ("system user", "holdfast")


class MariaDBReplication(MariaDBMember):
    """See the protocol."""

    def operations(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "stop": self.stop,
            "start": self.start,
            "restart": self.restart,
            "configure": self._configure,
            "set_in_place": lambda: set_in_place(self.instance, self.place().data_directory),
        }

    def has_server(self) -> bool:
        return os.path.isdir(os.path.join(self.place().data_directory, "mysql"))

    def state(self) -> ReplicationState:
        version, read_only = self.row("SELECT @@version, @@read_only")
        slave = self._slave()
        generation = self._generation()
        if not slave:
            attached = [str(row[1]) for row in self.rows("SHOW SLAVE HOSTS") if row[1]]
            position = self._position()
            return ReplicationState(
                "replica" if read_only else "primary",
                not read_only,
                generation,
                position,
                version.split("-")[0],
                problem="it follows nobody" if read_only else "",
                replicas=tuple(sorted(attached)),
            )
        streaming = slave["Slave_IO_Running"] == "Yes" and slave["Slave_SQL_Running"] == "Yes"
        idle = slave["Gtid_IO_Pos"] == self.row("SELECT @@gtid_slave_pos")[0]
        behind = 0 if idle else self._unapplied(slave)
        seconds = 0.0 if streaming and idle else float(slave["Seconds_Behind_Master"] or 0)
        return ReplicationState(
            "replica",
            not read_only,
            generation,
            str(self.row("SELECT @@gtid_slave_pos")[0]),
            version.split("-")[0],
            source=f"{slave['Master_Host']}:{slave['Master_Port']}",
            streaming=streaming,
            lag_bytes=behind if streaming else None,
            lag_seconds=seconds if streaming else max(seconds, self._quiet_seconds(slave)),
            problem="" if streaming else self._complaint(slave),
        )

    def fill(self) -> dict[str, Any]:
        fill, followed = Fill(self.instance, self), self._followed()
        backup, repository = fill.extract([self.peer.name, self.instance.name], followed)
        # A replica passes over what carries its own number, and what it wrote before it was filled is to come back.
        number = pair_file.new_server_id(self.instance)
        self._ask("configure", dict(self._wanted(read_only=True), server_id=number))
        self.close()
        self._ask("stop")
        previous = self._ask("set_in_place")
        self._ask("start")
        # Its own log begins here as well, so that others can follow it from the same backup on.
        self.adopt(Reached(backup.log_stop or ""))
        try:
            self._join()
        except CommandFailed:
            if _LOG_IS_GONE not in self.state().problem:
                raise
            log.info("%s lacks log after backup %s: replaying what the repositories hold", self.peer.name, backup.id)
            fill.replay_log(self.peer.name, self._position, backup.finished.timestamp(), followed.history)
            self._join()
        return {"backup": backup.id, "repository": repository.name, "previous": previous}

    def follow(self, *, position: str = "") -> bool:
        slave = self._slave()
        if not slave and not self.row("SELECT @@read_only")[0]:
            raise Refused("the server is a primary that takes writes", where=self.where)
        same = slave and (slave["Master_Host"], slave["Master_Port"]) == (self.peer.host, self.peer.port)
        if same and self.state().streaming:
            return False
        if position and self.row("SELECT @@gtid_binlog_pos")[0] != position:
            raise Refused(
                f"it went on to {self.row('SELECT @@gtid_binlog_pos')[0]} after its peer took over at {position}",
                where=self.where,
                remedy="playbooks/failback.yml saves what only it has",
            )
        # What it wrote itself while it was the primary counts as replayed.
        self._join()
        return True

    def demote(self) -> str:
        if self.peer.name not in self.state().replicas:
            raise Refused(f"{self.peer.name} is not attached", where=self.where, remedy="See its status")
        self._ask("configure", self._wanted(read_only=True))
        self._block_writes()
        position = str(self.row("SELECT @@gtid_binlog_pos")[0])
        time.sleep(0.2)
        if self.row("SELECT @@gtid_binlog_pos")[0] != position:
            raise CommandFailed(
                "it still takes writes, of an administrator to whom read_only does not apply",
                where=self.where,
                remedy="Stop what writes as an administrator, and try again",
            )
        return position

    def resume(self) -> None:
        self._ask("configure", self._wanted(read_only=False))
        self.execute("SET GLOBAL read_only = OFF")

    def catch_up(self, position: str, patience: float) -> None:
        (state,) = self.row("SELECT MASTER_GTID_WAIT(%s, %s)", (position, patience), patience=patience + 30)
        if state != 0:
            reached = self.row("SELECT @@gtid_slave_pos")[0]
            raise TargetNotReached(f"it has replayed up to {reached}, not {position}", where=self.where)

    def replay_saved(self, patience: float) -> Replayed:
        deadline = time.monotonic() + patience
        while True:
            slave = self._slave()
            if not slave or slave["Slave_SQL_Running"] != "Yes":
                raise TargetNotReached(f"it does not replay: {self._complaint(slave)}", where=self.where)
            if slave["Gtid_IO_Pos"] == self.row("SELECT @@gtid_slave_pos")[0] or "has read all relay log" in str(
                slave["Slave_SQL_Running_State"]
            ):
                break
            if time.monotonic() > deadline:
                raise TargetNotReached("it has not replayed all that it received", where=self.where)
            time.sleep(0.1)
        Fill(self.instance, self).replay_log(self.peer.name, self._position, time.time() - self._quiet_seconds(slave))
        return Replayed(self._position())

    def promote(self) -> None:
        self._ask("configure", self._wanted(read_only=False))
        if self._slave():
            self.execute("STOP ALL SLAVES")
            position = self._position()
            # The administrator may write where others may not; so a promotion that is cut short here can be repeated.
            self.execute(
                "INSERT INTO holdfast.promotion (instance, position) VALUES (%s, %s)", (self.instance.name, position)
            )
            self.execute("RESET SLAVE ALL")
        self.execute("SET GLOBAL read_only = OFF")
        self.write_marker()

    def fence(self) -> None:
        if self._root:
            self._ask("configure", self._wanted(read_only=True))
        else:
            pair_file.rewrite(self.instance, self._wanted(read_only=True))
        if self.place().running:
            self._block_writes()

    def rejoin(self) -> tuple[Lost | None, dict[str, Any]]:
        self._ask("configure", self._wanted(read_only=True))
        if not self.place().running:
            self._ask("start")
        self._block_writes()
        history, own = self._history_of_peer(), str(self.row("SELECT @@gtid_binlog_pos")[0])
        lost = None if gtid.contains(history, own) else save_lost(self, history)
        reason = "it has transactions of its own"
        if not lost:
            try:
                self.follow()
            except CommandFailed as error:
                reason = error.what
            else:
                return None, {"method": "its own transactions all arrived"}
        return lost, {"method": "rebuilt from a backup", "reason": reason, **self.fill()}

    def look_at(self) -> tuple[bool, int]:
        rows = self._ask_peer("SELECT @@read_only, (SELECT coalesce(max(id), 0) FROM holdfast.promotion)")
        return not rows[0][0], int(rows[0][1])

    def _position(self) -> str:
        """Everything that the server has, its own and what it replayed."""
        written, replayed, directory = self.row("SELECT @@gtid_binlog_pos, @@gtid_slave_pos, @@datadir")
        return gtid.farther(written or filled_up_to(directory), replayed)

    def _join(self) -> None:
        """Follow the peer from what this server has on."""
        self.execute("STOP ALL SLAVES")
        self.execute("SET GLOBAL gtid_slave_pos = %s", (self._position(),))
        self._change_master()
        self._await_stream()

    def _change_master(self) -> None:
        tls = self._ask_peer("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
        # The statement holds the password, and the general log would too.
        self.execute("SET SESSION sql_log_off = 1")
        self.execute(
            "CHANGE MASTER TO MASTER_HOST=%s, MASTER_PORT=%s, MASTER_USER=%s, MASTER_PASSWORD=%s,"
            " MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=5, MASTER_HEARTBEAT_PERIOD=5,"
            f" MASTER_SSL={1 if tls else 0}, MASTER_SSL_VERIFY_SERVER_CERT=0",
            (self.peer.host, self.peer.port, ACCOUNT, self.peer.password),
        )
        self.execute("START SLAVE")

    def _block_writes(self) -> None:
        self.execute("SET GLOBAL read_only = ON")
        for number, user in self.rows("SELECT id, user FROM information_schema.processlist WHERE command <> 'Daemon'"):
            mine = number == self.row("SELECT connection_id()")[0]
            if not mine and user not in ("system user", "event_scheduler", ACCOUNT):
                try:
                    self.execute(f"KILL {int(number)}")
                except HoldfastError:
                    continue  # it ended by itself

    def _await_stream(self) -> None:
        deadline = time.monotonic() + _STREAM_SECONDS
        while True:
            found = self.state()
            if found.streaming:
                return
            hopeless = _LOG_IS_GONE in found.problem or _OUT_OF_ORDER in found.problem
            if hopeless or time.monotonic() > deadline:
                raise CommandFailed(
                    f"no log arrives from {found.source}: {found.problem}",
                    where=self.where,
                    remedy=f"If {self.peer.name} lacks the log, back it up; playbooks/failback.yml makes this one anew",
                )
            time.sleep(0.2)

    def _slave(self) -> dict[str, Any]:
        with self._errors(), self._connect().cursor(import_module("pymysql.cursors").DictCursor) as cursor:
            cursor.execute("SHOW ALL SLAVES STATUS")
            rows = list(cursor.fetchall())
        return dict(rows[0]) if rows and rows[0]["Master_Host"] else {}

    def _complaint(self, slave: Mapping[str, Any]) -> str:
        if not slave:
            return "it follows nobody"
        parts = [f"{slave[f'Last_{kind}_Errno']}: {slave[f'Last_{kind}_Error']}" for kind in ("IO", "SQL")]
        return "; ".join(part for part in parts if not part.startswith("0:")) or "it receives no log from its primary"

    def _unapplied(self, slave: Mapping[str, Any]) -> int:
        if slave["Master_Log_File"] == slave["Relay_Master_Log_File"]:
            return max(0, int(slave["Read_Master_Log_Pos"]) - int(slave["Exec_Master_Log_Pos"]))
        return int(slave["Relay_Log_Space"])

    def _quiet_seconds(self, slave: Mapping[str, Any]) -> float:
        """Seconds since something was last received: the relay log is written then."""
        directory = str(self.row("SELECT @@datadir")[0])
        try:
            written = os.stat(os.path.join(directory, str(slave["Relay_Log_File"]))).st_mtime
        except OSError:
            marker = self.newest_marker()
            written = marker.written.timestamp() if marker else 0.0
        return max(0.0, time.time() - written)

    def _generation(self) -> int:
        return int(self.row("SELECT coalesce(max(id), 0) FROM holdfast.promotion")[0]) if self._has("promotion") else 0

    def _followed(self) -> Followed:
        (identity,) = self._ask_peer("SELECT id FROM holdfast.identity")[0]
        first = str(self._ask_peer("SHOW BINARY LOGS")[0][0])
        events = self._ask_peer(f"SHOW BINLOG EVENTS IN '{first}' LIMIT 4")
        begins = next((str(row[5]).strip("[]") for row in events if row[2] == "Gtid_list"), "")
        return Followed(str(identity), self._history_of_peer(), first, begins)

    def _history_of_peer(self) -> gtid.History:
        return gtid.history(str(self._ask_peer("SELECT @@gtid_binlog_state")[0][0] or ""))
