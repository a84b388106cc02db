"""What cannot be rescued says so in one message, and nothing that is live is touched."""

from __future__ import annotations

import pytest

from tests.integration.fleet import Database, Fleet, until
from tests.integration.restore_test.test_measured import assert_no_scratch
from tests.integration.staging import assert_failed

TABLE = ("--name", "orders.public.customers")


@pytest.fixture(scope="module")
def orders(fleet: Fleet) -> Database:
    """With a full backup."""
    if not fleet["orders"].backups(type_="full"):
        assert fleet["orders"].backup("full")["result"] == "ok"
    return fleet["orders"]


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        ((*TABLE, "--time", "2020-01-01T00:00:00Z"), ("no backup reaches", "lies before the end of backup")),
        ((*TABLE, "--time", "2126-01-01T00:00:00Z"), ("is in the future",)),
        ((*TABLE, "--replace", "--confirm", "customers"), ("'customers' does not confirm", "orders.public.customers")),
        ((*TABLE, "--deleted-until", "now"), ("need that time",)),
        (("--kind", "view", "--name", "orders.public.revenue", "--where", "1=1"), ("of a table, not of a view",)),
        ((*TABLE, "--replace", "--where", "id=1", "--confirm", TABLE[1]), ("merge them instead",)),
    ],
)
def test_what_stands_in_the_way_is_named(orders: Database, arguments: tuple, mentions: tuple) -> None:
    record = orders.holdfast("rescue", *arguments, code=2)
    assert_failed(orders, record, "refused", *mentions)


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        (("--name", "customers"), ("of the form DATABASE.SCHEMA.TABLE",)),
        (("--kind", "event", "--name", "orders.public.x"), ("no event to rescue",)),
    ],
)
def test_a_name_that_cannot_be_is_refused(orders: Database, arguments: tuple, mentions: tuple) -> None:
    assert_failed(orders, orders.holdfast("rescue", *arguments, code=2), "invalid-input", *mentions)


def test_what_is_not_in_the_backup_says_so(orders: Database) -> None:
    record = orders.holdfast("rescue", "--name", "orders.public.no_such_table", code=1)
    assert_failed(orders, record, "not-in-backup", "no_such_table", "a time at which it was there")
    assert_no_scratch(orders)


def test_a_condition_that_is_no_sql_says_so_and_leaves_nothing(orders: Database) -> None:
    record = orders.holdfast("rescue", *TABLE, "--time", "latest", "--where", "no_such_column = 1", code=2)
    assert_failed(orders, record, "invalid-input", "no_such_column")
    assert_no_scratch(orders)


def test_too_little_space_is_known_before_anything_is_restored(orders: Database) -> None:
    scratch = f"{orders.state}/scratch"
    orders.run("install -d -o postgres -m 700 %s; mount -t tmpfs -o size=4m tmpfs %s", scratch, scratch)
    try:
        record = orders.holdfast("rescue", *TABLE, code=2)
        assert_failed(orders, record, "refused", "are needed", "are free", scratch)
    finally:
        orders.run("umount %s", scratch)


def test_a_name_that_is_taken_gets_a_further_suffix(orders: Database) -> None:
    first = orders.holdfast("rescue", "--plan", *TABLE)["target"].rpartition(".")[2]
    orders.sql(f'CREATE TABLE public."{first}" ()', "orders")
    try:
        second = orders.holdfast("rescue", "--plan", *TABLE)["target"].rpartition(".")[2]
        assert second != first
        assert "_rescued_20" in first
        assert "_rescued_20" in second
    finally:
        orders.sql(f'DROP TABLE public."{first}"', "orders")


def test_a_replica_is_no_place_to_load_into(shop: Database) -> None:
    shop.sql("CHANGE MASTER TO master_host = '127.0.0.1', master_user = 'nobody'; SET GLOBAL read_only = 1")
    try:
        record = shop.holdfast("rescue", "--name", "shop.customers", code=2)
        assert_failed(shop, record, "refused", "replica", "primary")
    finally:
        shop.sql("SET GLOBAL read_only = 0; RESET SLAVE ALL")


def test_a_killed_rescue_can_be_run_again(shop: Database) -> None:
    if not shop.backups(type_="full"):
        assert shop.backup("full")["result"] == "ok"
    arguments = ("--name", "shop.customers", "--time", "latest")
    shop.run(f"setsid holdfast rescue shop {' '.join(arguments)} >/dev/null 2>&1 &")
    kill = "pkill -KILL -f 'holdfast [r]escue shop'"
    shop.run(
        f"for i in $(seq 1500); do [ -d %s/scratch/rescue/data ] && {kill} && exit; sleep 0.02; done; exit 1",
        shop.state,
    )
    until(lambda: shop.holdfast("reap") is not None and shop.records(last=1)[0]["job"] == "rescue")
    assert shop.records(last=1)[0]["error"]["code"] == "killed"
    before = _tables(shop)
    # As if it had been killed while it loaded.
    shop.sql("CREATE TABLE shop.customers_rescued_half (id INT)")
    half = '{"kind": "table", "path": ["shop", "customers_rescued_half"]}'
    shop.run("echo %s > %s/rescue.json", half, shop.state)
    record = shop.holdfast("rescue", *arguments)
    table = record["rescue"]["target"].rpartition(".")[2]
    try:
        assert _tables(shop) - before == {table}
        assert shop.sql(f"SELECT count(*) FROM shop.{table}") == shop.sql("SELECT count(*) FROM shop.customers")
        assert_no_scratch(shop)
    finally:
        shop.sql(f"DROP TABLE shop.{table}")


def _tables(shop: Database) -> set[str]:
    return set(shop.sql("SET NAMES utf8mb4; SHOW TABLES", "shop").splitlines())
