"""What the catalogue says of an engine is what its adapters do."""

from __future__ import annotations

import pytest
from ansible.module_utils.holdfast.engines.catalog import ENGINES, supported
from ansible.module_utils.holdfast.engines.registry import adapters
from ansible.module_utils.holdfast.errors import Unsupported
from ansible.module_utils.holdfast.model import BackupType


@pytest.mark.parametrize("name", supported())
def test_an_engine_that_is_supported_has_the_adapters_it_names(name: str) -> None:
    facts, (engine, physical, logical) = ENGINES[name], (adapter() for adapter in adapters(name))
    assert engine.name == facts.name
    assert physical.name == facts.physical_tool
    assert logical.name == facts.logical_tool
    assert physical.types | logical.types | {BackupType.LOG} == facts.types


@pytest.mark.parametrize("name", sorted({*ENGINES, "sqlite"} - set(supported())))
def test_an_engine_without_adapters_says_which_are_supported(name: str) -> None:
    with pytest.raises(Unsupported) as caught:
        adapters(name)
    assert "postgresql, mariadb" in caught.value.remedy
