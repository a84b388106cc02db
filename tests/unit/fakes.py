"""An engine and a tool that keep everything in memory: they prove what jobs do around them, nothing of a real one."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta

from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.model import (
    Backup,
    BackupType,
    CheckResult,
    Configuration,
    Fitted,
    Instance,
    Job,
    Keep,
    LogExposure,
    Marker,
    Repository,
    Retention,
    ServerInfo,
    ServiceLevel,
    Verification,
)
from ansible.module_utils.holdfast.tools.base import Restored, SavedLog

START = datetime(2026, 1, 1, tzinfo=UTC)


def service_level(**changes):
    weeks = Keep(age=timedelta(weeks=1))
    fields = {
        "name": "standard",
        "rpo": timedelta(minutes=15),
        "rto": timedelta(hours=1),
        "keep": Retention(weeks, weeks, weeks, timedelta(days=7), weeks, Keep(age=timedelta(weeks=52)), minimum_full=1),
        "schedule": {Job.FULL: "0 1 * * *", Job.LOG: "*/3 * * * *", Job.RESTORE_TEST: "0 4 * * 0"},
        "log_interval": timedelta(minutes=3),
    }
    return ServiceLevel(**{**fields, **changes})


def instance(state_directory, **changes):
    fields = {
        "name": "orders",
        "engine": "postgresql",
        "port": 5432,
        "service_level": service_level(),
        "repositories": (
            Repository("local", "posix", {"path": "/repo"}, {"passphrase": "s3cret-local"}),
            Repository("offsite", "s3", {"bucket": "b"}, {"passphrase": "s3cret-offsite", "key_secret": "s3cret-key"}),
        ),
        "os_user": "postgres",
        "state_directory": str(state_directory),
    }
    return Instance(**{**fields, **changes})


class FakeEngine:
    """A server whose tables and markers are attributes; ``down`` is the error that every call raises."""

    name = "postgresql"

    def __init__(self, owner: Instance) -> None:
        self.instance = owner
        self.down: HoldfastError | None = None
        self.live = {"app.public.orders": 100}
        self.markers: list[Marker] = []
        self.exposure = LogExposure(0, 0.0)
        self.problems: tuple[str, ...] = ()
        self.closed = False
        self.configured: Configuration | None = None

    def _answer(self):
        if self.down:
            raise self.down

    def close(self):
        self.closed = True

    def inspect(self):
        self._answer()
        return ServerInfo("15.1", "/data", "primary", 1000, ("app",), "42")

    def settings(self, wanted):
        return []

    def write_marker(self):
        self._answer()
        self.markers.append(Marker(len(self.markers) + 1, datetime.now(UTC)))
        return self.markers[-1]

    def save_configuration(self):
        self._answer()
        return self.configured

    def saved_configuration(self):
        return self.configured

    def fit(self, saved):
        return Fitted(dict(saved.parameters), dict(saved.files), dict(saved.left_out))

    def newest_marker(self):
        return self.markers[-1] if self.markers else None

    def log_exposure(self, newest_saved):
        self._answer()
        return self.exposure

    def tables(self):
        self._answer()
        return dict(self.live)

    def row_counts(self):
        return dict(self.live)

    def check(self):
        return CheckResult("fake", len(self.live), self.problems)

    def scratch(self, directory, *, expected_size):
        return FakeScratch(directory)


class FakeScratch:
    def __init__(self, directory):
        self.directory = directory
        self.data_directory = os.path.join(directory, "data")

    def start(self):
        raise AssertionError("the fake tool starts nothing")

    def destroy(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class FakeTool:
    """A tool whose repositories are lists; ``failures`` are raised by the next calls, one each."""

    types = frozenset(BackupType)

    def __init__(self, name, owner, engine):
        self.name = name
        self.instance = owner
        self.engine = engine
        self.stored = {repository.name: [] for repository in owner.repositories}
        self.failures: list[BaseException] = []
        self.damaged: dict[str, str] = {}
        self.restored = FakeEngine(owner)
        self.log_saved = 0

    def _fail(self):
        if self.failures:
            raise self.failures.pop(0)

    def notes(self):
        return []

    def server_settings(self):
        return {}

    def is_initialised(self, repository):
        return True

    def backup(self, type_, repository):
        self._fail()
        listed = self.stored[repository.name]
        when = START + timedelta(hours=len(listed))
        parent = listed[-1].id if type_ is BackupType.INCREMENTAL and listed else None
        backup = Backup(f"b{len(listed)}", type_, self.name, repository.name, when, when, 1000, 100, parent)
        listed.append(backup)
        return backup

    def archive(self):
        return self.backup(BackupType.FULL, self.instance.archive_repository)

    def save_log(self):
        self._fail()
        self.log_saved += 1
        return SavedLog("0001", 10)

    def newest_log(self, repository):
        return "0001"

    def backups(self, repository):
        return list(self.stored[repository.name])

    def verify(self, repository, backups):
        intact = tuple(item.id for item in backups if item.id not in self.damaged)
        return Verification(intact, {item.id: self.damaged[item.id] for item in backups if item.id in self.damaged})

    def expire(self, repository, backups, oldest_log_of):
        gone = {item.id for item in backups}
        self.stored[repository.name] = [item for item in self.stored[repository.name] if item.id not in gone]

    def restore(self, backup, repository, target, scratch):
        self._fail()
        os.makedirs(scratch.data_directory)
        self.restored.markers = list(self.engine.markers)
        return Restored(self.restored, {"restore": 1.0})


class FakeAdapters:
    """Stands where ``adapters.Adapters`` does, always with the same engine and tools."""

    def __init__(self, owner):
        self.instance = owner
        self.engine = FakeEngine(owner)
        self.physical = FakeTool("physical", owner, self.engine)
        self.logical = FakeTool("logical", owner, self.engine)

    def __call__(self, _instance):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.engine.close()

    def tools_of(self, repository):
        return [self.physical]

    def named(self, name):
        return self.physical
