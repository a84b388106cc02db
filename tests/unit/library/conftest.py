import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args


@pytest.fixture
def run(capfd, monkeypatch):
    """Run a module's ``main`` as Ansible does and return what it prints, with what it warns of."""
    # Ansible shows warnings at once instead of returning them in a process that imported more of it than a module has.
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _, warning: warnings.append(warning))

    def call(main, _check_mode=False, **options):
        warnings.clear()
        with patch_module_args({**options, "_ansible_check_mode": _check_mode}), pytest.raises(SystemExit):
            main()
        return {"warnings": [*warnings], **json.loads(capfd.readouterr().out)}

    return call
