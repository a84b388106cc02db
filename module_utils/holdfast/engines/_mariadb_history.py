"""How a restored server's log goes on: with file numbers that no file before the restore had or will have."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..errors import CommandFailed
from ..model import Reached
from ..units import format_instant, parse_instant, utcnow
from . import _binlog as binlog

if TYPE_CHECKING:
    from .mariadb import MariaDB

_NOTE = "restored.json"
_ATTEMPTS = 20  # a client may write between two statements
_GTID_LIST = re.compile(r"^\d+-\d+-\d+(,\d+-\d+-\d+)*$")


@dataclass(frozen=True)
class Note:
    """That the data of an instance were put back: backups from before are no base for incremental ones.

    ``log_number`` is the highest of the log files that the repository held.
    """

    when: datetime
    log_number: int


def write_note(state_directory: str, log_number: int) -> None:
    """Remember that the data of the instance are about to be replaced."""
    path = os.path.join(state_directory, _NOTE)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump({"when": format_instant(utcnow()), "log_number": log_number}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".new", path)


def read_note(state_directory: str) -> Note | None:
    """What :func:`write_note` wrote last; None for an instance that was never restored."""
    try:
        with open(os.path.join(state_directory, _NOTE), encoding="utf-8") as stream:
            raw = json.load(stream)
        when = parse_instant(raw["when"])
        return Note(when, int(raw["log_number"])) if when else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def begin(engine: MariaDB, reached: Reached) -> None:
    """Begin the log anew on a restored server, after a gap in the file numbers, with the GTIDs of what was reached.

    Log files outside the data directory, which the restore did not replace, stay under other names. Does nothing on a
    server without binary log.
    """
    place = engine.log_directory()
    if place is None:
        return
    directory, base = place
    names = binlog.names_of(os.listdir(directory), base)
    note = read_note(engine.instance.state_directory)
    numbers = [binlog.split_name(name)[1] for name in names]
    numbers += [note.log_number if note else 0, number_in(reached.position)]
    first = binlog.first_of_next_history(max(numbers))
    data_directory = os.path.realpath(str(engine.row("SELECT @@datadir")[0]))
    if os.path.commonpath([data_directory, os.path.realpath(directory)]) != data_directory:
        _keep(directory, names)
    _begin(engine, directory, f"{base}.{first - 1:06d}", f"{base}.{first:06d}", gtids_in(reached.position))


def number_in(position: str) -> int:
    """The number of the log file in a position; 0 when it names none."""
    try:
        return binlog.split_name(binlog.parse_position(position)[0])[1]
    except ValueError:
        return 0


def gtids_in(position: str) -> str:
    """The GTIDs in a position, separated by commas; empty when it names none."""
    found = position.rpartition(" ")[2]
    return found if _GTID_LIST.match(found) else ""


def _keep(directory: str, names: list[str]) -> None:
    aside = os.path.join(directory, f"before-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}")
    os.makedirs(aside, mode=0o750, exist_ok=True)
    for name in names:
        os.link(os.path.join(directory, name), os.path.join(aside, name))


def _begin(engine: MariaDB, directory: str, before: str, first: str, gtids: str) -> None:
    # Setting the GTIDs begins the log once more, under the number after the highest in the directory.
    placeholder = os.path.join(directory, before)
    os.close(os.open(placeholder, os.O_WRONLY | os.O_CREAT, 0o640))
    try:
        for attempt in range(_ATTEMPTS):
            engine.execute("RESET MASTER")
            try:
                engine.execute("SET GLOBAL gtid_binlog_state = %s", (gtids,))
                break
            except CommandFailed:
                if attempt + 1 == _ATTEMPTS:
                    raise
    finally:
        os.unlink(placeholder)
    names = engine.log_names()
    if not names or binlog.split_name(names[0])[1] != binlog.split_name(first)[1]:
        raise CommandFailed(
            f"the log goes on with {', '.join(names) or 'nothing'} and not with {first}",
            where=engine.where,
            remedy="Take a full backup now and look at the server's error log",
        )
