"""Filling a new global index with the entries of the items that are there already, beside writes.

Guarantees: each item is read again under its key's lock before its entry is written, so an entry never undoes a later
write; beginning anew, after a crash too, is harmless. One thread per index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from lsm import ClosedError, Database, KeyspaceDroppedError
from lsm.dynamodb.indexes import projected
from lsm.dynamodb.keys import EngineKey
from lsm.dynamodb.locks import ItemLocks
from lsm.dynamodb.tables import OpenIndex, OpenTable

__all__ = ["Backfill"]


class Backfill:
    """`done` is called by the thread at the end, unless it was stopped."""

    def __init__(
        self, table: OpenTable, index: OpenIndex, locks: ItemLocks, database: Database, done: Callable[[], None]
    ) -> None:
        self._table = table
        self._index = index
        self._locks = locks
        self._database = database
        self._done = done
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lsm-backfill-{index.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Soon the thread ends by itself; `done` is not called any more, unless it is being called already."""
        self._stopped.set()

    def join(self) -> None:
        """Returns when the thread has ended. Not for one who holds what `done` needs."""
        self._thread.join()

    def _run(self) -> None:
        try:
            # whoever writes by the schema from before the index has committed then
            self._locks.pass_all()
            for key in self._table.keyspace.scan(values=False):
                if self._stopped.is_set():
                    return
                self._add(key)
            if not self._stopped.is_set():
                self._done()
        except (ClosedError, KeyspaceDroppedError):
            return

    def _add(self, key: EngineKey) -> None:
        with self._locks.held(self._table.id, key):
            item = self._table.keyspace.get(key)
            if item is None:
                return
            entry = self._index.keys.of(item, key)
            if entry is not None:
                self._index.keyspace.put(entry, projected(self._index, item))
