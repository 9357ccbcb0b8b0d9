"""The engine of this project, with the budgets that its peers are given."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import lsm
from bench.data import Pair
from bench.engines.protocol import BLOOM_BITS, CACHE_BYTES, MEMTABLE_BYTES, DurablePut


class Lsm:
    def __init__(self, path: Path) -> None:
        self._db = lsm.open(
            path, memtable_bytes=MEMTABLE_BYTES, cache_bytes=CACHE_BYTES, filter_bits_per_key=BLOOM_BITS
        )
        records = self._db.keyspace("bench")
        self.put = records.put
        self.put_sync = partial(records.put, sync=True)
        self.get = records.get
        self.delete = records.delete
        self.put_batch = records.put_many
        self.get_many = records.get_many
        self._scan = records.scan

    def scan(self) -> Iterable[Pair]:
        pairs: Iterable[Pair] = self._scan()
        return pairs

    def seek(self, start: bytes, limit: int) -> list[Pair]:
        return list(self._scan(start=start, limit=limit))

    def durable_puts(self, clients: int) -> AbstractAsyncContextManager[DurablePut]:
        return _durable_puts(self._db, self.put)

    def settle(self) -> None:
        self._db.settle()

    def write_amplification(self) -> float | None:
        amplification: float = self._db.stats()["write_amplification"]
        return amplification

    def close(self) -> None:
        self._db.close()


@asynccontextmanager
async def _durable_puts(db: lsm.Database, commit: Callable[[bytes, bytes], int]) -> AsyncIterator[DurablePut]:
    """No threads: commit, go on, and answer when the database's descriptor says that more is durable."""
    loop = asyncio.get_running_loop()
    waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
    descriptor = db.durable_fd()

    def wake() -> None:
        os.read(descriptor, 4096)
        durable = db.durable_sequence
        while waiting and waiting[0][0] <= durable:
            waiting.popleft()[1].set_result(None)

    async def put(key: bytes, value: bytes) -> None:
        future = loop.create_future()
        waiting.append((commit(key, value), future))
        await future

    loop.add_reader(descriptor, wake)
    try:
        yield put
    finally:
        loop.remove_reader(descriptor)
