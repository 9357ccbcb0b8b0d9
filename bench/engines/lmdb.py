"""LMDB through py-lmdb: writable map, no sync, one transaction per call, as in the others each call is atomic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from itertools import islice
from pathlib import Path

import lmdb

from bench.data import Pair
from bench.engines.protocol import DurablePut, puts_in_threads

MAP_BYTES = 16 << 30  # address space, and the length of a sparse file


class Lmdb:
    def __init__(self, path: Path) -> None:
        self._environment = lmdb.open(str(path), map_size=MAP_BYTES, writemap=True, sync=False)
        self._begin = self._environment.begin

    def put(self, key: bytes, value: bytes) -> None:
        with self._begin(write=True) as transaction:
            transaction.put(key, value)

    def put_sync(self, key: bytes, value: bytes) -> None:
        with self._begin(write=True) as transaction:
            transaction.put(key, value)
        self._environment.sync(True)

    def get(self, key: bytes) -> bytes | None:
        with self._begin() as transaction:
            value: bytes | None = transaction.get(key)
            return value

    def delete(self, key: bytes) -> None:
        with self._begin(write=True) as transaction:
            transaction.delete(key)

    def put_batch(self, pairs: list[Pair]) -> None:
        with self._begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(pairs)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        with self._begin() as transaction:
            return list(map(transaction.get, keys))

    def scan(self) -> Iterator[Pair]:
        with self._begin() as transaction, transaction.cursor() as cursor:
            yield from cursor

    def seek(self, start: bytes, limit: int) -> list[Pair]:
        with self._begin() as transaction, transaction.cursor() as cursor:
            return list(islice(cursor, limit)) if cursor.set_range(start) else []

    def durable_puts(self, clients: int) -> AbstractAsyncContextManager[DurablePut]:
        return puts_in_threads(self.put_sync, clients)

    def settle(self) -> None:
        """A page tree owes nothing."""

    def write_amplification(self) -> None:
        return None

    def close(self) -> None:
        self._environment.close()
