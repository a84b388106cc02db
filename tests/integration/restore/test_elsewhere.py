"""The backups of an instance become a new one, beside it or on another host, and the source knows nothing of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.fleet import ROOT, Database, Fleet, make_bare, playbook, rest, until
from tests.integration.restore.ledger import Ledger

FIRST = ("-i", str(ROOT / "molecule" / "restore" / "first"))
SECOND = (*FIRST, "-i", str(ROOT / "molecule" / "restore" / "second"))
_REMOVED = """
pg_dropcluster --stop 17 analytics_copy
rm -rf /etc/postgresql/17/analytics_copy
rm -rf /var/lib/postgresql/17/*before-* /var/lib/holdfast/analytics-copy /var/log/holdfast/analytics-copy
rm -rf {0}/archive/analytics-copy {0}/backup/analytics-copy
"""


@pytest.fixture(scope="module")
def analytics_ledger(fleet: Fleet) -> Ledger:
    ledger = Ledger(fleet["analytics"])
    ledger.create()
    ledger.write("in the archive copy", 10)
    assert ledger.database.backup("archive")["result"] == "ok"
    ledger.write("in the log", 10)
    return ledger


@pytest.fixture(scope="module")
def bare_site(fleet: Fleet) -> Iterator[None]:
    make_bare(fleet.hosts["dr1"])
    yield
    make_bare(fleet.hosts["dr1"])


def _make(inventory: tuple[str, ...], source: Database, copy: Database, **extra: object) -> None:
    wanted = {"instance": copy.name, "restore_source": source.name, "restore_create": True, "target": copy.hostname}
    playbook("restore", *inventory, extra={**wanted, "confirm": copy.name, **extra})


def _sent(database: Database) -> list[str]:
    """What the server has sent to its repository, by name."""
    archive = f"{database.local}/archive/{database.name}"
    return database.run("find %s -name '0000*' -printf '%%f\\n'", archive).split()


def _assert_of_its_own(copy: Database, source: Database) -> None:
    """The copy has jobs, a full backup and a log of its own."""
    assert copy.records("restore")[-1]["result"] == "ok"
    assert copy.records("full")[-1]["result"] == "ok"
    assert copy.host.run("systemctl is-active holdfast-%s-full.timer", copy.name).rc == 0
    if copy.level != "development":
        assert copy.backup("log")["result"] == "ok"
    assert [item for item in copy.status()["problems"] if item["severity"] == "critical"] == []
    if copy.is_postgresql:
        assert copy.sql("SHOW archive_command") == f"pgbackrest --stanza={copy.name} archive-push %p"
        assert copy.sql("SHOW port") == str(copy.port)
    assert source.status()["state"] != "unknown"


def test_a_new_instance_on_the_same_host(fleet: Fleet, analytics_ledger: Ledger) -> None:
    source = analytics_ledger.database
    expected, moment = analytics_ledger.rows(), analytics_ledger.now()
    analytics_ledger.write("later", 5)
    analytics_ledger.save_log()
    before, listed = source.identity(), source.ids()
    copy = Database("analytics-copy", "postgresql", 5434, "standard", "pg2", source.host)
    try:
        _make(FIRST, source, copy, time=moment)
        found = copy.sql("SELECT id, entry FROM ledger ORDER BY id", source.name).splitlines()
        assert found == expected
        assert len(analytics_ledger.rows()) == len(expected) + 5
        assert source.identity() == before
        assert source.ids() == listed
        copy.sql("CREATE TABLE of_the_copy ()", source.name)
        copy.sql("SELECT pg_switch_wal()")
        sent = until(lambda: _sent(copy))
        assert [name for name in sent if name.endswith(".history")], "its log goes on, in its own repository"
        timeline = int(source.sql("SELECT timeline_id FROM pg_control_checkpoint()"))
        assert f"{timeline + 1:08X}.history" not in _sent(source), "and none of it into that of the source"
        _assert_of_its_own(copy, source)
    finally:
        playbook("site", "--limit", "pg2,localhost")
        rest(source.host)
        source.run(_REMOVED.format(source.local))
    assert source.backup("incremental")["result"] == "ok"


@pytest.mark.parametrize(("source", "engine", "port"), [("analytics", "postgresql", 5432), ("crm", "mariadb", 3306)])
def test_a_new_instance_on_another_host(
    fleet: Fleet, bare_site: None, analytics_ledger: Ledger, source: str, engine: str, port: int
) -> None:
    """The repository on the source's own host cannot be reached from there; the one off the site can."""
    ledger = Ledger(fleet[source])
    if source != "analytics":
        ledger.create()
        ledger.write("in the archive copy", 10)
        # An archive copy is one of the newest full backup, which may be of before.
        for type_ in ("full", "archive"):
            assert ledger.database.backup(type_)["result"] == "ok"
    else:
        ledger.save_log()
    expected, before = ledger.rows(), ledger.database.identity()
    copy = Database(f"{source}-elsewhere", engine, port, ledger.database.level, "dr1", fleet.hosts["dr1"])
    _make(SECOND if source == "crm" else FIRST, ledger.database, copy)
    found = copy.sql("SELECT id, entry FROM ledger ORDER BY id", source).splitlines()
    assert found == expected
    assert copy.records("restore")[-1]["restore"]["repository"] == "offsite"
    assert ledger.database.identity() == before
    _assert_of_its_own(copy, ledger.database)


def test_another_major_version_is_refused_with_the_reason(fleet: Fleet, bare_site: None) -> None:
    """Into the instances that were just made: MariaDB 10.11 into 11.8, PostgreSQL 15 into 17."""
    host = fleet.hosts["dr1"]
    servers = "systemctl show --property=MainPID mariadb postgresql@17-analytics_elsewhere"
    for source, copy in (("orders", "analytics-elsewhere"), ("shop", "crm-elsewhere")):
        assert fleet[source].backup("archive")["result"] == "ok"
        before = host.check_output(servers)
        wanted = {"instance": copy, "restore_source": source, "confirm": copy, "target": "dr1"}
        output = playbook("restore", *SECOND, extra=wanted, code=2)
        assert "does not fit: its data files are of" in output, output
        assert host.check_output(servers) == before
