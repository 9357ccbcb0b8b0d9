"""The oracle: what a keyspace must answer, as a dict and a sort.

Written from the public contract alone; it shares nothing with the engine, so that both cannot be wrong together.
Not thread-safe: one thread owns a model.
"""

from __future__ import annotations

import os
import random
from typing import Any

SCALE = float(os.environ.get("LSM_TEST_SCALE", "1"))

Key = Any  # bytes, or (bytes, bytes) of a composite keyspace

TINY: dict[str, Any] = {
    "memtable_bytes": 4096,
    "memtables_bytes": 32768,
    "block_bytes": 256,
    "table_bytes": 8192,
    "level_base_bytes": 16384,
    "level0_compaction_tables": 2,
    "cache_bytes": 16384,
    "wal_segment_bytes": 8192,
    "wal_ring_bytes": 4096,
    "wal_bytes": 65536,
}

OPTION_SETS: dict[str, dict[str, Any]] = {
    "tiny": {**TINY, "compression": "none"},
    "tiny-budgets": {
        **TINY,
        "memtable_bytes": 16384,
        "memtables_bytes": 16384,
        "wal_bytes": 16384,
        "compression": "lz4",
    },
    "small-unfiltered": {
        **TINY,
        "memtable_bytes": 16384,
        "filter_bits_per_key": 0,
        "level_multiplier": 2,
        "cache_bytes": 0,
    },
    "zstd-slowed": {
        **TINY,
        "memtable_bytes": 8192,
        "compression": "zstd",
        "level0_slowdown_tables": 3,
        "level0_stop_tables": 4,
        "flush_on_close_bytes": 0,
    },
    "memtable-64k": {
        **TINY,
        "memtable_bytes": 65536,
        "memtables_bytes": 262144,
        "wal_bytes": 1 << 20,
        "block_bytes": 1024,
    },
    "default": {},
}


def scaled(count: int) -> int:
    """A loop count, times the environment variable LSM_TEST_SCALE."""
    return max(1, int(count * SCALE))


def value_of(stamp: int, length: int) -> bytes:
    """Bytes that only this stamp gives; even stamps compress well, odd ones not at all."""
    if stamp % 2:
        return random.Random(stamp).randbytes(length)
    return (b"%d," % stamp * (length // 2 + 1))[:length]


class KeyspaceModel:
    """One keyspace. `rank` gives the order of the partition keys of a composite one; None makes it plain."""

    def __init__(self, rank: dict[bytes, int] | None = None) -> None:
        self.rank = rank
        self.data: dict[Key, bytes] = {}

    def copy(self) -> KeyspaceModel:
        """The same contents, frozen at this moment."""
        other = KeyspaceModel(self.rank)
        other.data = dict(self.data)
        return other

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        partition: bytes | None = None,
    ) -> list[tuple[Key, bytes]]:
        """Pairs in scan order. Start is included and stop excluded in both directions; every bound given applies."""
        found = []
        for key, value in self.data.items():
            if partition is not None and key[0] != partition:
                continue
            part = key if self.rank is None else key[1]
            if start is not None and part < start:
                continue
            if stop is not None and part >= stop:
                continue
            if prefix is not None and not part.startswith(prefix):
                continue
            found.append((key, value))
        found.sort(key=lambda pair: self.place(pair[0]), reverse=reverse)
        return found if limit is None else found[:limit]

    def place(self, key: Key) -> Any:
        """Where the key stands in scan order."""
        return key if self.rank is None else (self.rank[key[0]], key[1])


def hash_rank(db: Any, partition_keys: list[bytes]) -> dict[bytes, int]:
    """Learns the order of these partition keys in this database: it is the same in each of its composite keyspaces."""
    reference = db.keyspace("model: order of partition keys", composite=True)
    reference.put_many([((pk, b""), b"") for pk in partition_keys])
    return {pk: place for place, (pk, _) in enumerate(reference.scan(values=False))}
