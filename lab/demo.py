"""The whole of Holdfast on throwaway hosts: from empty machines to backups that are proven to restore."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from containers import LabError, locked
from lab import HOSTS_FILE, ROOT, Lab, read_plan
from picture import svg
from playbooks import Playbooks, StepFailed
from progress import Progress
from screen import Screen, Step
from summary import fleet, is_well, next_steps, proof, stored

DUMPED = "billing"  # the instance that gets a logical backup as well
ARCHIVED = "orders"  # the one whose archive copy does not wait for its schedule
COMMAND = "make demo"


class QuietLab(Lab):
    """A lab whose own progress is part of a step."""

    step: Step

    def say(self, text: str) -> None:
        """Show what happens in the step."""
        self.step.doing = text


class Demo:
    """The steps in their order."""

    def __init__(self, lab: QuietLab, screen: Screen) -> None:
        self.lab = lab
        self.screen = screen
        self.log = lab.state.directory / "demo.log"
        self.playbooks: Playbooks
        self.host_of: dict[str, str] = {}

    def run(self) -> None:
        """Take every step and show the summary.

        :raises StepFailed: a step did not come to its end, or an instance is not as its service level wants it.
        """
        began = time.monotonic()
        self.start()
        self.fill()
        self.set_up()
        self.back_up("Take full backups", "full")
        self.back_up(f"Dump {DUMPED} as well", "logical", DUMPED)
        self.back_up(f"Copy {ARCHIVED} to the object store", "archive", ARCHIVED)
        self.change()
        self.back_up("Take incremental backups", "incremental")
        self.restore()
        entries = self.measure()
        self.summarise(entries, time.monotonic() - began)
        unwell = [entry["instance"] for entry in entries if not is_well(entry)]
        if unwell:
            raise StepFailed(f"{', '.join(unwell)}: not as the service level wants it, see the table")

    def start(self) -> None:
        """Bring the hosts up; those that run are kept."""
        with self.screen.step(f"Start {len(self.lab.plan.hosts)} hosts") as step:
            self.lab.step = step
            step.doing = "images, containers, boot"
            with locked(ROOT / ".lab" / f"{self.lab.name}.lock"):
                self.lab.up()
            self.log.write_text("")
            self.playbooks = Playbooks(self.lab.name, self.lab.state.directory / "runner", self.log, self.screen)
            step.outcome = " ".join(host.name for host in self.lab.plan.hosts)

    def fill(self) -> None:
        """Put data into the servers, unless it is there."""
        with self.screen.step("Fill the databases") as step:
            done = self.playbooks.run(step, "lab/seed.yml")
            filled = [line.split()[0] for values in _values(done, "command") for line in values["stdout_lines"]]
            step.outcome = f"{', '.join(sorted(filled))} filled" if filled else "filled already"

    def set_up(self) -> None:
        """Set up the backups; restart the servers that need it, by their names."""
        with self.screen.step("Set up backups with playbooks/site.yml") as step:
            done = self.playbooks.run(step, "playbooks/site.yml")
            step.outcome = f"{', '.join(sorted(done.changed))} changed" if done.changed else "nothing to change"
        results = [result for result in done.results if "restart_required" in result.values]
        self.host_of = {name: result.host for result in results for name in result.values["instances"]}
        waiting = [need for result in results for need in result.values["restart_required"]]
        if not waiting:
            return
        for need in waiting:
            wanted = (
                f"{need['instance']} needs a restart for {', '.join(need['parameters'])}; it runs on until it is named"
            )
            self.screen.note(wanted, "warn")
        names = sorted(need["instance"] for need in waiting)
        hosts = sorted({self.host_of[name] for name in names})
        with self.screen.step(f"Restart {', '.join(names)}, by name") as step:
            variables = {"backup_restart_instances": ",".join(names)}
            self.playbooks.run(step, "playbooks/site.yml", limit=",".join(["localhost", *hosts]), variables=variables)
            step.outcome = f"site.yml -e backup_restart_instances={','.join(names)}"

    def back_up(self, title: str, backup_type: str, instance: str = "") -> None:
        """Take a backup of every instance, or of one."""
        with self.screen.step(title) as step:
            variables = {"type": backup_type, "instances": instance}
            limit = self.host_of.get(instance, "")
            records = _records(self.playbooks.run(step, "playbooks/backup.yml", limit=limit, variables=variables))
            step.outcome = stored([record["backup"] for record in records])

    def change(self) -> None:
        """Have the servers do some work."""
        with self.screen.step("Change some rows") as step:
            self.playbooks.run(step, "lab/changes.yml")

    def restore(self) -> None:
        """Restore every instance from its newest backup and check it."""
        with self.screen.step("Restore every backup and check it") as step:
            records = _records(self.playbooks.run(step, "playbooks/restore_test.yml"))
            step.outcome = f"{len(records)} instances restored on scratch servers"

    def measure(self) -> list[dict[str, Any]]:
        """Ask every instance how it stands."""
        with self.screen.step("Measure what would be lost now") as step:
            output = self.playbooks.directory / "fleet.json"
            self.playbooks.run(step, "playbooks/status.yml", variables={"status_output": str(output)})
            entries: list[dict[str, Any]] = json.loads(output.read_text())
            return entries

    def summarise(self, entries: list[dict[str, Any]], seconds: float) -> None:
        """Print how the fleet stands and how to go on."""
        screen = self.screen
        screen.line()
        for line in fleet(entries, datetime.now(UTC), screen.columns):
            screen.line(*line)
        screen.line()
        for text in proof(entries):
            screen.line(f"  {text}")
        screen.line(f"  all of it took {seconds:.0f} s; everything that was said is in {_short(self.log)}")
        screen.line()
        screen.line(("What to try next", "strong"))
        for line in next_steps(entries, self.lab.name):
            screen.line(*line)


def _values(done: Progress, action: str) -> Iterable[Any]:
    return [result.values for result in done.results if result.action.rpartition(".")[2] == action]


def _records(done: Progress) -> list[Any]:
    return [record for values in _values(done, "db_job") for record in values["records"]]


def _short(path: Path) -> str:
    return os.path.relpath(path, Path.cwd())


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument(
        "--name", default=os.environ.get("HOLDFAST_LAB") or "demo", help="which lab (HOLDFAST_LAB; demo)"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write a picture of the run (SVG)")
    return parser.parse_args(argv)


def main() -> int:
    """Run the demo and return its exit code."""
    options = parse()
    screen = Screen()
    log: Path | None = None
    try:
        lab = QuietLab(options.name, read_plan(yaml.safe_load(HOSTS_FILE.read_text())))
        demo = Demo(lab, screen)
        log = demo.log
        demo.run()
    except (LabError, StepFailed) as error:
        screen.line()
        screen.line(("The demo stopped: ", "bad"), str(error))
        if log and log.exists():
            screen.line(
                f"Everything that was said is in {_short(log)}. The hosts still run; {COMMAND} goes on from here."
            )
        return 1
    except KeyboardInterrupt:
        screen.line()
        screen.line(f"Interrupted. The hosts still run: {COMMAND} goes on from here, make lab-down removes them.")
        return 130
    if options.record:
        options.record.parent.mkdir(parents=True, exist_ok=True)
        options.record.write_text(svg([[("$ ", "faint"), (COMMAND, "strong")], *screen.lines], "Holdfast"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
