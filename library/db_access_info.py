#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Audit who can do what on the database instances of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_access_info
short_description: Audit accounts, roles and rights of the database instances of a host
description:
  - Asks every hardening check of the engine, reads accounts, memberships, effective rights and paths to more power, and
    holds them against the declared policy. Nothing on the server is changed.
  - Every audit leaves a record, and a snapshot that only the instance's OS user can read, which the next one is
    compared with.
  - A check that cannot be answered is an error in its instance's audit and stops no other. An instance that cannot be
    audited is an entry with its error.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instances:
    description: Names of instances. Those that are not on this host are passed over. The default is all of this host.
    type: list
    elements: str
    default: []
  policy:
    description: The variable C(db_access_policy). Without it, that of the last audit of each instance is used again.
    type: dict
  reviews:
    description: The reviews that the control host has recorded, as C(access-reviews.json) has them. With them the host
      knows when the next one is due.
    type: list
    elements: dict
  last:
    description: Return the last audit of each instance instead of making one.
    type: bool
    default: false
attributes:
  check_mode:
    description: Returns the last audit, as O(last) does.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Audit the instances of the host
  db_access_info:
    policy: "{{ db_access_policy }}"
  become: true
  register: audit
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
    record:
      description: The record of the run, as C(holdfast records --json) prints it. Empty for the last audit.
      returned: when it was audited
      type: dict
    audit:
      description: What it saw, as C(holdfast audit --json) prints it; null where it saw nothing.
      returned: when it was audited
      type: dict
    error:
      description: Why it could not be audited, with the keys C(code), C(what), C(where) and C(remedy).
      returned: when it could not be audited
      type: dict
text:
  description: The same for a person.
  returned: always
  type: str
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.audit import command
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.owner import run_as_owner

ARGUMENTS = {
    "instances": {"type": "list", "elements": "str", "default": []},
    "policy": {"type": "dict"},
    "reviews": {"type": "list", "elements": "dict"},
    "last": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    names = config.chosen(module.params["instances"])
    last = module.params["last"] or module.check_mode
    found = [_audit(name, module.params, last) for name in names]
    module.exit_json(changed=False, instances=found, text="\n\n".join(map(_text, found)))


def _audit(name: str, params: dict[str, Any], last: bool) -> dict[str, Any]:
    try:
        found = run_as_owner(config.load(name), partial(_as_owner, name, params, last))
    except HoldfastError as error:
        return {"instance": name, "error": error.as_dict()}
    if found["audit"] is None:
        return {"instance": name, **found, "error": found["record"]["error"]}
    return {"instance": name, **found}


def _as_owner(name: str, params: dict[str, Any], last: bool) -> dict[str, Any]:
    # The keys are the owner's alone, so the instance is complete only when the owner reads it.
    instance = config.load(name)
    if last:
        return command.last(instance)
    configure_logging(instance, quiet=True)
    return command.run(instance, params["policy"], reviews=params["reviews"])


def _text(found: dict[str, Any]) -> str:
    if "audit" in found:
        return command.text(found)
    return f"{found['instance']}: {found['error']['what']}"


if __name__ == "__main__":
    main()
