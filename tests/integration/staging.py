"""Bad luck, staged on a host and undone again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.integration.fleet import Database, until


def assert_failed(database: Database, record: dict[str, Any], code: str, *mentions: str) -> None:
    """The record says in one message what, where and what to do; it is kept; it holds no secret."""
    assert record["result"] == "failed", record
    error = record["error"]
    assert error["code"] == code, error
    assert error["what"], error
    assert error["where"], error
    assert record["instance"] == database.name
    assert error["remedy"], error
    text = f"{error['what']} {error['where']} {error['remedy']}"
    for mention in mentions:
        assert mention in text, text
    assert "Traceback" not in text
    assert len(text) < 1200, f"not one clear message: {text}"
    kept = {item["id"]: item for item in database.records()}
    assert record["id"] in kept, "the run left no record"
    assert kept[record["id"]]["error"] == error
    assert kept[record["id"]]["exit_code"] != 0
    written = json.dumps(record)
    for secret in secrets_of(database):
        assert secret not in written


def secrets_of(database: Database) -> list[str]:
    """Every secret of the instance."""
    return [value for secrets in database.secrets.values() for name, value in secrets.items() if name != "key_id"]


@contextmanager
def unharmed(database: Database, type_: str = "incremental") -> Iterator[set[str]]:
    """After the block, in which a backup fails, the next run works, and nothing half-written is listed."""
    before = database.ids()
    yield before
    record = database.backup(type_)
    assert record["result"] == "ok"
    assert database.ids() == before | {record["backup"]["id"]}, "a backup that failed is listed as if it were good"


@contextmanager
def server_stopped(database: Database) -> Iterator[None]:
    """The database server is down."""
    database.run("systemctl stop %s", database.unit)
    try:
        yield
    finally:
        database.run("systemctl start %s", database.unit)
        until(database.answers)


@contextmanager
def login_denied(database: Database) -> Iterator[None]:
    """The server refuses the operating system user that jobs run as."""
    if database.is_postgresql:
        login = f"psql -XAtqc 'SELECT 1' -p {database.port} postgres"
        path = database.sql("SHOW hba_file")
        deny = f"cp -p {path} {path}.kept && sed -i '1i local all all reject' {path}"
        undo = f"mv {path}.kept {path} && systemctl reload {database.unit}"
        deny = f"{deny} && systemctl reload {database.unit}"
    else:
        login = "mariadb -e 'SELECT 1'"
        alter = "ALTER USER mysql@localhost IDENTIFIED VIA mysql_native_password USING 'invalid'"
        deny = f'mariadb -e "{alter}"'
        undo = f'mariadb -e "{alter} OR unix_socket"'
    database.run(deny)
    try:
        until(lambda: database.host.run(f"sudo -u {database.owner} {login}").rc != 0)
        yield
    finally:
        database.run(undo)
        until(lambda: database.host.run(f"sudo -u {database.owner} {login}").rc == 0)


@contextmanager
def key_missing(database: Database) -> Iterator[None]:
    """The file with the secrets is gone."""
    database.run("mv %s %s.kept", database.keys, database.keys)
    try:
        yield
    finally:
        database.run("mv %s.kept %s", database.keys, database.keys)


@contextmanager
def key_changed(database: Database, repository: str, name: str = "passphrase") -> Iterator[None]:
    """A secret of a repository is another one than it was."""
    edit = (
        "import json, sys; path, repository, name = sys.argv[1:]; keys = json.load(open(path));"
        " keys['repositories'][repository][name] = 'not-the-one-that-it-was'; json.dump(keys, open(path, 'w'))"
    )
    database.run(
        "cp -p %s %s.kept && python3 -c %s %s %s %s", *[database.keys] * 2, edit, database.keys, repository, name
    )
    try:
        yield
    finally:
        database.run("mv %s.kept %s", database.keys, database.keys)


@contextmanager
def edited(database: Database, change: Callable[[dict[str, Any]], object]) -> Iterator[None]:
    """The instance's configuration is another one, as another inventory would make it."""
    path = f"/etc/holdfast/instances/{database.name}.json"
    before = database.run("cat %s", path)
    config = json.loads(before)
    change(config)
    database.run("echo %s > %s", json.dumps(config), path)
    try:
        yield
    finally:
        database.run("printf %%s %s > %s", before, path)


def option(database: Database, name: str, value: str) -> AbstractContextManager[None]:
    """An option of the instance is set."""
    return edited(database, lambda config: config["options"].update({name: value}))


def service_level(
    database: Database, *, keep: dict[str, Any] | None = None, **changes: str
) -> AbstractContextManager[None]:
    """The objectives or the retention of the instance are others."""

    def change(config: dict[str, Any]) -> None:
        config["service_level"].update(changes)
        config["service_level"]["keep"].update(keep or {})

    return edited(database, change)


def payload(database: Database, backup: str) -> str:
    """The largest stored file that only this backup, which must be the newest, is made of."""
    if database.is_postgresql:
        search = f"{database.local}/backup/{database.name}/{backup} -type f ! -name 'backup.manifest*'"
    else:
        # A backup is two snapshots, its stream and a note on it: the third newest is older than both.
        search = f"{database.local}/data -type f -newer $(ls -td {database.local}/snapshots/* | sed -n 3p)"
    return database.run(f"find {search} -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2-").strip()


@contextmanager
def rotten(database: Database, path: str) -> Iterator[None]:
    """One byte in the middle of a file is another one, as storage fails silently."""
    flip = (
        "import os, sys; path = sys.argv[1]; was = os.stat(path); os.chmod(path, 0o600); stream = open(path, 'r+b');"
        " middle = was.st_size // 2; stream.seek(middle); byte = stream.read(1)[0] ^ 255; stream.seek(middle);"
        " stream.write(bytes([byte])); stream.close(); os.utime(path, (was.st_atime, was.st_mtime));"
        " os.chmod(path, was.st_mode & 0o7777)"
    )
    database.run("python3 -c %s %s", flip, path)
    try:
        yield
    finally:
        database.run("python3 -c %s %s", flip, path)


def restic(database: Database, arguments: str) -> str:
    """Run restic on the instance's first repository, as anybody with the key can without Holdfast."""
    key = "import json, sys; print(json.load(open(sys.argv[1]))['repositories']['local']['passphrase'])"
    return database.run(
        f"RESTIC_PASSWORD=$(python3 -c %s %s) restic --no-cache --no-lock --repo %s {arguments}",
        key,
        database.keys,
        database.local,
    )


@contextmanager
def slow_repository(database: Database, seconds: int) -> Iterator[None]:
    """Nothing of what a job reads or writes comes or goes before so many seconds, on a host however fast."""
    program = "pgbackrest" if database.is_postgresql else "restic"
    path = f"/usr/local/sbin/{program}"
    script = f'#!/bin/sh\nsleep {seconds}\nexec /usr/bin/{program} "$@"\n'
    database.run("printf %%s %s >%s && chmod 755 %s", script, path, path)
    try:
        yield
    finally:
        database.run("rm %s", path)


@contextmanager
def small_repository(database: Database, spare: str = "1M") -> Iterator[None]:
    """The first repository is on a file system with almost no space left.

    A stand-in for a full disk: memory mounted over the directory, with everything in it that was there before. What is
    written meanwhile is kept, so that the log has no hole afterwards.
    """
    place, aside = database.local, f"/run/holdfast-test-{database.name}"
    used = int(database.run("du -sm --apparent-size %s", place).split()[0])
    database.run("mkdir -p %s", aside)
    database.run("mount -t tmpfs -o size=%sM,mode=0755 tmpfs %s", str(used + 40), aside)
    try:
        database.run("cp -a %s/. %s/ && chown --reference=%s %s", place, aside, place, aside)
        database.run("mount --bind %s %s", aside, place)
        database.run(
            "free=$(df --output=avail -B1 %s | tail -1); spare=$(numfmt --from=iec %s);"
            " head -c $((free - spare)) /dev/zero > %s/.filler",
            aside,
            spare,
            aside,
        )
        yield
    finally:
        database.run("rm -f %s/.filler; umount %s; cp -au %s/. %s/; umount %s", aside, place, aside, place, aside)


@contextmanager
def foreign_repository(database: Database) -> Iterator[None]:
    """In the place of the first repository is one of the same name and key that holds another server's backups."""
    place = f"/var/lib/holdfast/stranger-{database.name}"
    reading = f"import json; print(json.load(open('{database.keys}'))['repositories']['local']['passphrase'])"
    key = f'$(python3 -c "{reading}")'
    owner = f"runuser -u {database.owner} --"
    database.run(f"install -d -o {database.owner} -m 750 {place} {place}/repository")
    if database.is_postgresql:
        initdb = "$(ls -d /usr/lib/postgresql/*/bin)/initdb"
        make = (
            f"{owner} {initdb} --no-sync -D {place}/data >/dev/null && PGBACKREST_REPO1_CIPHER_PASS={key} {owner}"
            f" pgbackrest --config=/dev/null --stanza={database.name} --pg1-path={place}/data --no-online"
            f" --repo1-path={place}/repository --repo1-cipher-type=aes-256-cbc --lock-path={place}/lock"
            " --log-level-file=off stanza-create"
        )
    else:
        restic_ = f"RESTIC_PASSWORD={key} {owner} restic --no-cache --quiet --repo {place}/repository"
        make = f"{restic_} init && {restic_} backup --tag instance=stranger /etc/hostname"
    try:
        database.run(make)
        database.run("mount --bind %s/repository %s", place, database.local)
        try:
            yield
        finally:
            database.run("umount %s", database.local)
    finally:
        database.run("rm -r %s", place)


@contextmanager
def no_binary_log(database: Database) -> Iterator[None]:
    """The server writes none, whatever was configured before."""
    path = "/etc/mysql/mariadb.conf.d/zz-test.cnf"
    database.run("printf '[mariadbd]\\nskip_log_bin\\n' > %s && systemctl restart %s", path, database.unit)
    try:
        yield
    finally:
        database.run("rm %s && systemctl restart %s", path, database.unit)
