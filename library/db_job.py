#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Run a job of the database instances of a host now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_job
short_description: Take a backup, or run another job of database instances, now
description:
  - Runs one job of every chosen instance on this host, one after the other, as the instance's OS user.
  - Every run leaves a record. One that fails does not keep the others from running. The module fails at the end and
    names all that went wrong.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  job:
    description:
      - What to run. V(archive) puts a full backup into the archive repository, V(log) saves the log up to now,
        V(verify) reads stored backups back, V(expire) removes what retention does not keep, V(restore_test) restores
        the newest backup onto a scratch server and checks it.
    type: str
    choices: [full, differential, incremental, log, logical, archive, verify, expire, restore_test]
    required: true
  instances:
    description: Names of instances. Those that are not on this host are passed over. The default is all of this host.
    type: list
    elements: str
    default: []
  wait:
    description: Whether to wait for a running job of the same instance, an hour at most, instead of failing at once.
    type: bool
    default: false
attributes:
  check_mode:
    description: Runs nothing and returns what would run.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Every call runs the job again.
    support: none
"""

EXAMPLES = r"""
- name: Take an incremental backup of two instances
  db_job:
    job: incremental
    instances: [orders, shop]

- name: Prove that the newest backups restore
  db_job:
    job: restore_test
    wait: true
"""

RETURN = r"""
planned:
  description: Names of the instances whose job runs, or would run in check mode.
  returned: always
  type: list
  elements: str
records:
  description: The record of each run, as C(holdfast records --json) prints it. Empty in check mode.
  returned: always
  type: list
  elements: dict
table:
  description: The records as C(holdfast records) prints them, or in check mode what would run.
  returned: always
  type: str
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import config, tables
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.jobs import run_job, summary
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.model import Job
from ansible.module_utils.holdfast.owner import run_as_owner

ARGUMENTS = {
    "job": {
        "type": "str",
        "required": True,
        "choices": [
            "full",
            "differential",
            "incremental",
            "log",
            "logical",
            "archive",
            "verify",
            "expire",
            "restore_test",
        ],
    },
    "instances": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    names = config.chosen(module.params["instances"])
    if module.check_mode or not names:
        table = "\n".join(f"{name}: would run {module.params['job']}" for name in names)
        module.exit_json(changed=bool(names), planned=names, records=[], table=table)
    records: list[dict[str, Any]] = []
    failures: list[str] = []
    for name in names:
        try:
            record = run_as_owner(
                config.load(name), partial(_run, name, Job(module.params["job"]), module.params["wait"])
            )
        except HoldfastError as error:
            failures.append(f"{name}: {error}")
            continue
        records.append(record)
        if record["result"] != "ok":
            failures.append(summary(record))
    table = tables.records({record["instance"]: [record] for record in records})
    result = {"changed": bool(records), "planned": names, "records": records, "table": table}
    if failures:
        module.fail_json(msg="\n".join(failures), **result)
    module.exit_json(**result)


def _run(name: str, job: Job, wait: bool) -> dict[str, Any]:
    # The keys are the owner's alone, so the instance is complete only when the owner reads it.
    instance = config.load(name)
    configure_logging(instance, quiet=True)
    return run_job(instance, job, scheduled=wait, on_request=True)


if __name__ == "__main__":
    main()
