"""What of a server's configuration is kept, what of it fits another host, and what a restore does with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from ansible.module_utils.holdfast import restore_command, restore_configuration, work
from ansible.module_utils.holdfast.configuration import Here, differences, from_text, to_text, without_secrets
from ansible.module_utils.holdfast.engines import _mariadb_configuration as mariadb
from ansible.module_utils.holdfast.engines import _postgresql_configuration as postgresql
from ansible.module_utils.holdfast.engines import _postgresql_host
from ansible.module_utils.holdfast.engines._mariadb_host import databases_in
from ansible.module_utils.holdfast.engines._postgresql_service import Cluster
from ansible.module_utils.holdfast.engines.postgresql import PostgreSQL
from ansible.module_utils.holdfast.errors import CommandFailed, HoldfastError, ServerUnavailable
from ansible.module_utils.holdfast.model import Configuration, Fitted
from fakes import FakeAdapters, instance

GIB = 1 << 30
TAKEN = datetime(2026, 11, 21, 1, tzinfo=UTC)
HBA = "local all postgres peer\nhostssl app app 10.0.0.0/8 scram-sha-256\n"


def a_host(*paths, memory=8 * GIB, addresses=(), writable=()):
    return Here(memory, {*paths}.__contains__, {*writable}.__contains__, {*addresses}.__contains__)


def saved(files=None, **parameters):
    return Configuration("15.8", parameters, files or {}, taken=TAKEN)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("password_encryption", "scram-sha-256", True),
        ("strict_password_validation", "ON", True),
        ("ssl_key_file", "/etc/ssl/private/key.pem", True),
        ("primary_conninfo", "host=a user=b password=hidden", False),
        ("primary_conninfo", "host=a passfile=/var/lib/postgresql/.pgpass", True),
        ("wsrep_sst_auth", "sst:hidden", False),
        ("master_password", "hidden", False),
        ("file_key_management_filekey", "hidden", False),
        ("hashicorp_key_management_token", "hidden", False),
        ("ssl_passphrase_command", "echo hidden", False),
        ("ssl_passphrase_command_supports_reload", "on", True),
        ("innodb_ft_min_token_size", "3", True),
        ("archive_command", "AWS_SECRET_ACCESS_KEY=hidden aws s3 cp %p s3://x", False),
        ("primary_conninfo", "postgresql://u:hidden@h/db", False),
        ("skip_name_resolve", None, True),
    ],
)
def test_passwords_are_not_kept(name, value, kept):
    found = without_secrets(Configuration("1", {name: value}))
    assert dict(found.parameters) == ({name: value} if kept else {})
    assert [*found.left_out] == ([] if kept else [name])


def test_a_line_with_a_password_is_kept_without_it_and_named():
    line = 'host all all 0/0 ldap ldapserver=x ldapbindpasswd="hid den" ldapport=1'
    found = without_secrets(Configuration("1", {}, {"pg_hba.conf": f"{HBA}{line}\n# {line}\n"}))
    text = found.files["pg_hba.conf"]
    assert text.startswith(HBA)
    assert "hid" not in text
    assert all(item.startswith("#") for item in text.splitlines()[2:])
    assert [*found.left_out] == ["pg_hba.conf, line 3"]


@pytest.mark.parametrize(
    ("name", "value", "taken", "reason"),
    [
        ("work_mem", "64MB", "64MB", None),
        ("shared_buffers", "2GB", "2GB", None),
        ("shared_buffers", "64GB", "2048MB", "lowered from 64.0 GiB to 2.0 GiB: this host has 8.0 GiB of memory"),
        ("shared_buffers", "8388608", "2048MB", "lowered from 64.0 GiB"),
        ("huge_pages", "on", "try", "try instead of on"),
        ("huge_pages", "try", "try", None),
        (
            "shared_preload_libraries",
            "pg_stat_statements,timescaledb",
            "pg_stat_statements",
            "not installed here: times",
        ),
        ("listen_addresses", "*", "*", None),
        ("listen_addresses", "localhost, 10.0.0.5", "localhost, 10.0.0.5", None),
        ("listen_addresses", "localhost,10.9.9.9", "localhost", "this host does not have the address 10.9.9.9"),
        ("listen_addresses", "10.9.9.9", None, "this host does not have the address 10.9.9.9"),
        ("ssl_cert_file", "/etc/ssl/app.pem", None, "/etc/ssl/app.pem is not on this host"),
        ("ssl_ca_file", "/etc/ssl/ca.pem", "/etc/ssl/ca.pem", None),
        ("log_directory", "/var/log/pg", "/var/log/pg", None),
        ("log_directory", "/mnt/log/pg", None, "/mnt/log/pg is not on this host"),
        ("synchronous_standby_names", "*", None, "no commit would end"),
        ("synchronous_standby_names", "", "", None),
    ],
)
def test_parameters_of_postgresql_fit_another_host_or_say_why_not(name, value, taken, reason):
    host = a_host("/lib/pg_stat_statements.so", "/etc/ssl/ca.pem", addresses=["10.0.0.5"], writable=["/var/log"])
    found = postgresql.fit(saved(**{name: value}), host, "/lib")
    assert found.parameters.get(name) == taken
    assert found.left_out.get(name, "").startswith(reason or "")
    assert bool(found.left_out) == bool(reason)


@pytest.mark.parametrize(
    "name",
    ["data_directory", "port", "hba_file", "cluster_name", "archive_command", "restore_command", "primary_conninfo"],
)
def test_what_postgresql_has_in_every_place_is_not_taken(name):
    found = postgresql.fit(saved(**{name: "x"}), a_host(), "")
    assert (found.parameters, found.left_out, found.of_the_place) == ({}, {}, [name])


def test_a_server_without_its_certificate_does_not_insist_on_tls():
    found = postgresql.fit(saved(ssl="on", ssl_cert_file="/gone", ssl_key_file="/gone"), a_host(), "")
    assert found.parameters == {}
    assert [*found.left_out] == ["ssl_cert_file", "ssl_key_file", "ssl"]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("host app app 10.0.0.0/8 scram-sha-256", None),
        ("include_dir conf.d", "conf.d"),
        ('include "/etc/pg/more.conf"', "/etc/pg/more.conf"),
        ("include /etc/pg/there.conf", None),
        ("host app @admins 10.0.0.0/8 scram-sha-256", "admins"),
        ("host app joe@example.com 10.0.0.0/8 scram-sha-256", None),
        ("# host app @admins", None),
    ],
)
def test_an_entry_that_needs_a_file_which_is_not_here_is_left_out(line, path):
    found = postgresql.fit(saved({"pg_hba.conf": f"{HBA}{line}\n"}), a_host("/etc/pg/there.conf"), "")
    last = found.files["pg_hba.conf"].splitlines()[2]
    assert last == (line if path is None else f"# left out by Holdfast, as the file is not here: {line}")
    assert found.left_out == ({} if path is None else {"pg_hba.conf, line 3": f"{path} is not on this host"})


def test_options_of_mariadb_are_read_as_its_own_tools_list_them():
    lines = ["--max-connections=10", "--skip-name-resolve", "--max_connections=20", "--init_connect=SET NAMES utf8mb4"]
    lines += ["--plugin-load-add=a.so", "--plugin_load_add=b.so", "--replicate-do-db=x", "--replicate-do-db=y", "noise"]
    assert mariadb.options(lines) == {
        "max_connections": "20",
        "skip_name_resolve": None,
        "init_connect": "SET NAMES utf8mb4",
        "plugin_load_add": "a.so\nb.so",
        "replicate_do_db": "x\ny",
    }


@pytest.mark.parametrize(
    ("name", "value", "taken", "reason"),
    [
        ("max_connections", "20", "20", None),
        ("log_bin", "mysql-bin", "mysql-bin", None),
        ("skip_name_resolve", None, None, None),
        ("innodb_buffer_pool_size", "4G", "4G", None),
        ("innodb_buffer_pool_size", "64G", str(4 * GIB), "lowered from 64.0 GiB to 4.0 GiB"),
        ("bind_address", "0.0.0.0", "0.0.0.0", None),
        ("bind_address", "10.9.9.9", None, "this host does not have the address 10.9.9.9"),
        ("ssl_key", "/etc/mysql/key.pem", None, "/etc/mysql/key.pem is not on this host"),
        ("log_error", "/var/log/mysql/error.log", "/var/log/mysql/error.log", None),
        ("wsrep_on", "ON", None, "it is of a group of servers"),
        ("loose_rpl_semi_sync_master_enabled", "1", None, "it is of a group of servers"),
        ("init_connect", "SET\x07", None, "this is no option"),
        ("a[b", "1", None, "this is no option"),
    ],
)
def test_options_of_mariadb_fit_another_host_or_say_why_not(name, value, taken, reason):
    found = mariadb.fit(saved(**{name: value}), a_host(writable=["/var/log/mysql"]))
    assert found.parameters.get(name) == taken
    assert (name in found.parameters) == (reason is None or taken is not None)
    assert found.left_out.get(name, "").startswith(reason or "")
    assert bool(found.left_out) == bool(reason)


@pytest.mark.parametrize("name", ["datadir", "socket", "pid_file", "port", "server_id", "log_bin_index", "user"])
def test_what_mariadb_has_in_every_place_is_not_taken(name):
    found = mariadb.fit(saved(**{name: "x"}), a_host())
    assert (found.parameters, found.left_out, found.of_the_place) == ({}, {}, [name])
    with pytest.raises(HoldfastError):
        mariadb.render({name: "x"}, "")


def test_options_are_written_as_mariadb_reads_them():
    text = mariadb.render(
        {"skip_name_resolve": None, "sql_mode": "", "init_connect": "SET NAMES 'x' # y", "plugin_load_add": "a\nb"},
        "now",
    )
    assert text.splitlines()[1:] == [
        "[mariadbd]",
        "init_connect = \"SET NAMES 'x' # y\"",
        "plugin_load_add = a",
        "plugin_load_add = b",
        "skip_name_resolve",
        'sql_mode = ""',
    ]


@pytest.mark.parametrize(
    ("pattern", "words", "names"),
    [
        (mariadb._WORDS, "[ERROR] mariadbd: unknown variable 'server-audit-logging=1'", ["server_audit_logging"]),
        (mariadb._WORDS, "[ERROR] mariadbd: unknown option '--skip-name-resolve'", ["skip_name_resolve"]),
        (mariadb._WORDS, "Error while setting value 'x' to 'sql_mode'", ["sql_mode"]),
        (postgresql._WORDS, 'LOG:  invalid value for parameter "lc_messages": "de_DE"', ["lc_messages"]),
        (postgresql._WORDS, 'LOG:  unrecognized configuration parameter "min_parallel" in file "x"', ["min_parallel"]),
    ],
)
def test_what_a_parser_refuses_is_found_in_its_words(pattern, words, names):
    ours = dict.fromkeys(["server_audit_logging", "skip_name_resolve", "sql_mode", "lc_messages", "min_parallel"])
    assert postgresql.refused_names(words, pattern, ours) == dict.fromkeys(names, words)


@pytest.mark.parametrize(
    ("plugins", "kept"),
    [
        ("server_audit", None),
        ("server_audit.so\nauth_ed25519", "auth_ed25519"),
        ("audit=server_audit.so;auth_ed25519.so", "auth_ed25519.so"),
        ("auth_ed25519", "auth_ed25519"),
    ],
)
def test_a_plugin_that_is_not_installed_is_left_out_with_its_options(plugins, kept):
    words = "mariadbd: Can't open shared library '/usr/lib/mysql/plugin/server_audit.so' (errno: 2)\n"
    words += "unknown variable 'server_audit_logging=ON'"
    found = Fitted({"plugin_load_add": plugins, "server_audit_logging": "ON", "max_connections": "7"})
    assert mariadb.drop_refused(found, words)
    wanted = {"plugin_load_add": kept, "max_connections": "7"} if kept else {"max_connections": "7"}
    assert found.parameters == wanted
    assert ("plugin_load_add" in found.left_out) == (kept != plugins)
    assert not mariadb.drop_refused(found, "unknown variable 'of_somebody_else=1'")


@pytest.mark.parametrize(("there", "started", "new"), [(False, False, True), (True, False, True), (True, True, False)])
def test_a_cluster_is_new_until_its_first_start(tmp_path, monkeypatch, there, started, new):
    made = []
    cluster = Cluster("17", "orders", 5432, str(tmp_path), running=False)
    monkeypatch.setattr(_postgresql_host, "cluster_on_port", lambda port: cluster if there else None)
    monkeypatch.setattr(_postgresql_host, "create_cluster", lambda instance, version: made.append(version))
    if started:
        (tmp_path / "postmaster.opts").touch()
    assert PostgreSQL(instance(tmp_path)).create("17") is new
    assert made == ([] if there else ["17"])


def test_databases_tell_a_server_that_was_used(tmp_path):
    for name in ("mysql", "sys", "performance_schema", "#sql-holdfast-crm", ".cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "ibdata1").touch()
    assert databases_in(str(tmp_path)) == []
    (tmp_path / "crm").mkdir()
    assert databases_in(str(tmp_path)) == ["crm"]
    assert databases_in(str(tmp_path / "none")) == []


def test_differences_are_those_that_a_server_would_notice():
    backup = Fitted({"work_mem": "64MB", "jit": "off"}, {"pg_hba.conf": f"# comment\n{HBA}"}, {"ssl": "not here"})
    live = Fitted({"work_mem": "4MB", "ssl": "on", "max_wal_size": "1GB"}, {"pg_hba.conf": HBA.replace(" ", "\t")})
    assert differences(backup, live) == {
        "jit": {"backup": "off", "here": "(not set)"},
        "max_wal_size": {"backup": "(not set)", "here": "1GB"},
        "work_mem": {"backup": "64MB", "here": "4MB"},
    }
    live.files["pg_hba.conf"] = "local all all peer\n"
    assert differences(backup, live)["pg_hba.conf"] == {"backup": "another content", "here": None}


class Root:
    """Answers what a restore asks of root; ``bad`` is how often a start fails."""

    def __init__(self, fitted, bad=0):
        self.fitted, self.bad, self.asked = fitted, bad, []

    def __call__(self, name, *arguments):
        self.asked.append((name, *(item if item is None else "saved" for item in arguments)))
        if name == "configure":
            # Nothing but JSON crosses from one process to the other.
            return vars(self.fitted if json.loads(json.dumps(arguments))[0] else Fitted())
        if name == "start" and self.bad:
            self.bad -= 1
            raise ServerUnavailable("it does not answer")
        return None


def test_a_new_server_starts_with_the_configuration_of_its_backup():
    root = Root(Fitted({"work_mem": "64MB"}, {"pg_hba.conf": HBA}, {"ssl": "not here"}, ["port"]))
    assert restore_configuration.start(root, saved()) == {
        "parameters": ["work_mem"],
        "files": ["pg_hba.conf"],
        "left_out": {"ssl": "not here"},
        "of_the_place": ["port"],
    }
    assert root.asked == [("configure", "saved"), ("start",)]


def test_a_server_that_does_not_start_with_it_gets_that_of_its_packages_and_the_record_says_so():
    root = Root(Fitted({"work_mem": "64MB"}), bad=1)
    found = restore_configuration.start(root, saved())
    assert [*found] == ["problem"]
    assert "it does not answer" in found["problem"]
    assert root.asked == [("configure", "saved"), ("start",), ("configure", None), ("stop",), ("start",)]


def test_a_server_starts_also_when_its_configuration_cannot_be_written():
    class Full(Root):
        def __call__(self, name, *arguments):
            found = super().__call__(name, *arguments)
            if name == "configure" and arguments[0]:
                raise HoldfastError("no space left on device")
            return found

    root = Full(Fitted())
    assert restore_configuration.start(root, saved()) == {
        "problem": "it cannot be brought back: no space left on device"
    }
    assert root.asked == [("configure", "saved"), ("configure", None), ("start",)]


def test_what_a_newer_release_kept_is_read_as_far_as_it_is_understood():
    found = Configuration("15.8", {"a": "1", "b": None}, {"pg_hba.conf": HBA}, {"x": "y"}, TAKEN)
    text = json.dumps({**json.loads(to_text(found)), "of_the_future": 1, "taken": None})
    assert from_text(text, TAKEN) == found


@pytest.mark.parametrize("bad", [1, 2])
def test_a_server_that_does_not_start_at_all_is_an_error(bad):
    root = Root(Fitted(problem="the parser refused it") if bad == 1 else Fitted(), bad=bad)
    with pytest.raises(ServerUnavailable):
        restore_configuration.start(root, saved())


def test_a_backup_of_before_there_was_a_configuration_restores_as_ever(tmp_path):
    root, measured = Root(Fitted()), {}
    engine = FakeAdapters(instance(tmp_path)).engine
    found = restore_configuration.held(engine, measured)
    assert restore_configuration.start(root, found) == {}
    assert root.asked == [("start",)]
    assert measured["configuration"] == {"problem": "the backup holds no configuration of the server"}


def test_it_crosses_to_root_and_back_unchanged():
    found = Configuration("15.8", {"a": "1", "b": None}, {"pg_hba.conf": HBA}, {"x": "y"}, TAKEN)
    plain = json.loads(json.dumps(restore_configuration.as_plain(found)))
    assert restore_configuration.revive(plain) == found
    assert restore_configuration.revive(None) is None


@pytest.mark.parametrize(
    ("configured", "error", "recorded"),
    [
        (None, None, None),  # a replica
        (saved(work_mem="64MB"), None, {"taken": "2026-11-21T01:00:00.000Z", "left_out": {}}),
        (None, CommandFailed("no such file"), {"problem": "no such file"}),
    ],
)
def test_a_backup_is_taken_whatever_becomes_of_the_configuration(tmp_path, monkeypatch, configured, error, recorded):
    fake = FakeAdapters(instance(tmp_path))
    monkeypatch.setattr(work, "Adapters", fake)

    def save():
        if error:
            raise error
        return configured

    monkeypatch.setattr(fake.engine, "save_configuration", save)
    found = work.take_backup(fake.instance, {"job": "full"})
    assert found["backup"]["id"] == "b0"
    assert found.get("configuration") == recorded


@pytest.mark.parametrize(
    ("configuration", "lines"),
    [
        (
            {"files": ["pg_hba.conf"], "parameters": ["jit", "work_mem"], "left_out": {"ssl": "not here"}},
            ["settings pg_hba.conf, 2 parameters (jit, work_mem)", "not as it was: ssl: not here"],
        ),
        ({"problem": "the backup holds none"}, ["settings the backup holds none"]),
        ({"differs": {"jit": {}, "work_mem": {}}}, ["settings differs from the backup's: jit, work_mem"]),
        ({"differs": {}}, []),
        (None, []),
    ],
)
def test_a_person_reads_what_came_back(configuration, lines):
    record = {"instance": "orders", "job": "restore", "seconds": 1, "result": "ok"}
    text = restore_command.text({**record, "restore": {"configuration": configuration}})
    assert [" ".join(line.split()) for line in text.splitlines()[1:]] == lines


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"version": 1, "parameters": []'])
def test_what_was_kept_and_cannot_be_read_is_said(text):
    with pytest.raises(HoldfastError, match="what is kept of it cannot be read"):
        from_text(text, TAKEN)


def test_what_alter_system_set_is_fitted_as_well():
    automatic = """\
# Do not edit this file manually!
archive_command = 'pgbackrest --stanza=copy archive-push %p'
port = '5434'
work_mem = '64MB'
listen_addresses = '10.1.0.5, localhost'
shared_preload_libraries = 'timescaledb'
synchronous_standby_names = 'b'
primary_conninfo = 'host=x'
"""
    fitted = Fitted()
    assert postgresql.fit_automatic(automatic, fitted, a_host(), "/lib").splitlines() == [
        "# Do not edit this file manually!",
        "archive_command = 'pgbackrest --stanza=copy archive-push %p'",
        "port = '5434'",
        "work_mem = '64MB'",
        "listen_addresses = 'localhost'",
        "shared_preload_libraries = ''",
    ]
    assert [*fitted.left_out] == ["listen_addresses", "shared_preload_libraries", "synchronous_standby_names"]
    assert fitted.of_the_place == ["primary_conninfo"]
