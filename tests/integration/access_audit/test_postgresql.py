"""An access audit of PostgreSQL on clusters of its own: vanilla, full of flaws, hardened; remediation and undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.access_audit.plant_postgresql import PLACE, Cluster, cluster, harden, plant, undo
from tests.integration.fleet import ROOT, Fleet, until

VERSIONS = {"15": "pg1", "17": "pg2"}
# What is true of a cluster as Debian makes it, and is to be decided by its administrator.
VANILLA = {
    "PG12": {"host all all 127.0.0.1/32 scram-sha-256", "host all all ::1/128 scram-sha-256"},
    "PG16": {"log_connections", "log_disconnections", "log_replication_commands", "log_statement"},
    "PG17": {"log_line_prefix without client"},
    "PG18": {"pgaudit"},
    "PG25": {"data_checksums"},  # on by default since PostgreSQL 18
    "PG26": {"archive_mode"},
    "PG27": {"idle_in_transaction_session_timeout"},
    "PG38": {"ssl_ciphers"},
}
ROWS_OPEN = "hostssl shop reader"
PLANTED = {
    "PG01": {"second_admin"},
    "PG02": {
        "nested in pg_execute_server_program",
        "runners in pg_execute_server_program",
        "carl in pg_execute_server_program",
        "reader in pg_read_all_data",
    },
    "PG03": {"maker", "copier", "passes_rows"},
    "PG04": {"endless", "same", "Digit", "guide", "old_hash", "old_same"},
    "PG05": {"ended"},
    "PG06": {"old_hash", "old_same"},
    "PG07": {"same", "Digit", "guide", "old_same"},
    "PG08": {"password_encryption", "password_encryption of maker"},
    "PG09": {
        "host shop reader 192.0.2.0/24 trust",
        "hostssl shop reader 192.0.2.0/24 password",
        "hostssl shop reader 198.51.100.7/32 md5",
        "hostssl shop reader 198.51.100.8/32 ident",
    },
    "PG10": {f"{ROWS_OPEN} {source} scram-sha-256" for source in ("0.0.0.0/0", "::/0", "all")},
    "PG11": {"host shop reader 192.0.2.0/24 trust"},
    "PG12": VANILLA["PG12"] | {"hostssl all all 198.51.100.0/24 scram-sha-256"},
    "PG14": {"ssl_min_protocol_version"},
    "PG15": {"listen_addresses *"},
    "PG16": VANILLA["PG16"] | {"log_statement of maker"},
    "PG17": {f"log_line_prefix without {what}" for what in ("process", "account", "database", "client")},
    "PG18": VANILLA["PG18"],
    "PG19": {"public"},
    "PG20": {"app.customers", "app.orders", "pg_catalog.pg_authid"},
    "PG21": {"shop"},
    "PG22": {"app.open_to_all()", "app.open_as_admin(what text)"},
    "PG23": {"language plplanted", "language plperlu", "extension dblink", "extension postgres_fdw"},
    "PG24": {"user mapping of reader on elsewhere"},
    "PG25": {"data_checksums", "fsync", "full_page_writes"},
    "PG26": VANILLA["PG26"],
    "PG27": {
        "authentication_timeout",
        "idle_in_transaction_session_timeout",
        "idle_in_transaction_session_timeout of reader",
    },
    "PG28": {
        *("nested", "reader", "maker", "copier", "passes_rows", "endless", "ended", "same", "Digit", "guide"),
        *("old_hash", "old_same", "ann", "bob", "carl", "dora"),
    },
    "PG33": {"subscription planted"},
    "PG34": {"PGPASSWORD"},
    "PG35": {
        "second_admin: hostssl all second_admin 198.51.100.9/32 cert",
        "second_admin: hostssl all +administrators 198.51.100.10/32 cert",
    },
    "PG36": {"passwordcheck"},
    "PG37": {"auth_delay"},
    "PG38": {"ssl_ciphers"},
}


@pytest.fixture(scope="module", params=sorted(VERSIONS))
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def vanilla(fleet: Fleet, version: str) -> Iterator[Cluster]:
    hostname = VERSIONS[version]
    with cluster(fleet.hosts[hostname], hostname, version, "vanilla", 5501) as made:
        yield made


@pytest.fixture(scope="module")
def planted(fleet: Fleet, version: str) -> Iterator[Cluster]:
    hostname = VERSIONS[version]
    with cluster(fleet.hosts[hostname], hostname, version, "planted", 5502) as made:
        plant(made)
        yield made


def _subjects(checks: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    errors = {name: result["reason"] for name, result in checks.items() if result["status"] == "error"}
    assert not errors
    return {
        name: {item["subject"] for item in result["findings"]}
        for name, result in checks.items()
        if result["status"] == "found"
    }


def test_a_vanilla_cluster_has_what_is_true_of_it_and_a_hardened_one_nothing(vanilla: Cluster) -> None:
    checks = vanilla.checks()
    assert len(checks) == 39
    assert _subjects(checks) == VANILLA
    assert [name for name, result in checks.items() if result["status"] == "not applicable"] == ["PG33"]
    assert {item["severity"] for item in checks["PG12"]["findings"]} == {"low"}, "the machine itself"
    harden(vanilla)
    assert _subjects(vanilla.checks()) == {"PG18": {"pgaudit"}}
    assert vanilla.ask("escalations") == []
    assert {item["account"] for item in vanilla.ask("rights") if not item["account"].startswith("pg_")} == {
        "postgres",
        "PUBLIC",
    }


def test_every_planted_flaw_is_found(planted: Cluster) -> None:
    checks = planted.checks()
    files = {
        "PG13": {f"line {_last_line(planted)}{_file(planted)}"},
        "PG29": {planted.data},
        "PG30": {f"{PLACE}/planted/server.key"},
        "PG31": {f"{planted.etc}/pg_hba.conf"},
        "PG32": {planted.log},
        "PG39": {"/var/lib/postgresql/.pg_service.conf", "arguments of sleep"},
    }
    assert _subjects(checks) == {**PLANTED, **files}
    severities = {
        (name, item["subject"]): item["severity"] for name, result in checks.items() for item in result["findings"]
    }
    assert severities["PG09", "host shop reader 192.0.2.0/24 trust"] == "critical"
    assert severities["PG22", "app.open_as_admin(what text)"] == "critical", "a superuser owns it"
    assert severities["PG25", "data_checksums"] == "high"
    assert "Planted-secret" not in json.dumps(checks)
    assert "SCRAM-SHA-256$" not in json.dumps(checks)


def _last_line(made: Cluster) -> str:
    return made.run(f"wc -l < {made.etc}/pg_hba.conf").strip()


def _file(made: Cluster) -> str:
    return f" of {made.etc}/pg_hba.conf" if made.version != "15" else ""


def test_tls_that_is_off_is_found(planted: Cluster) -> None:
    planted.sql("ALTER SYSTEM SET ssl = off")
    planted.sql("SELECT pg_reload_conf()")
    try:
        until(lambda: planted.sql("SHOW ssl") == "off")
        checks = planted.checks()
        assert "ssl" in _subjects(checks)["PG14"]
        assert checks["PG30"]["status"] == "not applicable"
    finally:
        planted.sql("ALTER SYSTEM RESET ssl")
        planted.sql("SELECT pg_reload_conf()")


def test_an_audit_leaves_nothing_and_an_error_is_no_pass(planted: Cluster) -> None:
    before = planted.catalog()
    planted.checks()
    assert planted.catalog() == before
    # Without its function the view of the rules cannot be read, by anybody.
    planted.sql("ALTER FUNCTION pg_hba_file_rules() RENAME TO moved_away")
    try:
        planted.run(f"mv {planted.etc}/pg_hba.conf {planted.etc}/pg_hba.gone")
        checks = planted.checks()
    finally:
        planted.run(f"mv {planted.etc}/pg_hba.gone {planted.etc}/pg_hba.conf")
        planted.sql("ALTER FUNCTION moved_away() RENAME TO pg_hba_file_rules")
    assert {checks[name]["status"] for name in ("PG09", "PG10", "PG11", "PG12", "PG13", "PG31")} == {"error"}


def test_what_an_ordinary_account_may_not_see_is_an_error(planted: Cluster) -> None:
    planted.sql("CREATE ROLE ops LOGIN")  # as the user of the host is called
    try:
        checks = planted.answer("checks", account="ops")["result"]
        accounts = planted.answer("accounts", account="ops")
    finally:
        planted.sql("DROP ROLE ops")
    hidden = {"PG04", "PG06", "PG07", "PG09", "PG10", "PG11", "PG12", "PG13", "PG14", "PG18", "PG24"}
    hidden |= {"PG29", "PG30", "PG31", "PG32", "PG33", "PG34", "PG35", "PG36", "PG37", "PG38", "PG39"}
    hidden |= {"PG08", "PG16", "PG27"}  # what holds for everybody, the configuration files say
    assert {name for name, result in checks.items() if result["status"] == "error"} == hidden
    assert not [name for name, result in checks.items() if result["status"] == "passed"], "each has a flaw planted"
    assert accounts["code"] == "access-denied"


def test_accounts_say_what_is_known_and_why_the_rest_is_not(planted: Cluster) -> None:
    accounts = {item["name"]: item for item in planted.ask("accounts")}
    assert accounts["old_hash"]["method"] == "md5"
    assert accounts["same"]["method"] == "scram-sha-256"
    assert (accounts["reader"]["method"], accounts["reader"]["password"]) == ("none", "none")
    assert accounts["ended"]["expires"].startswith("2020-01-01")
    assert accounts["maker"]["attributes"] == ["CREATEROLE"]
    assert accounts["dora"]["member_of"] == ["team"]
    assert accounts["owner_of_things"]["owns"] > 6
    assert accounts["pg_monitor"]["system"]
    assert "does not keep" in accounts["ann"]["unknown"]["created"]
    assert "log_connections is off" in accounts["ann"]["unknown"]["last_seen"]
    assert accounts["postgres"]["unknown"]["owns"]
    memberships = {(item["role"], item["member"]): item for item in planted.ask("memberships")}
    assert memberships["team", "ann"]["admin"]
    assert not memberships["team", "dora"]["inherits"]
    assert memberships["runners", "nested"]["inherits"]


def test_rights_are_resolved(planted: Cluster) -> None:
    found = {
        (item["account"], item["privilege"], item["object"], tuple(item["via"]), item["source"])
        for item in planted.ask("rights")
        if item["database"] in ("", "shop")
    }
    expected = {
        ("postgres", "SUPERUSER", "all", (), "attribute"),
        ("second_admin", "SUPERUSER", "all", (), "attribute"),
        ("nested", "EXECUTE", "programs as the server's user", ("runners", "pg_execute_server_program"), "attribute"),
        ("ann", "SELECT", "app.orders", ("team",), "grant"),
        ("dora", "SELECT", "app.orders", ("team",), "grant"),
        ("PUBLIC", "SELECT", "app.customers", (), "grant"),
        ("PUBLIC", "UPDATE", "app.orders (amount)", (), "grant"),
        ("PUBLIC", "SELECT", "pg_catalog.pg_authid", (), "grant"),
        ("PUBLIC", "EXECUTE", "app.open_to_all()", (), "routine"),
        ("bob", "EXECUTE", "app.closed()", (), "routine"),
        ("bob", "UPDATE", "app.customers (note)", (), "grant"),
        ("owner_of_things", "OWNER", "things.one", ("owner",), "ownership"),
        ("reader", "OWNER", "app.open_to_all()", ("owner",), "ownership"),
        ("team", "SELECT", "of owner_of_things in things", (), "default"),
        ("ann", "SELECT", "of owner_of_things in things", ("team",), "default"),
        ("maker", "CREATEROLE", "all", (), "attribute"),
        ("bob", "EXECUTE", "pg_read_file(text)", (), "grant"),
    }
    assert expected <= found, expected - found
    assert len([row for row in found if row[0] == "second_admin"]) == 1, "a superuser comes once"
    assert not [row for row in found if row[0] == "ann" and row[2] == "app.customers"], "PUBLIC comes once"


def test_ways_to_more_power_are_found(planted: Cluster) -> None:
    found = planted.ask("escalations")
    told = {(item["account"], item["reaches"]): " / ".join(item["steps"]) for item in found}
    texts = {(item["account"], " / ".join(item["steps"])) for item in found}
    assert "grants it to itself" not in told["nested", "operating system"]
    assert any("carl has the admin option of runners" in text or "carl is a member" in text for _, text in texts)
    assert "may replicate" in told["copier", "every row"]
    assert any(account == "PUBLIC" and "app.open_as_admin(text)" in text for account, text in texts)
    assert any(account == "PUBLIC" and "schema public" in text for account, text in texts)
    assert any(account == "PUBLIC" and "plperlu" in text for account, text in texts)
    assert any(account == "owner_of_things" and "event trigger watch" in text for account, text in texts)
    assert any(account == "owner_of_things" and "app.orders" in text for account, text in texts)
    assert any(account == "bob" and "archive_command" in text for account, text in texts)
    assert any(account == "bob" and "pg_read_file(text)" in text for account, text in texts)
    by_createrole = any(account == "maker" and "before PostgreSQL 16" in text for account, text in texts)
    assert by_createrole == (planted.version == "15")
    assert not any("app.pinned" in text for _, text in texts)
    assert not [item for item in found if item["account"] in ("postgres", "second_admin", "endless")]


CHANGES = [
    [["revoke", "bob", {"privilege": "SELECT", "kind": "table", "object": "app.orders", "database": "shop"}]],
    [["revoke", "carl", {"privilege": "SELECT", "kind": "table", "object": "app.orders", "database": "shop"}]],
    # What carl has went with bob's right when its own turn comes, and comes back with it.
    [
        ["revoke", "bob", {"privilege": "SELECT", "kind": "table", "object": "app.orders", "database": "shop"}],
        ["revoke", "carl", {"privilege": "SELECT", "kind": "table", "object": "app.orders", "database": "shop"}],
    ],
    [
        [
            "revoke",
            "team",
            {
                "privilege": "SELECT",
                "kind": "future tables",
                "object": "of owner_of_things in things",
                "database": "shop",
            },
        ]
    ],
    [
        [
            "revoke",
            "PUBLIC",
            {"privilege": "UPDATE", "kind": "column", "object": "app.orders (amount)", "database": "shop"},
        ]
    ],
    [["revoke", "PUBLIC", {"privilege": "CONNECT", "kind": "database", "object": "shop"}]],
    [
        [
            "revoke",
            "PUBLIC",
            {"privilege": "EXECUTE", "kind": "routine", "object": "app.open_to_all()", "database": "shop"},
        ]
    ],
    [["revoke", "PUBLIC", {"privilege": "CREATE", "kind": "schema", "object": "public", "database": "shop"}]],
    [["revoke", "bob", {"privilege": "ALTER SYSTEM", "kind": "parameter", "object": "archive_command"}]],
    [["revoke", "ann", {"role": "team", "admin": True}]],
    [["revoke", "carl", {"role": "runners"}]],
    [["revoke", "dora", {"role": "team"}]],
    [["revoke", "second_admin", {"attribute": "SUPERUSER"}]],
    [["revoke", "maker", {"attribute": "CREATEROLE"}], ["lock", "copier", {}], ["expire", "endless", {}]],
    [["grant", "dora", {"privilege": "SELECT", "kind": "view", "object": "things.two", "database": "shop"}]],
    [["grant", "dora", {"role": "runners"}], ["create", "new one", {"login": True, "connections": 3}]],
    [["drop", "copier", {}]],
    [["drop", "owner_of_things", {"reassign": "team"}]],
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "-".join([changes[0][0], changes[0][1]]))
def test_a_change_is_made_and_undone(planted: Cluster, changes: list[Any]) -> None:
    before = planted.catalog()
    steps = planted.ask("change", changes)
    assert steps
    after = planted.catalog()
    assert after != before
    assert not [change for change in changes if change[0] != "drop" and planted.ask("plan", *change)], "it is done"
    undo(planted, steps)
    assert planted.catalog() == before


def test_what_must_not_be_taken_is_refused(planted: Cluster) -> None:
    before = planted.catalog()
    refused = [
        ["lock", "postgres", {}],
        ["drop", "postgres", {}],
        ["revoke", "postgres", {"attribute": "SUPERUSER"}],
        ["drop", "owner_of_things", {}],
        ["drop", "pg_monitor", {}],
    ]
    for asked in refused:
        assert planted.answer("plan", *asked)["code"] == "refused", asked
    unknown = [
        ["lock", "nobody", {}],
        ["revoke", "bob", {"privilege": "SELECT", "kind": "table", "object": "app.x; DROP TABLE app.orders"}],
        ["grant", "bob", {"attribute": "GODLIKE"}],
        ["lock", "bob", {"nonsense": 1}],
    ]
    for asked in unknown:
        assert planted.answer("plan", *asked)["code"] == "invalid-input", asked
    assert planted.catalog() == before


def test_a_change_that_fails_in_one_database_leaves_none_changed(planted: Cluster) -> None:
    before = planted.catalog()
    # Nobody foresaw that the role is still named by something in the second database.
    asked = [
        ["revoke", "PUBLIC", {"privilege": "CREATE", "kind": "schema", "object": "public", "database": "shop"}],
        ["create", "some_role", {}],
    ]
    steps = [step for item in asked for step in planted.ask("plan", *item)]
    planted.sql("CREATE ROLE some_role")
    try:
        answer = planted.answer("carry_out", steps)
        assert "is undone" in answer["what"]
    finally:
        planted.sql("DROP ROLE some_role")
    assert planted.catalog() == before


def test_grants_are_seen_in_the_log_across_rotation(vanilla: Cluster) -> None:
    for setting in ("log_statement = 'ddl'", "log_connections = on"):
        vanilla.sql(f"ALTER SYSTEM SET {setting}")
    vanilla.sql("SELECT pg_reload_conf()")
    until(lambda: vanilla.sql("SHOW log_statement") == "ddl")
    position = vanilla.ask("observed_grants", "")[1]
    vanilla.sql("CREATE ROLE seen LOGIN PASSWORD 'Planted-secret-5'")
    vanilla.sql("GRANT pg_read_all_data\n  TO seen; SELECT 1")
    vanilla.run(f"cp -p {vanilla.log} {vanilla.log}.1 && : > {vanilla.log}")
    vanilla.sql("REVOKE pg_read_all_data FROM seen")
    vanilla.sql("CREATE TABLE plain_ddl (x int)")
    found, next_position = vanilla.ask("observed_grants", position)
    assert [item["statement"].split()[0] for item in found] == ["CREATE", "GRANT", "REVOKE"]
    assert "Planted-secret" not in json.dumps(found)
    assert {item["account"] for item in found} == {"postgres"}
    assert all(item["time"].endswith("+00:00") for item in found)
    assert vanilla.ask("observed_grants", next_position)[0] == []
    vanilla.run(f"rm {vanilla.log}.1 && : > {vanilla.log}")
    vanilla.sql("DROP ROLE seen")
    lost = vanilla.ask("observed_grants", next_position)[0]
    assert lost[0]["gap"]
    assert lost[1]["statement"] == "DROP ROLE seen"
    accounts = {item["name"]: item for item in vanilla.ask("accounts")}
    assert accounts["postgres"]["last_seen_source"] == "the server's log"
    vanilla.sql("ALTER SYSTEM SET log_destination = 'csvlog'")
    vanilla.sql("ALTER SYSTEM SET logging_collector = on")
    vanilla.ctl("restart")
    vanilla.sql('GRANT pg_monitor TO pg_read_all_data /* a\n"b */')
    vanilla.sql("REVOKE pg_monitor FROM pg_read_all_data")
    found, next_position = vanilla.ask("observed_grants", "")
    assert [item["statement"].split()[0] for item in found] == ["GRANT", "REVOKE"]
    assert vanilla.ask("observed_grants", next_position)[0] == []


def test_without_statements_in_the_log_nothing_is_claimed(planted: Cluster) -> None:
    assert planted.answer("observed_grants", "")["code"] == "unsupported"


def test_a_thousand_roles_with_a_hundred_thousand_grants(fleet: Fleet) -> None:
    """Of the time only that of the audit itself is held to the target: the machine of a test may have other work."""
    with cluster(fleet.hosts["pg2"], "pg2", "17", "scale", 5503) as made:
        made.sql((ROOT / "tests" / "bench" / "access_scale_postgresql.sql").read_text())
        taken = made.ask("measure")
    print(json.dumps(taken))
    assert taken["accounts"]["rows"] >= 1000
    assert taken["rights"]["rows"] > 100_000
    assert taken["cpu_seconds"] < 5
    assert taken["peak_mib"] < 200
