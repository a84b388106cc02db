"""The backup role knows the family of a system as the facts call it, whether they were gathered or not."""

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

VARS = Path(__file__).resolve().parents[3] / "roles" / "backup" / "vars" / "main.yml"


@pytest.mark.parametrize(
    ("facts", "release", "family"),
    [
        ({"os_family": "Suse"}, None, "Suse"),
        ({}, 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\r\nID=debian\r\nVERSION_ID="13"\r\n', "Debian"),
        ({}, "ID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n", "Debian"),
        ({}, 'ID="rocky"\nID_LIKE="rhel centos fedora"\n', "RedHat"),
        ({}, "ID=fedora\n", "RedHat"),
        ({}, 'ID="sles"\nVARIANT_ID="debian"\n', "Sles"),
        ({}, "", "Unknown"),
    ],
)
def test_the_family_of_a_system(facts, release, family):
    loader = DataLoader()
    given = loader.load_from_file(str(VARS), trusted_as_template=True)
    asked = {} if release is None else {"__backup_os_release": {"stdout": release}}
    # Skipped, because the facts are there, the task registers a result without output.
    known = {**given, "__backup_os_release": {"skipped": True}, **asked, "ansible_facts": facts}
    assert Templar(loader=loader, variables=known).template(given["__backup_os_family"]) == family
