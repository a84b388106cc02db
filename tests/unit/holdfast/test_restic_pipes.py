"""The promise of a pipeline: its reader never takes a broken writer for a finished one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible.module_utils.holdfast.errors import InvalidInput
from ansible.module_utils.holdfast.repositories import pipes
from ansible.module_utils.holdfast.repositories.pipes import Command, pipeline


def sh(script: str, **env: str) -> Command:
    return Command(["sh", "-c", script], env)


def store(path: Path) -> Command:
    """A reader that keeps what it got only when its input has ended."""
    return sh(f"cat > {path}.part && mv {path}.part {path}")


@pytest.mark.parametrize(
    ("stages", "stdout"),
    [
        ([sh("echo one")], "one\n"),
        ([sh("echo one"), sh("tr o 0")], "0ne\n"),
        ([sh("echo one"), sh("tr o 0"), sh("tr n m")], "0me\n"),
        ([sh("head -c 300000 /dev/zero"), sh("cat"), sh("wc -c")], "300000\n"),
        ([sh("echo $WORD", WORD="secret"), sh("cat")], "secret\n"),
    ],
)
def test_passes_data_through(stages: list[Command], stdout: str) -> None:
    outcome = pipeline(stages)
    assert outcome.failed is None
    assert outcome.stdout == stdout


@pytest.mark.parametrize(
    ("producers", "culprit", "code"),
    [
        ([sh("head -c 200000 /dev/zero; exit 3")], 0, 3),
        ([sh("head -c 200000 /dev/zero; sleep 0.2; exit 3")], 0, 3),
        ([sh("head -c 200000 /dev/zero; kill -9 $$"), sh("cat")], 0, -9),
        ([sh("echo first; exit 4"), sh("cat"), sh("cat")], 0, 4),
        ([sh("echo first"), sh("cat; exit 5")], 1, 5),
    ],
)
def test_a_failed_writer_stores_nothing(tmp_path: Path, producers: list[Command], culprit: int, code: int) -> None:
    target = tmp_path / "stored"
    outcome = pipeline([*producers, store(target)])
    assert outcome.failed is not None
    assert outcome.failed.command is producers[culprit]
    assert outcome.failed.returncode == code
    assert not target.exists()


def test_a_finished_writer_is_stored(tmp_path: Path) -> None:
    target = tmp_path / "stored"
    assert pipeline([sh("echo whole"), sh("cat"), store(target)]).failed is None
    assert target.read_text() == "whole\n"


def test_blames_the_reader_that_gave_up_and_not_its_writers() -> None:
    stages = [sh("cat /dev/zero"), sh("cat"), sh("exec 0<&-; sleep 0.2; echo disk full >&2; exit 7")]
    outcome = pipeline(stages)
    assert outcome.failed is not None
    assert (outcome.failed.returncode, outcome.failed.stderr) == (7, "disk full")
    assert outcome.failed.words() == "sh exited with 7: disk full"


def test_stops_everything_when_the_job_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, alive = tmp_path / "stored", tmp_path / "alive"

    def stop(*_: object) -> None:
        while not alive.exists() or not alive.read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipes, "_watch", stop)
    with pytest.raises(KeyboardInterrupt):
        pipeline([sh(f"echo $$ > {alive}; head -c 100000 /dev/zero; exec sleep 60"), store(target)])
    assert not target.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(alive.read_text()), 0)


def test_starts_nothing_when_a_program_is_missing(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with pytest.raises(InvalidInput, match="no-such-program is not installed"):
        pipeline([sh(f"touch {started}"), Command(["no-such-program"])])
    assert not started.exists()


def test_shows_no_environment() -> None:
    assert "hush" not in repr(pipeline([sh("false", PASSWORD="hush")]))
