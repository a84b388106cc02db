#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Put what the hosts told of their instances into one table."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_fleet_info
short_description: Put what the hosts told of their instances into one table
description:
  - Combines the results of M(db_backup_info) of many hosts. Runs on the control host and reaches no other.
  - An instance whose host does not answer is in the result with the reason.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  answers:
    description: The registered result of M(db_backup_info) of each host, by host, also one that failed.
    type: dict
    required: true
  expected:
    description: The instances that the inventory has on each host, by host.
    type: dict
    default: {}
  instances:
    description: Names of instances. The default is all.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Put the fleet together
  db_fleet_info:
    answers: "{{ dict(hosts | zip(hosts | map('extract', hostvars) | map(attribute='backup_state'))) }}"
  delegate_to: localhost
  run_once: true
  vars:
    hosts: "{{ ansible_play_hosts_all }}"
"""

RETURN = r"""
fleet:
  description:
    - One entry an instance, sorted by name, with everything that C(holdfast status --json) prints of it.
    - The state is V(unknown) where a host does not answer.
  returned: always
  type: list
  elements: dict
table:
  description: The same as a table for people.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import tables
from ansible.module_utils.holdfast.fleet import combine

ARGUMENTS = {
    "answers": {"type": "dict", "required": True},
    "expected": {"type": "dict", "default": {}},
    "instances": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    fleet = combine(module.params["answers"], module.params["expected"], module.params["instances"])
    table = tables.status(fleet) if fleet else "no instances"
    module.exit_json(changed=False, fleet=fleet, table=table)


if __name__ == "__main__":
    main()
