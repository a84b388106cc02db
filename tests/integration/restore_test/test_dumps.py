"""A logical backup loaded by the real tools is the database again: every row, object, grant and account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fleet import Fleet, together

RELOADED = (Path(__file__).parents[1] / "reloaded.py").read_text()
# Each version once.
NAMES = ("orders", "analytics", "shop", "crm")


@pytest.fixture(scope="module")
def reloaded(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """What a dump of now and the live server have in common, by instance and database."""

    def reload(name: str) -> dict[str, Any]:
        database = fleet[name]
        backup = database.backup("logical")["backup"]["id"]
        command = f"runuser -u {database.owner} -- python3 -I - {name} {backup} <<'EOF'\n{RELOADED}\nEOF"
        return json.loads(database.run(command))

    return dict(zip(NAMES, together(reload, *NAMES), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_database_is_the_same_line_by_line(reloaded: dict[str, dict[str, Any]], name: str) -> None:
    databases = {part: found for part, found in reloaded[name].items() if part != "accounts"}
    assert {name, f"{name}_catalog"} <= set(databases)
    assert databases[name]["live"] > 1000
    assert {part: found["differing"] for part, found in databases.items() if found["differing"]} == {}


@pytest.mark.parametrize("name", NAMES)
def test_accounts_and_their_rights_are_the_same(reloaded: dict[str, dict[str, Any]], name: str) -> None:
    assert reloaded[name]["accounts"]["live"] > 3
    assert reloaded[name]["accounts"]["differing"] == []
