"""``python -m tests.bench.access_compare DIRECTORY``: what others find on the servers that the tests of the audit make.

DIRECTORY is a checkout of pgdsat. On the hosts of a lab that playbooks/site.yml has set up; check_postgres is installed
there from Debian's packages. Prints JSON; docs/access_audit_comparison.md says what it means.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.access_audit.mariadb import SECRET, Second, flawed
from tests.integration.access_audit.plant_postgresql import PLACE, Cluster, cluster, plant, send
from tests.integration.fleet import INVENTORY, LAB, ROOT, Fleet, connect

POSTGRESQL = {"pg1": "15", "pg2": "17"}
MARIADB = ("shop", "crm")
SOCKETS = "/var/run/postgresql"
RESULT = re.compile(r"^(\d[\d.]*) - .*?(?: => (SUCCESS|FAILURE)|\(Manual\))$", re.MULTILINE)
ACTIONS = (
    *("archive_ready", "autovac_freeze", "backends", "bloat", "commitratio", "connection", "database_size"),
    *("disabled_triggers", "hitratio", "index_size", "last_analyze", "last_vacuum", "locks", "prepared_txns"),
    *("query_time", "replication_slots", "sequence", "settings_checksum", "table_size", "timesync", "txn_idle"),
    *("txn_time", "txn_wraparound", "wal_files"),
)
# Those that will not begin without a limit get one that a server of a test keeps to.
OPTIONS = {
    **dict.fromkeys(("database_size", "index_size", "table_size", "replication_slots"), "--critical=1TB"),
    **dict.fromkeys(("query_time", "txn_idle", "txn_time"), "--critical=1h"),
    "settings_checksum": "--critical=0",
    "txn_wraparound": "--critical=1900000000",
}


def main(directory: str) -> None:
    """Ask everybody and print what they said."""
    fleet = connect()
    said: dict[str, Any] = {}
    for hostname, version in POSTGRESQL.items():
        fleet.hosts[hostname].check_output(
            "apt-get update -q && apt-get install -qy --no-install-recommends check-postgres"
        )
        _ship(hostname, directory)
        for name, port in (("vanilla", 5501), ("planted", 5502)):
            with cluster(fleet.hosts[hostname], hostname, version, name, port) as made:
                if name == "planted":
                    plant(made)
                said[f"PostgreSQL {version} {name}"] = _postgresql(made)
    said.update(_mariadb(fleet))
    print(json.dumps(said, indent=2))


def _ship(hostname: str, directory: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("pgdsat", "lib"):
            archive.add(Path(directory) / name, name)
    place = f"{PLACE}/pgdsat"
    send(hostname, f"sudo mkdir -p {place} && sudo tar -xzC {place} && sudo chmod -R a+rX {PLACE}", packed.getvalue())


def _postgresql(made: Cluster) -> dict[str, Any]:
    checks = made.checks()
    return {
        "holdfast": {name: len(item["findings"]) for name, item in checks.items() if item["status"] == "found"},
        "holdfast, not applicable": [name for name, item in checks.items() if item["status"] == "not applicable"],
        "pgdsat": _pgdsat(made),
        "check_postgres": {action: _check_postgres(made, action) for action in ACTIONS},
        "community.postgresql": _told(
            made.hostname,
            "postgres",
            "community.postgresql.postgresql_info",
            f"login_unix_socket={SOCKETS} login_port={made.port} login_db=postgres",
            ("Planted-secret", r"SCRAM-SHA-256\$"),
        ),
        # Last, as it changes what the others find.
        "statements of pgdsat that change something": _changes(made),
    }


def _pgdsat(made: Cluster) -> dict[str, list[str]]:
    line = (
        f"sudo -u postgres perl -I {PLACE}/pgdsat/lib {PLACE}/pgdsat/pgdsat -U postgres -h {SOCKETS} -p {made.port}"
        f" -d postgres -D {made.data} -V $(psql --version | grep -o '{made.version}[.0-9]*' | head -1) -f text"
        " --no-pg-version-check"
    )
    summary = made.run(f"cd /var/tmp; {line} 2>/dev/null").partition("# Detailled")[0]
    found: dict[str, list[str]] = {"failure": [], "success": [], "to be looked at by a person": []}
    for number, result in RESULT.findall(summary):
        found[result.lower() or "to be looked at by a person"].append(number)
    return found


def _check_postgres(made: Cluster, action: str) -> str:
    options = OPTIONS.get(action, "")
    command = f"check_postgres --action={action} -H {SOCKETS} -p {made.port} --dbuser=postgres {options}"
    done = made.host.run(f"cd /var/tmp; sudo -u postgres {command}")
    match = re.search(r"\b(OK|WARNING|CRITICAL|UNKNOWN|ERROR)\b", done.stdout + done.stderr)
    return match[1] if match else f"exit {done.rc}"


def _told(hostname: str, user: str, module: str, arguments: str, secrets: tuple[str, ...]) -> Mapping[str, Any]:
    """What a module tells, by its topics: how many entries of each, and whether secrets are among them."""
    command = ["ansible", "-i", str(INVENTORY), hostname, "-b", "--become-user", user, "-m", module, "-a", arguments]
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOLDFAST_LAB": LAB, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
    )
    match = re.search(r"=> (\{.*\})", done.stdout, re.DOTALL)
    told = json.loads(match[1]) if match else {"msg": done.stdout + done.stderr}
    if "msg" in told:
        return {"failed": told["msg"][:300]}
    topics = {name: len(value) for name, value in told.items() if isinstance(value, (dict, list)) and value}
    return {
        "topics": topics,
        "secrets that are in its answer": [item for item in secrets if re.search(item, done.stdout)],
    }


def _changes(made: Cluster) -> list[str]:
    made.sql("ALTER SYSTEM SET log_statement = 'ddl'")
    made.sql("SELECT pg_reload_conf()")
    begun = int(made.run(f"wc -l < {made.log}"))
    _pgdsat(made)
    lines = made.run(f"tail -n +{begun + 1} {made.log}").splitlines()
    return [match[1] for line in lines if (match := re.search(r"statement:\s+((?:CREATE|DROP)[\w ]*?pgdsat\w*)", line))]


def _mariadb(fleet: Fleet) -> dict[str, Any]:
    said = {}
    for number, name in enumerate(MARIADB):
        for kind in ("vanilla", "flawed"):
            server, port = Second(fleet[name], f"compare-{kind}"), 33080 + number
            try:
                if kind == "flawed":
                    flawed(server, port)
                else:
                    server.start(port)
                answer = server.ask("findings")
                said[f"MariaDB of {name}, {kind}"] = {
                    "holdfast": {id_: len(rows) for id_, rows in answer.items() if rows and not isinstance(rows, str)},
                    "community.mysql": _mysql_info(fleet[name].hostname, server, ""),
                    "community.mysql without users_info": _mysql_info(fleet[name].hostname, server, "!users_info"),
                }
            finally:
                server.stop()
    return said


def _mysql_info(hostname: str, server: Second, chosen: str) -> Mapping[str, Any]:
    arguments = f"login_unix_socket={server.place}/mysqld.sock login_user=root" + (
        f" filter={chosen}" if chosen else ""
    )
    return _told(hostname, "root", "community.mysql.mysql_info", arguments, (SECRET, r"\*[0-9A-F]{40}"))


if __name__ == "__main__":
    main(sys.argv[1])
