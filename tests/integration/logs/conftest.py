"""Timers rest while these tests run, and what they set up is taken back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.integration.fleet import Fleet, together
from tests.integration.logs.run import REPORTS

_CLEAN = """
rm -f /etc/systemd/system/logrotate.timer.d/holdfast.conf
rm -f /etc/logrotate.d/holdfast-servers /etc/rsyslog.d/40-holdfast.conf /etc/holdfast/logs.json
rm -rf /var/lib/holdfast/.audit /var/lib/holdfast/.logs
for file in /etc/logrotate.d/*.holdfast.disabled; do
    if [ -e "$file" ]; then mv "$file" "${file%.holdfast.disabled}"; fi
done
chattr -a /var/log/postgresql/*.log 2>/dev/null || true
"""


@pytest.fixture(autouse=True, scope="module")
def _quiet(quiet: None, fleet: Fleet) -> Iterator[None]:
    hosts = {item.hostname: item.host for item in fleet.values()}
    shutil.rmtree(REPORTS, ignore_errors=True)
    together(lambda host: host.check_output(_CLEAN), *hosts.values())
    yield
    together(lambda host: host.check_output(_CLEAN), *hosts.values())
