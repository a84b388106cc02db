import pytest
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.model import ON_REQUEST, Job

import db_job

OK = {"job": "full", "result": "ok", "seconds": 1.0, "finished": "2026-01-01T00:00:00.000Z"}


@pytest.fixture
def host(monkeypatch):
    """The jobs that ran; an instance in ``failing`` fails, with its record or before it has one."""

    class Host:
        def __init__(self):
            self.ran = []
            self.failing = {}

        def run_job(self, instance, job, *, scheduled, on_request):
            assert on_request  # what a playbook runs, a person wants now: windows warn and do not postpone it
            self.ran.append((instance, job, scheduled))
            error = self.failing.get(instance)
            return {**OK, "instance": instance, **({"result": "failed", "error": error} if error else {})}

        def owner(self, instance, call):
            if self.failing.get(instance) == "no user":
                raise InvalidInput("the OS user does not exist")
            return call()

    made = Host()
    monkeypatch.setattr(config, "names", lambda: ["billing", "orders"])
    monkeypatch.setattr(config, "load", lambda name: name)
    monkeypatch.setattr(db_job, "configure_logging", lambda *_, **__: None)
    monkeypatch.setattr(db_job, "run_as_owner", made.owner)
    monkeypatch.setattr(db_job, "run_job", made.run_job)
    return made


def test_it_runs_the_job_of_every_instance(run, host):
    result = run(db_job.main, job="full")
    assert host.ran == [("billing", Job.FULL, False), ("orders", Job.FULL, False)]
    assert result["changed"]
    assert [record["instance"] for record in result["records"]] == ["billing", "orders"]
    assert "billing" in result["table"]


def test_it_runs_the_job_of_the_chosen_ones_that_are_here(run, host):
    result = run(db_job.main, job="restore_test", instances=["orders", "elsewhere"], wait=True)
    assert host.ran == [("orders", Job.RESTORE_TEST, True)]
    assert result["planned"] == ["orders"]


def test_a_host_without_any_of_them_is_no_failure(run, host):
    result = run(db_job.main, job="full", instances=["elsewhere"])
    assert (result["changed"], result["records"], host.ran) == (False, [], [])


def test_check_mode_says_what_would_run(run, host):
    result = run(db_job.main, _check_mode=True, job="incremental")
    assert host.ran == []
    assert (result["changed"], result["planned"]) == (True, ["billing", "orders"])
    assert result["table"] == "billing: would run incremental\norders: would run incremental"


def test_every_failure_is_named_and_none_stops_the_others(run, host):
    host.failing = {"billing": "no user", "orders": {"what": "disk full", "where": "local", "remedy": "Free some"}}
    result = run(db_job.main, job="full")
    assert result["failed"]
    assert result["msg"].splitlines() == [
        "billing: the OS user does not exist",
        "orders: full failed after 1.0s: disk full (local). Free some",
    ]
    assert len(result["records"]) == 1


def test_every_job_can_be_asked_for():
    # An audit takes a policy with it: that is db_access_info.
    others = (*ON_REQUEST, Job.ACCESS_AUDIT)
    assert db_job.ARGUMENTS["job"]["choices"] == [str(job) for job in Job if job not in others]
