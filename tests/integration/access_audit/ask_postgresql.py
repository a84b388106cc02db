"""Asks the auditor of PostgreSQL on a database host, as the owner of the data. Runs there; nothing of a test is in it.

Arguments: the archive with the package, the port, a JSON list (what to call, and with what), and the account.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from enum import Enum

sys.path.insert(0, sys.argv[1])

from holdfast.audit import rights
from holdfast.audit.model import Action, Step
from holdfast.audit.policy import Policy
from holdfast.engines.postgresql import PostgreSQL
from holdfast.engines.registry import auditor
from holdfast.errors import HoldfastError, Unsupported
from holdfast.model import Instance, Keep, Retention, ServiceLevel


def instance(port, account="postgres"):
    keep = Keep(count=1)
    retention = Retention(keep, keep, keep, timedelta(days=7), keep, keep)
    level = ServiceLevel("standard", timedelta(minutes=15), timedelta(hours=1), retention, {})
    return Instance("audited", "postgresql", port, level, (), account, "/nonexistent")


def plain(value):
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {name: plain(item) for name, item in asdict(value).items() if name != "check" or isinstance(item, str)}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def checks(asked):
    """Every check with how it ended."""
    found = {}
    for check in asked.checks():
        try:
            findings = asked.answer(check)
        except Unsupported as error:
            found[check.id] = {"status": "not applicable", "reason": error.reason}
        except HoldfastError as error:
            found[check.id] = {"status": "error", "reason": str(error)}
        else:
            found[check.id] = {"status": "found" if findings else "passed", "findings": plain(findings)}
    return found


def measure(asked):
    """The whole audit, and what it took."""
    taken = {}

    def timed(name, function):
        begun = time.monotonic()
        number = sum(1 for _ in function())
        taken[name] = {"rows": number, "seconds": round(time.monotonic() - begun, 2)}

    begun, worked = time.monotonic(), time.process_time()
    timed("accounts", asked.accounts)
    timed("memberships", asked.memberships)
    with tempfile.TemporaryDirectory() as place:
        kept = f"{place}/rights"
        timed("rights", lambda: range(rights.read(asked.rights, Policy(), kept, kept).part.value))
    timed("escalations", asked.escalations)
    timed("checks", lambda: checks(asked))
    taken["seconds"] = round(time.monotonic() - begun, 2)
    taken["cpu_seconds"] = round(time.process_time() - worked, 2)  # of the audit alone, the server's come besides
    taken["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return taken


def main():
    asked = auditor(PostgreSQL(instance(int(sys.argv[2]), *sys.argv[4:])))
    what, *rest = json.loads(sys.argv[3])
    try:
        if what == "checks":
            result = checks(asked)
        elif what == "measure":
            result = measure(asked)
        elif what == "plan":
            action, account, details = rest
            result = asked.plan(Action(action), account, **details)
        elif what == "carry_out":
            asked.change([Step(**{**step, "action": Action(step["action"])}) for step in rest[0]])
            result = None
        elif what == "change":
            steps = [
                step for action, account, details in rest[0] for step in asked.plan(Action(action), account, **details)
            ]
            asked.change(steps)
            result = steps
        else:
            result = getattr(asked, what)(*rest)
            result = list(result) if what == "rights" else result
    except HoldfastError as error:
        print(json.dumps({"error": type(error).__name__, **error.as_dict()}))
    else:
        print(json.dumps({"result": plain(result)}))


main()
