"""Blocks of a table whose index is lost, found by their checksums alone.

Guarantees: only blocks whose checksum holds at the place where they stand are given, in file order, none twice; the
work is bounded by what lies between them. One thread per table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lsm_tools.format_block import CODEC_NONE, MOST_RAW, STORED
from lsm_tools.format_bytes import placed_crc
from lsm_tools.format_table import HEADER, Block, BlockPlace, TableFile

__all__ = ["find_blocks"]

WINDOW: Final = 1 << 20
SMALL: Final = 1 << 17
"""Where the end of a block is looked for first: most are far smaller, one that holds a large value alone is not."""
USUAL_RAW: Final = 1 << 16
TRAILER: Final = re.compile(rb"(?s)(?=[\x00-\x03]...[\x00-\x04])")
"""Where a stored block's trailer could begin: a codec, then a raw size that no block exceeds."""


def find_blocks(table: TableFile) -> Iterator[Block]:
    """Every sound block there is; what lies between them becomes a fault.

    Needs a sound header or footer, for the salt. Numbers count what was found; separators are last keys.
    """
    at, number, end, salt = HEADER.size, 0, table.blocks_end, table.salt
    usual = USUAL_RAW
    while salt is not None and at < end:
        size = _size_at(table, salt, at, min(at + SMALL, end))
        if size is None:
            next_at = _next_block(table, salt, at, end, usual)
            size = _size_at(table, salt, at, next_at)
            if size is None:
                table.faults.add(table.path, at, f"{next_at - at} bytes that are no sound block")
                at = next_at
                continue
        block = table.read_block(BlockPlace(number, at, size, b""))
        if block is not None:
            if len(block.entries) > 1:
                usual = max(usual, 2 * len(block.raw))
            yield block._replace(place=block.place._replace(separator=block.entries[-1].key))
            number += 1
        at += size


def _size_at(table: TableFile, salt: int, at: int, end: int) -> int | None:
    """The size of the block that begins at `at`, if a sound one does: up to the trailer whose checksum holds."""
    data = table.source.read(at, end - at)
    for match in TRAILER.finditer(data):
        stored, after = match.start(), match.start() + STORED.size
        if after <= len(data) and stored in _sizes(data, stored) and _verifies(data, 0, after, salt, at):
            return after
    return None


def _sizes(data: bytes, trailer: int) -> range:
    """How many stored bytes may stand before this trailer: compression saves, and no codec says more in a byte."""
    codec = data[trailer]
    raw_bytes = int.from_bytes(data[trailer + 1 : trailer + 5], "little")
    if codec == CODEC_NONE:
        return range(raw_bytes, raw_bytes + 1)
    return range(raw_bytes // MOST_RAW[codec], raw_bytes)


def _verifies(data: bytes, start: int, after: int, salt: int, offset: int) -> bool:
    """Whether data[start:after] is a stored block; `offset` is the place of data[0] in the file."""
    expected = int.from_bytes(data[after - 4 : after], "little")
    return placed_crc(salt, offset + start, memoryview(data)[start : after - 4]) == expected


def _next_block(table: TableFile, salt: int, at: int, end: int, usual: int) -> int:
    """Where the first sound block behind `at` begins, of those of at most `usual` raw bytes; `end`: there is none.

    The limit bounds the work: for each possible end all beginnings are tried.
    """
    window = at + 1
    while window < end:
        data = table.source.read(window, min(WINDOW + SMALL, end - window))
        for match in TRAILER.finditer(data):
            trailer, after = match.start(), match.start() + STORED.size
            sizes = _sizes(data, trailer)
            if after > len(data) or sizes.stop > usual + 1:
                continue
            for start in range(max(0, trailer - sizes.stop + 1), trailer - sizes.start + 1):
                if _verifies(data, start, after, salt, window):
                    return window + start
        window += WINDOW
    return end
