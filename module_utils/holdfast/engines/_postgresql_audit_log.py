"""What the log of PostgreSQL says: who did what when. Text in, facts out; files are read elsewhere."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo

# What each escape of log_line_prefix is written as. Names can hold blanks; an address is followed by its port with %r.
_ESCAPES = {
    "m": r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [^ ]+?)",
    "t": r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [^ ]+?)",
    "n": r"(?P<time>\d{9,11}\.\d+)",
    "u": r"(?P<account>.*?)",
    "d": r"(?P<database>.*?)",
    "p": r"(?P<process>\d+)",
    "c": r"(?P<session>[0-9a-f]+\.[0-9a-f]+)",
}
_SEVERITY = (
    r"(?P<severity>LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG\d?|STATEMENT|DETAIL|HINT|CONTEXT|QUERY|LOCATION)"
)
_ACT = re.compile(r"(?:duration: [\d.]+ ms  )?(?:statement|execute [^:]*): (.*)", re.DOTALL)
_LOGIN = re.compile(r"connection authorized: user=(.*?)(?: database=| application_name=| SSL enabled| replication|$)")
_POWER = re.compile(
    r"(?:^|;)\s*(?:"
    r"GRANT\b|REVOKE\b|(?:CREATE|ALTER|DROP)\s+(?:ROLE|USER|GROUP|POLICY|EXTENSION)\b|ALTER\s+DEFAULT\s+PRIVILEGES\b"
    r"|REASSIGN\s+OWNED\b|DROP\s+OWNED\b|ALTER\s+SYSTEM\b|ALTER\b[^;]*\bOWNER\s+TO\b"
    r"|(?:CREATE|ALTER)\b.*\bSECURITY\s+DEFINER\b|ALTER\b[^;]*\bROW\s+LEVEL\s+SECURITY\b"
    r"|(?:CREATE|ALTER)\b[^;]*\bLANGUAGE\s+'?\"?\w+u\b"
    r"|DO\b.*\b(?:GRANT|REVOKE|ROLE|USER)\b)",
    re.IGNORECASE | re.DOTALL,
)
# What the catalog holds of power can be written past the statements for it.
_CATALOG = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?|MERGE\s+INTO(?:\s+ONLY)?|COPY)\s+"
    r"(?:\"?pg_catalog\"?\s*\.\s*)?\"?pg_(?:authid|auth_members|db_role_setting|proc|class|attribute|namespace|database"
    r"|default_acl|parameter_acl|policy|language|tablespace|foreign_server|largeobject_metadata)\b",
    re.IGNORECASE,
)
_QUOTED = r"[eE]'(?:[^'\\]|\\.|'')*'"
# Whether a backslash in a plain string escapes, a setting of each session says, which the log does not show. Where it
# matters a string has no end that is known, and is open; who looks for acts tries both.
_STRINGS = {
    "unknown": rf"{_QUOTED}|(?:[uU]&)?'(?:[^'\\]|'')*'",
    "standard": rf"{_QUOTED}|(?:[uU]&)?'(?:[^']|'')*'",
    "escaped": rf"{_QUOTED}|(?:[uU]&)?'(?:[^'\\]|\\.|'')*'",
}
_TOKENS = {
    reading: re.compile(
        rf"(?P<comment>--[^\n\r]*)|(?P<string>{string})|(?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)"
        r"""|(?P<open>(?:[eE]|[uU]&)?'.*|\$(?:[^\W\d]\w*)?\$.*)|(?P<name>"(?:[^"]|"")*")|(?P<word>\w[\w$]*)"""
        r"|(?P<other>\s+|.)",
        re.DOTALL,
    )
    for reading, string in _STRINGS.items()
}
_COMMENT = re.compile(r"/\*|\*/")
_SECRET_WORDS = {"password", "passwd", "secret", "token", "sslpassword", "passphrase"}
_INSIDE = re.compile(r"passw|secret|token", re.IGNORECASE)
MASK = "'***'"
_WIDTH = 2000


@dataclass(frozen=True)
class Line:
    """One message of the log."""

    time: datetime | None
    account: str
    process: str
    severity: str
    text: str


def prefix_pattern(prefix: str) -> re.Pattern[str]:
    """What matches the first line of a message that log_line_prefix was written before."""
    result, optional = "", 0
    named: set[str] = set()
    for part in re.findall(r"%-?\d*.|[^%]+|%", prefix):
        letter = part[-1]
        if not part.startswith("%") or part == "%":
            result += re.escape(part)
        elif letter == "%":
            result += "%"
        elif letter == "q":
            # Processes that serve no session end their prefix here.
            result += "(?:"
            optional += 1
        else:
            pattern = _ESCAPES.get(letter, r".*?")
            group = re.match(r"\(\?P<(\w+)>", pattern)
            if group and group.group(1) in named:
                pattern = r".*?"
            named.update(group.groups() if group else ())
            result += rf"\s*{pattern}\s*" if len(part) > 2 else pattern
    return re.compile(f"^{result}{')?' * optional}{_SEVERITY}:  (?P<text>.*)$", re.DOTALL)


def moment(text: str, zone: tzinfo | None) -> datetime | None:
    """A time as the log writes it, in UTC. Its zone is an abbreviation: which one, the server's log_timezone says."""
    if re.fullmatch(r"\d{9,11}\.\d+", text):
        return datetime.fromtimestamp(float(text), timezone.utc)
    stamp, _, abbreviation = text.rpartition(" ")
    try:
        naive = datetime.fromisoformat(stamp.ljust(26, "0") if "." in stamp else stamp)
    except ValueError:
        return None
    if abbreviation in ("UTC", "GMT"):
        return naive.replace(tzinfo=timezone.utc)
    numeric = re.fullmatch(r"([+-])(\d\d)(?::?(\d\d))?", abbreviation)
    if numeric:
        return datetime.fromisoformat(f"{naive.isoformat()}{numeric[1]}{numeric[2]}:{numeric[3] or '00'}").astimezone(
            timezone.utc
        )
    if zone is None:
        return None
    either = [naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    chosen = next((time for time in either if time.tzname() == abbreviation), either[0])
    return chosen.astimezone(timezone.utc)


def _tokens(statement: str, reading: str) -> Iterator[tuple[str, str]]:
    """The parts of a statement, each with its kind."""
    place = 0
    while place < len(statement):
        if statement.startswith("/*", place):
            kind, end = "comment", _end_of_comment(statement, place)
        else:
            found = _TOKENS[reading].match(statement, place)
            assert found is not None  # the last of its alternatives is any character
            kind, end = found.lastgroup or "other", found.end()
        yield kind, statement[place:end]
        place = end


def _end_of_comment(statement: str, begin: int) -> int:
    """Where a comment ends, which can hold others; one without an end goes on to that of the statement."""
    depth = 0
    for found in _COMMENT.finditer(statement, begin):
        depth += 1 if found.group() == "/*" else -1
        if not depth:
            return found.end()
    return len(statement)


def redacted(statement: str) -> str:
    """The statement without what could be a password: what follows such a word, and whole bodies that speak of one."""
    shown, word, follows = [], "", False
    for kind, text in _tokens(statement, "unknown"):
        if kind in ("string", "dollar", "open"):
            hide = word in _SECRET_WORDS or kind == "open" or _INSIDE.search(text)
            shown.append(MASK if hide else text)
            follows = True
        elif kind == "comment":
            shown.append("/* */" if _INSIDE.search(text) else text)
        else:
            shown.append(text)
            if kind in ("word", "name"):
                word, follows = text.strip('"').lower(), False
            elif follows and text.strip():
                word = ""  # what comes next is no further piece of the string, which can go on in another line
    text = "".join(shown).strip()
    return text if len(text) <= _WIDTH else text[:_WIDTH] + " ..."


def act(line: Line) -> str | None:
    """The statement that a message shows if it is one that changes power, without secrets."""
    found = _ACT.match(line.text) if line.severity == "LOG" else None
    return redacted(found.group(1)) if found and _changes_power(found.group(1)) else None


def _changes_power(statement: str) -> bool:
    for reading in ("standard", "escaped") if "\\" in statement else ("standard",):
        parts = [(kind, " " if kind == "comment" else text) for kind, text in _tokens(statement, reading)]
        if _POWER.search("".join(text for _, text in parts)):
            return True
        if _CATALOG.search("".join("''" if kind == "string" else text for kind, text in parts)):
            return True
    return False


def login(line: Line) -> str | None:
    """The account that a message says was let in."""
    found = _LOGIN.match(line.text) if line.severity == "LOG" else None
    return found.group(1) if found else None


def stderr_lines(text: Iterator[str], prefix: re.Pattern[str], zone: tzinfo | None) -> Iterator[Line]:
    """The messages of a log in the form of standard error; lines that go on begin with a tab."""
    held: Line | None = None
    for raw in text:
        line = raw.rstrip("\n")
        if line.startswith("\t") and held:
            held = Line(held.time, held.account, held.process, held.severity, f"{held.text}\n{line[1:]}")
            continue
        if held:
            yield held
        found = prefix.match(line)
        held = None
        if found:
            groups = found.groupdict()
            process = groups.get("process") or groups.get("session") or ""
            time = moment(groups["time"], zone) if groups.get("time") else None
            held = Line(time, groups.get("account") or "", process, groups["severity"], groups["text"])
    if held:
        yield held


def csv_lines(text: Iterator[str], zone: tzinfo | None) -> Iterator[Line]:
    """The messages of a log in the csv form, whose first columns are the same in every version."""
    csv.field_size_limit(1 << 28)  # a statement can be long
    for row in csv.reader(text):
        if len(row) > 13:
            yield Line(moment(row[0], zone), row[1], row[3], row[11], row[13])


def json_lines(text: Iterator[str], zone: tzinfo | None) -> Iterator[Line]:
    """The messages of a log in the json form."""
    for raw in text:
        try:
            row = json.loads(raw)
        except ValueError:
            continue
        said = {name: str(row.get(name, "")) for name in ("timestamp", "user", "pid", "error_severity", "message")}
        time = moment(said["timestamp"], zone)
        yield Line(time, said["user"], said["pid"], said["error_severity"], said["message"])
