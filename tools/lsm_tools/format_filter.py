"""The blocked Bloom filter in Python, by docs/format/checksums-and-codecs.md alone.

Guarantees: exactly the bits that the page names. Pure functions; any thread.

    filter_may_hold(filter, hash) -> bool       hash: XXH64 of the key with the database's seed
    make_filter(hashes, size) -> bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["FILTER_LINE", "filter_may_hold", "make_filter"]

FILTER_LINE: Final = 64


def filter_may_hold(filter: bytes, hash: int) -> bool:
    """What the filter answers for a key of this hash; an empty filter holds everything."""
    if not filter:
        return True
    at = ((hash & 0xFFFFFFFF) * (len(filter) // FILTER_LINE) >> 32) * FILTER_LINE
    g = hash * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    line = int.from_bytes(filter[at : at + FILTER_LINE], "little")
    bits = 1 << (g >> 55) | 1 << (g >> 46 & 511) | 1 << (g >> 37 & 511)
    bits |= 1 << (g >> 28 & 511) | 1 << (g >> 19 & 511) | 1 << (g >> 10 & 511)
    return line & bits == bits


def make_filter(hashes: Iterable[int], size: int) -> bytes:
    """The filter of `size` bytes for keys of these hashes."""
    lines = [0] * (size // FILTER_LINE)
    for h in hashes:
        g = h * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        bits = 1 << (g >> 55) | 1 << (g >> 46 & 511) | 1 << (g >> 37 & 511)
        bits |= 1 << (g >> 28 & 511) | 1 << (g >> 19 & 511) | 1 << (g >> 10 & 511)
        lines[(h & 0xFFFFFFFF) * len(lines) >> 32] |= bits
    return b"".join(line.to_bytes(FILTER_LINE, "little") for line in lines)
