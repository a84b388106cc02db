"""The session that plans and changes run in: in the server's own dialect, whatever its settings say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from ansible.module_utils.holdfast import errors
from ansible.module_utils.holdfast.audit.model import Action, Step
from ansible.module_utils.holdfast.engines import _mariadb_audit_catalog as catalog
from ansible.module_utils.holdfast.engines._mariadb_audit_apply import change
from ansible.module_utils.holdfast.engines._mariadb_audit_changes import Planner
from ansible.module_utils.holdfast.engines._mariadb_audit_session import DIALECT, Session

ROOT = json.dumps({"access": 2**64 - 1, "version_id": 110809, "plugin": "unix_socket"})
USER = json.dumps({"access": 0, "version_id": 110809, "plugin": "unix_socket"})
ROLE = json.dumps({"access": 0, "version_id": 110809, "is_role": True})
HOSTILE = "x\\' OR 1=1 -- "
BILLS = "`shop`.`bills`"


class Server:
    """A server with global ANSI_QUOTES: it prints names so until the session says otherwise."""

    # What the driver would give: each an object of its own.
    instance = None
    where = "shop"

    def __init__(self, grants: Sequence[str] = (), broken: str = "") -> None:
        self.ran: list[str] = []
        self._connection: Any = None
        self._grants = grants
        self._broken = broken
        self._plain = False

    def _connect(self) -> Any:
        if self._connection is None:
            self._connection = type("Wire", (), {"open": True})()
            self._plain = False
        return self._connection

    def drop(self) -> None:
        self._connection = None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        yield

    def execute(self, statement: str, arguments: Sequence[object] = ()) -> None:
        self.rows(statement, arguments)

    def rows(self, statement: str, arguments: Sequence[object] = (), **_: Any) -> list[tuple[Any, ...]]:
        self._connect()
        if self._broken and self._broken in statement:
            raise errors.CommandFailed("the server said no")
        self.ran.append(statement)
        self._plain = self._plain or statement == DIALECT
        return list(next((rows for words, rows in self._answers().items() if words in statement), ()))

    def _answers(self) -> Mapping[str, Sequence[tuple[Any, ...]]]:
        shown = [(line if self._plain else line.replace("`", '"'),) for line in self._grants]
        return {
            "current_user()": [("root@localhost",)],
            "@@read_only": [(0,)],
            "FROM mysql.global_priv": [
                ("root", "localhost", ROOT),
                ("admin", "localhost", ROOT),
                ("u", "localhost", USER),
                (HOSTILE, "", ROLE),
            ],
            "FROM mysql.roles_mapping ORDER": [("u", "localhost", HOSTILE, 0)],
            "SHOW GRANTS": shown,
            "SHOW CREATE USER": [("CREATE USER `u`@`localhost` IDENTIFIED VIA unix_socket",)],
            "count(*)": [(0,)],
        }


def _plan(server: Server, action: Action, **details: Any) -> Sequence[Step]:
    return Planner(Session(server)).plan(action, "u@localhost", details)  # type: ignore[arg-type]


def test_what_a_server_prints_is_read_whatever_its_mode() -> None:
    server = Server([f"GRANT SELECT ON {BILLS} TO `u`@`localhost`"])
    (step,) = _plan(server, Action.REVOKE, privilege="SELECT", object="shop.bills")
    assert server.ran[0] == DIALECT
    assert step.statements == (f"REVOKE SELECT ON {BILLS} FROM `u`@`localhost`",)
    assert step.undo == (DIALECT, f"GRANT SELECT ON {BILLS} TO `u`@`localhost`")
    (dropped,) = _plan(server, Action.DROP)
    assert f"GRANT SELECT ON {BILLS} TO `u`@`localhost`" in dropped.undo


def test_the_dialect_is_set_once_for_each_connection() -> None:
    server = Server()
    session = Session(server)  # type: ignore[arg-type]
    session.rows("SELECT 1")
    session.rows("SELECT 2")
    assert server.ran.count(DIALECT) == 1
    server.drop()
    session.rows("SELECT 3")
    assert server.ran.count(DIALECT) == 2


def test_no_grant_makes_an_account() -> None:
    modes = DIALECT.split("'")[1].split(",")
    assert "NO_AUTO_CREATE_USER" in modes
    assert not {"ANSI_QUOTES", "ANSI", "ORACLE", "NO_BACKSLASH_ESCAPES", "EMPTY_STRING_IS_NULL"} & set(modes)


def test_a_hostile_name_stays_a_name() -> None:
    (step,) = _plan(Server(), Action.REVOKE, role=HOSTILE)
    assert step.statements[0].endswith(r"Role = 'x\\'' OR 1=1 -- '")
    assert catalog.literal("a'b\\") == r"'a''b\\'"


def test_steps_are_run_and_taken_back_in_that_dialect() -> None:
    server = Server(broken="SECOND")
    steps = [Step(Action.GRANT, "u", "the first", ("FIRST",), (DIALECT, "BACK"))]
    steps.append(Step(Action.GRANT, "u", "the second", (DIALECT, "SECOND"), ("NEVER",)))
    with pytest.raises(errors.CommandFailed, match="what was done before is undone"):
        change(Session(server), steps)  # type: ignore[arg-type]
    assert server.ran.index(DIALECT) < server.ran.index("FIRST") < server.ran.index("BACK")
    # A step of which only the dialect was set did nothing that could be undone.
    assert "NEVER" not in server.ran


def test_a_grant_option_that_stayed_behind_is_revoked() -> None:
    server = Server([f"GRANT USAGE ON {BILLS} TO `u`@`localhost` WITH GRANT OPTION"])
    (step,) = _plan(server, Action.REVOKE, privilege="GRANT OPTION", object="shop.bills", kind="table")
    assert step.statements == (f"REVOKE GRANT OPTION ON {BILLS} FROM `u`@`localhost`",)
    assert step.undo[-1] == f"GRANT USAGE ON {BILLS} TO `u`@`localhost` WITH GRANT OPTION"


def test_a_right_on_a_table_is_revoked_where_a_column_has_it_too() -> None:
    server = Server([f"GRANT SELECT, SELECT (`a`), UPDATE (`a`) ON {BILLS} TO `u`@`localhost`"])
    (step,) = _plan(server, Action.REVOKE, privilege="SELECT", object="shop.bills")
    assert step.statements == (f"REVOKE SELECT ON {BILLS} FROM `u`@`localhost`",)
    assert not _plan(server, Action.REVOKE, privilege="UPDATE", object="shop.bills")
