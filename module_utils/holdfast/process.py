"""Running external tools: no secret on an argument list, no orphan left, errors with the tool's own last words."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Union

from .errors import CommandFailed, NotInstalled

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_STDERR_LINES_KEPT = 40
_PATIENCE = 5  # seconds from SIGTERM to SIGKILL
# Reads "+ number group" when a tool starts and "- number" when it has ended. When its input ends, so has the job: it
# ends the tools that are left, with all that they have started.
_GUARD = f"""
groups=' '
while read -r sign number group; do
    case $sign$groups in
        +*) groups="$groups$number:$group " ;;
        -*" $number:"*) after=${{groups#*" $number:"}}; groups="${{groups%%" $number:"*}} ${{after#* }}" ;;
    esac
done
for signal in TERM KILL; do
    for group in $groups; do kill -$signal -"${{group#*:}}" && left=yes; done
    [ "$left" ] || exit 0
    [ $signal = KILL ] || sleep {_PATIENCE}
done
"""
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
    """Have the kernel end this process with its parent, which cannot do so when it is killed itself."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Guard:
    """Ends the tools of a job that cannot do so because it was killed.

    The kernel could tell a tool of its parent's end (as :func:`die_with_parent` has it do), but not the workers of the
    tool, which would go on writing while the next job works on the same files: pgBackRest's try again after 15 seconds.
    """

    def __init__(self) -> None:
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()

    def open(self) -> int:
        """A number for a tool that is about to start."""
        if self._owner != os.getpid():  # after a fork, it is the guard of the parent
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "holdfast-guard"],
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            self._owner = os.getpid()
        return next(self._numbers)

    def enter(self, number: int) -> None:
        """Have the process group of the caller, which will become the tool, end with the job."""
        self._tell(f"+ {number} {os.getpid()}")

    def close(self, number: int) -> None:
        """The tool has ended, and its process group may soon be that of another."""
        self._tell(f"- {number}")

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # somebody has killed it: the job itself still ends its tools
            os.write(self._process.stdin.fileno(), f"{line}\n".encode())


_guard = _Guard()


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
    program, number = require(argv[0]), _guard.open()
    try:
        process = subprocess.Popen(
            [program, *argv[1:]],
            env=environment(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd or "/",
            start_new_session=True,
            # Before it is the tool: this process may be killed before it learns of the child.
            preexec_fn=partial(_guard.enter, number),  # noqa: PLW1509 - it takes no lock that a thread could hold
        )
        try:
            yield process
        finally:
            kill(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
    finally:
        _guard.close(number)


def kill(process: subprocess.Popen[bytes], patience: float = _PATIENCE) -> None:
    """End a command and its children: SIGTERM, and SIGKILL after ``patience`` seconds.

    What a command leaves that has ended well, it left on purpose.
    """
    if process.poll() == 0:
        return
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # storage that hangs keeps even a killed process
        process.wait(_PATIENCE)


def runs(pid: int) -> bool:
    """Whether a process is still there and no zombie, as a child is until its Popen is asked."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


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
