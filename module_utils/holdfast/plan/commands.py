"""Every command that the plan prints: the one place where runbooks and their parameters are named."""

from __future__ import annotations

from shlex import quote


class Commands:
    """Commands for one inventory, quoted for a shell, to be typed in the project's directory."""

    def __init__(self, inventory: str) -> None:
        self.inventory = inventory

    def _play(self, name: str, *parameters: str) -> str:
        words = ["ansible-playbook", "-i", self.inventory, f"playbooks/{name}.yml"]
        return " ".join([*words, *(f"-e {quote(parameter)}" for parameter in parameters)])

    def validate(self) -> str:
        """Check the inventory."""
        return f"make validate INVENTORY={self.inventory}"

    def status(self, *names: str) -> str:
        """How instances stand."""
        return self._play("status", *([f"instances={','.join(names)}"] if names else ()))

    def site(self) -> str:
        """Set up hosts, packages, configuration, users, jobs."""
        return self._play("site")

    def disaster_recovery(self, *names: str) -> str:
        """Rebuild at the alternate site everything that its hosts take over."""
        return self._play("disaster_recovery", f'confirm="recover {",".join(sorted(names))}"')

    def restore(self, name: str, *, time: str = "", check: bool = False) -> str:
        """Restore one instance in place, to the newest change or to a time."""
        parameters = [f"instance={name}", *([f"time={time}"] if time else ())]
        if check:
            return self._play("restore", *parameters) + " --check"
        return self._play("restore", *parameters, f"confirm={name}")

    def rescue(self, name: str) -> str:
        """Get back a part of an instance."""
        return self._play("rescue", f"instance={name}", "table=TABLE", "time=TIME")

    def failover(self, name: str) -> str:
        """Promote the standby of an instance."""
        return self._play("failover", f"instance={name}", f"confirm={name}")

    def failback(self, name: str) -> str:
        """Return an instance to its home."""
        return self._play("failback", f"instance={name}", f"confirm={name}")

    def restore_test(self, *names: str) -> str:
        """Prove that backups restore."""
        return self._play("restore_test", *([f"instances={','.join(names)}"] if names else ()))

    def backup(self, *names: str) -> str:
        """Take full backups."""
        return self._play("backup", "type=full", *([f"instances={','.join(names)}"] if names else ()))

    def drill(self) -> str:
        """Rehearse a disaster."""
        return self._play("dr_drill")

    def plan(self) -> str:
        """Make this plan anew."""
        return self._play("dr_plan")
