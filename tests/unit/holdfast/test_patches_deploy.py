"""A patch goes through, or every step of it is undone: on a host of stand-ins for apt, dpkg and the servers."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from ansible.module_utils.holdfast.engines.patching import Drained
from ansible.module_utils.holdfast.errors import PackagesUnavailable, PatchFailed, Refused, ServerUnavailable
from ansible.module_utils.holdfast.patches import apt as apt_module
from ansible.module_utils.holdfast.patches import deploy, gate
from ansible.module_utils.holdfast.patches.deploy import Deployment
from ansible.module_utils.holdfast.patches.journal import Journal
from ansible.module_utils.holdfast.patches.packages import Change, Package
from ansible.module_utils.holdfast.patches.wish import Wish
from ansible.module_utils.holdfast.units import format_instant

NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
OLD, NEW = "15.18-0+deb12u1", "15.20-0+deb12u1"


class FakeApt:
    """Packages in a dictionary; ``fails`` names the calls that raise, ``versions`` is what is installed."""

    def __init__(self):
        self.versions = {"postgresql-15": OLD, "libpq5": OLD, "bash": "5.1"}
        self.available = {"postgresql-15": NEW, "libpq5": NEW, "bash": "5.2"}
        self.held = set()
        self.fails = {}
        self.half = []
        self.calls = []
        self.lost = False
        self.removes = False

    def _call(self, name):
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    def refresh(self):
        self._call("refresh")

    def installed(self):
        source = {"postgresql-15": "postgresql-15", "libpq5": "postgresql-15", "bash": "bash"}
        return {
            name: Package(name, version, source[name], version, name in self.held, name not in self.half)
            for name, version in self.versions.items()
        }

    def upgradable(self):
        origins = ("Debian-Security:12/oldstable-security",)
        return [
            Change(name, self.versions[name], after, () if name == "bash" else origins)
            for name, after in self.available.items()
            if self.versions[name] != after
        ]

    def simulate(self, wanted):
        gone = [Change("libfoo", "1", "")] if self.removes else []
        return [Change(name, self.versions[name], after) for name, after in wanted.items()] + gone

    def owner(self, path):
        return "postgresql-15" if path == "/bin/postgres" else ""

    def fetch(self, wanted, directory):
        self._call("fetch")
        return self._files(wanted, directory)

    def keep(self, kept, directory):
        self._call("keep")
        return self._files(dict(list(kept.items())[: 0 if self.lost else None]), directory)

    def _files(self, wanted, directory):
        os.makedirs(directory, exist_ok=True)
        for name, version in wanted.items():
            with open(os.path.join(directory, f"{name}_{version}.deb"), "w"):
                pass
        return apt_module.archives(directory)

    def install(self, paths):
        assert self.quiet, "a package could restart the server"
        for path in paths:
            name, version = os.path.basename(path)[:-4].split("_")
            self.versions[name] = version
        self._call("install")

    def put_back(self, paths, added):
        assert self.quiet
        self._call("put_back")
        self.half = []
        for path in paths:
            name, version = os.path.basename(path)[:-4].split("_")
            self.versions[name] = version

    def broken(self):
        return list(self.half)

    def hold(self, names):
        self.held |= set(names)

    def release(self, names):
        self.held -= set(names)

    quiet = False

    def no_restarts(self):
        owner = self

        class Quiet:
            def __enter__(self):
                owner.quiet = True

            def __exit__(self, *_):
                owner.quiet = False

        return Quiet()


class FakeServer:
    """A server that runs the version that was installed when it was started."""

    def __init__(self, apt, name="orders", **state):
        self.name = name
        self.server = self
        self.apt = apt
        self.runs = apt.versions["postgresql-15"]
        self.up = True
        self.calls = []
        self.bad = set()  # versions with which it does not start
        self.state = {
            "window_problem": "",
            "closes": None,
            "fenced": "",
            "running": [],
            "backup": format_instant(NOW - timedelta(hours=1)),
            "verified": format_instant(NOW - timedelta(days=1)),
            "damaged": [],
            "role": "primary",
            "tables": ["a", "b"],
            "marker": 7,
            "checks": {},
            "long": [],
            "streaming": False,
            "lag_seconds": None,
            "problem": "",
            "replicas": [],
            **state,
        }
        self.afterwards = {}

    def executable(self):
        return "/bin/postgres"

    def packages(self):
        return ["pgbackrest"]

    def look(self, wish):
        version = self.runs.split("-")[0]
        later = self.afterwards if self.runs == NEW else {}
        return {"instance": self.name, "error": "" if self.up else "down", "version": version, **self.state, **later}

    def write_marker(self):
        self.calls.append("marker")

    def drain(self, patience):
        self.calls.append("drain")
        return Drained(2, 0)

    def undrain(self):
        self.calls.append("undrain")

    def stop(self):
        self.calls.append("stop")
        self.up = False

    def start(self, patience):
        self.calls.append("start")
        self.runs = self.apt.versions["postgresql-15"]
        if self.runs in self.bad:
            raise ServerUnavailable("does not answer", where=self.name)
        self.up = True

    def down(self):
        return not self.up

    def outdated(self):
        return not self.up or self.runs != self.apt.versions["postgresql-15"]


@pytest.fixture
def apt():
    return FakeApt()


@pytest.fixture
def server(apt):
    return FakeServer(apt)


@pytest.fixture
def patch(tmp_path, apt, server):
    def make(*members, now=lambda: NOW, **wish):
        wish.setdefault("kinds", ["database"])
        return Deployment(apt, members or (server,), Journal(str(tmp_path)), Wish(patience=0.01, **wish), now=now)

    return make


def test_the_plan_changes_nothing_and_says_what_would_be(patch, apt, server):
    outcome = patch().plan()
    assert outcome.result == "planned"
    assert [item.describe() for item in outcome.changes] == [
        f"postgresql-15 {OLD} becomes {NEW}",
        f"libpq5 {OLD} becomes {NEW}",
    ]
    assert outcome.restarts == ["orders"]
    assert outcome.holds == ["libpq5, postgresql-15: held"]
    assert (apt.calls, server.calls, apt.held) == ([], [], set())


def test_a_patch_installs_restarts_once_verifies_and_holds(patch, apt, server, tmp_path):
    outcome = patch().run()
    assert outcome.error is None
    assert outcome.result == "patched"
    assert server.calls == ["marker", "drain", "stop", "start"]
    assert apt.calls == ["refresh", "fetch", "keep", "install"]
    assert (apt.versions["postgresql-15"], apt.versions["bash"]) == (NEW, "5.1")
    assert outcome.versions == {"orders": "15.20"}
    assert outcome.seconds_down["orders"] >= 0
    assert apt.held == {"postgresql-15", "libpq5"}
    assert not (tmp_path / "journal.json").exists()


def test_the_second_run_finds_nothing(patch, server):
    patch().run()
    calls = list(server.calls)
    outcome = patch().run()
    assert (outcome.result, outcome.error, outcome.changed, server.calls) == ("nothing due", None, False, calls)


def test_system_packages_restart_only_a_server_that_uses_them(patch, apt, server):
    outcome = patch(kinds=["system"]).run()
    assert outcome.result == "patched"
    assert apt.versions["bash"] == "5.2"
    assert server.calls == ["marker"]


def test_security_updates_alone(patch, apt):
    patch(kinds=["system", "database"], security=True).run()
    assert (apt.versions["bash"], apt.versions["postgresql-15"]) == ("5.1", NEW)


def test_what_somebody_else_holds_stays_and_is_told(patch, apt, server):
    apt.held = {"postgresql-15", "libpq5"}
    outcome = patch().run()
    assert outcome.result == "nothing due"
    assert f"postgresql-15 {OLD} is held by somebody else and stays" in outcome.notes
    assert apt.held == {"postgresql-15", "libpq5"}
    patch(hold=False).run()
    assert apt.held == {"postgresql-15", "libpq5"}, "a hold of somebody else was taken away"


def test_our_hold_is_no_obstacle_and_can_be_given_up(patch, apt):
    patch().run()
    apt.available["postgresql-15"] = "15.21-1"
    assert patch().run().result == "patched"
    patch(hold=False).run()
    assert apt.held == set()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"window_problem": "restart work may begin on Sunday"}, "may begin on Sunday"),
        ({"closes": format_instant(NOW + timedelta(minutes=3))}, "open for 3m more, and a patch is expected to take"),
        ({"fenced": "it lost"}, "is fenced"),
        ({"running": ["full"]}, "a full job is running"),
        ({"long": ["process 7 of app"]}, "a transaction is longer than 1m: process 7 of app"),
        ({"role": "replica", "streaming": False, "problem": "no slot"}, "receives no log: no slot"),
        ({"role": "replica", "streaming": True, "lag_seconds": 99.0}, "99 s behind its primary"),
        ({"backup": None}, "nobody knows that a backup of it was taken"),
        ({"backup": format_instant(NOW - timedelta(days=9))}, "a backup of it was taken 9d ago"),
        ({"verified": format_instant(NOW - timedelta(days=9))}, "its backups were verified 9d ago"),
        ({"damaged": ["b1"]}, "found damaged backups: b1"),
    ],
)
def test_what_stands_in_the_way_stops_it_before_anything_is_fetched(patch, apt, broken, words):
    server = FakeServer(apt, **broken)
    with pytest.raises(Refused, match=r"[\s\S]*" + words):
        patch(server).plan()
    outcome = patch(server).run()
    assert outcome.result == "nothing was changed"
    assert outcome.error["code"] == "refused"
    assert words in outcome.error["what"]
    assert (apt.calls, server.calls) == (["refresh"], [])


def test_a_server_that_does_not_answer_is_not_patched(patch, apt, server):
    server.up = False
    outcome = patch().run()
    assert "orders does not answer" in outcome.error["what"]
    assert apt.versions["postgresql-15"] == OLD


def test_limits_can_be_given_up(patch, apt):
    server = FakeServer(apt, backup=None, verified=None)
    assert patch(server, backup_within=None, verified_within=None).run().result == "patched"


def test_removals_and_unfinished_packages_are_refused(patch, apt):
    apt.removes = True
    apt.half = ["bash"]
    outcome = patch().run()
    assert "apt would remove packages: libfoo 1 goes" in outcome.error["what"]
    assert "dpkg has not finished with bash" in outcome.error["what"]


@pytest.mark.parametrize("call", ["refresh", "fetch"])
def test_repositories_that_do_not_answer_leave_everything_as_it_was(patch, apt, server, call, tmp_path):
    apt.fails[call] = PackagesUnavailable("packages cannot be had: connection refused")
    outcome = patch().run()
    assert (outcome.result, outcome.error["code"]) == ("nothing was changed", "packages-unavailable")
    assert apt.versions["postgresql-15"] == OLD
    assert server.calls == []
    assert not (tmp_path / "journal.json").exists()


def test_without_a_way_back_nothing_is_begun(patch, apt, server):
    apt.lost = True
    outcome = patch().run()
    assert outcome.result == "nothing was changed"
    assert "there would be no way back" in outcome.error["what"]
    assert "install" not in apt.calls


def test_a_package_that_fails_is_put_back_and_no_server_is_restarted(patch, apt, server, tmp_path):
    apt.fails["install"] = PatchFailed("the packages could not be installed: postinst exited with 1")
    outcome = patch().run()
    assert (outcome.result, outcome.error["code"]) == ("rolled back", "patch-failed")
    assert "postinst exited with 1" in outcome.error["what"]
    assert apt.versions["postgresql-15"] == OLD
    assert server.calls == ["marker", "undrain"]
    assert outcome.versions == {"orders": "15.18"}
    assert not (tmp_path / "journal.json").exists()


def test_a_server_that_does_not_start_gets_its_version_back(patch, apt, server):
    server.bad = {NEW}
    outcome = patch().run()
    assert outcome.result == "rolled back"
    assert server.calls == ["marker", "drain", "stop", "start", "stop", "start"]
    assert (server.up, server.runs) == (True, OLD)
    assert outcome.seconds_down["orders"] >= 0


@pytest.mark.parametrize(
    ("afterwards", "words"),
    [
        ({"version": "15.18"}, "says that it is 15.18, and its package is 15.20"),
        ({"role": "replica"}, "was a primary and is a replica"),
        ({"tables": ["a"]}, "tables are gone: b"),
        ({"marker": 3}, "its newest marker row was 7 and is 3"),
        ({"checks": {"rows": "4"}}, "the check 'rows' gave '5' before and gives '4'"),
    ],
)
def test_a_server_that_is_worse_than_before_gets_its_version_back(patch, apt, afterwards, words):
    server = FakeServer(apt, checks={"rows": "5"})
    server.afterwards = afterwards
    outcome = patch(server).run()
    assert outcome.result == "rolled back"
    assert words in outcome.error["what"]
    assert server.runs == OLD


def test_a_replica_that_does_not_come_back_gets_its_version_back(patch, apt):
    server = FakeServer(apt, role="replica", streaming=True, lag_seconds=0.1)
    server.afterwards = {"streaming": False, "problem": "no route to its primary"}
    outcome = patch(server).run()
    assert outcome.result == "rolled back"
    assert "no route to its primary" in outcome.error["what"]


def test_a_primary_waits_for_its_replicas(patch, apt):
    server = FakeServer(apt, replicas=["orders-dr"])
    server.afterwards = {"replicas": []}
    assert "its replica orders-dr is not attached again" in patch(server).run().error["what"]


def test_a_way_back_that_fails_is_told_as_half_done(patch, apt, server, tmp_path):
    server.bad = {NEW, OLD}
    outcome = patch().run()
    assert outcome.result == "half done"
    assert "Then putting the versions before back failed" in outcome.error["what"]
    assert "dpkg --install" in outcome.error["remedy"]
    assert (tmp_path / "journal.json").exists(), "the next run would not know that it must undo it"


def test_a_way_back_that_ends_unexpectedly_is_told_too(patch, apt, server):
    server.bad = {NEW}
    apt.fails["put_back"] = OSError("no space left")
    outcome = patch().run()
    assert outcome.result == "half done"
    assert "unexpected OSError: no space left" in outcome.error["what"]


class Clock:
    def __init__(self, **steps):
        self.steps, self.now = steps, NOW

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("when", "result", "calls"),
    [("keep", "nothing was changed", []), ("install", "rolled back", ["marker", "undrain"])],
)
def test_a_window_that_ends_during_the_patch_undoes_what_was_begun(patch, apt, when, result, calls, monkeypatch):
    clock = Clock()
    server = FakeServer(apt, closes=format_instant(NOW + timedelta(hours=1)))
    original = getattr(apt, when)

    def late(*arguments):
        clock.now = NOW + timedelta(hours=2)
        return original(*arguments)

    monkeypatch.setattr(apt, when, late)
    outcome = patch(server, now=clock).run()
    assert (outcome.result, outcome.error["code"]) == (result, "window-closed")
    assert apt.versions["postgresql-15"] == OLD
    assert server.calls == calls


def test_a_run_that_was_killed_is_undone_by_the_next(patch, apt, server, monkeypatch, tmp_path):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy.Deployment, "_restart_outdated", die)
    with pytest.raises(KeyboardInterrupt):
        patch().run()
    monkeypatch.undo()
    assert apt.versions["postgresql-15"] == NEW
    apt.half = ["postgresql-15"]
    server.up = False
    outcome = patch().run()
    assert outcome.steps[0].endswith("was killed before its end: it is undone first")
    assert apt.calls.index("put_back") < apt.calls.index("refresh", 3)
    assert outcome.result == "patched"
    assert (server.up, server.runs) == (True, NEW)


def test_two_at_once_are_refused(patch, tmp_path):
    with Journal(str(tmp_path)).alone():
        outcome = patch().run()
    assert outcome.error["code"] == "busy"


def test_several_servers_of_one_package_are_restarted_one_after_the_other(patch, apt):
    one, two = FakeServer(apt, "orders"), FakeServer(apt, "billing")
    two.bad = {NEW}
    outcome = patch(one, two).run()
    assert outcome.result == "rolled back"
    assert one.calls == ["marker", "drain", "stop", "start", "stop", "start"]
    assert (one.runs, two.runs, two.up) == (OLD, OLD, True)


def test_nothing_is_wrong_with_a_server_that_is_as_before():
    state = {"instance": "a", "version": "15.20", "role": "primary", "tables": ["t"], "marker": 1, "checks": {}}
    assert gate.worse(state, dict(state, marker=2, tables=["t", "u"]), "15.20-1") == []
    assert gate.worse(state, {"error": "gone"}, "") == ["a does not answer: gone"]
