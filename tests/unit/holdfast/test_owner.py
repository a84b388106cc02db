"""Root gives its rights up before it works for an instance."""

from __future__ import annotations

import os
import pwd

import pytest
from ansible.module_utils.holdfast.errors import Busy, HoldfastError, InvalidInput
from ansible.module_utils.holdfast.owner import run_as_owner, run_with_root
from fakes import instance

ME = pwd.getpwuid(os.geteuid()).pw_name
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user takes root")


def test_the_owner_itself_works_in_its_own_process(tmp_path):
    assert run_as_owner(instance(tmp_path, os_user=ME), os.getpid) == os.getpid()


def test_an_unknown_user_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="'nosuchuser' does not exist"):
        run_as_owner(instance(tmp_path, os_user="nosuchuser"), os.getpid)


@needs_root
def test_root_works_as_the_owner_and_gets_the_result(tmp_path):
    nobody = pwd.getpwnam("nobody")
    found = run_as_owner(instance(tmp_path, os_user="nobody"), lambda: [os.getuid(), os.geteuid(), os.environ["USER"]])
    assert found == [nobody.pw_uid, nobody.pw_uid, "nobody"]
    assert os.geteuid() == 0


@needs_root
def test_root_cannot_come_back(tmp_path):
    def try_root():
        os.setuid(0)

    with pytest.raises(HoldfastError, match="PermissionError"):
        run_as_owner(instance(tmp_path, os_user="nobody"), try_root)


@needs_root
def test_an_error_keeps_its_parts_on_the_way_back(tmp_path):
    def fail():
        raise Busy("another job", where="orders", remedy="Wait")

    with pytest.raises(HoldfastError) as caught:
        run_as_owner(instance(tmp_path, os_user="nobody"), fail)
    assert caught.value.as_dict() == {"code": "busy", "what": "another job", "where": "orders", "remedy": "Wait"}
    assert caught.value.exit_code == 75


@needs_root
def test_a_child_that_dies_without_an_answer_is_an_error(tmp_path):
    with pytest.raises(HoldfastError, match="no answer"):
        run_as_owner(instance(tmp_path, os_user="nobody"), lambda: os._exit(9))


@needs_root
def test_work_that_needs_root_asks_for_it_by_name(tmp_path):
    asked = []

    def work(ask):
        first = ask("rename", "a", "b")
        with pytest.raises(HoldfastError, match="busy"):
            ask("refuse")
        return [first, os.geteuid()]

    def refuse():
        raise HoldfastError("busy", where="there")

    operations = {"rename": lambda *names: asked.append((os.geteuid(), *names)) or "renamed", "refuse": refuse}
    user = pwd.getpwnam("nobody")
    assert run_with_root(instance(tmp_path, os_user="nobody"), work, operations) == ["renamed", user.pw_uid]
    assert asked == [(0, "a", "b")]


@needs_root
def test_only_what_was_offered_can_be_asked_for(tmp_path):
    with pytest.raises(KeyError, match="rename"):
        run_with_root(instance(tmp_path, os_user="nobody"), lambda ask: ask("rename"), {})
