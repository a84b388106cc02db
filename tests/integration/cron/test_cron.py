"""Jobs run by cron, and the way there and back, with everybody else's jobs left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.fleet import Database, Fleet, playbook, until

# What molecule/cron/converge.yml put there.
FOREIGN = {
    "cat /etc/cron.d/reports": "17 4 * * * nobody /bin/true # somebody else's\n",
    "crontab -l": "23 5 * * * /bin/true # root's own\n",
    "crontab -l -u postgres": "42 6 * * * /bin/true # of the database's owner\n",
}
SITE = ("site", "--limit", "pg1,localhost")


@pytest.fixture
def orders(fleet: Fleet) -> Database:
    return fleet["orders"]


@pytest.fixture(scope="module", autouse=True)
def _back_to_systemd(fleet: Fleet) -> Iterator[None]:
    yield
    playbook(*SITE)


def _timers(database: Database) -> str:
    return database.run(
        "systemctl list-timers --all --no-legend 'holdfast-*'; ls /etc/systemd/system | grep ^holdfast- || true"
    )


def _assert_foreign_jobs_untouched(database: Database) -> None:
    for command, content in FOREIGN.items():
        assert database.run(command) == content, command


def test_one_file_an_instance_and_no_timer(orders: Database) -> None:
    for name in ("orders", "billing"):
        file = orders.host.file(f"/etc/cron.d/holdfast-{name}")
        assert (file.mode, file.user, file.group) == (0o644, "root", "root")
        lines = [line for line in file.content_string.splitlines() if " holdfast " in line or "/holdfast " in line]
        assert lines
        assert all(" postgres " in line for line in lines)
        assert all("nice " in line and "ionice " in line and "timeout " in line for line in lines)
    assert _timers(orders) == ""
    _assert_foreign_jobs_untouched(orders)


def test_cron_really_runs_a_job(orders: Database) -> None:
    known = {record["id"] for record in orders.records("log")}
    fresh = until(lambda: [record for record in orders.records("log") if record["id"] not in known], 90, 1)
    assert fresh[0]["result"] == "ok"


def test_change_and_removal_touch_one_instance_only(orders: Database, fleet: Fleet) -> None:
    billing = fleet["billing"]
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
