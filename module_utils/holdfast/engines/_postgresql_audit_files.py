"""Files of a PostgreSQL server as the owner of its data sees them, and what their modes should not be."""

from __future__ import annotations

import glob
import os
import pwd
import stat
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Callable

from ..errors import HoldfastError, Unsupported
from ._postgresql_audit_sql import reading
from ._postgresql_session import Session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_FILES = """
    SELECT s.setting FROM pg_settings s WHERE s.name IN ('config_file', 'hba_file', 'ident_file') AND s.setting <> ''
    UNION SELECT DISTINCT f.sourcefile FROM pg_file_settings f WHERE f.sourcefile IS NOT NULL
    UNION SELECT DISTINCT to_jsonb(h) ->> 'file_name' FROM pg_hba_file_rules h
     WHERE to_jsonb(h) ->> 'file_name' IS NOT NULL
    UNION SELECT c.setting || '/extension' FROM pg_config c WHERE c.name = 'SHAREDIR'
    UNION SELECT c.setting FROM pg_config c WHERE c.name = 'PKGLIBDIR'
    ORDER BY 1
"""
_RULES = "SELECT current_setting('hba_file'), current_setting('ident_file')"
_LOG = """
    SELECT current_setting('logging_collector') = 'on', current_setting('log_destination'),
           current_setting('data_directory'), current_setting('log_directory')
"""


def owner(status: os.stat_result) -> str:
    """The name of a file's owner, or its number where no name is known."""
    try:
        return pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        return str(status.st_uid)


def said(status: os.stat_result) -> str:
    """Mode and owner in words."""
    return f"mode {stat.S_IMODE(status.st_mode):04o}, owner {owner(status)}"


def looked_at(path: str) -> os.stat_result:
    """The status of a file. Raises HoldfastError where it cannot be seen: that is no pass."""
    try:
        return os.stat(path)
    except OSError as error:
        raise HoldfastError(
            f"the file cannot be looked at: {error.strerror}",
            where=path,
            remedy="Run as the owner of the data on the host of the server",
        ) from None


def data_directory(engine: PostgreSQL) -> Iterable[tuple[str, str]]:
    """A data directory whose mode is not 0700."""
    path = engine.data_directory()
    status = looked_at(path)
    if stat.S_IMODE(status.st_mode) & 0o077:
        yield path, said(status)


def key_file(engine: PostgreSQL) -> Iterable[tuple[str, str]]:
    """A key that others can read, beyond what the server itself would refuse."""
    with reading(engine) as seen:
        on, name, data = seen.row(
            "SELECT current_setting('ssl') = 'on', current_setting('ssl_key_file'), current_setting('data_directory')"
        )
    if not on:
        raise Unsupported(engine.name, "a look at the key", "ssl is off, so no key is in use")
    path = os.path.join(data, name)
    status = looked_at(path)
    allowed = 0o740 if status.st_uid == 0 else 0o700
    if stat.S_IMODE(status.st_mode) & ~allowed & 0o777:
        yield path, said(status)


def configuration(engine: PostgreSQL) -> Iterable[tuple[str, str]]:
    """Files that somebody besides the server's owner and root can change, and rules that everybody can read."""
    with reading(engine) as seen:
        files, rules = seen.names(_FILES), seen.row(_RULES)
    allowed_owners = {0, os.stat(engine.data_directory()).st_uid}
    for path in files:
        status = looked_at(path)
        mode = stat.S_IMODE(status.st_mode)
        hidden = 0o026 if path in rules else 0o022
        if mode & hidden or status.st_uid not in allowed_owners:
            yield path, said(status)


def logs(engine: PostgreSQL) -> Iterable[tuple[str, str]]:
    """Log files that the world can read or others can write."""
    with reading(engine) as seen:
        paths = log_files(seen, engine.name)
    for path in paths:
        status = looked_at(path)
        if stat.S_IMODE(status.st_mode) & 0o027:
            yield path, said(status)


def environment(engine: PostgreSQL) -> Iterable[tuple[str, str]]:
    """Variables of the server's process that hold a password; their names only."""
    with reading(engine) as seen:
        process = postmaster(seen)
    try:
        with open(f"/proc/{process}/environ", "rb") as handle:
            names = {item.partition(b"=")[0] for item in handle.read().split(b"\0")}
    except OSError as error:
        raise HoldfastError(
            f"the environment of the server cannot be read: {error.strerror}",
            where=engine.where,
            remedy="Run as the owner of the data on the host of the server",
        ) from None
    if b"PGPASSWORD" in names:
        yield "PGPASSWORD", "set in the server's environment"


def postmaster(seen: Session) -> int:
    """The process of the server."""
    return int(seen.row("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")[0])


def log_files(seen: Session, engine: str) -> list[str]:
    """The files that the server logs to and logged to before, the oldest first. Raises Unsupported without any.

    With a collector they are those of its directory; else what the server's standard error is, and what logrotate made
    of it.
    """
    collector, destination, data, directory = seen.row(_LOG)
    formats = {name.strip() for name in str(destination).split(",")}
    if not formats & {"stderr", "csvlog", "jsonlog"}:
        raise Unsupported(engine, "reading the log", f"the server logs to {destination}, which is no file of its own")
    if collector:
        folder = os.path.join(str(data), str(directory))
        found = [path for path in glob.glob(os.path.join(folder, "*")) if os.path.isfile(path)]
    else:
        current = _standard_error(seen, engine)
        found = [path for path in glob.glob(glob.escape(current) + "*") if os.path.isfile(path)]
        found = [path for path in found if _rotated(path, current)]
    if not found:
        raise Unsupported(engine, "reading the log", "there is no log file yet")
    # Of two written at the same moment the longer name is the rotated one.
    return sorted(found, key=lambda path: (os.stat(path).st_mtime_ns, -len(path)))


def _rotated(path: str, current: str) -> bool:
    rest = path[len(current) :]
    return not rest or rest[0] in ".-"


def _standard_error(seen: Session, engine: str) -> str:
    try:
        target = os.readlink(f"/proc/{postmaster(seen)}/fd/2")
    except OSError as error:
        raise HoldfastError(
            f"where the server logs to cannot be seen: {error.strerror}",
            where=engine,
            remedy="Run as the owner of the data on the host of the server",
        ) from None
    if not os.path.isfile(target):
        raise Unsupported(engine, "reading the log", f"the server logs to {target}, which is no file")
    return target


SEEN: Mapping[str, Callable[[PostgreSQL], Iterable[tuple[str, str]]]] = {
    "PG29": data_directory,
    "PG30": key_file,
    "PG31": configuration,
    "PG32": logs,
    "PG34": environment,
}
