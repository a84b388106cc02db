"""``make bench``: the lab's hosts, data of a serious size, Holdfast beside the plain tools, medians and ratios.

Everything that is compared is measured in the same run, interleaved; the numbers of two runs, or of two machines, say
nothing about each other.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from . import sites

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LAB = "bench"
ENVIRONMENT = {**os.environ, "HOLDFAST_LAB": LAB, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
BIN = Path(sys.executable).parent
SUBJECTS = [
    ("pg2", "postgresql", "analytics", "PostgreSQL 17"),
    ("pg1", "postgresql", "orders", "PostgreSQL 15"),
    ("maria2", "mariadb", "crm", "MariaDB 11.8"),
    ("maria1", "mariadb", "shop", "MariaDB 10.11"),
]
RECOVERED = [subject for subject in SUBJECTS if subject[2] in ("analytics", "shop")]
TABLES = "12"  # of 300 MB, so that what a backup by Holdfast costs beside the stream is not most of it
FOUR_HOSTS = "pg1,pg2,maria1,maria2"
Measured = tuple[dict[str, object], list[str]]  # every run, and the tables


def run(argv: list[str], *, stdin: bytes | None = None, show: bool = True, fails: bool = False) -> bytes:
    """Run a command of this machine; its standard error is shown.

    Exits with the command's last words when it fails, unless it may: ``fails``.
    """
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=ENVIRONMENT,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        check=False,
    )
    if done.returncode and not fails:
        sys.exit(f"failed ({done.returncode}): {' '.join(argv)}\n{done.stdout.decode(errors='replace')[-3000:]}")
    return done.stdout


def on_host(host: str, script: str, *arguments: str) -> bytes:
    """Run a shell script of this folder, or a module of it, on a host as root."""
    login = ["ssh", "-F", f".lab/{LAB}/ssh_config", host]
    if script.endswith(".sh"):
        return run([*login, shlex.join(["sudo", "bash", "-s", *arguments])], stdin=(HERE / script).read_bytes())
    carried = io.BytesIO()
    with tarfile.open(fileobj=carried, mode="w") as archive:
        for name in ("__init__.py", "measure.py", "recovery.py"):
            archive.add(HERE / name, f"bench/{name}")
    made = "made=$(mktemp -d) && trap 'rm -r $made' EXIT && cd $made && tar x"
    command = f"{made} && python3 -m bench.{script} {shlex.join(arguments)}"
    return run([*login, shlex.join(["sudo", "bash", "-c", command])], stdin=carried.getvalue())


def playbook(*arguments: str, fails: bool = False) -> float:
    """Seconds that a playbook run takes."""
    began = time.monotonic()
    run([str(BIN / "ansible-playbook"), "-i", "inventories/lab", *arguments], fails=fails)
    return time.monotonic() - began


def no_change(rounds: int) -> dict[str, list[float]]:
    """A site.yml that changes nothing, on one host and on four, in turn."""
    found: dict[str, list[float]] = {"one host": [], "four hosts": []}
    for number in range(rounds + 1):
        for name, limit in (("one host", "pg2"), ("four hosts", FOUR_HOSTS)):
            seconds = playbook("playbooks/site.yml", "--limit", f"localhost,{limit}", "--forks", "20")
            print(f"site.yml, round {number}: {name}: {seconds:.1f} s", file=sys.stderr)
            if number:
                found[name].append(seconds)
    return found


def table(title: str, runs: dict[str, list[dict[str, float]]], baseline: str) -> str:
    """Markdown: median, range, CPU and the ratio to the baseline, of pairs of the same round."""
    lines = [
        f"### {title}",
        "",
        "| variant | n | wall s, median (min-max) | CPU s of the commands | ratio to the plain tool |",
    ]
    lines.append("|---|---|---|---|---|")
    for name, measured in runs.items():
        walls = [item["wall"] for item in measured]
        cpu = statistics.median(item["cpu"] for item in measured)
        ratios = [item["wall"] / plain["wall"] for item, plain in zip(measured, runs[baseline], strict=True)]
        shown = name.replace("|", r"\|")
        lines.append(
            f"| {shown} | {len(walls)} | {statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f}) "
            f"| {f'{cpu:.1f}' if cpu else '-'} | {statistics.median(ratios):.2f} |"
        )
    return "\n".join(lines)


def prepare(instances: Iterable[str], *size: str) -> None:
    """Data of a serious size in these instances, and nothing that runs beside what is measured."""
    for host, engine, instance, _ in SUBJECTS:
        if instance in instances:
            on_host(host, "prepare.sh", engine, instance, *size)


def tools(rounds: int, host: str) -> Measured:
    """Backups and restores of a host's instance beside the plain tools."""
    _, engine, instance, title = next(subject for subject in SUBJECTS if subject[0] == host)
    prepare([instance], TABLES)
    found = json.loads(on_host(host, "measure", engine, instance, "--rounds", str(rounds)))
    return {instance: found}, [table(f"{title}, {job}", runs, list(runs)[1]) for job, runs in found.items()]


def no_change_table(rounds: int) -> Measured:
    """Both as a table."""
    runs = no_change(rounds)
    one, four = (statistics.median(runs[name]) for name in ("one host", "four hosts"))
    count = len(runs["one host"])
    text = (
        "### site.yml that changes nothing\n\n| hosts | n | s, median | ratio |\n|---|---|---|---|\n"
        f"| 1 | {count} | {one:.1f} | 1 |\n| 4 | {count} | {four:.1f} | {four / one:.2f} |"
    )
    return {"site.yml": runs}, [text]


def recovery(rounds: int) -> Measured:
    """Restores to a point in time, and onto damaged files, beside the plain tools."""
    results, texts = {}, []
    for host, engine, instance, title in RECOVERED:
        prepare([instance])
        found = json.loads(on_host(host, "recovery", engine, instance, "--rounds", str(rounds)))
        results[f"{instance}, recovery"] = found
        texts += [table(f"{title}, {job}", runs, list(runs)[1]) for job, runs in found.items()]
    return results, texts


def disaster(rounds: int) -> Measured:
    """The drill of four instances at once and one by one."""
    prepare(sites.NAMES)
    for host, _, instance, _ in SUBJECTS:
        archive = shlex.join(["sudo", "holdfast", "backup", instance, "--type", "archive", "--json"])
        run(["ssh", "-F", f".lab/{LAB}/ssh_config", host, archive])
    found = sites.measure(playbook, HERE / "inventory", ROOT / ".lab" / LAB / "drills", rounds)
    return {"drill": found}, [sites.table(found)]


PARTS: dict[str, tuple[Callable[[int], Measured], int]] = {
    "site": (no_change_table, 5),
    **{subject[0]: (partial(tools, host=subject[0]), 5) for subject in SUBJECTS},
    "recovery": (recovery, 3),
    "sites": (disaster, 3),
}


def main() -> None:
    """Measure, print the tables as Markdown on standard output and keep every run in .lab/bench/results.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, help="counted rounds of each comparison, at least 3; default 5, of recovery and sites 3"
    )
    parser.add_argument("--only", choices=PARTS, help="measure that part alone")
    parser.add_argument("--keep", action="store_true", help="leave the lab running")
    args = parser.parse_args()
    lab = [sys.executable, "lab/lab.py", "--name", LAB, "--also", str(HERE / "hosts.yml")]
    run([*lab, "up"])
    try:
        playbook("lab/seed.yml", "--limit", FOUR_HOSTS)
        names = ",".join(instance for _, _, instance, _ in SUBJECTS) + ",billing"
        playbook("playbooks/site.yml", "-e", f"backup_restart_instances={names}")
        results: dict[str, object] = {}
        texts: list[str] = []
        for name, (part, rounds) in PARTS.items():
            if args.only in (None, name):
                found, tables = part(max(3, args.rounds or rounds))
                results.update(found)
                texts += tables
                # What was measured stays when a later part fails.
                (ROOT / ".lab" / LAB / "results.json").write_text(json.dumps(results, indent=1))
        print("\n\n".join(texts))
    finally:
        if not args.keep:
            run([*lab, "down"])


if __name__ == "__main__":
    main()
