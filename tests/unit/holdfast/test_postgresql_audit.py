"""What an access audit of PostgreSQL concludes from roles, verifiers, log lines and file modes, without a server."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ansible.module_utils.holdfast.audit.model import FRAMEWORKS, Action, Severity, Step
from ansible.module_utils.holdfast.engines import _postgresql_audit_log as log
from ansible.module_utils.holdfast.engines._postgresql_audit_checks import CHECKS
from ansible.module_utils.holdfast.engines._postgresql_audit_escalation import Power, _paths
from ansible.module_utils.holdfast.engines._postgresql_audit_exposed import exposes, without_secrecy
from ansible.module_utils.holdfast.engines._postgresql_audit_grants import (
    Entry,
    Member,
    dependent,
    give,
    membership,
    target,
)
from ansible.module_utils.holdfast.engines._postgresql_audit_logfiles import _SETTINGS, Tail, of_form, place
from ansible.module_utils.holdfast.engines._postgresql_audit_passwords import matches, readable, trials, try_all
from ansible.module_utils.holdfast.engines._postgresql_audit_plan import by_database
from ansible.module_utils.holdfast.engines._postgresql_audit_roles import Held, Role, Roles
from ansible.module_utils.holdfast.engines._postgresql_audit_sql import SERVER_VALUE
from ansible.module_utils.holdfast.engines._postgresql_session import listed
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput

DEBIAN = log.prefix_pattern("%m [%p] %q%u@%d ")


def scram(password: str, iterations: int = 4096, salt: bytes = b"0123456789abcdef") -> str:
    """A verifier made as RFC 5803 says, by other code than that which is tested."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(item).decode() for item in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def test_checks_are_complete() -> None:
    assert [check.id for check in CHECKS] == [f"PG{number:02}" for number in range(1, 40)]
    for check in CHECKS:
        assert check.title, check.id
        assert check.rationale.endswith("."), check.id
        assert check.remediation.endswith("."), check.id
        assert check.statement, check.id
        assert set(check.controls) == set(FRAMEWORKS), check.id
        assert all(check.controls.values()), check.id


def test_no_check_can_write() -> None:
    words = re.compile(r"\b(INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|GRANT|SET|COPY|CALL|DO)\s", re.IGNORECASE)
    for check in CHECKS:
        bare = re.sub(r"'[^']*'", "", check.statement)
        assert not words.search(bare), check.id


@pytest.mark.parametrize(
    ("account", "password", "given_away"),
    [
        ("app", "app", True),
        ("App", "app", True),
        ("app", "app1", True),
        ("app", "ppa", True),
        ("app", "changeme", True),
        ("app", "Vk7-long-and-not-guessed", False),
        ("José", "José", True),
    ],
)
@pytest.mark.parametrize("form", ["scram", "md5"])
def test_password_that_the_name_gives_away(account: str, password: str, given_away: bool, form: str) -> None:
    md5 = "md5" + hashlib.md5((password + account).encode()).hexdigest()
    verifier = scram(password) if form == "scram" else md5
    assert (account in try_all({account: verifier}).given_away) == given_away


def test_a_verifier_that_a_server_made() -> None:
    """PostgreSQL 17 made it of the password foo."""
    made = (
        "SCRAM-SHA-256$4096:cTMuhDnKwr3ejicsvewiIw==$pf639c6ye5WQxvAObKfphsoDJrbGNGQ1tUn/sBGz0zM="
        ":2LAlRsA2xB27o4yF4Htj7pm0AE1nZtwpYdBIqI1l70Y="
    )
    assert readable(made)
    assert matches(made, "x", "foo")
    assert not matches(made, "x", "bar")


def test_trials_have_a_limit_and_what_was_left_out_is_said() -> None:
    stored = {f"a{number}": scram(f"a{number}") for number in range(3)}
    everything = try_all(stored)
    assert len(everything.given_away) == 3
    assert everything.left_out == 0
    two = try_all(stored, limit=2 * 4096)
    assert len(two.given_away) == 2
    assert two.accounts_left_out == ["a2"]
    assert two.left_out > 0
    dear = try_all({"x": scram("y", iterations=5000)}, limit=4096)
    assert dear.accounts_left_out == ["x"]
    assert not readable("SCRAM-SHA-512$4096:x$y:z")


def test_trials_are_different_and_begin_with_the_name() -> None:
    words = [password for password, _ in trials("postgres")]
    assert words[0] == "postgres"
    assert len(words) == len(set(words))


def a_role(oid: int, name: str, **powers: bool) -> Role:
    fields = {"login": True, "superuser": False, "createrole": False, "createdb": False}
    fields |= {"replication": False, "bypassrls": False, **powers}
    return Role(oid=oid, name=name, expires=None, **fields)


def held(role: int, member: int, *, admin: bool = False, inherits: bool = True, becomes: bool = True) -> Held:
    return Held(role, member, admin, inherits, becomes)


ROLES = [
    a_role(10, "postgres", superuser=True),
    a_role(100, "ann"),
    a_role(101, "team", login=False),
    a_role(102, "readers", login=False),
    a_role(103, "dba", superuser=True, login=False),
    a_role(4569, "pg_execute_server_program", login=False),
]


@pytest.mark.parametrize(
    ("memberships", "reached"),
    [
        ([held(101, 100), held(102, 101)], {"team": ("team",), "readers": ("team", "readers")}),
        ([held(101, 100, inherits=False), held(102, 101)], {"team": ("team",), "readers": ("team", "readers")}),
        # Since 16 a membership can give nothing but the admin option.
        ([held(101, 100, admin=True, inherits=False, becomes=False), held(102, 101)], {}),
        # What is inherited cannot be become, so what lies behind it by SET ROLE alone is not reached.
        ([held(101, 100, becomes=False), held(102, 101, inherits=False)], {"team": ("team",)}),
        ([held(101, 100), held(100, 101)], {"team": ("team",)}),
    ],
)
def test_roles_that_are_reached(memberships: list[Held], reached: dict[str, tuple[str, ...]]) -> None:
    roles = Roles(ROLES, memberships)
    found = {roles.by_oid[oid].name: chain for oid, (chain, _) in roles.reached(100).items() if oid != 100}
    assert found == reached


@pytest.mark.parametrize(
    ("membership_", "chain"),
    [
        (held(103, 100), ("dba",)),
        (held(103, 100, inherits=False), ("dba",)),
        (held(103, 100, becomes=False), None),  # SUPERUSER is not inherited
    ],
)
def test_a_superuser_by_membership(membership_: Held, chain: tuple[str, ...] | None) -> None:
    assert Roles(ROLES, [membership_]).superuser_chain(100) == chain


def steps_of(memberships: list[Held], roles: list[Role] | None = None, *, before_16: bool = False) -> list[str]:
    known = Roles(roles or ROLES, memberships)
    powers = {4569: [Power("operating system", "runs programs")], 103: [Power("superuser", "owns something")]}
    return [" / ".join(item.steps) for item in _paths(known, powers, handing_out=before_16)]


def test_paths_to_more_power() -> None:
    assert steps_of([]) == []
    assert steps_of([held(101, 100), held(4569, 101)]) == [
        (
            "ann is a member of team / team is a member of pg_execute_server_program"
            " / pg_execute_server_program runs programs"
        )
    ]
    by_admin = steps_of([held(4569, 100, admin=True, inherits=False, becomes=False)])
    assert by_admin == [
        (
            "ann has the admin option of pg_execute_server_program and grants it to itself"
            " / pg_execute_server_program runs programs"
        )
    ]
    assert steps_of([held(103, 100, admin=True, inherits=False, becomes=False)]) == [], "superusers alone hand it out"
    assert steps_of([held(103, 100, becomes=False)]) == []
    assert steps_of([held(103, 100)]) == ["ann is a member of dba / dba is a superuser"]


def test_createrole_was_more_before_16() -> None:
    roles = [role if role.name != "ann" else a_role(100, "ann", createrole=True) for role in ROLES]
    assert steps_of([], roles) == []
    (path,) = steps_of([], roles, before_16=True)
    assert "before PostgreSQL 16" in path
    assert "runs programs" in path


@pytest.mark.parametrize(
    ("prefix", "line", "account", "process"),
    [
        ("%m [%p] %q%u@%d ", "2026-11-25 20:45:08.123 UTC [812] ann@shop LOG:  statement: X", "ann", "812"),
        ("%m [%p] %q%u@%d ", "2026-11-25 20:45:08.123 UTC [812] LOG:  checkpoint", "", "812"),
        ("%t:%r:%u@%d:[%p]: ", "2026-11-25 20:45:08 UTC:10.0.0.1(5120):ann@shop:[812]: LOG:  x", "ann", "812"),
        (
            "%t [%p]: [%l-1] user=%u,db=%d ",
            "2026-11-25 20:45:08 UTC [812]: [3-1] user=ann,db=shop LOG:  x",
            "ann",
            "812",
        ),
        ("%n %c %-12u %% ", "1795639508.123 6925f6d4.3a0 ann          % LOG:  x", "ann", "6925f6d4.3a0"),
        ("%m [%p] %q%u@%d ", "2026-11-25 20:45:08.123 UTC [812] first last@shop LOG:  x", "first last", "812"),
    ],
)
def test_lines_of_standard_error(prefix: str, line: str, account: str, process: str) -> None:
    (found,) = log.stderr_lines(iter([line + "\n"]), log.prefix_pattern(prefix), None)
    assert (found.account, found.process, found.severity) == (account, process, "LOG")
    assert found.time is not None
    assert found.time.replace(microsecond=0) == datetime(2026, 11, 25, 20, 45, 8, tzinfo=UTC)


def test_lines_that_go_on_belong_to_the_one_before() -> None:
    text = "2026-11-25 20:45:08.123 UTC [812] a@b LOG:  statement: GRANT x\n\t  TO y\nunknown\n\torphan\n"
    (found,) = log.stderr_lines(iter(text.splitlines(keepends=True)), DEBIAN, None)
    assert log.act(found) == "GRANT x\n  TO y"


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-10-25 02:30:00.000 CEST", 0),
        ("2026-10-25 02:30:00.000 CET", 1),  # the same time on the clock, an hour later
        ("2026-10-25 02:30:00.000 GMT", 2),
        ("2026-10-25 02:30:00.000 +03", 23),
    ],
)
def test_times_with_a_zone(text: str, hour: int) -> None:
    found = log.moment(text, ZoneInfo("Europe/Berlin"))
    assert found is not None
    assert found.hour == hour


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT team TO ann",
        "grant select on all tables in schema x to y",
        "BEGIN; REVOKE x FROM y",
        "/* a comment */ ALTER ROLE x SUPERUSER",
        "-- x\nCREATE USER a",
        "ALTER TABLE x OWNER TO y",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x",
        "ALTER TABLE x DISABLE ROW LEVEL SECURITY",
        "DO $$BEGIN EXECUTE 'GRANT x TO y'; END$$",
        "REASSIGN OWNED BY a TO b",
        "ALTER SYSTEM SET archive_command = 'x'",
        "/* /**/ */ GRANT admin TO mallory",
        "/* /* -- */ ' */ GRANT admin TO mallory",
        "GRANT/**/admin TO mallory /* no end",
        "SELECT 'C:\\'; /* x */ GRANT admin TO mallory",
        "SELECT 'it\\'s'; /* x */ GRANT admin TO mallory",
        "SELECT 1 AS a$b$; /* x */ GRANT admin TO mallory",
        "UPDATE pg_authid SET rolsuper = true WHERE rolname = 'mallory'",
        "update only /* x */ pg_catalog.pg_authid set rolsuper = true",
        'UPDATE "pg_catalog"."pg_authid" SET rolsuper = true',
        "WITH x AS (INSERT INTO pg_auth_members VALUES (10, 20)) SELECT 1",
        "DELETE FROM pg_db_role_setting",
        "UPDATE pg_proc SET prosecdef = true",
        "UPDATE pg_class SET relowner = 1",
        "INSERT INTO pg_namespace SELECT 1",
        "UPDATE pg_database SET datdba = 1",
        "DO $$BEGIN UPDATE pg_authid SET rolsuper = true; END$$",
        "COPY pg_auth_members FROM STDIN",
    ],
)
def test_statements_that_change_power(statement: str) -> None:
    assert log.act(log.Line(None, "", "", "LOG", f"statement: {statement}"))
    assert log.act(log.Line(None, "", "", "LOG", f"duration: 1.2 ms  statement: {statement}"))
    assert log.act(log.Line(None, "", "", "LOG", f"execute s1: {statement}"))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 'GRANT x TO y'",
        "CREATE TABLE grants (x int)",
        "DROP TABLE roles",
        "INSERT INTO role VALUES (1)",
        "SELECT 'UPDATE pg_authid SET x'",
        "SELECT * FROM pg_authid",
        "INSERT INTO pg_classes VALUES (1)",
        "/* GRANT x TO y */ SELECT 1",
        "/* /* */ ; GRANT x TO y */ SELECT 1",
    ],
)
def test_statements_that_do_not(statement: str) -> None:
    assert log.act(log.Line(None, "", "", "LOG", f"statement: {statement}")) is None


def test_a_statement_that_is_meant_to_take_long_does_not() -> None:
    """Each of these comments begins in the one before, and none has an end."""
    assert log.act(log.Line(None, "", "", "LOG", "statement: SELECT " + "/* " * 300_000)) is None


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("ALTER ROLE a PASSWORD 'S3cret'", "ALTER ROLE a PASSWORD '***'"),
        (
            "ALTER ROLE a ENCRYPTED PASSWORD E'S3c\\'ret' VALID UNTIL '2030-01-01'",
            "ALTER ROLE a ENCRYPTED PASSWORD '***' VALID UNTIL '2030-01-01'",
        ),
        ("alter role a password /* new */ 'S3''cret'", "alter role a password /* new */ '***'"),
        ("ALTER ROLE a PASSWORD $x$S3cret$x$", "ALTER ROLE a PASSWORD '***'"),
        ("ALTER ROLE a PASSWORD 'S3cret", "ALTER ROLE a PASSWORD '***'"),
        ("CREATE ROLE a PASSWORD NULL", "CREATE ROLE a PASSWORD NULL"),
        ("DO $$BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''S3cret'''; END$$", "DO '***'"),
        (
            "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password 'S3cret')",
            "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password '***')",
        ),
        ("ALTER ROLE a -- password S3cret\n LOGIN", "ALTER ROLE a /* */\n LOGIN"),
        ('GRANT x TO "it\'s"', 'GRANT x TO "it\'s"'),
        # Whether the first string ends where it seems to, a setting of the session says.
        ("ALTER ROLE a PASSWORD 'x\\'; ALTER ROLE b PASSWORD 'S3cret'", "ALTER ROLE a PASSWORD '***'"),
        ("COMMENT ON ROLE a IS 'C:\\'; ALTER ROLE a PASSWORD 'S3cret'", "COMMENT ON ROLE a IS '***'"),
        ("ALTER ROLE a PASSWORD U&'\\0053'; ALTER ROLE b PASSWORD 'S3'", "ALTER ROLE a PASSWORD '***'"),
        ("COMMENT ON ROLE a IS E'C:\\'; ALTER ROLE b PASSWORD ''S3'", "COMMENT ON ROLE a IS '***'"),
        ("ALTER ROLE a PASSWORD 'one' -- x\n 'S3cret' LOGIN", "ALTER ROLE a PASSWORD '***' -- x\n '***' LOGIN"),
        ("/* /* password 'S3' */ S3 */ GRANT x TO y", "/* */ GRANT x TO y"),
    ],
)
def test_secrets_do_not_leave_the_log(statement: str, shown: str) -> None:
    assert log.redacted(statement) == shown
    assert "S3" not in log.redacted(statement)


def test_lines_of_csv_and_json() -> None:
    row = (
        '2026-11-25 20:45:08.123 UTC,"ann","shop",812,"[local]",x.y,1,"GRANT",,3/1,0,LOG,00000,'
        '"statement: GRANT ""A""\n TO b",,,\n'
    )
    (found,) = log.csv_lines(iter([row]), None)
    assert (found.account, found.process, log.act(found)) == ("ann", "812", 'GRANT "A"\n TO b')
    entry = {"timestamp": "2026-11-25 20:45:08.123 UTC", "user": "ann", "pid": 812, "error_severity": "LOG"}
    lines = [json.dumps({**entry, "message": "statement: GRANT a TO b"}) + "\n", "not json\n"]
    (found,) = log.json_lines(iter(lines), None)
    assert (found.account, found.process, log.act(found)) == ("ann", "812", "GRANT a TO b")


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("connection authorized: user=ann database=shop application_name=psql", "ann"),
        ("connection authorized: user=first last database=shop SSL enabled (protocol=TLSv1.3)", "first last"),
        ("replication connection authorized: user=x", None),
        ("connection received: host=10.0.0.1", None),
    ],
)
def test_logins(text: str, account: str | None) -> None:
    assert log.login(log.Line(None, "", "", "LOG", text)) == account


def test_a_position_survives_rotation(tmp_path: Path) -> None:
    current = tmp_path / "postgresql-17-main.log"
    current.write_text("one\ntwo\nunfin")
    tail = Tail(str(current))
    assert list(tail) == ["one\n", "two\n"]
    position = tail.position()
    assert place([str(current)], position) == (0, 8)
    with current.open("a") as handle:
        handle.write("ished\n")
    assert list(Tail(str(current), 8)) == ["unfinished\n"]
    rotated = tmp_path / "postgresql-17-main.log.1"
    shutil.copy(current, rotated)  # as copytruncate does
    current.write_text("three\n")
    paths = [str(rotated), str(current)]
    assert place(paths, position) == (0, 8)
    packed = tmp_path / "postgresql-17-main.log.2.gz"
    packed.write_bytes(gzip.compress(rotated.read_bytes()))
    os.unlink(rotated)
    assert place([str(packed), str(current)], position) == (0, 8)
    assert list(Tail(str(packed), 8)) == ["unfinished\n"]
    assert place([str(current)], position) is None, "it is gone, which is no empty answer"
    with pytest.raises(InvalidInput, match="position"):
        place(paths, "nonsense")


def test_a_record_of_csv_is_read_as_a_whole(tmp_path: Path) -> None:
    current = tmp_path / "a.csv"
    current.write_text('1,"two\nlines"\n2,"half\n')
    tail = Tail(str(current), ending=".csv")
    assert list(tail) == ['1,"two\nlines"\n']
    assert tail.end == 14


def test_logins_are_picked_out_of_much_log(tmp_path: Path) -> None:
    current = tmp_path / "a.csv"
    record = '2026-11-25 20:45:08.123 UTC,"%s\nmore, ""x"""\n'
    current.write_text("".join(record % word for word in ["x"] * 50 + ["login"] + ["y"] * 10))
    size = len(record % "x")
    picked = list(Tail(str(current), size + 35, ending=".csv", only=b"login"))
    assert picked[:20] == [record % "x"] * 20, "it begins with the next record"
    assert picked[20:] == [record % "login"]


def test_files_of_one_form() -> None:
    paths = ["/l/a.log", "/l/a.csv", "/l/a.json", "/l/b.log.gz", "/l/b.csv.1"]
    assert of_form(paths, "") == ["/l/a.log", "/l/b.log.gz"]
    assert of_form(paths, ".csv") == ["/l/a.csv", "/l/b.csv.1"]


@pytest.mark.parametrize(
    ("kind", "name", "privilege", "expected"),
    [
        ("table", "app.orders", "SELECT", ("SELECT", "TABLE app.orders")),
        ("view", 'app."My view"', "SELECT", ("SELECT", 'TABLE app."My view"')),
        ("column", "app.orders (note)", "UPDATE", ("UPDATE (note)", "TABLE app.orders")),
        ("routine", "app.f(integer)", "EXECUTE", ("EXECUTE", "ROUTINE app.f(integer)")),
        ("large object", "16400", "SELECT", ("SELECT", "LARGE OBJECT 16400")),
        ("parameter", "archive_command", "ALTER SYSTEM", ("ALTER SYSTEM", "PARAMETER archive_command")),
    ],
)
def test_words_of_grant(kind: str, name: str, privilege: str, expected: tuple[str, str]) -> None:
    assert target(kind, name, privilege) == expected


def test_what_hangs_on_a_grant_option_comes_back_in_order() -> None:
    entries = [
        Entry("c", "SELECT", False, "b", foreign=True),
        Entry("a", "SELECT", True, "owner", foreign=False),
        Entry("b", "SELECT", True, "a", foreign=True),
        Entry("b", "INSERT", False, "a", foreign=True),
    ]
    assert [entry.grantee for entry in dependent(entries, "a", "SELECT")] == ["b", "c"]
    assert give(entries[1], "table", "app.t") == 'GRANT SELECT ON TABLE app.t TO "a" WITH GRANT OPTION'
    assert give(entries[2], "table", "app.t") == (
        "DO $holdfast$BEGIN IF has_table_privilege('a', 'app.t', 'SELECT WITH GRANT OPTION') THEN"
        ' SET LOCAL ROLE "a"; GRANT SELECT ON TABLE app.t TO "b" WITH GRANT OPTION; RESET ROLE; END IF; END$holdfast$'
    )


def test_a_name_cannot_end_the_statement_that_it_is_in() -> None:
    entry = Entry("b", "SELECT", False, "a", foreign=True)
    evil = 'app."x$holdfast$; DROP ROLE y; --"'
    text = give(entry, "table", evil)
    tag = text.split()[1].removesuffix("BEGIN")
    assert tag == "$holdfast_$"
    assert text.count(tag) == 2
    assert text.endswith(f"END{tag}")


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ('"$user", public', '"$user", "public"'),
        ('"My ""own"" schema", X', '"My ""own"" schema", "x"'),
        ("a;DROP/**/ROLE/**/b", '"a;drop/**/role/**/b"'),
        ('""', "''"),
    ],
)
def test_a_stored_list_is_names_and_nothing_else(stored: str, written: str) -> None:
    assert listed(stored) == written


@pytest.mark.parametrize(
    ("member", "statement"),
    [
        (Member("r", "m", "g", False, None, None), 'GRANT "r" TO "m"'),
        (Member("r", "m", "g", True, None, None), 'GRANT "r" TO "m" WITH ADMIN OPTION'),
        (
            Member("r", "m", "g", True, False, True),
            'GRANT "r" TO "m" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE GRANTED BY "g"',
        ),
    ],
)
def test_a_membership_is_made_as_it_was(member: Member, statement: str) -> None:
    assert membership(member) == statement


def test_steps_are_grouped_by_database_in_their_order() -> None:
    steps = [
        Step(Action.DROP, "x", "w", (name,), (), database) for name, database in (("1", "a"), ("2", "a"), ("3", ""))
    ]
    assert [(database, len(group)) for database, group in by_database(steps)] == [("a", 2), ("postgres", 1)]


@pytest.mark.parametrize(
    "statement", [*(check.statement for check in CHECKS if check.id in ("PG08", "PG16", "PG27")), _SETTINGS]
)
def test_what_the_role_that_asks_has_of_its_own_is_no_setting_of_the_server(statement: str) -> None:
    assert SERVER_VALUE in statement
    rest = statement.replace(SERVER_VALUE, "")
    for word in ("reset_val", "current_setting('log_statement", "current_setting('log_connections"):
        assert word not in rest, "a session begins with what its role and its database have"


def test_an_archive_without_a_command_and_a_network_of_every_address_are_asked_for() -> None:
    asked = {check.id: check.statement for check in CHECKS}
    assert "current_setting('archive_command') = ''" in asked["PG26"]
    assert "current_setting('archive_library', true)" in asked["PG26"], "servers before 15 do not have it"
    assert "masklen(net) = 0" in asked["PG10"], "10.0.0.0/0 is every address too"


def test_severities_are_those_of_the_facts() -> None:
    critical = {check.id for check in CHECKS if check.severity is Severity.CRITICAL}
    assert {"PG01", "PG02", "PG07", "PG14", "PG25"} <= critical


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([b"exporter", b"--dsn", b"postgresql://app:s3cret@db/shop"], True),
        ([b"exporter", b"postgres://app:s3cret@db/shop?sslmode=require"], True),
        ([b"psql", b"host=db dbname=shop password=s3cret"], True),
        ([b"psql", b"host=db dbname=shop", b"password = 1"], False),
        ([b"psql", b"postgresql://app@db/shop"], False),
        ([b"psql", b"postgresql://db:5432/shop"], False),
        ([b"mysql", b"--password=s3cret"], False),
        ([b"postgres: 15/main: walwriter "], False),
    ],
)
def test_a_password_for_the_server_in_arguments_is_seen(arguments: list[bytes], expected: bool) -> None:
    assert exposes(b"\0".join(arguments) + b"\0") is expected


def test_ciphers_without_forward_secrecy_are_told_as_openssl_reads_the_list() -> None:
    assert "AES256-GCM-SHA384" in without_secrecy("HIGH:MEDIUM:+3DES:!aNULL"), "the default before PostgreSQL 18"
    assert without_secrecy("ECDHE+AESGCM:ECDHE+CHACHA20") == []
    with pytest.raises(HoldfastError, match="finds no cipher"):
        without_secrecy("nonsense")
