"""``make bench``: the lab's hosts, data of a serious size, Holdfast beside the plain tools, medians and ratios.

Everything that is compared is measured in the same run, interleaved; the numbers of two runs, or of two machines, say
nothing about each other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = "bench"
ENVIRONMENT = {**os.environ, "HOLDFAST_LAB": LAB, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
BIN = Path(sys.executable).parent
SUBJECTS = [
    ("pg2", "postgresql", "analytics", "PostgreSQL 17"),
    ("pg1", "postgresql", "orders", "PostgreSQL 15"),
    ("maria2", "mariadb", "crm", "MariaDB 11.8"),
    ("maria1", "mariadb", "shop", "MariaDB 10.11"),
]
FOUR_HOSTS = "pg1,pg2,maria1,maria2"


def run(argv: list[str], *, stdin: bytes | None = None, show: bool = True) -> bytes:
    """Run a command of this machine; its standard error is shown. Exits with the command's last words when it fails."""
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=ENVIRONMENT,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(argv)}\n{done.stdout.decode(errors='replace')[-3000:]}")
    return done.stdout


def on_host(host: str, script: str, *arguments: str) -> bytes:
    """Run a Python or shell script of this folder on a host, as root."""
    text = (Path(__file__).parent / script).read_bytes()
    interpreter = "python3" if script.endswith(".py") else "bash"
    command = " ".join(
        ["sudo", interpreter, "-", *arguments] if interpreter == "python3" else ["sudo", "bash", "-s", *arguments]
    )
    return run(["ssh", "-F", f".lab/{LAB}/ssh_config", host, command], stdin=text)


def playbook(*arguments: str) -> float:
    """Seconds that a playbook run takes."""
    began = time.monotonic()
    run([str(BIN / "ansible-playbook"), "-i", "inventories/lab", *arguments])
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
        lines.append(
            f"| {name} | {len(walls)} | {statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f}) "
            f"| {cpu:.1f} | {statistics.median(ratios):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables as Markdown on standard output and keep every run in .lab/bench/results.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each comparison; at least 3")
    parser.add_argument("--only", help="a host of the lab, or site: measure that alone")
    parser.add_argument("--keep", action="store_true", help="leave the lab running")
    args = parser.parse_args()
    lab = [sys.executable, "lab/lab.py", "--name", LAB]
    run([*lab, "up"])
    try:
        playbook("lab/seed.yml", "--limit", FOUR_HOSTS)
        names = ",".join(instance for _, _, instance, _ in SUBJECTS) + ",billing"
        playbook("playbooks/site.yml", "-e", f"backup_restart_instances={names}")
        results: dict[str, object] = {}
        texts = []
        if args.only in (None, "site"):
            results["site.yml"] = runs = no_change(max(3, args.rounds))
            one, four = (statistics.median(runs[name]) for name in ("one host", "four hosts"))
            count = len(runs["one host"])
            texts.append(
                "### site.yml that changes nothing\n\n| hosts | n | s, median | ratio |\n|---|---|---|---|\n"
                f"| 1 | {count} | {one:.1f} | 1 |\n| 4 | {count} | {four:.1f} | {four / one:.2f} |"
            )
        for host, engine, instance, title in SUBJECTS:
            if args.only in (None, host):
                on_host(host, "prepare.sh", engine, instance)
                found = json.loads(on_host(host, "measure.py", engine, instance, "--rounds", str(max(3, args.rounds))))
                results[instance] = found
                for job, measured in found.items():
                    texts.append(table(f"{title}, {job}", measured, list(measured)[1]))
        (ROOT / ".lab" / LAB / "results.json").write_text(json.dumps(results, indent=1))
        print("\n\n".join(texts))
    finally:
        if not args.keep:
            run([*lab, "down"])


if __name__ == "__main__":
    main()
