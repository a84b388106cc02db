"""The audit of MariaDB, as far as it needs no server: what is stored is read, roles resolved, checks answered."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.audit.model import FRAMEWORKS, Severity
from ansible.module_utils.holdfast.engines import _mariadb_audit_accounts as accounts
from ansible.module_utils.holdfast.engines import _mariadb_audit_catalog as catalog
from ansible.module_utils.holdfast.engines import _mariadb_audit_rights as rights
from ansible.module_utils.holdfast.engines._mariadb_audit import _ANSWERS, CHECKS
from ansible.module_utils.holdfast.engines._mariadb_audit_answers import Question
from ansible.module_utils.holdfast.engines._mariadb_audit_graph import Graph
from ansible.module_utils.holdfast.engines._mariadb_audit_paths import escalations

ALL = 2**64 - 1
NEW = 110809
HASH = "*AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Fake:
    """Answers statements that begin so, and variables."""

    def __init__(self, answers: Mapping[str, Sequence[tuple[Any, ...]]], **variables: str) -> None:
        self._answers = answers
        self._variables = variables

    def rows(self, statement: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return list(next((rows for words, rows in self._answers.items() if words in statement), ()))

    def stream(self, statement: str, arguments: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        yield from self.rows(statement)

    def records(self, statement: str) -> list[dict[str, Any]]:
        return []

    def variables(self, *names: str) -> dict[str, str]:
        return {name: self._variables[name] for name in names if name in self._variables}


def stored(user: str, host: str = "localhost", access: int = 0, **more: Any) -> catalog.Principal:
    value = {"access": access, "version_id": NEW, "plugin": "mysql_native_password", "authentication_string": HASH}
    return catalog.principal(user, host, json.dumps({**value, **more}))


def role(name: str, *privileges: str) -> catalog.Principal:
    return stored(name, "", bits(*privileges), is_role=True)


def bits(*privileges: str) -> int:
    return sum(1 << catalog.PRIVILEGES.index(name) for name in privileges)


def ask(
    id_: str, *principals: catalog.Principal, held: Sequence[tuple[str, str, bool]] = (), **options: Any
) -> list[str]:
    check = next(check for check in CHECKS if check.id == id_)
    reader = options.pop("reader", None) or Fake(options.pop("answers", {}), **options)
    question = Question(check, reader, Graph(principals, held), "mysql")
    return [f"{item.subject}: {item.found}" for item in _ANSWERS[id_](question)]


class Refusing(Fake):
    """A server that answers nothing."""

    def rows(self, statement: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        raise errors.AccessDenied("SELECT command denied")

    def records(self, statement: str) -> list[dict[str, Any]]:
        raise errors.AccessDenied("SHOW command denied")

    def variables(self, *names: str) -> dict[str, str]:
        raise errors.AccessDenied("SELECT command denied")


def test_a_server_that_refuses_passes_no_check() -> None:
    with pytest.raises(errors.AccessDenied):
        Graph.read(Refusing({}))
    of_graph = {"MY01", "MY02", "MY03", "MY04", "MY05", "MY06", "MY07", "MY08", "MY09", "MY12", "MY26"}
    for check in CHECKS:
        if check.id not in of_graph:
            with pytest.raises(errors.AccessDenied):
                ask(check.id, stored("u", "%"), reader=Refusing({}))


def test_every_check_says_what_it_asks_and_has_an_answer() -> None:
    assert [check.id for check in CHECKS] == [f"MY{number:02}" for number in range(1, 37)]
    assert _ANSWERS.keys() == {check.id for check in CHECKS}
    for check in CHECKS:
        assert all((check.title, check.rationale, check.remediation, check.statement)), check.id
        assert check.controls
        assert set(check.controls) <= set(FRAMEWORKS)
        assert all(numbers for numbers in check.controls.values())
        assert isinstance(check.severity, Severity)


@pytest.mark.parametrize(
    ("access", "version", "has", "has_not"),
    [
        (ALL, 0, {"SUPER", "SHOW CREATE ROUTINE", "GRANT OPTION", "BINLOG REPLAY"}, set()),
        (1 << 15, NEW, {"SUPER"}, {"SET USER"}),
        (1 << 15, 100400, {"SUPER", "SET USER", "BINLOG REPLAY"}, {"FILE"}),  # of before SUPER was split
        (1 << 9 | 1 << 25, NEW, {"FILE", "CREATE USER"}, {"SUPER"}),
        (0, NEW, set(), {"SELECT"}),
    ],
)
def test_reads_the_number_of_privileges(access: int, version: int, has: set[str], has_not: set[str]) -> None:
    found = catalog.principal("a", "b", json.dumps({"access": access, "version_id": version})).privileges
    assert has <= found
    assert not has_not & found


@pytest.mark.parametrize(
    ("value", "methods", "can_log_in"),
    [
        ({"plugin": "mysql_native_password", "authentication_string": HASH}, ["mysql_native_password"], True),
        ({"plugin": "", "authentication_string": ""}, ["mysql_native_password"], True),
        ({"plugin": "mysql_native_password", "authentication_string": "invalid"}, ["mysql_native_password"], False),
        (
            {
                "plugin": "mysql_native_password",
                "authentication_string": "invalid",
                "auth_or": [{}, {"plugin": "unix_socket"}],
            },
            ["mysql_native_password", "unix_socket"],
            True,
        ),
        ({"plugin": "ed25519", "authentication_string": "x", "account_locked": True}, ["ed25519"], False),
        ({"is_role": True}, [], False),
    ],
)
def test_reads_the_ways_to_log_in(value: dict[str, Any], methods: list[str], can_log_in: bool) -> None:
    found = catalog.principal("a", "localhost", json.dumps(value))
    assert [method.plugin for method in found.methods] == methods
    assert found.can_log_in is can_log_in


def test_an_entry_that_is_no_json_is_an_error_that_does_not_show_it() -> None:
    with pytest.raises(errors.CommandFailed) as caught:
        catalog.principal("a", "b", '{"authentication_string":"*SECRET')
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "database", "fits"),
    [
        ("shop", "shop", True),
        ("shop", "shop2", False),
        ("sh%", "shop", True),
        ("s_op", "shop", True),
        (r"s\_op", "shop", False),
        (r"app\_%", "app_one", True),
        (r"app\_%", "apples", False),
        ("a.b", "axb", False),
    ],
)
def test_a_grant_on_a_database_is_a_pattern(pattern: str, database: str, fits: bool) -> None:
    assert catalog.matches(pattern, database) is fits


def test_roles_are_resolved_with_the_shortest_chain_and_circles_end() -> None:
    held = [
        ("b", "a", False),
        ("c", "b", False),
        ("c", "u@localhost", True),
        ("a", "c", False),
        ("a", "u@localhost", False),
    ]
    graph = Graph([role("a"), role("b"), role("c", "FILE"), stored("u", default_role="c")], held)
    assert graph.reach["u@localhost"] == {"c": ("c",), "a": ("a",), "b": ("a", "b")}
    assert graph.reach["a"] == {"b": ("b",), "c": ("b", "c")}
    assert graph.powers("u@localhost") == {"FILE": ("c",)}
    members = {(item.role, item.member): item for item in rights.memberships(graph)}
    assert members["c", "u@localhost"].inherits
    assert members["c", "u@localhost"].admin
    assert not members["a", "u@localhost"].inherits  # not its default: after SET ROLE


@pytest.mark.parametrize(
    ("principals", "held", "superuser"),
    [
        ([stored("u", access=ALL)], [], True),
        ([stored("u", access=bits(*catalog.EVERYTHING))], [], True),
        ([stored("u", access=bits("SUPER", "SELECT"))], [], False),
        ([role("r", *catalog.EVERYTHING), stored("u")], [("r", "u@localhost", False)], False),
        ([role("r", *catalog.EVERYTHING), stored("u", default_role="r")], [("r", "u@localhost", False)], True),
        ([role("r", *catalog.EVERYTHING), stored("u", default_role="r")], [], False),  # the role was taken away
        ([role("PUBLIC", *catalog.EVERYTHING), stored("u")], [], True),
    ],
)
def test_a_superuser_has_everything_from_login_on(principals: Any, held: Any, superuser: bool) -> None:
    assert ("u@localhost" in Graph(principals, held).superusers) is superuser


def test_rights_go_to_each_holder_of_a_role_once() -> None:
    principals = [stored("u"), stored("root", access=ALL), role("r"), role("PUBLIC")]
    graph = Graph(principals, [("r", "u@localhost", False), ("r", "root@localhost", True)])
    reader = Fake(
        {
            "mysql.tables_priv": [("r\0\0shop\0bills\0Select,Insert,Grant",), ("PUBLIC\0\0shop\0odd name\0Show view",)],
            "mysql.columns_priv": [("u", "localhost", "shop", "bills", "total", "Update")],
            "mysql.procs_priv": [("u", "localhost", "shop", "run", "PROCEDURE", "Execute")],
            "mysql.proc": [("shop", "run", "procedure", "root@localhost")],
        }
    )
    found = {(item.account, item.privilege, item.object, item.via) for item in rights.rights(reader, graph)}
    assert found == {
        ("root@localhost", "ALL PRIVILEGES", "*.*", ()),
        ("r", "SELECT", "shop.bills", ()),
        ("r", "INSERT", "shop.bills", ()),
        ("u@localhost", "SELECT", "shop.bills", ("r",)),
        ("u@localhost", "INSERT", "shop.bills", ("r",)),
        ("PUBLIC", "SHOW VIEW", "shop.`odd name`", ()),
        ("u@localhost", "UPDATE", "shop.bills(total)", ()),
        ("u@localhost", "EXECUTE", "shop.run", ()),
        ("u@localhost", "EXECUTE AS root@localhost", "shop.run", ("root@localhost",)),
    }
    assert all(item.grantable for item in rights.rights(reader, graph) if item.object == "shop.bills")


def test_rights_that_are_lent_are_no_direct_ones() -> None:
    graph = Graph([stored("u"), role("r"), role("PUBLIC")], [("r", "u@localhost", False)])
    reader = Fake(
        {
            "mysql.procs_priv": [("r", "", "shop", "run", "PROCEDURE", "Execute")],
            "mysql.proc": [("shop", "run", "procedure", "admin@localhost")],
        }
    )
    lent = [item for item in rights.rights(reader, graph) if item.source == "routine"]
    assert {item.account: item.via for item in lent} == {
        "r": ("admin@localhost",),
        "u@localhost": ("r", "admin@localhost"),
    }


def test_a_grant_option_that_stayed_behind_is_a_right() -> None:
    graph = Graph([stored("u", access=bits("GRANT OPTION")), stored("v", access=bits("FILE", "GRANT OPTION"))], [])
    reader = Fake({"mysql.tables_priv": [("u\0localhost\0shop\0bills\0Grant",)]})
    found = {(item.account, item.privilege, item.object, item.grantable) for item in rights.rights(reader, graph)}
    assert found == {
        ("u@localhost", "GRANT OPTION", "*.*", True),
        ("u@localhost", "GRANT OPTION", "shop.bills", True),
        ("v@localhost", "FILE", "*.*", True),
    }


@pytest.mark.parametrize(
    ("table", "columns", "read"),
    [("Select,Grant", "", True), ("Grant", "", True), ("Select", "Update", True), ("Grant", "Select", False)],
)
def test_a_grant_option_of_columns_is_none_alone(table: str, columns: str, read: bool) -> None:
    with closing(sqlite3.connect(":memory:")) as rows:
        rows.execute("CREATE TABLE tables_priv (Table_priv, Column_priv)")
        rows.execute("INSERT INTO tables_priv VALUES (?, ?)", (table, columns))
        condition = catalog.TABLES.partition(" WHERE ")[2]
        assert bool(rows.execute(f"SELECT 1 FROM tables_priv WHERE {condition}").fetchall()) is read


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ({}, []),
        ({"server_audit_incl_users": "app,web"}, ["server_audit_incl_users: of nobody but app,web"]),
        ({"server_audit_excl_users": "app"}, ["server_audit_excl_users: not logged: app"]),
        # The server does not look at those left out where others are named.
        (
            {"server_audit_incl_users": "app", "server_audit_excl_users": "web"},
            ["server_audit_incl_users: of nobody but app"],
        ),
    ],
)
def test_an_audit_log_of_some_is_none_of_the_others(listed: dict[str, str], found: list[str]) -> None:
    rows = {"server_audit": "ACTIVE", "server_audit_logging": "ON", "server_audit_events": "", **listed}
    got = ask("MY21", answers={"AUDIT": list(rows.items())})
    assert len(got) == len(found)
    assert all(row.startswith(text) for row, text in zip(got, found, strict=True)), got


@pytest.mark.parametrize(
    ("id_", "principals", "found"),
    [
        ("MY01", [stored(""), stored("a")], ["@localhost: an account without a name"]),
        ("MY02", [stored("a", "%"), stored("b", "10.%"), stored("c", "")], ["a@%: may log", "c@: may log"]),
        ("MY02", [stored("a", "%", account_locked=True)], ["a@%: may log in from %, and is locked"]),
        (
            "MY03",
            [stored("root", "%"), stored("root"), stored("x", "%", ALL)],
            ["root@%: the name", "x@%: all privileges"],
        ),
        ("MY04", [stored("a", authentication_string=""), stored("b")], ["a@localhost: logs in without"]),
        ("MY04", [stored("a", authentication_string="", account_locked=True)], []),
        ("MY04", [stored("a", plugin="unix_socket", authentication_string="")], []),
        ("MY06", [stored("a"), stored("b", authentication_string="invalid")], ["a@localhost: mysql_native_password"]),
        ("MY07", [stored("a", access=bits("FILE")), stored("root", access=ALL)], ["a@localhost: FILE"]),
        (
            "MY08",
            [stored("a", access=ALL), stored("root", access=ALL), stored("mysql", access=ALL)],
            ["a@localhost: ALL"],
        ),
        ("MY09", [stored("a", access=bits("PROCESS", "FILE"))], ["a@localhost: PROCESS"]),
        ("MY12", [stored("a", access=bits("SELECT", "SUPER", "GRANT OPTION"))], ["a@localhost: SELECT on *.*"]),
    ],
)
def test_accounts_are_judged(id_: str, principals: list[catalog.Principal], found: list[str]) -> None:
    rows = ask(id_, *principals)
    assert len(rows) == len(found)
    assert all(row.startswith(text) for row, text in zip(rows, found, strict=True)), rows


def test_accounts_of_elsewhere_need_tls_unless_the_server_asks_it_of_all() -> None:
    principals = [stored("a", "%"), stored("b", "%", ssl_type=1), stored("c")]
    assert ask("MY18", *principals, require_secure_transport="OFF") == ["a@%: may log in from % without TLS"]
    assert ask("MY18", *principals, require_secure_transport="ON") == []


def test_powers_through_public_and_roles_are_found() -> None:
    principals = [role("r", "FILE"), role("PUBLIC", "PROCESS"), stored("u")]
    rows = ask("MY26", *principals, held=[("r", "u@localhost", False)])
    assert rows == ["every account: PROCESS through PUBLIC", "u@localhost: FILE through r"]


def test_code_runs_as_accounts_and_roles_that_are_there_or_not() -> None:
    rows = [
        ("procedure", "shop", "of_role", "weak@", "DEFINER"),
        ("procedure", "shop", "of_strong_role", "strong@", "DEFINER"),
        ("view", "shop", "orphan", "gone@", "DEFINER"),
        ("view", "shop", "harmless", "gone@", "INVOKER"),
        ("event", "shop", "nightly", "root@localhost", "DEFINER"),
    ]
    principals = [role("weak"), role("strong", "SUPER"), stored("root", access=ALL)]
    assert ask("MY25", *principals, answers={"mysql.event": rows}) == [
        "procedure shop.of_strong_role: runs as strong, which is powerful",
        "view shop.orphan: runs as gone@, which is not there",
        "event shop.nightly: runs as root@localhost, which is powerful",
    ]


def test_what_roles_and_public_give_on_every_database_is_found() -> None:
    principals = [role("r", "SELECT"), role("PUBLIC", "INSERT"), role("all", *catalog.EVERYTHING), stored("u")]
    held = [("r", "u@localhost", False), ("all", "u@localhost", False)]
    assert ask("MY12", *principals, held=held[:1]) == [
        "every account: INSERT on *.*",
        "u@localhost: SELECT on *.* through r",
    ]
    assert ask("MY26", *principals, held=held) == ["u@localhost: ALL PRIVILEGES through all"]


@pytest.mark.parametrize(
    ("id_", "variables", "found"),
    [
        ("MY14", {"local_infile": "ON"}, ["local_infile: ON"]),
        ("MY14", {"local_infile": "OFF"}, []),
        ("MY15", {"secure_file_priv": ""}, ["secure_file_priv: empty: no limit"]),
        ("MY15", {"secure_file_priv": "/var/lib/mysql-files/"}, []),
        ("MY17", {"tls_version": "TLSv1.1,TLSv1.2", "have_ssl": "YES"}, ["tls_version: TLSv1.1 is accepted"]),
        ("MY17", {"tls_version": "TLSv1.2,TLSv1.3", "have_ssl": "YES"}, []),
        ("MY22", {"sql_mode": "STRICT_ALL_TABLES,ANSI"}, []),
        ("MY22", {"sql_mode": ""}, ["sql_mode: empty"]),
        ("MY23", {"bind_address": "", "skip_networking": "OFF"}, ["bind_address: empty: every address"]),
        ("MY23", {"bind_address": "10.0.0.1,::", "skip_networking": "OFF"}, ["bind_address: ::"]),
        ("MY23", {"bind_address": "*", "skip_networking": "ON"}, []),
        (
            "MY24",
            {"log_bin": "ON", "sync_binlog": "0", "innodb_flush_log_at_trx_commit": "2"},
            ["sync_binlog: 0", "innodb_flush_log_at_trx_commit: 2"],
        ),
        ("MY24", {"log_bin": "ON", "sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1"}, []),
        ("MY31", {"max_password_errors": "10"}, []),
        ("MY32", {"log_bin": "ON", "encrypt_binlog": "ON"}, []),
    ],
)
def test_settings_are_judged(id_: str, variables: dict[str, str], found: list[str]) -> None:
    assert ask(id_, **variables) == found


@pytest.mark.parametrize(
    ("id_", "variables"),
    [
        ("MY17", {"tls_version": "TLSv1.2", "have_ssl": "DISABLED"}),
        ("MY32", {"log_bin": "OFF", "encrypt_binlog": "OFF"}),
        ("MY34", {}),
        ("MY28", {"datadir": "/"}),
        ("MY14", {}),  # a version without the variable
    ],
)
def test_what_a_server_does_not_have_is_not_applicable(id_: str, variables: dict[str, str]) -> None:
    with pytest.raises(errors.Unsupported):
        ask(id_, **variables)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([], ["password validation: neither"]),
        ([("simple_password_check", "DISABLED")], ["password validation: neither"]),
        (
            [
                ("simple_password_check", "ACTIVE"),
                ("simple_password_check_minimal_length", "8"),
                ("simple_password_check_digits", "1"),
                ("simple_password_check_letters_same_case", "1"),
                ("simple_password_check_other_characters", "0"),
                ("strict_password_validation", "OFF"),
            ],
            ["strict_password_validation", "simple_password_check_minimal", "simple_password_check_other"],
        ),
        ([("cracklib_password_check", "ACTIVE"), ("strict_password_validation", "ON")], []),
    ],
)
def test_password_validation_is_judged_by_what_it_asks_for(rows: list[tuple[str, str]], found: list[str]) -> None:
    got = ask("MY19", answers={"PASSWORD VALIDATION": rows})
    assert len(got) == len(found)
    assert all(row.startswith(text) for row, text in zip(got, found, strict=True))


@pytest.mark.parametrize(
    ("privileges", "variables", "reaches"),
    [
        (["CREATE USER"], {}, "superuser"),
        (["UPDATE"], {}, "superuser"),
        (["BINLOG REPLAY"], {}, "superuser"),
        (["SUPER"], {}, "operating system"),
        (["FILE"], {"secure_file_priv": ""}, "operating system"),
        (["FILE"], {"secure_file_priv": "/srv/in/"}, ""),
        (["REPLICATION SLAVE"], {"log_bin": "ON"}, "every row"),
        (["REPLICATION SLAVE"], {"log_bin": "OFF"}, ""),
        (["SET USER"], {}, ""),
        (["SET USER", "CREATE ROUTINE"], {}, "superuser"),
        (["GRANT OPTION", "SELECT", "DELETE", "PROCESS"], {}, ""),
    ],
)
def test_powers_that_lead_further(privileges: list[str], variables: dict[str, str], reaches: str) -> None:
    graph = Graph([role("r", *privileges), stored("u")], [("r", "u@localhost", False)])
    found = escalations(Fake({}, **variables), graph)
    assert [item.reaches for item in found] == ([reaches] if reaches else [])
    assert all(item.steps[0] == "holds the role r" for item in found)


def test_a_role_that_has_everything_is_one_path() -> None:
    graph = Graph([role("all", *catalog.EVERYTHING), stored("u")], [("all", "u@localhost", False)])
    (found,) = escalations(Fake({}, secure_file_priv=""), graph)
    assert found.steps[-1] == "all has all privileges; u@localhost takes it with SET ROLE `all`"


def test_who_cannot_log_in_has_no_path() -> None:
    assert escalations(Fake({}), Graph([stored("u", access=bits("SUPER"), account_locked=True)], [])) == []


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "u@localhost"),
        ("10.1.2.3", "u@10.1.2.3"),
        ("10.1.2.4", "u@10.1.%"),
        ("10.9.9.9", "u@10.9.0.0/255.255.0.0"),
        ("192.0.2.1", "u@%"),
    ],
)
def test_a_login_belongs_to_the_most_specific_account(host: str, name: str) -> None:
    hosts = ("%", "10.1.%", "localhost", "10.1.2.3", "10.9.0.0/255.255.0.0")
    assert accounts.match([stored("u", item) for item in hosts], "u", host) == name


@pytest.mark.parametrize(
    ("shown", "host"),
    [
        ("10.1.2.3:50412", "10.1.2.3"),
        ("2001:db8::7:50412", "2001:db8::7"),
        ("::1:50412", "::1"),
        ("localhost", "localhost"),
    ],
)
def test_a_client_is_its_address_without_the_port(shown: str, host: str) -> None:
    found = re.search(r"regexp_replace\(host, '(.*?)', ''\)", accounts.CONNECTED)
    assert found
    assert re.sub(found[1], "", shown) == host


def test_a_name_that_ends_with_a_line_is_quoted() -> None:
    assert catalog.typed("shop", "bills\n") == "shop.`bills\n`"
    assert catalog.typed("shop", "bills") == "shop.bills"


@pytest.mark.parametrize(
    ("more", "lifetime", "expires"),
    [
        ({"password_last_changed": 86400}, 0, None),
        ({"password_last_changed": 86400}, 10, datetime(1970, 1, 12, tzinfo=UTC)),
        ({"password_last_changed": 86400, "password_lifetime": 2}, 10, datetime(1970, 1, 4, tzinfo=UTC)),
        ({"password_last_changed": 86400, "password_lifetime": 0}, 10, None),
        ({"password_last_changed": 0}, 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ({"password_last_changed": 0, "plugin": "unix_socket"}, 10, None),
        ({}, 10, None),
    ],
)
def test_expiry_follows_account_and_server(more: dict[str, Any], lifetime: int, expires: datetime | None) -> None:
    assert accounts.expiry(stored("u", **more), lifetime) == expires


def test_two_halves_of_a_path_may_come_from_public() -> None:
    halves = [role("PUBLIC", "CREATE ROUTINE"), stored("u", access=bits("SET USER")), stored("v")]
    assert [item.account for item in escalations(Fake({}), Graph(halves, []))] == ["u@localhost"]
    whole = [role("PUBLIC", "CREATE ROUTINE", "SET USER"), stored("v")]
    assert [item.account for item in escalations(Fake({}), Graph(whole, []))] == ["PUBLIC"]
