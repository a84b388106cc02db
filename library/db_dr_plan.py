#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Write the disaster-recovery plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_dr_plan
short_description: Write the disaster-recovery plan from the inventory and from what was measured
description:
  - Writes the plan as Markdown and as one self-contained HTML file, in the structure of NIST SP 800-34, answering the
    topics of ISO 22301 8.2 to 8.6. Runs on the control host and reaches no other.
  - What hosts do not tell now is taken from what they told at an earlier run, and marked.
  - The same inputs give the same text. Fields that people must fill in are marked as gaps.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  inventory:
    description: What the inventory says, as the role validate_inventory returns it in C(facts).
    type: dict
    required: true
  sources:
    description: Paths of inventories, usually the variable C(ansible_inventory_sources) of the play. Commands in the
      plan name them.
    type: list
    elements: str
    required: true
  human:
    description:
      - C(db_plan), C(db_contacts) and C(db_sites) as Ansible renders them. They replace what the files of the inventory
        say, so that a telephone number may come from a vault.
    type: dict
    default: {}
  answers:
    description: Results of M(db_backup_info) with status, backups and records, by host, also ones that failed.
    type: dict
    default: {}
  directory:
    description: Directory that takes the plan, and what hosts told as C(gathered.json).
    type: path
    required: true
  drills:
    description: Directory with the records that M(db_drill_report) wrote.
    type: path
    default: ""
  project:
    description: Directory in which the commands of the plan are typed. Paths of the inventory are relative to it.
    type: path
    default: ""
attributes:
  check_mode:
    description: Writes nothing and shows what would change.
    support: full
  diff_mode:
    description: Shows the Markdown form before and after.
    support: full
  idempotent:
    description: The same inputs give the same files.
    support: full
"""

EXAMPLES = r"""
- name: Write the plan
  db_dr_plan:
    inventory: "{{ validate_inventory_found.facts }}"
    sources: "{{ ansible_inventory_sources }}"
    directory: "{{ playbook_dir }}/../reports"
    answers: "{{ dict(hosts | zip(hosts | map('extract', hostvars) | map(attribute='told', default={}))) }}"
  delegate_to: localhost
  run_once: true
  vars:
    hosts: "{{ ansible_play_hosts_all }}"
"""

RETURN = r"""
files:
  description: Paths of the plan in both forms.
  returned: always
  type: list
  elements: str
gaps:
  description: Fields that people must fill in, as the plan marks them.
  returned: always
  type: list
  elements: str
order:
  description: Names of instances in waves of recovery.
  returned: always
  type: list
  elements: list
review_due:
  description: Day of the next yearly review, YYYY-MM-DD; empty when there was none.
  returned: always
  type: str
notes:
  description: What a person should know, in one sentence each. The same as warnings.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import reports
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.plan import make

ARGUMENTS = {
    "inventory": {"type": "dict", "required": True},
    "sources": {"type": "list", "elements": "str", "required": True},
    "human": {"type": "dict", "default": {}},
    "answers": {"type": "dict", "default": {}},
    "directory": {"type": "path", "required": True},
    "drills": {"type": "path", "default": ""},
    "project": {"type": "path", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        made = make.plan(
            params["inventory"],
            human=params["human"],
            answers=params["answers"],
            sources=params["sources"],
            directory=params["directory"],
            drills=params["drills"],
            project=params["project"],
        )
        changed = reports.differing(made.files)
        diff = [reports.diff(file) for file in changed if file.path.endswith(".md")]
        if not module.check_mode:
            reports.save(changed)
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    for note in made.notes:
        module.warn(note)
    module.exit_json(
        changed=any(not file.path.endswith(".json") for file in changed),
        diff=diff,
        files=[file.path for file in made.files if not file.path.endswith(".json")],
        gaps=made.gaps,
        order=made.order,
        review_due=made.review_due,
        notes=made.notes,
    )


if __name__ == "__main__":
    main()
