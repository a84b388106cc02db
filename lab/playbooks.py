"""Runs playbooks through ansible-runner, shows what they do and keeps what they say in a log file."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import ansible_runner  # type: ignore[import-untyped]

from progress import Event, Progress
from screen import Screen, Step

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 5
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class StepFailed(Exception):
    """A step did not come to its end; the text says on which host and why."""


class Playbooks:
    """Runs playbooks on the hosts of one lab."""

    def __init__(self, lab: str, directory: Path, log: Path, screen: Screen) -> None:
        self.lab = lab
        self.directory = directory
        self.log = log
        self.screen = screen
        shutil.rmtree(directory, ignore_errors=True)
        (directory / "env").mkdir(parents=True)
        # Settings are read from this file alone. This one says how soon an interruption is noticed.
        (directory / "env" / "settings").write_text(json.dumps({"pexpect_timeout": 0.5}))

    def run(
        self, step: Step, playbook: str, *, limit: str = "", variables: Mapping[str, Any] | None = None
    ) -> Progress:
        """Run a playbook of the tree to its end.

        :raises StepFailed: a task failed, or the playbook could not be read.
        """
        progress = Progress()
        tail: deque[str] = deque(maxlen=3)
        with self.log.open("a") as log, Interruption() as interruption:
            log.write(f"\n==== {step.title}: {playbook} {limit} {dict(variables or {})}\n")

            def handle(event: Event) -> bool:
                text = COLOURS.sub("", event.get("stdout", ""))
                if text:
                    log.write(text + "\n")
                    tail.append(text.strip().splitlines()[-1] if text.strip() else "")
                interruption.pid = event.get("pid") or interruption.pid
                failure = progress.feed(event)
                step.doing = progress.now()
                if failure:
                    self.screen.note(str(failure), "bad")
                return False

            run = ansible_runner.run(
                private_data_dir=str(self.directory),
                project_dir=str(ROOT),
                playbook=playbook,
                inventory=str(ROOT / "inventories" / "lab"),
                limit=limit or None,
                extravars=dict(variables or {}),
                envvars=environment(self.lab),
                event_handler=handle,
                cancel_callback=interruption.overdue,
                quiet=True,
                suppress_env_files=True,
            )
        if interruption.asked:
            raise KeyboardInterrupt
        if run.status != "successful":
            raise StepFailed(f"{step.title}: {reason(progress, tail) or f'ansible-playbook ended with {run.rc}'}")
        return progress


def reason(progress: Progress, tail: Iterable[str]) -> str:
    """Return why a playbook failed: the first failure, or its last words when no task failed."""
    if not progress.failures:
        return " ".join(text for text in tail if text)
    more = len(progress.failures) - 1
    return f"{progress.failures[0]}" + (f" (and {more} more, see above)" if more else "")


def environment(lab: str) -> dict[str, str]:
    """Return what the playbooks of a lab need in their environment."""
    return {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        # ansible-runner turns the checking off unless it is told otherwise.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "HOLDFAST_LAB": lab,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


class Interruption:
    """Turns a signal into the orderly end of a playbook: only its own process can end those that it started."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.asked: float | None = None

    def __enter__(self) -> Self:
        self._before = [(number, signal.signal(number, self._ask)) for number in (signal.SIGINT, signal.SIGTERM)]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def overdue(self) -> bool:
        """Whether the playbook was asked to end, and cannot be or has not done so in time."""
        return self.asked is not None and (self.pid is None or time.monotonic() > self.asked + GRACE_SECONDS)

    def _ask(self, *_: object) -> None:
        self.asked = self.asked or time.monotonic()
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
