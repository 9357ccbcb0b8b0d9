"""What the workloads ask of an engine. Calls that are made once per record are read as attributes before a loop, so
that the loop calls the engine's own method wherever its signature fits, and no frame of the harness comes between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum
from typing import Protocol

from bench.data import Pair

Put = Callable[[bytes, bytes], object]
DurablePut = Callable[[bytes, bytes], Awaitable[object]]

MEMTABLE_BYTES = 64 << 20
CACHE_BYTES = 256 << 20
BLOOM_BITS = 10


class Feature(Enum):
    """What a workload may need beyond put, get and delete."""

    ORDER = "scans in key order"
    DISK = "keeps its records on disk"


class Engine(Protocol):
    """An open database of one engine. Writes survive a killed process, `put_sync` also a power failure."""

    @property
    def put(self) -> Put: ...
    @property
    def put_sync(self) -> Put: ...
    @property
    def get(self) -> Callable[[bytes], bytes | None]: ...
    @property
    def delete(self) -> Callable[[bytes], object]: ...
    @property
    def put_batch(self) -> Callable[[list[Pair]], object]:
        """All of the pairs atomically."""

    @property
    def get_many(self) -> Callable[[list[bytes]], list[bytes | None]]: ...

    def scan(self) -> Iterable[Pair]:
        """Every pair in key order."""

    def seek(self, start: bytes, limit: int) -> list[Pair]:
        """The first `limit` pairs at or after `start`."""

    def durable_puts(self, clients: int) -> AbstractAsyncContextManager[DurablePut]:
        """Within it, an awaitable put for an event loop that is done when the record survives a power failure."""

    def settle(self) -> None:
        """Returns when everything is in tables (pages) and compaction owes nothing."""

    def write_amplification(self) -> float | None:
        """By the engine's own count, if it keeps one."""

    def close(self) -> None: ...


@asynccontextmanager
async def puts_in_threads(put_sync: Put, clients: int) -> AsyncIterator[DurablePut]:
    """How an event loop uses an engine that can only block: one thread per put in flight."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(clients) as threads:

        async def put(key: bytes, value: bytes) -> None:
            await loop.run_in_executor(threads, put_sync, key, value)

        yield put
