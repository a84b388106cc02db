"""The runbooks as these tests run them, and what they leave on the control host."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.integration.fleet import LAB_DIR, Database, playbook

REPORTS = LAB_DIR / "logs"


def logs(*args: str, code: int = 0, **extra: Any) -> str:
    """Run playbooks/logs.yml and return its output."""
    return playbook("logs", *args, extra={"log_management_directory": str(REPORTS), **extra}, code=code)


def logs_of(*databases: Database, code: int = 0, **extra: Any) -> str:
    """Run it for some instances alone, on their hosts."""
    hosts = ",".join([*(database.hostname for database in databases), "localhost"])
    names = ",".join(database.name for database in databases)
    return logs("--limit", hosts, code=code, instances=names, **extra)


def told() -> dict[str, dict[str, Any]]:
    """What the last report says of each instance."""
    report = json.loads((REPORTS / "logs.json").read_text())
    return {entry["instance"]: entry for entry in report["instances"]}


def statuses(entry: dict[str, Any]) -> dict[str, str]:
    """How each check ended."""
    return {check["id"]: check["status"] for check in entry["checks"]}


def found(entry: dict[str, Any], check: str) -> list[str]:
    """Subject and text of the findings of one check."""
    return [f"{item['subject']}: {item['found']}" for item in entry["findings"] if item["check"] == check]


def changed(output: str) -> dict[str, int]:
    """Changed tasks by host, as the recap has them."""
    return {host: int(count) for host, count in re.findall(r"^(\S+)\s*: ok=\d+\s+changed=(\d+)", output, re.MULTILINE)}


def failed(output: str) -> set[str]:
    """The hosts that failed, as the recap has them."""
    return set(re.findall(r"(\S+)\s+:\s+ok=\d+\s+changed=\d+\s+unreachable=\d+\s+failed=[1-9]", output))
