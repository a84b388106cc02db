import shutil
import subprocess
from datetime import timedelta

import fakes
import pytest
from ansible.module_utils.holdfast import process, schedule
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.model import Job
from ansible.module_utils.holdfast.schedulers import base, cron, systemd

ALL_JOBS = dict.fromkeys(Job, "0 1 * * *")
COMMANDS = {
    Job.FULL: "/usr/local/bin/holdfast backup orders --type full --scheduled",
    Job.ARCHIVE: "/usr/local/bin/holdfast backup orders --type archive --scheduled",
    Job.LOG: "/usr/local/bin/holdfast backup orders --type log --scheduled",
    Job.VERIFY: "/usr/local/bin/holdfast verify orders --scheduled",
    Job.EXPIRE: "/usr/local/bin/holdfast expire orders --scheduled",
    Job.RESTORE_TEST: "/usr/local/bin/holdfast restore-test orders --scheduled",
    Job.ACCESS_AUDIT: "/usr/local/bin/holdfast audit orders --scheduled",
}


def orders(schedule=None, **changes):
    level = fakes.service_level(schedule=schedule or ALL_JOBS)
    return fakes.instance("/var/lib/holdfast/orders", service_level=level, **changes)


def unit(instance, name):
    return next(file.content for file in systemd.Systemd().files(instance) if file.path.endswith("/" + name))


@pytest.mark.parametrize(("job", "command"), COMMANDS.items(), ids=str)
def test_both_schedulers_run_the_same_command(job, command):
    name = f"holdfast-orders-{str(job).replace('_', '-')}"
    assert f"\nExecStart={command}\n" in unit(orders(), f"{name}.service")
    assert f" {command} || /usr/local/bin/holdfast reap orders --scheduled\n" in cron.Cron().files(orders())[0].content


def test_every_job_of_the_schedule_is_run_and_no_other():
    instance = orders({Job.FULL: "0 1 * * *", Job.RESTORE_TEST: "0 4 * * 0"})
    assert [file.path for file in systemd.Systemd().files(instance)] == [
        "/etc/systemd/system/holdfast-orders-full.service",
        "/etc/systemd/system/holdfast-orders-full.timer",
        "/etc/systemd/system/holdfast-orders-restore-test.service",
        "/etc/systemd/system/holdfast-orders-restore-test.timer",
    ]
    lines = cron.Cron().files(instance)[0].content.splitlines()
    assert [line.split()[:6] for line in lines if line[0].isdigit()] == [
        ["0", "1", "*", "*", "*", "postgres"],
        ["0", "4", "*", "*", "0", "postgres"],
    ]


def test_the_scheduler_grants_more_time_than_the_job_grants_itself():
    instance = orders({Job.FULL: "0 1 * * *"}, options={"time_limit_full": "2h"})
    seconds = int((timedelta(hours=2) + base.GRACE).total_seconds())
    assert f"\nTimeoutStartSec={seconds}\n" in unit(instance, "holdfast-orders-full.service")
    assert f" timeout -k 60 {seconds} " in cron.Cron().files(instance)[0].content


def test_a_delay_is_the_same_every_time_bounded_and_none_for_the_log():
    delays = {job.job: job.delay for job in base.scheduled_jobs(orders())}
    assert delays == {job.job: job.delay for job in base.scheduled_jobs(orders())}
    assert delays.pop(Job.LOG) == timedelta(0)
    assert all(timedelta(0) <= delay < schedule.LONGEST_DELAY for delay in delays.values())
    assert len(set(delays.values())) > 1
    timer = unit(orders(), "holdfast-orders-full.timer")
    assert "\nFixedRandomDelay=true\n" in timer
    assert "Random" not in unit(orders(), "holdfast-orders-log.timer")


def test_the_log_job_leaves_no_line_in_the_journal_each_minute():
    assert "LogLevelMax=notice" in unit(orders(), "holdfast-orders-log.service")
    assert "LogLevelMax" not in unit(orders(), "holdfast-orders-full.service")


def test_cron_leaves_mail_and_crontabs_alone():
    (file,) = cron.Cron().files(orders())
    assert file.path == "/etc/cron.d/holdfast-orders"
    assert (file.owner, file.mode) == ("root", 0o644)
    assert "MAILTO" not in file.content
    assert file.content.endswith("\n")
    assert "%" not in file.content  # cron would cut the command there


def test_an_expression_with_names_becomes_one_that_every_cron_reads():
    (file,) = cron.Cron().files(orders({Job.FULL: "0 1 * jan,jul sun"}))
    assert "\n0 1 * 1,7 0 postgres " in file.content


class Systemctl:
    """Stands in for systemctl: remembers the calls, answers ``show`` from a table of states."""

    def __init__(self, states=()):
        self.calls = []
        self.states = dict(states)

    def __call__(self, argv, **_):
        self.calls.append(argv[1:])
        blocks = []
        if argv[1] == "show":
            for name in argv[3:]:
                active, enabled = self.states.get(name, ("inactive", ""))
                blocks.append(f"Id={name}\nActiveState={active}\nUnitFileState={enabled}\n")
        return process.Result(argv, 0, "\n".join(blocks), "")


def paths(*names):
    return [f"/etc/systemd/system/{name}" for name in names]


@pytest.mark.parametrize(
    ("state", "is_inactive"),
    [
        (("active", "enabled"), False),
        (("inactive", "enabled"), True),
        (("active", "disabled"), True),
        (("failed", "enabled"), True),
    ],
    ids=str,
)
def test_a_timer_counts_as_active_only_when_it_runs_and_will_after_a_boot(monkeypatch, state, is_inactive):
    monkeypatch.setattr(process, "run", Systemctl({"a.timer": state, "b.timer": ("active", "enabled")}))
    found = systemd.Systemd().inactive(paths("a.service", "a.timer", "b.timer"))
    assert found == (paths("a.timer") if is_inactive else [])


def test_nothing_is_asked_or_done_when_nothing_changed(monkeypatch):
    systemctl = Systemctl()
    monkeypatch.setattr(process, "run", systemctl)
    systemd.Systemd().activate([], [])
    systemd.Systemd().retire(["/etc/cron.d/holdfast-orders"])
    assert systemd.Systemd().inactive([]) == []
    assert systemctl.calls == []


def test_a_changed_service_does_not_restart_its_timer(monkeypatch):
    systemctl = Systemctl()
    monkeypatch.setattr(process, "run", systemctl)
    systemd.Systemd().activate(paths("a.service", "b.timer", "c.timer"), paths("c.timer"))
    assert systemctl.calls == [
        ["daemon-reload"],
        ["enable", "--quiet", "--now", "c.timer"],
        ["restart", "b.timer"],
    ]


def test_retired_units_go_with_their_stamp_and_nothing_else_does(monkeypatch, tmp_path):
    systemctl = Systemctl()
    monkeypatch.setattr(process, "run", systemctl)
    monkeypatch.setattr(systemd, "_STAMPS", str(tmp_path))
    monkeypatch.setattr(systemd, "DIRECTORY", str(tmp_path))
    for name in ("a.service", "a.timer", "stamp-a.timer", "b.timer", "stamp-b.timer"):
        (tmp_path / name).touch()
    systemd.Systemd().retire([str(tmp_path / "a.service"), str(tmp_path / "a.timer"), "/etc/holdfast/keys/a.json"])
    assert systemctl.calls == [["disable", "--quiet", "--now", "a.timer"], ["daemon-reload"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.timer", "stamp-b.timer"]


def test_a_host_without_the_scheduler_is_told_which_to_choose(monkeypatch):
    monkeypatch.setattr(systemd.os.path, "isdir", lambda _: False)
    monkeypatch.setattr(cron.os.path, "exists", lambda _: False)
    with pytest.raises(InvalidInput, match="Set backup_scheduler to cron"):
        systemd.Systemd().check()
    with pytest.raises(InvalidInput, match="set backup_scheduler to systemd"):
        cron.Cron().check()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_takes_the_units(tmp_path):
    for file in systemd.Systemd().files(orders()):
        content = file.content.replace("/usr/local/bin/holdfast", "/bin/true").replace("postgres", "root")
        (tmp_path / file.path.rpartition("/")[2]).write_text(content)
    units = sorted(str(path) for path in tmp_path.iterdir())
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert [line for line in verified.stderr.splitlines() if "holdfast-" in line] == []


def test_what_all_jobs_share_is_in_one_file_that_systemd_applies_to_each():
    (common,) = systemd.Systemd().host_files()
    assert common.path == "/etc/systemd/system/holdfast-.service.d/holdfast.conf"
    assert {"Nice=10", "CPUWeight=20", "KillMode=control-group"} <= set(common.content.splitlines())
