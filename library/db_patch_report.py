#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Write the reports of what is due, and put the hosts of a roll-out in order."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_patch_report
short_description: Write the reports of what is due, and put the hosts of a roll-out in order
description:
  - Puts the answers of all hosts together and writes them as JSON, CSV, self-contained HTML, SARIF 2.1.0 and JUnit XML,
    compared with the report before. Runs on the control host and reaches no other.
  - With O(deploy) it also returns the order in which these hosts are to be patched.
  - With O(scans) it writes the report of a vulnerability scan instead, with O(upgrades) that of a check for a major
    upgrade, with O(outcomes) how a roll-out ended.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  directory:
    description: Directory that takes the reports.
    type: path
    required: true
  answers:
    description: Results of M(db_patch_info) by host, also ones that failed.
    type: dict
    default: {}
  instances:
    description: The instances that the inventory has on each host, by host.
    type: dict
    default: {}
  addresses:
    description: How other database hosts reach each host, by host.
    type: dict
    default: {}
  deploy:
    description: Names of the hosts that are to be patched.
    type: list
    elements: str
    default: []
  at_a_time:
    description: How many hosts without a pair are patched side by side.
    type: int
    default: 1
  scans:
    description: >-
      Answers of M(db_scan_info) by host, with C(lynis) and C(nmap), and the ports that are C(expected) and those of
      C(databases).
    type: dict
    default: {}
  upgrades:
    description: Results of M(db_upgrade_info) by host, also ones that failed.
    type: dict
    default: {}
  outcomes:
    description: How each host of a roll-out ended, in their order, with C(host), C(outcome) and C(message).
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Writes nothing and returns the numbers.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Every report has its time in it.
    support: none
"""

EXAMPLES = r"""
- name: Write the reports
  db_patch_report:
    directory: "{{ playbook_dir }}/../reports/patches"
    answers: "{{ dict(hosts | zip(hosts | map('extract', hostvars) | map(attribute='due', default={}))) }}"
  delegate_to: localhost
  run_once: true
  vars:
    hosts: "{{ ansible_play_hosts_all }}"
"""

RETURN = r"""
files:
  description: Paths of what was written, or would be.
  returned: always
  type: list
  elements: str
counts:
  description: Numbers of hosts, of findings by severity, and of questions without an answer.
  returned: when a report is written
  type: dict
order:
  description: The hosts to patch, in their order.
  returned: when a report is written
  type: list
  elements: str
batches:
  description: How many of them are patched at a time, as C(serial) takes it.
  returned: when a report is written
  type: list
  elements: int
mates:
  description: The hosts with the other members of the pairs of each host.
  returned: when a report is written
  type: dict
plan:
  description: The order in words.
  returned: when a report is written
  type: list
  elements: str
notes:
  description: What a person should know. The same as warnings.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import reports
from ansible.module_utils.holdfast.engines.catalog import ENGINES
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.files import File
from ansible.module_utils.holdfast.pairs import find_pairs
from ansible.module_utils.holdfast.patches import publish, rollout
from ansible.module_utils.holdfast.patches.rollout import Rollout
from ansible.module_utils.holdfast.units import utcnow

ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "answers": {"type": "dict", "default": {}},
    "instances": {"type": "dict", "default": {}},
    "addresses": {"type": "dict", "default": {}},
    "deploy": {"type": "list", "elements": "str", "default": []},
    "at_a_time": {"type": "int", "default": 1},
    "scans": {"type": "dict", "default": {}},
    "upgrades": {"type": "dict", "default": {}},
    "outcomes": {"type": "list", "elements": "dict", "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        files, notes, said = _make(params)
        if not module.check_mode:
            reports.save(files)
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    for note in notes:
        module.warn(note)
    module.exit_json(changed=True, files=[file.path for file in files], notes=notes, **said)


def _make(params: dict[str, Any]) -> tuple[list[File], list[str], dict[str, Any]]:
    now, directory = utcnow(), params["directory"]
    if params["outcomes"]:
        return publish.ended(params["outcomes"], directory, now), [], {}
    if params["scans"] or params["upgrades"]:
        make = publish.scanned if params["scans"] else publish.upgrades
        made = make(params["scans"] or params["upgrades"], directory, now)
        return made.files, made.notes, {"counts": made.counts}
    order = _order(params)
    made = publish.due(params["answers"], directory, now)
    said = {"counts": made.counts, "order": order.hosts, "batches": order.batches}
    return made.files, [*made.notes, *order.notes], {**said, "mates": order.mates, "plan": order.plan}


def _order(params: dict[str, Any]) -> Rollout:
    ports = {name: facts.port for name, facts in ENGINES.items()}
    pairs = find_pairs(params["instances"], params["addresses"], ports)
    answers = {host: answer["due"] for host, answer in params["answers"].items() if answer.get("due")}
    names = rollout.chosen(params["deploy"], list(params["answers"]))
    return rollout.order(names, pairs, answers, params["at_a_time"])


if __name__ == "__main__":
    main()
