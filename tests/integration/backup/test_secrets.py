"""No secret where somebody else could read it: files, process lists, journal, logs, records."""

from __future__ import annotations

import pytest

from tests.integration.fleet import Database, Fleet
from tests.integration.staging import secrets_of

pytestmark = pytest.mark.usefixtures("quiet")

HOSTS = {"pg1": "orders", "pg2": "analytics", "maria1": "shop", "maria2": "crm"}
PLACES = "/etc /opt /usr/local /tmp /var/tmp /var/log /var/lib/holdfast /var/spool /run/systemd /root /home"


@pytest.fixture(params=HOSTS.values(), ids=HOSTS)
def one(request: pytest.FixtureRequest, fleet: Fleet) -> Database:
    """One instance of each host."""
    return fleet[request.param]


def _search(database: Database, command: str) -> str:
    """Run a command that reads the secrets to look for from standard input; none is on a command line of the test."""
    code = f"import json; keys = json.load(open('{database.keys}'))['repositories'].values();"
    code += " print('\\n'.join(value for each in keys for name, value in each.items() if name != 'key_id'))"
    return database.run(f'python3 -c "{code}" | {command}', code=None)


def test_files(one: Database) -> None:
    assert len(secrets_of(one)) >= 3
    found = _search(one, f"grep -rlsF -f - {PLACES}")
    holders = sorted(set(found.splitlines()))
    assert one.keys in holders, "the search itself must be able to find something"
    for path in holders:
        assert path.startswith(("/etc/holdfast/keys/", "/etc/pgbackrest/conf.d/holdfast-")), path
        mode = int(one.run(f"stat -c %a {path}"), 8)
        assert not mode & 0o007, f"{path} is readable by everybody"


def test_modes_and_owners(one: Database) -> None:
    expected = {
        "/etc/holdfast": "755 root root",
        "/etc/holdfast/instances": "755 root root",
        "/etc/holdfast/keys": "711 root root",
        f"/etc/holdfast/instances/{one.name}.json": f"640 root {one.owner}",
        one.keys: f"400 {one.owner} {one.owner}",
        "/opt/holdfast/holdfast.pyz": "755 root root",
        one.state: f"750 {one.owner} {one.owner}",
        one.local: f"750 {one.owner} {one.owner}",
        f"/var/log/holdfast/{one.name}.log": f"640 {one.owner} {one.owner}",
    }
    found = one.run(f"stat -c '%n=%a %U %G' {' '.join(expected)}").splitlines()
    assert dict(line.split("=") for line in found) == expected
    assert one.run(f"find {one.state} -xdev -perm /o+rwx ! -type l ! -path '*/repository*'") == ""


def test_journal(one: Database) -> None:
    one.run("journalctl --no-pager --quiet > /run/holdfast-journal")
    try:
        assert one.run("grep -c holdfast /run/holdfast-journal").strip() != "0"
        assert _search(one, "grep -cF -f - /run/holdfast-journal").strip() == "0"
    finally:
        one.run("rm /run/holdfast-journal")


@pytest.mark.parametrize("one", ["analytics", "shop"], indirect=True)
def test_processes(one: Database) -> None:
    """Argument lists and, for other users, environments, sampled all through a backup."""
    sample = (
        f"(holdfast backup {one.name} >/dev/null 2>&1; touch /run/holdfast-sampled) &"
        " rm -f /run/holdfast-sampled; while [ ! -e /run/holdfast-sampled ]; do"
        " cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >> /run/holdfast-samples; sleep 0.02;"
        " done; rm /run/holdfast-sampled"
    )
    one.run(f"rm -f /run/holdfast-samples; {sample}")
    try:
        assert one.run("grep -cE 'pgbackrest|mariadb-backup|mariabackup|restic' /run/holdfast-samples").strip() != "0"
        assert _search(one, "grep -cF -f - /run/holdfast-samples").strip() == "0"
    finally:
        one.run("rm -f /run/holdfast-samples")


def test_config_has_none(one: Database) -> None:
    text = one.run("cat /etc/holdfast/instances/%s.json", one.name)
    assert not [secret for secret in secrets_of(one) if secret in text]
