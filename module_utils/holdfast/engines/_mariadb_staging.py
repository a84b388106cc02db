"""A MariaDB server that is restored beside the live one, examined, and then takes its place."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress

from .. import process
from ..errors import CommandFailed, InvalidInput
from ..model import Place
from . import _mariadb_pair as pair_file
from ._mariadb_history import write_note
from ._mariadb_scratch import MariaDBScratch, last_failure, read

# What mariadb-backup leaves beside the data; the files of its own names are those before and since MariaDB 11.1.
_LEFT_BY_BACKUP = ("xtrabackup_", "mariadb_backup_")
_SETTINGS_OF_BACKUP = "backup-my.cnf"
UNSEEN = "#sql-holdfast"  # the server takes every other directory in its data for a database
_MODE = 0o755  # of a data directory, as Debian's packages make it


class MariaDBStaging(MariaDBScratch):
    """See the protocol. ``newest_log_number`` is set by the tool that restores into it."""

    newest_log_number = 0

    def release(self, settings: Mapping[str, str]) -> None:
        """See the protocol: none of the settings is in the data.

        Raises CommandFailed when the server does not stop in order.
        """
        del settings
        if self._engine:
            self._engine.close()
        self._shut_down()
        self._stack.close()
        for name in os.listdir(self.data_directory):
            if name.startswith(_LEFT_BY_BACKUP) or name == _SETTINGS_OF_BACKUP:
                os.unlink(os.path.join(self.data_directory, name))
        mode = _MODE
        with suppress(OSError):
            mode = os.stat(self._live or "").st_mode & 0o7777
        os.chmod(self.data_directory, mode)
        write_note(self.instance.state_directory, self.newest_log_number)
        pair_file.renumber(self.instance)

    def _check_place(self) -> None:
        room = Place(os.path.realpath(self._live or ""), None, False, UNSEEN).room(self.instance.name)
        if not self._live or os.path.realpath(self.directory) != os.path.join(room, "restore"):
            raise InvalidInput(f"a staging server belongs into {room}", where=self.directory)

    def _shut_down(self) -> None:
        pid = self._pid()
        if pid is None:
            raise CommandFailed(
                f"the staging server ended before it was stopped: {last_failure(read(self.log_file))}",
                where=self.directory,
            )
        os.kill(pid, signal.SIGTERM)
        while process.runs(pid):
            time.sleep(0.05)
        if os.path.exists(self.pid_file):
            raise CommandFailed(
                f"the staging server did not stop in order: {last_failure(read(self.log_file))}",
                where=self.directory,
            )
