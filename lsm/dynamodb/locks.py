"""Locks on items: a fixed number of stripes, an item has the stripe of its key.

Guarantees: whoever takes several takes them in order, so nobody waits in a circle. Held from reading an item to its
commit; never while waiting for durability. A thread that refuses to wait (lsm.refuse_to_wait) gets WouldWaitError
where another holds the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lsm.waiting import about_to_wait

__all__ = ["ItemLocks", "acquire"]

STRIPES = 1024


def acquire(lock: threading.Lock) -> threading.Lock:
    """Takes the lock and returns it."""
    if not lock.acquire(blocking=False):
        about_to_wait("an item that another request works on")
        lock.acquire()
    return lock


class ItemLocks:
    """Any thread; not for a thread that holds one already."""

    def __init__(self) -> None:
        self._stripes = [threading.Lock() for _ in range(STRIPES)]

    def take(self, table_id: str, key: tuple[bytes, bytes]) -> threading.Lock:
        """Takes the lock of one item, which the caller releases."""
        return acquire(self._stripes[hash((table_id, key)) % STRIPES])

    @contextmanager
    def held(self, table_id: str, key: tuple[bytes, bytes]) -> Iterator[None]:
        """Holds the lock of one item."""
        lock = self.take(table_id, key)
        try:
            yield
        finally:
            lock.release()

    def pass_all(self) -> None:
        """Returns when everyone who holds a lock now has let go of it."""
        for stripe in self._stripes:
            with stripe:
                pass

    def all_of(self, items: Iterable[tuple[str, tuple[bytes, bytes]]]) -> Held:
        """Inside, the locks of all these items (table id, key) are held."""
        stripes = self._stripes
        return Held([stripes[number] for number in sorted({hash(item) % STRIPES for item in items})])


class Held:
    """Locks to be held inside a with statement, taken in this order."""

    def __init__(self, locks: list[threading.Lock]) -> None:
        self._locks = locks

    def __enter__(self) -> None:
        taken = 0
        try:
            for lock in self._locks:
                acquire(lock)
                taken += 1
        except BaseException:
            for lock in self._locks[:taken]:
                lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        for lock in self._locks:
            lock.release()
