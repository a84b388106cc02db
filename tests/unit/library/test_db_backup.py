import json
from datetime import timedelta

import pytest
from ansible.module_utils.holdfast import converge
from ansible.module_utils.holdfast.errors import HoldfastError, InvalidInput, ServerUnavailable

import db_backup

ORDERS = {"name": "orders", "engine": "postgresql"}
SETTINGS = {"type": "posix", "path": "/srv/backups", "passphrase": "s3cret-passphrase"}
OPTIONS = {
    "instances": [ORDERS],
    "repositories": [
        {"name": "local", "settings": SETTINGS},
        {"name": "offsite", "settings": {**SETTINGS, "path": "/srv/offsite"}},
    ],
}
DIFF = [{"before_header": "/x", "after_header": "/x", "before": "", "after": "new\n"}]


@pytest.fixture
def host(monkeypatch):
    """Stands in for the host: remembers the plan and whether it was applied."""

    class Host:
        outcome = converge.Outcome(DIFF, {"orders": {"version": "15.1"}}, [], ["a note"], [])

        def plan(self, instances, scheduler, *, restart, awaiting, configure_only, override):
            self.override = override
            self.asked = (list(instances), scheduler, restart, awaiting)
            self.configure_only = configure_only
            return "plan"

        def apply(self, _plan):
            self.applied = True
            return self.outcome

        def preview(self, _plan):
            self.applied = False
            return self.outcome

    made = Host()
    for name in ("plan", "apply", "preview"):
        monkeypatch.setattr(converge, name, getattr(made, name))
    return made


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_pass_tells_what_it_changed(run, host, check_mode):
    result = run(db_backup.main, _check_mode=check_mode, **OPTIONS)
    assert host.applied is not check_mode
    assert (result["changed"], result["diff"], result["notes"]) == (True, DIFF, ["a note"])
    assert result["instances"] == {"orders": {"version": "15.1"}}


def test_windows_and_their_override_reach_the_host(run, host):
    window = {"kind": "maintenance", "time_zone": "UTC", "start": "0 2 * * 0", "duration": "4h"}
    run(db_backup.main, **OPTIONS, windows={"sunday": window}, override={"by": "Dana", "reason": "disk", "for": "30m"})
    assert [item.name for item in host.asked[0][0].windows] == ["sunday"]
    assert (host.override.by, host.override.reason, host.override.lasting) == ("Dana", "disk", timedelta(minutes=30))


def test_half_an_override_is_refused(run, host):
    result = run(db_backup.main, **OPTIONS, override={"by": "Dana", "reason": ""})
    assert "an override needs a person and a reason, and has no reason" in result["msg"]


def test_options_become_instances(run, host):
    run(db_backup.main, **OPTIONS, scheduler="cron", restart=["orders"], awaiting=["copy"])
    (orders,), scheduler, *named = host.asked
    assert (orders.name, orders.port, scheduler, named) == ("orders", 5432, "cron", [["orders"], ["copy"]])
    assert [repository.name for repository in orders.repositories] == ["local", "offsite"]
    assert orders.primary_repository.passphrase == "s3cret-passphrase"


def test_an_option_that_is_not_given_does_not_reach_the_inventory(run, host):
    run(db_backup.main, **OPTIONS)
    assert dict(host.asked[0][0].primary_repository.settings) == {"path": "/srv/backups"}


def test_every_failure_is_in_the_message(run, host):
    host.outcome.failures[:] = [
        ServerUnavailable("does not answer", where="orders"),
        HoldfastError("no space", where="shop", remedy="Free some"),
    ]
    result = run(db_backup.main, **OPTIONS)
    host.outcome.failures.clear()
    assert result["failed"]
    assert result["msg"] == "orders: does not answer\nshop: no space. Free some"
    assert [failure["code"] for failure in result["failures"]] == ["server-unavailable", "failed"]
    assert result["diff"] == DIFF


def test_a_wrong_inventory_changes_nothing(run, host):
    result = run(db_backup.main, **{**OPTIONS, "instances": [{"name": "orders", "engine": "postgres"}]})
    assert result["failed"]
    assert "engine" in result["msg"]
    assert not hasattr(host, "asked")


def test_a_host_without_the_scheduler_is_one_message(run, host, monkeypatch):
    def plan(*_, **__):
        raise InvalidInput("systemd does not run on this host", remedy="Set backup_scheduler to cron")

    monkeypatch.setattr(converge, "plan", plan)
    result = run(db_backup.main, **OPTIONS)
    assert result["msg"] == "systemd does not run on this host. Set backup_scheduler to cron"


def test_no_result_shows_a_secret(run, host):
    host.outcome.notes[:] = ["echo of s3cret-passphrase"]
    result = run(db_backup.main, **OPTIONS)
    assert "s3cret-passphrase" not in json.dumps(result)
