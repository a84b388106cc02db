"""``python -m tests.bench.access_scale_mariadb``: how long an audit of 100,000 grants takes, and how much memory.

On a second server of maria2 (MariaDB 11.8) in a lab that playbooks/site.yml has set up.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from tests.integration.access_audit.mariadb import Second
from tests.integration.fleet import Database, connect

AUDIT = """
import dataclasses, json, resource, sys, tempfile, time
sys.path.insert(0, "/opt/holdfast/holdfast.pyz")
from holdfast import config, errors
from holdfast.audit.policy import Policy
from holdfast.audit.rights import read
from holdfast.engines.registry import adapters, auditor

instance = dataclasses.replace(config.load(sys.argv[1]), socket_directory=sys.argv[2], options={})
subject = auditor(adapters("mariadb").engine()(instance))
found, began = {}, time.monotonic()
def findings():
    count = 0
    for check in subject.checks():
        try:
            count += len(subject.answer(check))
        except errors.Unsupported:
            pass
    return count
def rights():
    with tempfile.TemporaryDirectory() as place:
        return read(subject.rights, Policy(), place + "/rights", place + "/rights").part.value
jobs = {
    "accounts": lambda: len(subject.accounts()),
    "memberships": lambda: len(subject.memberships()),
    "rights": rights,
    "findings": findings,
    "paths of escalation": lambda: len(subject.escalations()),
}
for name, job in jobs.items():
    started = time.monotonic()
    found[name] = (job(), round(time.monotonic() - started, 2))
found["all"] = ("", round(time.monotonic() - began, 2))
found["CPU"] = ("", round(time.process_time(), 2))
found["MiB at most"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "")
print(json.dumps(found))
"""


def measure(database: Database) -> dict[str, list[Any]]:
    """How many rows each part of an audit has, and how long it took, on a server of its own; then all, CPU and MiB."""
    server = Second(database, "bench")
    try:
        server.start(33079)
        server.sql((Path(__file__).parent / "access_scale_mariadb.sql").read_text())
        command = shlex.join(["sudo", "-u", "mysql", "python3", "-c", AUDIT, database.name, server.place])
        found: dict[str, list[Any]] = json.loads(database.run(command))
        return found
    finally:
        server.stop()


def main() -> None:
    """Measure and print a line for each part."""
    for name, (count, seconds) in measure(connect()["crm"]).items():
        sys.stdout.write(f"{name}: {count}{f' in {seconds} s' if seconds else ''}\n")


if __name__ == "__main__":
    main()
