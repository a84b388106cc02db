"""Checks the inventory that the play runs with, as Ansible has read it: a file read once more takes its time again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible finds this directory for what it ships to hosts, not for what runs inside itself.
sys.path.append(str(Path(__file__).resolve().parents[3] / "module_utils"))

import inventory_source
from holdfast.problems import InvalidInventory


class ActionModule(ActionBase):
    """Fails with every mistake at once, each with its file and line, and warns of gaps. Takes no arguments."""

    _VALID_ARGS = frozenset()
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See the base class. What is returned is in the README of the role."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        # A task runs in a process of its own, and nothing but this one knows the inventory manager there.
        manager = (task_vars or {})["hostvars"]._inventory  # noqa: SLF001
        source = inventory_source.loaded(manager, self._loader)
        problems = source.check()
        result.update(changed=False, problems=[problem.as_dict() for problem in problems])
        if problems:
            result.update(failed=True, msg=str(InvalidInventory(problems)))
            return result
        # An empty field must keep nobody from taking a backup.
        gaps, facts = source.gaps(), source.facts()
        result.update(gaps=[gap.as_dict() for gap in gaps], facts=facts, order=facts["order"])
        result.setdefault("warnings", []).extend(map(str, gaps))
        return result
