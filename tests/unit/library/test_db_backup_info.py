import pytest
from ansible.module_utils.holdfast import config
from ansible.module_utils.holdfast.errors import InvalidInput

import db_backup_info


@pytest.fixture
def host(monkeypatch):
    broken = set()

    def owner(instance, call):
        if instance in broken:
            raise InvalidInput("cannot be read", where=instance, remedy="Run it again")
        return call()

    monkeypatch.setattr(config, "names", lambda: ["billing", "orders"])
    monkeypatch.setattr(config, "load", lambda name: name)
    monkeypatch.setattr(db_backup_info, "run_as_owner", owner)
    monkeypatch.setattr(db_backup_info, "instance_status", lambda name: {"instance": name, "state": "ok"})
    monkeypatch.setattr(db_backup_info, "list_backups", lambda name: [{"id": f"{name}-1"}])
    monkeypatch.setattr(db_backup_info, "list_records", lambda _, last, jobs: [{"last": last, "jobs": jobs}])
    return broken


def test_every_instance_of_the_host_is_told(run, host):
    result = run(db_backup_info.main)
    assert result["changed"] is False
    assert [(entry["instance"], entry["status"]["state"]) for entry in result["instances"]] == [
        ("billing", "ok"),
        ("orders", "ok"),
    ]


def test_only_what_is_asked_for_is_read(run, host):
    result = run(
        db_backup_info.main, instances=["orders", "elsewhere"], gather=["backups", "records"], last=3, jobs=["full"]
    )
    assert result["instances"] == [
        {"instance": "orders", "backups": [{"id": "orders-1"}], "records": [{"last": 3, "jobs": ["full"]}]}
    ]


def test_an_instance_that_cannot_be_read_is_an_entry_with_its_error(run, host):
    host.add("billing")
    result = run(db_backup_info.main)
    billing, orders = result["instances"]
    assert billing["error"]["what"] == "cannot be read"
    assert "status" in orders
    assert "failed" not in result


def test_check_mode_reads_as_well(run, host):
    assert run(db_backup_info.main, _check_mode=True)["instances"] == run(db_backup_info.main)["instances"]
