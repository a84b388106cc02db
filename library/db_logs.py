#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Have the logs of database instances kept, purged and copied, and free a disk that is full."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_logs
short_description: Have logs rotated, shipped, copied and purged, and free a full disk
description:
  - V(configure) brings rotation, limits, append-only attributes and shipping of a host to C(db_logs). What fails is
    taken back as a whole.
  - V(purge) has a server remove the log for recovery that a verified backup holds, that is in every repository, and
    that no replica or slot still needs. No file is removed but by the server.
  - V(emergency) frees space in the order of least harm, and stops as soon as enough is free.
  - V(collect) copies what was written to audit logs since the last time into a chain of copies on the host.
    V(receive) takes what was fetched of it into the chain on the control host, and V(report) writes findings as JSON,
    CSV, SARIF and JUnit there.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  action:
    description: What to do.
    type: str
    choices: [configure, purge, emergency, collect, receive, report]
    required: true
  instances:
    description: Names of instances. Those that are not on this host are passed over. The default is all of this host.
    type: list
    elements: str
    default: []
  settings:
    description: The variable C(db_logs).
    type: dict
    default: {}
  replicas:
    description: The replicas that the inventory has, each with C(name) and C(replica_of), as C(db_instances) has them.
    type: list
    elements: dict
    default: []
  needs:
    description: What replicas said that they need, as M(db_logs_info) returns it.
    type: list
    elements: dict
    default: []
  slots:
    description: Replication slots to drop. One that is in use is refused.
    type: list
    elements: str
    default: []
  confirm:
    description: The name of the instance to purge. Without it nothing is removed.
    type: str
    default: ""
  free:
    description: What an emergency is to have free, as a share or a size. The default is C(db_logs.reserve).
    type: str
    default: ""
  path:
    description: A path on the file system to free. The default is that of the first server's data.
    type: path
  aside:
    description: Directories with the data of before a restore that may go.
    type: list
    elements: str
    default: []
  known:
    description: By instance, the number of the newest copied link that the control host has.
    type: dict
    default: {}
  directory:
    description: Directory of the control host for the chains and reports.
    type: path
  collected:
    description: What V(collect) returned of every host.
    type: list
    elements: dict
    default: []
  answers:
    description: Results of M(db_logs_info) by host, also ones that failed.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Shows what would change, go or be copied, with bytes, and changes nothing.
    support: full
  diff_mode:
    description: Shows files before and after, and what goes.
    support: full
  idempotent:
    description: A host that is as C(db_logs) has it is left alone; what is gone does not go again.
    support: full
"""

EXAMPLES = r"""
- name: Have logs rotated and shipped
  db_logs:
    action: configure
    settings: "{{ db_logs }}"
  become: true

- name: Show what could be purged
  db_logs:
    action: purge
    instances: [shop]
  become: true
  check_mode: true

- name: Free a disk
  db_logs:
    action: emergency
    free: 20%
  become: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be, a line each.
  returned: always
  type: list
  elements: str
notes:
  description: What a person should know, such as what is not applicable and why.
  returned: always
  type: list
  elements: str
purged:
  description: By instance, the plan with C(files), C(size), C(kept) and, once it was done, C(freed_bytes).
  returned: with O(action=purge)
  type: dict
emergency:
  description: The C(steps) in their order with bytes, what was free before and after, and whether the goal was reached.
  returned: with O(action=emergency)
  type: dict
collected:
  description: By instance, the new C(links), the C(segments) to fetch, and the hash of the link known elsewhere.
  returned: with O(action=collect)
  type: list
  elements: dict
findings:
  description: What is wrong with chains that were received.
  returned: with O(action=receive)
  type: list
  elements: dict
counts:
  description: Numbers of instances and of findings by severity.
  returned: with O(action=report)
  type: dict
files:
  description: Paths of the reports.
  returned: with O(action=report)
  type: list
  elements: str
text:
  description: The same for a person.
  returned: always
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.logcare import actions
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.model import Instance

ARGUMENTS = {
    "action": {
        "type": "str",
        "choices": ["configure", "purge", "emergency", "collect", "receive", "report"],
        "required": True,
    },
    "instances": {"type": "list", "elements": "str", "default": []},
    "settings": {"type": "dict", "default": {}},
    "replicas": {"type": "list", "elements": "dict", "default": []},
    "needs": {"type": "list", "elements": "dict", "default": []},
    "slots": {"type": "list", "elements": "str", "default": []},
    "confirm": {"type": "str", "default": ""},
    "free": {"type": "str", "default": ""},
    "path": {"type": "path"},
    "aside": {"type": "list", "elements": "str", "default": []},
    "known": {"type": "dict", "default": {}},
    "directory": {"type": "path"},
    "collected": {"type": "list", "elements": "dict", "default": []},
    "answers": {"type": "dict", "default": {}},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[("action", "receive", ["directory"]), ("action", "report", ["directory"])],
    )
    params = module.params
    names = config.chosen(params["instances"])
    try:
        done: dict[str, Any] = actions.ACTIONS[params["action"]](names, params, _prepare, change=not module.check_mode)
    except HoldfastError as error:
        module.fail_json(msg=str(error), changes=[], notes=[], text=str(error))
    failure = done.pop("failure", "")
    if failure:
        module.fail_json(msg=failure, **done)
    module.exit_json(**done)


def _prepare(instance: Instance) -> None:
    configure_logging(instance, quiet=True)


if __name__ == "__main__":
    main()
