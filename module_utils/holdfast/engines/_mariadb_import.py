"""Taking over the file of a table as it is, where that loses nothing and saves time."""

from __future__ import annotations

import logging
import os
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import HoldfastError
from ._mariadb_connection import quoted
from ._mariadb_move import Place

if TYPE_CHECKING:
    from .mariadb import MariaDB

log = logging.getLogger(__name__)

# A second's worth of rows (docs/runbooks/rescue.md).
LEAST_BYTES = 16 << 20
# Any other is written otherwise in the name of its file.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+\Z")
# Indexes and generated values that are not all in the file, tables of several files, files that only their own server
# can read.
_UNFIT = re.compile(
    r"^\s+(?:FULLTEXT|SPATIAL) |\bGENERATED ALWAYS AS\b|\bPARTITION BY\b|\bENCRYPTED\b|\bDIRECTORY=", re.MULTILINE
)
_SETTINGS = """
    SHOW GLOBAL VARIABLES
    WHERE variable_name IN ('log_bin', 'wsrep_on', 'innodb_page_size', 'innodb_default_row_format')
"""
_TABLE = """
    SELECT engine, table_type, lower(row_format) FROM information_schema.tables
     WHERE table_schema = %s AND table_name = %s
"""
_FORMAT = re.compile(r"\bROW_FORMAT=")


def saves_time(source: MariaDB, place: Place, size: int, target: MariaDB) -> bool:
    """Whether a table's file can be taken over by the other server, and is large enough to be worth it.

    What is taken over is in no binary log: neither the log backups nor a replica would have it. So it is done only
    where the log is off and there is no cluster.
    """
    if size < LEAST_BYTES or not all(_PLAIN_NAME.match(name) for name in place):
        return False
    theirs, ours = (dict(engine.rows(_SETTINGS)) for engine in (target, source))
    if theirs["log_bin"] != "OFF" or theirs.get("wsrep_on", "OFF") != "OFF":
        return False
    kind, type_, _ = source.row(_TABLE, place)
    return (
        (kind, type_) == ("InnoDB", "BASE TABLE")
        and theirs["innodb_page_size"] == ours["innodb_page_size"]
        and not _UNFIT.search(_definition(source, place))
    )


def take_over(source: MariaDB, place: Place, target: MariaDB) -> bool:
    """Make the table on the other server out of a copy of its file; False, with nothing left of it, when it refuses.

    Whoever interrupts it removes what it has made.
    """
    definition, table = _definition(source, place), quoted(*place)
    form = source.row(_TABLE, place)[2]
    if not _FORMAT.search(definition) and form != dict(target.rows(_SETTINGS))["innodb_default_row_format"]:
        definition += f" ROW_FORMAT={form}"
    files = [(_file(source, place, end), _file(target, place, end)) for end in ("ibd", "cfg")]
    try:
        source.rows(f"FLUSH TABLES {table} FOR EXPORT", patience=None)
        try:
            target.rows(definition, database=place[0])
            target.execute(f"ALTER TABLE {table} DISCARD TABLESPACE")
            for mine, its in files:
                shutil.copyfile(mine, its)
                os.chmod(its, 0o660)
        finally:
            source.execute("UNLOCK TABLES")
        target.rows(f"ALTER TABLE {table} IMPORT TABLESPACE", patience=None)
    except (HoldfastError, OSError) as error:
        target.execute(f"DROP TABLE IF EXISTS {table}")
        log.warning("the file of %s cannot be taken over, its rows are loaded: %s", ".".join(place), error)
        return False
    finally:
        for _, its in files[1:]:
            with suppress(OSError):
                os.unlink(its)
    log.info("took over the file of %s", ".".join(place))
    return True


def _definition(engine: MariaDB, place: Place) -> str:
    return str(engine.row(f"SHOW CREATE TABLE {quoted(*place)}")[1])


def _file(engine: MariaDB, place: Place, end: str) -> str:
    directory = str(engine.row("SELECT @@datadir")[0])
    return os.path.join(directory, place[0], f"{place[1]}.{end}")
