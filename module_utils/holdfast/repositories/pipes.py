"""Pipelines whose reader never takes a broken writer for a finished one."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import IO, Callable, Union

from ..process import StderrReader, kill, last_words, require, start

_BROKEN_PIPE = (-signal.SIGPIPE, 128 + signal.SIGPIPE)
_POLL = 0.02  # seconds
_PATIENCE = 30.0  # seconds for a reader that has closed its input to exit
# What Linux lets every user have (/proc/sys/fs/pipe-max-size). With its 64 KiB, programs that compress wait in turn for
# those that read and write.
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ, which Python has since 3.10

Source = Union[int, IO[bytes]]


@dataclass(frozen=True)
class Command:
    """One stage of a pipeline. Secrets go into ``env``, which is neither logged nor shown."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    on_line: Callable[[str], None] | None = field(default=None, repr=False)  # called for each line on stderr
    cwd: str | None = None

    @property
    def program(self) -> str:
        """Name of the program, for messages."""
        return os.path.basename(self.argv[0])


@dataclass(frozen=True)
class Stage:
    """How one stage ended: ``returncode`` and the last lines of its standard error."""

    command: Command
    returncode: int
    stderr: str

    def words(self) -> str:
        """What an error message says of it."""
        return f"{self.command.program} exited with {self.returncode}: {last_words(self.stderr)}"


@dataclass(frozen=True)
class Outcome:
    """How a pipeline ended. ``failed`` is the stage that failed first, None when all of them exited with 0."""

    stages: Sequence[Stage]
    stdout: str  # of the last stage
    failed: Stage | None = None


def pipeline(commands: Sequence[Command], *, stdin: Source = subprocess.DEVNULL, discard: bool = False) -> Outcome:
    """Run commands connected by pipes to their end and return how each ended.

    The last stage sees the end of its input only when every stage before it has exited with 0; when one fails, the last
    one is killed before its input ends, so that it cannot store the part that it has read as if it were the whole.
    ``discard`` throws the last stage's output away. Raises InvalidInput if a program is missing.
    """
    for command in commands:
        require(command.argv[0])
    with ExitStack() as stack:
        processes: list[subprocess.Popen[bytes]] = []
        readers: list[StderrReader] = []
        guard: list[int] = []  # write end of the pipe into the last stage
        stack.callback(_close, guard)
        for number, command in enumerate(commands):
            ends = _pipe() if number < len(commands) - 1 else None
            out: int = ends[1] if ends else subprocess.DEVNULL if discard else subprocess.PIPE
            process = stack.enter_context(
                start(command.argv, env=command.env, stdin=stdin, stdout=out, cwd=command.cwd)
            )
            processes.append(process)
            readers.append(StderrReader(process, command.on_line))
            if number and isinstance(stdin, int):
                os.close(stdin)
            if ends:
                stdin = ends[0]
                guard.append(ends[1])
                if number < len(commands) - 2:
                    os.close(guard.pop())
        last = processes[-1]
        output = _Output(last)
        try:
            failed = _watch(processes, readers)
        except BaseException:
            _interrupt(last)
            raise
        if failed:
            _interrupt(last)
        _close(guard)
        if not failed:
            failed = [processes[-1]] if last.wait() else []
        for process in processes:
            kill(process)
        stages = [
            Stage(command, process.returncode, reader.text())
            for command, process, reader in zip(commands, processes, readers)
        ]
        suspects = [stage for stage, process in zip(stages, processes) if process in failed]
        return Outcome(stages, output.text(), _culprit(suspects))


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    with suppress(OSError):  # a host that allows less has slower pipes
        fcntl.fcntl(ends[1], _SET_PIPE_SIZE, _PIPE_BYTES)
    return ends


def _watch(
    processes: Sequence[subprocess.Popen[bytes]], readers: Sequence[StderrReader]
) -> list[subprocess.Popen[bytes]]:
    """Wait until all stages but the last have exited with 0, or return those that have failed."""
    deadline: float | None = None
    while True:
        codes = [process.poll() for process in processes]
        failed = [process for process, code in zip(processes, codes) if code]
        if not failed and all(code == 0 for code in codes[:-1]):
            return failed
        if failed:
            deadline = deadline or time.monotonic() + _PATIENCE
            reasons = [not _lost_reader(code, reader) for code, reader in zip(codes, readers) if code]
            # Whoever stopped reading may need a moment to say why.
            if any(reasons) or codes[-1] is not None or time.monotonic() > deadline:
                return failed
        time.sleep(_POLL)


def _lost_reader(code: int, reader: StderrReader) -> bool:
    return _victim(code, "" if code in _BROKEN_PIPE else reader.text())


def _victim(code: int, stderr: str) -> bool:
    return code in _BROKEN_PIPE or "roken pipe" in stderr


def _close(ends: list[int]) -> None:
    while ends:
        os.close(ends.pop())


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    # restic 0.14 takes its lock back on SIGINT only.
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(5.0)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            kill(process, patience=1.0)


def _culprit(failed: Sequence[Stage]) -> Stage | None:
    """Of the stages found failed at once, the first that did not merely lose its reader."""
    for stage in failed:
        if not _victim(stage.returncode, stage.stderr):
            return stage
    return failed[0] if failed else None


class _Output(threading.Thread):
    """Collects what the last stage prints, while the pipeline is watched."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = process.stdout
        self._chunks: list[bytes] = []
        self.start()

    def run(self) -> None:
        if self._pipe is not None:
            self._chunks.extend(iter(lambda: self._pipe.read(65536), b""))  # type: ignore[union-attr]

    def text(self) -> str:
        self.join(5)
        return b"".join(self._chunks).decode("utf-8", "replace")
