"""Where engines write, by what a server says of its parameters. Real servers are asked in tests/integration/logs."""

from contextlib import contextmanager

import fakes
import pytest
from ansible.module_utils.holdfast.engines import _postgresql_logs as postgresql
from ansible.module_utils.holdfast.engines._mariadb_logs import MariaDBLogs
from ansible.module_utils.holdfast.engines.logs import ENGINE, JOURNAL, LOGROTATE, SYSLOG, Purge, Source
from ansible.module_utils.holdfast.errors import Refused, Unsupported

PARAMETERS = {
    "logging_collector": "off", "log_destination": "stderr", "log_directory": "log", "log_rotation_age": "1440",
    "log_filename": "postgresql-%Y-%m-%d_%H%M%S.log", "log_rotation_size": "10240", "log_truncate_on_rotation": "off",
    "data_directory": "/data", "shared_preload_libraries": "", "log_statement": "none", "archive_mode": "on",
    "archive_timeout": "180", "max_wal_size": "1024", "max_slot_wal_keep_size": "-1", "checkpoint_timeout": "300",
    "wal_segment_size": str(16 << 20),
}  # fmt: skip
SLOTS = [("busy", "physical", True, "reserved", "", 10), ("gone", "logical", False, "extended", "shop", 1 << 30)]
NAMES = [(f"0000000100000000000000{number:02X}", 16 << 20) for number in range(1, 5)]


class Server:
    """A server that answers as its parameters are."""

    def __init__(self, **parameters):
        self.parameters = {**PARAMETERS, **parameters}
        self.recovering = False
        self.failing = False
        self.ran = []

    def rows(self, query, _=()):
        if "pg_settings" in query:
            return list(self.parameters.items())
        if "pg_replication_slots" in query:
            return SLOTS
        return NAMES if "SELECT name, size" in query else []

    def row(self, query, _=()):
        answers = {
            "postmaster.pid": ("42",), "count(*), coalesce": (4, 64 << 20), "wal_bytes": (100.0,),
            "server_version_num": ("150004",), "last_failed_wal": ("0000000100000000000000FF", self.failing, 3),
            "redo_lsn": ("000000010000000000000003",), "pg_is_in_recovery": (self.recovering,),
        }  # fmt: skip
        return next(answer for words, answer in answers.items() if words in query)

    def run(self, *statements):
        self.ran.extend(statements)


class Engine:
    socket_directory = "/run/postgresql"
    where = "orders"

    def __init__(self, root):
        self.instance = fakes.instance(root)


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    def make(written="/var/log/postgresql/pg.log", **parameters):
        server = Server(**parameters)

        @contextmanager
        def session(*_):
            yield server

        monkeypatch.setattr(postgresql, "session", session)
        monkeypatch.setattr("os.readlink", lambda _: written)
        found = postgresql.PostgreSQLLogs(Engine(tmp_path))
        found.server = server
        return found

    return make


@pytest.mark.parametrize(
    ("written", "parameters", "rotated_by", "path"),
    [
        ("/var/log/postgresql/pg.log", {}, LOGROTATE, "/var/log/postgresql/pg.log"),
        ("/var/log/postgresql/pg.log (deleted)", {}, LOGROTATE, "/var/log/postgresql/pg.log"),
        ("socket:[4711]", {}, JOURNAL, ""),
        ("pipe:[1]", {"log_destination": "syslog"}, SYSLOG, ""),
        ("pipe:[1]", {"logging_collector": "on"}, ENGINE, ""),
        (
            "pipe:[1]",
            {"logging_collector": "on", "log_rotation_age": "0", "log_rotation_size": "0", "log_filename": "pg.log"},
            LOGROTATE,
            "/data/log/pg.log",
        ),
        (
            "pipe:[1]",
            {"logging_collector": "on", "log_rotation_age": "0", "log_rotation_size": "0"},
            ENGINE,
            "",
        ),
    ],
)
def test_who_rotates_the_log_of_postgresql(keeper, written, parameters, rotated_by, path):
    (source,), missing = keeper(written, **parameters).sources()
    assert (source.rotated_by, source.path) == (rotated_by, path)
    assert "slow" in missing
    assert missing["audit"].startswith("nothing is audited")


def test_a_collector_that_rotates_can_be_told_not_to(keeper):
    (source,), _ = keeper("pipe:[1]", logging_collector="on").sources()
    assert source.names == "/data/log/postgresql-*-*-*_***.log"
    assert source.adopt == {
        "log_rotation_age": "0",
        "log_rotation_size": "0",
        "log_filename": "postgresql-holdfast.log",
    }
    assert source.adopted == "/data/log/postgresql-holdfast.log"
    assert "pg_rotate_logfile" in source.reopen[0]
    assert "runuser -u postgres" in source.reopen[0]


@pytest.mark.parametrize("parameters", [{"log_statement": "ddl"}, {"shared_preload_libraries": "a, pgaudit"}])
def test_the_audit_trail_of_postgresql_is_its_log(keeper, parameters):
    (source,), missing = keeper(**parameters).sources()
    assert (source.kind, source.also_audit) == ("audit", True)
    assert "audit" not in missing
    _, missing = keeper("socket:[1]", **parameters).sources()
    assert "is no file" in missing["audit"]


def test_what_holds_log_and_how_much_there_may_be(keeper):
    space = keeper().space()
    assert (space.size, space.files, space.interval, space.slots_limited) == (64 << 20, 4, 180.0, False)
    assert space.redo_wanted == 100 * 300 * 2
    assert [(item.name, item.active, item.size, item.limit) for item in space.holders] == [
        ("busy", True, 10, None),
        ("gone", False, 1 << 30, None),
    ]
    assert keeper(max_slot_wal_keep_size="100").space().holders[0].limit == 100 << 20


def test_postgresql_removes_its_log_itself(keeper):
    made = keeper()
    planned = made.plan_purge([], ["gone"])
    assert planned.statements == ("SELECT pg_drop_replication_slot('gone')", "CHECKPOINT")
    assert planned.size == 2 * (16 << 20)
    assert "in use" in planned.kept["busy"]
    assert made.purge(planned) == 0
    assert made.server.ran == list(planned.statements)
    assert keeper().plan_purge([], []).statements == ("CHECKPOINT",)


@pytest.mark.parametrize(("drop", "why"), [("busy", "busy is in use"), ("other", "there is no slot other")])
def test_a_slot_in_use_or_unknown_is_refused(keeper, drop, why):
    with pytest.raises(Refused, match=why):
        keeper().plan_purge([], [drop])


def test_archiving_that_fails_is_told_before_anything_is_removed(keeper):
    made = keeper()
    made.server.failing = True
    assert "3 segments wait" in made.plan_purge([], []).notes[0]


class MariaDBServer:
    socket = "/run/mysqld/mysqld.sock"
    where = "shop"

    def __init__(self, root, errors="", audit=()):
        self.instance = fakes.instance(root, name="shop", engine="mariadb", os_user="mysql")
        self.errors, self.audit = errors, audit
        self.ran = []

    def row(self, *_):
        return self.errors, "slow.log", "/var/log/mysql/general.log", "/var/lib/mysql/"

    def rows(self, *_):
        return self.audit

    def execute(self, statement):
        self.ran.append(statement)

    def log_directory(self):
        return None

    def configuration_file(self):
        return "/etc/mysql/mariadb.conf.d/05-holdfast-shop.cnf"


AUDIT = [
    ("SERVER_AUDIT_LOGGING", "ON"), ("SERVER_AUDIT_OUTPUT_TYPE", "file"), ("SERVER_AUDIT_FILE_PATH", "audit.log"),
    ("SERVER_AUDIT_FILE_ROTATE_SIZE", "1000000"), ("SERVER_AUDIT_FILE_ROTATIONS", "9"),
]  # fmt: skip


def test_the_logs_of_mariadb(tmp_path):
    found, missing = MariaDBLogs(MariaDBServer(tmp_path)).sources()
    assert [(item.kind, item.path, item.rotated_by) for item in found] == [
        ("server", "", JOURNAL),
        ("slow", "/var/lib/mysql/slow.log", LOGROTATE),
        ("slow", "/var/log/mysql/general.log", LOGROTATE),
    ]
    assert "--local flush-error-log flush-slow-log" in found[1].reopen[0]
    assert missing == {"audit": "the plugin server_audit is not loaded"}
    found, _ = MariaDBLogs(MariaDBServer(tmp_path, "error.err")).sources()
    assert found[0].path == "/var/lib/mysql/error.err"


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [(0, "OFF", "server_audit_logging is OFF"), (1, "syslog", "writes to syslog")],
)
def test_an_audit_log_of_mariadb_that_is_no_file(tmp_path, place, value, why):
    audit = [*AUDIT]
    audit[place] = (audit[place][0], value)
    _, missing = MariaDBLogs(MariaDBServer(tmp_path, audit=audit)).sources()
    assert why in missing["audit"]


def test_the_engine_rotates_its_audit_log_within_the_limits(tmp_path):
    server = MariaDBServer(tmp_path, audit=AUDIT)
    keeper = MariaDBLogs(server)
    source = keeper.sources()[0][-1]
    assert (source.path, source.names, source.rotated_by) == (
        "/var/lib/mysql/audit.log",
        "/var/lib/mysql/audit.log.*",
        ENGINE,
    )
    limits = keeper.limit_rotation(source, size=5 << 20, keep=2000, minutes=60)
    assert limits == {"server_audit_file_rotate_size": str(5 << 20), "server_audit_file_rotations": "999"}
    assert keeper.limit_rotation(Source("slow", "/x"), size=1, keep=1, minutes=1) == {}
    keeper.apply(limits)
    assert f"SET GLOBAL server_audit_file_rotate_size = {5 << 20}" in server.ran
    file = keeper.lasting(limits)
    assert file.path == "/etc/mysql/mariadb.conf.d/06-holdfast-logs-shop.cnf"
    assert "loose_server_audit_file_rotations = 999\n" in file.content
    assert keeper.lasting({}) is None


def test_what_mariadb_does_not_have_is_not_applicable(tmp_path):
    keeper = MariaDBLogs(MariaDBServer(tmp_path))
    for drop in ([], ["slot"]):
        with pytest.raises(Unsupported):
            keeper.plan_purge([], drop)
    assert Purge().statements == ()
