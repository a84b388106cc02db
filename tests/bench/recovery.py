"""Runs on a database host, as root: recovery to a point in time and onto damaged files, beside the plain tools.

Holdfast restores in place, as a person would have it done; the plain tools restore aside. Each run begins with the same
backup and the same log: whatever an earlier one left is another timeline, or another history of the log.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .measure import WORK, Variant, in_turn, shell

TARGET = f"{WORK}/target"
DAMAGED = f"{WORK}/damaged"
LOG_BYTES = {"postgresql": 1000 << 20, "mariadb": 300 << 20}
EVERY = 20  # which file is damaged before a delta restore: one in twenty
PORT = 5999


def postgresql(instance: str) -> Iterator[tuple[str, list[Variant]]]:
    """A restore to a time near the end of the log, and one onto damaged files."""
    place = plan(instance)
    label, data = place["backup"]["id"], place["data_directory"]
    major = shell(f"cat {data}/PG_VERSION").strip()
    port = shell(f"sed -n 4p {data}/postmaster.pid").strip()
    psql = f"psql -p {port} -qAtX -d bench"
    timeline = shell(f"{psql} -c 'select timeline_id from pg_control_checkpoint()'", "postgres").strip()
    configuration = own_configuration(instance)

    def by_hand(directory: str, *options: str) -> str:
        tools = f"/usr/lib/postgresql/{major}/bin"
        asked = shlex.join([f"--set={label}", "--archive-mode=off", "--target-action=promote", *options])
        return (
            f"pgbackrest --config={configuration} --stanza={instance} --pg1-path={directory}/d {asked} restore && "
            f"printf '%s\\n' {shlex.join(server_settings(directory))} > {directory}/postgresql.conf && "
            f"echo 'local all all trust' > {directory}/hba && "
            f"{tools}/pg_ctl -D {directory}/d -o '-c config_file={directory}/postgresql.conf' -l {directory}/log"
            " -W start >/dev/null && "
            f"until [ \"$(psql -h {directory} -p {PORT} -Atc 'select pg_is_in_recovery()' postgres 2>/dev/null)\" = f ]"
            "; do sleep 0.1; done"
        )

    def stop(directory: str) -> str:
        return (
            f"[ ! -e {directory}/d/postmaster.pid ] || runuser -u postgres -- "
            f"/usr/lib/postgresql/{major}/bin/pg_ctl -D {directory}/d -m immediate -w stop >/dev/null"
        )

    moment = write_log(psql, f"pgbench -p {port} -N -n -c 8 -j 2 -t 1000 bench")
    marks = "select string_agg(mark, ',' order by mark) from marks"
    restore = f"holdfast restore {instance} --backup {label} --confirm {instance} --json"
    spool = f"rm -rf {WORK}/spool; install -d -o postgres -g postgres -m 0700 {WORK}/spool"
    fresh = f"rm -rf {TARGET}; install -d -o postgres -g postgres -m 0700 {TARGET}"
    yield (
        "recovery to a time",
        [
            Variant(
                "holdfast restore --time, until the server answers at the target",
                f"{restore} --timeline {timeline} --time {moment.isoformat()}",
                "root",
                [f"rm -rf {data}.before-*"],
                phases("restore", "recovery"),
                check=f'[ "$(runuser -u postgres -- {psql} -c "{marks}")" = early ]',
                more=extras,
            ),
            Variant(
                "pgbackrest restore --type=time and start, by hand, same settings",
                by_hand(TARGET, f"--target-timeline={timeline}", "--type=time", f"--target={moment:%F %T.%f}+00"),
                "postgres",
                [stop(TARGET), fresh, spool],
                check=f'[ "$(psql -h {TARGET} -p {PORT} -U postgres -qAtX -d bench -c "{marks}")" = early ]',
            ),
        ],
    )
    service = place["stops"]
    # Not removed between the runs: it is what the next one restores onto.
    shell(f"install -d -o postgres -g postgres -m 0700 {DAMAGED}")
    answers = "-qAtX -d bench -c 'select count(*) from docs where body is null'"
    yield (
        "delta restore",
        [
            Variant(
                "holdfast restore --delta, until the server answers",
                f"{restore} --delta --consistent",
                "root",
                [],
                phases("restore", "recovery"),
                before=[f"systemctl stop {service}", damage(data)],
                check=f'[ "$(runuser -u postgres -- psql -p {port} {answers})" = 0 ]',
                more=extras,
            ),
            Variant(
                "pgbackrest restore --delta and start, by hand, same settings",
                by_hand(DAMAGED, "--type=immediate", "--delta"),
                "postgres",
                [spool],
                before=[stop(DAMAGED).replace("immediate", "fast"), damage(f"{DAMAGED}/d")],
                check=f'[ "$(psql -h {DAMAGED} -p {PORT} -U postgres {answers})" = 0 ]',
            ),
        ],
    )
    shell(stop(DAMAGED))


def own_configuration(instance: str) -> str:
    """A configuration of pgBackRest with what Holdfast restores with: the same repository, workers and queue."""
    path = f"{WORK}/pgbackrest.conf"
    given = Path(f"/etc/pgbackrest/conf.d/holdfast-{instance}.conf").read_text(encoding="utf-8").splitlines()
    replaced = ("repo2-", "process-max=", "spool-path=", "lock-path=", "archive-async=", "log-level-")
    kept = [line for line in given if not line.startswith(replaced)]
    ours = [
        "archive-async=y",
        "archive-get-queue-max=512MiB",
        f"process-max={os.cpu_count()}",
        f"spool-path={WORK}/spool",
        f"lock-path={WORK}/spool",
        "log-level-console=off",
        "log-level-file=off",
    ]
    shell(f"install -o postgres -g postgres -m 0600 /dev/null {path}")
    Path(path).write_text("\n".join([*kept, *ours, ""]), encoding="utf-8")
    return path


def server_settings(directory: str) -> list[str]:
    """What Holdfast starts its server with."""
    return [
        f"port={PORT}",
        f"unix_socket_directories='{directory}'",
        f"hba_file='{directory}/hba'",
        "listen_addresses=''",
        "archive_mode=off",
        "autovacuum=off",
        "max_connections=200",
        "shared_buffers='512MB'",
        "maintenance_work_mem='128MB'",
        "max_wal_size='8GB'",
        "checkpoint_timeout='30min'",
    ]


def write_log(psql: str, pgbench: str) -> datetime:
    """Have the server write its log, and return a moment near the end of it: between the marks early and late."""
    owner, wanted = "postgres", LOG_BYTES["postgresql"]
    shell(f"{psql} -c 'create table if not exists marks (mark text)' -c 'delete from marks'", owner)
    begin = shell(f"{psql} -c 'select pg_current_wal_lsn()'", owner).strip()
    while True:
        shell(f"PGOPTIONS='-c synchronous_commit=off' {pgbench} >/dev/null 2>&1", owner)
        written = int(float(shell(f"{psql} -c \"select pg_current_wal_lsn() - '{begin}'\"", owner)))
        print(f"{written >> 20} MB of log", file=sys.stderr, flush=True)
        if written >= wanted:
            break
    shell(f"{psql} -c \"insert into marks values ('early')\"", owner)
    time.sleep(2)
    moment = datetime.now(UTC)
    time.sleep(2)
    shell(f"{psql} -c \"insert into marks values ('late')\"", owner)
    last = shell(f"{psql} -c 'select pg_walfile_name(pg_current_wal_lsn())' -c 'select pg_switch_wal()'", owner)
    archived = f"{psql} -c \"select last_archived_wal >= '{last.split()[0]}' from pg_stat_archiver\""
    until(lambda: shell(archived, owner).strip() == "t")
    return moment


def damage(directory: str) -> str:
    """A command that overwrites a block in the middle of one data file in twenty, the large ones among them."""
    script = (
        "import glob, os, sys\n"
        f"files = [(-os.path.getsize(path), path) for path in glob.glob('{directory}/base/*/[0-9]*')]\n"
        f"for size, path in sorted(item for item in files if item[0])[2::{EVERY}]:\n"
        "    with open(path, 'r+b') as stream:\n"
        "        stream.seek(-size // 2)\n"
        "        stream.write(b'damage' * 1000)\n"
    )
    return f"python3 -c {shlex.quote(script)}"


def mariadb(instance: str) -> Iterator[tuple[str, list[Variant]]]:
    """A restore to a time near the end of the binary log."""
    place = plan(instance)
    backup, data = place["backup"], place["data_directory"]
    moment = write_binary_log(instance)
    environment, restic = own_restic(instance)
    snapshots = [
        (item["id"], dict(tag.partition("=")[::2] for tag in item.get("tags") or []))
        for item in json.loads(shell(f". {environment}; {restic} snapshots --json", "mysql"))
    ]
    stream = next(key for key, tags in snapshots if tags.get("kind") == "stream" and tags["id"] == backup["id"])
    window = [(key, tags) for key, tags in snapshots if tags.get("kind") == "log"][-1]
    begin, offset = backup_end(snapshots, backup["id"])
    names = [name for name in re.findall(r"[^;@]+(?=%40|@)", window[1]["files"]) if name >= begin]
    if begin not in names:
        sys.exit(f"the newest snapshot of the log does not begin with {begin}: {window[1]['files']}")
    memory = 512 << 20
    included = " ".join(f"--include /{name}" for name in names)
    logs = " ".join(f"{TARGET}/log/{name}" for name in names)
    local = datetime.fromtimestamp(moment.timestamp()).strftime("%Y-%m-%d %H:%M:%S")
    by_hand = (
        f". {environment}; mkdir {TARGET}/d && {restic} restore {window[0]} --target {TARGET}/log {included} >/dev/null"
        f" && {restic} dump {stream} /{backup['id']}.xb.zst | zstd -q -d -c | mbstream -x -C {TARGET}/d && "
        f"mariadb-backup --prepare --target-dir={TARGET}/d --use-memory={memory} 2>/dev/null && "
        f"(mariadbd --no-defaults --datadir={TARGET}/d --socket={TARGET}/s --pid-file={TARGET}/p --skip-networking "
        f"--skip-log-bin --innodb-buffer-pool-size={memory} --innodb-flush-log-at-trx-commit=2 "
        f"--innodb-log-file-size=$(sed -n 's/^innodb_log_file_size=//p' {TARGET}/d/backup-my.cnf || echo 96M) "
        f"--max-allowed-packet=1G >{TARGET}/log.err 2>&1 & ) && "
        f"until mariadb-admin -S {TARGET}/s ping >/dev/null 2>&1; do sleep 0.1; done && "
        f"mariadb-binlog --verify-binlog-checksum --start-position={offset} --stop-datetime='{local}' {logs}"
        f" | mariadb --binary-mode -S {TARGET}/s --max-allowed-packet=1G"
    )
    stop = f"[ ! -e {TARGET}/p ] || {{ kill $(cat {TARGET}/p); while [ -e {TARGET}/p ]; do sleep 0.1; done; }}"
    marks = "select group_concat(mark order by mark) from bench.marks"
    yield (
        "recovery to a time",
        [
            Variant(
                "holdfast restore --time, until the log is rolled forward to the target",
                f"holdfast restore {instance} --backup {backup['id']} --confirm {instance} --json"
                f" --time {moment.isoformat()}",
                "root",
                [f"rm -rf {data.rstrip('/')}.before-*"],
                phases("fetch", "extract", "prepare", "start", "log"),
                check=f'[ "$(mariadb -N -e "{marks}")" = early ]',
                more=extras,
            ),
            Variant(
                "restic, mbstream, prepare, start and mariadb-binlog, by hand",
                by_hand,
                "mysql",
                [stop, f"rm -rf {TARGET}; install -d -o mysql -g mysql -m 0700 {TARGET}"],
                check=f'[ "$(runuser -u mysql -- mariadb -S {TARGET}/s -N -e "{marks}")" = early ]',
            ),
        ],
    )


def own_restic(instance: str) -> tuple[str, str]:
    """A file with the passphrase, and the command that reads the instance's repository."""
    settings = json.loads(Path(f"/etc/holdfast/instances/{instance}.json").read_text(encoding="utf-8"))
    first = settings["repositories"][0]
    keys = json.loads(Path(f"/etc/holdfast/keys/{instance}.json").read_text(encoding="utf-8"))["repositories"]
    path = f"{WORK}/environment"
    shell(f"install -o mysql -g mysql -m 0600 /dev/null {path}")
    Path(path).write_text(f"export RESTIC_PASSWORD={shlex.quote(keys[first['name']]['passphrase'])}\n", "utf-8")
    return path, f"restic --no-cache -r {first['settings']['path']}/restic/{instance}"


def write_binary_log(instance: str) -> datetime:
    """Have the server write that much log, save it, and return a moment between the marks early and late."""
    shell("mariadb bench -e 'create table if not exists marks (mark varchar(9) primary key); delete from marks'")
    step, written, first, wanted = 20_000, 0, 0, LOG_BYTES["mariadb"]
    listing = "mariadb -N -e 'show binary logs' | awk '{bytes += $2} END {print bytes}'"
    begin = int(shell(listing))
    while written < wanted:
        pad = "md5(rand())"  # of a row that differs each time, so that it goes into the log as a row
        rows = f"id > {first % 1_200_000} and id <= {first % 1_200_000 + step}"
        shell(f"mariadb bench -e 'update t{first // 1_200_000 % 4 + 1} set pad = {pad} where {rows}'")
        first += step
        written = int(shell(listing)) - begin
    print(f"{written >> 20} MB of log", file=sys.stderr, flush=True)
    shell("mariadb bench -e \"insert into marks values ('early')\"")
    time.sleep(3)
    moment = datetime.now(UTC).replace(microsecond=0)
    time.sleep(3)
    shell("mariadb bench -e \"insert into marks values ('late')\"")
    shell(f"holdfast backup {instance} --type log --json")
    return moment


def backup_end(snapshots: list[tuple[str, dict[str, str]]], backup: str) -> tuple[str, str]:
    """The log file and the offset with which the roll-forward of a backup begins."""
    card = next(tags for _, tags in snapshots if tags.get("kind") == "backup" and tags["id"] == backup)
    name, _, offset = card["log_stop"].split(" ")[0].rpartition(":")
    return name, offset


def plan(instance: str) -> dict[str, Any]:
    """What a restore of the newest backup would do."""
    found: dict[str, Any] = json.loads(shell(f"holdfast restore {instance} --plan --confirm {instance} --json"))
    return found


def phases(*names: str) -> Callable[[str], float]:
    """The seconds of those phases of a restore: what the plain tool does as well."""

    def read(output: str) -> float:
        found = json.loads(output)["restore"]["phases"]
        return sum(float(found[name]) for name in names)

    return read


def extras(output: str) -> dict[str, float]:
    """What a restore does beyond that, out of its record."""
    measured = json.loads(output)["restore"]
    whole = "until in service: newest log saved, plan, stop, all of the above, stop in order, swap, start"
    return {"the engine's checker": float(measured["check"]["seconds"]), whole: float(measured["rto_seconds"])}


def until(reached: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something. Exits when it does not come."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            sys.exit("the log was not archived in time")
        time.sleep(0.5)


def main() -> None:
    """Run the rounds and print the result as JSON; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=["postgresql", "mariadb"])
    parser.add_argument("instance")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    os.chmod(WORK, 0o755)
    try:
        jobs = {"postgresql": postgresql, "mariadb": mariadb}[args.engine](args.instance)
        found = {job: in_turn(job, variants, args.rounds) for job, variants in jobs}
    finally:
        for leftover in glob.glob(f"{WORK}/*"):
            shutil.rmtree(leftover) if os.path.isdir(leftover) else os.unlink(leftover)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
