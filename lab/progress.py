"""What a running playbook does at the moment, read from ansible-runner's events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]

_ENDED = {"runner_on_ok", "runner_on_skipped", "runner_on_failed", "runner_on_unreachable"}
_SAYS_NOTHING = {"non-zero return code", "MODULE FAILURE", "One or more items failed", "All items completed"}
_NAMED_HOSTS = 3


@dataclass(frozen=True)
class Result:
    """What a task returned on a host."""

    host: str
    task: str
    action: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host, or a host that could not be reached."""

    host: str
    task: str
    message: str

    def __str__(self) -> str:
        return f"{self.host}: {self.task}: {self.message}"


@dataclass
class Progress:
    """Follows one playbook. :meth:`feed` takes its events in their order."""

    task: str = ""
    started: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    results: list[Result] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def feed(self, event: Event) -> Failure | None:
        """Take one event and return the failure that it reports, if it does."""
        kind, data = event.get("event", ""), event.get("event_data", {})
        if kind == "playbook_on_task_start":
            self.task, self.started, self.ended = data.get("name") or data.get("task", ""), [], set()
        elif kind == "runner_on_start":
            self.started.append(data["host"])
        elif kind in _ENDED:
            self.ended.add(data["host"])
            return self._end(kind, data)
        return None

    def now(self) -> str:
        """Return the task and, while some hosts are done and others not, how many and whom it waits for."""
        waiting = [host for host in self.started if host not in self.ended]
        if not waiting or len(self.started) == 1:
            return self.task
        names = ", ".join(waiting[:_NAMED_HOSTS]) + (", ..." if len(waiting) > _NAMED_HOSTS else "")
        return f"{self.task}: {len(self.ended)} of {len(self.started)} hosts done, waiting for {names}"

    def _end(self, kind: str, data: Mapping[str, Any]) -> Failure | None:
        values = data.get("res") or {}
        host, task = data["host"], data.get("task", self.task)
        if kind in ("runner_on_failed", "runner_on_unreachable"):
            if data.get("ignore_errors"):
                return None
            self.failures.append(Failure(host, task, message(values)))
            return self.failures[-1]
        if kind == "runner_on_ok":
            self.results.append(Result(host, task, data.get("task_action", ""), values))
            if values.get("changed"):
                self.changed.add(host)
        return None


def message(values: Mapping[str, Any]) -> str:
    """Return what a failed task says, from the field that says most."""
    items = [item for item in values.get("results", []) if isinstance(item, Mapping) and item.get("failed")]
    if items:
        return "; ".join(dict.fromkeys(message(item) for item in items))
    told = str(values.get("msg") or "").strip()
    if told and told.splitlines()[0].rstrip(".") not in _SAYS_NOTHING:
        return told
    for name in ("stderr", "module_stderr", "module_stdout", "stdout", "censored"):
        lines = str(values.get(name) or "").strip().splitlines()
        if lines:
            return lines[-1]
    return told or "no message"
