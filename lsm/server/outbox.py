"""Answers that are held until no other request is ready, so that clients get them together and ask together again.

Sent one by one, each wakes its client, which asks at once: the loop then turns and polls for every request alone. The
event loop's thread only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from lsm.server.lookout import Lookout
from lsm.server.requests import Request

if TYPE_CHECKING:
    from lsm.server.protocol import Connection

__all__ = ["Outbox"]

MOST = 64
"""Answers that are held together."""
LONG = 16 << 10
"""Bytes: longer messages are sent at once, so that what is held stays small."""
SECONDS = 0.001
"""Of holding: long work of others delays an answer no further."""


class Outbox:
    """One per server. A connection is busy until its answer is sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lookout: Lookout, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._lookout = lookout
        self._clock = clock
        self._held: list[tuple[Connection, Request, bytes, bool]] = []
        self._seen = 0
        self._since = 0.0
        self._looking = False

    def add(self, connection: Connection, request: Request, message: bytes, last: bool, now: float) -> None:
        """An answer that is ready. last: its connection ends with it. now: by the clock."""
        held = self._held
        if not held:
            self._since = now
            if not self._looking:
                self._looking = True
                self._loop.call_soon(self._look)
        held.append((connection, request, message, last))
        if len(held) >= MOST or now - self._since > SECONDS:
            self.send()

    def at_once(self, connection: Connection, request: Request, message: bytes, last: bool, now: float) -> None:
        """An answer that is not held: nobody else asks, or it is long, or its own client has asked on."""
        connection.answer(request, message, last)
        self._lookout.answered(now)

    def _look(self) -> None:
        """Once a turn of the loop, while answers are held: sends them unless the last turn brought others."""
        count = len(self._held)
        if count > self._seen:
            self._seen = count
            self._loop.call_soon(self._look)
            return
        self._looking = False
        if count:
            self.send()

    def send(self) -> None:
        """Sends all that are held."""
        held, self._held = self._held, []
        self._seen = 0
        for connection, request, message, last in held:
            connection.answer(request, message, last)
        self._lookout.answered(self._clock())
