#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Tell what an instance says of its part in a pair, and who else answers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_replica_info
short_description: Tell what an instance says of its part in a pair
description:
  - Asks the server of one instance whether it is a primary or a replica, whom it follows, how far it is behind and who
    is attached to it.
  - Can look from this host whether addresses of another one answer.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instance:
    description: Name of an instance on this host; empty to probe only.
    type: str
    default: ""
  probe:
    description: Addresses to connect to.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Name or address.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
  attempts:
    description: How often each address is tried before it counts as silent, a second apart.
    type: int
    default: 3
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
- name: Ask a replica how far it is behind
  db_replica_info:
    instance: orders-dr

- name: See whether the host of a lost primary answers
  db_replica_info:
    instance: orders-dr
    probe:
      - host: db1.example.com
        port: 22
      - host: db1.example.com
        port: 5432
"""

RETURN = r"""
state:
  description:
    - What the server says. C(answers) is false, with C(error), where it does not answer.
    - Among others C(role), C(writable), C(source), C(streaming), C(lag_seconds), C(lag_bytes), C(replicas), C(fenced).
  returned: always
  type: dict
reached:
  description: The addresses that answered.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.probe import reached
from ansible.module_utils.holdfast.replication import look

ADDRESS = {"host": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
ARGUMENTS = {
    "instance": {"type": "str", "default": ""},
    "probe": {"type": "list", "elements": "dict", "default": [], "options": ADDRESS},
    "attempts": {"type": "int", "default": 3},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    addresses = [(item["host"], item["port"]) for item in module.params["probe"]]
    try:
        state = look(module.params["instance"]) if module.params["instance"] else {}
    except HoldfastError as error:
        module.fail_json(msg=str(error), state={"answers": False, "error": str(error)}, reached=[])
    module.exit_json(changed=False, state=state, reached=reached(addresses, module.params["attempts"]))


if __name__ == "__main__":
    main()
