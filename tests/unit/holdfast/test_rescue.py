"""Where a rescue takes a part from, what it refuses, and what it leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from ansible.module_utils.holdfast import rescue, rescue_plan, restore_plan
from ansible.module_utils.holdfast.errors import CommandFailed, InvalidInput, NotInBackup, Refused
from ansible.module_utils.holdfast.manifests import write_manifest
from ansible.module_utils.holdfast.model import BackupType, LogRange, Place, ServerInfo
from ansible.module_utils.holdfast.parts import Part, Statements, parse_name
from ansible.module_utils.holdfast.rescue_plan import make_plan, make_request
from fakes import START, FakeAdapters, instance

TABLE = "app.public.orders"


class FakeRescue:
    def __init__(self, part):
        self.part, self.target = part, part.renamed(f"{part.name}_rescued")
        self.size_bytes, self.rows, self.steps = 10, 3, []

    def keep_where(self, condition):
        self.steps.append(("where", condition))

    def keep_deleted(self, later):
        self.steps.append(("deleted", later))

    def load(self):
        self.steps.append("load")

    def compare(self):
        return []

    def statements(self):
        return Statements(["SWAP"], ["MERGE"], ["care"])

    def replace(self):
        self.steps.append("replace")
        return self.part.renamed("before")


class FakeRescuer:
    def __init__(self):
        self.found, self.missing_in, self.discarded = [], [], []

    def part(self, kind, name):
        return Part(kind, parse_name(name, ("DATABASE", "SCHEMA", "TABLE")))

    def databases(self, part):
        return (part.path[0],)

    def new_name(self, part):
        return part.renamed(f"{part.name}_rescued")

    def find(self, source, part):
        if self.missing_in:
            raise NotInBackup(self.missing_in.pop(0))
        self.found.append(FakeRescue(part))
        return self.found[-1]

    def discard(self, part):
        self.discarded.append(part)


@pytest.fixture
def orders(tmp_path):
    return instance(tmp_path)


@pytest.fixture
def adapters(orders, monkeypatch):
    fake = FakeAdapters(orders)
    fake.rescuer = FakeRescuer()
    fake.engine.rescuer = lambda: fake.rescuer
    fake.engine.place = lambda: Place(orders.state_directory, None, True)
    fake.engine.inspect = lambda: ServerInfo("15.1", orders.state_directory, fake.role, 1000, ("app",), "42")
    fake.role = "primary"
    fake.physical.log_range = lambda *_: LogRange(1, 10)
    fake.physical.prove_log = lambda: "0001"
    fake.physical.backup(BackupType.FULL, orders.primary_repository)
    for module in (rescue, rescue_plan, restore_plan):
        monkeypatch.setattr(module, "Adapters", fake, raising=False)
    return fake


def dump(adapters, *tables):
    backup = adapters.logical.backup(BackupType.LOGICAL, adapters.instance.primary_repository)
    write_manifest(adapters.instance, backup, None, dict.fromkeys(tables, 1))
    return backup


def plan(adapters, **asked):
    return make_plan(adapters.instance, adapters, make_request("table", TABLE, **asked))


def run(adapters, **asked):
    record = {}
    rescue.run(adapters.instance, record, request=make_request("table", TABLE, **asked))
    return record["rescue"]


def test_the_newest_dump_is_taken_when_it_holds_the_table(adapters):
    dump(adapters, TABLE)
    assert plan(adapters).source.is_dump
    assert "dump b0 in local" in plan(adapters).fields()["source"]["text"]


@pytest.mark.parametrize("asked", [{"time": "latest"}, {"time": "2026-01-02T00:00:00Z"}])
def test_a_time_takes_backup_and_log(adapters, asked):
    dump(adapters, TABLE)
    found = plan(adapters, **asked).source
    assert not found.is_dump
    assert found.target.databases == ("app",)


def test_a_dump_without_the_table_is_passed_over(adapters):
    dump(adapters, "app.public.other")
    assert not plan(adapters).source.is_dump


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"time": "2126-01-01T00:00:00Z"}, "is in the future"),
        ({"time": "2026-01-02T00:00:00Z", "deleted_until": "2126-01-01T00:00:00Z"}, "is in the future"),
        ({"deleted_until": "now"}, "need that time"),
        ({"time": "2026-01-02T00:00:00Z", "deleted_until": "2026-01-01T12:00:00Z"}, "is not after"),
        ({"replace": True}, "does not confirm"),
        ({"replace": True, "confirm": "orders"}, "does not confirm"),
        ({"replace": True, "confirm": TABLE, "where": "id = 1"}, "merge them instead"),
    ],
)
def test_what_stands_in_the_way_is_refused_before_anything_is_done(adapters, asked, problem):
    with pytest.raises(Refused, match=problem):
        run(adapters, **asked)
    assert adapters.rescuer.found == []


def test_a_replica_is_refused(adapters):
    adapters.role = "replica"
    with pytest.raises(Refused, match="replica"):
        run(adapters)


def test_too_little_space_is_refused(adapters, monkeypatch):
    monkeypatch.setattr(rescue_plan.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5})())
    with pytest.raises(Refused, match="are needed in"):
        run(adapters)


def test_a_time_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="is no time"):
        make_request("table", TABLE, time="yesterday")


def test_a_part_is_loaded_compared_and_described(adapters):
    found = run(adapters)
    (made,) = adapters.rescuer.found
    assert made.steps == ["load"]
    assert found["target"] == f"{TABLE}_rescued"
    assert found["statements"] == {"swap": ["SWAP"], "merge": ["MERGE"]}
    assert {"restore", "extract", "load", "compare"} <= set(found["phases"])


def test_a_part_replaces_the_live_one_only_when_confirmed(adapters):
    found = run(adapters, replace=True, confirm=TABLE)
    assert adapters.rescuer.found[0].steps == ["load", "replace"]
    assert found["before"] == "app.public.before"


def test_rows_deleted_since_are_chosen_after_they_are_loaded(adapters):
    late = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    run(adapters, time=late, deleted_until="now")
    assert adapters.rescuer.found[0].steps == ["load", ("deleted", adapters.engine)]


def test_what_a_dump_turns_out_not_to_hold_comes_from_the_backup(adapters):
    dump(adapters, TABLE)
    adapters.rescuer.missing_in = ["not here"]
    assert run(adapters)["source"]["tool"] == "physical"


def test_what_is_nowhere_says_when_it_was_last_seen(adapters):
    backup = adapters.physical.backups(adapters.instance.primary_repository)[0]
    write_manifest(adapters.instance, backup, None, {TABLE: 1})
    adapters.rescuer.missing_in = ["not here"]
    with pytest.raises(NotInBackup) as caught:
        run(adapters, time="latest")
    assert f"It was there at backup {backup.id}, {START:%Y-%m-%d}" in caught.value.remedy


def test_a_load_that_fails_leaves_nothing(adapters, tmp_path, monkeypatch):
    def fail(self):
        raise CommandFailed("no")

    monkeypatch.setattr(FakeRescue, "load", fail)
    with pytest.raises(CommandFailed):
        run(adapters)
    assert [str(part) for part in adapters.rescuer.discarded] == [f"{TABLE}_rescued"]
    assert not (tmp_path / "rescue.json").exists()


def test_what_a_killed_rescue_was_loading_is_removed_by_the_next(adapters, tmp_path):
    (tmp_path / "rescue.json").write_text(json.dumps({"kind": "table", "path": ["app", "public", "half"]}))
    run(adapters)
    assert [str(part) for part in adapters.rescuer.discarded] == ["app.public.half"]
    assert not (tmp_path / "rescue.json").exists()
