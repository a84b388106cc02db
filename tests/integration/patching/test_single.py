"""Hosts on their own: what is due, a real patch under load, and every kind of bad luck that is undone.

The tests follow each other: the first ones patch real servers from the older version that the mirror has to the newer
one; the later ones have packages that were packed anew for them, with a longer version and a fault.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.fleet import ROOT, Database, Fleet, together
from tests.integration.patching.conftest import (
    acknowledged,
    last_patch,
    load,
    longest_gap,
    package_of,
    patch,
    rollout,
    tokens,
    window,
)
from tests.integration.patching.packages import (
    BROKEN_SCRIPT,
    LIST,
    broken_program,
    repack,
    version,
    waiting,
    withdraw,
)
from tests.integration.staging import edited

HOSTS = "pg1,maria1"
# A copy of debsecan's data, in its format, with two made-up entries. debsecan itself is the real one.
OFFLINE = """
python3 - <<'EOF'
import os, zlib
text = "VERSION 1\\nCVE-2099-0001,,made up and mended\\nCVE-2099-0002,,made up and not mended\\n\\n"
text += "{source},0, HRF,{newer},\\n{source},1, L  ,,\\n\\n{source},\\n\\n"
os.makedirs("/srv/lab-debsecan", exist_ok=True)
open("/srv/lab-debsecan/bookworm", "wb").write(zlib.compress(text.encode()))
EOF
command -v debsecan >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -q -y install debsecan
"""


# Ends the process of the patch, by its own announcement, while a package is being unpacked.
UNPACKING = "touch /run/lab-unpacking; sleep 8"
KILLER = """
for attempt in $(seq 600); do
    if [ -e /run/lab-unpacking ]; then
        rm /run/lab-unpacking
        kill -9 "$(python3 -c 'import glob, json, sys; print(json.load(open(glob.glob(sys.argv[1])[0]))["pid"])' \\
            "$1/running/patch-*.json")"
        exit
    fi
    sleep 0.2
done
"""
# Gives an instance a window that ends soon, as soon as a patch has begun; the package waits for its end.
CLOSING = """
import datetime, glob, json, os, shutil, sys, time
state, path = sys.argv[1:]
for attempt in range(1200):
    if glob.glob(f"{state}/running/patch-*.json"):
        break
    time.sleep(0.1)
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
first, last = now - datetime.timedelta(hours=1), now + datetime.timedelta(seconds=15)
config = json.load(open(path))
window = {"name": "tonight", "kind": "maintenance", "time_zone": "UTC"}
config["windows"] = [{**window, "first": f"{first}", "last": f"{last}"}]
owner = os.stat(path)
shutil.copy(path, f"{path}.new")
os.chown(f"{path}.new", owner.st_uid, owner.st_gid)
json.dump(config, open(f"{path}.new", "w"))
os.replace(f"{path}.new", path)
time.sleep(15)
open("/run/lab-closed", "w").close()
"""
CLOSED = "for attempt in $(seq 600); do if [ -e /run/lab-closed ]; then break; fi; sleep 0.1; done"


@pytest.fixture
def orders(fleet: Fleet) -> Database:
    """PostgreSQL 15; billing is another cluster of the same host and package."""
    return fleet["orders"]


@pytest.fixture
def pair(fleet: Fleet) -> tuple[Database, Database]:
    """One server of each engine, each on its own host."""
    return fleet["orders"], fleet["shop"]


def both_fail() -> None:
    """Patch both hosts at the same time; each fails by itself."""
    patch(target=HOSTS, deploy=HOSTS, patching_at_a_time=2, patching_backup="none", code=2)


def test_what_is_due_is_told_and_nothing_is_changed(
    orders: Database, shop: Database, aged: dict[str, tuple[str, str]]
) -> None:
    before = [orders.identity(), shop.identity()]

    def know_vulnerabilities(database: Database) -> None:
        source = database.host.check_output("dpkg-query -W -f '${source:Package}' %s", package_of(database)).strip()
        database.host.check_output(OFFLINE.format(source=source, newer=aged[database.name][1]))

    together(know_vulnerabilities, orders, shop)
    said = patch(target=HOSTS, patching_vulnerability_source="file:///srv/lab-debsecan/")
    report = json.loads((ROOT / "reports" / "patches" / "patches.json").read_text())
    for database in (orders, shop):
        older, newer = aged[database.name]
        assert f"{package_of(database)} {older} -> {newer} (database, security)" in said
        entry = next(item for item in report["hosts"] if item["instance"] == database.hostname)
        found = {(item["check"], item["subject"].split()[0]) for item in entry["findings"]}
        assert ("PT01", package_of(database)) in found
        assert ("PT03", "CVE-2099-0001") in found
        assert ("PT04", "CVE-2099-0002") in found
        assert {item["state"] for item in report["hosts"]} <= {"complete", "incomplete"}
        database.host.check_output("rm -rf /srv/lab-debsecan")
    assert Path(ROOT / "reports" / "patches" / "patches.html").exists()
    assert [orders.identity(), shop.identity()] == before


def test_check_mode_shows_the_plan(orders: Database, shop: Database, aged: dict[str, tuple[str, str]]) -> None:
    before = [orders.identity(), shop.identity()]
    said = patch("--check", "--diff", target=HOSTS, deploy=HOSTS)
    assert f"-{package_of(orders)} {aged['orders'][0]}" in said
    assert f"+{package_of(orders)} {aged['orders'][1]}" in said
    assert "outcome: planned" in said
    assert version(orders.host, package_of(orders)) == aged["orders"][0]
    assert [orders.identity(), shop.identity()] == before
    assert orders.records("patch") == []


def test_everything_that_stands_in_the_way_is_refused(orders: Database, aged: dict[str, tuple[str, str]]) -> None:
    sleeper = f"psql -XqAt -p {orders.port} -c 'BEGIN; SELECT pg_sleep(300)'"
    orders.run(f"sudo -u postgres setsid nohup {sleeper} >/dev/null 2>&1 &")
    closed = window(datetime.now(UTC) - timedelta(minutes=1))
    try:
        with edited(orders, lambda config: config.update(windows=closed)):
            extra = {"patching_backup": "none", "patching_backup_within": "", "patching_longest_transaction": 2}
            said = patch(target="pg1", deploy="pg1", code=2, **extra)
    finally:
        orders.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; SELECT pg_sleep%'")
    assert "maintenance window tonight" in said
    assert "a transaction is longer than" in said
    assert "nothing was changed" in said
    assert version(orders.host, package_of(orders)) == aged["orders"][0]


def test_servers_are_patched_under_load(
    fleet: Fleet, orders: Database, shop: Database, aged: dict[str, tuple[str, str]]
) -> None:
    with load(orders, shop):
        patch(target=HOSTS, deploy=HOSTS, patching_at_a_time=2)
    one, other = last_patch(orders), last_patch(shop)
    assert one["started"] < other["finished"]
    assert other["started"] < one["finished"], "hosts of no pair go side by side"
    for database in (orders, shop):
        older, newer = aged[database.name]
        assert version(database.host, package_of(database)) == newer
        record = last_patch(database)
        assert record["result"] == "ok", record
        assert record["patch"]["outcome"] == "patched"
        changed = {item["package"]: item for item in record["patch"]["packages"]}
        assert changed[package_of(database)] == {"package": package_of(database), "before": older, "after": newer}
        assert record["patch"]["versions"][database.name] in newer
        assert acknowledged(database) - tokens(database) == set(), "a row that was acknowledged is gone"
        told, gap = record["patch"]["seconds_down"][database.name], longest_gap(database)
        print(f"{database.name}: {told:.1f} s without new sessions, {gap:.1f} s without a write")
        assert 0 < told < 60
        assert gap < 60
        assert package_of(database) in database.host.check_output("apt-mark showhold").split()
        assert not database.host.file("/usr/sbin/policy-rc.d").exists
    assert fleet["billing"].records("patch")[-1]["patch"]["outcome"] == "patched"
    assert [item["outcome"] for item in rollout()] == ["patched", "patched"]


def test_the_second_run_finds_nothing(orders: Database, shop: Database, aged: dict[str, tuple[str, str]]) -> None:
    before, records = [orders.identity(), shop.identity()], len(orders.records("patch"))
    patch(target=HOSTS, deploy=HOSTS)
    assert [item["outcome"] for item in rollout()] == ["nothing due", "nothing due"]
    assert [orders.identity(), shop.identity()] == before
    assert len(orders.records("patch")) == records


def test_packages_that_cannot_be_configured_are_put_back(
    pair: tuple[Database, Database], aged: dict[str, tuple[str, str]]
) -> None:
    before = [database.identity() for database in pair]
    installed = [version(database.host, package_of(database)) for database in pair]
    together(lambda database: repack(database.host, package_of(database), "lab1", BROKEN_SCRIPT), *pair)
    try:
        both_fail()
        records = [last_patch(database) for database in pair]
    finally:
        together(lambda database: withdraw(database.host), *pair)
    assert [item["outcome"] for item in rollout()] == ["rolled back"] * 2
    for record in records:
        assert record["error"]["code"] == "patch-failed"
        assert record["patch"]["outcome"] == "rolled back"
    assert [version(database.host, package_of(database)) for database in pair] == installed
    assert [database.identity() for database in pair] == before, "a server was restarted without a need"
    for database in pair:
        assert database.host.check_output("dpkg --audit") == ""
        assert package_of(database) in database.host.check_output("apt-mark showhold").split()


def test_servers_that_do_not_start_get_their_versions_back(
    pair: tuple[Database, Database], aged: dict[str, tuple[str, str]]
) -> None:
    programs = {
        "postgresql-15": "/usr/lib/postgresql/15/bin/postgres",
        "mariadb-server-core": "/usr/sbin/mariadbd",
    }
    packages = dict(zip(programs, pair, strict=True))
    installed = {package: version(database.host, package) for package, database in packages.items()}
    together(
        lambda package: repack(packages[package].host, package, "lab2", broken_program(programs[package])), *packages
    )
    try:
        with load(*pair):
            both_fail()
        records = {database.name: last_patch(database) for database in pair}
    finally:
        together(lambda database: withdraw(database.host), *pair)
    assert {package: version(database.host, package) for package, database in packages.items()} == installed
    for database in pair:
        record = records[database.name]
        assert record["patch"]["outcome"] == "rolled back", record
        assert database.answers()
        print(f"{database.name}: {record['patch']['seconds_down']} s until it was back with the version before")
        assert acknowledged(database) - tokens(database) == set()


def test_a_repository_that_is_gone_in_the_middle_of_a_roll_out(
    orders: Database, shop: Database, aged: dict[str, tuple[str, str]]
) -> None:
    """The first host is done; on the second one nothing was changed, and both are on record."""
    lacking = {"mariadb-server-core": shop, package_of(orders): orders}
    together(lambda package: repack(lacking[package].host, package, "lab3"), *lacking)
    orders.host.check_output("apt-get -qq update")
    before = orders.identity()
    # The lists are there and the packages are not: what a mirror looks like that went away.
    orders.host.check_output("rm -f /srv/lab-patches/*.deb")
    try:
        patch(target="maria1,pg1", deploy="maria1,pg1", patching_backup="none", code=2)
        ended = {item["host"]: item for item in rollout()}
        record = last_patch(orders)
    finally:
        withdraw(orders.host)
        withdraw(shop.host)
    assert ended["maria1"]["outcome"] == "patched"
    assert ended["pg1"]["outcome"] == "nothing was changed"
    assert record["error"]["code"] == "packages-unavailable"
    assert orders.identity() == before
    assert orders.host.run(f"test -e {LIST}").rc == 1


def test_a_window_that_ends_during_the_patch(orders: Database, aged: dict[str, tuple[str, str]]) -> None:
    """The package takes its time, and the window is over when it is installed: it is put back, without a restart."""
    package, before = package_of(orders), orders.identity()
    installed = version(orders.host, package)
    repack(orders.host, package, "lab4", waiting(CLOSED))
    path = f"/etc/holdfast/instances/{orders.name}.json"
    try:
        with edited(orders, lambda config: None):
            orders.run("setsid nohup python3 -c %s %s %s >/dev/null 2>&1 &", CLOSING, orders.state, path)
            patch(target="pg1", deploy="pg1", patching_backup="none", patching_expected="1s", code=2)
        record = last_patch(orders)
    finally:
        withdraw(orders.host)
        orders.run("rm -f /run/lab-closed")
    assert record["error"]["code"] == "window-closed", record
    assert record["patch"]["outcome"] in ("rolled back", "nothing was changed")
    assert version(orders.host, package) == installed
    assert orders.identity() == before


def test_a_patch_that_is_killed_is_undone_by_the_next(orders: Database, aged: dict[str, tuple[str, str]]) -> None:
    package = package_of(orders)
    repack(orders.host, package, "lab5", waiting(UNPACKING))
    orders.run("setsid nohup sh -c %s killer %s >/dev/null 2>&1 &", KILLER, orders.state)
    try:
        patch(target="pg1", deploy="pg1", patching_backup="none", code=2)
        assert orders.host.run("test -e /var/lib/holdfast/patching/journal.json").rc == 0
        assert orders.host.run("/usr/sbin/policy-rc.d postgresql restart").rc == 0, "others' packages may restart"
        patch(target="pg1", deploy="pg1", patching_backup="none")
        record = last_patch(orders)
    finally:
        withdraw(orders.host)
        orders.run("rm -f /run/lab-unpacking")
    assert "was killed before its end: it is undone first" in record["patch"]["steps"][0]
    assert record["patch"]["outcome"] == "patched"
    assert orders.host.check_output("dpkg --audit") == ""
    assert version(orders.host, package).endswith("+lab5")
