"""Puts that survive a power failure when they return: one caller, eight threads, eight clients of one event loop."""

from __future__ import annotations

import asyncio
import threading

from bench.data import Data, Pair
from bench.engines.protocol import DurablePut, Engine, Feature, Put
from bench.workloads.workload import Workload

SYNCS = 500
CLIENTS = 8
SYNCS_A_CLIENT = 125


def sync_put_each(engine: Engine, pairs: list[Pair]) -> int:
    put_sync = engine.put_sync
    for key, value in pairs:
        put_sync(key, value)
    return len(pairs)


def sync_put_threads(engine: Engine, shares: list[list[Pair]]) -> int:
    def write(put_sync: Put, pairs: list[Pair]) -> None:
        for key, value in pairs:
            put_sync(key, value)

    threads = [threading.Thread(target=write, args=(engine.put_sync, share)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(len, shares))


def sync_put_event_loop(engine: Engine, shares: list[list[Pair]]) -> int:
    async def write(put: DurablePut, pairs: list[Pair]) -> None:
        for key, value in pairs:
            await put(key, value)

    async def write_all() -> None:
        async with engine.durable_puts(len(shares)) as put:
            await asyncio.gather(*(write(put, share) for share in shares))

    asyncio.run(write_all())
    return sum(map(len, shares))


def _shares(data: Data) -> list[list[Pair]]:
    count = SYNCS_A_CLIENT
    return [data.pairs[i * count : (i + 1) * count] for i in range(CLIENTS)]


DISK = frozenset({Feature.DISK})

SYNC_1 = Workload("sync_1", "put, fsync each, 1 thread", lambda data: data.pairs[:SYNCS], sync_put_each, DISK)
SYNC_8 = Workload("sync_8", "put, fsync each, 8 threads", _shares, sync_put_threads, DISK)
SYNC_LOOP = Workload("sync_loop", "put, durable, 8 clients of an event loop", _shares, sync_put_event_loop, DISK)
