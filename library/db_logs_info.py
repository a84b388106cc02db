#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Look at the logs of the database instances of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_logs_info
short_description: Look at the logs of the database instances of a host
description:
  - Tells who rotates each log, how the log for recovery stands against the disk and the RPO, what holds it, and whether
    the copies of audit logs have gaps or were altered. Nothing on the server is changed.
  - Findings have the form of M(db_access_info). What a server does not have is not applicable, with the reason.
  - With O(chain_directory) it verifies the copies in that directory and looks at no instance.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instances:
    description: Names of instances. Those that are not on this host are passed over. The default is all of this host.
    type: list
    elements: str
    default: []
  settings:
    description: The variable C(db_logs).
    type: dict
    default: {}
  chain_directory:
    description: Directory with the copies of audit logs, a chain an instance.
    type: path
attributes:
  check_mode:
    description: Looks in the same way, and remembers nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Look at the logs of the host
  db_logs_info:
    settings: "{{ db_logs }}"
  become: true
  register: logs

- name: Verify the copies of audit logs
  db_logs_info:
    chain_directory: "{{ playbook_dir }}/../reports/logs/chain"
  delegate_to: localhost
"""

RETURN = r"""
instances:
  description: One entry an instance, in the order of their names.
  returned: always
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    audit:
      description: Checks and findings, in the form of M(db_access_info).
      type: dict
    logs:
      description: Each log with C(path), C(kind), and C(by), who rotates it.
      type: list
    missing:
      description: Kinds of log that the instance does not have, and why.
      type: dict
    space:
      description: The log for recovery, with its size, what an hour adds, what holds it, and the disk.
      type: dict
    need:
      description: What the instance, as a replica, still needs of its primary's log; null when it is none.
      type: dict
    error:
      description: Why it could not be looked at.
      type: dict
chains:
  description: By instance, the C(number) and C(hash) of the newest link, and C(findings).
  returned: with O(chain_directory)
  type: dict
text:
  description: The same for a person.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.logcare import fleet, look
from ansible.module_utils.holdfast.logcare.settings import Settings, resolve

ARGUMENTS = {
    "instances": {"type": "list", "elements": "str", "default": []},
    "settings": {"type": "dict", "default": {}},
    "chain_directory": {"type": "path"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    if params["chain_directory"]:
        chains = fleet.heads(params["chain_directory"])
        lines = [f"{name}: {item['links']} links, {len(item['findings'])} findings" for name, item in chains.items()]
        module.exit_json(changed=False, instances=[], chains=chains, text="\n".join(lines))
    found = []
    try:
        settings = resolve(params["settings"])
        names = config.chosen(params["instances"])
        for name in names:
            found.extend(_look(name, settings, remember=not module.check_mode))
    except HoldfastError as error:
        module.fail_json(msg=str(error), instances=[], text=str(error))
    module.exit_json(changed=False, instances=found, text="\n".join(map(look.text, found)))


def _look(name: str, settings: Settings, *, remember: bool) -> list[dict[str, object]]:
    try:
        return look.look([name], settings, remember=remember)
    except HoldfastError as error:
        return [{"instance": name, "error": error.as_dict()}]


if __name__ == "__main__":
    main()
