#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Tell what is due on a database host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_patch_info
short_description: Tell what is due on a database host
description:
  - Tells installed and available versions of servers, tools and packages of the system, known vulnerabilities by
    debsecan, services that need a restart and a kernel that asks for a reboot by needrestart, and what was left half
    done. Changes no package.
  - What a tool cannot tell is an entry with the reason and no empty answer.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  refresh:
    description: Whether the package lists are read anew. Nothing else is changed.
    type: bool
    default: false
  vulnerability_source:
    description: >-
      URL of debsecan's data, without the name of the release; for example C(file:///srv/debsecan/) for a copy. The
      default is what debsecan is configured with, else the tracker of the distribution.
    type: str
    default: ""
attributes:
  check_mode:
    description: Reads no package lists anew.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Ask what is due
  db_patch_info:
    refresh: true
  become: true
"""

RETURN = r"""
due:
  description:
    - Among others C(packages), each with C(installed), C(available), C(kind) and C(security), C(servers),
      C(vulnerabilities), C(restarts), C(reboot), C(lists).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.patches import due

ARGUMENTS = {
    "refresh": {"type": "bool", "default": False},
    "vulnerability_source": {"type": "str", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        found = due.look(
            refresh=module.params["refresh"] and not module.check_mode, source=module.params["vulnerability_source"]
        )
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, due=found)


if __name__ == "__main__":
    main()
