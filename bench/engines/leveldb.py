"""LevelDB through plyvel: 64 MB buffer, 256 MB cache, Bloom filter of 10 bits, Snappy (LevelDB's default)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import islice
from pathlib import Path

import plyvel

from bench.data import Pair
from bench.engines.protocol import BLOOM_BITS, CACHE_BYTES, MEMTABLE_BYTES, DurablePut, puts_in_threads


class LevelDB:
    def __init__(self, path: Path) -> None:
        self._db = plyvel.DB(
            str(path),
            create_if_missing=True,
            write_buffer_size=MEMTABLE_BYTES,
            lru_cache_size=CACHE_BYTES,
            bloom_filter_bits=BLOOM_BITS,
        )
        self.put = self._db.put
        self.put_sync = partial(self._db.put, sync=True)
        self.get = self._db.get
        self.delete = self._db.delete

    def put_batch(self, pairs: list[Pair]) -> None:
        batch = self._db.write_batch()
        put = batch.put
        for key, value in pairs:
            put(key, value)
        batch.write()

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """plyvel has no call for many keys; this is what its user writes."""
        return list(map(self.get, keys))

    def scan(self) -> Iterable[Pair]:
        pairs: Iterable[Pair] = self._db.iterator()
        return pairs

    def seek(self, start: bytes, limit: int) -> list[Pair]:
        return list(islice(self._db.iterator(start=start), limit))

    def durable_puts(self, clients: int) -> AbstractAsyncContextManager[DurablePut]:
        return puts_in_threads(self.put_sync, clients)

    def settle(self) -> None:
        """LevelDB does not say what compaction owes; a full compaction is its only way to flush and be done."""
        self._db.compact_range()

    def write_amplification(self) -> None:
        return None

    def close(self) -> None:
        self._db.close()
