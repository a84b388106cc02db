"""Inventories as plain data: what is refused, in which words, and what becomes of a right one."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.holdfast import inventory
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.model import BackupType, Job
from ansible.module_utils.holdfast.problems import InvalidInventory, Location

LOCAL = {"type": "posix", "path": "/backup", "passphrase": "one"}
OFFSITE = {
    "type": "s3",
    "endpoint": "s3.example.com:9000",
    "bucket": "backups",
    "key_id": "id",
    "key_secret": "hush",
    "passphrase": "two",
}
SFTP = {
    "type": "sftp",
    "host": "vault.example.com",
    "user": "holdfast",
    "path": "/srv",
    "port": 2222,
    "private_key_file": "/key",
    "passphrase": "three",
}


def variables(*instances: Any, **others: Any) -> dict[str, Any]:
    """The variables of a host."""
    repositories = {"local": LOCAL, "offsite": OFFSITE}
    return copy.deepcopy({"db_instances": list(instances), "db_repositories": repositories, **others})


def instance(**changes: Any) -> dict[str, Any]:
    raw = {"name": "orders", "engine": "postgresql", **changes}
    return {key: value for key, value in raw.items() if value is not None}


def problems(*hosts: dict[str, Any]) -> list[str]:
    return [str(each) for each in inventory.check({f"db{number}": host for number, host in enumerate(hosts, 1)})]


def only(*hosts: dict[str, Any]) -> str:
    found = problems(*hosts)
    assert len(found) == 1, found
    return found[0]


def test_a_right_inventory_has_no_problem() -> None:
    assert (
        problems(
            variables(instance(), instance(name="billing", port=5433, service_level="critical")),
            variables(instance(name="shop", engine="mariadb", repositories=["offsite"], service_level="development")),
            {"some_other_variable": 1},
        )
        == []
    )


def test_what_becomes_of_an_instance() -> None:
    raw = instance(
        port=5433,
        service_level="critical",
        repositories=["offsite", "local"],
        databases=["app", "audit"],
        os_user="pg",
        socket_directory="/run/pg",
        options={"time_limit_full": "24h", "process_max": 4, "compress": True},
    )
    [found] = inventory.resolve(variables(raw))
    assert (found.name, found.engine, found.port, found.os_user) == ("orders", "postgresql", 5433, "pg")
    assert [each.name for each in found.repositories] == ["offsite", "local"]
    assert found.primary_repository.settings == {
        "endpoint": "s3.example.com:9000",
        "bucket": "backups",
        "region": "us-east-1",
        "uri_style": "host",
    }
    assert found.primary_repository.secrets == {"key_id": "id", "key_secret": "hush", "passphrase": "two"}
    assert found.service_level.name == "critical"
    assert found.service_level.runs(Job.LOG)
    assert found.state_directory == "/var/lib/holdfast/orders"
    assert found.databases == ("app", "audit")
    assert found.socket_directory == "/run/pg"
    assert found.options == {"time_limit_full": "24h", "process_max": "4", "compress": "true"}


@pytest.mark.parametrize(("engine", "port", "user"), [("postgresql", 5432, "postgres"), ("mariadb", 3306, "mysql")])
def test_defaults_of_an_instance(engine: str, port: int, user: str) -> None:
    [found] = inventory.resolve(variables(instance(engine=engine)))
    assert (found.port, found.os_user, found.service_level.name) == (port, user, "standard")
    assert [each.name for each in found.repositories] == ["local", "offsite"]
    assert found.databases == ()
    assert found.options == {}


def test_values_that_templates_render_as_text_are_read() -> None:
    [found] = inventory.resolve(variables(instance(port="5433")))
    assert found.port == 5433


def test_a_level_of_the_inventory_replaces_the_built_in_one_as_a_whole() -> None:
    mine = {"rpo": "1d", "rto": "1h", "full": "0 5 * * *", "keep": {"full": 3}}
    [found] = inventory.resolve(variables(instance(), db_service_levels={"standard": mine}))
    assert found.service_level.schedule[Job.FULL] == "0 5 * * *"
    assert not found.service_level.runs(Job.INCREMENTAL)


def test_sftp_settings() -> None:
    [found] = inventory.resolve(variables(instance(), db_repositories={"local": LOCAL, "far": SFTP}))
    assert found.archive_repository.settings["port"] == "2222"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (instance(name=None), "db_instances[0].name: is missing"),
        (instance(engine=None), "db_instances[orders].engine: is missing"),
        (
            instance(name="Orders"),
            "db_instances[Orders].name: 'Orders': is not a valid name; valid: a lower-case letter",
        ),
        (instance(name="o" * 41), "is not a valid name"),
        (instance(name="orders\n"), "is not a valid name"),
        (instance(name="../etc"), "is not a valid name"),
        (instance(name=5), "db_instances[0].name: 5: is not a valid name"),
        (
            instance(engine="postgres"),
            "engine: 'postgres': unknown engine; valid: did you mean postgresql? valid are postgresql, mariadb",
        ),
        (instance(engine="MariaDB"), "did you mean mariadb?"),
        (instance(engine="mysql"), "engine: 'mysql': is not supported yet; valid: postgresql, mariadb"),
        (instance(engine=["postgresql"]), "engine: unknown engine"),
        (instance(port=0), "port: 0: is not valid; valid: 1 to 65535"),
        (instance(port=65536), "port: 65536: is not valid"),
        (instance(port="5432"), "port: '5432': is not valid"),
        (instance(port=True), "port: True: is not valid"),
        (
            instance(service_level="critcal"),
            "service_level: 'critcal': unknown service level; valid: did you mean critical?",
        ),
        (instance(service_level=3), "service_level: 3: unknown service level"),
        (
            instance(servicelevel="critical"),
            "servicelevel: 'critical': unknown key; valid: did you mean service_level?",
        ),
        (
            instance(repositories=["ofsite", "local"]),
            "repositories[0]: 'ofsite': unknown repository; valid: did you mean offsite?",
        ),
        (instance(repositories=["local", "offsite", "local"]), "repositories[2]: 'local': is named twice"),
        (instance(repositories=[]), "repositories: is empty"),
        (instance(repositories="local"), "repositories: 'local': is not a list"),
        (instance(repositories=["local"]), "it schedules archive copies, and the instance has a single repository"),
        (instance(databases="app"), "databases: 'app': is not a list"),
        (instance(databases=["app", 5]), "databases[1]: 5: is not valid; valid: names of databases"),
        (instance(os_user="root;rm"), "os_user: 'root;rm': is not valid"),
        (instance(socket_directory="run"), "socket_directory: 'run': is not valid; valid: an absolute path"),
        (instance(options=["x"]), "options: is not a mapping"),
        (instance(name="repository"), "would share /var/lib/holdfast/repository with the repository there"),
        (instance(options={"x": ["y"]}), "options.x: is not valid"),
        (
            instance(options={"time_limit_ful": "1h"}),
            "options.time_limit_ful: 'ful': unknown job; valid: did you mean full?",
        ),
        (instance(options={"time_limit_full": "x"}), "options.time_limit_full: 'x': a duration is"),
        ("orders", "db_instances[0]: 'orders': is not a mapping; valid: keys name, engine"),
        (["orders"], "db_instances[0]: is not a mapping"),
    ],
)
def test_refused_instances(raw: object, problem: str) -> None:
    assert problem in only(variables(raw))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (
            {**LOCAL, "type": "nfs"},
            "db_repositories.mine.type: 'nfs': unknown type of repository; valid: valid are posix",
        ),
        ({"path": "/x", "passphrase": "x"}, "db_repositories.mine.type: is missing"),
        ({"type": "posix", "path": "/x"}, "db_repositories.mine.passphrase: is missing"),
        ({"type": "posix", "passphrase": "x"}, "db_repositories.mine.path: is missing"),
        ({**LOCAL, "path": "backup"}, "path: 'backup': is not valid; valid: an absolute path"),
        ({**LOCAL, "bucket": "x"}, "db_repositories.mine.bucket: (hidden): unknown key"),
        ({**LOCAL, "passphrase": ""}, "passphrase: (hidden): is not a secret"),
        ({**LOCAL, "passphrase": 12345}, "passphrase: (hidden): is not a secret"),
        (
            {**OFFSITE, "endpoint": "https://s3"},
            "endpoint: 'https://s3': is not valid; valid: host or host:port, without",
        ),
        ({**OFFSITE, "uri_style": "virtual"}, "uri_style: 'virtual': is not valid; valid: path, host"),
        ({**OFFSITE, "bucket": "My Bucket"}, "bucket: 'My Bucket': is not valid"),
        ({**OFFSITE, "prefix": "../.."}, "prefix: '../..': is not valid"),
        ({**OFFSITE, "prefix": "team/db"}, ""),
        ({**LOCAL, "path": "/"}, "path: '/': is not valid"),
        ({**OFFSITE, "ca_file": "ca.pem"}, "ca_file: 'ca.pem': is not valid"),
        ({key: value for key, value in OFFSITE.items() if key != "key_id"}, "key_id: is missing"),
        ({**SFTP, "port": "ssh"}, "port: 'ssh': is not valid; valid: 1 to 65535"),
        ({**SFTP, "host": "-oProxyCommand=x"}, "host: '-oProxyCommand=x': is not valid"),
        ({**SFTP, "user": "-l"}, "user: '-l': is not valid"),
        ("/backup", "db_repositories.mine: '/backup': is not a mapping"),
    ],
)
def test_refused_repositories(raw: object, problem: str) -> None:
    repositories = {"local": {**LOCAL, "path": "/other"}, "mine": raw, "third": {**LOCAL, "path": "/third"}}
    found = problems(variables(instance(repositories=["local", "third"]), db_repositories=repositories))
    assert len(found) == (1 if problem else 0), found
    assert problem in "".join(found)


@pytest.mark.parametrize("secret", ["passphrase", "key_id", "key_secret"])
def test_no_message_shows_a_secret(secret: str) -> None:
    for value in ({"leak": "sesame"}, ["sesame"], 7777):
        repositories = {"local": LOCAL, "offsite": {**OFFSITE, secret: value, "unknown": 1}}
        text = "\n".join(problems(variables(instance(), db_repositories=repositories)))
        assert f"{secret}: (hidden)" in text
        assert "sesame" not in text
        assert "7777" not in text
        assert "hush" not in text


@pytest.mark.parametrize("word", ["passphrases", "pasphrase", "key_secrets", "password"])
def test_a_misspelt_secret_is_not_shown(word: str) -> None:
    repositories = {"local": LOCAL, "offsite": {**OFFSITE, word: "sesame"}}
    assert "sesame" not in "\n".join(problems(variables(instance(), db_repositories=repositories)))


def test_a_password_where_none_belongs_is_not_shown() -> None:
    assert "db_instances[orders].password: (hidden): unknown key" in only(variables(instance(password="sesame")))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (LOCAL, {**LOCAL, "path": "/backup/"}, True),
        (LOCAL, {**LOCAL, "path": "/backup2"}, False),
        (OFFSITE, {**OFFSITE, "key_id": "other"}, True),
        (OFFSITE, {**OFFSITE, "prefix": "two"}, False),
        (SFTP, {**SFTP, "user": "other"}, True),
        (SFTP, {**SFTP, "port": 23}, False),
        ({**SFTP, "port": 22}, {**SFTP, "port": ""}, True),
        (LOCAL, {**SFTP, "path": "/backup"}, False),
    ],
)
def test_two_repositories_in_one_place(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    found = problems(variables(instance(), db_repositories={"one": one, "other": other}))
    if same:
        assert len(found) == 1
        assert "db_repositories.other: 'other': is the same place as one" in found[0]
    else:
        assert found == []


def test_two_instances_of_one_name_on_two_hosts() -> None:
    assert only(variables(instance()), variables(instance())) == (
        "db2: db_instances[orders].name: 'orders': is also an instance of db1; "
        "valid: a name that is unique in the fleet"
    )


def test_two_instances_of_one_name_on_one_host() -> None:
    found = problems(variables(instance(), instance(port=5433)))
    assert found == [
        (
            "db1: db_instances[orders].name: 'orders': is also an instance of db1; "
            "valid: a name that is unique in the fleet"
        )
    ]
    with pytest.raises(InvalidInput, match="is also an instance of this host"):
        inventory.resolve(variables(instance(), instance(port=5433)))


def test_two_instances_on_one_port() -> None:
    assert "db_instances[billing]: 5432: is also the port of orders" in only(
        variables(instance(), instance(name="billing"))
    )
    assert problems(variables(instance()), variables(instance(name="billing"))) == []


def test_two_instances_without_a_name_on_one_port_are_told_once_for_each_mistake() -> None:
    found = problems(variables(instance(name=None), instance(name=None)))
    assert sum("is missing" in text for text in found) == 2


def test_a_level_that_an_engine_cannot_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = inventory.ENGINES["mariadb"]
    poorer = replace(facts, types=facts.types - {BackupType.INCREMENTAL})
    monkeypatch.setattr(inventory, "ENGINES", {**inventory.ENGINES, "mariadb": poorer})
    assert only(variables(instance(engine="mariadb", service_level="critical"))) == (
        "db1: db_instances[orders].service_level: 'critical': cannot serve this instance: it schedules incremental "
        "backups, which mariadb-backup for MariaDB does not take; valid: a level of differential, full, log, logical"
    )


def test_an_instance_without_any_repository() -> None:
    assert "db_instances[orders]: 'orders': has no repository" in only({"db_instances": [instance()]})


@pytest.mark.parametrize(
    "name", ["db_instance", "db_service_level", "db_repository", "db_repositorys", "backup_schedule"]
)
def test_a_misspelt_variable(name: str) -> None:
    known = {
        "db_instance": "db_instances",
        "db_service_level": "db_service_levels",
        "backup_schedule": "backup_scheduler",
    }
    raw = variables(instance())
    raw.pop(known.get(name, "db_repositories"), None)
    raw[name] = "x"
    text = "\n".join(problems(raw))
    assert f"{name}: 'x': unknown variable; valid: did you mean {known.get(name, 'db_repositories')}?" in text


def test_other_variables_are_no_business_of_ours() -> None:
    assert problems(variables(instance(), db_port=1, backup_window="x", ansible_host="h")) == []


def test_an_unknown_scheduler() -> None:
    assert "backup_scheduler: 'crond': unknown scheduler; valid: did you mean cron? valid are systemd, cron" in only(
        variables(instance(), backup_scheduler="crond")
    )


def test_a_fleet_without_instances() -> None:
    assert problems({"other": 1}) == ["all hosts: db_instances: is missing: no host of the inventory has instances"]
    assert inventory.check({}) == []


def test_templates_are_left_to_the_host() -> None:
    template = "{{ from_elsewhere }}"
    raw = dict.fromkeys(("name", "engine", "port", "service_level", "repositories", "databases", "os_user"), template)
    assert problems(variables({**raw, "socket_directory": template, "options": template})) == []
    assert problems(variables(instance(), db_repositories=template, db_service_levels=template)) == []
    assert problems({"db_instances": template}) == []
    secrets = {**OFFSITE, "passphrase": template, "key_id": "{% if x %}y{% endif %}", "endpoint": template}
    assert problems(variables(instance(), db_repositories={"local": LOCAL, "offsite": secrets})) == []


def test_a_template_that_was_not_rendered_is_no_value_on_a_host() -> None:
    with pytest.raises(InvalidInput) as caught:
        inventory.resolve(variables(instance(name="{{ x }}", port="{{ y }}")))
    assert "2 problems" in str(caught.value)


def test_all_problems_of_a_host_are_in_one_error() -> None:
    with pytest.raises(InvalidInventory) as caught:
        inventory.resolve(variables(instance(port=0, os_user="?"), instance(engine="x")), host="db1")
    assert len(caught.value.problems) == 4
    text = str(caught.value)
    assert text.startswith("db1: 4 problems in the inventory:\n  db1: db_instances[orders].")
    assert text.count("\n") == 4
    assert caught.value.exit_code == 2


def test_a_mistake_in_a_group_variable_is_told_once_for_all_its_hosts() -> None:
    hosts = [variables(instance(name=f"i{number}"), db_service_levels={"mine": {}}) for number in range(3)]
    assert len(problems(*hosts)) == 4  # the four keys that are missing


def test_the_same_mistake_of_two_hosts_is_told_of_both() -> None:
    found = problems(variables(instance(name="a", port=0)), variables(instance(name="b", port=0)))
    assert len(found) == 2


def test_a_mistake_has_its_place_when_it_is_known() -> None:
    def locate(host: str, path: tuple[object, ...], at_key: bool) -> Location:
        assert (host, path, at_key) == ("db1", ("db_instances", 0, "prot"), True)
        return Location("host_vars/db1.yml", 7)

    [found] = inventory.check({"db1": variables(instance(prot=5))}, locate)  # type: ignore[arg-type]
    assert str(found).startswith(
        "host_vars/db1.yml:7: db_instances[orders].prot: 5: unknown key; valid: did you mean port?"
    )
    assert found.as_dict()["line"] == 7


def test_a_long_value_is_cut_in_messages() -> None:
    assert "'" + "x" * 57 + "...'" in only(variables(instance(engine="x" * 200)))


def test_instances_of_the_fleet() -> None:
    hosts = {
        "db2": variables(instance(name="shop", engine="mariadb", service_level="critical")),
        "db1": variables(instance(port=5433)),
        "db3": {"other": 1},
        "db4": {"db_instances": "{{ x }}"},
    }
    assert inventory.instances(hosts) == {
        "db1": [{"name": "orders", "engine": "postgresql", "port": 5433, "service_level": "standard"}],
        "db2": [{"name": "shop", "engine": "mariadb", "port": 3306, "service_level": "critical"}],
    }


LEVEL = {
    "rpo": "1h",
    "rto": "1h",
    "full": "daily",
    "incremental": "hourly",
    "log": "continuous",
    "archive": "weekly",
    "keep": {"full": {"count": 7, "age": "7d"}, "incremental": "2d", "log": "7d", "archive": {"weekly": 4}},
}
JUNK: list[Any] = [
    *(None, True, 0, -1, 10**30, 1.5, "", "x", "7d", "daily", "{{ x }}", "0 1 * * *", "\0", b"x"),
    *([], {}, [[]], [None], {"a": None}, {1: 2}, {None: 1}, ["x", "x"], {"name": {}}),
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in items for each in paths(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    value[path[0]] = replaced(value[path[0]], path[1:], junk)
    return value


WHOLE = variables(
    instance(
        service_level="mine",
        databases=["app"],
        options={"time_limit_full": "1h"},
        repositories=["local", "far"],
        depends_on=["billing"],
        business={"mtd": "2h", "owner": "x"},
    ),
    instance(name="billing", port=5433, service_level="critical"),
    db_service_levels={"mine": LEVEL},
    db_repositories={"local": LOCAL, "far": SFTP, "offsite": OFFSITE},
    backup_scheduler="cron",
    db_plan={"organisation": "x", "owner": "lead", "reviewed": "2026-01-01", "activation": ["fire"], "impact": "low"},
    db_contacts={"lead": {"name": "x", "phone": "1", "mail": "a@b.c", "declares": True, "calls": [], "deputies": []}},
    db_communication={"declare": {"tell": ["lead"], "mail": ["a@b.c"], "webhook": "https://x", "message": "$phase"}},
    db_mail={"server": "x", "port": 25, "sender": "a@b.c", "user": "x", "password": "x"},
    db_sites={"here": {"address": "x", "alternate": "there"}, "there": {"address": "x", "type": "cold"}},
    db_site="here",
)


@pytest.mark.parametrize("path", [each for each in paths(WHOLE) if each], ids=lambda path: ".".join(map(str, path)))
def test_no_value_anywhere_is_more_than_a_problem(path: tuple[Any, ...]) -> None:
    for junk in JUNK:
        raw = replaced(copy.deepcopy(WHOLE), path, copy.deepcopy(junk))
        inventory.check({"db1": raw})
        inventory.instances({"db1": raw})
        inventory.gaps({"db1": raw})
        try:
            resolved = inventory.resolve(raw, host="db1")
        except InvalidInventory as error:
            assert error.problems  # noqa: PT017  # whether it is raised depends on the junk
        else:
            assert all(each.service_level.schedule and each.repositories for each in resolved)
