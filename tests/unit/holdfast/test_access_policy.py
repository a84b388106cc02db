"""The access policy: what is refused, in which words, and what is made of a right one."""

from __future__ import annotations

import copy
from datetime import date, datetime
from typing import Any

import pytest
from ansible.module_utils.holdfast import inventory
from ansible.module_utils.holdfast.audit import policy_read
from ansible.module_utils.holdfast.problems import InvalidInventory

POLICY: dict[str, Any] = {
    "administrators": ["postgres"],
    "dormant_days": 60,
    "accounts": {
        "shop": {
            "owner": "team shop",
            "kind": "service",
            "roles": ["writers"],
            "rights": [{"privileges": ["select"], "kind": "table", "object": "public.*", "database": "shop"}],
            "forbidden": [{"privileges": ["DELETE"], "kind": "table", "object": "public.ledger"}],
        },
        "ann": {"owner": "Ann", "kind": "person", "roles": ["writers"]},
        "bob": {"owner": "Bob", "state": "absent"},
    },
    "roles": {"writers": {"members": ["shop", "ann"], "rights": [{"privileges": ["INSERT", "UPDATE"]}]}},
    "exceptions": [
        {"check": "PG04", "subject": "shop", "reason": "rotates itself", "owner": "Ann", "expires": "2027-01-31"}
    ],
    "change_window": {"days": ["mon", "sun"], "hours": "22:00-02:00"},
    "instances": {
        "orders": {
            "administrators": ["dba"],
            "review_months": 3,
            "accounts": {"report": {"owner": "Eve", "roles": ["writers"]}},
        }
    },
}


def host(**changes: Any) -> dict[str, Any]:
    return {
        "db_instances": [{"name": "orders", "engine": "postgresql", "service_level": "development"}],
        "db_repositories": {"local": {"type": "posix", "path": "/backup", "passphrase": "one"}},
        "db_access_policy": copy.deepcopy(POLICY),
        **changes,
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    variables = host()
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inner: Any = variables["db_access_policy"]
    for part in parents:
        inner = inner[part]
    inner[last] = value
    return variables


def told(variables: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in inventory.check({"db1": variables})]


def test_a_right_policy_has_no_problem() -> None:
    assert told(host()) == []


def test_the_part_of_an_instance_is_put_over_the_shared_one() -> None:
    found = policy_read.resolve(POLICY, "orders")
    assert found.administrators == ("postgres", "dba")
    assert (found.dormant_days, found.review_months, found.warn_days) == (60, 3, 30)
    assert set(found.accounts) == {"shop", "ann", "bob", "report"}
    assert found.exceptions[0].expires == date(2027, 1, 31)
    other = policy_read.resolve(POLICY, "billing")
    assert (other.administrators, other.review_months) == (("postgres",), 6)
    assert "report" not in other.accounts
    assert not policy_read.resolve(None, "orders").given


def test_who_may_hold_a_role_is_written_on_either_side() -> None:
    found = policy_read.resolve(POLICY, "orders")
    assert found.holders("writers") == ("shop", "ann", "report")
    assert found.holders("pg_monitor") is None
    assert found.roles_of("report") == ("writers",)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("dormant", 5, "db_access_policy.dormant: 5: unknown key; valid: did you mean dormant_days?"),
        ("dormant_days", 0, "db_access_policy.dormant_days: 0: is not valid; valid: 1 to 3650"),
        ("administrators", "postgres", "db_access_policy.administrators: 'postgres': is not a list"),
        (
            "accounts/shop/kind",
            "robot",
            "accounts.shop.kind: 'robot': unknown kind of account; valid: valid are person",
        ),
        ("accounts/shop/state", "gone", "accounts.shop.state: 'gone': unknown state"),
        (
            "accounts/shop/roles",
            ["writer"],
            "accounts.shop.roles[0]: 'writer': unknown role; valid: did you mean writers? the policy has writers",
        ),
        ("accounts/shop/rights", [{"kind": "table"}], "accounts.shop.rights[0].privileges: is missing"),
        ("accounts/shop/rights", [{"privileges": []}], "accounts.shop.rights[0].privileges: is empty"),
        (
            "accounts/shop/forbidden",
            [{"privileges": ["SELECT"], "object": "public.*"}],
            "accounts.shop.forbidden: grants and forbids the same: SELECT on table public.* of shop",
        ),
        (
            "accounts/ann/forbidden",
            [{"privileges": ["ALL"]}],
            "grants and forbids the same through writers: INSERT, UPDATE on * *",
        ),
        ("accounts/bob/roles", ["writers"], "accounts.bob.state: is to be absent, and holds writers"),
        ("administrators", ["bob"], "accounts.bob.state: is to be absent, and bob is an administrator"),
        ("roles/writers/members", ["eve"], "roles.writers.members[0]: 'eve': unknown account or role"),
        ("roles/writers/roles", ["writers"], "roles.writers.roles[0]: 'writers': is itself"),
        ("roles/shop", {}, "is both an account and a role"),
        ("exceptions", [{"check": "PG04"}], "db_access_policy.exceptions[0].reason: is missing"),
        ("exceptions/0/check", "pg4", "db_access_policy.exceptions[0].check: 'pg4': is not valid; valid: the id of a"),
        ("exceptions/0/expires", "soon", "db_access_policy.exceptions[0].expires: 'soon': is not a day; valid: a day"),
        ("change_window", {"days": ["mon"]}, "db_access_policy.change_window.hours: is missing"),
        ("change_window/hours", "9-17", "db_access_policy.change_window.hours: '9-17': is not valid"),
        ("change_window/days", ["monday"], "change_window.days[0]: 'monday': unknown day; valid: did you mean mon?"),
        ("instances/ordres", {}, "instances.ordres: 'ordres': unknown instance; valid: did you mean orders?"),
        ("instances/orders/instances", {}, "instances.orders.instances: unknown key"),
    ],
)
def test_what_is_refused(path: str, value: Any, problem: str) -> None:
    found = told(changed(path, value))
    assert any(problem in text for text in found), found


def test_everything_wrong_is_told_at_once_and_once() -> None:
    variables = changed("accounts/shop/roles", ["nosuch"])
    variables["db_access_policy"]["exceptions"][0]["expires"] = "x"
    assert len(told(variables)) == 2


def test_a_template_is_left_to_its_host() -> None:
    assert told(changed("accounts", "{{ lookup('file', 'accounts.json') }}")) == []
    assert told(changed("accounts/shop/roles", "{{ shop_roles }}")) == []


def test_a_wrong_policy_is_one_error_with_everything() -> None:
    with pytest.raises(InvalidInventory) as caught:
        policy_read.resolve({"dormant_days": 0, "accounts": {"a": {"kind": "x"}}}, "orders")
    assert "2 problems" in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "right", "covered"),
    [
        ({"privileges": ["SELECT"]}, ("select", "table", "a.b", "d"), True),
        ({"privileges": ["SELECT"]}, ("INSERT", "table", "a.b", "d"), False),
        ({"privileges": ["ALL"], "object": "a.*"}, ("INSERT", "table", "a.b", "d"), True),
        ({"privileges": ["ALL"], "object": "a.*"}, ("INSERT", "table", "b.b", "d"), False),
        ({"privileges": ["ALL"], "database": "x"}, ("INSERT", "table", "b.b", "d"), False),
        ({"privileges": ["ALL"], "kind": "schema"}, ("INSERT", "table", "b.b", "d"), False),
    ],
)
def test_what_a_rule_covers(rule: dict, right: tuple, covered: bool) -> None:
    account = {"accounts": {"a": {"rights": [rule]}}}
    (found,) = policy_read.resolve(account, "orders").accounts["a"].rights
    assert found.covers(*right) is covered


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-23T22:30", True),  # a Monday
        ("2026-11-24T01:59", True),  # the night of Monday
        ("2026-11-24T02:00", False),
        ("2026-11-24T22:30", False),  # a Tuesday
        ("2026-11-23T01:00", True),  # the night of Sunday
    ],
)
def test_the_window_of_changes(moment: str, inside: bool) -> None:
    window = policy_read.resolve(POLICY, "orders").window
    assert window.holds(datetime.fromisoformat(moment).astimezone()) is inside
