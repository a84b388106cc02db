#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Find the pairs of the fleet, and decide whether the roles of one may change."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_pair_info
short_description: Find pairs of instances, and decide whether their roles may change
description:
  - Finds the pairs of a primary and its replica in the inventory. Runs on the control host and reaches no other.
  - With an O(operation), decides from what both members say of themselves whether it may go ahead, and fails with all
    that stands in its way.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instances:
    description: The instances that the inventory has on each host, by host.
    type: dict
    required: true
  addresses:
    description: How other database hosts reach each host, by host. The default is its name in the inventory.
    type: dict
    default: {}
  instance:
    description: Name of a member of the pair. Needed with an operation.
    type: str
    default: ""
  operation:
    description: What is to be done with the pair.
    type: str
    choices: [find, switchover, failover, failback]
    default: find
  answers:
    description: The registered result of M(db_replica_info) of each member, by instance, also one that failed.
    type: dict
    default: {}
  confirm:
    description: The exact name of the instance, as the operator typed it.
    type: str
    default: ""
  primary_is_fenced:
    description: The operator's word that the lost primary takes no writes.
    type: bool
    default: false
  accept_loss:
    description: Whether a failover may lose more than the RPO.
    type: bool
    default: false
  maximum_lag:
    description: How many seconds a replica may be behind when a switchover begins.
    type: int
    default: 30
extends_documentation_fragment: override
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
- name: Find all pairs
  db_pair_info:
    instances: "{{ dict(hosts | zip(hosts | map('extract', hostvars) | map(attribute='db_instances', default=[]))) }}"
  delegate_to: localhost
  vars:
    hosts: "{{ groups['all'] }}"
"""

RETURN = r"""
pairs:
  description: Every pair, or the one of O(instance). C(first) was set up as the primary, C(second) as its replica.
  returned: always
  type: list
  elements: dict
primary:
  description: The member that is the primary, or was before it was lost.
  returned: with an operation
  type: dict
reachable:
  description: Whether the host of C(primary) can be reached.
  returned: with an operation
  type: bool
replica:
  description: The other one.
  returned: with an operation
  type: dict
plan:
  description: What will be done, in sentences; empty where nothing is to be done.
  returned: with an operation
  type: list
  elements: str
notes:
  description: What a person should know.
  returned: with an operation
  type: list
  elements: str
"""

from datetime import timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.arguments import OVERRIDE, override
from ansible.module_utils.holdfast.engines.catalog import ENGINES
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.pairs import Member, PairOf, Wish, decide, find_pairs, pair_of

ARGUMENTS = {
    "instances": {"type": "dict", "required": True},
    "addresses": {"type": "dict", "default": {}},
    "instance": {"type": "str", "default": ""},
    "operation": {"type": "str", "choices": ["find", "switchover", "failover", "failback"], "default": "find"},
    "answers": {"type": "dict", "default": {}},
    "confirm": {"type": "str", "default": ""},
    "primary_is_fenced": {"type": "bool", "default": False},
    "accept_loss": {"type": "bool", "default": False},
    "maximum_lag": {"type": "int", "default": 30},
    "override": OVERRIDE,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    options = module.params
    ports = {name: facts.port for name, facts in ENGINES.items()}
    try:
        pairs = find_pairs(options["instances"], options["addresses"], ports)
        if options["instance"] or options["operation"] != "find":
            pairs = [pair_of(pairs, options["instance"])]
        wanted = override(options)
    except InvalidInput as error:
        module.fail_json(msg=str(error), pairs=[])
    result: dict[str, Any] = {"pairs": [_plain(pair) for pair in pairs]}
    if options["operation"] == "find":
        module.exit_json(changed=False, **result)
    wish = Wish(
        options["instance"],
        options["confirm"],
        options["primary_is_fenced"],
        options["accept_loss"],
        timedelta(seconds=options["maximum_lag"]),
        [address for answer in options["answers"].values() for address in answer.get("reached", ())],
        wanted,
    )
    answers = _states(pairs[0], options["answers"])
    decision = decide(options["operation"], pairs[0], answers, wish)
    primary = decision.primary
    result.update(
        primary=_member(primary),
        reachable=bool(primary and not answers[primary.name].get("unreachable")),
        replica=_member(decision.replica),
        plan=decision.plan,
        notes=decision.notes,
    )
    if decision.refusals:
        text = "\n".join([f"{options['operation']} refused, nothing was changed:", *decision.refusals, *decision.notes])
        module.fail_json(msg=text, refusals=decision.refusals, **result)
    module.exit_json(changed=False, **result)


def _states(pair: PairOf, answers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        member.name: {**answers.get(member.name, {}), **answers.get(member.name, {}).get("state", {})}
        for member in pair.members
    }


def _member(member: Member | None) -> dict[str, Any]:
    return dict(vars(member), peer=member.as_peer()) if member else {}


def _plain(pair: PairOf) -> dict[str, Any]:
    return {"first": _member(pair.first), "second": _member(pair.second)}


if __name__ == "__main__":
    main()
