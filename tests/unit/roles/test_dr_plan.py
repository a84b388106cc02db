"""The role that writes the plan, run by Ansible itself with every host out of reach."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_plan_is_made_from_the_inventory_that_ansible_has_read(tmp_path: Path) -> None:
    extra = {"dr_plan_directory": str(tmp_path), "dr_plan_ask_hosts": False}
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventories/example", "-e", json.dumps(extra), "playbooks/dr_plan.yml"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = next(tmp_path.glob("*.md")).read_text()
    assert "-i inventories/example " in text
    assert "{{" not in text
    assert "**1** |" in text, "the waves of recovery"
