"""Questions that a patch asks before and after, as people write them."""

import pytest
from ansible.module_utils.holdfast import inventory

REPOSITORIES = {"local": {"type": "posix", "path": "/backup", "passphrase": "one"}}
INSTANCE = {"name": "orders", "engine": "postgresql", "service_level": "development"}
CHECK = {"instance": "orders", "name": "customers", "statement": "SELECT count(*) FROM customers", "database": "orders"}


@pytest.mark.parametrize(
    ("checks", "problem"),
    [
        ([CHECK], ""),
        ([{**CHECK, "instance": "{{ name }}"}], ""),
        ("{{ checks }}", ""),
        ([{**CHECK, "instance": "order"}], "db_patch_checks[customers].instance: 'order': there is no such instance"),
        ([{key: CHECK[key] for key in ("instance", "name")}], "db_patch_checks[customers].statement: is missing"),
        ([{**CHECK, "query": "x"}], "db_patch_checks[customers].query: 'x': unknown key"),
        ([{**CHECK, "statement": 5}], "db_patch_checks[customers].statement: 5: is not valid"),
        ([CHECK, CHECK], "is the name of two questions of this instance"),
        ("orders", "db_patch_checks: 'orders': is not a list"),
    ],
)
def test_questions_are_checked(checks, problem):
    found = inventory.check(
        {"h": {"db_instances": [INSTANCE], "db_repositories": REPOSITORIES, "db_patch_checks": checks}}
    )
    if problem:
        assert any(problem in str(item) for item in found), [str(item) for item in found]
    else:
        assert found == []
