#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Check the inventory as a whole and tell which instances it has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_inventory_info
short_description: Check the inventory as a whole and tell which instances it has
description:
  - Reads inventories as Ansible merges them and checks everything that was written about database instances, service
    levels and repositories, and about contacts and sites. It reports all mistakes at once, each with its file and line.
  - Empty fields that the recovery of a critical instance needs are warnings here, as they must keep nobody from taking
    a backup; C(make validate) fails on them.
  - Values that are templates, lookups or encrypted with a vault are checked later, on the host that they are for.
  - Runs on the control host, with the Python that runs Ansible, and reaches no other host.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  sources:
    description: Paths of inventories, usually the variable C(ansible_inventory_sources) of the play.
    type: list
    elements: str
    required: true
  config:
    description: Path of Ansible's configuration, usually the variable C(ansible_config_file). It matters where a vault
      password or inventory plugins are configured there.
    type: path
    default: ""
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
- name: Check the inventory of this play
  db_inventory_info:
    sources: "{{ ansible_inventory_sources }}"
    config: "{{ ansible_config_file | default('', true) }}"
  delegate_to: localhost
  run_once: true
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""

RETURN = r"""
instances:
  description: The instances of every host that has some, by host.
  returned: when there is no problem
  type: dict
  sample:
    db1.example.com:
      - name: orders
        engine: postgresql
        port: 5432
        service_level: critical
order:
  description: Names of instances in waves of recovery, those that others depend on and the most urgent first.
  returned: when there is no problem
  type: list
  elements: list
  sample: [[billing], [orders]]
gaps:
  description: Empty fields that the recovery of a critical instance needs, each with the keys of a problem.
  returned: when there is no problem
  type: list
  elements: dict
problems:
  description: Everything that is wrong, sorted by file and line. When there is something, the module fails.
  returned: always
  type: list
  elements: dict
  contains:
    file:
      description: File in which it was written; empty when that is not known.
      type: str
    line:
      description: Line of the file; 0 when that is not known.
      type: int
    host:
      description: A host that the value is for.
      type: str
    key:
      description: The key, for example C(db_instances[orders].port).
      type: str
    value:
      description: The value as it was written; empty for a list, a mapping or nothing at all.
      type: str
    message:
      description: What is wrong with it.
      type: str
    valid:
      description: What would be valid.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.problems import InvalidInventory, Problem
from ansible.module_utils.inventory_source import read_apart

ARGUMENTS = {
    "sources": {"type": "list", "elements": "str", "required": True},
    "config": {"type": "path", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        found = read_apart(module.params["sources"], config=module.params["config"])
    except InvalidInput as error:
        module.fail_json(msg=str(error), problems=[])
    if found["problems"]:
        error = InvalidInventory([Problem(**problem) for problem in found["problems"]])
        module.fail_json(msg=str(error), problems=found["problems"])
    for gap in found["gaps"]:
        module.warn(str(Problem(**gap)))
    module.exit_json(
        changed=False,
        instances=found["instances"],
        order=found["plan"]["order"],
        gaps=found["gaps"],
        problems=[],
    )


if __name__ == "__main__":
    main()
