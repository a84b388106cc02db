"""What is asked of apt and dpkg, and what their failures mean; the programs are stand-ins that note their words."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible.module_utils.holdfast.errors import HoldfastError, NotInstalled, PackagesUnavailable, PatchFailed
from ansible.module_utils.holdfast.patches import apt as apt_module
from ansible.module_utils.holdfast.patches.apt import Apt


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A directory for programs that stand in front of all others."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setattr(apt_module.process, "require", lambda name: _require(directory, name))
    monkeypatch.setattr(apt_module, "_LOCK", str(tmp_path / "lock"))

    def write(name, body):
        path = directory / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/said\n{body}\n')
        path.chmod(0o755)

    write.said = lambda: (tmp_path / "said").read_text().splitlines()
    return write


def _require(directory, name):
    path = directory / name
    if not path.exists():
        raise NotInstalled(f"{name} is not installed")
    return str(path)


def test_lists_that_cannot_be_read_are_unavailable(programs):
    programs(
        "apt-get", 'echo "W: noise" >&2; echo "E: Failed to fetch http://mirror/x  Connection refused" >&2; exit 100'
    )
    with pytest.raises(PackagesUnavailable, match="Failed to fetch http://mirror/x") as caught:
        Apt().refresh()
    assert "W: noise" not in str(caught.value)
    assert "Error-Mode=any" in programs.said()[0]


def test_versions_are_downloaded_exactly(programs, tmp_path):
    programs("apt-get", 'touch "$PWD/a_1_all.deb"')
    found = Apt().fetch({"b": "2", "a": "1"}, str(tmp_path / "new"))
    assert programs.said()[0].endswith("download a=1 b=2")
    assert [os.path.basename(path) for path in found] == ["a_1_all.deb"]


def test_a_version_that_no_mirror_has_is_packed_from_what_is_installed(programs, tmp_path):
    programs("apt-get", 'case "$*" in *gone*) exit 100;; *) touch "$PWD/here_1_all.deb";; esac')
    programs("dpkg-repack", 'touch "$PWD/gone_1_all.deb"')
    found = Apt().keep({"here": "1", "gone": "1"}, str(tmp_path / "old"))
    assert [os.path.basename(path) for path in found] == ["gone_1_all.deb", "here_1_all.deb"]
    assert programs.said()[-1] == "dpkg-repack gone"


def test_without_the_packer_the_way_back_is_missing(programs, tmp_path):
    programs("apt-get", "exit 100")
    with pytest.raises(NotInstalled, match="dpkg-repack is not there to pack it"):
        Apt().keep({"gone": "1"}, str(tmp_path / "old"))


def test_an_installation_removes_nothing_and_keeps_configuration(programs):
    programs("apt-get", "")
    Apt().install(["/x/a.deb"])
    said = programs.said()[0]
    for word in ("--no-remove", "--force-confold", "--allow-change-held-packages", "install /x/a.deb"):
        assert word in said


def test_a_package_that_fails_is_told_in_its_own_words(programs):
    programs("apt-get", 'echo "E: Sub-process /usr/bin/dpkg returned an error code (1)" >&2; exit 100')
    with pytest.raises(PatchFailed, match="could not be installed: apt-get exited with 100: E: Sub-process"):
        Apt().install(["/x/a.deb"])


def test_the_way_back_needs_dpkg_alone_and_removes_what_was_new(programs):
    programs("dpkg", "")
    Apt().put_back(["/old/a.deb"], ["libnew"])
    said = programs.said()
    assert said[0].startswith("dpkg --force-confold --force-confdef --force-downgrade")
    assert said[0].endswith("--install /old/a.deb")
    assert said[1] == "dpkg --purge libnew"
    assert said[2].endswith("--configure --pending")


@pytest.fixture
def policy(tmp_path, monkeypatch):
    path = tmp_path / "policy-rc.d"
    monkeypatch.setattr(apt_module, "POLICY", str(path))
    monkeypatch.setattr(apt_module, "write", lambda file: path.write_text(file.content))
    return path


def test_no_service_is_restarted_meanwhile_by_our_packages_alone(policy, programs, tmp_path):
    programs("apt-get", f"sh {policy}; echo $? >>{tmp_path}/answers")
    with Apt().no_restarts():
        Apt().refresh()
        ours = int((tmp_path / "answers").read_text())
        others = subprocess.run(["sh", policy], check=False).returncode
    assert (ours, others) == (101, 0)
    assert not policy.exists()


def test_what_a_killed_run_left_is_taken_away(policy):
    policy.write_text(apt_module._POLICY)
    with Apt().no_restarts():
        pass
    assert not policy.exists()


def test_the_policy_of_somebody_else_stays(policy):
    policy.write_text("#!/bin/sh\nexit 101\n")
    with Apt().no_restarts():
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 101\n"
    policy.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(HoldfastError, match="lets packages restart services"), Apt().no_restarts():
        pass
