"""The records every engine is given: 16-byte keys in random order, values of a chosen size, half compressible.

The same seed gives the same bytes on every machine. Key lists handed to reads are fresh copies that lie in the order of
use, as keys just parsed from a request do, so that a loop measures the engine and not cache misses of its own.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate, islice
from typing import TypeVar

T = TypeVar("T")
Pair = tuple[bytes, bytes]

KEY_BYTES = 16
VALUE_BYTES = 100
VALUE_POOL = 65_536  # distinct values at most, so that two equal ones seldom share a compressed block
VALUE_POOL_BYTES = 64 << 20
ZIPF_EXPONENT = 0.99  # YCSB's


class Data:
    """`records` keys with values of `value_bytes`; key `i` always carries value `i`."""

    def __init__(self, records: int, value_bytes: int = VALUE_BYTES, seed: int = 1) -> None:
        self.records = records
        self.value_bytes = value_bytes
        self.seed = seed

    @cached_property
    def keys(self) -> list[bytes]:
        """All keys in the order of the fill, which is random."""
        return _cut(self._random("keys").randbytes(KEY_BYTES * self.records))

    @cached_property
    def values(self) -> list[bytes]:
        """One value per key, drawn in turn from a pool: memory of the harness stays small beside the engine's."""
        source = self._random("values")
        distinct = min(self.records, VALUE_POOL, VALUE_POOL_BYTES // self.value_bytes)
        pool = [_half_compressible(source, self.value_bytes) for _ in range(distinct)]
        return [pool[i % distinct] for i in range(self.records)]

    @cached_property
    def pairs(self) -> list[Pair]:
        return list(zip(self.keys, self.values, strict=True))

    def batches(self, size: int, purpose: str = "") -> list[list[Pair]]:
        """All pairs in lists of `size`; with a purpose in another order than that of the fill."""
        pairs = self.pairs
        if purpose:
            pairs = pairs[:]
            self._random(purpose).shuffle(pairs)
        return [pairs[i : i + size] for i in range(0, len(pairs), size)]

    def present(self, purpose: str, count: int | None = None) -> list[bytes]:
        """Keys that exist, each once, in an order of their own."""
        keys = self.keys[:]
        self._random(purpose).shuffle(keys)
        return copies(islice(keys, count))

    def absent(self, count: int) -> list[bytes]:
        return _cut(self._random("absent").randbytes(KEY_BYTES * count))

    def zipfian(self, purpose: str, count: int) -> list[bytes]:
        """Keys that exist, the popular ones spread over the whole key range and the whole fill."""
        return copies(key for key, _ in self.zipfian_pairs(purpose, count))

    def zipfian_pairs(self, purpose: str, count: int) -> list[Pair]:
        source = self._random(purpose)
        popular = self.pairs[:]
        self._random("popularity").shuffle(popular)
        return zipfian_choices(source, popular, count)

    def _random(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {self.records} {self.value_bytes} {purpose}")


def zipfian_choices(source: random.Random, ranked: Sequence[T], count: int) -> list[T]:
    """`count` draws from `ranked`, the first the most popular, by Zipf's law."""
    weights = array("d", accumulate((rank + 1) ** -ZIPF_EXPONENT for rank in range(len(ranked))))
    return source.choices(ranked, cum_weights=weights, k=count)


def copies(keys: Iterable[bytes]) -> list[bytes]:
    """New objects of the same bytes, one after the other in memory."""
    return _cut(b"".join(keys))


def _cut(flat: bytes) -> list[bytes]:
    return [flat[i : i + KEY_BYTES] for i in range(0, len(flat), KEY_BYTES)]


def _half_compressible(source: random.Random, size: int) -> bytes:
    """Random bytes, then the same again: what LevelDB's and RocksDB's db_bench call a compression ratio of 0.5."""
    half = source.randbytes((size + 1) // 2)
    return (half + half)[:size]
