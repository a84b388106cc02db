"""What the server prints about an account is taken apart, and its secret never comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.engines import _mariadb_audit_catalog as catalog
from ansible.module_utils.holdfast.engines import _mariadb_audit_shown as shown

HASH = "*6891F9D51EB5A38D1BB310DDBC6379A189A4F575"
KEY = "mM/PcoSVmBcVH4yXbYrm9GrjK0l+6f8V04Bu2KjmHEk"
WHO = "`u`@`localhost`"
INVALID = "IDENTIFIED VIA mysql_native_password USING 'invalid'"


def _principal(*methods: tuple[str, str], **more: Any) -> catalog.Principal:
    listed = [{"plugin": plugin, "authentication_string": stored} for plugin, stored in methods]
    return catalog.principal("u", "localhost", json.dumps({**listed[0], "auth_or": listed, **more}))


@pytest.mark.parametrize(
    ("methods", "printed", "made", "lost"),
    [
        (
            [("mysql_native_password", HASH)],
            f"CREATE USER {WHO} IDENTIFIED BY PASSWORD '{HASH}' REQUIRE X509 PASSWORD EXPIRE INTERVAL 40 DAY",
            f"CREATE USER {WHO} {INVALID} REQUIRE X509 PASSWORD EXPIRE INTERVAL 40 DAY ACCOUNT LOCK",
            True,
        ),
        (
            [("ed25519", KEY), ("unix_socket", "")],
            f"CREATE USER {WHO} IDENTIFIED VIA ed25519 USING '{KEY}' OR unix_socket",
            f"CREATE USER {WHO} IDENTIFIED VIA unix_socket",
            True,
        ),
        ([("unix_socket", "www")], f"CREATE USER {WHO} IDENTIFIED VIA unix_socket USING 'www'", "", False),
        ([("mysql_native_password", "")], f"CREATE USER {WHO} ACCOUNT LOCK", f"CREATE USER {WHO} ACCOUNT LOCK", False),
        (
            [("mysql_native_password", "invalid")],
            f"CREATE USER {WHO} IDENTIFIED BY PASSWORD 'invalid'",
            f"CREATE USER {WHO} IDENTIFIED VIA mysql_native_password USING 'invalid'",
            False,
        ),
    ],
)
def test_a_dropped_account_is_made_again_without_its_secret(
    methods: list[tuple[str, str]], printed: str, made: str, lost: bool
) -> None:
    statement, note = shown.made_again(_principal(*methods), printed)
    assert statement == (made or printed)
    assert bool(note) is lost
    assert HASH not in statement
    assert KEY not in statement


def test_reads_the_grants_of_the_account_and_of_no_other() -> None:
    printed = [
        f"GRANT `r` TO {WHO}",
        f"GRANT PROCESS ON *.* TO {WHO} IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SSL WITH MAX_USER_CONNECTIONS 7",
        f"GRANT SELECT (`id`, `odd, name`), UPDATE ON `shop`.`bills` TO {WHO} WITH GRANT OPTION",
        f"GRANT EXECUTE ON PROCEDURE `shop`.`run` TO {WHO}",
        "GRANT SUPER ON *.* TO `r`",
        "GRANT SUPER ON *.* TO `u`@`localhost2`",
        f"SET DEFAULT ROLE `r` FOR {WHO}",
    ]
    found = {line.object: line for line in shown.lines(printed, "u@localhost")}
    assert found["*.*"].statement == f"GRANT PROCESS ON *.* TO {WHO}"
    assert found["`shop`.`bills`"].held == {"SELECT": "`id`, `odd, name`", "UPDATE": ""}
    assert found["`shop`.`bills`"].grantable
    assert found["`shop`.`bills`"].has("SELECT", "`id`")
    assert not found["`shop`.`bills`"].has("SELECT", "")
    assert found["PROCEDURE `shop`.`run`"].held == {"EXECUTE": ""}
    assert len(found) == 3
    assert HASH not in str(found)


def test_an_unknown_form_of_a_password_is_not_let_through() -> None:
    with pytest.raises(errors.CommandFailed) as caught:
        shown.clean(f"GRANT USAGE ON *.* TO {WHO} IDENTIFIED SOMEHOW AS '{HASH}'")
    assert HASH not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "sql", "columns"),
    [
        ("server", "*.*", "*.*", ""),
        ("database", "shop.*", "`shop`.*", ""),
        ("database", r"`app\_%`.*", r"`app\_%`.*", ""),
        ("table", "shop.`odd.name`", "`shop`.`odd.name`", ""),
        ("column", "shop.bills(total, note)", "`shop`.`bills`", "`total`, `note`"),
        ("procedure", "shop.run", "PROCEDURE `shop`.`run`", ""),
        ("package body", "shop.run", "PACKAGE BODY `shop`.`run`", ""),
    ],
)
def test_objects_are_written_as_a_person_types_them(kind: str, text: str, sql: str, columns: str) -> None:
    assert shown.target(kind, text) == shown.Target(sql, columns)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("table", "bills"),
        ("table", "shop.*"),
        ("server", "shop.*"),
        ("database", "*.*"),
        ("column", "shop.bills"),
        ("table", "shop.bills; DROP"),
        ("schema", "a.b"),
        ("table", "shop.bills(total)"),
    ],
)
def test_objects_that_are_none_are_refused(kind: str, text: str) -> None:
    with pytest.raises(errors.InvalidInput):
        shown.target(kind, text)


@pytest.mark.parametrize(
    ("given", "names"),
    [("select, Show  View", ("SELECT", "SHOW VIEW")), (["ALL PRIVILEGES"], ("ALL PRIVILEGES",))],
)
def test_privileges_are_read_in_any_case(given: object, names: tuple[str, ...]) -> None:
    assert shown.privileges(given) == names


@pytest.mark.parametrize("given", ["", "SELECT ON x TO y; DROP", ["FLY"], 7])
def test_privileges_that_are_none_are_refused(given: object) -> None:
    with pytest.raises(errors.InvalidInput):
        shown.privileges(given)


@pytest.mark.parametrize("held", ["SELECT, SELECT (`a`)", "SELECT (`a`), SELECT"])
def test_a_right_on_a_table_is_not_lost_beside_one_on_a_column(held: str) -> None:
    (line,) = shown.lines([f"GRANT {held}, UPDATE (`a`) ON `shop`.`t` TO {WHO}"], "u@localhost")
    assert line.held == {"SELECT": "", "UPDATE": "`a`"}
    assert line.has("SELECT", "")
