"""What remediation says to PostgreSQL, with a catalog that is a table of answers."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from ansible.module_utils.holdfast.audit.model import Action
from ansible.module_utils.holdfast.engines import _postgresql_audit_defaults as defaults
from ansible.module_utils.holdfast.engines import _postgresql_audit_drop as drop
from ansible.module_utils.holdfast.engines import _postgresql_audit_grants as grants
from ansible.module_utils.holdfast.engines import _postgresql_audit_plan as plan
from ansible.module_utils.holdfast.engines import _postgresql_audit_rights as rights
from ansible.module_utils.holdfast.engines import _postgresql_audit_roles as roles
from ansible.module_utils.holdfast.engines._postgresql_session import Session
from ansible.module_utils.holdfast.errors import HoldfastError

ENGINE = SimpleNamespace(where="orders")


class Catalog(Session):
    """Answers by a piece of the query; nothing for the others."""

    def __init__(self, **answers):
        self._answers = answers

    def rows(self, query, parameters=()):
        return next((rows for piece, rows in self._answers.items() if piece in query), [])


def database_step(monkeypatch, name, reassign, **answers):
    @contextmanager
    def reading(*_):
        yield Catalog(**{"count(*) FROM pg_policy": [(0,)], **answers})

    monkeypatch.setattr(drop, "reading", reading)
    return drop._database_step(ENGINE, "shop", name, reassign, shared=False)


@pytest.mark.parametrize("reassign", ["heir", None])
def test_what_was_made_since_the_plan_stops_the_drop(monkeypatch, reassign):
    step = database_step(monkeypatch, "ann", reassign)
    *before, guard, last = step.statements
    assert before == (['REASSIGN OWNED BY "ann" TO "heir"'] if reassign else [])
    assert last == 'DROP OWNED BY "ann"'
    assert guard.startswith("DO $holdfast$BEGIN IF EXISTS ( SELECT FROM pg_catalog.pg_shdepend s")
    assert "r.rolname = 'ann'" in guard
    assert "s.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass" in guard
    assert "RAISE EXCEPTION USING MESSAGE = 'ann owns objects that the plan does not know" in guard


def test_a_name_cannot_end_the_guard(monkeypatch):
    step = database_step(monkeypatch, "x$holdfast$; DROP ROLE y; --'", None)
    guard = step.statements[0]
    assert guard.count("$holdfast_$") == 2
    assert guard.endswith("END$holdfast_$")
    assert "r.rolname = 'x$holdfast$; DROP ROLE y; --'''" in guard


def test_default_privileges_that_were_taken_away_are_lost(monkeypatch):
    step = database_step(monkeypatch, "ann", None, **{"acldefault(\n": [("EXECUTE on future routines to PUBLIC",)]})
    assert step.irreversible == "default privileges of ann without EXECUTE on future routines to PUBLIC"
    assert defaults._TAKEN_AWAY.replace("%%", "") % "name", "one parameter"


def test_a_password_that_ended_for_ever_is_ended_again():
    """The catalog says -infinity as what stands for it here."""
    assert "WHEN r.rolvaliduntil = '-infinity' THEN 'epoch'::timestamptz" in roles._ROLES
    assert plan._until(roles.EPOCH) == "'-infinity'"
    assert plan._until(None) == "'infinity'"
    role = roles.Role(100, "ann", True, False, False, False, False, False, roles.EPOCH)
    assert plan._expire(role, None) == (), "it has ended"
    (step,) = plan._expire(role, "1969-01-01")
    assert step.undo == ("ALTER ROLE \"ann\" VALID UNTIL '-infinity'",)
    (step,) = plan._create(roles.Roles([], []), "ann", {"expires": roles.EPOCH})
    assert step.statements[0].endswith("VALID UNTIL '-infinity'")
    assert step.action is Action.CREATE


def test_a_role_with_the_name_of_everybody_is_an_error():
    rest = (True, False, False, False, False, False, None)
    assert [role.name for role in roles.Roles.read(Catalog(**{"FROM pg_roles r": [(100, "public", *rest)]}))] == [
        "public"
    ]
    with pytest.raises(HoldfastError, match="a role is called PUBLIC") as caught:
        roles.Roles.read(Catalog(**{"FROM pg_roles r": [(100, "PUBLIC", *rest)]}))
    assert caught.value.remedy == 'ALTER ROLE "PUBLIC" RENAME TO another name'


def test_a_right_from_two_grantors_is_one(monkeypatch):
    row = (100, "SELECT", "table", "app.t", False, 16400)
    monkeypatch.setattr(
        rights, "stream", lambda _, query: iter([(*row, 1), (*row, 2)] if "aclexplode" in query else [])
    )
    table = {}
    rights._read(Catalog(), table, "SELECT")
    assert [own.object for own in table[100]] == ["app.t"]


def test_the_catalog_of_rights_writes_parameters_small():
    assert "lower(name) = lower(%s)" in grants._PARAMETER
