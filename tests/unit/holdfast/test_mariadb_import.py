"""Whose file is taken over, and whose rows are loaded."""

from __future__ import annotations

import pytest
from ansible.module_utils.holdfast.engines import _mariadb_import
from ansible.module_utils.holdfast.errors import CommandFailed

PLACE = ("shop", "orders_rescued_20261121")
LARGE = _mariadb_import.LEAST_BYTES
PLAIN = "CREATE TABLE `orders` (\n  `id` int(11) NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB"
SETTINGS = {"log_bin": "OFF", "wsrep_on": "OFF", "innodb_page_size": "16384", "innodb_default_row_format": "dynamic"}


class FakeServer:
    """Answers what is asked of a table, notes what is done, and refuses what it is told to."""

    def __init__(self, directory, definition=PLAIN, table=("InnoDB", "BASE TABLE", "dynamic"), refuses="-", **settings):
        self.directory, self.definition, self.table, self.refuses = directory, definition, table, refuses
        self.settings = {**SETTINGS, **settings}
        self.done = []

    def rows(self, statement, arguments=(), *, patience=60, database=None):
        words = " ".join(statement.split())
        if words.startswith("SHOW GLOBAL VARIABLES"):
            return list(self.settings.items())
        if words.startswith("SHOW CREATE TABLE"):
            return [("orders", self.definition)]
        if words.startswith("SELECT engine"):
            assert arguments == PLACE
            return [self.table]
        if words == "SELECT @@datadir":
            return [(f"{self.directory}/",)]
        if self.refuses in words:
            raise CommandFailed("Schema mismatch (error 1808)")
        self.done.append(words)
        return []

    def row(self, statement, arguments=()):
        return self.rows(statement, arguments)[0]

    def execute(self, statement):
        self.rows(statement)


@pytest.mark.parametrize(
    ("size", "source", "target", "place"),
    [
        (LARGE - 1, {}, {}, PLACE),
        (LARGE, {}, {"log_bin": "ON"}, PLACE),
        (LARGE, {}, {"wsrep_on": "ON"}, PLACE),
        (LARGE, {"innodb_page_size": "8192"}, {}, PLACE),
        (LARGE, {"table": ("Aria", "BASE TABLE", "page")}, {}, PLACE),
        (LARGE, {"table": ("InnoDB", "SYSTEM VERSIONED", "dynamic")}, {}, PLACE),
        (LARGE, {"definition": f"{PLAIN} `ENCRYPTED`=YES"}, {}, PLACE),
        (LARGE, {"definition": f"{PLAIN}\n PARTITION BY HASH (`id`)"}, {}, PLACE),
        (LARGE, {"definition": PLAIN.replace("  PRIMARY", "  FULLTEXT KEY `t` (`t`),\n  PRIMARY")}, {}, PLACE),
        (LARGE, {"definition": PLAIN.replace("NOT NULL", "GENERATED ALWAYS AS (1) VIRTUAL")}, {}, PLACE),
        (LARGE, {}, {}, ("shop", "Größen_rescued")),
    ],
)
def test_rows_are_loaded_where_the_file_would_lose_something(tmp_path, size, source, target, place) -> None:
    servers = FakeServer(tmp_path, **source), FakeServer(tmp_path, **target)
    assert not _mariadb_import.saves_time(servers[0], place, size, servers[1])


def test_a_large_plain_table_is_taken_over(tmp_path) -> None:
    servers = [FakeServer(tmp_path / name) for name in ("copy", "live")]
    assert _mariadb_import.saves_time(servers[0], PLACE, LARGE, servers[1])
    for server in servers:
        (server.directory / "shop").mkdir(parents=True)
    for end in ("ibd", "cfg"):
        (servers[0].directory / "shop" / f"{PLACE[1]}.{end}").write_text(end)
    assert _mariadb_import.take_over(servers[0], PLACE, servers[1])
    table = "`shop`.`orders_rescued_20261121`"
    assert servers[0].done == [f"FLUSH TABLES {table} FOR EXPORT", "UNLOCK TABLES"]
    assert servers[1].done == [
        " ".join(PLAIN.split()),
        f"ALTER TABLE {table} DISCARD TABLESPACE",
        f"ALTER TABLE {table} IMPORT TABLESPACE",
    ]
    assert [path.name for path in (servers[1].directory / "shop").iterdir()] == [f"{PLACE[1]}.ibd"]


def test_what_the_server_refuses_leaves_nothing(tmp_path) -> None:
    servers = FakeServer(tmp_path / "copy"), FakeServer(tmp_path / "live", refuses="IMPORT")
    for server in servers:
        (server.directory / "shop").mkdir(parents=True)
    for end in ("ibd", "cfg"):
        (servers[0].directory / "shop" / f"{PLACE[1]}.{end}").write_text(end)
    assert not _mariadb_import.take_over(servers[0], PLACE, servers[1])
    assert servers[0].done[-1] == "UNLOCK TABLES"
    assert servers[1].done[-1] == "DROP TABLE IF EXISTS `shop`.`orders_rescued_20261121`"


def test_another_row_format_than_the_default_is_kept(tmp_path) -> None:
    servers = FakeServer(tmp_path, table=("InnoDB", "BASE TABLE", "compact")), FakeServer(tmp_path, refuses="DISCARD")
    assert not _mariadb_import.take_over(servers[0], PLACE, servers[1])
    assert servers[1].done[0].endswith("ENGINE=InnoDB ROW_FORMAT=compact")
