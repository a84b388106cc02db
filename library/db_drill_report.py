#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Write the record and the report of a disaster drill."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_drill_report
short_description: Write the record and the report of a disaster drill
description:
  - Judges a drill by explicit criteria and writes it as JSON, Markdown and HTML. Runs on the control host.
  - Computes the success rate of the drills of the last twelve months in the same directory.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  directory:
    description: Directory that takes the three files, and that holds those of earlier drills.
    type: path
    required: true
  id:
    description: Name of the drill, part of the names of its files.
    type: str
    required: true
  scenario:
    description: What is assumed to have happened.
    type: str
    required: true
  scope:
    description: What was rehearsed, and what was not.
    type: str
    default: ""
  participants:
    description: Names and roles of those who took part.
    type: list
    elements: str
    default: []
  target_time:
    description: Moment that was recovered to; empty for the newest change.
    type: str
    default: ""
  phases:
    description: Begin and end of each phase, in order. The clock of the RTO starts with the first.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the phase.
        type: str
        choices: [declare, provision, restore, recover, validate]
        required: true
      started:
        description: Begin, in ISO 8601 with a zone.
        type: str
        required: true
      finished:
        description: End, in ISO 8601 with a zone.
        type: str
        required: true
  records:
    description: Records of the restores as C(holdfast records --json) prints them, of the job restore or restore_test.
    type: list
    elements: dict
    required: true
  measured:
    description:
      - What was measured of an instance beside its record, by its name. Keys are C(rto_target_seconds),
        C(rpo_target_seconds), C(rpo_seconds), C(tables), C(rows), C(backup_finished) and the others of a record.
    type: dict
    default: {}
  expected:
    description: Names of all instances in scope. One without a record was not restored.
    type: list
    elements: str
    default: []
  defects:
    description: Defects that people saw. What the criteria find is added.
    type: list
    elements: dict
    default: []
    suboptions:
      what:
        description: The defect.
        type: str
        required: true
      owner:
        description: Who mends it.
        type: str
      due:
        description: By when, YYYY-MM-DD.
        type: str
  evidence:
    description: Files on the control host whose hashes the report holds, such as logs.
    type: list
    elements: path
    default: []
  sign_off:
    description: Roles or names who sign.
    type: list
    elements: str
    default: []
  interval_days:
    description: Days until the next drill.
    type: int
    default: 365
  revision:
    description: Revision of the inventory.
    type: str
    default: ""
attributes:
  check_mode:
    description: Writes nothing and returns the record.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: The same options give the same files.
    support: full
"""

EXAMPLES = r"""
- name: Report the drill
  db_drill_report:
    directory: "{{ playbook_dir }}/../reports/drills"
    id: 2026-11-22
    scenario: The site in Berlin is lost
    participants: [Ana Example (leads), Dana Example (recovers)]
    phases:
      - name: declare
        started: "2026-11-22T09:00:00Z"
        finished: "2026-11-22T09:04:00Z"
    records: "{{ restore_records }}"
    expected: [orders, billing]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
drill:
  description: The record of the drill.
  returned: always
  type: dict
passed:
  description: Whether every criterion is met.
  returned: always
  type: bool
success_rate:
  description: Share of the drills of the last twelve months that passed, this one included.
  returned: always
  type: float
finding:
  description: What is wrong with the success rate; empty when nothing is.
  returned: always
  type: str
files:
  description: Paths of record and report.
  returned: always
  type: list
  elements: str
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import drill, reports
from ansible.module_utils.holdfast.drill_report import report
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput
from ansible.module_utils.holdfast.plan.facts import read_drills

ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "id": {"type": "str", "required": True},
    "scenario": {"type": "str", "required": True},
    "scope": {"type": "str", "default": ""},
    "participants": {"type": "list", "elements": "str", "default": []},
    "target_time": {"type": "str", "default": ""},
    "phases": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {
                "type": "str",
                "required": True,
                "choices": ["declare", "provision", "restore", "recover", "validate"],
            },
            "started": {"type": "str", "required": True},
            "finished": {"type": "str", "required": True},
        },
    },
    "records": {"type": "list", "elements": "dict", "required": True},
    "measured": {"type": "dict", "default": {}},
    "expected": {"type": "list", "elements": "str", "default": []},
    "defects": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "what": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "due": {"type": "str"},
        },
    },
    "evidence": {"type": "list", "elements": "path", "default": []},
    "sign_off": {"type": "list", "elements": "str", "default": []},
    "interval_days": {"type": "int", "default": 365},
    "revision": {"type": "str", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        name = f"drill-{_name(params['id'])}"
        earlier = [item for item in read_drills(params["directory"]) if item["id"] != params["id"]]
        found = drill.build({**params, "evidence": drill.hashes(params["evidence"])}, earlier)
        record = reports.data(os.path.join(params["directory"], f"{name}.json"), found)
        wanted = [record, *reports.both_forms(params["directory"], name, report(found))]
        changed = reports.differing(wanted)
        if not module.check_mode:
            reports.save(changed)
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    finding = found["success"]["finding"]
    if finding:
        module.warn(finding)
    module.exit_json(
        changed=bool(changed),
        drill=found,
        passed=found["result"] == "passed",
        success_rate=found["success"]["rate"],
        finding=finding or "",
        files=[file.path for file in wanted],
    )


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", text):
        raise InvalidInput(
            "is no name for a file", where=f"id {text!r}", remedy="Use letters, digits, dots and hyphens"
        )
    return text


if __name__ == "__main__":
    main()
