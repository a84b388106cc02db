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


def conditions():
    """Of the tasks that a host with nothing due is spared, as the role has them."""
    loader = DataLoader()
    for file, name in (
        ("guard.yml", "Take a backup before"),
        ("hand_over.yml", "Swap the roles of those that take writes"),
    ):
        path = ROLE / "tasks" / file
        assert name in [task["name"] for task in yaml.safe_load(path.read_text())]
        tasks = loader.load_from_file(str(path), trusted_as_template=True)
        yield next(task["when"] for task in tasks if task["name"] == name)


@pytest.mark.parametrize(
    ("answer", "kinds", "due"),
    [
        ({"due": {"packages": PACKAGES}}, ["database"], True),
        ({"due": {"packages": PACKAGES}}, "tools,system", True),
        ({"due": {"packages": PACKAGES}}, ["tools"], False),
        ({"due": {"packages": []}}, ["database", "tools", "system"], False),
        ({"failed": True, "msg": "the package lists could not be read"}, ["database"], False),
    ],
)
def test_a_host_with_nothing_due_takes_no_backup_and_hands_nothing_over(answer, kinds, due):
    known = {"__patching_answer": answer, "patching_kinds": kinds, "patching_backup": "incremental"}
    assert [evaluate(condition, **known) for condition in conditions()] == [due, due]


def test_a_backup_is_taken_where_one_is_wanted():
    known = {"__patching_answer": {"due": {"packages": PACKAGES}}, "patching_kinds": ["database"]}
    backup, _ = conditions()
    assert evaluate(backup, **known, patching_backup="full")
    assert not evaluate(backup, **known, patching_backup="none")
