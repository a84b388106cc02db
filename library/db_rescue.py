#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Bring back a part of a database instance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_rescue
short_description: Bring back a table, or another part of a database instance
description:
  - Restores a copy aside on this host, takes the part out of it, loads it into the live server under a new name,
    compares it with the live one and returns the statements that would swap or merge the two.
  - The live one is replaced only when O(replace) is set and O(confirm) is the exact name. It is kept under another
    name then.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instance:
    description: The instance that lost it. It must be configured on this host.
    type: str
    required: true
  kind:
    description: What it is. An engine that has no such thing says so.
    type: str
    choices: [table, schema, database, function, procedure, view, sequence, trigger, event, role]
    default: table
  name:
    description:
      - Its full name, C(DATABASE.SCHEMA.TABLE) where the engine has schemas and C(DATABASE.TABLE) where it has not;
        C(ROLE) for a role and C(USER@HOST) for an account. Nothing is folded to lower case. An element that holds a
        dot or a quote is written between double quotes.
    type: str
    required: true
  time:
    description:
      - As it was at this time, in ISO 8601. Without a zone, in that of the host. V(latest) takes the newest data that
        the backup and its log hold. Without it, the newest dump is taken if it has the part, and else as V(latest).
    type: str
    default: ""
  where:
    description: A condition in SQL. Only the rows of the table for which it holds come back.
    type: str
    default: ""
  deleted_until:
    description: >-
      Only the rows that were there at O(time) and are not there any more at this time, or V(now). Needs a primary key.
    type: str
    default: ""
  replace:
    description: Put it in place of the live one, which is kept under another name where the engine can do that.
    type: bool
    default: false
  confirm:
    description: The full name again, as in O(name), to replace.
    type: str
    default: ""
  wait:
    description: Whether to wait for a running job of the same instance, an hour at most, instead of failing at once.
    type: bool
    default: false
extends_documentation_fragment: override
attributes:
  check_mode:
    description: Returns the plan and changes nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Every call rescues again, under another name.
    support: none
"""

EXAMPLES = r"""
- name: Bring back a table as it was before the accident
  db_rescue:
    instance: orders
    name: orders.public.customers
    time: "2026-11-21T14:29:00+01:00"

- name: Bring back the rows that were deleted since
  db_rescue:
    instance: shop
    name: shop.orders
    time: "2026-11-21T14:29:00+01:00"
    deleted_until: now

- name: Put a procedure back in place
  db_rescue:
    instance: shop
    kind: procedure
    name: shop.pay
    replace: true
    confirm: shop.pay
"""

RETURN = r"""
plan:
  description: What the rescue would do, and C(problems) that stand in its way.
  returned: in check mode
  type: dict
record:
  description: The record of the rescue, as C(holdfast records --json) prints it.
  returned: when it was tried
  type: dict
text:
  description: The same for a person.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import rescue, rescue_plan
from ansible.module_utils.holdfast.arguments import OVERRIDE, override
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.model import Instance
from ansible.module_utils.holdfast.rescue_command import text

ARGUMENTS = {
    "instance": {"type": "str", "required": True},
    "kind": {
        "type": "str",
        "choices": [
            "table",
            "schema",
            "database",
            "function",
            "procedure",
            "view",
            "sequence",
            "trigger",
            "event",
            "role",
        ],
        "default": "table",
    },
    "name": {"type": "str", "required": True},
    "time": {"type": "str", "default": ""},
    "where": {"type": "str", "default": ""},
    "deleted_until": {"type": "str", "default": ""},
    "replace": {"type": "bool", "default": False},
    "confirm": {"type": "str", "default": ""},
    "wait": {"type": "bool", "default": False},
    "override": OVERRIDE,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = dict(module.params)
    name, wait = params.pop("instance"), params.pop("wait")
    try:
        params["override"] = override(params)
        request = rescue_plan.make_request(params.pop("kind"), params.pop("name"), **params)
        if module.check_mode:
            plan = rescue.plan(name, request, _prepare)
            shown = rescue_plan.describe(plan, name)
            if plan["problems"]:
                module.fail_json(msg=shown, plan=plan, text=shown)
            module.exit_json(changed=True, plan=plan, text=shown)
        record = rescue.start(name, request, _prepare, wait=wait)
    except HoldfastError as error:
        module.fail_json(msg=str(error), text=str(error))
    if record["result"] != "ok":
        module.fail_json(msg=text(record), text=text(record), record=record, changed=False)
    module.exit_json(changed=True, text=text(record), record=record)


def _prepare(instance: Instance) -> None:
    configure_logging(instance, quiet=True)


if __name__ == "__main__":
    main()
