"""Runs on a database host, as root: times commands in turn and prints one JSON object with every run.

Each round runs every variant once, in an order that moves by one place a round, so that a slow minute of the machine or
a warm cache favours none of them. What a variant leaves behind is removed outside the measured time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

WORK = "/var/lib/holdfast/bench"
LIMIT = 900  # seconds after which a command hangs


@dataclass
class Variant:
    """One way to do the job. ``command`` is what a person would type; ``seconds`` may read the time from its output."""

    name: str
    command: str
    user: str
    clean: list[str] = field(default_factory=list)  # shell commands, as root, before and after every run
    seconds: Callable[[str], float] | None = None
    before: list[str] = field(default_factory=list)  # shell commands, as root, that make what the command starts from
    check: str = ""  # shell command, as root, that fails unless the command did its job
    more: Callable[[str], dict[str, float]] | None = None  # further seconds out of its output, each a row of its own


def shell(command: str, user: str = "root") -> str:
    """Run a shell command as a user and return its output. Raises CalledProcessError with that output."""
    script = f"set -eo pipefail; cd /; {command}"
    argv = ["runuser", "-u", user, "--", "bash", "-c", script] if user != "root" else ["bash", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {command}\n{done.stderr[-2000:]}{done.stdout[-500:]}")
    return done.stdout


def run_once(variant: Variant) -> dict[str, dict[str, float]]:
    """Wall seconds of one run, and the CPU seconds of its process tree (the servers' own are not in it), by row."""
    for command in (*variant.clean, *variant.before):
        shell(command)
    os.sync()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    output = shell(variant.command, variant.user)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in (variant.check, *variant.clean):
        shell(command)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {variant.name: {"wall": variant.seconds(output) if variant.seconds else wall, "cpu": cpu}}
    if variant.more:
        found.update({name: {"wall": seconds, "cpu": 0.0} for name, seconds in variant.more(output).items()})
        found["the whole command, until its log is proven to arrive"] = {"wall": wall, "cpu": 0.0}
    return found


def in_turn(job: str, variants: list[Variant], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Every counted run by row: first the variants, then what they tell beside their time."""
    runs: dict[str, list[dict[str, float]]] = {variant.name: [] for variant in variants}
    for number in range(rounds + 1):  # the first round warms up and is not counted
        offset = number % len(variants)
        for variant in variants[offset:] + variants[:offset]:
            found = run_once(variant)
            wall = found[variant.name]["wall"]
            print(f"{job}, round {number}: {variant.name}: {wall:.2f} s", file=sys.stderr, flush=True)
            for name, result in found.items() if number else ():
                runs.setdefault(name, []).append(result)
    return runs


def postgresql(instance: str) -> dict[str, list[Variant]]:
    """Backups and restores of a PostgreSQL instance."""
    stanza = shlex.quote(instance)
    status = json.loads(shell(f"holdfast status {stanza} --json || true"))[0]
    major = status["version"].split(".")[0]
    tools = f"/usr/lib/postgresql/{major}/bin"
    info = f"runuser -u postgres -- pgbackrest info --stanza={stanza} --repo=1 --output=json"
    labels = 'python3 -c \'import json, sys; print(*[b["label"] for b in json.load(sys.stdin)[0]["backup"]][1:])\''
    # The first full backup stays: without one, expiring the measured one would be refused.
    drop = (
        f"for label in $({info} | {labels}); do "
        f"runuser -u postgres -- pgbackrest expire --stanza={stanza} --repo=1 --set=$label >/dev/null; done"
    )
    target = f"{WORK}/target"
    fresh = f"rm -rf {target}; install -d -o postgres -g postgres -m 0700 {target}"
    port = status["port"]
    backup = [
        Variant("holdfast backup", f"holdfast backup {stanza} --type full --json", "postgres", [drop]),
        Variant(
            "pgbackrest, same settings", f"pgbackrest --stanza={stanza} --repo=1 --type=full backup", "postgres", [drop]
        ),
        Variant(
            "pg_basebackup, server zstd 3, 2 workers",
            f"{tools}/pg_basebackup -p {port} -c fast -D {target} -Ft --compress=server-zstd:level=3,workers=2",
            "postgres",
            [fresh],
        ),
        Variant(
            "pg_dump -Fd -j2 -Z zstd:3",
            f"{tools}/pg_dump -p {port} -Fd -j2 -Z zstd:3 -f {target}/d bench",
            "postgres",
            [fresh],
        ),
    ]
    if int(major) < 16:
        backup[-1] = Variant(
            "pg_dump -Fd -j2 -Z0", f"{tools}/pg_dump -p {port} -Fd -j2 -Z0 -f {target}/d bench", "postgres", [fresh]
        )
    settings = [
        "port=5999",
        f"unix_socket_directories='{target}'",
        f"hba_file='{target}/hba'",
        "listen_addresses=''",
        "archive_mode=off",
        "autovacuum=off",
        "max_connections=200",
        "shared_buffers='256MB'",
    ]
    by_hand = (
        f"pgbackrest --stanza={stanza} --repo=1 --pg1-path={target}/d --archive-mode=off --process-max=$(nproc) "
        f"--tablespace-map-all={target}/t restore && "
        f"printf '%s\\n' {shlex.join(settings)} > {target}/postgresql.conf && "
        f"echo 'local all all trust' > {target}/hba && "
        f"{tools}/pg_ctl -D {target}/d -o '-c config_file={target}/postgresql.conf' -l {target}/log -W start >/dev/null"
        " && "
        f'until [ "$(psql -h {target} -p 5999 -Atc "select pg_is_in_recovery()" postgres 2>/dev/null)" = f ]; '
        f"do sleep 0.1; done"
    )
    stop = (
        f"[ ! -e {target}/d/postmaster.pid ] || "
        f"runuser -u postgres -- {tools}/pg_ctl -D {target}/d -m immediate -w stop >/dev/null"
    )
    restore = [
        Variant(
            "holdfast restore-test, until the server answers",
            f"holdfast restore-test {stanza} --json",
            "postgres",
            [],
            rto,
        ),
        Variant("pgbackrest restore and start, by hand", by_hand, "postgres", [stop, fresh]),
    ]
    return {"backup": backup, "restore": restore}


def mariadb(instance: str) -> dict[str, list[Variant]]:
    """Backups and restores of a MariaDB instance. What is typed by hand stores into a repository of its own."""
    name = shlex.quote(instance)
    target = f"{WORK}/target"
    fresh = f"rm -rf {target}; install -d -o mysql -g mysql -m 0700 {target}"
    own = f"{WORK}/restic"
    if not os.path.exists(f"{own}/config"):
        shell(f"rm -rf {own} && install -d -o mysql -g mysql {own}")
        shell(f"RESTIC_PASSWORD=bench restic -q -r {own} --no-cache init", "mysql")
    backup = f"mariadb-backup --backup --stream=xbstream --target-dir={target}/t"
    two, one = (f"{backup} --parallel={threads} 2>/dev/null" for threads in (2, 1))
    restic = f"RESTIC_PASSWORD=bench restic -q -r {own} --no-cache"
    variants = [
        Variant("holdfast backup", f"holdfast backup {name} --type full --json", "mysql"),
        Variant(
            "mariadb-backup | zstd | restic, by hand as Holdfast has it",
            f"{one} | zstd -q -1 -T0 --rsyncable | {restic} backup --force --stdin --stdin-filename full.xb.zst"
            " --compression off",
            "mysql",
            [fresh],
        ),
        Variant(
            "mariadb-backup | restic with its own compression",
            f"{two} | {restic} backup --force --stdin --stdin-filename full.xb",
            "mysql",
            [fresh],
        ),
        Variant(
            "mariadb-backup | zstd -1 -T2 into a directory",
            f"{two} | zstd -q -1 -T2 -o {target}/full.zst",
            "mysql",
            [fresh],
        ),
    ]
    dump = Variant(
        "mariadb-dump | zstd -1 -T2",
        f"mariadb-dump --single-transaction --all-databases | zstd -q -1 -T2 -o {target}/d.zst",
        "mysql",
        [fresh],
    )
    by_hand = (
        f"mkdir {target}/d && {restic} dump --path /full.xb.zst latest full.xb.zst | zstd -q -d -c | "
        f"mbstream -x -C {target}/d && "
        f"mariadb-backup --prepare --target-dir={target}/d --use-memory=256M 2>/dev/null && "
        f"(mariadbd --no-defaults --datadir={target}/d --socket={target}/s --pid-file={target}/p --skip-networking "
        f"--innodb-buffer-pool-size=256M >{target}/log 2>&1 & ) && "
        f"until mariadb-admin -S {target}/s ping >/dev/null 2>&1; do sleep 0.1; done"
    )
    stop = f"[ ! -e {target}/p ] || {{ kill $(cat {target}/p); while [ -e {target}/p ]; do sleep 0.1; done; }}"
    restore = [
        Variant(
            "holdfast restore-test, until the server answers", f"holdfast restore-test {name} --json", "mysql", [], rto
        ),
        Variant("restic dump, mbstream, prepare and start, by hand", by_hand, "mysql", [stop, fresh]),
    ]
    # The one extreme, of a database in which something was written all over; the other is one that nobody wrote to.
    written = [replace(variant, before=[rewritten()]) for variant in (*variants, dump)]
    return {"full backup after writes": written, "full backup, nothing written": variants, "restore": restore}


def rewritten() -> str:
    """A command that writes one row in 600 of each table, and waits until that is in its files."""
    tables = shell("mariadb -N bench -e \"show tables like 't%'\"")
    writes = " ".join(f"update {table} set pad = md5(rand()) where id % 600 = 5;" for table in tables.split())
    flush = "set global innodb_max_dirty_pages_pct = 0"
    dirty = "show global status like 'innodb_buffer_pool_pages_dirty'"
    clean = f"""until [ $(mariadb -N -e "{dirty}" | cut -f2) -lt 100 ]; do sleep 0.3; done"""
    back = "set global innodb_max_dirty_pages_pct = default"
    return f'mariadb bench -e "{writes} {flush}" && {clean} && mariadb -e "{back}"'


def rto(output: str) -> float:
    """The restore time that a restore test measured: up to the first answer, without the checks after it."""
    (record,) = json.loads(output).values()
    return float(record["restore_test"]["rto_seconds"])


def main() -> None:
    """Run the rounds and print the result as JSON; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=["postgresql", "mariadb"])
    parser.add_argument("instance")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    os.chmod(WORK, 0o755)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    try:
        for job, variants in {"postgresql": postgresql, "mariadb": mariadb}[args.engine](args.instance).items():
            found[job] = in_turn(job, variants, args.rounds)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
