"""Runs on a database host as the owner of the server: puts one question to the auditor of the runner.

Arguments: instance, directory of the socket, method. Those of the method come as JSON, and the answer goes as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

sys.path.insert(0, "/opt/holdfast/holdfast.pyz")

from holdfast import config, errors  # type: ignore[import-not-found]
from holdfast.audit.model import Action, Step  # type: ignore[import-not-found]
from holdfast.engines.registry import adapters, auditor  # type: ignore[import-not-found]


def _findings(subject: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for check in subject.checks():
        try:
            found[check.id] = [f"{item.subject}: {item.found}" for item in subject.answer(check)]
        except errors.Unsupported as error:
            found[check.id] = f"not applicable: {error.reason}"
    return found


def _planned(subject: Any, action: str, account: str, **details: Any) -> list[Any]:
    return list(subject.plan(Action(action), account, **details))


def _change(subject: Any, steps: list[dict[str, Any]]) -> None:
    lists = ("statements", "undo")
    typed = [
        {**step, "action": Action(step["action"]), **{name: tuple(step[name]) for name in lists}} for step in steps
    ]
    subject.change([Step(**step) for step in typed])


METHODS = {
    "findings": _findings,
    "plan": _planned,
    "change": _change,
    "accounts": lambda subject: list(subject.accounts()),
    "memberships": lambda subject: list(subject.memberships()),
    "rights": lambda subject: list(subject.rights()),
    "escalations": lambda subject: list(subject.escalations()),
    "observed": lambda subject, since: subject.observed_grants(since),
}


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)


name, sockets, method = sys.argv[1:]
instance = config.load(name)
engine = adapters(instance.engine).engine()(dataclasses.replace(instance, socket_directory=sockets, options={}))
given = json.load(sys.stdin)
try:
    answer = METHODS[method](auditor(engine), *given.get("args", ()), **given.get("details", {}))
except errors.HoldfastError as error:
    answer = {"error": error.as_dict()}
print(json.dumps(answer, default=_plain))
