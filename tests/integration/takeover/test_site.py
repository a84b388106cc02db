"""The primary site is gone. What its off-site repository holds is in service again elsewhere, and was rehearsed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.fleet import LAB_DIR, ROOT, Database, Fleet, playbook, plug_in, unplug, until

SITE = ("-i", str(ROOT / "molecule" / "takeover" / "inventory"))
TAKEN = ("analytics", "crm")
DRILLS = LAB_DIR / "drills"
_UNARCHIVED = "SELECT 1 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' LIMIT 1"


def _rows(database: Database) -> str:
    return database.sql("SELECT id, entry FROM lost ORDER BY id", database.name)


# An application that logs in from elsewhere, which servers allow to nobody as their packages make them.
PASSWORD = "till-of-the-lab"
_CONFIGURE = {
    "analytics": """
cd /etc/postgresql/17/main
printf "listen_addresses = '*'\nwork_mem = '21MB'\n" >conf.d/till.conf
echo "host analytics till all scram-sha-256" >>pg_hba.conf
systemctl restart postgresql@17-main
""",
    "crm": """
printf "[mariadbd]\nbind_address = 0.0.0.0\nmax_connections = 77\n" >/etc/mysql/mariadb.conf.d/70-till.cnf
systemctl restart mariadb
""",
}
_AS_BEFORE = {
    "analytics": """
cd /etc/postgresql/17/main
rm conf.d/till.conf
sed -i '/analytics till/d' pg_hba.conf
systemctl restart postgresql@17-main
""",
    "crm": """
rm /etc/mysql/mariadb.conf.d/70-till.cnf
systemctl restart mariadb
""",
}
_SET = {"analytics": "work_mem", "crm": "max_connections"}
_LOG_IN = {
    "analytics": f"PGPASSWORD={PASSWORD} psql -XAt -h $(hostname -I | cut -d' ' -f1) -p 5433 -U till analytics"
    " -c 'SHOW work_mem'",
    "crm": f"MYSQL_PWD={PASSWORD} mariadb -NB -h $(hostname -I | cut -d' ' -f1) -u till crm"
    " -e 'SELECT @@max_connections'",
}


@pytest.fixture(scope="module")
def configured(fleet: Fleet) -> Iterator[None]:
    """The servers are configured with what the application needs, and not only with what their packages bring."""
    analytics, crm = (fleet[name] for name in TAKEN)
    for database in (analytics, crm):
        database.run(_CONFIGURE[database.name])
        until(database.answers)
    analytics.sql(f"DROP ROLE IF EXISTS till; CREATE ROLE till LOGIN PASSWORD '{PASSWORD}'")
    crm.sql(f"CREATE OR REPLACE USER till IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON crm.* TO till")
    yield
    for database in (analytics, crm):
        database.run(_AS_BEFORE[database.name])
        until(database.answers)
    analytics.sql("DROP ROLE till")
    crm.sql("DROP USER till")


@pytest.fixture(scope="module")
def lost(fleet: Fleet, configured: None) -> dict[str, str]:
    """Every row that the off-site repository can know of, by instance."""
    for name in TAKEN:
        database = fleet[name]
        kind = "serial" if database.is_postgresql else "INT AUTO_INCREMENT"
        database.sql("DROP TABLE IF EXISTS lost", name)
        database.sql(f"CREATE TABLE lost (id {kind} PRIMARY KEY, entry TEXT)", name)
        database.sql("INSERT INTO lost (entry) VALUES ('in the archive copy')", name)
        # An archive copy is one of the newest full backup, which may be of before there was a log.
        for type_ in ("full", "archive"):
            assert database.backup(type_)["result"] == "ok"
        database.sql("INSERT INTO lost (entry) VALUES ('in the log after it')", name)
        assert database.backup("log")["result"] == "ok"
    analytics = fleet["analytics"]
    analytics.sql("SELECT pg_switch_wal()")
    until(lambda: not analytics.sql(_UNARCHIVED))
    return {name: _rows(fleet[name]) for name in TAKEN}


def _answers(database: Database) -> bool:
    try:
        return database.host.run("true").rc == 0
    except RuntimeError:  # no connection
        return False


@contextmanager
def site_cut_off(fleet: Fleet) -> Iterator[None]:
    """No host of the primary site can be reached, by anybody."""
    hosts = {database.hostname for database in fleet.values()}
    unplug(*hosts)
    try:
        yield
    finally:
        plug_in(*hosts)
        until(lambda: all(map(_answers, fleet.values())), seconds=60)


def _reports() -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in DRILLS.glob("*.json")}


def test_a_drill_touches_nothing_and_tells_everything(fleet: Fleet, lost: dict[str, str]) -> None:
    before = {name: (fleet[name].identity(), fleet[name].ids()) for name in TAKEN}
    earlier = set(_reports())
    playbook("dr_drill", *SITE, extra={"recover_report_directory": str(DRILLS)})
    assert {name: (fleet[name].identity(), fleet[name].ids()) for name in TAKEN} == before
    host = fleet.hosts["dr1"]
    assert host.check_output("ls /etc/holdfast/keys /etc/holdfast/instances") == (
        "/etc/holdfast/instances:\n\n/etc/holdfast/keys:"
    ), "the keys stay on no host of a drill"
    assert host.check_output("find /var/lib/holdfast/*/scratch -mindepth 1") == ""

    (name,) = set(_reports()) - earlier
    drill = _reports()[name]
    assert drill["result"] == "passed", drill["criteria"]
    assert [phase["name"] for phase in drill["phases"]] == ["declare", "provision", "restore", "recover", "validate"]
    assert {item["instance"]: item["repository"] for item in drill["instances"]} == dict.fromkeys(TAKEN, "offsite")
    for item in drill["instances"]:
        assert item["rto_seconds"] <= item["rto_target_seconds"]
        assert item["check_problems"] == 0
        assert item["rows"] > 0
        assert _SET[item["instance"]] in item["configuration"]["parameters"]
    assert drill["success"]["drills"] >= 1
    for suffix in ("md", "html"):
        assert "analytics" in (DRILLS / f"{name}.{suffix}").read_text()
    assert lost


def test_without_the_right_words_nothing_is_done(fleet: Fleet) -> None:
    output = playbook("disaster_recovery", *SITE, extra={"confirm": "recover analytics"}, code=2)
    assert "recover analytics,crm" in output
    assert fleet.hosts["dr1"].run("pg_lsclusters --no-header | grep analytics").rc != 0


def test_a_lost_site_is_in_service_elsewhere(fleet: Fleet, lost: dict[str, str]) -> None:
    host = fleet.hosts["dr1"]
    with site_cut_off(fleet):
        playbook(
            "disaster_recovery",
            *SITE,
            extra={"confirm": "recover analytics,crm", "recover_report_directory": str(DRILLS)},
        )
        taken = {
            "analytics": Database("analytics", "postgresql", 5433, "standard", "dr1", host),
            "crm": Database("crm", "mariadb", 3306, "standard", "dr1", host),
        }
        assert {name: _rows(database) for name, database in taken.items()} == lost
        assert {name: host.check_output(command) for name, command in _LOG_IN.items()} == {
            "analytics": "21MB",
            "crm": "77",
        }
        assert taken["analytics"].sql("SHOW port") == "5433", "what belongs to the place stays"
        for name, database in taken.items():
            assert database.records("full")[-1]["result"] == "ok"
            assert host.run("systemctl is-active holdfast-%s-full.timer", name).rc in (0, 3)
            assert database.backup("log")["result"] == "ok", "its log is saved again"
            wrong = [item for item in database.status()["problems"] if item["severity"] == "critical"]
            assert wrong == [], wrong
        recovery = next(drill for drill in _reports().values() if drill["id"].startswith("recovery"))
        assert recovery["result"] == "passed", recovery["criteria"]
        came_back = {item["instance"]: item["configuration"] for item in recovery["instances"]}
        assert came_back["analytics"]["files"] == ["pg_hba.conf", "pg_ident.conf"]
        assert {"work_mem", "listen_addresses"} <= {*came_back["analytics"]["parameters"]}
        assert {"max_connections", "bind_address"} <= {*came_back["crm"]["parameters"]}
        assert [item["problem"] for item in came_back.values() if "problem" in item] == []
