"""What the logs of MariaDB tell about power: which statements, whose, without their passwords, and across rotation."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.engines._mariadb_audit_log import AuditLog, GeneralLog
from ansible.module_utils.holdfast.engines._mariadb_audit_redact import changes_power, redacted
from ansible.module_utils.holdfast.engines._mariadb_audit_tail import Position, Tail

AUDIT = "20251125 10:00:{:02},host1,root,localhost,{},1,{},shop,{},{}\n"
GENERAL = """/usr/sbin/mariadbd, Version: 11.8.3-MariaDB-log. started with:
Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock
Time\t\t    Id Command\tArgument
251125 10:00:00\t     5 Connect\troot@localhost on  using Socket
\t\t     5 Query\tCREATE USER a@b IDENTIFIED BY 'Secret-1'
251125 10:00:07\t     6 Connect\tapp@10.0.0.9 on shop using TCP/IP
\t\t     6 Query\tSELECT 1
\t\t     5 Query\tGRANT SELECT
ON shop.* TO a@b
\t\t     5 Quit\t
"""


@pytest.mark.parametrize(
    ("statement", "database", "changes"),
    [
        ("GRANT SELECT ON a.* TO b", "", True),
        ("  /* why */ revoke all on *.* from b", "", True),
        ("-- why\nALTER USER a IDENTIFIED BY 'x'", "", True),
        ("/*M!100100 CREATE ROLE x */", "", True),
        ("set  password = PASSWORD('x')", "", True),
        ("SET DEFAULT ROLE x FOR y", "", True),
        ("CREATE OR REPLACE USER a", "", True),
        ("RENAME USER a TO b", "", True),
        ("UPDATE mysql.global_priv SET Priv = '{}'", "", True),
        ("insert into `mysql`.`db` values (1)", "", True),
        ("DELETE FROM roles_mapping", "mysql", True),
        ("DELETE FROM roles_mapping", "shop", False),
        ("EXECUTE IMMEDIATE 'GRANT ALL ON *.* TO a'", "", True),
        ("PREPARE s FROM 'DROP USER a'", "", True),
        ("SELECT * FROM mysql.global_priv", "", False),
        ("INSERT INTO shop.grants VALUES ('GRANT x')", "", False),
        ("CREATE TABLE users (a INT)", "", False),
        ("SET @x = 'GRANT'", "", False),
        ("CREATE/**/USER x", "", True),
        ("DROP/* ; */USER x", "", True),
        ("GRANT# why\nSELECT ON a.* TO b", "", True),
        ("--\nGRANT SELECT ON a.* TO b", "", True),
        ("/*!50001CREATE*/ /*M! USER x */", "", True),
        ("/*!999999 don't */ DROP USER x", "", True),
        ("/*!999999 no server */ DROP USER x", "", True),
        ("DROP /*!999999 TABLE */ USER x", "", True),
        ("BEGIN NOT ATOMIC GRANT SELECT ON a.* TO b; END", "", True),
        ("BEGIN NOT ATOMIC SET @a = 1; DROP USER x; END", "", True),
        ("SET STATEMENT max_statement_time=1 FOR GRANT SELECT ON a.* TO b", "", True),
        ("SET STATEMENT max_statement_time=1 FOR UPDATE mysql.global_priv SET Priv = ''", "", True),
        ("IF 1 THEN GRANT SELECT ON a.* TO b; ELSE REVOKE SELECT ON a.* FROM b; END IF", "", True),
        ("IF 0 THEN SELECT 1; ELSE SET PASSWORD = PASSWORD('x'); END IF", "", True),
        ("WHILE 1 DO DROP ROLE r; END WHILE", "", True),
        ("l: LOOP DROP ROLE r; END LOOP", "", True),
        ("REPEAT DROP ROLE r; UNTIL 1 END REPEAT", "", True),
        ("ANALYZE FORMAT=JSON UPDATE mysql.global_priv SET Priv = ''", "", True),
        ("BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'DROP USER a'; END", "", True),
        ("EXECUTE IMMEDIATE CONCAT('GR', 'ANT ALL ON *.* TO a')", "", True),
        ("EXECUTE IMMEDIATE 'SELECT 1'", "", False),
        ("SELECT 'a; GRANT x'", "", False),
        ("SELECT 1 /* ; GRANT x */", "", False),
        ("SELECT 1 -- ; GRANT x", "", False),
        ("SELECT * FROM `a; GRANT x`", "", False),
        ("SELECT user FROM shop.t FOR UPDATE", "", False),
        ("SHOW GRANTS FOR CURRENT_USER", "", False),
        ("SHOW CREATE USER a", "", False),
        ("SELECT 7 - -7 FROM users", "", False),
    ],
)
def test_tells_what_changes_power(statement: str, database: str, changes: bool) -> None:
    assert changes_power(statement, database) is changes


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("GRANT USAGE ON *.* TO 'a'@'%' IDENTIFIED BY 'Secret'", "GRANT USAGE ON *.* TO 'a'@'%' IDENTIFIED BY '…'"),
        ("ALTER USER a IDENTIFIED BY PASSWORD '*1F'", "ALTER USER a IDENTIFIED BY PASSWORD '…'"),
        ("CREATE USER a IDENTIFIED BY 'it''s \\' one', 'b'", "CREATE USER a IDENTIFIED BY '…', 'b'"),
        ('SET PASSWORD FOR "a"@"b" = "Secret"', 'SET PASSWORD FOR "a"@"b" = \'…\''),
        (
            "ALTER USER a IDENTIFIED VIA x USING 'Secret' OR y USING 'Secret'",
            "ALTER USER a IDENTIFIED VIA x USING '…' OR y USING '…'",
        ),
        ("SET PASSWORD = PASSWORD('cut in the mid", "SET PASSWORD = PASSWORD('…'"),
        ("UPDATE mysql.user SET a = 'Secret', b = 'c'", "UPDATE mysql.user SET a = '…', b = '…'"),
        ("GRANT SELECT\n  ON a.* TO b", "GRANT SELECT ON a.* TO b"),
    ],
)
def test_hides_every_literal_that_could_be_a_password(statement: str, shown: str) -> None:
    assert redacted(statement) == shown


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("ALTER USER 'a'@'%' /* don't log */ IDENTIFIED BY 'Secret'", "ALTER USER 'a'@'%' IDENTIFIED BY '…'"),
        ("ALTER USER a -- don't log\nIDENTIFIED BY 'Secret'", "ALTER USER a IDENTIFIED BY '…'"),
        ("ALTER USER a # don't log\n IDENTIFIED BY 'Secret'", "ALTER USER a IDENTIFIED BY '…'"),
        ("ALTER USER a --\nIDENTIFIED BY 'Secret'", "ALTER USER a IDENTIFIED BY '…'"),
        ("ALTER USER a IDENTIFIED BY 'Secret' /* Secret", "ALTER USER a IDENTIFIED BY '…'"),
        ("ALTER/**/USER a /*!50001 IDENTIFIED BY 'Secret' */", "ALTER USER a IDENTIFIED BY '…'"),
        ("ALTER USER `it's` IDENTIFIED BY 'Secret'", "ALTER USER `it's` IDENTIFIED BY '…'"),
        # A server that is older than the comment says does not run it, and reads on behind it.
        ("ALTER USER a /*!999999 don't */ IDENTIFIED BY 'Secret'", "ALTER USER a don '…'"),
        (
            "GRANT ALL ON *.*/* don't */TO a IDENTIFIED BY 'Secret'",
            "GRANT ALL ON *.* TO a IDENTIFIED BY '…'",
        ),
        ("ALTER USER a IDENTIFIED BY /*!999999 , */ 'Secret'", "ALTER USER a IDENTIFIED BY , '…'"),
        ("ALTER USER a IDENTIFIED BY 'Secret\\", "ALTER USER a IDENTIFIED BY '…'"),
        (
            "SET STATEMENT max_statement_time=1 FOR GRANT USAGE ON *.* TO 'a'@'b' IDENTIFIED BY 'Secret'",
            "SET STATEMENT max_statement_time=1 FOR GRANT USAGE ON *.* TO 'a'@'b' IDENTIFIED BY '…'",
        ),
        # Of more than one statement, or one that is not known, it cannot be told which literals are names.
        (
            "BEGIN NOT ATOMIC SET @p = CONCAT('x', 'Secret'); GRANT a TO 'b'; END",
            "BEGIN NOT ATOMIC SET @p = CONCAT('…', '…'); GRANT a TO '…'; END",
        ),
        ("IF 1 THEN ALTER USER 'a' IDENTIFIED BY 'Secret'", "IF 1 THEN ALTER USER '…' IDENTIFIED BY '…'"),
        ("GRANT r TO 'a'; SET @p = CONCAT('x', 'Secret')", "GRANT r TO '…'; SET @p = CONCAT('…', '…')"),
        ("UPDATE mysql.user SET a = 0x536563726574", "UPDATE mysql.user SET a = '…'"),
    ],
)
def test_no_comment_and_no_prefix_shows_a_password(statement: str, shown: str) -> None:
    assert redacted(statement) == shown


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (
            "EXECUTE IMMEDIATE 'ALTER USER ''a'' IDENTIFIED BY ''Secret'''",
            "EXECUTE IMMEDIATE 'ALTER USER 'a' IDENTIFIED BY '…''",
        ),
        ("PREPARE s FROM 'DROP USER a'", "PREPARE s FROM 'DROP USER a'"),
        (
            "EXECUTE IMMEDIATE CONCAT('ALTER USER a IDENTIFIED BY ', QUOTE('Secret'))",
            "EXECUTE IMMEDIATE CONCAT('ALTER USER a IDENTIFIED BY', QUOTE('…'))",
        ),
        (
            "EXECUTE IMMEDIATE CONCAT('ALTER USER a IDENTIFIED BY \\'Sec', 'ret', '\\'')",
            "EXECUTE IMMEDIATE CONCAT('ALTER USER a IDENTIFIED BY '…'', '…', '…')",
        ),
        (
            "EXECUTE IMMEDIATE CONCAT('SET PASSWORD = PASSWORD(', '\"Sec', ';DROP USER Secret', '\")')",
            "EXECUTE IMMEDIATE CONCAT('SET PASSWORD = PASSWORD(', '…', '…', '…')",
        ),
        ("BEGIN NOT ATOMIC EXECUTE IMMEDIATE CONCAT('Sec', 'ret'); END", None),
        ("EXECUTE IMMEDIATE 'GRANT a TO b' USING 'Secret'", "EXECUTE IMMEDIATE 'GRANT a TO b' USING '…'"),
    ],
)
def test_hides_passwords_in_statements_that_are_built(statement: str, shown: str | None) -> None:
    assert "Secret" not in redacted(statement)
    assert redacted(statement) == (shown or "BEGIN NOT ATOMIC EXECUTE IMMEDIATE CONCAT('…', '…'); END")


def test_a_long_statement_is_judged_in_no_time() -> None:
    rows = ", ".join(f"({number}, 'it''s user {number}', \"a\")" for number in range(20_000))
    began = time.process_time()
    assert not changes_power(f"INSERT INTO shop.people VALUES {rows}")
    assert not changes_power("SELECT /*" * 10_000 + " 'grant")
    assert not changes_power("FOR UPDATE " * 50_000)
    assert time.process_time() - began < 5


def _audit(second: int, statement: str, code: int = 0, operation: str = "QUERY") -> str:
    quoted = "'" + statement.replace("'", "\\'").replace("\n", "\\n") + "'"
    return AUDIT.format(second, second, operation, quoted, code)


def test_reads_the_audit_log_from_where_it_stopped(tmp_path: Path) -> None:
    log = tmp_path / "server_audit.log"
    log.write_text(_audit(1, "GRANT a, b ON x.* TO y") + _audit(2, "DROP USER z", 1396) + _audit(3, "SELECT 'grant'"))
    entries, position, gap = AuditLog(str(log)).entries("")
    assert [(entry.user, entry.host, entry.statement) for entry in entries] == [
        ("root", "localhost", "GRANT a, b ON x.* TO y")
    ]
    assert entries[0].time
    assert not gap
    half = _audit(4, "DROP USER q")
    with log.open("a") as stream:
        stream.write(_audit(5, "DROP ROLE r") + half[:20])
    entries, position, _ = AuditLog(str(log)).entries(position)
    assert [entry.statement for entry in entries] == ["DROP ROLE r"]
    with log.open("a") as stream:
        stream.write(half[20:])
    entries, position, _ = AuditLog(str(log)).entries(position)
    assert [entry.statement for entry in entries] == ["DROP USER q"]
    assert AuditLog(str(log)).entries(position)[0] == []


@pytest.mark.parametrize("copied", [False, True])
def test_a_rotated_log_is_read_to_its_end(tmp_path: Path, copied: bool) -> None:
    log = tmp_path / "server_audit.log"
    log.write_text(_audit(1, "DROP ROLE one"))
    _, position, _ = AuditLog(str(log)).entries("")
    with log.open("a") as stream:
        stream.write(_audit(2, "DROP ROLE two"))
    (tmp_path / "server_audit.log.1").write_text("") if copied else None
    if copied:
        (tmp_path / "server_audit.log.1").write_text(log.read_text())
        os.truncate(log, 0)
    else:
        log.rename(tmp_path / "server_audit.log.1")
    with log.open("a") as stream:
        stream.write(_audit(3, "DROP ROLE three"))
    entries, position, gap = AuditLog(str(log)).entries(position)
    assert [entry.statement for entry in entries] == ["DROP ROLE two", "DROP ROLE three"]
    assert not gap
    assert AuditLog(str(log)).entries(position)[0] == []


def test_a_gap_is_told_and_what_is_left_is_read(tmp_path: Path) -> None:
    log = tmp_path / "server_audit.log"
    log.write_text(_audit(1, "DROP ROLE one"))
    _, position, _ = AuditLog(str(log)).entries("")
    log.write_text(_audit(7, "DROP ROLE seven"))
    entries, _, gap = AuditLog(str(log)).entries(position)
    assert gap
    assert [entry.statement for entry in entries] == ["DROP ROLE seven"]


def test_a_log_that_is_not_there_yet_is_empty_and_one_that_is_shut_is_an_error(tmp_path: Path) -> None:
    assert AuditLog(str(tmp_path / "none")).entries("")[0] == []
    (tmp_path / "directory").mkdir()
    with pytest.raises(errors.HoldfastError):
        AuditLog(str(tmp_path / "directory")).entries("")
    with pytest.raises(errors.InvalidInput):
        Position.parse("yesterday")


def test_logins_are_those_that_succeeded(tmp_path: Path) -> None:
    log = tmp_path / "server_audit.log"
    line = "20251125 10:00:01,h,{},10.0.0.9,5,0,CONNECT,shop,,{}\n"
    log.write_text(line.format("app", 0) + line.format("guess", 1045) + _audit(2, ",CONNECT,"))
    assert [(user, host) for _, user, host in AuditLog(str(log)).logins()] == [("app", "10.0.0.9")]


def test_reads_the_general_log(tmp_path: Path) -> None:
    log = tmp_path / "host1.log"
    log.write_text(GENERAL)
    entries, position, _ = GeneralLog(str(log)).entries("")
    assert [(entry.user, entry.statement) for entry in entries] == [
        ("root", "CREATE USER a@b IDENTIFIED BY '…'"),
        ("root", "GRANT SELECT ON shop.* TO a@b"),
    ]
    with log.open("a") as stream:
        stream.write("\t\t     6 Query\tDROP ROLE x\n")  # who 6 is stands before, and so does the time
    entries, _, _ = GeneralLog(str(log)).entries(position)
    assert [(entry.user, entry.host, entry.statement) for entry in entries] == [("app", "10.0.0.9", "DROP ROLE x")]
    assert entries[0].time
    assert {user for _, user, _ in GeneralLog(str(log)).logins()} == {"root", "app"}


def test_only_the_end_of_a_long_log_is_looked_through(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n" * 10)
    (tmp_path / "log.1").write_text("older\n")
    with Tail(str(log), None) as tail:
        assert list(tail.recent(8)) == [b"old", b"old"]
        assert list(tail.recent(42))[-1] in (b"r", b"")
