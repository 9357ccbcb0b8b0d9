"""Locks on items: a fixed number of stripes, an item has the stripe of its key.

Guarantees: whoever takes several takes them in order, so nobody waits in a circle. Held from reading an item to its
commit; never while waiting for durability.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["ItemLocks"]

STRIPES = 1024


class ItemLocks:
    """Any thread; not for a thread that holds one already."""

    def __init__(self) -> None:
        self._stripes = [threading.Lock() for _ in range(STRIPES)]

    def of(self, table_id: str, key: tuple[bytes, bytes]) -> threading.Lock:
        """The lock of one item."""
        return self._stripes[hash((table_id, key)) % STRIPES]

    def pass_all(self) -> None:
        """Returns when everyone who holds a lock now has let go of it."""
        for stripe in self._stripes:
            with stripe:
                pass

    @contextmanager
    def all_of(self, items: Iterable[tuple[str, tuple[bytes, bytes]]]) -> Iterator[None]:
        """Holds the locks of all these items (table id, key)."""
        numbers = sorted({hash(item) % STRIPES for item in items})
        taken = 0
        try:
            for number in numbers:
                self._stripes[number].acquire()
                taken += 1
            yield
        finally:
            for number in reversed(numbers[:taken]):
                self._stripes[number].release()
