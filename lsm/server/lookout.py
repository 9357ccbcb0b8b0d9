"""Whether the event loop looks out for the next request a moment longer, or sleeps at once.

A processor that sleeps takes tens of microseconds to wake, several times what a request costs. So after an answer the
loop polls for a moment, as long as that pays: where clients take longer to ask again, it is only tried now and then,
and where they share the one processor, never. The event loop's thread only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

__all__ = ["Lookout"]

MOST = 16
"""Requests that came in time are remembered up to so many."""
MISS = 4
"""What one that did not come takes from them: polling ends where fewer than four of five come."""
TRY = 64
"""Answers until it is tried again."""


def processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Lookout:
    """until: the end of the polling, by `clock`; 0 while there is none. awake: its length in seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, awake: float, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._awake = awake if processors() > 1 else 0.0
        self.until = 0.0
        self._score = 0
        self._skipped = 0

    def heard(self) -> None:
        """A request came."""
        if self.until and self._score < MOST:
            self._score += 1

    def answered(self, now: float) -> None:
        """An answer left."""
        if self._score <= 0:
            self._skipped += 1
            if self._skipped < TRY or not self._awake:
                return
            self._skipped = 0
        polling = self.until > 0.0
        self.until = now + self._awake
        if not polling:
            self._loop.call_soon(self._poll)

    def _poll(self) -> None:
        if self._clock() < self.until:
            self._loop.call_soon(self._poll)
        else:
            self.until = 0.0
            self._score = max(self._score - MISS, 0)
