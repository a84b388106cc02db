"""An instance is given another name: its server archives under the new one, and nothing of the old keeps a secret."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.fleet import Database, Fleet, playbook

PORT = 5440
SITE = ("site", "--limit", "pg1,localhost")
TOOLS = "/etc/pgbackrest/conf.d/holdfast-%s.conf"


@pytest.fixture
def pg1(fleet: Fleet) -> Iterator[Database]:
    """Its host has a third cluster for the time of the test."""
    database = fleet["orders"]
    cluster = "$(ls /usr/lib/postgresql) renamed"
    database.run(f"pg_createcluster --port={PORT} --start {cluster} -- --no-sync --auth-local=peer")
    try:
        yield database
    finally:
        playbook(*SITE)
        database.run(f"pg_dropcluster --stop {cluster}")
        for name in ("before", "after"):
            database.run(f"rm -rf {TOOLS % name} /var/lib/holdfast/{name} {database.local}/*/{name}")


def _set_up(fleet: Fleet, name: str) -> str:
    known = [
        {"name": item.name, "engine": item.engine, "port": item.port, "service_level": item.level}
        for item in fleet.values()
        if item.hostname == "pg1"
    ]
    instances = [*known, {"name": name, "engine": "postgresql", "port": PORT}]
    return playbook(*SITE, extra={"db_instances": instances, "backup_restart_instances": [name]})


def test_the_configuration_of_the_old_name_goes_with_it(fleet: Fleet, pg1: Database) -> None:
    def archive_command() -> str:
        return pg1.run(f"runuser -u postgres -- psql -XAtqp {PORT} -c 'SHOW archive_command' postgres")

    _set_up(fleet, "before")
    assert "--stanza=before " in archive_command()
    assert "cipher-pass" in pg1.run(f"cat {TOOLS % 'before'}")
    _set_up(fleet, "after")
    assert "--stanza=after " in archive_command()
    assert not pg1.host.file(TOOLS % "before").exists
    assert not pg1.host.file("/etc/holdfast/keys/before.json").exists
    # The server can archive with what is left.
    pg1.run("runuser -u postgres -- pgbackrest --stanza=after check")
    assert pg1.host.file(TOOLS % "orders").exists
