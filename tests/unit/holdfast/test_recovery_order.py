"""The order of recovery: dependencies first, and nothing urgent waits for what can wait."""

from __future__ import annotations

import pytest
from ansible.module_utils.holdfast.recovery_order import circle, dependencies, waves

HOUR = 3600.0


@pytest.mark.parametrize(
    ("needs", "urgency", "order"),
    [
        ({}, {}, []),
        ({"a": [], "b": []}, {}, [["a", "b"]]),
        ({"a": [], "b": []}, {"b": HOUR, "a": 2 * HOUR}, [["b", "a"]]),
        ({"a": ["b"], "b": ["c"], "c": []}, {}, [["c"], ["b"], ["a"]]),
        # A dependency is as urgent as what needs it, so the slack one of the two that are ready is put off.
        ({"web": ["db"], "db": [], "lab": []}, {"web": HOUR, "lab": 9 * HOUR}, [["db"], ["web", "lab"]]),
        # Two that are equally urgent run side by side.
        ({"web": ["db"], "db": [], "shop": []}, {"web": HOUR, "shop": HOUR}, [["db", "shop"], ["web"]]),
        # Urgency reaches over several steps.
        (
            {"a": ["b"], "b": ["c"], "c": [], "d": ["e"], "e": []},
            {"a": HOUR, "d": 5 * HOUR},
            [["c"], ["b"], ["a", "e"], ["d"]],
        ),
        ({"a": ["elsewhere"]}, {}, [["a"]]),
        ({"a": ["b"], "b": ["a"], "c": []}, {}, [["c"]]),
        ({"a": ["b", "c"], "b": [], "c": []}, {"a": HOUR}, [["b", "c"], ["a"]]),
    ],
)
def test_waves(needs, urgency, order):
    assert waves(needs, urgency) == order


def test_no_instance_is_before_what_it_needs_in_a_large_fleet():
    needs = {f"i{n}": [f"i{m}" for m in (n // 2, n // 3) if m] for n in range(1, 200)}
    order = waves(needs, {f"i{n}": n * 7919 % 101 for n in range(1, 200)})
    where = {name: number for number, wave in enumerate(order) for name in wave}
    assert len(where) == 199
    assert all(where[need] < where[name] for name in needs for need in needs[name])


@pytest.mark.parametrize(
    ("needs", "found"),
    [
        ({"a": ["b"], "b": []}, []),
        ({"a": ["a"]}, ["a"]),
        ({"b": ["a"], "a": ["b"], "c": ["a"]}, ["a", "b"]),
        ({"z": ["m"], "m": ["k"], "k": ["z"], "a": ["z"]}, ["k", "z", "m"]),
    ],
)
def test_circle(needs, found):
    assert circle(needs) == found


def test_dependencies_are_read_as_far_as_they_can_be():
    hosts = {
        "db1": {"db_instances": [{"name": "a", "depends_on": ["b", 5]}, "junk", {"depends_on": []}]},
        "db2": {"db_instances": "{{ x }}"},
        "db3": {"db_instances": [{"name": "b", "depends_on": "a"}]},
    }
    assert dependencies(hosts) == {"a": ["b"], "b": []}
