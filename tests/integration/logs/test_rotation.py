"""Logs rotate while their servers write, by one owner each, and a second run changes nothing."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from tests.integration.fleet import Database, Fleet, together, until
from tests.integration.logs.run import changed, found, logs, logs_of, statuses, told
from tests.integration.staging import server_stopped

OURS = "/etc/logrotate.d/holdfast-servers"
ROTATE = f"logrotate --force --state /run/logrotate-test {OURS}"


def live(database: Database) -> str:
    """The file that the server writes to, and that logrotate rotates."""
    if database.is_postgresql:
        return database.run(
            "readlink /proc/$(head -1 %s/postmaster.pid)/fd/2", database.sql("SHOW data_directory")
        ).strip()
    return f"{database.sql('SELECT @@datadir')}{database.sql('SELECT @@slow_query_log_file')}"


def say(database: Database, word: str) -> None:
    """Have the server write a line with a word in it."""
    if database.is_postgresql:
        database.host.run("sudo -u postgres psql -XAtq -p %s -c %s", str(database.port), f"SELECT '{word}' / 2")
    else:
        database.sql(f"SET SESSION long_query_time = 0; SELECT '{word}'")


def test_the_distribution_is_taken_over_and_a_second_run_changes_nothing(fleet: Fleet) -> None:
    before = logs("--check", "--diff")
    assert "holdfast.disabled" in before
    assert not fleet["shop"].host.file(OURS).exists, "check mode changes nothing"
    logs()
    for database in (fleet["orders"], fleet["analytics"]):
        assert not database.host.file("/etc/logrotate.d/postgresql-common").exists
        assert database.host.file("/etc/logrotate.d/postgresql-common.holdfast.disabled").exists
    assert fleet["shop"].host.file("/etc/logrotate.d/mariadb").exists, "it names no log that this server writes"
    for database in fleet.values():
        said = database.host.run("logrotate --debug --state /dev/null /etc/logrotate.conf").stderr
        assert "error:" not in said, said
        assert statuses(told()[database.name])["LG07"] == "passed", found(told()[database.name], "LG07")
        assert statuses(told()[database.name])["LG08"] == "passed", found(told()[database.name], "LG08")
    assert set(changed(logs()).values()) == {0}


def test_a_log_that_the_package_of_mariadb_rotates_is_taken_over_and_given_back(fleet: Fleet) -> None:
    databases = fleet["shop"], fleet["crm"]
    before = {database.name: database.sql("SELECT @@slow_query_log_file") for database in databases}
    brought = "/etc/logrotate.d/mariadb"
    for database in databases:
        database.run("install -d -o mysql -g adm -m 2750 /var/log/mysql")
        database.sql("SET GLOBAL slow_query_log_file = '/var/log/mysql/slow.log'")
    try:
        logs_of(*databases)
        for database in databases:
            assert not database.host.file(brought).exists
            assert '"/var/lib/mysql/mysqld.log"' in database.run("cat %s", OURS), "the others that it named stay"
        logs_of(*databases, db_logs={"take_over": False})
        for database in databases:
            assert database.host.file(brought).exists
            assert "/var/log/mysql/slow.log" not in database.run("cat %s", OURS)
    finally:
        for database in databases:
            database.sql(f"SET GLOBAL slow_query_log_file = '{before[database.name]}'")
        logs_of(*databases)


def test_nothing_is_lost_and_the_servers_go_on_in_the_new_file(fleet: Fleet) -> None:
    unprepared = [database for database in fleet.values() if not database.host.file(OURS).exists]
    if unprepared:
        logs_of(*unprepared)
    by_host: dict[str, list[Database]] = {}
    for database in fleet.values():
        by_host.setdefault(database.hostname, []).append(database)
    together(lambda databases: [_rotate_while_it_writes(database) for database in databases], *by_host.values())


def _rotate_while_it_writes(database: Database) -> None:
    if not database.is_postgresql:
        database.sql("SET GLOBAL slow_query_log = ON")
    path, name = live(database), database.name
    words: list[str] = []
    meanwhile: set[str] = set()  # what was written while logrotate worked
    rotated = Event()

    def write() -> None:
        while not rotated.is_set():
            words.append(f"line{len(words)}of{name}")
            say(database, words[-1])

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(3):
                # An empty file is not rotated.
                database.run(f"timeout 30 sh -c 'until [ -s {path} ]; do sleep 0.1; done'")
                begin = len(words)
                until(lambda begin=begin: len(words) > begin + 1)
                begin = len(words)
                database.run(ROTATE)
                # The last one of before may have been on its way.
                meanwhile.update(words[begin - 1 :])
        finally:
            rotated.set()
        writing.result()
    say(database, f"last of {name}")
    assert database.run("cat %s", path).count(f"last of {name}")
    written = database.run(f"for f in {path}*; do zcat -f $f; done")
    lost = {word for word in words if not re.search(rf"\b{word}\b", written)}
    # PostgreSQL's file is copied and emptied, and loses what comes between the two; one that is renamed loses nothing.
    assert lost <= (meanwhile if database.is_postgresql else set())
    compressed = database.run(f"ls {path}*")
    assert ".gz" in compressed
    if not database.is_postgresql:
        database.sql("SET GLOBAL slow_query_log = OFF")


def test_the_engines_own_rotation_gives_way_to_logrotate(analytics: Database) -> None:
    """PostgreSQL's collector, which Debian's clusters do not use by themselves."""
    analytics.sql("ALTER SYSTEM SET logging_collector = on")
    try:
        with server_stopped(analytics):
            pass
        logs("--limit", "pg2,localhost", "-e", '{"db_logs": {"take_over": false}}')
        entry = told()["analytics"]
        assert any("engine" in item["by"] for item in entry["logs"])
        logs("--limit", "pg2,localhost")
        assert analytics.sql("SHOW log_rotation_age") == "0"
        path = f"{analytics.sql('SHOW data_directory')}/log/postgresql-holdfast.log"
        until(lambda: analytics.host.file(path).exists)
        say(analytics, "before")
        inode = analytics.run("stat -c %%i %s", path)
        analytics.run(ROTATE)
        until(lambda: analytics.host.file(path).exists and analytics.run("stat -c %%i %s", path) != inode)
        say(analytics, "after")
        until(lambda: "after" in analytics.run("cat %s", path))
        assert "before" in analytics.run("cat %s.1", path)
        assert set(changed(logs("--limit", "pg2,localhost")).values()) == {0}
    finally:
        for name in ("logging_collector", "log_rotation_age", "log_rotation_size", "log_filename"):
            analytics.sql(f"ALTER SYSTEM RESET {name}")
        with server_stopped(analytics):
            pass


def test_a_configuration_that_is_refused_is_taken_back(shop: Database) -> None:
    """An administrator's file names the slow log; that logrotate would refuse both is found before."""
    path = live(shop)
    shop.run(f"printf '{path} {{\\n weekly\\n}}\\n' > /etc/logrotate.d/mine")
    try:
        logs("--limit", "maria1,localhost")
        assert path not in shop.run("cat %s", OURS)
        assert any("mine" in item["by"] for item in told()["shop"]["logs"] if item["path"] == path)
    finally:
        shop.run("rm /etc/logrotate.d/mine")
        logs("--limit", "maria1,localhost")
    assert path in shop.run("cat %s", OURS)


def test_wrong_settings_are_told_at_once_and_nothing_is_touched(shop: Database) -> None:
    before = shop.run("cat %s", OURS)
    wrong = {"db_logs": {"rotation": {"server": {"size": "big"}}, "outage": "long", "wal": 1}}
    output = " ".join(logs("--limit", "maria1", code=2, **wrong).split())
    for key in ("db_logs.rotation.server.size", "db_logs.outage", "db_logs.wal"):
        assert key in output
    assert shop.run("cat %s", OURS) == before
