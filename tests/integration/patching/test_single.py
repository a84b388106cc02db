"""Hosts on their own: what is due, a real patch under load, and every kind of bad luck that is undone.

The tests follow each other: the first ones patch real servers from the older version that the mirror has to the newer
one; the later ones have packages that were packed anew for them, with a longer version and a fault.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.fleet import ROOT, Database, Fleet
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
    slow,
    version,
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


# Ends the process of the patch, by its own announcement, while the package is being unpacked.
KILLER = """
for attempt in $(seq 600); do
    if [ -e /var/lib/holdfast/patching/journal.json ]; then
        sleep 3
        kill -9 "$(python3 -c 'import glob, json, sys; print(json.load(open(glob.glob(sys.argv[1])[0]))["pid"])' \\
            "$1/running/patch-*.json")"
        exit
    fi
    sleep 0.2
done
"""


@pytest.fixture
def orders(fleet: Fleet) -> Database:
    """PostgreSQL 15; billing is another cluster of the same host and package."""
    return fleet["orders"]


def test_what_is_due_is_told_and_nothing_is_changed(
    orders: Database, shop: Database, aged: dict[str, tuple[str, str]]
) -> None:
    before = [orders.identity(), shop.identity()]
    for database in (orders, shop):
        source = database.host.check_output("dpkg-query -W -f '${source:Package}' %s", package_of(database)).strip()
        database.host.check_output(OFFLINE.format(source=source, newer=aged[database.name][1]))
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


def test_what_stands_in_the_way_is_refused(orders: Database, aged: dict[str, tuple[str, str]]) -> None:
    with edited(orders, lambda config: config.update(windows=window(-60))):
        said = patch(target="pg1", deploy="pg1", patching_backup="none", patching_backup_within="", code=2)
    assert "maintenance window tonight" in said
    assert "nothing was changed" in said
    sleeper = f"psql -XqAt -p {orders.port} -c 'BEGIN; SELECT pg_sleep(40)'"
    orders.run(f"sudo -u postgres setsid nohup {sleeper} >/dev/null 2>&1 &")
    said = patch(target="pg1", deploy="pg1", patching_backup="none", patching_longest_transaction=2, code=2)
    orders.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; SELECT pg_sleep%'")
    assert "a transaction is longer than" in said
    assert version(orders.host, package_of(orders)) == aged["orders"][0]


def test_servers_are_patched_under_load(
    fleet: Fleet, orders: Database, shop: Database, aged: dict[str, tuple[str, str]]
) -> None:
    with load(orders, shop):
        patch(target=HOSTS, deploy=HOSTS)
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


def test_a_package_that_cannot_be_configured_is_put_back(
    database: Database, aged: dict[str, tuple[str, str]], fleet: Fleet
) -> None:
    database = fleet["orders"] if database.is_postgresql else database
    package, before = package_of(database), database.identity()
    installed = version(database.host, package)
    repack(database.host, package, "lab1", BROKEN_SCRIPT)
    try:
        said = patch(target=database.hostname, deploy=database.hostname, code=2)
        record = last_patch(database)
    finally:
        withdraw(database.host)
    assert "rolled back" in said
    assert record["error"]["code"] == "patch-failed"
    assert record["patch"]["outcome"] == "rolled back"
    assert version(database.host, package) == installed
    assert database.host.check_output("dpkg --audit") == ""
    assert database.identity() == before, "the server was restarted without a need"
    assert package in database.host.check_output("apt-mark showhold").split()


def test_a_server_that_does_not_start_gets_its_version_back(
    database: Database, aged: dict[str, tuple[str, str]], fleet: Fleet
) -> None:
    database = fleet["orders"] if database.is_postgresql else database
    program = "/usr/lib/postgresql/15/bin/postgres" if database.is_postgresql else "/usr/sbin/mariadbd"
    package = package_of(database) if database.is_postgresql else "mariadb-server-core"
    installed = version(database.host, package)
    repack(database.host, package, "lab2", broken_program(program))
    try:
        with load(database):
            patch(target=database.hostname, deploy=database.hostname, code=2)
        record = last_patch(database)
    finally:
        withdraw(database.host)
    assert record["patch"]["outcome"] == "rolled back", record
    assert version(database.host, package) == installed
    assert database.answers()
    print(f"{database.name}: {record['patch']['seconds_down']} s until it was back with the version before")
    assert acknowledged(database) - tokens(database) == set()


def test_a_repository_that_is_gone_in_the_middle_of_a_roll_out(
    orders: Database, shop: Database, aged: dict[str, tuple[str, str]]
) -> None:
    """The first host is done; on the second one nothing was changed, and both are on record."""
    repack(shop.host, "mariadb-server-core", "lab3")
    repack(orders.host, package_of(orders), "lab3")
    orders.host.check_output("apt-get -qq update")
    before = orders.identity()
    # The lists are there and the packages are not: what a mirror looks like that went away.
    orders.host.check_output("rm -f /srv/lab-patches/*.deb")
    try:
        patch(target="maria1,pg1", deploy="maria1,pg1", code=2)
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
    repack(orders.host, package, "lab4", slow(40))
    try:
        with edited(orders, lambda config: config.update(windows=window(45))):
            patch(target="pg1", deploy="pg1", patching_backup="none", patching_expected="1s", code=2)
        record = last_patch(orders)
    finally:
        withdraw(orders.host)
    assert record["error"]["code"] == "window-closed", record
    assert record["patch"]["outcome"] in ("rolled back", "nothing was changed")
    assert version(orders.host, package) == installed
    assert orders.identity() == before


def test_a_patch_that_is_killed_is_undone_by_the_next(orders: Database, aged: dict[str, tuple[str, str]]) -> None:
    package = package_of(orders)
    repack(orders.host, package, "lab5", slow(15))
    orders.run("setsid nohup sh -c %s killer %s >/dev/null 2>&1 &", KILLER, orders.state)
    try:
        patch(target="pg1", deploy="pg1", patching_backup="none", code=2)
        assert orders.host.run("test -e /var/lib/holdfast/patching/journal.json").rc == 0
        patch(target="pg1", deploy="pg1", patching_backup="none")
        record = last_patch(orders)
    finally:
        withdraw(orders.host)
    assert "was killed before its end: it is undone first" in record["patch"]["steps"][0]
    assert record["patch"]["outcome"] == "patched"
    assert orders.host.check_output("dpkg --audit") == ""
    assert version(orders.host, package).endswith("+lab5")
