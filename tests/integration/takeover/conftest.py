"""Timers rest while these tests run, and the alternate site is as bare as on its first day."""

import pytest

from tests.integration.fleet import Fleet

# Other scenarios have made servers there.
BARE = """
systemctl stop 'holdfast-*' 'postgresql@*' mariadb
pg_lsclusters --no-header | while read -r version name rest; do pg_dropcluster --stop "$version" "$name"; done
find /etc/systemd/system -name 'holdfast-*' -delete
find /etc/mysql -name '*holdfast*' -delete
find /var/lib/postgresql /var/lib/mysql /var/lib/holdfast /etc/holdfast /etc/pgbackrest/conf.d -mindepth 1 -delete
systemctl daemon-reload
true
"""


@pytest.fixture(autouse=True, scope="module")
def _quiet(quiet: None, fleet: Fleet) -> None:
    fleet.hosts["dr1"].check_output(BARE)
