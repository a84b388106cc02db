"""Jobs on the hosts: the right ones, at the right time, with the right limits, and they really run."""

from __future__ import annotations

import re

import pytest

from tests.integration.fleet import Database, Fleet, until

# Cron expressions of the service levels, as systemd says them.
CALENDAR = {
    "critical": {
        "full": "*-*-* 01:00:00",
        "incremental": "*-*-* *:00:00",
        "archive": "*-*-* 03:00:00",
        "log": "*-*-* *:*:00",
    },
    "standard": {
        "full": "*-*-* 01:00:00",
        "incremental": "*-*-* *:00:00",
        "archive": "Sun *-*-* 03:00:00",
        "log": "*-*-* *:00/3:00",
    },
    "development": {"full": "Sun *-*-* 02:00:00", "incremental": "Mon..Sat *-*-* 02:00:00"},
}
EVERYWHERE = ("orders", "billing", "analytics", "shop", "crm")


def _show(database: Database, unit: str, *properties: str) -> dict[str, str]:
    output = database.run("systemctl show --property=%s %s", ",".join(properties), unit)
    return dict(line.split("=", 1) for line in output.splitlines())


def _unit(database: Database, job: str) -> str:
    return f"holdfast-{database.name}-{job.replace('_', '-')}"


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_job_has_its_timer(fleet: Fleet, name: str) -> None:
    database = fleet[name]
    jobs = {"verify", "expire", "restore_test", "access_audit", *CALENDAR[database.level]}
    assert set(database.config["service_level"]["schedule"]) == jobs
    listed = database.run(f"systemctl list-unit-files --no-legend 'holdfast-{name}-*.timer'").split("\n")
    units = {line.split()[0] for line in listed if line}
    assert units == {f"{_unit(database, job)}.timer" for job in jobs}
    for job in jobs:
        timer = _show(
            database,
            f"{_unit(database, job)}.timer",
            *(
                "ActiveState",
                "UnitFileState",
                "Persistent",
                "RandomizedDelayUSec",
                "FixedRandomDelay",
                "TimersCalendar",
            ),
        )
        assert (timer["ActiveState"], timer["UnitFileState"], timer["Persistent"]) == ("active", "enabled", "yes")
        if job == "log":
            assert timer["RandomizedDelayUSec"] == "0"
        else:
            assert (timer["RandomizedDelayUSec"], timer["FixedRandomDelay"]) == ("15min", "yes")
        expected = CALENDAR[database.level].get(job)
        if expected:
            normal = database.run("systemd-analyze calendar %s", expected)
            assert re.search(r"Normalized form: (.*)", normal)[1] in timer["TimersCalendar"]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_jobs_are_gentle_and_limited(fleet: Fleet, name: str) -> None:
    database = fleet[name]
    for job in database.config["service_level"]["schedule"]:
        service = _show(
            database,
            f"{_unit(database, job)}.service",
            *("User", "Nice", "IOSchedulingClass", "IOSchedulingPriority", "TimeoutStartUSec", "NoNewPrivileges"),
        )
        assert service["User"] == database.owner
        assert (service["Nice"], service["IOSchedulingClass"], service["IOSchedulingPriority"]) == ("10", "2", "7")
        assert service["TimeoutStartUSec"] != "infinity"
        assert service["NoNewPrivileges"] == "yes"


def test_units_are_sound(database: Database) -> None:
    result = database.host.run(f"systemd-analyze verify /etc/systemd/system/holdfast-{database.name}-*")
    assert result.rc == 0, result.stderr
    assert "holdfast" not in result.stderr


def test_a_timer_fires(database: Database) -> None:
    unit = _unit(database, "log")
    before = database.records("log")
    soon = database.run("date --date='4 seconds' '+%Y-%m-%d %H:%M:%S'").strip()
    directory = f"/run/systemd/system/{unit}.timer.d"
    database.run(
        "mkdir -p %s && printf '[Timer]\\nOnCalendar=\\nOnCalendar=%%s\\n' %s > %s/soon.conf"
        " && systemctl daemon-reload && systemctl restart %s.timer",
        directory,
        soon,
        directory,
        unit,
    )
    try:
        known = {record["id"] for record in before}
        fired = until(lambda: [record for record in database.records("log") if record["id"] not in known], 40)
        assert fired[0]["result"] == "ok"
        assert database.run("systemctl show --property=Result --value %s.service", unit).strip() == "success"
    finally:
        database.run("rm -r %s && systemctl daemon-reload && systemctl restart %s.timer", directory, unit)


def test_the_service_runs_low_and_leaves_a_record(database: Database) -> None:
    unit = f"{_unit(database, 'full')}.service"
    known = {record["id"] for record in database.records("full")}
    database.run("systemctl start --no-block %s", unit)
    tools = "pgbackrest|mariadb-backup|mariabackup|restic"
    seen = database.run(
        f"for i in $(seq 400); do pids=$(pgrep -d, -u {database.owner} -f '({tools}).*backup')"
        " && ps -o ni= -o cls= -p $pids && exit; sleep 0.02; done"
    )
    assert {line.split()[0] for line in seen.splitlines()} == {"10"}
    done = until(lambda: [record for record in database.records("full") if record["id"] not in known], 60)
    assert done[0]["result"] == "ok"
    until(lambda: database.run("systemctl is-active %s", unit, code=None).strip() == "inactive")
