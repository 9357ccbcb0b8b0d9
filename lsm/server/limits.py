"""What a server holds in memory at once, and how long it waits for clients: numbers, and the budgets that keep to them.

Budgets belong to the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["BodyBudget", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds; all but the two of the head are options of `lsm serve`, with these as defaults.

    body_bytes: of one request, encoded and decoded; 16 MB is DynamoDB's. head_bytes: request line and headers;
    line_bytes: request line alone.
    bodies_bytes: of all longer bodies that are being received. unsent_bytes: of all answers that clients do not read.
    awake_seconds: how long the loop polls for the next request before it sleeps.
    """

    connections: int = 20_000
    body_bytes: int = 16 << 20
    head_bytes: int = 64 << 10
    line_bytes: int = 16 << 10
    bodies_bytes: int = 256 << 20
    unsent_bytes: int = 128 << 20
    request_seconds: float = 60.0
    idle_seconds: float = 600.0
    stop_seconds: float = 30.0
    awake_seconds: float = 200e-6
    threads: int = 8


LONG_BODY = 64 << 10
"""Bytes from which on a body needs room in the budget; shorter ones are bounded by the number of connections."""


class BodyBudget:
    """Room for long bodies. Who gets none waits, first come first served; nobody holds a part and waits for more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._waiting: dict[Callable[[int], None], int] = {}

    @property
    def waiting(self) -> int:
        """Bodies that wait for room."""
        return len(self._waiting)

    def take(self, size: int, granted: Callable[[int], None]) -> bool:
        """True: the room is taken. False: `granted` is called with the size once it is, unless it is forgotten."""
        if not self._waiting and self._fits(size):
            self.taken += size
            return True
        self._waiting[granted] = size
        return False

    def forget(self, granted: Callable[[int], None]) -> None:
        """Who waited does no longer."""
        self._waiting.pop(granted, None)
        self.give_back(0)

    def give_back(self, size: int) -> None:
        """Room that was taken."""
        self.taken -= size
        while self._waiting:
            granted, wanted = next(iter(self._waiting.items()))
            if not self._fits(wanted):
                return
            del self._waiting[granted]
            self.taken += wanted
            granted(wanted)

    def _fits(self, size: int) -> bool:
        return self.taken == 0 or self.taken + size <= self.most
