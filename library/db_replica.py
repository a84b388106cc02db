#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Make an instance a primary or a replica, one step at a time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_replica
short_description: Make an instance a primary or a replica
description:
  - One step of the runbooks that set up a replica or change roles, on one of the two members of a pair. The runbooks
    put the steps into their order and decide whether they may be taken.
  - Every step that does something leaves a record of the job C(replication).
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instance:
    description: Name of the instance on this host.
    type: str
    required: true
  action:
    description:
      - V(prepare) lets the peer follow this server, V(follow) makes this one a replica of the peer and fills it from
        the newest backup if it is none yet.
      - V(demote) stops the writes of a primary once its replica has everything, V(resume) undoes that, V(promote) makes
        a replica the primary.
      - V(fence) keeps a server from taking writes, V(rejoin) makes a server that lost its role a replica and saves
        first what only it has.
    type: str
    choices: [prepare, follow, demote, resume, promote, fence, rejoin]
    required: true
  peer:
    description: The other member of the pair.
    type: dict
    required: true
    suboptions:
      name:
        description: Name of the instance.
        type: str
        required: true
      host:
        description: Name or address at which its server is reached from here.
        type: str
        required: true
      port:
        description: Port of its server.
        type: int
        required: true
      version:
        description: Version of its server, for a server that has to be made here.
        type: str
        default: ""
  password:
    description: Password of the account by which the members reach each other.
    type: str
    required: true
  position:
    description: The position at which roles change, as V(demote) returned it.
    type: str
    default: ""
  patience:
    description: Seconds to wait for the replica to replay what it has.
    type: int
    default: 60
  restart:
    description: Whether V(prepare) may restart a primary, where a parameter takes that.
    type: bool
    default: false
  unplanned:
    description: Whether V(promote) replaces a primary that is lost. Then the saved log is replayed first.
    type: bool
    default: false
  accept_loss:
    description: Whether an unplanned V(promote) goes on when saved log cannot be replayed.
    type: bool
    default: false
  without_writes:
    description: For how many seconds nobody could write when V(promote) was asked for. The record then tells the sum.
    type: float
  reason:
    description: Why the server is fenced.
    type: str
    default: ""
extends_documentation_fragment: override
attributes:
  check_mode:
    description: Changes nothing and tells what would be done.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: V(prepare) and V(follow) find nothing to do the second time.
    support: partial
"""

EXAMPLES = r"""
- name: Let the replica in
  db_replica:
    instance: orders
    action: prepare
    peer:
      name: orders-dr
      host: db9.example.com
      port: 5432
    password: "{{ vault_replication_password }}"

- name: Make it a replica
  db_replica:
    instance: orders-dr
    action: follow
    peer:
      name: orders
      host: db1.example.com
      port: 5432
      version: "17.4"
    password: "{{ vault_replication_password }}"
"""

RETURN = r"""
actions:
  description: What was done, or would be, in sentences.
  returned: always
  type: list
  elements: str
position:
  description: The position that the step ended at, where it has one.
  returned: always
  type: str
details:
  description: What a step found out, such as C(loss), C(lost), C(filled), C(seconds_without_writes).
  returned: always
  type: dict
record:
  description: The record of the step, as C(holdfast records --json) prints it; empty where nothing was done.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.arguments import OVERRIDE, override
from ansible.module_utils.holdfast.engines.replication import Peer
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.jobs import summary
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.replication import Request, act

PEER = {
    "name": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "version": {"type": "str", "default": ""},
}
ARGUMENTS = {
    "instance": {"type": "str", "required": True},
    "action": {
        "type": "str",
        "required": True,
        "choices": ["prepare", "follow", "demote", "resume", "promote", "fence", "rejoin"],
    },
    "peer": {"type": "dict", "required": True, "options": PEER},
    "password": {"type": "str", "required": True, "no_log": True},
    "position": {"type": "str", "default": ""},
    "patience": {"type": "int", "default": 60},
    "restart": {"type": "bool", "default": False},
    "unplanned": {"type": "bool", "default": False},
    "accept_loss": {"type": "bool", "default": False},
    "without_writes": {"type": "float"},
    "reason": {"type": "str", "default": ""},
    "override": OVERRIDE,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    options = dict(module.params)
    name = options.pop("instance")
    peer = Peer(password=options.pop("password"), **options.pop("peer"))
    empty = {"actions": [], "position": "", "details": {}, "record": {}}
    try:
        options["override"] = override(options)
        outcome, record = act(
            name,
            Request(peer=peer, **options),
            lambda instance: configure_logging(instance, quiet=True),
            change=not module.check_mode,
        )
    except HoldfastError as error:
        module.fail_json(msg=str(error), **empty)
    result = {**vars(outcome), "record": record or {}}
    if record and record["result"] != "ok":
        module.fail_json(msg=summary(record), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
