"""Blocks of tables in Python, by docs/format/table.md alone: stored bytes to raw bytes to entries.

Guarantees: everything fits exactly, or ValueError says what does not; no length is trusted. Uses zstandard for zstd
blocks. Pure functions; any thread.

    decode_stored(stored, zstd=None) -> bytes   raw bytes of a stored block whose checksum holds, trailer included
    decode_block(raw) -> [Entry]                Entry(key, sequence, kind, value)
    zstd: a zstandard.ZstdDecompressor with the table's dictionary, where it has one
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

import zstandard

from lsm_tools import format_lz4
from lsm_tools.format_bytes import Layout, varint

__all__ = ["CODEC_NAMES", "STORED", "Entry", "column", "decode_block", "decode_stored"]

MAX_ENTRIES: Final = 254
MAX_KEY_BYTES: Final = 163840
MAX_VALUE_BYTES: Final = 67108864
CODEC_NONE: Final = 0
CODEC_LZ4: Final = 1
CODEC_ZSTD: Final = 2
CODEC_ZSTD_DICTIONARY: Final = 3
CODEC_NAMES: Final = {
    CODEC_NONE: "none",
    CODEC_LZ4: "lz4",
    CODEC_ZSTD: "zstd",
    CODEC_ZSTD_DICTIONARY: "zstd with the dictionary",
}
BLOCK_KINDS: Final = 16
BLOCK_UNIQUE: Final = 32
KIND_PUT: Final = 1
KIND_DELETE: Final = 2
KIND_DELETE_RANGE: Final = 3
# More than a stored byte of a codec can say: a forged size does not ask for much memory.
MOST_RAW: Final = {CODEC_NONE: 1, CODEC_LZ4: 255, CODEC_ZSTD: 32768, CODEC_ZSTD_DICTIONARY: 32768}

STORED: Final = Layout(
    "trailer",
    (
        1,
        "codec",
        "how the bytes before it are compressed; 0: none, 1: LZ4, 2: zstd, 3: zstd with the table's dictionary",
    ),
    (4, "raw bytes", "size after decoding, exactly"),
    (4, "checksum", "CRC-32C of salt, offset of the block, and its bytes up to here"),
)
STORED_FIELDS: Final = Struct("<BII")


class Entry(NamedTuple):
    """One record. Sequence 0 stands for: below every snapshot. kind 1: put, 2: delete."""

    key: bytes
    sequence: int
    kind: int
    value: bytes


def decode_stored(stored: bytes, zstd: zstandard.ZstdDecompressor | None = None) -> bytes:
    """The raw bytes of a stored block whose checksum holds; ValueError where they are malformed."""
    codec, raw_bytes, _ = STORED_FIELDS.unpack_from(stored, len(stored) - STORED.size)
    data = stored[: -STORED.size]
    if raw_bytes > MOST_RAW.get(codec, 0) * max(len(data), 1):
        raise ValueError(f"{len(data)} stored bytes of codec {codec} announce {raw_bytes} raw bytes")
    if codec == CODEC_LZ4:
        return format_lz4.decode(data, raw_bytes)
    raw = data
    if codec == CODEC_ZSTD:
        raw = _decode_zstd(PLAIN_ZSTD, data, raw_bytes)
    elif codec == CODEC_ZSTD_DICTIONARY:
        if zstd is None:
            raise ValueError("compressed with a dictionary, which is not there")
        raw = _decode_zstd(zstd, data, raw_bytes)
    if len(raw) != raw_bytes:
        raise ValueError(f"{len(raw)} raw bytes where {raw_bytes} are announced")
    return raw


PLAIN_ZSTD: Final = zstandard.ZstdDecompressor()


def _decode_zstd(zstd: zstandard.ZstdDecompressor, data: bytes, raw_bytes: int) -> bytes:
    try:
        if zstandard.get_frame_parameters(data).content_size != raw_bytes:
            raise ValueError("zstd: the frame's content size is not the trailer's")
        return zstd.decompress(data, max_output_size=raw_bytes)
    except zstandard.ZstdError as error:
        raise ValueError(f"zstd: {error}") from error


_COLUMNS: Final = {2: "H", 4: "I"}


def column(data: bytes, at: int, width: int, count: int) -> list[int]:
    if width == 1:
        return list(data[at : at + count])
    return list(Struct(f"<{count}{_COLUMNS[width]}").unpack_from(data, at))


def decode_block(raw: bytes) -> list[Entry]:
    """The entries of a block's raw bytes, in their order; ValueError says what is malformed."""
    if len(raw) < 3:
        raise ValueError("a block of less than three bytes")
    count, flags, sequence_bytes = raw[0], raw[1], raw[2]
    if not 1 <= count <= MAX_ENTRIES or flags & 0xC0 or sequence_bytes > 8:
        raise ValueError(f"a block's first bytes: {raw[:3].hex()}")
    widths = [(0, 1, 2, 4)[flags & 3], (0, 1, 2, 4)[flags >> 2 & 3]]
    at, same = 3, [0, 0]
    for i in range(2):
        if widths[i] == 0:
            same[i], at = varint(raw, at)
    prefix_bytes, at = varint(raw, at)
    base, at = varint(raw, at)
    columns = count * (sum(widths) + sequence_bytes + (1 if flags & BLOCK_KINDS else 0))
    if columns + prefix_bytes > len(raw) - at:
        raise ValueError("a block's columns do not fit it")
    lengths = []
    for i in range(2):
        lengths.append(column(raw, at, widths[i], count) if widths[i] else [same[i]] * count)
        at += widths[i] * count
    if max(lengths[0]) + prefix_bytes > MAX_KEY_BYTES or max(lengths[1]) > MAX_VALUE_BYTES:
        raise ValueError("a block's key or value is longer than any may be")
    kinds: Iterable[int] = [KIND_PUT] * count
    if flags & BLOCK_KINDS:
        kinds = raw[at : at + count]
        at += count
    sequences = _sequences(raw, at, sequence_bytes, count, base)
    at += sequence_bytes * count
    if at + prefix_bytes + sum(lengths[0]) + sum(lengths[1]) != len(raw):
        raise ValueError("keys and values do not fill the block")
    prefix = raw[at : at + prefix_bytes]
    at += prefix_bytes
    return _rows(raw, at, prefix, lengths, sequences, kinds)


def _sequences(raw: bytes, at: int, width: int, count: int, base: int) -> list[int]:
    if width == 0:
        return [base] * count
    return [base + int.from_bytes(raw[i : i + width], "little") for i in range(at, at + width * count, width)]


def _rows(
    raw: bytes, at: int, prefix: bytes, lengths: list[list[int]], sequences: list[int], kinds: Iterable[int]
) -> list[Entry]:
    rows = []
    value_at = at + sum(lengths[0])
    for key_bytes, value_bytes, sequence, kind in zip(lengths[0], lengths[1], sequences, kinds, strict=True):
        rows.append(Entry(prefix + raw[at : at + key_bytes], sequence, kind, raw[value_at : value_at + value_bytes]))
        at += key_bytes
        value_at += value_bytes
    return rows
