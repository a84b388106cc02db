#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Bring the packages of a database host to their newest minor version, or back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_patch
short_description: Bring the packages of a database host to their newest minor version
description:
  - Fetches all packages that are due, and keeps the versions before. Then installs them while the servers run, restarts
    each server that uses what was replaced once, after its sessions were drained, and verifies version, role, data,
    checks and replication.
  - What fails from the first package on is undone, with the versions before, without a network. So is what a run that
    was killed has left, by the next run.
  - Refuses, with every reason, while windows, lag, long transactions, running jobs or backups stand in the way.
  - Every instance of the host gets a record.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  kinds:
    description:
      - What is patched. V(database) are the packages of the same source as a server, V(tools) what takes backups and
        reaches servers, V(system) all others. An empty list in check mode asks only whether the servers may be
        restarted now.
    type: list
    elements: str
    choices: [database, tools, system]
    default: [database, tools, system]
  security:
    description: Whether only security updates are installed.
    type: bool
    default: false
  hold:
    description: >-
      Whether the packages of servers are held, so that unattended upgrades cannot restart one. What somebody else holds
      is not touched.
    type: bool
    default: true
  maximum_lag:
    description: How many seconds a replica may be behind, before and after.
    type: float
    default: 30
  longest_transaction:
    description: How many seconds the oldest transaction of others may be open.
    type: float
    default: 60
  drain:
    description: How many seconds sessions have to end their work when nobody new is let in any more.
    type: float
    default: 10
  patience:
    description: How many seconds a server has to answer after its start, and replication to catch up.
    type: float
    default: 120
  expected:
    description: How long a patch is expected to take. A window that is open for less is refused.
    type: str
    default: 10m
  verified_within:
    description: How old the last verification or restore test of a primary's backups may be; empty for any.
    type: str
    default: 8d
  backup_within:
    description: How old the newest backup of a primary may be; empty for any.
    type: str
    default: 26h
  checks:
    description: Questions whose answers must be the same before and after.
    type: list
    elements: dict
    default: []
    suboptions:
      instance:
        description: Name of the instance.
        type: str
        required: true
      name:
        description: What messages call it.
        type: str
        required: true
      statement:
        description: An SQL query; the first column of its first row counts.
        type: str
        required: true
      database:
        description: Where it is asked. The default is that of the engine.
        type: str
        default: ""
extends_documentation_fragment: override
attributes:
  check_mode:
    description: Changes nothing, reads no package lists anew, and tells what would be done or why not.
    support: full
  diff_mode:
    description: Shows the versions of packages before and after.
    support: full
  idempotent:
    description: A second run finds nothing to do.
    support: full
"""

EXAMPLES = r"""
- name: Patch the databases of a host and leave the rest of it alone
  db_patch:
    kinds: [database, tools]
    checks:
      - instance: orders
        name: number of customers
        statement: SELECT count(*) FROM customers
        database: orders
  become: true
"""

RETURN = r"""
outcome:
  description: >-
    C(nothing due), C(planned), C(patched), C(nothing was changed), C(rolled back), or C(half done), which needs a
    person.
  returned: always
  type: str
packages:
  description: What changed or would, with C(package), C(before) and C(after).
  returned: always
  type: list
  elements: dict
restarts:
  description: Instances whose servers would be restarted.
  returned: in check mode
  type: list
  elements: str
steps:
  description: What was done, in sentences.
  returned: always
  type: list
  elements: str
notes:
  description: What a person should know.
  returned: always
  type: list
  elements: str
seconds_down:
  description: For how many seconds no new session was let in, by instance.
  returned: always
  type: dict
versions:
  description: The version of each server at the end.
  returned: always
  type: dict
reboot:
  description: Why the host asks for a reboot; empty when it does not.
  returned: always
  type: str
records:
  description: The record of each instance, as C(holdfast records --json) prints it.
  returned: always
  type: list
  elements: dict
"""

from datetime import timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast.arguments import OVERRIDE, override
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.patches import tools
from ansible.module_utils.holdfast.patches.host import patch_host
from ansible.module_utils.holdfast.patches.wish import UNTOUCHED, Outcome, Wish
from ansible.module_utils.holdfast.units import parse_duration

CHECK = {
    "instance": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "statement": {"type": "str", "required": True},
    "database": {"type": "str", "default": ""},
}
ARGUMENTS = {
    "kinds": {
        "type": "list",
        "elements": "str",
        "choices": ["database", "tools", "system"],
        "default": ["database", "tools", "system"],
    },
    "security": {"type": "bool", "default": False},
    "hold": {"type": "bool", "default": True},
    "maximum_lag": {"type": "float", "default": 30},
    "longest_transaction": {"type": "float", "default": 60},
    "drain": {"type": "float", "default": 10},
    "patience": {"type": "float", "default": 120},
    "expected": {"type": "str", "default": "10m"},
    "verified_within": {"type": "str", "default": "8d"},
    "backup_within": {"type": "str", "default": "26h"},
    "checks": {"type": "list", "elements": "dict", "default": [], "options": CHECK},
    "override": OVERRIDE,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    outcome, records = Outcome(UNTOUCHED), []
    try:
        outcome, records = patch_host(
            _wish(module.params),
            lambda instance: configure_logging(instance, quiet=True),
            change=not module.check_mode,
        )
    except HoldfastError as error:
        module.fail_json(msg=str(error), **_result(outcome, records))
    result = _result(outcome, records)
    if outcome.error:
        error = outcome.error
        text = ". ".join(part for part in (f"{outcome.result}: {error['what']}", error["remedy"]) if part)
        module.fail_json(msg=text, **result)
    module.exit_json(**result)


def _wish(options: dict[str, Any]) -> Wish:
    plain = ("kinds", "security", "hold", "maximum_lag", "longest_transaction", "drain", "patience", "checks")
    return Wish(
        **{name: options[name] for name in plain},
        expected=_duration(options, "expected") or timedelta(0),
        verified_within=_duration(options, "verified_within"),
        backup_within=_duration(options, "backup_within"),
        override=override(options),
    )


def _duration(options: dict[str, Any], name: str) -> timedelta | None:
    if not options[name]:
        return None
    try:
        return parse_duration(options[name])
    except ValueError as error:
        raise InvalidInput(f"{name}: {options[name]!r}: {error}") from None


def _result(outcome: Outcome, records: list[dict[str, Any]]) -> dict[str, Any]:
    lines = {
        side: "".join(f"{item.package} {getattr(item, side)}\n" for item in outcome.changes if getattr(item, side))
        for side in ("before", "after")
    }
    return {
        **outcome.fields(),
        "changed": outcome.changed,
        "restarts": outcome.restarts,
        "reboot": tools.reboot_reason(),
        "records": records,
        "diff": {"before_header": "packages", "after_header": "packages", **lines} if outcome.changes else [],
    }


if __name__ == "__main__":
    main()
