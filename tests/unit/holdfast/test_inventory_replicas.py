"""Which instance may be a replica of which, as the whole fleet has them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.holdfast import inventory

REPOSITORIES = {"local": {"type": "posix", "path": "/backup", "passphrase": "one"}}


def host(*instances: dict[str, Any]) -> dict[str, Any]:
    return {"db_instances": list(instances), "db_repositories": REPOSITORIES}


def item(name: str, of: str | None = None, engine: str = "postgresql", port: int = 5432) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "engine": engine, "port": port, "service_level": "development"}
    return found if of is None else {**found, "replica_of": of}


@pytest.mark.parametrize(
    ("hosts", "problem"),
    [
        ([host(item("a")), host(item("b", "a"))], ""),
        ([host(item("a")), host(item("b", "{{ primary }}"))], ""),
        ([host(item("orders")), host(item("b", "order"))], "there is no such instance; valid: did you mean orders?"),
        ([host(item("a")), host(item("b", "b"))], "is the instance itself"),
        (
            [host(item("a")), host(item("b", "a")), host(item("c", "b"))],
            "valid: the primary of both, a",
        ),
        ([host(item("a", "b")), host(item("b", "a"))], "is itself a replica"),
        ([host(item("a", engine="mariadb")), host(item("b", "a"))], "is of another engine, mariadb"),
        ([host(item("a"), item("b", "a", port=5433))], "is on the same host"),
        ([host(item("a")), host(item("b", "a")), host(item("c", "a"))], "has a replica already, b"),
        ([host(item("a")), host(item("b", "Not a name"))], "there is no such instance"),
    ],
)
def test_a_replica_has_one_primary_on_another_host(hosts: list[dict[str, Any]], problem: str) -> None:
    found = [str(each) for each in inventory.check({f"db{number}": one for number, one in enumerate(hosts)})]
    assert (problem in " ".join(found)) if problem else found == []


def test_the_instance_knows_of_whom_it_is_a_replica() -> None:
    (resolved,) = inventory.resolve(host(item("b", "a")))
    assert resolved.replica_of == "a"
    listed = inventory.instances({"db1": host(item("a")), "db2": host(item("b", "a"))})
    assert "replica_of" not in listed["db1"][0]
    assert listed["db2"][0]["replica_of"] == "a"
