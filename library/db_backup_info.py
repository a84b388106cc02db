#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Tell how the database instances of a host stand against their objectives."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_backup_info
short_description: Tell how the database instances of a host stand against their objectives
description:
  - Reads what M(db_backup) set up on this host. The server, the repositories and the records of past runs are asked.
  - An instance that cannot be read is an entry with its error, so that it never vanishes from a report.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instances:
    description: Names of instances. Those that are not on this host are passed over. The default is all of this host.
    type: list
    elements: str
    default: []
  gather:
    description:
      - What to tell. V(status) is how an instance stands now, V(backups) lists what its repositories hold,
        V(records) are its newest runs.
    type: list
    elements: str
    choices: [status, backups, records]
    default: [status]
  last:
    description: How many of the newest records of each instance to return.
    type: int
    default: 20
  jobs:
    description: Jobs whose records to return. The default is all; the log job runs every few minutes.
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
- name: Read how all instances stand
  db_backup_info:
  register: backup_state

- name: List the backups of one instance
  db_backup_info:
    instances: [orders]
    gather: [backups]
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
    status:
      description: Everything that C(holdfast status --json) prints of it.
      returned: when asked for
      type: dict
    backups:
      description: Everything that C(holdfast list --json) prints of it.
      returned: when asked for
      type: list
      elements: dict
    records:
      description: Everything that C(holdfast records --json) prints of it.
      returned: when asked for
      type: list
      elements: dict
    error:
      description: Why it cannot be read, with the keys C(code), C(what), C(where) and C(remedy).
      returned: when it cannot be read
      type: dict
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.listing import list_backups, list_records
from ansible.module_utils.holdfast.owner import run_as_owner
from ansible.module_utils.holdfast.status import instance_status

ARGUMENTS = {
    "instances": {"type": "list", "elements": "str", "default": []},
    "gather": {
        "type": "list",
        "elements": "str",
        "choices": ["status", "backups", "records"],
        "default": ["status"],
    },
    "last": {"type": "int", "default": 20},
    "jobs": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    names = config.chosen(module.params["instances"])
    module.exit_json(changed=False, instances=[_describe(name, module.params) for name in names])


def _describe(name: str, params: dict[str, Any]) -> dict[str, Any]:
    try:
        read = partial(_read, name, params)
        return {"instance": name, **run_as_owner(config.load(name), read)}
    except HoldfastError as error:
        return {"instance": name, "error": error.as_dict()}


def _read(name: str, params: dict[str, Any]) -> dict[str, Any]:
    # The keys are the owner's alone, so the instance is complete only when the owner reads it.
    instance = config.load(name)
    readers = {
        "status": partial(instance_status, instance),
        "backups": partial(list_backups, instance),
        "records": partial(list_records, instance, params["last"], params["jobs"]),
    }
    return {what: readers[what]() for what in params["gather"]}


if __name__ == "__main__":
    main()
