"""What a host has due decides whether it takes a backup and hands over: of the kinds that are patched, and no other."""

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).resolve().parents[3] / "roles" / "patching"
PACKAGES = [{"package": "postgresql-15", "kind": "database"}, {"package": "tzdata", "kind": "system"}]


def evaluate(expression, **known):
    loader = DataLoader()
    given = loader.load_from_file(str(ROLE / "vars" / "main.yml"), trusted_as_template=True)
    return Templar(loader=loader, variables={**given, **known}).evaluate_expression(expression)


def task(file, name):
    """A task as the role has it."""
    path = ROLE / "tasks" / file
    assert name in [item["name"] for item in yaml.safe_load(path.read_text())]
    tasks = DataLoader().load_from_file(str(path), trusted_as_template=True)
    return next(item for item in tasks if item["name"] == name)


def conditions():
    """Of the tasks that a host with nothing due is spared."""
    yield task("guard.yml", "Take a backup before")["when"]
    yield task("hand_over.yml", "Swap the roles of those that take writes")["when"]


@pytest.mark.parametrize(
    ("answer", "kinds", "due"),
    [
        ({"due": {"packages": PACKAGES}}, ["database"], True),
        ({"due": {"packages": PACKAGES}}, "tools,system", True),
        ({"due": {"packages": PACKAGES}}, ["tools"], False),
        ({"due": {"packages": []}}, ["database", "tools", "system"], False),
    ],
)
def test_a_host_with_nothing_due_takes_no_backup_and_hands_nothing_over(answer, kinds, due):
    known = {"__patching_answer": answer, "patching_kinds": kinds, "patching_backup": "incremental"}
    assert [evaluate(condition, **known) for condition in conditions()] == [due, due]


@pytest.mark.parametrize(
    ("answer", "begins"),
    [
        ({"due": {"packages": []}}, True),
        ({"failed": True, "msg": "MODULE FAILURE"}, False),
        ({"unreachable": True, "msg": "no route to host"}, False),
    ],
)
def test_a_host_of_which_nothing_is_known_is_not_begun(answer, begins):
    asked = task("guard.yml", "Go on only where it is known what is due")["ansible.builtin.assert"]["that"]
    assert evaluate(asked, __patching_answer=answer) is begins


def test_a_backup_is_taken_where_one_is_wanted():
    known = {"__patching_answer": {"due": {"packages": PACKAGES}}, "patching_kinds": ["database"]}
    backup, _ = conditions()
    assert evaluate(backup, **known, patching_backup="full")
    assert not evaluate(backup, **known, patching_backup="none")
