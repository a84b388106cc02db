import grp
import json
import os
import pwd
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import fakes
import pytest
from ansible.module_utils.holdfast import config, converge, host, runner, setup
from ansible.module_utils.holdfast.errors import InvalidInput, NotInstalled, ServerUnavailable
from ansible.module_utils.holdfast.files import File
from ansible.module_utils.holdfast.guard import Override
from ansible.module_utils.holdfast.model import Job, Marker, Repository, Setting, Window, WindowKind
from ansible.module_utils.holdfast.records import Records
from ansible.module_utils.holdfast.schedulers import cron, systemd

SECRETS = ("s3cret-local", "s3cret-tool", "s3cret-old")


class Server:
    """One instance's server, repositories and tools, kept in memory; what they are asked for is in ``done``."""

    def __init__(self, name, files):
        self.done = []
        self.parameters = {"archive_mode": ["off", "on", True], "archive_command": ["", "push", False]}
        self.pending = set()
        self.initialised = False
        self.markers = []
        self.role = "primary"
        self.used_by = ["the shop"]
        self.missing_program = False
        self.errors = {}
        self.tool_file = File(str(files / f"tool-{name}.conf"), "key=s3cret-tool\n# Holdfast\n", 0o600, secret=True)

    def fail(self, where):
        if where in self.errors:
            raise self.errors[where]

    def settings(self, wanted):
        return [
            Setting(name, current, target, restart, name in self.pending)
            for name, (current, target, restart) in self.parameters.items()
            if name in wanted
        ]

    def apply_settings(self, settings):
        for item in settings:
            self.done.append(f"set {item.name}")
            if item.restart:
                self.pending.add(item.name)
            else:
                self.parameters[item.name][0] = item.wanted

    def restart(self):
        self.done.append("restarted")
        for name in self.pending:
            self.parameters[name][0] = self.parameters[name][1]
        self.pending.clear()


class Adapters:
    def __init__(self, instance, servers):
        self.instance = instance
        self.server = servers[instance.name]
        self.engine = self
        self.physical = SimpleNamespace(
            name="tool",
            files=self.files,
            notes=lambda: [f"note of {instance.name}"],
            server_settings=lambda: dict.fromkeys(self.server.parameters, ""),
            is_initialised=self.is_initialised,
            initialise=self.initialise,
        )
        self.logical = SimpleNamespace(**{**vars(self.physical), "name": "logical"})
        self.settings = self.server.settings
        self.apply_settings = self.server.apply_settings
        self.restart = self.server.restart

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def inspect(self):
        self.server.fail("server")
        return SimpleNamespace(version="15.1", role=self.server.role)

    def tables(self):
        return {"public.orders": 1} if self.server.used_by else {}

    def clients(self):
        return self.server.used_by

    def newest_marker(self):
        return self.server.markers[-1] if self.server.markers else None

    def ensure_marker(self):
        self.server.done.append("marker table")
        return True

    def write_marker(self):
        self.server.markers.append(Marker(1, fakes.START))

    def files(self):
        if self.server.missing_program:
            raise NotInstalled("tool is not installed")
        return [self.server.tool_file] if self.server.tool_file else []

    def is_initialised(self, _repository):
        assert os.path.isdir(self.instance.state_directory), "a tool is run before it has a place to work in"
        file = self.server.tool_file
        assert file is None or os.path.exists(file.path), "a repository is asked before its tool is configured"
        self.server.fail("repository")
        return self.server.initialised

    def initialise(self, repository):
        self.server.done.append(f"initialise {repository.name}")
        self.server.initialised = True


class Jobs:
    """Stands in for systemctl: which timers are active."""

    def __init__(self):
        self.active = set()
        self.calls = []

    def __call__(self, argv, **_):
        self.calls.append(argv[1])
        timers = [word for word in argv[2:] if word.endswith(".timer")]
        out = ""
        if argv[1] == "show":
            states = [("active", "enabled") if name in self.active else ("inactive", "") for name in timers]
            out = "\n".join(
                f"Id={name}\nActiveState={active}\nUnitFileState={enabled}\n"
                for name, (active, enabled) in zip(timers, states, strict=True)
            )
        elif argv[1] == "enable":
            self.active.update(timers)
        elif argv[1] == "disable":
            self.active.difference_update(timers)
        elif argv[1] == "restart":
            assert set(timers) <= self.active, "systemctl fails for a unit that is not there"
        return SimpleNamespace(check=lambda: SimpleNamespace(stdout=out))


class Lab:
    def __init__(self, root):
        self.root = root
        self.jobs = Jobs()
        self.servers = {name: Server(name, root) for name in ("orders", "shop", "sales")}

    def instance(self, name="orders", schedule=None, **changes):
        return fakes.instance(
            self.root / "state" / name,
            name=name,
            os_user="root",
            port=5432 if name == "orders" else 5433,
            repositories=(
                Repository("local", "posix", {"path": str(self.root / "repo")}, {"passphrase": "s3cret-local"}),
            ),
            service_level=fakes.service_level(schedule=schedule or {Job.FULL: "0 1 * * *", Job.LOG: "* * * * *"}),
            **changes,
        )

    def run(self, *instances, scheduler="systemd", restart=()):
        return converge.apply(converge.plan(instances, scheduler, restart=restart))

    def check(self, *instances, scheduler="systemd", restart=()):
        return converge.preview(converge.plan(instances, scheduler, restart=restart))

    def tree(self):
        """Every file with its content and mode."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in sorted(self.root.rglob("*"))
        }


@pytest.fixture
def lab(tmp_path, monkeypatch):
    me = SimpleNamespace(pw_name="root", pw_uid=os.getuid(), pw_gid=os.getgid(), pw_dir="/root")
    group = ("root", "x", os.getgid())
    monkeypatch.setattr(pwd, "getpwnam", lambda name: me if name == "root" else {}[name])
    monkeypatch.setattr(pwd, "getpwuid", lambda _: ("root",))
    monkeypatch.setattr(grp, "getgrnam", lambda _: SimpleNamespace(gr_gid=os.getgid()))
    monkeypatch.setattr(grp, "getgrgid", lambda _: type("Group", (tuple,), {"gr_name": "root"})(group))
    places = {
        config: {"INSTANCES": "etc/instances", "KEYS": "etc/keys", "STATE": "state", "LOGS": "log"},
        runner: {"ARCHIVE": "opt/holdfast.pyz", "COMMAND": "bin/holdfast"},
        host: {"MANIFEST": "state/managed.json", "COMPLETION": "completion", "LOGROTATE": "logrotate"},
        converge: {"STATE": "state"},
        cron: {"DIRECTORY": "cron.d"},
        systemd: {"DIRECTORY": "systemd", "_STAMPS": "stamps"},
    }
    for module, names in places.items():
        for name, path in names.items():
            monkeypatch.setattr(module, name, str(tmp_path / path))
    (tmp_path / "bin").mkdir()
    made = Lab(tmp_path)
    monkeypatch.setattr(runner, "sources", lambda: {"holdfast/__init__.py": b""})
    for module in (converge, setup):
        monkeypatch.setattr(module, "Adapters", lambda instance: Adapters(instance, made.servers))
    monkeypatch.setattr(converge, "run_as_owner", lambda _, call: json.loads(json.dumps(call())))
    monkeypatch.setattr(systemd.process, "run", made.jobs)
    monkeypatch.setattr(systemd.Systemd, "check", lambda _: None)
    monkeypatch.setattr(cron.Cron, "check", lambda _: None)
    return made


def test_a_first_run_does_everything_and_a_second_nothing(lab):
    orders = lab.instance()
    first = lab.run(orders)
    assert first.changed
    assert not first.failures
    assert lab.servers["orders"].done == ["initialise local", "marker table", "set archive_mode", "set archive_command"]
    assert lab.jobs.active == {"holdfast-orders-full.timer", "holdfast-orders-log.timer"}
    before, lab.jobs.calls = lab.tree(), []
    second = lab.run(orders)
    assert (second.changed, second.diff, second.failures) == (False, [], [])
    assert lab.tree() == before
    assert lab.jobs.calls == ["show"]
    assert len(lab.servers["orders"].done) == 4


def test_a_tool_that_needs_no_file_finds_its_directories(lab):
    lab.servers["orders"].tool_file = None
    assert lab.check(lab.instance()).failures == []
    assert lab.run(lab.instance()).failures == []
    assert not lab.run(lab.instance()).changed


def test_check_mode_changes_nothing_and_tells_what_the_run_then_does(lab):
    orders = lab.instance()
    lab.run(orders)
    lab.servers["orders"].parameters["archive_command"][0] = "false"
    lab.servers["orders"].initialised = False
    changed = lab.instance(schedule={Job.FULL: "0 2 * * *", Job.EXPIRE: "0 5 * * *"})
    before = lab.tree()
    checked = lab.check(changed)
    assert lab.tree() == before
    assert "expire" not in str(lab.jobs.active)
    done = lab.run(changed)
    assert checked.diff == done.diff
    assert checked.changed


def test_check_mode_on_a_fresh_host_tells_what_it_cannot_know(lab):
    lab.servers["orders"].missing_program = True
    before = lab.tree()
    outcome = lab.check(lab.instance())
    assert lab.tree() == before
    assert outcome.failures == []
    assert outcome.changed
    assert "orders: tool is not installed, so what its server needs cannot be told yet" in outcome.notes
    assert str(lab.root / "etc/instances/orders.json") in {part["after_header"] for part in outcome.diff}


def test_a_missing_program_fails_a_real_run(lab):
    lab.servers["orders"].missing_program = True
    outcome = lab.run(lab.instance())
    assert [error.code for error in outcome.failures] == ["not-installed"]


def test_no_diff_shows_a_secret(lab):
    orders = lab.instance()
    keys = lab.root / "etc" / "keys" / "orders.json"
    checked = lab.check(orders)
    lab.run(orders)
    keys.chmod(0o600)
    keys.write_text("s3cret-old")
    again = lab.run(orders)
    assert str(keys) in {part["after_header"] for part in again.diff}
    shown = json.dumps([checked.diff, again.diff, again.instances, again.notes])
    assert [secret for secret in SECRETS if secret in shown] == []


def test_wrong_rights_are_put_right_though_the_content_is_as_wanted(lab):
    orders = lab.instance()
    lab.run(orders)
    keys = lab.root / "etc" / "keys" / "orders.json"
    keys.chmod(0o644)
    assert lab.run(orders).changed
    assert keys.stat().st_mode & 0o777 == 0o400


def test_a_removed_instance_loses_its_jobs_and_keeps_its_data(lab):
    orders, shop = lab.instance(), lab.instance("shop")
    lab.run(orders, shop)
    record = lab.root / "state" / "shop" / "records.jsonl"
    record.write_text("evidence\n")
    outcome = lab.run(orders)
    assert not list(lab.root.glob("systemd/holdfast-shop-*"))
    assert not list(lab.root.glob("etc/*/shop.json"))
    assert {name for name in lab.jobs.active if "shop" in name} == set()
    assert {name for name in lab.jobs.active if "orders" in name}
    assert record.read_text() == "evidence\n"
    assert (lab.root / "repo" / "restic" / "shop").is_dir()
    assert (lab.root / "tool-shop.conf").exists()
    assert "shop is no longer in the inventory" in outcome.notes[0]
    assert "tool-shop.conf, which its server uses" in outcome.notes[0]
    again = lab.run(orders)
    assert (again.changed, again.notes) == (False, [])


@pytest.mark.parametrize("trouble", ["", "server down", "restart needed"])
def test_a_renamed_instance_leaves_no_secret_behind_that_its_server_does_not_use(lab, trouble):
    orders, shop, sales = lab.instance(), lab.instance("shop"), lab.instance("sales")
    for server in lab.servers.values():
        server.parameters["archive_mode"][0] = "on"
    lab.run(orders, shop)
    old, new = lab.root / "tool-shop.conf", lab.root / "tool-sales.conf"
    if trouble == "server down":
        lab.servers["sales"].errors["server"] = ServerUnavailable("the server does not answer")
    elif trouble:
        lab.servers["sales"].parameters["archive_mode"][0] = "off"
    checked = lab.check(orders, sales)
    done = lab.run(orders, sales)
    shown = [str(old) in {part["after_header"] for part in outcome.diff} for outcome in (checked, done)]
    assert shown == [not trouble] * 2
    assert (old.exists(), new.exists()) == (bool(trouble), True)
    assert ("tool-shop.conf, which its server uses" in str(done.notes)) is False
    lab.servers["sales"].errors.clear()
    assert lab.run(orders, sales).changed is (trouble == "server down")
    lab.servers["sales"].restart()
    lab.run(orders, sales)
    assert not old.exists()
    assert new.exists()
    assert not lab.run(orders, sales).changed
    assert (lab.root / "tool-orders.conf").exists()


def test_an_instance_that_comes_back_is_set_up_again(lab):
    orders, shop = lab.instance(), lab.instance("shop")
    lab.run(orders, shop)
    lab.run(orders)
    outcome = lab.run(orders, shop)
    assert not outcome.failures
    assert "holdfast-shop-full.timer" in lab.jobs.active


def test_switching_the_scheduler_removes_the_jobs_of_the_other(lab):
    orders = lab.instance()
    lab.run(orders)
    outcome = lab.run(orders, scheduler="cron")
    assert outcome.changed
    assert lab.jobs.active == set()
    assert not list(lab.root.glob("systemd/*"))
    assert (lab.root / "cron.d" / "holdfast-orders").exists()
    assert not lab.run(orders, scheduler="cron").changed
    lab.run(orders)
    assert not list(lab.root.glob("cron.d/*"))
    assert len(lab.jobs.active) == 2


def test_a_file_of_somebody_else_is_not_overwritten(lab):
    foreign = lab.root / "tool-orders.conf"
    foreign.write_text("mine\n")
    outcome = lab.run(lab.instance(), lab.instance("shop"))
    assert foreign.read_text() == "mine\n"
    assert [(error.where, error.what) for error in outcome.failures] == [
        (str(foreign), "this file was not written by Holdfast")
    ]
    assert lab.servers["shop"].initialised


def test_one_broken_instance_hides_no_other_and_keeps_its_files(lab):
    orders, shop = lab.instance(), lab.instance("shop")
    lab.run(orders, shop)
    lab.servers["orders"].errors["server"] = ServerUnavailable("the server does not answer", where="orders")
    lab.servers["shop"].errors["repository"] = InvalidInput("wrong", where="shop")
    lab.servers["shop"].parameters["archive_command"][0] = "false"
    outcome = lab.run(orders, shop)
    assert sorted(error.where for error in outcome.failures) == ["orders", "shop"]
    assert lab.servers["shop"].done[-1] == "set archive_command"
    assert (lab.root / "etc" / "keys" / "orders.json").exists()
    assert len(lab.jobs.active) == 4


def test_an_instance_that_cannot_be_planned_keeps_what_it_has(lab):
    orders, shop = lab.instance(), lab.instance("shop")
    lab.run(orders, shop)
    before = lab.tree()
    nobody = lab.instance("shop", options={"time_limit_full": "soon"})
    outcome = lab.run(orders, nobody)
    assert [error.where for error in outcome.failures] == ["shop"]
    assert lab.tree() == before


def test_a_run_that_is_cut_short_is_finished_by_the_next(lab, monkeypatch):
    orders, shop = lab.instance(), lab.instance("shop")
    with monkeypatch.context() as patch:
        patch.setattr(converge, "_set_up", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lab.run(orders, shop)
    # The second instance is gone before it was ever complete: its files are known all the same.
    outcome = lab.run(orders)
    assert not outcome.failures
    assert not list(lab.root.glob("**/*shop*.timer"))
    assert not list(lab.root.glob("etc/*/shop.json"))
    assert "holdfast-orders-full.timer" in lab.jobs.active
    assert not lab.run(orders).changed


def test_a_full_disk_is_one_failure_and_not_a_crash(lab, monkeypatch):
    def full(_file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(converge.host.files, "write", full)
    monkeypatch.setattr(converge.Manifest, "write", lambda _: None)
    outcome = lab.run(lab.instance())
    assert {error.what for error in outcome.failures} == {"No space left on device"}


def test_a_restart_is_asked_for_and_not_made(lab):
    outcome = lab.run(lab.instance())
    assert [item["parameters"] for item in outcome.restart_required] == [["archive_mode"]]
    assert "archive_mode (off to on)" in outcome.restart_required[0]["message"]
    assert "restarted" not in lab.servers["orders"].done
    # It stays true for as long as nobody restarts the server.
    again = lab.run(lab.instance())
    assert len(again.restart_required) == 1
    assert not again.changed


@pytest.mark.parametrize(
    ("role", "restart", "restarted"),
    [("primary", ["orders"], True), ("primary", ["shop"], False), ("replica", ["orders"], False)],
)
def test_only_a_named_primary_is_restarted(lab, role, restart, restarted):
    lab.servers["orders"].role = role
    outcome = lab.run(lab.instance(), restart=restart)
    assert ("restarted" in lab.servers["orders"].done) is restarted
    assert (outcome.restart_required == []) is restarted
    assert ("the server of orders was restarted to change archive_mode (off to on)" in outcome.notes) is restarted
    if role == "replica":
        assert "it is a replica" in outcome.restart_required[0]["message"]


def test_check_mode_says_that_it_would_restart(lab):
    lab.run(lab.instance())
    outcome = lab.check(lab.instance(), restart=["orders"])
    assert {"orders: server"} == {part["after_header"] for part in outcome.diff}
    assert outcome.notes == ["the server of orders would be restarted to change archive_mode (off to on)"]
    assert "restarted" not in lab.servers["orders"].done


FREEZE = Window("year-end", WindowKind.FREEZE, "UTC", first=datetime(2020, 1, 1), last=datetime(2099, 1, 1))


def test_a_named_restart_outside_its_window_is_refused_and_all_else_is_done(lab):
    frozen = replace(lab.instance(), windows=(FREEZE,))
    for outcome in (lab.check(frozen, restart=["orders"]), lab.run(frozen, restart=["orders"])):
        [failure] = outcome.failures
        assert "the server of orders is not restarted now to change archive_mode" in failure.what
        assert "freeze year-end forbids restart work" in failure.what
        assert len(outcome.restart_required) == 1
    assert "restarted" not in lab.servers["orders"].done
    assert "marker table" in lab.servers["orders"].done
    assert lab.run(frozen).failures == []


def test_a_new_server_that_nobody_uses_is_restarted_though_its_windows_are_closed(lab):
    lab.servers["orders"].used_by = []
    frozen = replace(lab.instance(), windows=(FREEZE,))
    assert "restarted" not in lab.servers["orders"].done
    outcome = lab.run(frozen)
    assert "restarted" not in lab.servers["orders"].done, "not without its name"
    planned = lab.check(frozen, restart=["orders"])
    assert planned.failures == []
    outcome = lab.run(frozen, restart=["orders"])
    assert (outcome.failures, outcome.restart_required) == ([], [])
    assert "restarted" in lab.servers["orders"].done
    for found, verb in ((planned, "would be"), (outcome, "was")):
        assert f"the server of orders {verb} restarted to change archive_mode (off to on)" in found.notes
        assert any("no table and no client" in note for note in found.notes)
    assert list(Records(frozen)) == [], "nobody was overridden"


def test_an_override_lets_a_restart_through_and_is_on_record(lab):
    frozen = replace(lab.instance(), windows=(FREEZE,))
    lab.run(frozen)
    plan = converge.plan([frozen], "systemd", restart=["orders"], override=Override("Dana", "disk"))
    assert converge.apply(plan).failures == []
    assert "restarted" in lab.servers["orders"].done
    assert [record["override"]["by"] for record in Records(frozen)] == ["Dana"]


def test_a_replica_gets_no_marker_table(lab):
    lab.servers["orders"].role = "replica"
    lab.run(lab.instance())
    assert "marker table" not in lab.servers["orders"].done


def test_the_command_of_somebody_else_is_not_replaced(lab):
    (lab.root / "bin" / "holdfast").write_text("another program")
    with pytest.raises(InvalidInput, match="not the runner of Holdfast"):
        lab.check(lab.instance())


def test_logs_of_each_owner_are_rotated_and_stay_theirs(lab):
    text = next(
        file.content for file in host.host_files([lab.instance(), lab.instance("shop")]) if "logrotate" in file.path
    )
    logs = lab.root / "log"
    assert f"{logs}/orders.log {logs}/shop.log {{" in text
    assert "create 0640 root root" in text


def test_a_server_that_a_restore_will_make_is_not_missed(lab):
    orders = lab.instance()
    lab.servers["orders"].errors["server"] = ServerUnavailable("no server")
    outcome = converge.apply(converge.plan([orders], "systemd", awaiting=["orders"]))
    assert outcome.failures == []
    assert outcome.instances["orders"]["role"] == "awaited"
    assert not list(lab.root.glob("systemd/*orders*")), "it has nothing yet that jobs could do"
    assert config.load("orders").port == orders.port


def test_a_restore_that_is_only_asked_for_takes_no_jobs_away(lab):
    orders = lab.instance()
    lab.run(orders)
    before = lab.tree()
    converge.apply(converge.plan([orders], "systemd", awaiting=["orders"]))
    assert lab.tree() == before
