#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Bring a host to what the inventory says of its database instances and their backups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_backup
short_description: Set up the backups of all database instances of a host
description:
  - Brings a host to what the inventory says, in one pass. Installs the runner, writes the configuration of instances
    and backup tools, schedules the jobs, sets the server parameters that backups need and initialises the repositories.
  - Removes the jobs and the configuration of instances that are no longer named. Backups, repositories and records are
    never removed.
  - Never restarts a server, except one named in O(restart).
  - Everything that goes wrong is reported at the end. What fails for one instance does not stop the others.
version_added: "0.1.0"
author:
  - Holdfast contributors
options:
  instances:
    description: The database instances of this host, all of them.
    type: list
    elements: dict
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
        description: Names of instances that must be recovered before this one. Nothing on the host uses it.
        type: list
        elements: str
      business:
        description: What an outage means, for the disaster-recovery plan. Nothing on the host uses it.
        type: dict
      replica_of:
        description: Name of the instance, on another host, that this one is a replica of.
        type: str
  service_levels:
    description: Service levels by name, in addition to those that Holdfast brings.
    type: dict
    default: {}
  repositories:
    description: The places where backups live.
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
            description: Where a copy of the passphrase is kept, for the plan. Nothing on the host uses it.
            type: str
  scheduler:
    description: What starts the jobs.
    type: str
    choices: [systemd, cron]
    default: systemd
  configure_only:
    description:
      - Only install the runner and the configuration of instances, so that their backups can be read here.
      - Servers, repositories and schedule are left alone. For a host that has yet to be filled by a restore.
    type: bool
    default: false
  awaiting:
    description: Names of instances whose server a restore will make. Until then they have their configuration alone.
    type: list
    elements: str
    default: []
  restart:
    description:
      - Names of instances whose server may be restarted, if a parameter that backups need takes a restart.
      - Only a primary is restarted. Names of other hosts' instances are passed over.
    type: list
    elements: str
    default: []
  windows:
    description: Maintenance windows by name, as C(db_maintenance_windows) has them.
    type: dict
    default: {}
extends_documentation_fragment: override
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, also before any package is installed.
    support: full
  diff_mode:
    description: Shows files, server parameters and jobs before and after. Secrets are never shown.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Set up the backups of this host
  db_backup:
    instances:
      - name: orders
        engine: postgresql
        service_level: critical
    repositories:
      - name: local
        settings:
          type: posix
          path: /srv/backups
          passphrase: "{{ vault_backup_passphrase }}"

- name: The same from the variables of the inventory, on a host without systemd
  db_backup:
    instances: "{{ db_instances }}"
    service_levels: "{{ db_service_levels }}"
    repositories: "{{ db_repositories | dict2items(key_name='name', value_name='settings') }}"
    scheduler: cron
"""

RETURN = r"""
instances:
  description: What was found of each instance, by name.
  returned: always
  type: dict
  contains:
    engine:
      description: Database engine.
      type: str
    version:
      description: Version of the running server, empty when it does not answer.
      type: str
    role:
      description: V(primary) or V(replica), V(awaited) where one is to be made, empty when it does not answer.
      type: str
    service_level:
      description: Name of its service level.
      type: str
    notes:
      description: What the installed versions cannot do.
      type: list
      elements: str
restart_required:
  description: Instances whose server must be restarted before its backups are complete.
  returned: always
  type: list
  elements: dict
  contains:
    instance:
      description: Name of the instance.
      type: str
    parameters:
      description: Parameters that take a restart.
      type: list
      elements: str
    message:
      description: The same as a sentence.
      type: str
notes:
  description: What a person should know, in one sentence each.
  returned: always
  type: list
  elements: str
failures:
  description: Everything that went wrong.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: Stable word for the kind of failure.
      type: str
    what:
      description: The failure.
      type: str
    where:
      description: Instance, host, file or repository.
      type: str
    remedy:
      description: The next step.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.holdfast import converge
from ansible.module_utils.holdfast.arguments import INSTANCE, OVERRIDE, REPOSITORY, given, override
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.inventory import resolve

ARGUMENTS = {
    "instances": {"type": "list", "elements": "dict", "required": True, "options": INSTANCE},
    "service_levels": {"type": "dict", "default": {}},
    "repositories": {"type": "list", "elements": "dict", "default": [], "options": REPOSITORY},
    "scheduler": {"type": "str", "choices": ["systemd", "cron"], "default": "systemd"},
    "awaiting": {"type": "list", "elements": "str", "default": []},
    "restart": {"type": "list", "elements": "str", "default": []},
    "configure_only": {"type": "bool", "default": False},
    "windows": {"type": "dict", "default": {}},
    "override": OVERRIDE,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        instances = resolve(variables(module.params))
        plan = converge.plan(
            instances,
            module.params["scheduler"],
            restart=module.params["restart"],
            awaiting=module.params["awaiting"],
            configure_only=module.params["configure_only"],
            override=override(module.params),
        )
        outcome = converge.preview(plan) if module.check_mode else converge.apply(plan)
    except HoldfastError as error:
        module.fail_json(msg=str(error), failures=[error.as_dict()], instances={}, restart_required=[], notes=[])
    result = {
        "changed": outcome.changed,
        "diff": outcome.diff,
        "instances": outcome.instances,
        "restart_required": outcome.restart_required,
        "notes": outcome.notes,
        "failures": [error.as_dict() for error in outcome.failures],
    }
    if outcome.failures:
        module.fail_json(msg="\n".join(str(error) for error in outcome.failures), **result)
    module.exit_json(**result)


def variables(params: dict[str, Any]) -> dict[str, Any]:
    """The options as the inventory has them."""
    return {
        "db_instances": [given(instance) for instance in params["instances"]],
        "db_service_levels": params["service_levels"],
        "db_repositories": {item["name"]: given(item["settings"]) for item in params["repositories"]},
        "backup_scheduler": params["scheduler"],
        "db_maintenance_windows": params["windows"],
    }


if __name__ == "__main__":
    main()
