#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Take away accounts, roles and rights that should not be there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_access
short_description: Take away accounts, roles and rights that should not be there
description:
  - Brings one instance to the declared policy, or does one named thing to one account. It only takes away; what the
    policy names and the server lacks is told and not made.
  - The undo is written on the host, readable by the instance's OS user alone, before anything changes.
  - Refuses what would lock out the last administrator or the account that it is connected with. One refusal stops the
    whole change.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instance:
    description: Name of the instance.
    type: str
    required: true
  action:
    description:
      - V(policy) revokes roles and rights that the policy does not give, locks and drops the accounts that it wants
        locked or absent, and touches nothing that the policy does not name.
      - V(revoke) takes a role or a right from an account, V(lock) keeps it from logging in, V(expire) ends its
        password, V(drop) removes it. V(undo) takes back an earlier change.
    type: str
    choices: [policy, revoke, lock, expire, drop, undo]
    default: policy
  account:
    description: The account as the server writes it, C(ROLE) or C(USER@HOST).
    type: str
    default: ""
  role:
    description: The role to revoke.
    type: str
  attribute:
    description: The attribute to revoke, such as C(CREATEROLE), where the engine has such.
    type: str
  privilege:
    description: The right to revoke, such as C(SELECT).
    type: str
  kind:
    description: What the right is on, such as C(table).
    type: str
  object:
    description: The object as a person would type it.
    type: str
  database:
    description: The database that the object is in, where it is in one.
    type: str
  reassign:
    description: The account that gets what one that is dropped owns. Without it, one that owns something is refused.
    type: str
  policy:
    description: The variable C(db_access_policy). Without it, that of the last audit is used.
    type: dict
  undo:
    description: The name of an undo, as the record of the change has it.
    type: str
    default: ""
  confirm:
    description: The name of the instance again. Without it nothing is changed.
    type: str
    default: ""
attributes:
  check_mode:
    description: Shows the plan and changes nothing.
    support: full
  diff_mode:
    description: Shows every statement of the plan and the one that undoes it.
    support: full
  idempotent:
    description: An instance that is as its policy has it is left alone.
    support: full
"""

EXAMPLES = r"""
- name: Show what it takes to bring an instance to its policy
  db_access:
    instance: orders
    policy: "{{ db_access_policy }}"
  check_mode: true
  diff: true

- name: Lock an account
  db_access:
    instance: orders
    action: lock
    account: mallory
    confirm: orders

- name: Take a right away
  db_access:
    instance: orders
    action: revoke
    account: report
    privilege: DELETE
    kind: table
    object: public.orders
    database: orders
    confirm: orders
"""

RETURN = r"""
steps:
  description: What was changed, or would be, with C(statements), C(undo) and what cannot be undone in C(irreversible).
  returned: always
  type: list
  elements: dict
notes:
  description: What the policy names and the server lacks.
  returned: always
  type: list
  elements: str
undo:
  description: Path of the undo script on the host; empty when nothing was changed.
  returned: always
  type: str
text:
  description: The steps for a person.
  returned: always
  type: str
record:
  description: The record of the change, as C(holdfast records --json) prints it.
  returned: when it was tried
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.audit import remedy
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.jobs import summary
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.model import Instance

DETAILS = ("role", "attribute", "privilege", "kind", "object", "database", "reassign")
ARGUMENTS = {
    "instance": {"type": "str", "required": True},
    "action": {
        "type": "str",
        "choices": ["policy", "revoke", "lock", "expire", "drop", "undo"],
        "default": "policy",
    },
    "account": {"type": "str", "default": ""},
    "role": {"type": "str"},
    "attribute": {"type": "str"},
    "privilege": {"type": "str"},
    "kind": {"type": "str"},
    "object": {"type": "str"},
    "database": {"type": "str"},
    "reassign": {"type": "str"},
    "policy": {"type": "dict"},
    "undo": {"type": "str", "default": ""},
    "confirm": {"type": "str", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    name = params["instance"]
    try:
        request = remedy.make_request(
            params["action"],
            account=params["account"],
            details={key: params[key] for key in DETAILS if params[key]},
            policy=params["policy"],
            undo=params["undo"],
            confirm=params["confirm"],
        )
        if module.check_mode:
            planned = remedy.plan(name, request, _prepare)
            text = remedy.describe(planned["steps"])
            module.exit_json(
                changed=bool(planned["steps"]), **planned, undo="", text=text, diff={"prepared": text + "\n"}
            )
        record = remedy.start(name, request, _prepare)
    except HoldfastError as error:
        module.fail_json(msg=str(error), steps=[], notes=[], undo="", text=str(error))
    said = record.get("access_change", {"steps": [], "notes": [], "undo": ""})
    text = remedy.describe(said["steps"])
    result = {key: said[key] for key in ("steps", "notes", "undo")}
    if record["result"] != "ok":
        module.fail_json(msg=summary(record), **result, text=summary(record), record=record, changed=bool(said["undo"]))
    module.exit_json(
        changed=bool(said["steps"]), **result, text=text, record=record, diff={"prepared": text + "\n" if text else ""}
    )


def _prepare(instance: Instance) -> None:
    configure_logging(instance, quiet=True)


if __name__ == "__main__":
    main()
