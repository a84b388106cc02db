import pytest
from ansible.module_utils.holdfast import tables
from ansible.module_utils.holdfast.fleet import combine

STATUS = {
    "instance": "orders",
    "engine": "postgresql",
    "version": "15.1",
    "host": "db1",
    "service_level": "critical",
    "state": "ok",
    "problems": [],
    "notes": [],
    "rpo": {"target_seconds": 300.0, "lost_seconds": 4.0, "lost_bytes": 10},
    "last_backup": None,
}
ORDERS = {"name": "orders", "engine": "postgresql", "service_level": "critical"}
ERROR = {"code": "invalid-input", "what": "the keys are gone", "where": "orders", "remedy": "Run site.yml"}


def answer(**fields):
    return {"instances": [{"instance": "orders", **fields}]}


def test_an_instance_that_answers_is_told_as_it_is():
    (entry,) = combine({"db1": answer(status=STATUS)}, {"db1": [ORDERS]})
    assert entry == {**STATUS, "inventory_host": "db1"}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"unreachable": True, "msg": "Task failed: No route to host"}, "host db1 cannot be reached: No route to host"),
        ({"failed": True, "msg": "Missing sudo password"}, "host db1 does not tell: Missing sudo password"),
        ({}, "host db1 does not tell: no answer"),
        ({"instances": []}, "it is not set up on host db1; run playbooks/site.yml"),
        (answer(error=ERROR), "the keys are gone. Run site.yml"),
    ],
    ids=["unreachable", "failed", "nothing", "not set up", "instance error"],
)
def test_an_instance_that_does_not_answer_is_there_with_the_reason(told, reason):
    (entry,) = combine({"db1": told}, {"db1": [ORDERS]})
    assert (entry["instance"], entry["state"], entry["service_level"]) == ("orders", "unknown", "critical")
    assert entry["problems"] == [{"severity": "critical", "text": reason}]
    assert reason in tables.status([entry])


def test_an_instance_that_the_inventory_does_not_have_is_pointed_out():
    (entry,) = combine({"db1": answer(status=STATUS)}, {})
    assert entry["notes"] == ["is on its host and not in the inventory"]
    assert STATUS["notes"] == []


def test_names_choose_instances_and_order_them():
    expected = {
        "db1": [ORDERS],
        "db2": [{"name": "billing", "engine": "mariadb"}, {"name": "shop", "engine": "mariadb"}],
    }
    answers = {"db1": answer(status=STATUS), "db2": {"unreachable": True}}
    assert [entry["instance"] for entry in combine(answers, expected)] == ["billing", "orders", "shop"]
    assert [entry["instance"] for entry in combine(answers, expected, ["shop", "orders"])] == ["orders", "shop"]


def test_the_table_shows_answers_and_silence_side_by_side():
    answers = {"db1": answer(status=STATUS), "db2": {"unreachable": True, "msg": "no route"}}
    text = tables.status(combine(answers, {"db1": [ORDERS], "db2": [{"name": "shop", "engine": "mariadb"}]}))
    assert [line.split()[0] for line in text.splitlines()[:3]] == ["INSTANCE", "orders", "shop"]
