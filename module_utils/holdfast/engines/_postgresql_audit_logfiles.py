"""Reading the log files of PostgreSQL onwards from a position, whatever rotation made of them meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import IO, TYPE_CHECKING, Any, Callable
from zoneinfo import ZoneInfo

from ..errors import InvalidInput, Unsupported
from . import _postgresql_audit_log as text
from ._postgresql_audit_files import log_files
from ._postgresql_audit_sql import SERVER_VALUE, joined, reading
from ._postgresql_session import Session

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

_HEAD = 1024
_LOGIN = b"connection authorized"
_BEGIN = 20  # lines, of which one says when
_RECORD = re.compile(rb"\d{4}-\d\d-\d\d \d\d:")
_RECENT = 16 << 20  # bytes of log that are looked through for logins
_SETTINGS = joined(
    "SELECT current_setting('log_destination'), current_setting('log_line_prefix'), current_setting('log_timezone'),",
    *(" (SELECT ", SERVER_VALUE, " FROM pg_settings s WHERE s.name = 'log_statement'),"),
    *(" (SELECT ", SERVER_VALUE, " FROM pg_settings s WHERE s.name = 'log_connections')"),
)


@dataclass(frozen=True)
class Form:
    """In which form the log is written, and what its lines mean."""

    ending: str
    lines: Callable[[Iterator[str]], Iterator[text.Line]]
    statements: bool  # whether what defines and grants is logged
    connections: bool


def form(seen: Session, engine: str) -> Form:
    """The form to read; of several the one that needs no prefix."""
    destination, prefix, zone_name, statements, connections = seen.row(_SETTINGS)
    zone = _zone(zone_name)
    kinds = {name.strip() for name in str(destination).split(",")}
    logged = statements in ("ddl", "mod", "all")
    logins = str(connections) in ("on", "true", "yes", "1") or "auth" in str(connections) or connections == "all"
    if "csvlog" in kinds:
        return Form(".csv", lambda lines: text.csv_lines(lines, zone), logged, logins)
    if "jsonlog" in kinds:
        return Form(".json", lambda lines: text.json_lines(lines, zone), logged, logins)
    if "stderr" not in kinds:
        raise Unsupported(engine, "reading the log", f"the server logs to {destination}, which is no file of its own")
    pattern = text.prefix_pattern(prefix)
    if "time" not in pattern.groupindex:
        raise Unsupported(engine, "reading the log", f"log_line_prefix {prefix!r} says no time")
    return Form("", lambda lines: text.stderr_lines(lines, pattern, zone), logged, logins)


def of_form(paths: Sequence[str], ending: str) -> list[str]:
    """The files of one form: a collector keeps those of several beside each other."""
    plain = [path.removesuffix(".gz") for path in paths]
    known = (".csv", ".json")
    return [
        path
        for path, name in zip(paths, plain)
        if (ending in os.path.basename(name) if ending else not any(other in os.path.basename(name) for other in known))
    ]


class Tail:
    """The whole lines of a file from an offset on, and where they end. In the csv form a line can go over several.

    With ``only``, some lines at the begin and those that hold it: what is looked for is told from the rest before it
    is taken apart. The offset can then be amid a line.
    """

    def __init__(self, path: str, offset: int = 0, *, ending: str = "", only: bytes = b"") -> None:
        self._path, self._csv, self._only = path, ending == ".csv", only
        self.end = offset

    def __iter__(self) -> Iterator[str]:
        with _opened(self._path) as handle:
            handle.seek(self.end)
            held, begin = b"", _BEGIN
            amid = bool(self._csv and self._only and self.end)
            for raw in handle:
                if amid and not _RECORD.match(raw):
                    self.end += len(raw)
                    continue
                amid = False
                held += raw
                if not raw.endswith(b"\n"):
                    return  # being written
                if self._csv and held.count(b'"') % 2:
                    continue
                self.end += len(held)
                if begin > 0 or self._only in held:
                    yield held.decode("utf-8", "replace")
                held, begin = b"", begin - 1

    def position(self) -> str:
        """What finds the place again: how the file begins, not its name, which rotation changes."""
        length = min(self.end, _HEAD)
        return json.dumps({"head": _head(self._path, length), "length": length, "offset": self.end})


def place(paths: Sequence[str], since: str) -> tuple[int, int] | None:
    """Index of the file and offset in it that a position stands for; None when the file is no longer there."""
    try:
        known = json.loads(since)
        head, length, offset = str(known["head"]), int(known["length"]), int(known["offset"])
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(
            "the position in the log is not one that was returned before",
            remedy="Leave it empty to begin with the oldest log",
        ) from None
    for index, path in enumerate(paths):
        if _head(path, length) == head and _size(path) >= offset:
            return index, offset
    return None


def observed(engine: PostgreSQL, since: str) -> tuple[list[Mapping[str, Any]], str]:
    """See the protocol. The first entry is a ``gap`` where log after the position is gone."""
    with reading(engine) as seen:
        how = form(seen, engine.name)
        if not how.statements:
            raise Unsupported(
                engine.name,
                "watching for changes of power",
                "log_statement is none, so the log shows no grants",
                remedy="ALTER SYSTEM SET log_statement = 'ddl', and reload",
            )
        paths = of_form(log_files(seen, engine.name), how.ending)
    if not paths:
        raise Unsupported(engine.name, "reading the log", "there is no log file yet")
    found: list[dict[str, Any]] = []
    begin = place(paths, since) if since else (0, 0)
    if begin is None:
        found.append(_gap())
    first, offset = begin or (0, 0)
    position = since
    for index in range(first, len(paths)):
        tail = Tail(paths[index], offset if index == first else 0, ending=how.ending)
        found += _acts(how.lines(iter(tail)))
        if tail.end:
            position = tail.position()
    return list(found), position


def logins(engine: PostgreSQL) -> tuple[dict[str, datetime], str]:
    """When each account was last let in as far as the newest log tells, and why that is all that it tells."""
    with reading(engine) as seen:
        try:
            how = form(seen, engine.name)
            if not how.connections:
                return {}, "log_connections is off"
            paths = of_form(log_files(seen, engine.name), how.ending)
        except Unsupported as error:
            return {}, error.reason
    found: dict[str, datetime] = {}
    oldest: datetime | None = None
    left = _RECENT
    for path in reversed(paths):
        if left <= 0:
            break
        size = _size(path)
        begins, left = max(0, size - left), left - size
        for line in how.lines(iter(Tail(path, begins, ending=how.ending, only=_LOGIN))):
            if line.time is None:
                continue
            oldest = min(oldest or line.time, line.time)
            account = text.login(line)
            if account is not None:
                found[account] = max(found.get(account, line.time), line.time)
    return found, f"no login in the log since {oldest:%Y-%m-%d %H:%M UTC}" if oldest else "the log is empty"


def _acts(lines: Iterator[text.Line]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    open_acts: dict[str, dict[str, Any]] = {}
    for line in lines:
        statement = text.act(line)
        if statement is not None:
            entry = {"time": line.time, "account": line.account, "statement": statement}
            found.append(entry)
            open_acts[line.process] = entry
        elif line.severity == "LOG":
            open_acts.pop(line.process, None)
        elif line.severity in ("ERROR", "FATAL") and line.process in open_acts:
            open_acts.pop(line.process)["failed"] = line.text.partition("\n")[0][:200]
    return found


def _gap() -> dict[str, Any]:
    text_ = "the log that followed the position is no longer there; what happened in it is not known"
    return {"time": None, "account": "", "statement": text_, "gap": True}


def _opened(path: str) -> IO[bytes]:
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # type: ignore[return-value]


def _head(path: str, length: int) -> str:
    with _opened(path) as handle:
        return hashlib.sha256(handle.read(length)).hexdigest()


def _size(path: str) -> int:
    if not path.endswith(".gz"):
        return os.stat(path).st_size
    with _opened(path) as handle:
        return handle.seek(0, os.SEEK_END)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None
