import json

import pytest
from ansible.module_utils.testing import patch_module_args


@pytest.fixture
def run(capfd):
    """Run a module's ``main`` as Ansible does and return what it prints."""

    def call(main, _check_mode=False, **options):
        with patch_module_args({**options, "_ansible_check_mode": _check_mode}), pytest.raises(SystemExit):
            main()
        return json.loads(capfd.readouterr().out)

    return call
