"""Loading a logical backup of PostgreSQL into a scratch cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from .. import process
from ..engines._postgresql_programs import program
from ..engines._postgresql_scratch import PostgreSQLScratch
from ..engines.postgresql import PostgreSQL
from ..errors import CorruptBackup, HoldfastError, RepositoryFull

_TABLESPACE = re.compile(r"^(CREATE TABLESPACE .+ LOCATION )'(?:[^']|'')*';$")
_IGNORED = re.compile(r"errors ignored on restore: [1-9]")
# They exist in every new cluster, so they are filled and not created.
_PRESENT = frozenset({"postgres", "template1"})


def adapted_globals(text: str, superuser: str, tablespaces: str) -> tuple[str, list[str]]:
    """Roles and tablespaces for a scratch cluster, and the directories that the tablespaces need.

    The role that made the cluster exists already. Tablespaces get a directory of their own, because those in the dump
    are the live server's.
    """
    present = {f"CREATE ROLE {superuser};", f'CREATE ROLE "{superuser}";'}
    directories: list[str] = []
    lines = []
    for line in text.splitlines():
        match = _TABLESPACE.match(line)
        if match:
            directory = os.path.join(tablespaces, str(len(directories) + 1))
            directories.append(directory)
            lines.append(f"{match[1]}'{directory}';")
        elif line not in present:
            lines.append(line)
    return "\n".join(lines) + "\n", directories


def make_cluster(scratch: PostgreSQLScratch, superuser: str, version: str) -> PostgreSQL:
    """A new, empty cluster in the scratch directory, started."""
    os.mkdir(scratch.tablespace_directory, 0o700)
    argv = [program("initdb", version), f"--pgdata={scratch.data_directory}", f"--username={superuser}"]
    argv += ["--auth=trust", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    _check(process.run(argv), "initdb", scratch.directory)
    return scratch.start()


def load(
    scratch: PostgreSQLScratch, engine: PostgreSQL, version: str, dump: str, databases: Sequence[Mapping[str, str]]
) -> None:
    """Load globals, then every database. Raises CorruptBackup when anything at all of it fails."""
    with open(os.path.join(dump, "globals.sql"), encoding="utf-8") as stream:
        text, directories = adapted_globals(stream.read(), engine.instance.os_user, scratch.tablespace_directory)
    for directory in directories:
        os.mkdir(directory, 0o700)
    adapted = os.path.join(scratch.directory, "globals.sql")
    with open(os.open(adapted, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    reach = [f"--host={engine.socket_directory}", f"--port={engine.instance.port}", "--no-password"]
    reach.append(f"--username={engine.instance.os_user}")
    psql = [program("psql", version), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=postgres"]
    _check(process.run([*psql, *reach, f"--file={adapted}"]), "loading roles and tablespaces", scratch.directory)
    for database in databases:
        argv = [program("pg_restore", version), *reach, f"--jobs={os.cpu_count() or 1}", "--exit-on-error"]
        argv += ["--no-subscriptions"]  # a copy must not connect to publishers
        if database["name"] in _PRESENT:
            argv += [f"--dbname={database['name']}"]
        else:
            argv += ["--create", "--dbname=postgres"]
        result = process.run([*argv, os.path.join(dump, database["directory"])])
        _check(result, f"loading database {database['name']}", scratch.directory)


def _check(result: process.Result, what: str, where: str) -> None:
    if result.returncode == 0 and not _IGNORED.search(result.stderr):
        return
    raise failure(what, result.stderr, where)


def failure(what: str, stderr: str, where: str) -> HoldfastError:
    """The error of a failed step of a restore."""
    said = process.last_words(stderr)
    if "No space left on device" in stderr:
        return RepositoryFull(f"{what} failed: {said}", where=where, remedy="Free space there")
    return CorruptBackup(f"{what} failed: {said}", where=where, remedy="Test an older backup, and take a new one")
