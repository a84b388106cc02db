"""Reads an inventory as Ansible does, with the file and line of every value, and checks it. For the controller only.

Run as a script, it prints one line for each problem: ``python module_utils/inventory_source.py INVENTORY...``. It exits
with 0 when there is none, with 1 when there are some, and with 2 when the inventory cannot be read at all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

if __package__:
    from .holdfast import inventory
    from .holdfast.errors import InvalidInput
    from .holdfast.plan import facts
    from .holdfast.problems import Location, Problem
else:
    from holdfast import inventory
    from holdfast.errors import InvalidInput
    from holdfast.plan import facts
    from holdfast.problems import Location, Problem

if TYPE_CHECKING:
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

ENCRYPTED = "{{ encrypted }}"  # stands for a value of a vault: a template to validation


class Source(NamedTuple):
    """An inventory as it was read: hosts with their variables, and what could not be read."""

    hosts: Mapping[str, Mapping[str, Any]]
    problems: Sequence[Problem]

    def plain(self) -> dict[str, dict[str, Any]]:
        """The variables of every host as plain data, without what only Ansible understands."""
        return {
            host: {name: _plain(value) if name in inventory.VARIABLES else None for name, value in variables.items()}
            for host, variables in self.hosts.items()
        }

    def check(self) -> list[Problem]:
        """Everything that is wrong with the inventory, by file and line."""
        return sorted({*self.problems, *inventory.check(self.plain(), self._locate)})

    def gaps(self) -> list[Problem]:
        """Every empty field that the recovery of a critical instance needs, by file and line."""
        return inventory.gaps(self.plain(), self._locate)

    def facts(self) -> dict[str, Any]:
        """What the disaster-recovery plan says of a right inventory, its order of recovery among it."""
        return facts.of_inventory(self.plain())

    def _locate(self, host: str, path: Sequence[str | int], at_key: bool) -> Location | None:
        """Where a value was written, or the nearest thing around it whose place is known."""
        value: Any = self.hosts[host]
        trail = []
        for part in path:
            try:
                key = next(key for key in value if key == part) if isinstance(value, Mapping) else None
                value = value[part]
            except (KeyError, IndexError, StopIteration, TypeError):
                break
            trail.append((key, value))
        missing = len(trail) < len(path)
        for depth, (key, item) in enumerate(reversed(trail)):
            # A key says where a whole mapping begins; a value is where the mistake is.
            first_key = (at_key and depth == 0) or missing or isinstance(item, (Mapping, list))
            for tagged in (key, item) if first_key else (item, key):
                location = _origin(tagged)
                if location:
                    return location
        return None


def read(sources: Sequence[str]) -> Source:
    """Read inventories, merged as Ansible merges them. Raises InvalidInput when one of them is no inventory."""
    for source in sources:
        if "," not in source and not os.path.exists(source):
            raise InvalidInput("there is no such inventory", where=source, remedy="Name a file or a directory")
    # Ansible would warn and go on without the file; it reads this when it is imported.
    os.environ.setdefault("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "true")
    try:
        from ansible.errors import AnsibleError
        from ansible.inventory.manager import InventoryManager
        from ansible.parsing.dataloader import DataLoader
    except ModuleNotFoundError:
        raise InvalidInput(
            "this Python has no Ansible",
            where=sys.executable,
            remedy="Use the Python that runs Ansible: ansible_python_interpreter is ansible_playbook_python",
        ) from None

    loader = DataLoader()
    _unlock(loader)
    try:
        manager = InventoryManager(loader=loader, sources=list(sources))
    except AnsibleError as error:
        raise InvalidInput(
            str(error), where=", ".join(sources), remedy=f"ansible-inventory -i {sources[0]} --list says more"
        ) from None
    return loaded(manager, loader)


def loaded(manager: InventoryManager, loader: DataLoader) -> Source:
    """The inventory that Ansible has read. The process must be one of its own: it forgets what ``-e`` said."""
    from ansible.errors import AnsibleError
    from ansible.vars.manager import VariableManager

    variables = VariableManager(loader=loader, inventory=manager)
    # It would stand for every host, also for those that the play leaves out, and hide what is written for them.
    variables.extra_vars.clear()
    hosts: dict[str, Mapping[str, Any]] = {}
    problems = []
    for host in manager.get_hosts(ignore_limits=True, ignore_restrictions=True):
        try:
            hosts[host.name] = variables.get_vars(host=host, include_hostvars=False)
        except AnsibleError as error:
            problems.append(_unreadable(host.name, error))
    return Source(hosts, _once(problems))


def _unlock(loader: DataLoader) -> None:
    from ansible import constants

    if constants.DEFAULT_VAULT_PASSWORD_FILE or constants.DEFAULT_VAULT_IDENTITY_LIST:
        from ansible.cli import CLI

        identities = list(constants.DEFAULT_VAULT_IDENTITY_LIST)
        loader.set_vault_secrets(CLI.setup_vault_secrets(loader, vault_ids=identities, auto_prompt=False))


def _unreadable(host: str, error: Exception) -> Problem:
    location = None
    cause: BaseException | None = error
    while cause is not None and location is None:
        location, cause = _origin(getattr(cause, "obj", None)), cause.__cause__ or cause.__context__
    location = location or Location("", 0)
    message = " ".join(str(getattr(error, "message", error)).split())
    remedy = "a vault password in ANSIBLE_VAULT_PASSWORD_FILE" if "vault" in message.lower() else ""
    return Problem(*location, host, "variables", "", f"cannot be read: {message}", remedy)


def _once(problems: Iterable[Problem]) -> list[Problem]:
    """A file of a group fails for every host of it; the first one stands for all."""
    found: dict[tuple[str, int, str], Problem] = {}
    for problem in problems:
        found.setdefault((problem.file, problem.line, problem.message), problem)
    return list(found.values())


def _origin(value: object) -> Location | None:
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:  # before ansible-core 2.19
        position = getattr(value, "ansible_pos", None)
        return Location(_relative(position[0]), position[1]) if position and position[0] else None
    origin = value if isinstance(value, Origin) else Origin.get_tag(value)
    if origin is None or not origin.path:
        return None
    return Location(_relative(str(origin.path)), origin.line_num or 0)


def _relative(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if type(value).__name__ in ("EncryptedString", "AnsibleVaultEncryptedUnicode"):
        return ENCRYPTED
    if isinstance(value, date):
        return value.isoformat()
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Check the inventories of the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="inventory_source.py", description="Check an inventory, reaching no host.")
    parser.add_argument("inventory", nargs="+", help="file or directory; several are merged as Ansible merges them")
    options = parser.parse_args(argv)
    name = ", ".join(options.inventory)
    try:
        source = read(options.inventory)
    except InvalidInput as error:
        print(error, file=sys.stderr)
        return 2
    problems, gaps = source.check(), source.gaps()
    if problems or gaps:
        print(*problems, *gaps, sep="\n")
        count = len(problems) + len(gaps)
        print(f"{name}: {count} problem{'s' if count > 1 else ''}", file=sys.stderr)
    else:
        instances = inventory.instances(source.plain())
        print(f"{name}: no problems in {sum(map(len, instances.values()))} instances on {len(instances)} hosts")
    return 1 if problems or gaps else 0


if __name__ == "__main__":
    sys.exit(main())
