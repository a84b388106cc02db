"""Jobs run by cron, and the way there and back, with everybody else's jobs left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.fleet import Database, Fleet, playbook, together, until

# What molecule/cron/converge.yml put there.
FOREIGN = {
    "cat /etc/cron.d/reports": "17 4 * * * nobody /bin/true # somebody else's\n",
    "crontab -l": "23 5 * * * /bin/true # root's own\n",
    "crontab -l -u postgres": "42 6 * * * /bin/true # of the database's owner\n",
}
INSTANCES = ("orders", "billing", "shop")
SITE = ("site", "--limit", "pg1,localhost")


@pytest.fixture
def orders(fleet: Fleet) -> Database:
    return fleet["orders"]


@pytest.fixture(scope="module", autouse=True)
def _back_to_systemd(fleet: Fleet) -> Iterator[None]:
    yield
    playbook("site", "--limit", "pg1,maria1,localhost")


def _timers(database: Database) -> str:
    return database.run(
        "systemctl list-timers --all --no-legend 'holdfast-*'; ls /etc/systemd/system | grep ^holdfast- || true"
    )


def _assert_foreign_jobs_untouched(database: Database) -> None:
    for command, content in FOREIGN.items():
        assert database.run(command) == content, command


@pytest.mark.parametrize("name", INSTANCES)
def test_one_file_an_instance_and_no_timer(fleet: Fleet, name: str) -> None:
    database = fleet[name]
    file = database.host.file(f"/etc/cron.d/holdfast-{name}")
    assert (file.mode, file.user, file.group) == (0o644, "root", "root")
    lines = [line for line in file.content_string.splitlines() if " holdfast " in line or "/holdfast " in line]
    assert lines
    assert all(f" {database.owner} " in line for line in lines)
    assert all("nice " in line and "ionice " in line and "timeout " in line for line in lines)
    assert _timers(database) == ""


def test_jobs_of_others_are_left_alone(orders: Database) -> None:
    _assert_foreign_jobs_untouched(orders)


def test_cron_really_runs_jobs(fleet: Fleet) -> None:
    def wait(name: str) -> dict[str, Any]:
        known = {record["id"] for record in fleet[name].records("log")}
        return until(lambda: [item for item in fleet[name].records("log") if item["id"] not in known], 90, 1)[0]

    assert [record["result"] for record in together(wait, *INSTANCES)] == ["ok"] * len(INSTANCES)


def test_change_and_removal_touch_one_instance_only(orders: Database, fleet: Fleet) -> None:
    billing = fleet["billing"]
    for database in (orders, billing):
        if not database.ids():  # the scenario runs alone
            assert database.backup("full")["result"] == "ok"
    kept = billing.ids()
    places = f"{billing.local}/backup/billing {billing.local}/archive/billing {billing.state}/records.jsonl"
    before = orders.run("stat -c '%i %Y' /etc/cron.d/holdfast-orders")
    only_orders = [{"name": "orders", "engine": "postgresql", "port": 5432, "service_level": "critical"}]
    output = playbook(*SITE, extra={"backup_scheduler": "cron", "db_instances": only_orders})
    assert "billing is no longer in the inventory" in output
    assert orders.run("ls /etc/cron.d | grep holdfast").split() == ["holdfast-orders"]
    assert orders.run("stat -c '%i %Y' /etc/cron.d/holdfast-orders") == before
    assert not orders.host.file("/etc/holdfast/instances/billing.json").exists
    assert not orders.host.file("/etc/holdfast/keys/billing.json").exists
    orders.run(f"ls -d {places}")
    _assert_foreign_jobs_untouched(orders)
    assert orders.holdfast("status")["state"] in ("ok", "warning")

    changed = [dict(only_orders[0], service_level="standard")]
    playbook(*SITE, extra={"backup_scheduler": "cron", "db_instances": changed})
    assert orders.run("stat -c '%i %Y' /etc/cron.d/holdfast-orders") != before

    playbook(*SITE)
    assert billing.ids() == kept, "its backups waited for it"
    assert orders.run("ls /etc/cron.d | grep holdfast || true") == ""
    assert "holdfast-billing-full.timer" in _timers(orders)
    assert "holdfast-orders-log.timer" in _timers(orders)
    _assert_foreign_jobs_untouched(orders)
