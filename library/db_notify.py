#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Tell the people of a phase of a recovery where it stands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_notify
short_description: Tell the people of a phase of a recovery where it stands
description:
  - Sends the message of a phase by webhook and by mail, as C(db_communication) says. Runs on the control host.
  - A message that cannot be delivered is reported as a warning and never fails the module, because it must not stop a
    recovery.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  phase:
    description: Phase of the recovery.
    type: str
    choices: [declare, provision, restore, recover, validate, close]
    required: true
  communication:
    description: Who is told how in this phase, one entry of C(db_communication). Without it, nobody.
    type: dict
    suboptions:
      tell:
        description: Names of contacts who get a mail.
        type: list
        elements: str
        default: []
      mail:
        description: More addresses that get it.
        type: list
        elements: str
        default: []
      webhook:
        description: Address that takes a POST of JSON. It is a secret.
        type: str
      message:
        description: Text with the placeholders of C(db_communication).
        type: str
        default: ""
  contacts:
    description: C(db_contacts) of the inventory.
    type: dict
    default: {}
  mail_server:
    description: C(db_mail) of the inventory. Without it no mail is sent.
    type: dict
    suboptions:
      server:
        description: Name or address of the mail server.
        type: str
        required: true
      port:
        description: Its port; V(465) is encrypted from the first byte, others when the server offers it.
        type: int
        default: 25
      sender:
        description: Address of the sender.
        type: str
        required: true
      user:
        description: User to log in as.
        type: str
        default: ""
      password:
        description: Password of that user. It is sent to a server only that proves its name.
        type: str
        default: ""
      ca_file:
        description: Certificate authority of the server on the control host; default those that the host trusts.
        type: str
        default: ""
  facts:
    description: Values of the placeholders C(organisation), C(system), C(instances) (a list), C(site), C(note).
    type: dict
    default: {}
  drill:
    description: Whether this is a drill. The message then says so first.
    type: bool
    default: false
attributes:
  check_mode:
    description: Sends nothing and returns what would be sent to whom.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Every call sends again.
    support: none
"""

EXAMPLES = r"""
- name: Tell that a disaster was declared
  db_notify:
    phase: declare
    communication: "{{ db_communication.declare }}"
    contacts: "{{ db_contacts }}"
    mail_server: "{{ db_mail }}"
    facts:
      organisation: "{{ db_plan.organisation }}"
      system: "{{ db_plan.system }}"
      instances: [orders, shop]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
subject:
  description: Subject of the message.
  returned: always
  type: str
text:
  description: The message.
  returned: always
  type: str
deliveries:
  description: Each delivery with C(channel), C(to) and C(error), which is empty when it went well or was only planned.
  returned: always
  type: list
  elements: dict
notes:
  description: Who was not told, and why. The same as warnings.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import notify

COMMUNICATION = {
    "tell": {"type": "list", "elements": "str", "default": []},
    "mail": {"type": "list", "elements": "str", "default": []},
    "webhook": {"type": "str", "no_log": True},
    "message": {"type": "str", "default": ""},
}
MAIL_SERVER = {
    "server": {"type": "str", "required": True},
    "port": {"type": "int", "default": 25},
    "sender": {"type": "str", "required": True},
    "user": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "ca_file": {"type": "str", "default": ""},
}
ARGUMENTS = {
    "phase": {
        "type": "str",
        "required": True,
        "choices": ["declare", "provision", "restore", "recover", "validate", "close"],
    },
    "communication": {"type": "dict", "options": COMMUNICATION},
    "contacts": {"type": "dict", "default": {}},
    "mail_server": {"type": "dict", "options": MAIL_SERVER},
    "facts": {"type": "dict", "default": {}},
    "drill": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    told = params["communication"] or {}
    message = notify.compose(params["phase"], told.get("message") or "", params["facts"], drill=params["drill"])
    to, silent = notify.recipients(told.get("tell") or [], told.get("mail") or [], params["contacts"])
    deliveries = _deliver(params, message, to, send=not module.check_mode)
    notes = [f"contact {name} has no mail address and was not told" for name in silent]
    notes += [f"{item.channel} to {item.to} was not delivered: {item.error}" for item in deliveries if item.error]
    for note in notes:
        module.warn(note)
    module.exit_json(
        changed=any(not delivery.error for delivery in deliveries),
        subject=message.subject,
        text=message.text,
        deliveries=[delivery.as_dict() for delivery in deliveries],
        notes=notes,
    )


def _deliver(params: dict[str, Any], message: notify.Message, to: list[str], *, send: bool) -> list[notify.Delivery]:
    found = []
    webhook = (params["communication"] or {}).get("webhook")
    if webhook:
        found.append(notify.post(webhook, message) if send else notify.planned_post(webhook))
    if to and params["mail_server"]:
        server = notify.MailServer(**params["mail_server"])
        found.append(notify.send_mail(server, to, message) if send else notify.Delivery("mail", ", ".join(to)))
    elif to:
        found.append(notify.Delivery("mail", ", ".join(to), "the inventory has no db_mail"))
    return found


if __name__ == "__main__":
    main()
