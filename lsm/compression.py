"""Which codec a table is written with: decided per flush and compaction, from option, level and a look at the data.

Guarantees: all but `sample` is pure; a table can be read whatever its codec, so a wrong choice only costs. Any thread,
no lock. Figures: docs/decisions/0009-zstd-where-it-pays.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from lsm import lz4, zstd
from lsm.options import Compression
from lsm.sample import block_count, raw_blocks

if TYPE_CHECKING:
    from lsm.engine import Table

__all__ = [
    "ZSTD_BLOCK_FACTOR",
    "Codec",
    "Group",
    "block_bytes",
    "choose",
    "flush_codec",
    "is_zstd",
    "sample",
    "saving",
    "unwanted",
]

ZSTD_BLOCK_FACTOR: Final = 4  # small blocks compress badly: 16 KiB where others have 4
MOST_BLOCK_BYTES: Final = 64 << 10
DEEP_LEVEL: Final = 2  # above it tables are rewritten and read too often
WORTH: Final = 0.20
SAMPLED_GROUPS: Final = 16  # of ZSTD_BLOCK_FACTOR blocks each

Group = Sequence[tuple[int, int, bytes]]  # neighbouring blocks: codec, stored bytes, raw bytes


class Codec(IntEnum):
    """Of a table; persisted in the manifest, never renumber."""

    NONE = 0
    LZ4 = 1
    ZSTD = 2
    ZSTD_DICTIONARY = 3


def is_zstd(codec: int) -> bool:
    return codec in (Codec.ZSTD, Codec.ZSTD_DICTIONARY)


def flush_codec(compression: Compression) -> Codec:
    """Level 0 is short-lived and read most: never zstd."""
    return Codec.NONE if compression == "none" else Codec.LZ4


def choose(compression: Compression, level: int, deepest: bool, measure: Callable[[], float]) -> Codec:
    """The codec of a compaction's output. `deepest`: no level below `level` holds a table.

    `measure` says which share of what LZ4 stores zstd would save; it is called only where that decides.
    """
    if compression == "zstd" and level >= 1:
        return Codec.ZSTD
    if compression == "auto" and deepest and level >= DEEP_LEVEL and measure() >= WORTH:
        return Codec.ZSTD
    return flush_codec(compression)


def unwanted(compression: Compression, level: int, codec: int) -> bool:
    """Whether a full compaction rewrites a table only because of its codec; what "auto" chose once may stay, and so may
    a dictionary or the lack of one."""
    if compression == "auto":
        return False
    chosen = choose(compression, level, False, lambda: 0.0)
    return not is_zstd(codec) if is_zstd(chosen) else codec != chosen


def block_bytes(codec: Codec, light: int) -> int:
    """Block size of a table with this codec, where others have blocks of `light` bytes. A dictionary makes small blocks
    compress as well as large ones do."""
    return max(light, min(light * ZSTD_BLOCK_FACTOR, MOST_BLOCK_BYTES)) if codec == Codec.ZSTD else light


def saving(groups: Iterable[Group]) -> float:
    """The share of what LZ4 stores that zstd would save; below 0 where it would not."""
    light = heavy = 0
    for group in groups:
        light += sum(_light_bytes(*block) for block in group)
        apart = any(codec == Codec.ZSTD for codec, _, _ in group)  # large already
        merged = [raw for _, _, raw in group] if apart else [b"".join(raw for _, _, raw in group)]
        heavy += sum(min(len(raw), len(zstd.compress(raw))) for raw in merged)
    return 1 - heavy / light if light else 0.0


def _light_bytes(codec: int, stored: int, raw: bytes) -> int:
    """What a block takes with LZ4: known where it has it, else measured on pieces as large as LZ4's blocks are."""
    if codec == Codec.LZ4:
        return stored
    step = len(raw) // ZSTD_BLOCK_FACTOR + 1 if codec == Codec.ZSTD else len(raw)
    pieces = (raw[at : at + step] for at in range(0, len(raw), step))
    return sum(min(len(piece), len(lz4.compress(piece))) for piece in pieces)


def sample(tables: Sequence[Table], most: int = SAMPLED_GROUPS) -> list[Group]:
    """Up to `most` groups of four neighbouring blocks, spread evenly over the tables."""
    counts = [block_count(table) for table in tables]
    total = sum(counts)
    groups: list[Group] = []
    for n in range(min(most, total)):
        at = total * n // most if total > most else n
        for table, count in zip(tables, counts, strict=True):
            if at < count:
                groups.append(raw_blocks(table, at, ZSTD_BLOCK_FACTOR))
                break
            at -= count
    return groups
