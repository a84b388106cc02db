"""What a restore refuses before it looks at any server."""

from __future__ import annotations

import pytest
from ansible.module_utils.holdfast import restore
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.restore_request import Request
from fakes import FakeEngine, instance


def test_backups_of_another_engine_are_refused(tmp_path):
    owner, source = instance(tmp_path), instance(tmp_path, name="shop", engine="mariadb")
    with pytest.raises(InvalidInput, match="backups of mariadb cannot be restored into a server of postgresql"):
        restore._tool(owner, FakeEngine(owner), Request(source=source))


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_the_tool_is_that_of_the_source(tmp_path, engine):
    owner, source = instance(tmp_path, engine=engine), instance(tmp_path, name="source", engine=engine)
    tool = restore._tool(owner, FakeEngine(owner), Request(source=source))
    assert tool.instance is source
