"""Runs on a database host as the instance's owner: loads a dump into a scratch server by the runner's own code.

Prints for every database, and for the accounts, how many lines a plain dump of the live and of the scratch server
has, and the first that differ. Arguments: instance and backup id.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

sys.path.insert(0, "/opt/holdfast/holdfast.pyz")

from holdfast import config  # type: ignore[import-not-found]
from holdfast.adapters import Adapters  # type: ignore[import-not-found]
from holdfast.engines._postgresql_programs import program  # type: ignore[import-not-found]
from holdfast.model import RestoreTarget  # type: ignore[import-not-found]

POSTGRESQL_ACCOUNTS = """
    SELECT to_jsonb(r) - 'oid', (SELECT array_agg(g.rolname ORDER BY 1) FROM pg_auth_members m
      JOIN pg_authid g ON g.oid = m.roleid WHERE m.member = r.oid)
      FROM pg_authid r WHERE rolname !~ '^pg_' ORDER BY rolname
"""
MARIADB_ACCOUNTS = """
    SELECT user, host, json_value(priv, '$.plugin'), json_value(priv, '$.authentication_string'),
           json_value(priv, '$.is_role') FROM mysql.global_priv ORDER BY 1, 2;
    SELECT user, host, db, select_priv, delete_priv, execute_priv FROM mysql.db ORDER BY 1, 2, 3;
    SELECT * FROM mysql.roles_mapping ORDER BY 1, 2, 3;
"""


def lines(argv: list[str]) -> list[str]:
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    # A dump of PostgreSQL begins and ends with a random word.
    return [
        line for line in done.stdout.decode("utf-8", "surrogateescape").splitlines() if "restrict " not in line[:12]
    ]


def postgresql(engine, name: str) -> list[str]:
    reach = ["-h", engine.socket_directory, "-p", str(engine.instance.port), "-U", engine.instance.os_user]
    version = engine.inspect().version
    if name == "accounts":
        return lines([program("psql", version), *reach, "-XAtc", POSTGRESQL_ACCOUNTS, "postgres"])
    return lines([program("pg_dump", version), *reach, name])


def mariadb(engine, name: str) -> list[str]:
    reach = [f"--socket={engine.socket}", f"--user={engine.instance.os_user}"]
    if name == "accounts":
        return lines(["mariadb", *reach, "--batch", "--skip-column-names", "--execute", MARIADB_ACCOUNTS])
    everything = ["--routines", "--events", "--triggers", "--hex-blob", "--single-transaction", "--skip-comments"]
    return lines(["mariadb-dump", *reach, *everything, "--order-by-primary", "--skip-extended-insert", name])


name, wanted = sys.argv[1:]
instance = config.load(name)
contents = {"postgresql": postgresql, "mariadb": mariadb}[instance.engine]
with Adapters(instance) as adapters:
    repository = instance.primary_repository
    backup = next(item for item in adapters.logical.backups(repository) if item.id == wanted)
    root = os.path.join(instance.state_directory, "scratch")
    os.makedirs(root, mode=0o700, exist_ok=True)
    scratch = adapters.engine.scratch(os.path.join(root, "reloaded"), expected_size=backup.size_bytes or 0)
    found = {}
    try:
        restored = adapters.logical.restore(backup, repository, RestoreTarget(), scratch)
        for part in (*adapters.engine.inspect().databases, "accounts"):
            live, loaded = contents(adapters.engine, part), contents(restored.engine, part)
            pairs = itertools.zip_longest(live, loaded)
            differing = [pair for pair in pairs if pair[0] != pair[1]][:3]
            found[part] = {"live": len(live), "loaded": len(loaded), "differing": differing}
        restored.engine.close()
    finally:
        scratch.destroy()
print(json.dumps(found))
