"""The outcome that a user cares about: what was lost is back, beside what is live, while the writers go on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.fleet import Database, Fleet, playbook, together
from tests.integration.rescue.accident import ODD, SECRET, Accident, clear, goes_on, happen, rows, writes
from tests.integration.restore_test.test_measured import assert_no_scratch
from tests.integration.staging import no_binary_log


@pytest.fixture(scope="module")
def accidents(fleet: Fleet) -> Iterator[list[Accident]]:
    """The same on three servers; their rescues run side by side."""
    databases = [fleet[name] for name in ("orders", "analytics", "shop")]
    yield together(happen, *databases)
    together(clear, *databases)


def _numbers(accident: Accident, table: str) -> list[int]:
    return [int(line) for line in accident.sql(f"SELECT id FROM {table} ORDER BY 1").split()]


def test_a_dropped_table_is_back_row_by_row_while_writers_go_on(accidents: list[Accident]) -> None:
    def check(accident: Accident) -> None:
        database = accident.database
        begun = writes(database)
        record = accident.rescue("--name", accident.path(ODD), "--time", accident.before)
        found = record["rescue"]
        assert "_rescued_20" in found["target"]
        assert rows(database, accident.table(record)) == accident.odd
        assert found["rows"] == 40
        assert found["source"]["moment"][:19] == accident.before[:19]
        assert {"extract", "load", "compare"} < set(found["phases"])
        assert found["compare"][0]["live"] is None
        assert found["statements"]["swap"]
        assert goes_on(database, begun)
        assert_no_scratch(database)

    together(check, *accidents)


def test_rows_deleted_between_two_times_come_back_alone_and_merge(accidents: list[Accident]) -> None:
    def check(accident: Accident) -> None:
        times = ("--time", accident.before, "--deleted-until", accident.middle)
        record = accident.rescue("--name", accident.path("precious"), *times)
        table = accident.table(record)
        assert _numbers(accident, table) == list(range(11, 21))
        compared = record["rescue"]["compare"][0]
        assert (compared["only_rescued"], compared["only_live"], compared["different"]) == (10, 47, 0)
        assert record["rescue"]["statements"]["swap"] == []
        for statement in record["rescue"]["statements"]["merge"]:
            accident.sql(statement)
        lost = accident.precious.splitlines()
        assert rows(accident.database, "precious").splitlines()[10:20] == lost[10:20]
        assert _numbers(accident, "precious") == [number for number in range(1, 61) if number not in (31, 32, 33)]

    together(check, *accidents)


def test_rows_deleted_since_come_back_where_a_condition_holds(accidents: list[Accident]) -> None:
    def check(accident: Accident) -> None:
        chosen = ("--deleted-until", "now", "--where", "id <> 32 AND note LIKE 'note%'")
        record = accident.rescue("--name", accident.path("precious"), "--time", accident.before, *chosen)
        assert _numbers(accident, accident.table(record)) == [31, 33]

    together(check, accidents[0], accidents[2])


def test_function_and_view_are_back_under_another_name(accidents: list[Accident]) -> None:
    def check(accident: Accident) -> None:
        time = ("--time", accident.before)
        function = accident.rescue("--kind", "function", "--name", accident.path("twice"), *time)
        assert accident.sql(f"SELECT {accident.table(function)}(21)") == "42"
        view = accident.rescue("--kind", "view", "--name", accident.path("totals"), *time)
        assert len(accident.sql(f"SELECT * FROM {accident.table(view)}").splitlines()) == 5

    together(check, accidents[0], accidents[2])


def test_a_role_is_back_with_password_and_grants_that_nobody_saw(accidents: list[Accident]) -> None:
    def check(accident: Accident) -> None:
        database, name = accident.database, accident.role
        asked = ("--kind", "role", "--name", name, "--time", accident.before)
        record = accident.rescue(*asked, "--replace", "--confirm", name)
        assert accident.password() == accident.hash
        granted = "SELECT has_column_privilege('rescue_role', 'precious', 'note', 'UPDATE')"
        other = "SELECT column_priv = 'Update' FROM mysql.columns_priv WHERE user = 'rescue_role'"
        assert accident.sql(granted if database.is_postgresql else other) in ("t", "1")
        log = database.run("cat /var/log/holdfast/%s.log", database.name)
        for text in (json.dumps(record), log):
            assert SECRET not in text
            assert accident.hash not in text

    together(check, accidents[0], accidents[2])


def test_the_live_table_is_replaced_when_confirmed_and_kept(accidents: list[Accident]) -> None:
    def check(accident: Accident) -> None:
        database, name = accident.database, accident.path("precious")
        live = rows(database, "precious")
        record = accident.rescue("--name", name, "--time", accident.before, "--replace", "--confirm", name)
        assert rows(database, "precious") == accident.precious
        assert rows(database, record["rescue"]["before"].split(".")[-1]) == live
        accident.sql("UPDATE precious SET note = 'new' WHERE id = 2")
        assert accident.sql("SELECT note FROM precious WHERE id = 2") == "new!", "the trigger is there"
        accident.sql("INSERT INTO precious (customer, note) VALUES (1, 'x')")
        assert int(accident.sql("SELECT max(id) FROM precious")) > 60
        refused = "INSERT INTO precious (customer, note) VALUES (99, 'x')"
        with pytest.raises(AssertionError, match="foreign key"):
            accident.sql(refused)

    together(check, *accidents)


def test_the_newest_dump_is_taken_when_no_time_is_asked(fleet: Fleet) -> None:
    crm = fleet["crm"]
    assert crm.backup("logical")["result"] == "ok"
    query = "SELECT sku, hex(label), price, hex(digest), changed FROM crm_catalog.{} ORDER BY 1"
    expected = crm.sql(query.format("articles"))
    record = crm.holdfast("rescue", "--name", "crm_catalog.articles")
    table = record["rescue"]["target"].rpartition(".")[2]
    try:
        assert record["rescue"]["source"]["text"].startswith("dump ")
        assert crm.sql(query.format(table)) == expected
        compared = record["rescue"]["compare"][0]
        assert (compared["only_rescued"], compared["only_live"], compared["different"]) == (0, 0, 0)
    finally:
        crm.sql(f"DROP TABLE crm_catalog.{table}")


def test_a_large_table_comes_back_as_a_file_where_no_log_would_lack_it(fleet: Fleet) -> None:
    crm = fleet["crm"]
    content = "SELECT seq AS id, RANDOM_BYTES(1000) AS content FROM seq_1_to_30000"
    columns = "id INT AUTO_INCREMENT PRIMARY KEY, content VARBINARY(1000), KEY (content(20))"
    with no_binary_log(crm):
        crm.sql(f"CREATE OR REPLACE TABLE crm_catalog.large ({columns}) AS {content}")
        expected = crm.sql("CHECKSUM TABLE crm_catalog.large").split()[1]
        assert crm.backup("full")["result"] == "ok"
        crm.sql("DELETE FROM crm_catalog.large WHERE id > 10")
        record = crm.holdfast("rescue", "--name", "crm_catalog.large", "--time", "latest")
        table = record["rescue"]["target"]
        assert f"took over the file of {table}" in crm.run("cat /var/log/holdfast/crm.log")
        assert crm.sql(f"CHECKSUM TABLE {table}").split()[1] == expected
        compared = record["rescue"]["compare"][0]
        assert (compared["only_rescued"], compared["only_live"], compared["different"]) == (29990, 0, 0)
        for statement in record["rescue"]["statements"]["swap"]:
            crm.sql(statement)
        assert crm.sql("INSERT INTO crm_catalog.large (content) VALUES ('x') RETURNING id > 30000") == "1"
        assert crm.sql("CHECK TABLE crm_catalog.large EXTENDED").split()[-1] == "OK"
        directory = crm.sql("SELECT @@datadir").rstrip("/")
        assert crm.run("find %s/crm_catalog -name '*.cfg'", directory) == ""
        left = crm.sql("SHOW TABLES FROM crm_catalog LIKE 'large%'").split()
        crm.sql(f"DROP TABLE {', '.join(left)}", "crm_catalog")


def test_check_mode_shows_the_plan_and_changes_nothing(accidents: list[Accident], fleet: Fleet) -> None:
    accident: Accident = accidents[0]
    database: Database = fleet["orders"]
    records = len(database.records())
    asked = {"instance": "orders", "object": accident.path("precious"), "time": accident.before}
    output = playbook("rescue", "--check", extra=asked)
    for word in ("precious_rescued_20", "backup 20", "needed", "replaces"):
        assert word in output
    assert len(database.records()) == records
    assert_no_scratch(database)
