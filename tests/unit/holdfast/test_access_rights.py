"""Rights are held against what the policy forbids by whatever way, and pass by without being held in memory."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from ansible.module_utils.holdfast.audit import rights
from ansible.module_utils.holdfast.audit.model import Right, Status
from ansible.module_utils.holdfast.audit.policy import Policy
from ansible.module_utils.holdfast.audit.policy_read import resolve
from ansible.module_utils.holdfast.errors import HoldfastError, Interrupted

LEDGER = {"privileges": ["DELETE"], "kind": "table", "object": "public.ledger"}
CRM = {"privileges": ["DELETE"], "object": "crm.ledger"}


def policy(*forbidden: dict, **more: object) -> Policy:
    return resolve({"accounts": {"shop": {"forbidden": list(forbidden)}}, **more}, "orders")


def read(directory: Path, listed: list[Right], about: Policy, known: set[str] | None = None) -> rights.Rights:
    path = str(directory / "rights")
    return rights.read(lambda: iter(listed), about, path, path, known)


def found(result: rights.Rights, check: str = "AC15") -> list[str]:
    return [item.subject for listed in result.results if listed.check.id == check for item in listed.findings]


@pytest.mark.parametrize(
    ("right", "rule"),
    [
        (Right("shop", "DELETE", "table", "public.ledger", "shop"), LEDGER),
        (Right("shop", "SUPERUSER", "server", "all", via=("dba",), source="attribute"), LEDGER),
        (Right("shop", "ALL PRIVILEGES", "server", "*.*"), CRM),
        (Right("shop", "OWNER", "table", "public.ledger", "shop", via=("owner",), source="ownership"), LEDGER),
        (Right("shop", "INSERT, UPDATE, DELETE", "server", "every table, view and sequence"), LEDGER),
        (Right("shop", "DELETE", "server", "*.*"), CRM),
        (Right("shop", "DELETE", "database", "crm.*", "crm"), CRM),
        (Right("shop", "DELETE", "database", "crm.*", "crm"), {**CRM, "database": "crm"}),
        (Right("shop", "DELETE", "database", "crm.*", "crm"), {**CRM, "object": "c?m.led*"}),
        (Right("shop", "DELETE", "database", "crm.*", "crm"), {**CRM, "object": "*ledger"}),
        (Right("shop", "DELETE", "database", "`c%`.*", "c%"), CRM),
        (Right("shop", "DELETE", "database", "`my\\_crm`.*", "my\\_crm"), {**CRM, "object": "my_crm.ledger"}),
        (Right("shop", "DELETE", "database", "`a-b`.*", "a-b"), {**CRM, "object": "`a-b`.ledger"}),
        (Right("PUBLIC", "DELETE", "table", "public.ledger", "shop"), LEDGER),
        (Right("PUBLIC", "DELETE", "database", "crm.*", "crm"), CRM),
    ],
)
def test_what_reaches_the_forbidden_is_found(tmp_path: Path, right: Right, rule: dict) -> None:
    result = read(tmp_path, [right], policy(rule))
    assert found(result) == [f"shop: {right.privilege} on {right.kind} {right.object}"]
    wider = right.privilege != "DELETE" or right.kind != "table" or right.account == "PUBLIC"
    assert [item.account for item in rights.unwanted([right], policy(rule))] == ([] if wider else ["shop"]), (
        "remediation takes away nothing that is wider than what is forbidden"
    )


@pytest.mark.parametrize(
    ("right", "rule"),
    [
        (Right("shop", "SELECT", "server", "every table, view and sequence"), LEDGER),
        (Right("shop", "CREATE", "server", "subscriptions"), {"privileges": ["CREATE"], "kind": "schema"}),
        (Right("shop", "CREATE", "database", "shop"), {"privileges": ["CREATE"], "kind": "schema"}),
        (
            Right("shop", "SELECT", "server", "every table, view and sequence"),
            {"privileges": ["ALL"], "kind": "schema"},
        ),
        (Right("shop", "OWNER", "table", "public.other", "shop", via=("owner",)), LEDGER),
        (Right("shop", "OWNER", "schema", "public", "shop", via=("owner",)), LEDGER),
        (Right("shop", "DELETE", "database", "sales.*", "sales"), CRM),
        (Right("shop", "DELETE", "database", "`my\\_crm`.*", "my\\_crm"), {**CRM, "object": "my2crm.ledger"}),
        (Right("shop", "DELETE", "database", "crm.*", "crm"), {**CRM, "database": "sales"}),
        (Right("ann", "DELETE", "table", "public.ledger", "shop"), LEDGER),
        (Right("PUBLIC", "SELECT", "table", "public.ledger", "shop"), LEDGER),
    ],
)
def test_what_does_not_reach_it_is_not(tmp_path: Path, right: Right, rule: dict) -> None:
    assert found(read(tmp_path, [right], policy(rule))) == []


def test_administrators_and_accounts_that_are_not_there_reach_nothing(tmp_path: Path) -> None:
    public = Right("PUBLIC", "DELETE", "table", "public.ledger", "shop")
    assert found(read(tmp_path, [public], policy(LEDGER), {"ann"})) == []
    assert found(read(tmp_path, [public], policy(LEDGER), {"shop"})) != []
    assert found(read(tmp_path, [public], policy(LEDGER, administrators=["shop"]))) == []


def test_brackets_of_a_pattern_are_brackets() -> None:
    (rule,) = policy({**LEDGER, "object": "public.f(integer[])"}).accounts["shop"].forbidden
    assert rule.covers("DELETE", "table", "public.f(integer[])", "")
    assert not rule.covers("DELETE", "table", "public.f(integeri)", "")
    (any_of,) = policy({**LEDGER, "object": "public.*[]*"}).accounts["shop"].forbidden
    assert any_of.includes(rule)
    waiver = {"check": "PG01", "subject": "a[b]*", "reason": "r", "owner": "o", "expires": "2030-01-01"}
    (kept,) = policy(exceptions=[waiver]).exceptions
    assert (kept.covers("PG01", "a[b]c"), kept.covers("PG01", "ab"), kept.covers("PG01", "x", "a[b]")) == (
        True,
        False,
        True,
    )


def test_memory_does_not_grow_with_what_comes_by_roles(tmp_path: Path) -> None:
    def many() -> object:
        for number in range(30_000):
            yield Right(f"a{number % 100}", "SELECT", "table", f"public.table_{number}", "shop", via=("readers",))

    path = str(tmp_path / "rights")
    tracemalloc.start()
    result = rights.read(many, Policy(), path, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.part.value == 30_000
    assert peak < 2 << 20, "the lines alone are more than that"


def test_what_an_account_has_of_its_own_is_compared(tmp_path: Path) -> None:
    own = Right("shop", "SELECT", "table", "a", "shop")
    owner = Right("shop", "OWNER", "table", "b", "shop", via=("owner",), source="ownership")
    through = Right("shop", "SELECT", "table", "c", "shop", via=("readers",))
    first = read(tmp_path, [through, own, own], Policy())
    assert (first.gained, first.part.value) == (None, 2)
    os.replace(tmp_path / "rights.new", tmp_path / "rights")
    second = read(tmp_path, [owner], Policy())
    assert (second.gained, second.lost) == ([owner], [own])
    assert len(rights.of_account(str(tmp_path / "rights"), "shop")) == 2


@pytest.mark.parametrize("error", [HoldfastError("permission denied"), Interrupted("stopped by SIGTERM")])
def test_rights_that_end_in_an_error_leave_no_file(tmp_path: Path, error: Exception) -> None:
    def broken() -> object:
        yield Right("shop", "SELECT", "table", "a", "shop")
        raise error

    path = str(tmp_path / "rights")
    if isinstance(error, Interrupted):
        with pytest.raises(Interrupted):
            rights.read(broken, Policy(), path, path)
    else:
        assert rights.read(broken, Policy(), path, path).part.status is Status.ERROR
    assert os.listdir(tmp_path) == []
