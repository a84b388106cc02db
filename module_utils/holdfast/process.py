"""Running external tools: no secret on an argument list, no orphan left, errors with the tool's own last words."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Union

from .errors import CommandFailed, NotInstalled

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_STDERR_LINES_KEPT = 40
_libc = ctypes.CDLL(None, use_errno=True)

Stream = Union[None, int, IO[bytes]]


class Result:
    """What a finished command left: ``returncode``, decoded ``stdout`` and the last lines of ``stderr``."""

    def __init__(self, argv: Sequence[str], returncode: int, stdout: str, stderr: str) -> None:
        self.argv = list(argv)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr

    def check(self) -> Result:
        """Return self, or raise CommandFailed when the command did not exit with 0."""
        if self.returncode != 0:
            raise CommandFailed(
                f"{os.path.basename(self.argv[0])} exited with {self.returncode}: {last_words(self.stderr)}"
            )
        return self


def last_words(text: str, lines: int = 3) -> str:
    """The last non-empty lines of a tool's output, on one line, for an error message."""
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:]) or "no output"


def require(program: str) -> str:
    """Path of a program. Raises NotInstalled when there is none."""
    path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if path is None:
        raise NotInstalled(f"{program} is not installed", remedy="Run playbooks/site.yml for this host")
    return path


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a tool: fixed locale and PATH, HOME of the user, nothing else inherited, plus ``extra``."""
    base = {
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": os.path.expanduser("~"),
    }
    base.update(extra or {})
    return base


def die_with_parent() -> None:
    """Have the kernel end this process with its parent: a job killed with SIGKILL cannot stop its tools itself."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.PIPE,
    cwd: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command; whatever ends the block, the command and its children end with it."""
    log.debug("run %s", " ".join(argv))
    process = subprocess.Popen(
        [require(argv[0]), *argv[1:]],
        env=environment(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd or "/",
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, and no thread of ours holds a lock that it takes
    )
    try:
        yield process
    finally:
        kill(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def kill(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """End a command and its children: SIGTERM, and SIGKILL after ``patience`` seconds."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


class StderrReader(threading.Thread):
    """Drains a command's standard error into the log and keeps its last lines."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: Callable[[str], None] | None = None) -> None:
        super().__init__(daemon=True)
        self._pipe = process.stderr
        self._name = os.path.basename(str(process.args[0])) if isinstance(process.args, list) else "command"
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)
        self.start()

    def run(self) -> None:
        """Read to the end of the pipe."""
        if self._pipe is None:
            return
        for raw in self._pipe:
            line = raw.decode("utf-8", "replace").rstrip()
            self._lines.append(line)
            log.info("%s: %s", self._name, line)
            if self._on_line:
                self._on_line(line)

    def text(self) -> str:
        """The last lines that were read, once the command has ended."""
        self.join(5)
        return "\n".join(self._lines)


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: Stream = subprocess.DEVNULL,
    cwd: str | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Result:
    """Run a command to its end and return its result, whatever its exit code. Raises NotInstalled if there is none."""
    with start(argv, env=env, stdin=stdin, stdout=subprocess.PIPE, cwd=cwd) as process:
        reader = StderrReader(process, on_line)
        assert process.stdout is not None
        chunks: list[bytes] = list(iter(lambda: process.stdout.read(65536), b""))  # type: ignore[union-attr]
        returncode = process.wait()
        return Result(argv, returncode, b"".join(chunks).decode("utf-8", "replace"), reader.text())
