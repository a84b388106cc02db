"""Timers rest while these tests run."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _quiet(quiet: None) -> None:
    pass
