"""Timers rest while these tests run, and the alternate site is as bare as on its first day."""

import pytest

from tests.integration.fleet import Fleet, make_bare


@pytest.fixture(autouse=True, scope="module")
def _quiet(quiet: None, fleet: Fleet) -> None:
    make_bare(fleet.hosts["dr1"])  # other scenarios have made servers there
