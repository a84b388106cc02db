"""What the server's own log says about logins and about changes of power: server_audit's file, or the general log."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple, Protocol

from ..errors import Unsupported
from ._mariadb_audit_accounts import match
from ._mariadb_audit_catalog import Principal
from ._mariadb_audit_redact import changes_power, redacted
from ._mariadb_audit_session import Reader, not_applicable
from ._mariadb_audit_tail import Position, Tail

_ABILITY = "watching for grants"
_AUDIT_LINE = re.compile(
    r"(?P<time>\d{8} \d\d:\d\d:\d\d),[^,]*,(?P<user>.*?),(?P<host>[^,]*),\d+,\d+,(?P<operation>[A-Z_]+),"
    r"(?P<database>[^,]*),(?P<object>.*),(?P<code>-?\d+)",
    re.DOTALL,
)
_GENERAL_LINE = re.compile(
    r"(?:(?P<time>\d{6} [ \d]\d:\d\d:\d\d)\t|\t\t)\s*(?P<id>\d+) (?P<command>[A-Z][\w ]*)\t(?P<text>.*)", re.DOTALL
)
_LOGGED_IN = re.compile(r"(?P<user>.*?)@(?P<host>\S*) (?:on|as)\b")
_TABLE_USER = re.compile(r"(?P<login>.*?)\[(?P<user>.*?)\] @ (?P<name>\S*) \[(?P<address>.*?)\]")
# Few lines are about power; only those that have one of these words are taken apart.
_WORDS = re.compile(rb"grant|revoke|user|role|password|mysql|_priv|proc|func", re.IGNORECASE)
_TABLE = """
    SELECT event_time, user_host, argument FROM mysql.general_log
     WHERE command_type IN ('Query', 'Execute') AND event_time > %s ORDER BY event_time
"""
_LOGIN_BYTES = 64 * 1024 * 1024  # of a log, from its end, that are looked through for logins
_STATEMENTS = frozenset(("QUERY", "QUERY_DCL", "QUERY_DDL", "QUERY_DML"))


class Entry(NamedTuple):
    """A statement of a log that changes power."""

    time: datetime | None
    user: str
    host: str
    statement: str


class Log(Protocol):
    """A log that a server writes."""

    title: str

    def entries(self, since: str) -> tuple[list[Entry], str, bool]:
        """The changes of power after a position, the new position, and whether something between was lost."""

    def logins(self) -> Iterator[tuple[datetime, str, str]]:
        """Time, user and host of logins, in any order."""


def observed(reader: Reader, principals: Sequence[Principal], since: str) -> tuple[list[Mapping[str, Any]], str]:
    """See the protocol. What the log lost before it was read is a row of its own, with ``gap`` set."""
    log = found(reader)
    entries, position, gap = log.entries(since)
    rows: list[Mapping[str, Any]] = [
        {
            "time": entry.time,
            "account": match(principals, entry.user, entry.host) or f"{entry.user}@{entry.host}",
            "statement": entry.statement,
        }
        for entry in entries
    ]
    if gap:
        lost = f"a part of {log.title} was rotated away or emptied before it was read"
        rows.insert(0, {"time": None, "account": "", "statement": lost, "gap": True})
    return rows, position


def last_logins(reader: Reader, principals: Sequence[Principal]) -> tuple[dict[str, tuple[datetime, str]], str]:
    """When accounts logged in last, and why one that is not among them may have all the same."""
    try:
        log = found(reader)
    except Unsupported as error:
        return {}, f"MariaDB keeps no time of login, and {error.reason}"
    seen: dict[str, tuple[datetime, str]] = {}
    known: dict[tuple[str, str], str | None] = {}
    oldest: datetime | None = None
    for time, user, host in log.logins():
        oldest = min(oldest or time, time)
        if (user, host) not in known:
            known[user, host] = match(principals, user, host)
        name = known[user, host]
        if name and (name not in seen or seen[name][0] < time):
            seen[name] = (time, log.title)
    begin = f"since {oldest:%Y-%m-%d %H:%M}" if oldest else "in what is left of it"
    return seen, f"{log.title} shows no login {begin}"


def found(reader: Reader) -> Log:
    """The best of the logs that are on. Raises Unsupported where none is."""
    names = ("server_audit_logging", "server_audit_output_type", "server_audit_file_path", "server_audit_events")
    value = reader.variables(*names, "general_log", "general_log_file", "log_output", "datadir")
    reasons = []
    if value.get("server_audit_logging") == "ON":
        events = {word.strip().upper() for word in value["server_audit_events"].split(",") if word.strip()}
        if value["server_audit_output_type"].lower() != "file":
            reasons.append("server_audit writes to syslog, which is not read")
        elif events and not events & _STATEMENTS:
            reasons.append(f"server_audit logs {', '.join(sorted(events))} and no statements")
        else:
            return AuditLog(os.path.join(value["datadir"], value["server_audit_file_path"]))
    else:
        reasons.append("server_audit does not log")
    if value.get("general_log") == "ON" and "FILE" in value["log_output"]:
        return GeneralLog(os.path.join(value["datadir"], value["general_log_file"]))
    if value.get("general_log") == "ON" and "TABLE" in value["log_output"]:
        return GeneralTable(reader)
    reasons.append("the general log is off")
    raise not_applicable(_ABILITY, " and ".join(reasons))


class AuditLog:
    """The file of the plugin server_audit. It tells which statements failed: those changed nothing."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.title = f"the log of server_audit, {path},"

    def entries(self, since: str) -> tuple[list[Entry], str, bool]:
        with Tail(self.path, Position.parse(since)) as tail:
            rows = [entry for line in tail.lines() if _WORDS.search(line) for entry in self._entry(line)]
            return rows, str(tail.position()), tail.gap

    def logins(self) -> Iterator[tuple[datetime, str, str]]:
        for line in _recent(self.path):
            if b",CONNECT," in line:
                found = _AUDIT_LINE.fullmatch(line.decode("utf-8", "replace"))
                if found and found["operation"] == "CONNECT" and found["code"] == "0":
                    yield _time(found["time"], "%Y%m%d %H:%M:%S"), found["user"], found["host"]

    def _entry(self, line: bytes) -> Iterator[Entry]:
        found = _AUDIT_LINE.fullmatch(line.decode("utf-8", "replace"))
        if found is None or found["operation"] not in _STATEMENTS or found["code"] != "0":
            return
        statement = _unquoted(found["object"])
        if changes_power(statement, found["database"]):
            time = _time(found["time"], "%Y%m%d %H:%M:%S")
            yield Entry(time, found["user"], found["host"], redacted(statement))


class GeneralLog:
    """The file of the general log. It has each statement before it runs, those that fail among them."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.title = f"the general log, {path},"

    def entries(self, since: str) -> tuple[list[Entry], str, bool]:
        position = Position.parse(since)
        with Tail(self.path, position) as tail:
            reading = _General(tail, position.kept if position and not tail.gap else "")
            rows = list(reading.entries())
            return rows, str(tail.position(reading.last)), tail.gap

    def logins(self) -> Iterator[tuple[datetime, str, str]]:
        last = ""
        for line in _recent(self.path):
            found = _GENERAL_LINE.fullmatch(line.decode("utf-8", "replace"))
            if found is None:
                continue
            last = found["time"] or last
            login = _LOGGED_IN.match(found["text"]) if found["command"] == "Connect" else None
            if login and last:
                yield _time(last, "%y%m%d %H:%M:%S"), login["user"], login["host"]


class _General:
    """One reading of the general log: who the connections are, and the time, which is written when it changes."""

    def __init__(self, tail: Tail, last: str) -> None:
        self.last = last
        self._tail = tail
        self._logins: dict[str, tuple[str, str]] = {}
        self._looked_back = False

    def entries(self) -> Iterator[Entry]:
        current: tuple[str, str, str] | None = None  # connection, time, statement
        for line in self._tail.lines():
            text = line.decode("utf-8", "replace")
            found = _GENERAL_LINE.fullmatch(text)
            if found is None:
                # A statement of several lines. The head that a server writes at its start is no statement.
                current = (current[0], current[1], f"{current[2]}\n{text}") if current else None
                continue
            yield from self._entry(current)
            self.last = found["time"] or self.last
            current = None
            if found["command"] == "Connect":
                self._login(found["id"], found["text"])
            elif found["command"] in ("Query", "Execute"):
                current = (found["id"], self.last, found["text"])
        yield from self._entry(current)

    def _entry(self, current: tuple[str, str, str] | None) -> Iterator[Entry]:
        if current is None or not changes_power(current[2]):
            return
        connection, time, statement = current
        if connection not in self._logins and not self._looked_back:
            self._look_back()
        user, host = self._logins.get(connection, ("unknown", ""))
        yield Entry(_time(time, "%y%m%d %H:%M:%S") if time else None, user, host, redacted(statement))

    def _login(self, connection: str, text: str) -> None:
        found = _LOGGED_IN.match(text)
        if found:
            self._logins[connection] = (found["user"], found["host"])

    def _look_back(self) -> None:
        """Find logins before the position. What was read since is newer."""
        self._looked_back = True
        newer = dict(self._logins)
        for line in self._tail.before():
            found = _GENERAL_LINE.fullmatch(line.decode("utf-8", "replace")) if b"Connect\t" in line else None
            if found and found["command"] == "Connect":
                self._login(found["id"], found["text"])
        self._logins.update(newer)


class GeneralTable:
    """The general log where it is written to a table. Its position is a time."""

    title = "the general log, mysql.general_log,"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def entries(self, since: str) -> tuple[list[Entry], str, bool]:
        rows, last = [], since
        for time, who, argument in self._reader.rows(_TABLE, (since or "1970-01-02",)):
            last = str(time)
            statement = argument.decode("utf-8", "replace") if isinstance(argument, bytes) else str(argument)
            whom = _TABLE_USER.match(str(who))
            if changes_power(statement) and whom:
                host = whom["name"] or whom["address"]
                rows.append(Entry(time.replace(tzinfo=timezone.utc), whom["user"], host, redacted(statement)))
        return rows, last, False

    def logins(self) -> Iterator[tuple[datetime, str, str]]:
        query = "SELECT max(event_time), user_host FROM mysql.general_log WHERE command_type = 'Connect' GROUP BY 2"
        for time, who in self._reader.rows(query):
            whom = _TABLE_USER.match(str(who))
            if whom:
                yield time.replace(tzinfo=timezone.utc), whom["user"], whom["name"] or whom["address"]


def _recent(path: str) -> Iterator[bytes]:
    with Tail(path, None) as tail:
        yield from tail.recent(_LOGIN_BYTES)


def _time(text: str, form: str) -> datetime:
    # Logs have the time of the host, as this process has.
    return datetime.strptime(text, form).astimezone(timezone.utc)


def _unquoted(text: str) -> str:
    inner = text[1:-1] if text[:1] == "'" and text[-1:] == "'" else text
    named = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(r"\\(.)", lambda found: named.get(found[1], found[1]), inner, flags=re.DOTALL)
