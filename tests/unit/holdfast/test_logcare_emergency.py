import fcntl
import os
import time

import fakes
import pytest
from ansible.module_utils.holdfast.engines.logs import Source
from ansible.module_utils.holdfast.logcare import emergency
from ansible.module_utils.holdfast.logcare.emergency import Goal, free, goal, steps
from ansible.module_utils.holdfast.logcare.host import Told
from ansible.module_utils.holdfast.logcare.settings import Share
from ansible.module_utils.holdfast.model import Place

OLD = time.time() - 60 * 86400


class Disk:
    """A file system on which only the files below a directory count."""

    def __init__(self, root, total):
        self.root, self.total = root, total

    def free(self):
        used = sum(
            os.lstat(os.path.join(path, name)).st_size for path, _, names in os.walk(self.root) for name in names
        )
        return self.total - used


@pytest.fixture
def place(tmp_path, monkeypatch):
    data = tmp_path / "pgdata"
    (data / "pg_wal").mkdir(parents=True)
    (data / "pg_wal" / "000000010000000000000001").write_bytes(b"x" * 4096)
    logs = tmp_path / "log"
    logs.mkdir()
    monkeypatch.setattr(emergency, "LOGS", str(logs))
    monkeypatch.setattr(emergency, "_TEMPORARY", ((str(tmp_path / "tmp"), 10),))
    monkeypatch.setattr(emergency, "_package_cache", lambda: iter(()))
    return tmp_path


def told(root, **source):
    instance = fakes.instance(root / "state")
    (root / "state").mkdir(exist_ok=True)
    return Told(instance, sources=[Source(**{"kind": "server", "path": str(root / "log" / "pg.log"), **source})])


def write(path, size=4096, when=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    if when:
        os.utime(path, (when, when))
    return path


def find(root, *, aside=(), **source):
    device = os.stat(root).st_dev
    return {
        step.id: step
        for step in steps([told(root, **source)], [Place(str(root / "pgdata"), "unit", True)], device, aside)
    }


def paths(step):
    return [os.path.basename(path) for item in step.candidates for path in item.paths]


def test_the_order_is_that_of_least_harm(place):
    assert list(find(place)) == [
        "rotated_logs", "package_cache", "temporary_files", "leftovers", "core_dumps", "set_aside",
    ]  # fmt: skip


def test_rotated_logs_go_down_to_a_minimum_and_never_the_one_that_is_written(place):
    write(place / "log" / "pg.log")
    for number in range(1, 6):
        write(place / "log" / f"pg.log.{number}", when=OLD - number)
    write(place / "log" / "pg.log.of-somebody")
    assert paths(find(place)["rotated_logs"]) == ["pg.log.5", "pg.log.4", "pg.log.3"]


def test_rotated_audit_logs_stay_until_they_are_copied(place):
    for number in range(1, 6):
        write(place / "log" / f"pg.log.{number}", when=OLD - number)
    assert paths(find(place, also_audit=True)["rotated_logs"]) == []


def test_temporary_files_go_when_nobody_has_touched_them(place, monkeypatch):
    write(place / "tmp" / "new")
    old = write(place / "tmp" / "old", when=OLD)
    write(place / "tmp" / "systemd-private-x" / "old", when=OLD)
    (place / "tmp" / "link").symlink_to(old)
    really = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: _untouched(really(path)) if "old" in str(path) else really(path))
    assert paths(find(place)["temporary_files"]) == ["old"]


def _untouched(status):
    values = list(status)
    values[9] = OLD  # no test can set the time of the last change of an inode
    return os.stat_result(values, {"st_blocks": 8, "st_mtime": OLD, "st_atime": OLD, "st_ctime": OLD})


def test_what_recovery_needs_is_never_a_candidate(place, monkeypatch):
    """Even where a step would name it."""
    needed = [
        place / "pgdata" / "pg_wal" / "000000010000000000000001",
        write(place / "pgdata" / "pg_wal" / "00000002.history"),
        write(place / "mysql" / "mysql-bin.000007"),
        write(place / "mysql" / "mysql-bin.index"),
        write(place / "mysql" / "ib_logfile0"),
        write(place / "mysql" / "relay-log-index"),
        place / "pgdata",
        place / "pgdata" / "pg_wal",
        place,
    ]
    found = [emergency.Candidate(str(path), (str(path),), 1) for path in needed]
    monkeypatch.setattr(emergency, "_package_cache", lambda: iter(found))
    assert find(place)["package_cache"].candidates == []


def test_a_dump_of_a_crash_goes_and_data_that_is_set_aside_only_when_named(place):
    write(place / "pgdata" / "core.4711")
    kept = place / "pgdata.before-20261101T000000Z"
    write(kept / "base" / "1" / "1259")
    other = place / "elsewhere"
    write(other / "x")
    found = find(place)
    assert paths(found["core_dumps"]) == ["core.4711"]
    assert paths(found["set_aside"]) == []
    assert any(str(kept) in note for note in found["set_aside"].notes)
    found = find(place, aside=[str(kept), str(other)])
    assert paths(found["set_aside"]) == [kept.name]
    assert any(str(other) in note and "no data" in note for note in found["set_aside"].notes)


def _target(root, total, wanted, monkeypatch):
    disk = Disk(str(root), total)
    monkeypatch.setattr(Goal, "free", lambda _: disk.free())
    return Goal(str(root), wanted, total, os.stat(root).st_dev)


def test_it_stops_as_soon_as_enough_is_free(place, monkeypatch):
    write(place / "log" / "pg.log")
    for number in range(1, 6):
        write(place / "log" / f"pg.log.{number}", 10_000, OLD - number)
    scratch = write(place / "state" / "scratch" / "a" / "data", 50_000)
    found = list(find(place).values())
    used = 100_000 - Disk(str(place), 100_000).free()
    target = _target(place, used, 15_000, monkeypatch)
    free(found, target)
    assert sorted(os.listdir(place / "log")) == ["pg.log", "pg.log.1", "pg.log.2", "pg.log.3"]
    assert (found[0].freed, found[0].done) == (20_000, True)
    assert scratch.exists()
    assert target.reached


def test_leftovers_stay_while_a_job_runs(place, monkeypatch):
    scratch = write(place / "state" / "scratch" / "a" / "data", 50_000)
    lock = write(place / "state" / "backup.lock", 0)
    found = [find(place)["leftovers"]]
    target = _target(place, 60_000, 50_000, monkeypatch)
    with lock.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        free(found, target)
    assert scratch.exists()
    assert "a job runs" in found[0].notes[0]
    free(found, target)
    assert not scratch.exists()


def test_a_file_that_cannot_be_removed_is_told_and_the_others_go(place, monkeypatch):
    for number in range(1, 5):
        write(place / "log" / f"pg.log.{number}", 10_000, OLD - number)
    found = [find(place)["rotated_logs"]]
    (place / "log" / "pg.log.4").unlink()
    free(found, _target(place, 30_000, 29_000, monkeypatch))
    assert any("pg.log.4 cannot be removed" in note for note in found[0].notes)
    assert not (place / "log" / "pg.log.3").exists()


def test_a_goal_is_a_share_of_the_file_system_or_bytes(tmp_path):
    total = goal(str(tmp_path), Share(percent=10)).total
    assert goal(str(tmp_path), Share(percent=10)).wanted == total // 10
    assert goal(str(tmp_path), Share(bytes=5)).wanted == 5
    assert goal(str(tmp_path), Share(bytes=5)).reached


def test_links_of_others_lead_to_nothing_that_is_removed(place):
    precious = write(place / "elsewhere" / "precious", when=OLD)
    state = place / "state"
    state.mkdir()
    (state / "scratch").symlink_to(precious.parent)
    found = find(place)
    assert paths(found["leftovers"]) == []

    (state / "scratch").unlink()
    write(state / "scratch" / "precious")
    step = find(place)["leftovers"]
    assert paths(step) == ["precious"]
    (state / "scratch" / "precious").unlink()
    (state / "scratch").rmdir()
    (state / "scratch").symlink_to(precious.parent)
    free([step], Goal(str(place), 1 << 62, 1 << 62, 0))
    assert precious.exists()
    assert "cannot be removed" in step.notes[0]
