#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Scan a database host, from inside with Lynis or from outside with nmap."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_scan_info
short_description: Scan a database host, from inside with Lynis or from outside with nmap
description:
  - Runs Lynis on the host itself and returns its warnings and suggestions, or nmap from this host against the address
    of another one and returns its open ports and what they say of TLS. Scan none but your own hosts.
  - A scanner that is missing or fails is an answer with the reason, never an empty one.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  lynis:
    description: Whether Lynis scans this host.
    type: bool
    default: false
  address:
    description: Address of the host that nmap scans from here.
    type: str
    default: ""
  ports:
    description: The TCP ports that nmap looks at, as its option C(-p) takes them.
    type: str
    default: 1-65535
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
- name: Scan the host from inside
  db_scan_info:
    lynis: true
  become: true

- name: Scan it from outside
  db_scan_info:
    address: db1.example.com
  delegate_to: localhost
"""

RETURN = r"""
lynis:
  description: C(status), which is C(read), C(not_applicable) or C(error), C(reason), and C(value).
  returned: always
  type: dict
nmap:
  description: The same, with the open ports.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.patches import scanners
from ansible.module_utils.holdfast.patches.tools import asked

NOT_ASKED = {"status": "not_applicable", "reason": "it was not asked for", "value": None}
ARGUMENTS = {
    "lynis": {"type": "bool", "default": False},
    "address": {"type": "str", "default": ""},
    "ports": {"type": "str", "default": "1-65535"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    address, ports = module.params["address"], module.params["ports"]
    module.exit_json(
        changed=False,
        lynis=asked(scanners.lynis) if module.params["lynis"] else NOT_ASKED,
        nmap=asked(lambda: scanners.nmap(address, ports)) if address else NOT_ASKED,
    )


if __name__ == "__main__":
    main()
