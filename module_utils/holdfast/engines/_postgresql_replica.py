"""A PostgreSQL cluster as primary or standby of a pair: streaming through a slot, filled from the backups."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Callable

from .. import files, process
from ..errors import CommandFailed, Refused, ServerUnavailable, TargetNotReached
from ..tools._pgbackrest_standby import restore_standby
from . import _postgresql_wal as wal
from ._postgresql_admission import PostgreSQLMember
from ._postgresql_pair import (
    needed_settings,
    slot_name,
    with_settings,
)
from ._postgresql_programs import program
from ._postgresql_rewind import Rewind
from ._postgresql_service import cluster_on_port, create_cluster
from .replication import Lost, Replayed, ReplicationState

_STREAM_SECONDS = 120.0
_PROMOTE_SECONDS = 50
_STATE = """
    SELECT pg_is_in_recovery(), current_setting('server_version'),
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text,
           CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END,
           w.sender_host, w.sender_port, w.status,
           pg_wal_lsn_diff(greatest(w.latest_end_lsn, w.flushed_lsn), pg_last_wal_replay_lsn())::bigint,
           extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float,
           ARRAY(SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1)
      FROM (SELECT 1) one LEFT JOIN pg_stat_wal_receiver w ON true
"""


class PostgreSQLReplication(PostgreSQLMember):
    """See the protocol."""

    def operations(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "stop": self.stop,
            "start": self.start,
            "restart": self.restart,
            "create": partial(create_cluster, self.instance, self.peer.version),
            "configure": lambda: files.write(self.tool.configuration(self.place().data_directory)),
        }

    def has_server(self) -> bool:
        return cluster_on_port(self.instance.port) is not None

    def state(self) -> ReplicationState:
        replica, version, position, timeline, host, port, status, behind, age, attached = self._row(_STATE)
        streaming = status == "streaming"
        if not replica:
            return ReplicationState(
                "primary", True, timeline, position, version.split()[0], replicas=tuple(attached or ())
            )
        behind = max(0, int(behind)) if streaming and behind is not None else None
        return ReplicationState(
            "replica",
            False,
            timeline,
            position or "0/0",
            version.split()[0],
            source=self._configured_source() or (f"{host}:{port}" if host else None),
            streaming=streaming,
            lag_bytes=behind,
            lag_seconds=0.0 if streaming and not behind else age,
            problem="" if streaming else "it receives no log from its primary",
        )

    def fill(self) -> dict[str, Any]:
        repository, backup = self._newest_backup()
        created = not self.has_server()
        if created:
            self._ask("create")
        place = self.place()
        self._ask("configure")
        self.close()
        self._ask("stop")
        previous = self._set_aside(place.data_directory, keep=not created)
        self._write_passfile()
        recovery = {**self._recovery_settings(), "restore_command": self._restore_command()}
        restore_standby(self.tool, backup, repository, place.data_directory, recovery)
        self._write_settings(place.data_directory, needed_settings(self._control_data(place.data_directory)))
        return {"backup": backup.id, "repository": repository.name, "previous": previous}

    def follow(self, *, position: str = "") -> bool:
        directory = self.place().data_directory
        written = self._write_passfile()
        wanted = {**self._recovery_settings(), "restore_command": self._restore_command()}
        if self._answers():
            if not self.is_replica():
                raise Refused("the server is a primary that takes writes", where=self.where)
            wrong = [item for item in self.settings(wanted) if item.current != item.wanted]
            self.apply_settings(wrong)
            changed = bool(wrong) or written
        else:
            if position:
                self._check_end(directory, position)
            self._write_settings(directory, wanted)
            self._signal(directory)
            self._ask("start")
            changed = True
        self._await_stream()
        return changed

    def demote(self) -> str:
        if self.peer.name not in self.state().replicas:
            raise Refused(f"{self.peer.name} is not attached", where=self.where, remedy="See its status")
        directory = self.place().data_directory
        self._execute("CHECKPOINT")
        self.close()
        # The server sends everything to the standby before it ends.
        self._ask("stop")
        self._signal(directory)
        return self._shutdown_position(directory)

    def resume(self) -> None:
        directory = self.place().data_directory
        if self._answers() and not self.is_replica():
            return
        self.close()
        self._ask("stop")
        os.unlink(os.path.join(directory, "standby.signal"))
        self._ask("start")

    def catch_up(self, position: str, patience: float) -> None:
        deadline = time.monotonic() + patience
        query = "SELECT pg_last_wal_replay_lsn()::text, pg_wal_lsn_diff(pg_last_wal_replay_lsn(), %s) > 0"
        while True:
            reached, there = self._row(query, (position,))
            if there:
                return
            if time.monotonic() > deadline:
                raise TargetNotReached(f"it has replayed up to {reached}, not past {position}", where=self.where)
            time.sleep(0.05)

    def replay_saved(self, patience: float) -> Replayed:
        size = self.segment_size()
        newest = [self.tool.newest_log(item) for item in self.instance.repositories if self.tool.backups(item)]
        goal = max((wal.end(name, size) for name in newest if name), default=0)
        deadline = time.monotonic() + patience
        last, since = "", time.monotonic()
        while True:
            reached = str(self._row("SELECT coalesce(pg_last_wal_replay_lsn(), '0/0')::text")[0])
            if reached != last:
                last, since = reached, time.monotonic()
            received = str(self._row("SELECT coalesce(pg_last_wal_receive_lsn(), '0/0')::text")[0])
            behind = max(goal, wal.parse_lsn(received)) - wal.parse_lsn(reached)
            # The end of a segment that was closed early is padding, which is not replayed.
            if behind <= 0 or (behind < size and time.monotonic() - since > 3):
                return Replayed(reached)
            if time.monotonic() > deadline or time.monotonic() - since > patience / 2:
                return Replayed(reached, behind)
            time.sleep(0.1)

    def promote(self) -> None:
        if self.is_replica():
            (done,) = self._row("SELECT pg_promote(true, %s)", (_PROMOTE_SECONDS,))
            if not done and self.is_replica():
                raise CommandFailed("the server did not end its recovery in time", where=self.where)
        self._ensure_slot()
        for name in ("primary_conninfo", "primary_slot_name"):
            self._execute(f"ALTER SYSTEM RESET {name}")
        self._execute("SELECT pg_reload_conf()")
        self.write_marker()
        # pg_rewind of the other member finds the new timeline in the control file only after this.
        self._execute("CHECKPOINT")

    def fence(self) -> None:
        directory = self.place().data_directory
        self._signal(directory)
        if not self._answers() or self.is_replica():
            return
        if self._root:
            self.close()
            self._ask("stop")
            return
        (pid,) = self._row("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
        self.close()
        os.kill(int(pid), 2)  # SIGINT: sessions end, changes are flushed

    def rejoin(self) -> tuple[Lost | None, dict[str, Any]]:
        place = self.place()
        if place.running:
            if self._answers() and not self.is_replica():
                self._execute("CHECKPOINT")
            self.close()
            self._ask("stop")
        self._write_passfile()
        self._write_settings(place.data_directory, {"restore_command": self._restore_command()})
        source = f"{self._conninfo()} dbname=postgres"
        rewind = Rewind(self.instance, place.data_directory, self._major(place.data_directory), source)
        lost: Lost | None = None
        how: dict[str, Any] = {}
        try:
            lost = rewind.save_lost()
            how["method"] = "pg_rewind" if rewind.run() else "none needed"
        except CommandFailed as error:
            how = {"method": "rebuilt from a backup", "reason": error.what, **self.fill()}
        self.follow()
        return lost, how

    def look_at(self) -> tuple[bool, int]:
        connection = self._connect_to()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_is_in_recovery()")
                if cursor.fetchone()[0]:
                    return False, 0
                cursor.execute("SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int")
                return True, int(cursor.fetchone()[0])
        finally:
            connection.close()

    def _newest_backup(self) -> Any:
        found = [(home, item) for home in self.instance.repositories for item in self.tool.backups(home)]
        usable = [entry for entry in found if not entry[1].error]
        if usable:
            return max(usable, key=lambda entry: entry[1].finished)
        raise Refused(
            f"no repository of {self.instance.name} holds a backup of {self.tool.stanza}",
            where=self.instance.name,
            remedy="Give both a repository in common, and take a backup into it: playbooks/backup.yml -e type=archive",
        )

    def _set_aside(self, directory: str, *, keep: bool) -> str | None:
        previous = f"{directory}.before-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
        os.rename(directory, previous)
        os.mkdir(directory, 0o700)
        if keep:
            return previous
        process.run(["rm", "-r", previous]).check()
        return None

    def _recovery_settings(self) -> dict[str, str]:
        return {
            "primary_conninfo": self._conninfo(),
            "primary_slot_name": slot_name(self.instance.name),
            "wal_receiver_timeout": "20s",  # or a primary that is cut off counts as streaming for a minute
        }

    def _restore_command(self) -> str:
        return f'pgbackrest --stanza={self.tool.stanza} archive-get %f "%p"'

    def _write_settings(self, directory: str, settings: Mapping[str, str]) -> None:
        path = os.path.join(directory, "postgresql.auto.conf")
        content = with_settings(files.read(path) or "", settings)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(content)

    def _signal(self, directory: str) -> None:
        os.close(os.open(os.path.join(directory, "standby.signal"), os.O_WRONLY | os.O_CREAT, 0o600))

    def _configured_source(self) -> str | None:
        text = str(self._row("SELECT current_setting('primary_conninfo')")[0])
        values = dict(re.findall(r"(host|port)=(\S+)", text))
        return f"{values['host']}:{values['port']}" if len(values) == 2 else None

    def _answers(self) -> bool:
        try:
            self._row("SELECT 1")
        except ServerUnavailable:
            return False
        return True

    def _await_stream(self) -> None:
        deadline = time.monotonic() + _STREAM_SECONDS
        while not self.state().streaming:
            if time.monotonic() > deadline:
                self._connect_to().close()
                raise CommandFailed(
                    f"no log arrives from {self.peer.address} after {_STREAM_SECONDS:.0f} s",
                    where=self.where,
                    remedy="The server's log says why; playbooks/failback.yml brings back one that went its own way",
                )
            time.sleep(0.2)

    def _major(self, directory: str) -> str:
        return (files.read(os.path.join(directory, "PG_VERSION")) or "").strip()

    def _control_data(self, directory: str) -> str:
        return process.run([program("pg_controldata", self._major(directory)), "-D", directory]).check().stdout

    def _shutdown_position(self, directory: str) -> str:
        values = dict(line.split(":", 1) for line in self._control_data(directory).splitlines() if ":" in line)
        state = values["Database cluster state"].strip()
        if state != "shut down":
            raise CommandFailed(f"the server did not shut down in order: {state}", where=self.where)
        return values["Latest checkpoint location"].strip()

    def _check_end(self, directory: str, position: str) -> None:
        found = self._shutdown_position(directory)
        if found != position:
            raise Refused(
                f"it went on to {found} after its peer took over at {position}",
                where=self.where,
                remedy="playbooks/failback.yml saves what only it has",
            )
