"""What a playbook's events say of it."""

from __future__ import annotations

from typing import Any

import pytest

from progress import Failure, Progress, message


def task(name: str) -> dict[str, Any]:
    return {"event": "playbook_on_task_start", "event_data": {"name": name, "task": "ignored"}}


def start(host: str) -> dict[str, Any]:
    return {"event": "runner_on_start", "event_data": {"host": host}}


def end(kind: str, host: str, **data: Any) -> dict[str, Any]:
    return {"event": f"runner_on_{kind}", "event_data": {"host": host, "task": "Install", "res": {}, **data}}


def followed(*events: dict[str, Any]) -> Progress:
    progress = Progress()
    for event in events:
        progress.feed(event)
    return progress


HOSTS = [start(host) for host in ("a", "b", "c", "d")]


@pytest.mark.parametrize(
    ("events", "now"),
    [
        ([], ""),
        ([{"event": "verbose", "stdout": "Using ansible.cfg"}, {"event": "EOF"}], ""),
        ([task("Install")], "Install"),
        ([task("Install"), start("a")], "Install"),
        ([task("Install"), *HOSTS], "Install: 0 of 4 hosts done, waiting for a, b, c, ..."),
        ([task("Install"), *HOSTS, end("ok", "b")], "Install: 1 of 4 hosts done, waiting for a, c, d"),
        (
            [task("Install"), *HOSTS, end("skipped", "b"), end("failed", "c"), end("unreachable", "a")],
            "Install: 3 of 4 hosts done, waiting for d",
        ),
        ([task("Install"), *HOSTS, *(end("ok", host) for host in "abcd")], "Install"),
        ([task("Install"), *HOSTS, end("ok", "a"), task("Verify"), start("b")], "Verify"),
    ],
)
def test_now(events: list[dict[str, Any]], now: str) -> None:
    assert followed(*events).now() == now


def test_results_and_changes_are_kept() -> None:
    progress = followed(
        task("Install"),
        end("ok", "a", task_action="ansible.builtin.package", res={"changed": True, "rc": 0}),
        end("ok", "b", task_action="ansible.builtin.package", res={"changed": False}),
        end("skipped", "c", res={"changed": True}),
    )
    assert [(result.host, result.action, result.task) for result in progress.results] == [
        ("a", "ansible.builtin.package", "Install"),
        ("b", "ansible.builtin.package", "Install"),
    ]
    assert progress.results[0].values["rc"] == 0
    assert progress.changed == {"a"}
    assert progress.failures == []


@pytest.mark.parametrize("kind", ["failed", "unreachable"])
def test_failure_is_told_when_it_happens(kind: str) -> None:
    progress = followed(task("Install"))
    failure = progress.feed(end(kind, "a", res={"msg": "no space left"}))
    assert failure == Failure("a", "Install", "no space left")
    assert str(failure) == "a: Install: no space left"
    assert progress.failures == [failure]
    assert progress.feed(end("ok", "b")) is None


def test_ignored_failure_is_none() -> None:
    progress = followed(task("Install"))
    assert progress.feed(end("failed", "a", ignore_errors=True, res={"msg": "never mind"})) is None
    assert progress.failures == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"msg": "No package matching 'x'"}, "No package matching 'x'"),
        ({"msg": "non-zero return code", "stderr": "first\nERROR: disk full\n"}, "ERROR: disk full"),
        ({"msg": "non-zero return code", "stderr": "", "stdout": "says it here"}, "says it here"),
        ({"msg": "MODULE FAILURE\nSee stdout/stderr", "module_stderr": "Traceback\nKeyError: 'x'"}, "KeyError: 'x'"),
        (
            {
                "msg": "One or more items failed",
                "results": [
                    {"failed": True, "msg": "one"},
                    {"failed": False, "msg": "fine"},
                    {"failed": True, "msg": "two"},
                    {"failed": True, "msg": "one"},
                ],
            },
            "one; two",
        ),
        ({"censored": "the output has been hidden"}, "the output has been hidden"),
        ({"msg": "non-zero return code"}, "non-zero return code"),
        ({}, "no message"),
    ],
)
def test_message(values: dict[str, Any], text: str) -> None:
    assert message(values) == text
