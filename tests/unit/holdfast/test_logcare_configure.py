import stat
from pathlib import Path

import fakes
import pytest
from ansible.module_utils.holdfast import process
from ansible.module_utils.holdfast.engines.logs import Source
from ansible.module_utils.holdfast.errors import HoldfastError
from ansible.module_utils.holdfast.logcare import appendonly, configure, host, rotation, shipping
from ansible.module_utils.holdfast.logcare.host import Told
from ansible.module_utils.holdfast.logcare.settings import resolve
from ansible.module_utils.holdfast.process import Result

COMMON = "/var/log/postgresql/*.log {\n weekly\n copytruncate\n}\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A host of its own below a directory, whose programs do what they are told to."""
    rotate = tmp_path / "logrotate.d"
    rotate.mkdir()
    (rotate / "postgresql-common").write_text(COMMON)
    monkeypatch.setattr(rotation, "DIRECTORY", str(rotate))
    monkeypatch.setattr(rotation, "MAIN", str(tmp_path / "logrotate.conf"))
    monkeypatch.setattr(rotation, "OURS", str(rotate / "holdfast-servers"))
    monkeypatch.setattr(configure, "FILE", str(tmp_path / "logs.json"))
    monkeypatch.setattr(configure, "TIMER", str(tmp_path / "timer.conf"))
    monkeypatch.setattr(configure, "_SYSTEMD", str(tmp_path))
    monkeypatch.setattr(shipping, "FILE", str(tmp_path / "rsyslog.conf"))
    monkeypatch.setattr(shipping, "JOURNAL_FILE", str(tmp_path / "journald.conf"))
    monkeypatch.setattr(process, "require", lambda name: name)
    monkeypatch.setattr(configure.holdfast_host, "LOGROTATE", str(tmp_path / "none"))
    machine = Machine(tmp_path)
    monkeypatch.setattr(process, "run", machine.run)
    monkeypatch.setattr(host, "ask_server", lambda _: machine.told)
    monkeypatch.setattr(host, "with_keeper", lambda *_: None)
    monkeypatch.setattr(configure, "note", lambda instance, said, seconds, error: machine.records.append((said, error)))
    monkeypatch.setattr("os.chown", lambda *_: None)
    monkeypatch.setattr(configure, "differs", lambda file: Path(file.path).read_text() != file.content)
    return machine


class Machine:
    def __init__(self, root):
        self.root = root
        self.records = []
        self.commands = []
        self.failing = ""
        self.refusing = ""
        source = Source("server", "/var/log/postgresql/pg.log", su="root root", distribution=("postgresql-common",))
        self.told = Told(fakes.instance(root / "state"), sources=[source])

    def run(self, argv, **_):
        self.commands.append(" ".join(argv))
        said = f"error: {self.refusing}\n" if argv[0] == "logrotate" else ""
        return Result(
            argv, int(bool(self.failing) and self.failing in self.commands[-1]), "", said if self.refusing else ""
        )

    def plan(self, **raw):
        return configure.plan([self.told.instance], raw, resolve(raw))

    def apply(self, **raw):
        made = self.plan(**raw)
        configure.apply(made, [self.told.instance])
        return made

    @property
    def files(self):
        return {str(path.relative_to(self.root)): path.read_text() for path in self.root.rglob("*") if path.is_file()}


def test_a_run_takes_over_and_a_second_one_changes_nothing(machine):
    made = machine.apply()
    assert set(machine.files) == {
        "logs.json",
        "logrotate.d/holdfast-servers",
        f"logrotate.d/postgresql-common{rotation.SUFFIX}",
        "timer.conf",
    }
    assert "systemctl daemon-reload" in machine.commands
    assert any("is disabled" in note for note in made.notes)
    assert machine.records[0][0]["changes"]
    again = machine.plan()
    assert again.changes == []


def test_what_fails_is_taken_back_as_a_whole_and_is_in_the_record(machine):
    before = machine.files
    machine.failing = "rsyslogd -N1"
    with pytest.raises(HoldfastError, match="Everything is as it was before"):
        machine.apply(shipping={"host": "log1"})
    assert machine.files == before
    said, error = machine.records[0]
    assert (said["undone"], error.code) == (True, "command-failed")


def test_a_configuration_that_logrotate_refuses_is_taken_back(machine):
    before = machine.files
    machine.refusing = f"{rotation.OURS}:3 duplicate log entry"
    with pytest.raises(HoldfastError, match="logrotate refuses"):
        machine.apply()
    assert machine.files == before


def test_one_server_that_does_not_tell_keeps_the_whole_host_as_it_is(machine):
    machine.told.reasons = {"sources": (configure.HoldfastError, "the server is down")}
    made = machine.plan()
    assert made.changes == []
    assert "the server is down" in str(made.failures[0])


def test_left_alone_the_distribution_rotates_again(machine):
    machine.apply()
    machine.apply(take_over=False)
    assert machine.files["logrotate.d/postgresql-common"] == COMMON
    assert "logrotate.d/holdfast-servers" not in machine.files
    assert "timer.conf" not in machine.files


def test_shipping_that_is_no_longer_wanted_is_removed(machine):
    machine.apply(shipping={"host": "log1"})
    assert "omfwd" in machine.files["rsyslog.conf"]
    machine.commands.clear()
    machine.apply()
    assert "rsyslog.conf" not in machine.files
    assert "systemctl restart rsyslog" in machine.commands


def test_nothing_is_append_only_that_rotation_could_not_open(machine, tmp_path, monkeypatch):
    path = tmp_path / "audit.log"
    path.write_text("")
    source = Source("audit", str(path), su="root root", also_audit=True)
    machine.told.sources = [source]
    flags = {str(path): False}
    monkeypatch.setattr(appendonly, "is_set", flags.get)
    monkeypatch.setattr(appendonly, "put", lambda path, on: flags.update({path: on}) or True)

    def missing(name):
        if name == "chattr":
            raise configure.NotInstalled("chattr is not installed")

    monkeypatch.setattr(process, "require", missing)
    assert "e2fsprogs" in str(machine.plan().failures[0])
    monkeypatch.setattr(process, "require", lambda name: name)
    machine.apply()
    assert flags[str(path)]
    assert machine.plan().changes == []
    machine.apply(append_only=False)
    assert not flags[str(path)]


def test_a_file_system_without_the_attribute_is_not_applicable(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.write_text("")
    monkeypatch.setattr("fcntl.ioctl", lambda *_: (_ for _ in ()).throw(OSError(25, "Inappropriate ioctl for device")))
    with pytest.raises(HoldfastError, match="has no such attribute") as caught:
        appendonly.is_set(str(path))
    assert caught.value.code == "unsupported"
    assert stat.S_ISREG(path.stat().st_mode)
