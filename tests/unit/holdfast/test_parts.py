"""Names of parts, and the names under which they come back."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest
from ansible.module_utils.holdfast.engines._mariadb_objects import Made, disabled, printed, renamed
from ansible.module_utils.holdfast.engines._mariadb_rescue import MariaDBRescuer
from ansible.module_utils.holdfast.engines._mariadb_rescue_whole import _SECRET
from ansible.module_utils.holdfast.engines._postgresql_rescue import PostgreSQLRescuer
from ansible.module_utils.holdfast.engines._postgresql_session import conninfo, literal, quoted
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.parts import KINDS, fit, format_name, free_name, free_suffix, parse_name, suffixes

FORM = ("DATABASE", "SCHEMA", "TABLE")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("app.public.orders", ("app", "public", "orders")),
        ('app.public."odd.name"', ("app", "public", "odd.name")),
        ('app."a ""b""".`c``d`', ("app", 'a "b"', "c`d")),
        ("app.öffentlich.two words", ("app", "öffentlich", "two words")),
        ("App.PUBLIC.x-1", ("App", "PUBLIC", "x-1")),
    ],
)
def test_a_name_is_read_as_it_is_written_and_back(text, path):
    assert parse_name(text, FORM) == path
    assert parse_name(format_name(path), FORM) == path


@pytest.mark.parametrize(
    "text", ["", "orders", "a.b", "a.b.c.d", "a..c", ".a.b", "a.b.", 'a.b."c', 'a.b."c"d', " a.b.c"]
)
def test_what_is_no_such_name_says_which_form_it_has(text):
    with pytest.raises(InvalidInput, match=r"DATABASE\.SCHEMA\.TABLE"):
        parse_name(text, FORM)


def test_suffixes_have_the_day_and_go_on():
    day = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)
    found = list(islice(suffixes("rescued", day), 3))
    assert found == ["_rescued_20261121", "_rescued_20261121_2", "_rescued_20261121_3"]


def test_a_suffix_is_free_for_all_the_names_that_need_it():
    first = free_suffix("rescued", ["t"], [], 63)
    assert free_suffix("rescued", ["t", "t_pkey"], [f"t_pkey{first}"], 63) == f"{first}_2"
    assert free_name("rescued", "t", [f"t{first}"], 63) == f"t{first}_2"


@pytest.mark.parametrize(("unit", "limit"), [("bytes", 63), ("characters", 64)])
def test_a_long_name_is_cut_and_still_differs_from_its_like(unit, limit):
    names = ["ü" * 62 + end for end in "ab"]
    cut = [fit(name, "_rescued_20261121", limit, unit) for name in names]
    assert len(set(cut)) == 2
    for name in cut:
        assert len(name.encode() if unit == "bytes" else name) <= limit
        assert name.endswith("_rescued_20261121")


def test_every_kind_belongs_to_an_engine_that_names_it():
    known = set()
    for rescuer, forms in ((PostgreSQLRescuer(None), 4), (MariaDBRescuer(None), 4)):
        for kind in KINDS:
            for elements in range(1, forms + 1):
                try:
                    assert rescuer.part(kind, ".".join("abcd"[:elements])).kind == kind
                except InvalidInput:
                    continue
                known.add(kind)
    assert known == set(KINDS)


@pytest.mark.parametrize("name", ["app@10.0.0.%", "'app'@'10.0.0.%'", "`app`@`10.0.0.%`"])
def test_the_host_of_an_account_may_hold_dots(name):
    assert MariaDBRescuer(None).part("role", name).path == ("app@10.0.0.%",)


def test_the_servers_own_database_is_no_part():
    with pytest.raises(InvalidInput, match="own database"):
        MariaDBRescuer(None).part("table", "mysql.user")


def test_what_goes_into_sql_is_taken_literally():
    assert quoted('a"b', "c") == '"a""b"."c"'
    assert literal("it's") == "'it''s'"
    assert literal("back\\slash'") == " E'back\\\\slash'''"
    assert conninfo("a'b\\c") == "dbname='a\\'b\\\\c'"


EVENT = (
    "CREATE DEFINER=`root`@`%` EVENT `e` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT PRESERVE ENABLE DO SELECT 'ENABLE'"
)


def test_an_event_comes_back_under_its_new_name_and_disabled():
    made = renamed(disabled(Made(EVENT, "")), "event", "e", "f")
    assert made.statement == EVENT.replace("`e`", "`f`").replace("PRESERVE ENABLE", "PRESERVE DISABLE")


def test_a_body_with_semicolons_is_printed_with_another_delimiter():
    assert printed("SELECT 1") == "SELECT 1;"
    assert printed("BEGIN SELECT 1; END") == "DELIMITER //\nBEGIN SELECT 1; END//\nDELIMITER ;"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*46'", "CREATE USER `a`@`%`"),
        (
            "CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'x' REQUIRE SSL WITH MAX_USER_CONNECTIONS 7",
            "CREATE USER `a`@`%` REQUIRE SSL WITH MAX_USER_CONNECTIONS 7",
        ),
        (
            "GRANT ALL PRIVILEGES ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*46' WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION",
        ),
    ],
)
def test_how_an_account_identifies_itself_is_not_shown(statement, shown):
    assert _SECRET.sub("", statement) == shown
