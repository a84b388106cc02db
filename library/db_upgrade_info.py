#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Tell what stands in the way of a major upgrade of the instances of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_upgrade_info
short_description: Tell what stands in the way of a major upgrade of the instances of a host
description:
  - Asks each instance for extensions, types, options, plugins and tables that a later major version does not take, and
    tells the room and what is known of the time that an upgrade needs. Plans nothing and runs nothing.
  - What cannot be told on this host is not applicable, with the reason, and never a pass.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  targets:
    description: The later major version of each engine, for example C(postgresql) with C("17").
    type: dict
    required: true
  instances:
    description: Names of instances. Those that are not on this host are passed over. The default is all of this host.
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
- name: Ask what a major upgrade would take
  db_upgrade_info:
    targets:
      postgresql: "17"
      mariadb: "11.8"
  become: true
"""

RETURN = r"""
surveys:
  description: >-
    One entry an instance, with C(results) and C(facts), or with C(error), or with C(skipped) where no later version of
    its engine was named.
  returned: always
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.patches.upgrade import survey

ARGUMENTS = {
    "targets": {"type": "dict", "required": True},
    "instances": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    targets = {engine: str(version) for engine, version in module.params["targets"].items()}
    names = config.chosen(module.params["instances"])
    module.exit_json(changed=False, surveys=[_survey(name, targets) for name in names])


def _survey(name: str, targets: dict[str, str]) -> dict[str, Any]:
    try:
        return survey(name, targets)
    except HoldfastError as error:
        return {"instance": name, "engine": config.load(name).engine, "error": str(error)}


if __name__ == "__main__":
    main()
