"""What a tool has started ends with the job, however the job ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible.module_utils.holdfast import process
from ansible.module_utils.holdfast.errors import CommandFailed

# As pgBackRest does: workers that nobody but their leader knows, and a leader that waits for them.
_TOOL = "sleep 300 & echo $!; sleep 300 & echo $!; wait"
_JOB = f"""
import subprocess, sys
from module_utils.holdfast import process
with process.start(["sh", "-c", {_TOOL!r}], stdout=subprocess.PIPE) as tool:
    print(tool.pid, int(tool.stdout.readline()), int(tool.stdout.readline()), flush=True)
    tool.wait()
"""


def _ended(pids: list[int], patience: float = 5.0) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if not any(process.runs(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _workers(tool: subprocess.Popen[bytes]) -> list[int]:
    assert tool.stdout
    return [int(tool.stdout.readline()), int(tool.stdout.readline())]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_tool_and_its_workers_end_with_a_killed_job(number: signal.Signals) -> None:
    job = subprocess.Popen([sys.executable, "-c", _JOB], stdout=subprocess.PIPE, text=True)
    assert job.stdout
    pids = [int(word) for word in job.stdout.readline().split()]
    assert len(pids) == 3
    assert all(process.runs(pid) for pid in pids)
    job.send_signal(number)
    job.wait()
    job.stdout.close()
    assert _ended(pids)


def test_guard_ends_what_is_left_and_nothing_else() -> None:
    """Of tools whose numbers end alike, and with one that never started, too. What refuses SIGTERM gets SIGKILL."""
    tools = [subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 300"], start_new_session=True) for _ in range(2)]
    guard = subprocess.Popen(["sh", "-c", process._GUARD.replace("sleep 5", "sleep 0.2")], stdin=subprocess.PIPE)
    done, left = (tool.pid for tool in tools)
    try:
        guard.communicate(f"+ 1 {done}\n+ 11 9{done}\n+ 21 {left}\n- 2\n- 11\n- 1\n".encode(), timeout=20)
        tools[1].wait(5)
        assert tools[1].returncode == -signal.SIGKILL
        assert process.runs(done)
    finally:
        for tool in tools:
            process.kill(tool, patience=0)


def test_workers_end_with_a_killed_tool() -> None:
    with process.start(["sh", "-c", _TOOL], stdout=subprocess.PIPE) as tool:
        workers = _workers(tool)
        tool.kill()
        tool.wait()
        assert all(process.runs(pid) for pid in workers)
    assert _ended(workers)


def test_workers_end_with_the_block() -> None:
    with process.start(["sh", "-c", _TOOL], stdout=subprocess.PIPE) as tool:
        workers = _workers(tool)
    assert _ended([tool.pid, *workers])


def test_what_a_command_leaves_on_purpose_stays(tmp_path: Path) -> None:
    """A hook may start something that outlives it."""
    assert process.run(["sh", "-c", f"sleep 300 >/dev/null 2>&1 & echo $! >{tmp_path}/pid"]).returncode == 0
    pid = int((tmp_path / "pid").read_text())
    try:
        assert process.runs(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_failed_command_says_its_last_words() -> None:
    with pytest.raises(CommandFailed, match=r"sh exited with 3: a \| b \| c"):
        process.run(["sh", "-c", "printf 'z\\na\\n\\nb\\nc\\n' >&2; exit 3"]).check()
