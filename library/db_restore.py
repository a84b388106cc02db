#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Put a database instance back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_restore
short_description: Restore a database instance to a point in time
description:
  - Restores a backup beside the live data, rolls it forward to the target, asks the server how far it got, runs the
    engine's checker and the queries of the user, and only then puts it in service.
  - Until then every failure leaves in service what was there. The data of before are set aside, not removed.
  - Refuses, with all the reasons at once, what is not confirmed, has no room, or would cut off clients or replicas.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  name:
    description: The instance whose data are replaced. It must be configured on this host.
    type: str
    required: true
  confirm:
    description: The same name again. Without it nothing is done.
    type: str
    default: ""
  target:
    description: Where the restore ends. Without any of these, at the newest change that the repository holds.
    type: dict
    default: {}
    suboptions:
      time:
        description: The last transaction at or before this time, in ISO 8601. Without a zone, in that of the host.
        type: str
      position:
        description: A log position, as an LSN of PostgreSQL, or a GTID or C(FILE:OFFSET) of MariaDB.
        type: str
      transaction:
        description: A transaction.
        type: str
      point:
        description: A named restore point.
        type: str
      consistent:
        description: The end of the backup.
        type: bool
      timeline:
        description: The history of the log to follow, where the engine has several. The default is the newest.
        type: str
  source:
    description: Another instance of this host whose backups are restored.
    type: str
  source_definition:
    description: Another instance whose backups are restored, for one that is not of this host.
    type: dict
    suboptions:
      instance:
        description: The instance as its inventory has it.
        type: dict
        required: true
        suboptions:
          name:
            description: Name, unique in the fleet.
            type: str
            required: true
          engine:
            description: Database engine.
            type: str
            required: true
          port:
            description: Port of the server. The default is the engine's.
            type: int
          service_level:
            description: Name of the service level. The default is V(standard).
            type: str
          repositories:
            description:
              - Names of repositories. Regular backups go to the first, archive copies to the last.
              - The default is all of them.
            type: list
            elements: str
          databases:
            description: Databases of logical backups. The default is all.
            type: list
            elements: str
          os_user:
            description: Owner of the data directory. The default is the engine's.
            type: str
          socket_directory:
            description: Directory of the server's socket. The default is the engine's on this system.
            type: path
          options:
            description: Options of the backup tool and time limits of jobs.
            type: dict
          depends_on:
            description: Names of instances that must be recovered before this one. A restore does not use it.
            type: list
            elements: str
          business:
            description: What an outage means. A restore does not use it.
            type: dict
          replica_of:
            description: Name of the instance, on another host, that this one is a replica of.
            type: str
      service_levels:
        description: Service levels by name, in addition to those that Holdfast brings.
        type: dict
        default: {}
      repositories:
        description: The places where its backups live.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the repository.
            type: str
            required: true
          settings:
            description: What it is. Which settings there are depends on O(repositories[].settings.type).
            type: dict
            required: true
            suboptions:
              type:
                description: Kind of place.
                type: str
                required: true
              path:
                description: Directory of a V(posix) or V(sftp) repository.
                type: path
              endpoint:
                description: Host, and port if it is not 443, of the object store.
                type: str
              bucket:
                description: Bucket in the object store.
                type: str
              prefix:
                description: Path inside the bucket.
                type: str
              region:
                description: Region of the object store.
                type: str
              uri_style:
                description: Where requests name the bucket, V(host) or V(path).
                type: str
              ca_file:
                description: Certificates to trust, for an object store with a certificate authority of its own.
                type: path
              host:
                description: Host of an V(sftp) repository.
                type: str
              user:
                description: User on that host.
                type: str
              port:
                description: Port of its SSH server.
                type: int
              private_key_file:
                description: Private key for that host, readable for the owner of the instance.
                type: path
              known_hosts_file:
                description: File with the host key of that host.
                type: path
              passphrase:
                description: Passphrase that encrypts the repository. Without it no backup can be restored.
                type: str
              key_id:
                description: Name of the access key of the object store.
                type: str
              key_secret:
                description: The access key itself.
                type: str
              escrow:
                description: Where a copy of the passphrase is kept. A restore does not use it.
                type: str
  backup:
    description: Name of the backup. The default is the newest that ends before the target.
    type: str
  repository:
    description: Name of the repository. The default is the first that has such a backup.
    type: str
  keep_previous:
    description: Whether the data of before stay in a directory beside the new ones.
    type: bool
    default: true
  delta:
    description: Restore onto the live files, where there is no room for a second copy. Nothing is kept then.
    type: bool
    default: false
  disconnect:
    description: Go on although clients or replicas are connected.
    type: bool
    default: false
  create:
    description: >-
      Make an empty server first where there is none for the instance. Its packages must be installed. A server that
      nobody has used yet gets the configuration in the backup, as far as it fits the host.
    type: bool
    default: false
  check:
    description: Run the engine's checker before the restored data are put in service.
    type: bool
    default: true
  validation_queries:
    description: What tells that the restored data are right.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it shows.
        type: str
        required: true
      sql:
        description: A query. Asked before the data are put in service.
        type: str
      expected:
        description: The first value that it returns, as text.
        type: str
        default: ""
      database:
        description: The database that it is asked in.
        type: str
      url:
        description: An address of the application that answers with a status of 200 to 299. Asked at the end.
        type: str
extends_documentation_fragment: override
attributes:
  check_mode:
    description: Returns the plan and changes nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Every call restores again.
    support: none
"""

EXAMPLES = r"""
- name: Show what a restore to the minute before the accident would do
  db_restore:
    name: orders
    target:
      time: "2026-11-21T14:29:00+01:00"
  check_mode: true

- name: Do it
  db_restore:
    name: orders
    confirm: orders
    target:
      time: "2026-11-21T14:29:00+01:00"
    validation_queries:
      - name: the day's orders are there
        database: shop
        sql: SELECT count(*) > 1000 FROM orders WHERE day = '2026-11-21'
        expected: "True"
"""

RETURN = r"""
plan:
  description: What the restore would do, and C(problems) that stand in its way.
  returned: in check mode
  type: dict
record:
  description: The record of the restore, as C(holdfast records --json) prints it.
  returned: when it was tried
  type: dict
text:
  description: The same for a person.
  returned: always
  type: str
"""

import os
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import config, restore, restore_plan
from ansible.module_utils.holdfast.arguments import INSTANCE, OVERRIDE, REPOSITORY, given, override
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.inventory import resolve
from ansible.module_utils.holdfast.logs import configure_logging
from ansible.module_utils.holdfast.model import Instance
from ansible.module_utils.holdfast.restore_command import text
from ansible.module_utils.holdfast.restore_request import Assertion, Request, parse_target

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "confirm": {"type": "str", "default": ""},
    "target": {
        "type": "dict",
        "default": {},
        "options": {
            "time": {"type": "str"},
            "position": {"type": "str"},
            "transaction": {"type": "str"},
            "point": {"type": "str"},
            "consistent": {"type": "bool"},
            "timeline": {"type": "str"},
        },
    },
    "source": {"type": "str"},
    "source_definition": {
        "type": "dict",
        "options": {
            "instance": {"type": "dict", "required": True, "options": INSTANCE},
            "service_levels": {"type": "dict", "default": {}},
            "repositories": {"type": "list", "elements": "dict", "default": [], "options": REPOSITORY},
        },
    },
    "backup": {"type": "str"},
    "repository": {"type": "str"},
    "keep_previous": {"type": "bool", "default": True},
    "delta": {"type": "bool", "default": False},
    "disconnect": {"type": "bool", "default": False},
    "create": {"type": "bool", "default": False},
    "check": {"type": "bool", "default": True},
    "validation_queries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "sql": {"type": "str"},
            "expected": {"type": "str", "default": ""},
            "database": {"type": "str"},
            "url": {"type": "str"},
        },
    },
    "override": OVERRIDE,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, mutually_exclusive=[("source", "source_definition")]
    )
    name = module.params["name"]
    try:
        request = _request(module.params)
        if module.check_mode:
            plan = restore.plan(name, request, _prepare)
            shown = restore_plan.describe(plan, name)
            if plan["problems"]:
                module.fail_json(msg=shown, plan=plan, text=shown)
            module.exit_json(changed=True, plan=plan, text=shown)
        record = restore.start(name, request, _prepare)
    except HoldfastError as error:
        module.fail_json(msg=str(error), text=str(error))
    result = {"changed": "restore" in record and bool(record["restore"].get("in_service")), "record": record}
    if record["result"] != "ok":
        module.fail_json(msg=text(record), text=text(record), **result)
    module.exit_json(text=text(record), **result)


def _request(params: dict[str, Any]) -> Request:
    target, remark = parse_target(
        {**params["target"], "consistent": "yes" if params["target"].get("consistent") else None}
    )
    assertions = [Assertion(**given(item)) for item in params["validation_queries"]]
    return Request(
        target=target,
        source=_source(params),
        backup_id=params["backup"],
        repository=params["repository"],
        confirm=params["confirm"],
        keep_previous=params["keep_previous"],
        delta=params["delta"],
        disconnect=params["disconnect"],
        create=params["create"],
        check=params["check"],
        assertions=tuple(assertions),
        remark=remark,
        override=override(params),
    )


def _source(params: dict[str, Any]) -> Instance | None:
    definition = params["source_definition"]
    if not definition:
        return config.load(params["source"]) if params["source"] else None
    (instance,) = resolve(
        {
            "db_instances": [given(definition["instance"])],
            "db_service_levels": definition["service_levels"],
            "db_repositories": {item["name"]: given(item["settings"]) for item in definition["repositories"]},
        }
    )
    # Its own directory is on its own host.
    return replace(instance, state_directory=os.path.join(config.STATE, params["name"], "source"))


def _prepare(instance: Instance) -> None:
    configure_logging(instance, quiet=True)


if __name__ == "__main__":
    main()
