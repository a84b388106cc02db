"""A disaster rehearsed: four instances recovered at the alternate site at once, and one by one."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

SITE = {"dr1": ("analytics", "crm"), "dr2": ("orders", "shop")}  # as in the inventory beside this file
NAMES = [name for names in SITE.values() for name in names]
AT_ONCE = "all four at once"

Run = dict[str, float]
Playbook = Callable[..., float]


def measure(playbook: Playbook, inventory: Path, reports: Path, rounds: int) -> dict[str, list[Run]]:
    """Drills by what they recover, in turn, in an order that moves; a first one of all installs the servers."""
    ways = [AT_ONCE, *NAMES]
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        offset = number % len(ways)
        for name in [AT_ONCE] if number == 0 else ways[offset:] + ways[:offset]:
            run = drill(playbook, inventory, reports, name)
            print(
                f"drill, round {number}: {name}: {run['wall']:.1f} s, the restores {run['restores']:.1f} s",
                file=sys.stderr,
                flush=True,
            )
            if number:
                found[name].append(run)
    return found


def drill(playbook: Playbook, inventory: Path, reports: Path, name: str) -> Run:
    """One drill: seconds of the playbook, and from the start of the first restore to the end of the last.

    ``busy`` and ``disk`` are the seconds that the processors of this machine, which the hosts share, were busy or had
    nothing to do but wait for a disk, all of them together.
    """
    extra: dict[str, Any] = {"recover_report_directory": str(reports), "recover_scenario": f"Bench: {name}"}
    if name != AT_ONCE:
        host = next(host for host, names in SITE.items() if name in names)
        extra.update(target=host, db_takes_over=[name])
    before = {path.name for path in reports.glob("*.json")}
    busy, disk = processors()
    wall = playbook("playbooks/dr_drill.yml", "-i", str(inventory), "-e", json.dumps(extra), fails=True)
    busy, disk = (now - then for now, then in zip(processors(), (busy, disk), strict=True))
    written = [path for path in reports.glob("*.json") if path.name not in before]
    if len(written) != 1:
        sys.exit(f"the drill of {name} wrote {len(written)} records")
    instances = json.loads(written[0].read_text())["instances"]
    wanted = NAMES if name == AT_ONCE else [name]
    # An objective that a lab misses is the drill's to tell. Here all must be back, with rows, and whole.
    bad = [item for item in instances if item["check_problems"] != 0 or not item["rows"] or not item["restore_seconds"]]
    if bad or sorted(item["instance"] for item in instances) != sorted(wanted):
        sys.exit(f"the drill of {name} did not recover: {json.dumps(instances)}")
    starts = [datetime.fromisoformat(item["restore_started"]) for item in instances]
    ends = [datetime.fromisoformat(item["restore_finished"]) for item in instances]
    return {"wall": wall, "restores": (max(ends) - min(starts)).total_seconds(), "busy": busy, "disk": disk}


def processors() -> tuple[float, float]:
    """Seconds of all processors since the machine started: busy, and idle because of a disk."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _, waiting, interrupts, soft, stolen = (
        int(item) / os.sysconf("SC_CLK_TCK") for item in fields[:8]
    )
    return user + nice + system + interrupts + soft + stolen, waiting


def table(found: Mapping[str, Sequence[Run]]) -> str:
    """Markdown: each alone, their sum, all at once, the ratio of pairs of the same round, and what bounds it."""
    sums = [
        {key: sum(found[name][number][key] for name in NAMES) for key in ("wall", "restores", "busy", "disk")}
        for number in range(len(found[AT_ONCE]))
    ]
    cores = os.cpu_count() or 1
    lines = [
        "### Disaster recovery of four instances, rehearsed",
        "",
        "| drill of | n | playbook s, median (range) | restores s, median (range) | CPU s | busy | awaiting a disk |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in {**{f"{name} alone": found[name] for name in NAMES}, "sum of these": sums}.items():
        lines.append(_line(name, runs, cores))
    lines.append(_line(AT_ONCE, found[AT_ONCE], cores))
    ratios = {
        key: statistics.median(run[key] / one[key] for run, one in zip(found[AT_ONCE], sums, strict=True))
        for key in ("wall", "restores")
    }
    total = {key: statistics.median(run[key] for run in sums) for key in sums[0]}
    longest = max(NAMES, key=lambda name: statistics.median(run["wall"] for run in found[name]))
    least = statistics.median(run["wall"] for run in found[longest]) / total["wall"]
    by_cores = statistics.median(run["busy"] for run in found[AT_ONCE]) / cores / total["wall"]
    bounds = (
        f"It cannot be less than {least:.2f}, which is {longest} alone, nor than {by_cores:.2f}, which is the CPU"
        f" seconds of all four at once spread over the {cores} cores that controller and hosts share here."
    )
    lines += [
        "",
        f"At once to one by one: playbook {ratios['wall']:.2f}, restores alone {ratios['restores']:.2f}.",
        bounds,
        f"The limit is {_limit(found[AT_ONCE], cores)}.",
    ]
    return "\n".join(lines)


def _line(name: str, runs: Sequence[Run], cores: int) -> str:
    def spread(key: str) -> str:
        values = [run[key] for run in runs]
        return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"

    cpu = statistics.median(run["busy"] for run in runs)
    shares = [statistics.median(run[key] / run["wall"] / cores for run in runs) for key in ("busy", "disk")]
    return (
        f"| {name} | {len(runs)} | {spread('wall')} | {spread('restores')} | {cpu:.1f} "
        f"| {shares[0]:.0%} | {shares[1]:.0%} |"
    )


def _limit(runs: Sequence[Run], cores: int) -> str:
    busy, disk = (statistics.median(run[key] / run["wall"] / cores for run in runs) for key in ("busy", "disk"))
    if busy >= 0.8:
        return f"the cores: {busy:.0%} of them were busy"
    if busy + disk >= 0.8:
        return f"cores and disk together: {busy:.0%} of the cores were busy and {disk:.0%} waited for a disk"
    return f"what goes one after the other: {busy:.0%} of the cores were busy and {disk:.0%} waited for a disk"
