"""A host whose packages ask for it is rebooted, and its servers answer again."""

from __future__ import annotations

from tests.integration.fleet import Fleet, rest, until
from tests.integration.patching.conftest import patch, rollout


def test_a_host_that_asks_for_it_is_rebooted(fleet: Fleet) -> None:
    databases = [fleet["orders"], fleet["billing"]]
    host = databases[0].host
    running = [database.identity() for database in databases]
    host.check_output("touch /run/reboot-required && echo linux-image-amd64 > /run/reboot-required.pkgs")
    patch(target="pg1", deploy="pg1", patching_backup="none", patching_reboot=True)
    assert rollout()[0]["failed"] is False
    assert host.run("test -e /run/reboot-required").rc == 1
    for database, before in zip(databases, running, strict=True):
        until(database.answers)
        assert database.identity()["system"] == before["system"]
        assert database.identity()["started"] > before["started"]
    timers = host.check_output("systemctl list-timers --no-legend 'holdfast-*' | wc -l")
    assert int(timers) > 0, "jobs go on"
    rest(host)
