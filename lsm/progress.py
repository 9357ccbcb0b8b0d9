"""A progress bar on a terminal: share done, records, rate, time left.

Draws at most ten times a second, on its own stream, and leaves one finished line behind.
Used by one thread; an object that is not enabled does nothing.
"""

from __future__ import annotations

import shutil
import time
from typing import Self, TextIO

__all__ = ["Progress", "duration"]

REDRAW_SECONDS = 0.1
MAX_BAR_CELLS = 30


def duration(seconds: float) -> str:
    """`85` as `1:25`, `3725` as `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Context manager; `update` with how far the work is and how many records that made.

    `total` has the unit of `update`'s position (bytes of a file, characters); None where the end is not known.
    """

    def __init__(self, label: str, *, total: int | None, stream: TextIO, enabled: bool | None = None) -> None:
        self._label = label
        self._total = total
        self._stream = stream
        self._enabled = stream.isatty() if enabled is None else enabled
        self._full, self._empty = _cells(stream)
        self._position = self._records = self._width = 0
        self._begun = time.monotonic()
        self._next_draw = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._enabled:
            self._draw()
            self._stream.write("\n")
            self._stream.flush()

    def update(self, position: int, records: int) -> None:
        self._position, self._records = position, records
        if self._enabled and time.monotonic() >= self._next_draw:
            self._draw()

    def clear(self) -> None:
        """Empties the line, so that a message may be printed; the next `update` draws again."""
        if self._enabled and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0
            self._next_draw = 0.0

    def _draw(self) -> None:
        now = time.monotonic()
        self._next_draw = now + REDRAW_SECONDS
        room = shutil.get_terminal_size().columns - 1
        text = self._text(now - self._begun, room)[:room]
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)

    def _text(self, seconds: float, room: int) -> str:
        rate = self._records / seconds if seconds > 0 else 0.0
        counts = f"{self._records:>10,} records {rate:>9,.0f}/s"
        if not self._total:
            return f"{self._label} {counts}  {duration(seconds)}"
        share = min(self._position / self._total, 1.0)
        left = seconds / share - seconds if share > 0 else 0.0
        ending = f"{duration(left)} left" if share < 1 else f"in {duration(seconds)}"
        rest = f"{share:>4.0%} {counts}  {ending}"
        return f"{self._label} {self._bar(share, room - len(self._label) - len(rest) - 2)} {rest}"

    def _bar(self, share: float, room: int) -> str:
        cells = max(0, min(room, MAX_BAR_CELLS))
        filled = int(share * cells)
        return self._full * filled + self._empty * (cells - filled)


def _cells(stream: TextIO) -> tuple[str, str]:
    """What a full and an empty cell look like on this stream."""
    try:
        "█░".encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return "#", "."
    return "█", "░"
