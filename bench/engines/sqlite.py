"""SQLite through the standard library: one table keyed by the blob, WAL, `synchronous=OFF`, 256 MB page cache."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bench.data import Pair
from bench.engines.protocol import CACHE_BYTES, DurablePut, puts_in_threads

PUT = "INSERT OR REPLACE INTO records VALUES (?, ?)"
GET = "SELECT value FROM records WHERE key = ?"
DELETE = "DELETE FROM records WHERE key = ?"
SCAN = "SELECT key, value FROM records ORDER BY key"
SEEK = "SELECT key, value FROM records WHERE key >= ? ORDER BY key LIMIT ?"


class SQLite:
    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self._path = path / "records.sqlite"
        self._connection = self._connect("OFF")
        self._execute = self._connection.execute
        self._execute("CREATE TABLE IF NOT EXISTS records (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        self._durable: sqlite3.Connection | None = None

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA cache_size=-{CACHE_BYTES >> 10}")
        return connection

    def put(self, key: bytes, value: bytes) -> None:
        self._execute(PUT, (key, value))

    def put_sync(self, key: bytes, value: bytes) -> None:
        if self._durable is None:
            self._durable = self._connect("FULL")
        self._durable.execute(PUT, (key, value))

    def get(self, key: bytes) -> bytes | None:
        row = self._execute(GET, (key,)).fetchone()
        return row[0] if row else None

    def delete(self, key: bytes) -> None:
        self._execute(DELETE, (key,))

    def put_batch(self, pairs: list[Pair]) -> None:
        self._execute("BEGIN")
        self._connection.executemany(PUT, pairs)
        self._execute("COMMIT")

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return list(map(self.get, keys))

    def scan(self) -> Iterable[Pair]:
        return self._execute(SCAN)

    def seek(self, start: bytes, limit: int) -> list[Pair]:
        return self._execute(SEEK, (start, limit)).fetchall()

    def durable_puts(self, clients: int) -> AbstractAsyncContextManager[DurablePut]:
        return puts_in_threads(self.put_sync, clients)

    def settle(self) -> None:
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def write_amplification(self) -> None:
        return None

    def close(self) -> None:
        if self._durable is not None:
            self._durable.close()
        self._connection.close()
