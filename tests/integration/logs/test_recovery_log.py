"""The log for recovery: what is wrong with it is found, what goes is needed by nobody, and a full disk gets room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.integration.fleet import Database, Fleet, playbook, together, until
from tests.integration.logs.run import failed, found, logs, logs_of, statuses, told
from tests.integration.staging import no_binary_log

SLOT = "gone"


def binary_logs(database: Database) -> list[str]:
    return [line.split("\t")[0] for line in database.sql("SHOW BINARY LOGS").splitlines()]


def purge(name: str, *args: str, code: int = 0, **extra: str) -> str:
    return " ".join(logs(*args, code=code, purge=True, instances=name, **extra).split())


def emergency(hosts: str, *args: str, code: int = 0, **extra: str) -> str:
    output = playbook("disk_emergency", "--limit", hosts, *args, extra=extra, code=code)
    return " ".join(output.split())


def fill(database: Database) -> None:
    database.sql("CREATE OR REPLACE TABLE holdfast.ballast AS SELECT seq, repeat('x', 1000) t FROM seq_1_to_5000")
    database.sql("FLUSH BINARY LOGS")


def test_what_the_engine_does_not_have_is_not_applicable_with_the_reason(fleet: Fleet) -> None:
    logs()
    for name in fleet:
        entry = told()[name]
        assert "error" not in statuses(entry).values(), entry["checks"]
        reasons = {check["id"]: check["reason"] for check in entry["checks"] if check["status"] == "not_applicable"}
        assert all(reasons.values())
        assert ("LG02" in reasons) is (fleet[name].is_postgresql or fleet[name].sql("SELECT @@log_bin") == "0")
        assert ("LG03" in reasons) is not fleet[name].is_postgresql
        assert entry["space"]["disk_free"] > 0


def test_binary_logs_go_when_a_verified_backup_holds_them_and_not_before(shop: Database) -> None:
    # On a new host it is the first: what ended before it is in no repository, and off the site is no backup yet.
    shop.backup("log")
    fill(shop)
    fill(shop)
    shop.backup("log")
    before = binary_logs(shop)
    assert "stays: " in purge("shop", "--check", "--diff")
    assert binary_logs(shop) == before

    shop.backup("full")
    unproven = purge("shop", "--check", "--diff")
    assert f"- {before[-2]}" not in unproven, "the backup is not verified"
    shop.host.run("holdfast verify shop --json")
    shop.backup("log")
    assert "does not confirm a purge" in purge("shop", code=2)
    assert set(before) <= set(binary_logs(shop))

    told_ = purge("shop", confirm="shop")
    assert before[0] in told_
    left = binary_logs(shop)
    assert before[0] not in left
    record = shop.records("log_change")[-1]
    assert (record["result"], record["logs"]["action"]) == ("ok", "purge")
    assert record["logs"]["freed_bytes"] > 0
    assert set(record["logs"]["files"]).isdisjoint(left)
    assert shop.backup("log")["result"] == "ok", "the chain of saved log goes on"
    assert shop.status()["rpo"]["failing"] is None
    assert "nothing can go" in purge("shop", confirm="shop") or binary_logs(shop) == left


def test_log_that_a_repository_lacks_stays(shop: Database) -> None:
    """The log job does not run, so what is written now is in no repository, whatever backup is verified."""
    fill(shop)
    newest = binary_logs(shop)[-2]
    shop.backup("full")
    shop.host.run("holdfast verify shop --json")
    output = purge("shop", confirm="shop")
    assert f"stays: {newest}: it is not in repository" in output
    assert newest in binary_logs(shop)
    shop.backup("log")


def test_all_that_may_go_goes_and_no_log_that_recovery_needs(shop: Database) -> None:
    """More is asked for than can be had."""
    fill(shop)
    unsaved = binary_logs(shop)[-2]
    shop.backup("full")
    shop.host.run("holdfast verify shop --json")
    output = emergency("maria1", code=2, confirm="maria1", free="99%")
    assert "all that may go has gone" in output
    assert unsaved in binary_logs(shop), "it is in no repository yet"
    assert shop.answers()
    assert shop.backup("log")["result"] == "ok"
    record = next(item for item in reversed(shop.records("log_change")) if item["logs"]["action"] == "emergency")
    assert (record["result"], record["logs"]["reached"]) == ("failed", False)
    assert shop.holdfast("restore-test")["result"] == "ok"


def test_an_unknown_reader_of_the_log_is_a_refusal(shop: Database) -> None:
    """A connection that reads the binary log as a replica would, and that the inventory does not know."""
    reader = (
        "mariadb-binlog --read-from-remote-server --stop-never --socket=/run/mysqld/mysqld.sock --raw -r /tmp/reader-"
    )
    shop.run(f"cd /tmp && (setsid {reader} {binary_logs(shop)[0]} >/dev/null 2>&1 & echo $! >/tmp/reader.pid)")
    try:
        until(lambda: shop.sql("SELECT 1 FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"))
        before = binary_logs(shop)
        output = purge("shop", code=2, confirm="shop")
        assert "1 replicas read the binary log and the inventory knows 0" in output
        assert binary_logs(shop) == before
    finally:
        shop.run("kill $(cat /tmp/reader.pid); rm -f /tmp/reader*", code=None)


def test_an_instance_without_a_binary_log_is_told(fleet: Fleet) -> None:
    with no_binary_log(fleet["crm"]):
        assert "is not applicable: log_bin is off" in purge("crm", "--check")


@contextmanager
def slot(database: Database) -> Iterator[None]:
    """A replica that is gone has left its slot."""
    database.sql(f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    try:
        for _ in range(2):
            database.sql("CREATE TABLE ballast AS SELECT g, repeat('x', 900) t FROM generate_series(1, 5000) g")
            database.sql("DROP TABLE ballast; SELECT pg_switch_wal()")
        yield
    finally:
        database.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{SLOT}'")


def test_a_slot_that_nobody_uses_is_found_with_what_it_holds_and_dropped_when_named(fleet: Fleet) -> None:
    databases = fleet["orders"], fleet["analytics"]
    both = "orders,analytics"
    slots = "SELECT count(*) FROM pg_replication_slots"
    with ExitStack() as stack:
        together(lambda database: stack.enter_context(slot(database)), *databases)
        logs_of(*databases)
        assert purge(both, "--check").count(f"stays: {SLOT}: slot holds") == 2
        for database in databases:
            (text,) = found(told()[database.name], "LG04")
            assert text.startswith(f"{SLOT}: physical slot is used by nobody and holds ")
            assert "MiB" in text
            assert any(SLOT in item for item in found(told()[database.name], "LG03"))
        for refusal, extra in (("there is no slot other", {"slots": "other"}), ("does not confirm", {"slots": SLOT})):
            output = purge(both, code=2, **extra)
            assert refusal in output
            assert failed(output) == {database.hostname for database in databases}
        assert [database.sql(slots) for database in databases] == ["1", "1"]
        for database in databases:
            purge(database.name, "--limit", database.hostname, confirm=database.name, slots=SLOT)
        assert [database.sql(slots) for database in databases] == ["0", "0"]
    for database in databases:
        statements = database.records("log_change")[-1]["logs"]["statements"]
        assert statements[0].startswith("SELECT pg_drop_replication_slot")
        assert database.backup("log")["result"] == "ok"


def test_a_slot_in_use_is_never_dropped(analytics: Database) -> None:
    with slot(analytics):
        program = analytics.run("ls /usr/lib/postgresql/*/bin/pg_receivewal").splitlines()[-1]
        receive = f"{program} -D /tmp/received -S {SLOT} -p {analytics.port} -h /var/run/postgresql"
        active = "SELECT 1 FROM pg_replication_slots WHERE active"
        analytics.run("install -d -o postgres /tmp/received")
        analytics.run(f"(setsid runuser -u postgres -- {receive} >/dev/null 2>&1 & echo $! >/tmp/receive.pid)")
        try:
            until(lambda: analytics.sql(active))
            assert f"{SLOT} is in use" in purge("analytics", code=2, confirm="analytics", slots=SLOT)
        finally:
            analytics.run(
                "pkill -P $(cat /tmp/receive.pid); pkill -F /tmp/receive.pid; rm -rf /tmp/receive*", code=None
            )
            until(lambda: not analytics.sql(active))


def written(database: Database) -> str:
    """The file that the server writes its messages to."""
    return database.run("readlink /proc/$(head -1 %s/postmaster.pid)/fd/2", database.sql("SHOW data_directory")).strip()


@contextmanager
def full(database: Database, path: str) -> Iterator[None]:
    """The directory of messages is a small file system of its own, and rotated files have filled it."""
    database.run("mount -t tmpfs -o size=64m,mode=1777 tmpfs %s", path)
    try:
        yield
    finally:
        database.run("umount -l %s", path)


def test_a_full_disk_gets_room_least_harm_first_and_no_more_than_was_asked_for(fleet: Fleet) -> None:
    databases = fleet["orders"], fleet["analytics"]
    hosts = ",".join(database.hostname for database in databases)
    directory = "/var/log/postgresql"
    wanted = {"path": directory, "free": "15M"}
    live = {database.name: written(database) for database in databases}
    records = {database.name: len(database.records("log_change")) for database in databases}

    def crowd(database: Database) -> None:
        log = live[database.name]
        for number in range(6, 0, -1):
            database.run(f"head -c 10M /dev/urandom > {log}.{number}; touch -d '{number} days ago' {log}.{number}")
        database.run(f"head -c 64M /dev/zero > {directory}/foreign.bin", code=None)
        assert database.run(f"df --output=avail {directory} | tail -1").strip() == "0"

    with ExitStack() as stack:
        for database in databases:
            stack.enter_context(full(database, directory))
        together(crowd, *databases)
        plan = emergency(hosts, "--check", **wanted)
        assert plan.count("1. rotated_logs: can free 40.0 MiB") == 2
        assert plan.index("1. rotated_logs") < plan.index("2. package_cache")
        assert [len(database.run(f"ls {live[database.name]}.*").split()) for database in databases] == [6, 6]
        refused = emergency(hosts, code=2, **wanted)
        for database in databases:
            assert f"is removed from {database.hostname}" in refused
            done = emergency(database.hostname, confirm=database.hostname, **wanted)
            assert "1. rotated_logs: freed 20.0 MiB" in done
            left = database.run(f"ls {live[database.name]}.*").split()
            assert [path.rpartition(".")[2] for path in left] == ["1", "2", "3", "4"]
            assert database.host.file(f"{directory}/foreign.bin").exists
    for database in databases:
        noted = database.records("log_change")
        assert len(noted) == records[database.name] + 1
        record = noted[-1]
        assert (record["logs"]["action"], record["logs"]["reached"], record["result"]) == ("emergency", True, "ok")
