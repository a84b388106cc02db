"""Transactions that only a server that lost its role has, saved as statements before they are discarded."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from .. import process
from . import _mariadb_gtid as gtid
from .replication import Lost

if TYPE_CHECKING:
    from .mariadb import MariaDB

_TRANSACTION = re.compile(r"^#.*\bGTID \d+-\d+-\d+", re.MULTILINE)


def save_lost(engine: MariaDB, history: gtid.History) -> Lost:
    """Write what the binary log has and the history of another server has not into two files: to read, and to replay.

    Raises Unsupported for an encrypted log.
    """
    place = engine.log_directory()
    assert place is not None
    paths = [os.path.join(place[0], name) for name in engine.log_names()]
    fork = gtid.last_shared(paths, history)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    directory = os.path.join(engine.instance.state_directory, f"lost-{stamp}")
    os.makedirs(directory, mode=0o700)
    start = [f"--start-position={fork}"] if fork else []
    reader = ["mariadb-binlog", "--no-defaults", *start]
    for name, options in (("readable.sql", ["--base64-output=decode-rows", "--verbose"]), ("replay.sql", [])):
        path = os.path.join(directory, name)
        with open(path, "wb") as output, process.start([*reader, *options, *paths], stdout=output) as running:
            said = process.StderrReader(running)
            process.Result(reader, running.wait(), "", said.text()).check()
    path = os.path.join(directory, "replay.sql")
    with open(path, encoding="utf-8", errors="replace") as stream:
        transactions = sum(1 for line in stream if _TRANSACTION.match(line))
    return Lost(transactions, os.path.getsize(path), fork, directory)
