"""Engine keys judged by docs/format/keys.md: their form, their hashes, the partition they belong to.

Guarantees: hashes are computed by the xxhash package. One object per keyspace and pass; pure but for what it remembers.
"""

from __future__ import annotations

from typing import Final

from xxhash import xxh64_intdigest

from lsm_tools.format_manifest import Keyspace

__all__ = ["KeyRules", "split_composite"]

MOST_PLAIN: Final = 65536


class KeyRules:
    """What the keys of one partition must be."""

    def __init__(self, keyspace: Keyspace, partition: int, seed: int) -> None:
        self.composite = keyspace.composite
        self.seed = seed
        self.low, self.high = keyspace.hash_range(partition)
        self._last = b""
        self._last_problem: str | None = None

    def problem(self, key: bytes, hash: int) -> str | None:
        """What is wrong with a key of this hash, if anything is."""
        if self.composite:
            return self._composite(key)
        if not 1 <= len(key) <= MOST_PLAIN:
            return f"a key of {len(key)} bytes"
        return None if self.low <= hash < self.high else f"key of hash {hash:#x} is of another partition"

    def _composite(self, key: bytes) -> str | None:
        end = key.find(b"\0\1", 8)
        front = key[:end]
        if end >= 0 and front == self._last:
            return self._last_problem
        self._last = front
        self._last_problem = self._partition_key(key)
        return self._last_problem

    def _partition_key(self, key: bytes) -> str | None:
        parts = split_composite(key)
        if parts is None:
            return "a key that is no pair of partition key and sort key"
        prefix = int.from_bytes(key[:8], "big")
        if xxh64_intdigest(parts[0], self.seed) != prefix:
            return f"the hash in front of a key is {prefix:#x}, not that of its partition key"
        return None if self.low <= prefix < self.high else f"key of hash {prefix:#x} is of another partition"


def split_composite(key: bytes) -> tuple[bytes, bytes] | None:
    """Partition key and sort key of a composite engine key; None where it is none."""
    end = key.find(b"\0\1", 8)
    if end < 9 or len(key) < 10:
        return None
    escaped = key[8:end]
    if escaped.count(b"\0") != escaped.count(b"\0\xff"):
        return None
    return escaped.replace(b"\0\xff", b"\0"), key[end + 2 :]
