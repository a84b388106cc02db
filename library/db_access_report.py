#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Write the reports of an access audit."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_access_report
short_description: Write the reports of an access audit, and record reviews that were signed
description:
  - Puts the audits of all hosts together and writes them as JSON, CSV, self-contained HTML with a page for each
    framework, SARIF 2.1.0, JUnit XML, and a review sheet to sign. Runs on the control host and reaches no other.
  - With O(signed_by) it records that a sheet was signed, and writes no report.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  directory:
    description: Directory that takes the reports, and holds the recorded reviews.
    type: path
    required: true
  answers:
    description: Results of M(db_access_info) by host, also ones that failed.
    type: dict
    default: {}
  expected:
    description: The instances that the inventory has on each host. One without an audit is in the report.
    type: dict
    default: {}
  instances:
    description: Names of instances. The default is all.
    type: list
    elements: str
    default: []
  signed_by:
    description: Name and role of the person who signed a review sheet.
    type: str
    default: ""
  signed_sheet:
    description: SHA-256 of the sheet as it is printed on it, or its first 12 digits at least.
    type: str
    default: ""
  signed_on:
    description: Day of the signature, YYYY-MM-DD; today by default.
    type: str
    default: ""
  signed_note:
    description: What the reviewer remarked.
    type: str
    default: ""
attributes:
  check_mode:
    description: Writes nothing and returns the numbers.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: The same answers give the same files. A review is recorded once.
    support: full
"""

EXAMPLES = r"""
- name: Write the reports
  db_access_report:
    directory: "{{ playbook_dir }}/../reports/access"
    answers: "{{ dict(hosts | zip(hosts | map('extract', hostvars) | map(attribute='audit', default={}))) }}"
  delegate_to: localhost
  run_once: true
  vars:
    hosts: "{{ ansible_play_hosts_all }}"

- name: Record a review
  db_access_report:
    directory: "{{ playbook_dir }}/../reports/access"
    signed_by: Ana Example, head of sales
    signed_sheet: 3f1c9a2b7d40
    signed_on: "2026-11-25"
  delegate_to: localhost
"""

RETURN = r"""
files:
  description: Paths of what was written, or would be.
  returned: always
  type: list
  elements: str
counts:
  description: Numbers of instances, findings by severity, new, fixed and excepted ones, checks without an answer.
  returned: when reports are written
  type: dict
sheet:
  description: SHA-256 of the review sheet.
  returned: when reports are written
  type: str
review:
  description: The review that was recorded.
  returned: when one is recorded
  type: dict
notes:
  description: What a person should know, in one sentence each. The same as warnings.
  returned: always
  type: list
  elements: str
"""

import datetime as dt

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import reports
from ansible.module_utils.holdfast.audit import publish, reviews
from ansible.module_utils.holdfast.errors import HoldfastError

ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "answers": {"type": "dict", "default": {}},
    "expected": {"type": "dict", "default": {}},
    "instances": {"type": "list", "elements": "str", "default": []},
    "signed_by": {"type": "str", "default": ""},
    "signed_sheet": {"type": "str", "default": ""},
    "signed_on": {"type": "str", "default": ""},
    "signed_note": {"type": "str", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, required_together=[("signed_by", "signed_sheet")]
    )
    params = module.params
    today = dt.date.today()  # noqa: DTZ011 - a day, as the people of a place write it
    notes = []
    try:
        if params["signed_by"] or params["signed_sheet"]:
            file, review = reviews.record(
                params["directory"],
                by=params["signed_by"],
                hash_=params["signed_sheet"],
                day=params["signed_on"],
                note=params["signed_note"],
                today=today,
            )
            files, said = [file], {"review": review}
        else:
            made = publish.make(params["answers"], params["expected"], params["directory"], today, params["instances"])
            files, notes = made.files, made.notes
            said = {"counts": made.counts, "sheet": made.sheet}
        changed = reports.differing(files)
        if not module.check_mode:
            reports.save(changed)
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    for note in notes:
        module.warn(note)
    module.exit_json(changed=bool(changed), files=[file.path for file in files], notes=notes, **said)


if __name__ == "__main__":
    main()
