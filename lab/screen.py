"""Steps and their progress as a person sees them: a living line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

Span = tuple[str, str]  # a text and its style
Line = list[Span]

STYLES = {"": "", "strong": "1", "faint": "2", "good": "32", "bad": "31", "warn": "33", "head": "36"}
TITLE_WIDTH = 44
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
LIVE_SECONDS = 0.1
PLAIN_SECONDS = 10.0
FILE_COLUMNS = 200


@dataclass
class Step:
    """A step that runs. Who runs it says what it does and, at the end, what came of it."""

    title: str
    began: float = field(default_factory=time.monotonic)
    doing: str = ""
    outcome: str = ""

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began


class Screen:
    """Prints lines, and keeps them for a picture."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self.stream = stream
        self.live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colour = self.live and "NO_COLOR" not in os.environ
        self.unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self.lines: list[Line] = []
        self._lock = threading.Lock()

    @property
    def columns(self) -> int:
        """How wide the terminal is; a file is as wide as it needs to be."""
        return shutil.get_terminal_size((FILE_COLUMNS, 24)).columns if self.live else FILE_COLUMNS

    def line(self, *spans: Span | str) -> None:
        """Print one line of texts, each with a style or without."""
        whole = [(span, "") if isinstance(span, str) else span for span in spans]
        with self._lock:
            self.lines.append(whole)
            self._write(("\r\x1b[K" if self.live else "") + "".join(self._painted(*span) for span in whole) + "\n")

    def note(self, text: str, style: str = "faint") -> None:
        """Print one line that belongs to the step that runs."""
        self.line("    ", (text, style))

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while it runs, and how it ended."""
        step = Step(title)
        if not self.live:
            self._write(f"  {title} ...\n")
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(step, ended), daemon=True)
        ticker.start()
        mark, style = ("✓" if self.unicode else "+"), "good"
        try:
            yield step
        except BaseException as error:
            mark, style = ("✗" if self.unicode else "x"), "bad"
            step.outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            ended.set()
            ticker.join()
            self.line(
                (mark, style), f" {title:<{TITLE_WIDTH}}", (f"{step.seconds:6.1f} s", "strong"), f"   {step.outcome}"
            )

    def _tick(self, step: Step, ended: threading.Event) -> None:
        frame = 0
        while not ended.wait(LIVE_SECONDS if self.live else PLAIN_SECONDS):
            if not self.live:
                self._write(f"    {step.seconds:4.0f} s  {step.doing}\n")
                continue
            mark = FRAMES[frame % len(FRAMES)] if self.unicode else "-\\|/"[frame % 4]
            frame += 1
            text = f" {step.title:<{TITLE_WIDTH}}{step.seconds:6.0f} s   {step.doing}"[: self.columns - 2]
            with self._lock:
                if not ended.is_set():
                    self._write(f"\r\x1b[K{self._painted(mark, 'head')}{text}")

    def _painted(self, text: str, style: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colour and style else text

    def _write(self, text: str) -> None:
        self.stream.write(text if self.unicode else text.encode("ascii", "replace").decode())
        self.stream.flush()
