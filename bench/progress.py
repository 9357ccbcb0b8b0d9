"""Progress of a run on standard error: one line that is redrawn on a terminal, one line per step elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

BAR = 24


class Progress:
    """Counts steps of unlike length; the time left is judged from the steps done."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self._steps = max(steps, 1)
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._done = 0
        self._label = ""
        self._start = time.monotonic()

    def begin(self, label: str) -> None:
        self._label = label
        self._draw("")

    def note(self, text: str) -> None:
        """What the step at hand is doing."""
        self._draw(text)

    def end(self) -> None:
        self._done += 1
        if not self._live:
            seconds = time.monotonic() - self._start
            print(f"[{self._done}/{self._steps}] {self._label} ({seconds:.0f} s)", file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        print(text, file=self._stream, flush=True)

    def clear(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self, text: str) -> None:
        if not self._live:
            return
        filled = BAR * self._done // self._steps
        bar = "#" * filled + "-" * (BAR - filled)
        line = f"[{bar}] {self._done}/{self._steps} {self._left()} {self._label}{': ' if text else ''}{text}"
        self._stream.write("\r\x1b[K" + line[:118])
        self._stream.flush()

    def _left(self) -> str:
        if not self._done:
            return ""
        left = (time.monotonic() - self._start) / self._done * (self._steps - self._done)
        return f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left"
