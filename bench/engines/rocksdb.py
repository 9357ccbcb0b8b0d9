"""RocksDB through rocksdict, raw mode: 64 MB buffer, 256 MB cache, Bloom filter of 10 bits, LZ4."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from itertools import islice
from pathlib import Path
from typing import Any

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from bench.data import Pair
from bench.engines.protocol import BLOOM_BITS, CACHE_BYTES, MEMTABLE_BYTES, DurablePut, puts_in_threads

OWED = (
    "rocksdb.mem-table-flush-pending",
    "rocksdb.num-running-flushes",
    "rocksdb.compaction-pending",
    "rocksdb.num-running-compactions",
)
POLL_SECONDS = 0.002


class RocksDB:
    def __init__(self, path: Path) -> None:
        self._db = Rdict(str(path), _options())
        self._sync = WriteOptions()
        self._sync.sync = True
        self.put = self._db.put
        self.get = self._db.get
        self.get_many = self._db.get
        self.delete = self._db.delete
        self._items: Any = self._db.items  # its stub forgets what it yields

    def put_sync(self, key: bytes, value: bytes) -> None:
        self._db.put(key, value, self._sync)

    def put_batch(self, pairs: list[Pair]) -> None:
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in pairs:
            put(key, value)
        self._db.write(batch)

    def scan(self) -> Iterable[Pair]:
        pairs: Iterable[Pair] = self._items()
        return pairs

    def seek(self, start: bytes, limit: int) -> list[Pair]:
        return list(islice(self._items(from_key=start), limit))

    def durable_puts(self, clients: int) -> AbstractAsyncContextManager[DurablePut]:
        return puts_in_threads(self.put_sync, clients)

    def settle(self) -> None:
        self._db.flush(wait=True)
        while any(self._db.property_int_value(name) for name in OWED):
            time.sleep(POLL_SECONDS)

    def write_amplification(self) -> None:
        return None

    def close(self) -> None:
        self._db.close()


def _options() -> Options:
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache(CACHE_BYTES))
    tables.set_bloom_filter(BLOOM_BITS, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_block_based_table_factory(tables)
    return options
