"""Dictionaries for zstd: what the blocks of a table have in common, so that small blocks need not each learn it anew.

Guarantees: all but reading the sample is pure; a bad dictionary only costs bytes. Any thread, no lock; training lets go
of the GIL. Figures: docs/decisions/0013-dictionaries-for-small-blocks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from lsm import zstd
from lsm.compression import ZSTD_BLOCK_FACTOR, Group, sample
from lsm.options import Options
from lsm.version import TableMeta

if TYPE_CHECKING:
    from lsm.engine import Table

__all__ = ["dictionary_bytes", "dictionary_for", "pays", "pieces", "train"]

MOST_BYTES: Final = 16 << 10
LEAST_BYTES: Final = 512
SHARE: Final = 64  # of what it serves: a table with a larger dictionary would be all dictionary
LEAST_RAW_BYTES: Final = 1 << 20  # below it "auto" does not try
LEAST_PIECES: Final = 16
GROUPS: Final = 128
SAMPLE_BYTES: Final = 8 << 20
SEGMENT_BYTES: Final = 200  # COVER's k: long enough for a record's frame of names, see the decision
MATCH_BYTES: Final = 8  # COVER's d
LARGEST_SHARE: Final = 0.98  # of what larger blocks take: noise, which neither shrinks, has no use for a dictionary

Pieces = Sequence[bytes]


def dictionary_for(options: Options, tables: Sequence[Table], metas: Sequence[TableMeta], table_bytes: int) -> bytes:
    """The dictionary for what `tables` are merged into; empty: none. Reads a few MiB of their blocks.

    "auto" takes one for small records where blocks of `block_bytes` with it come out smaller than the larger ones
    without it.
    """
    raw = sum(meta.raw_bytes for meta in metas)
    record = raw // max(1, sum(meta.entries for meta in metas))
    wanted = options.zstd_dictionary
    if wanted == "none" or (wanted == "auto" and (raw < LEAST_RAW_BYTES or record * 4 > options.block_bytes)):
        return b""
    most = max(LEAST_PIECES, min(GROUPS, SAMPLE_BYTES // max(ZSTD_BLOCK_FACTOR**2 * options.block_bytes, record)))
    groups = [pieces(group, options.block_bytes) for group in sample(tables, most)]
    size = dictionary_bytes(raw, table_bytes)
    if wanted == "train":
        return train([piece for group in groups for piece in group], size)
    made = train([piece for group in groups[::2] for piece in group], size)
    return made if made and pays(groups[1::2], made, options.zstd_level) else b""


def dictionary_bytes(raw_bytes: int, table_bytes: int) -> int:
    return max(LEAST_BYTES, min(MOST_BYTES, min(raw_bytes, table_bytes) // SHARE))


def pieces(group: Group, block_bytes: int) -> list[bytes]:
    """A group of neighbouring blocks as blocks of about `block_bytes` each."""
    cut: list[bytes] = []
    for _, _, raw in group:
        count = max(1, round(len(raw) / block_bytes))
        step = -(-len(raw) // count) or 1
        cut += [raw[at : at + step] for at in range(0, len(raw), step)]
    return cut


def train(samples: Pieces, size: int) -> bytes:
    """Up to `size` bytes that the samples have in common; empty where there is nothing to learn, or too few of them."""
    import zstandard  # 20 ms that programs without zstd do not pay

    if len(samples) < LEAST_PIECES:
        return b""
    try:
        trained = zstandard.train_dictionary(size, list(samples), k=SEGMENT_BYTES, d=MATCH_BYTES)
    except zstandard.ZstdError:
        return b""
    return trained.as_bytes()


def pays(groups: Sequence[Pieces], dictionary: bytes, level: int) -> bool:
    """Whether small blocks with the dictionary come out smaller than larger ones without, on others than it is of."""
    small = sum(min(len(p), len(zstd.compress(p, level, dictionary))) for group in groups for p in group)
    large = 0
    for group in groups:
        for at in range(0, len(group), ZSTD_BLOCK_FACTOR):
            raw = b"".join(group[at : at + ZSTD_BLOCK_FACTOR])
            large += min(len(raw), len(zstd.compress(raw, level)))
    return small <= large * LARGEST_SHARE
