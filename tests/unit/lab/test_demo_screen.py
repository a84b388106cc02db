"""Lines and pictures of a run."""

from __future__ import annotations

import io
import signal
from xml.etree import ElementTree as ET

import pytest

from picture import CHARACTER, PADDING, svg
from playbooks import GRACE_SECONDS, Interruption, environment, reason
from progress import Failure, Progress
from screen import TITLE_WIDTH, Screen


def screen(encoding: str = "utf-8") -> tuple[Screen, io.BytesIO]:
    raw = io.BytesIO()
    return Screen(io.TextIOWrapper(raw, encoding=encoding)), raw


def test_step_tells_its_beginning_its_end_and_what_came_of_it() -> None:
    shown, raw = screen()
    with shown.step("Take full backups") as step:
        step.outcome = "5 backups"
    began, ended = raw.getvalue().decode().splitlines()
    assert began == "  Take full backups ..."
    assert ended.startswith(f"✓ {'Take full backups':<{TITLE_WIDTH}}")
    assert ended.endswith(" s   5 backups")
    assert len(shown.lines) == 1


def run_into(shown: Screen, error: BaseException) -> None:
    with shown.step("Restore") as step:
        step.outcome = "good"
        shown.note("pg1: no backup", "bad")
        raise error


@pytest.mark.parametrize(("error", "outcome"), [(OSError(), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_failed_step_is_marked_and_does_not_look_good(error: BaseException, outcome: str) -> None:
    shown, raw = screen()
    with pytest.raises(type(error)):
        run_into(shown, error)
    lines = raw.getvalue().decode().splitlines()
    assert lines[1] == "    pg1: no backup"
    assert lines[2].startswith("✗ Restore")
    assert lines[2].endswith(outcome)


def test_ascii_terminal_gets_ascii() -> None:
    shown, raw = screen("ascii")
    with shown.step("Füllen"):
        pass
    assert raw.getvalue().decode("ascii").splitlines()[1].startswith("+ F?llen")


def test_no_colour_where_nobody_sees_it() -> None:
    shown, raw = screen()
    shown.line(("red", "bad"), " and plain")
    assert raw.getvalue() == b"red and plain\n"
    assert shown.lines == [[("red", "bad"), (" and plain", "")]]


def test_picture_keeps_columns_styles_and_text() -> None:
    picture = ET.fromstring(svg([[("  ok", "good"), ("  <a & b>", "")], []], "A run"))
    texts = [element for element in picture.iter("{http://www.w3.org/2000/svg}text") if element.text != "A run"]
    assert [(text.get("class"), text.text) for text in texts] == [("good", "ok"), ("plain", "<a & b>")]
    assert float(texts[0].get("x", "")) == pytest.approx(PADDING + 2 * CHARACTER, abs=0.1)
    assert float(texts[1].get("x", "")) == pytest.approx(PADDING + 6 * CHARACTER, abs=0.1)


def test_reason_is_the_first_failure_or_the_last_words() -> None:
    failure = Failure("pg1", "Install", "no space")
    assert reason(Progress(failures=[failure]), ["PLAY RECAP"]) == "pg1: Install: no space"
    assert reason(Progress(failures=[failure] * 3), []) == "pg1: Install: no space (and 2 more, see above)"
    assert reason(Progress(), ["", "[ERROR]: no such playbook"]) == "[ERROR]: no such playbook"
    assert reason(Progress(), []) == ""


def test_host_keys_are_checked() -> None:
    assert environment("demo")["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert environment("other")["HOLDFAST_LAB"] == "other"


def test_interruption_gives_the_playbook_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    now = [100.0]
    monkeypatch.setattr("playbooks.os.kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr("playbooks.time.monotonic", lambda: now[0])
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        assert not interruption.overdue()
        interruption.pid = 4711
        signal.raise_signal(signal.SIGINT)
        assert sent == [(4711, signal.SIGTERM)]
        assert not interruption.overdue()
        now[0] += GRACE_SECONDS + 1
        assert interruption.overdue()
    assert signal.getsignal(signal.SIGINT) is before


def test_interruption_before_the_playbook_runs_ends_it_at_once() -> None:
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGTERM)
        assert interruption.overdue()
