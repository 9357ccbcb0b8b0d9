"""The binary form of a dump: checked, compressed blocks of records. docs/format/dump.md has the bytes.

Guarantees: what was read is what was written, or a Damage says where not; a dump that lost its end is told from a
whole one; a reader's memory is bounded by the largest block. One reader or writer serves one thread.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, BinaryIO, Final, NamedTuple

import xxhash
import zstandard
from crc32c import crc32c

from lsm.dump_parts import Chunk, Damage, DumpHeaderError, Key, KeyspaceHead, Totals

__all__ = ["BinaryReader", "BinaryWriter"]

MAGIC: Final = b"lsmdmp\r\n"
FORMAT_VERSION: Final = 1

# Numbers of block kinds and codecs, never to change.
KEYSPACES: Final = 1
RECORDS: Final = 2
END: Final = 3
CODEC_NONE: Final = 0
CODEC_ZSTD: Final = 1
COMPOSITE: Final = 1

HEADER: Final = struct.Struct("<8sIIQ40x")  # magic, format version, checksum, sequence
BLOCK: Final = struct.Struct("<IBBHIIII")  # checksum, kind, codec, zeros, stored bytes, raw bytes, entries, keyspace
HEAD: Final = struct.Struct("<III")  # partitions, flags, name bytes
TAIL: Final = struct.Struct("<QQQQQ")  # records, blocks, key bytes, value bytes, XXH64 of all bytes before this block

MAX_RAW_BYTES: Final = 128 << 20
"""Of a block. The largest record has 64 MiB and its key, and closes the block that it is in."""

DEFAULT_LEVEL: Final = 3
INCOMPLETE: Final = "the dump is incomplete: it ends here, without its end"


class _Header(NamedTuple):
    checksum: int
    kind: int
    codec: int
    zeros: int
    stored_bytes: int
    raw_bytes: int
    entries: int
    keyspace: int


def _header_checksum(head: bytes) -> int:
    return crc32c(head[16:], crc32c(head[:12]))


def _block_checksum(offset: int, block: bytes, payload: bytes) -> int:
    """Of the block's place, its header behind the checksum, and its payload."""
    return crc32c(payload, crc32c(block[4:], crc32c(offset.to_bytes(8, "little"))))


def _lengths(parts: Sequence[bytes]) -> bytes:
    return struct.pack(f"<{len(parts)}I", *map(len, parts))


class BinaryWriter:
    """Writes a dump to a stream. Equal content gives equal bytes, as long as zstd's are; level 0 compresses nothing."""

    def __init__(
        self, stream: BinaryIO, sequence: int, heads: Sequence[KeyspaceHead], *, level: int = DEFAULT_LEVEL
    ) -> None:
        self.totals = Totals()
        self._stream = stream
        self._heads = heads
        self._compressor = zstandard.ZstdCompressor(level=level) if level else None
        self._offset = 0
        self._hash = xxhash.xxh64()
        empty = HEADER.pack(MAGIC, FORMAT_VERSION, 0, sequence)
        self._put(HEADER.pack(MAGIC, FORMAT_VERSION, _header_checksum(empty), sequence))
        self._block(KEYSPACES, b"".join(map(_packed_head, heads)), len(heads), 0)

    def write(self, keyspace: int, keys: list[Key], values: list[bytes]) -> None:
        """One block of records; together they must not be above `MAX_RAW_BYTES`."""
        columns: list[Any] = [*zip(*keys, strict=True)] if self._heads[keyspace].composite else [keys]
        columns.append(values)
        raw = b"".join([*map(_lengths, columns), *chain.from_iterable(columns)])
        self._block(RECORDS, raw, len(keys), keyspace)
        value_bytes = sum(map(len, values))
        self.totals.records += len(keys)
        self.totals.blocks += 1
        self.totals.value_bytes += value_bytes
        self.totals.key_bytes += len(raw) - value_bytes - 4 * len(columns) * len(keys)

    def finish(self) -> None:
        """The end: without it a dump counts as incomplete."""
        t = self.totals
        raw = TAIL.pack(t.records, t.blocks, t.key_bytes, t.value_bytes, self._hash.intdigest())
        self._block(END, raw, 0, 0)

    def _block(self, kind: int, raw: bytes, entries: int, keyspace: int) -> None:
        codec, payload = CODEC_NONE, raw
        if self._compressor is not None and kind != END:
            packed = self._compressor.compress(raw)
            if len(packed) < len(raw):
                codec, payload = CODEC_ZSTD, packed
        fields = (kind, codec, 0, len(payload), len(raw), entries, keyspace)
        checksum = _block_checksum(self._offset, BLOCK.pack(0, *fields), payload)
        self._put(BLOCK.pack(checksum, *fields))
        self._put(payload)

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self._offset += len(data)


def _packed_head(head: KeyspaceHead) -> bytes:
    name = head.name.encode()
    return HEAD.pack(head.partitions, COMPOSITE if head.composite else 0, len(name)) + name


class BinaryReader:
    """Reads a dump from a stream. DumpHeaderError where header or keyspaces are damaged; then Chunk or Damage."""

    unit = "offset"

    def __init__(self, stream: BinaryIO) -> None:
        self.bytes = 0
        self.totals = Totals()
        self._stream = stream
        self._hash = xxhash.xxh64()
        self._decompressor = zstandard.ZstdDecompressor()
        self.sequence = self._read_header()
        self.heads = self._read_heads()

    def __iter__(self) -> Iterator[Chunk | Damage]:
        whole = False
        while True:
            offset, digest = self.bytes, self._hash.intdigest()
            found = self._next_block(offset)
            if found is None:
                break
            if isinstance(found, Damage):
                yield self._damaged(found)
                if self._lost:
                    return
                continue
            header, raw = found
            if header.kind == END:
                whole = True
                yield from self._check_end(raw, offset, digest)
                break
            yield self._chunk(offset, header, raw)
        if not whole:
            yield self._damaged(Damage(f"offset {self.bytes:,}", INCOMPLETE))

    def _read_header(self) -> int:
        head = self._take(HEADER.size)
        if len(head) < HEADER.size:
            raise DumpHeaderError("the dump is incomplete: it ends within its header")
        magic, version, checksum, sequence = HEADER.unpack(head)
        if magic != MAGIC or checksum != _header_checksum(head):
            raise DumpHeaderError("the header of the dump is damaged")
        if version > FORMAT_VERSION:
            raise DumpHeaderError(
                f"dump format version {version} is newer than {FORMAT_VERSION}, the newest this release reads"
            )
        return int(sequence)

    def _read_heads(self) -> list[KeyspaceHead]:
        found = self._next_block(self.bytes)
        if found is None:
            raise DumpHeaderError("the dump is incomplete: it ends before its keyspaces")
        if isinstance(found, Damage):
            raise DumpHeaderError(f"the keyspaces of the dump cannot be read: {found.reason}")
        header, raw = found
        try:
            if header.kind != KEYSPACES:
                raise ValueError("kind of block")
            return list(_unpacked_heads(raw, header.entries))
        except (ValueError, struct.error):
            raise DumpHeaderError("the keyspaces of the dump cannot be read: malformed") from None

    _lost = False
    """The length of a block is damaged: where the next one begins is not known."""

    def _next_block(self, offset: int) -> tuple[_Header, bytes] | Damage | None:
        """The next block, decoded. None where the stream ends before it or within it."""
        place = f"offset {offset:,}"
        block = self._take(BLOCK.size)
        if len(block) < BLOCK.size:
            return None
        header = _Header(*BLOCK.unpack(block))
        if not header.stored_bytes <= header.raw_bytes <= MAX_RAW_BYTES:
            self._lost = True
            return Damage(place, "the header of a block is damaged; what follows cannot be found")
        payload = self._take(header.stored_bytes)
        if len(payload) < header.stored_bytes:
            return None
        if _block_checksum(offset, block, payload) != header.checksum:
            return Damage(place, f"a block of {header.stored_bytes:,} bytes fails its checksum")
        try:
            return header, self._decoded(header, payload)
        except (ValueError, zstandard.ZstdError) as error:
            return Damage(place, f"a block cannot be decoded: {error}")

    def _decoded(self, header: _Header, payload: bytes) -> bytes:
        if header.codec == CODEC_NONE:
            raw = payload
        elif header.codec == CODEC_ZSTD:
            if zstandard.get_frame_parameters(payload).content_size != header.raw_bytes:
                raise ValueError("its frame has another size")
            raw = self._decompressor.decompress(payload)
        else:
            raise ValueError(f"codec {header.codec} is not known")
        if len(raw) != header.raw_bytes:
            raise ValueError(f"it has {len(raw)} bytes, not {header.raw_bytes}")
        return raw

    def _chunk(self, offset: int, header: _Header, raw: bytes) -> Chunk | Damage:
        place = f"offset {offset:,}"
        if header.kind != RECORDS or header.keyspace >= len(self.heads):
            return self._damaged(Damage(place, "a block is of a kind, or a keyspace, that there is not"))
        composite = self.heads[header.keyspace].composite
        try:
            *key_columns, values = _columns(raw, header.entries, 3 if composite else 2)
        except (ValueError, struct.error):
            return self._damaged(Damage(place, "the lengths in a block do not fill it"))
        keys: list[Key] = [*zip(*key_columns, strict=True)] if composite else [*key_columns[0]]
        value_bytes = sum(map(len, values))
        self.totals.records += header.entries
        self.totals.blocks += 1
        self.totals.value_bytes += value_bytes
        self.totals.key_bytes += len(raw) - value_bytes - 4 * (len(key_columns) + 1) * header.entries
        return Chunk(header.keyspace, place, keys, values)

    def _check_end(self, raw: bytes, offset: int, digest: int) -> Iterator[Damage]:
        """Compares the end with what was read; known damage needs no second word."""
        if self._stream.read(1):
            yield self._damaged(Damage(f"offset {self.bytes:,}", "bytes follow the end of the dump"))
        if self.totals.damages:
            return
        if len(raw) < TAIL.size:
            yield self._damaged(Damage(f"offset {offset:,}", "the end of the dump is malformed"))
            return
        records, blocks, key_bytes, value_bytes, expected = TAIL.unpack_from(raw)
        if Totals(records, blocks, key_bytes, value_bytes) != self.totals or digest != expected:
            reason = f"the dump's end counts {records:,} records, {self.totals.records:,} were read, or bytes differ"
            yield self._damaged(Damage(f"offset {offset:,}", reason))

    def _damaged(self, damage: Damage) -> Damage:
        self.totals.damages += 1
        return damage

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._hash.update(data)
        self.bytes += len(data)
        return data


def _unpacked_heads(raw: bytes, count: int) -> Iterator[KeyspaceHead]:
    offset = 0
    for _ in range(count):
        partitions, flags, name_bytes = HEAD.unpack_from(raw, offset)
        offset += HEAD.size + name_bytes
        if offset > len(raw):
            raise ValueError("a name ends beyond its block")
        yield KeyspaceHead(raw[offset - name_bytes : offset].decode(), bool(flags & COMPOSITE), partitions)
    if offset != len(raw):
        raise ValueError("bytes follow the keyspaces")


def _columns(raw: bytes, entries: int, count: int) -> list[list[bytes]]:
    """The columns of a block of records; ValueError where their lengths do not fill it exactly."""
    lengths = struct.unpack_from(f"<{entries * count}I", raw)
    start = 4 * len(lengths)
    if start + sum(lengths) != len(raw):
        raise ValueError("lengths")
    parts = [raw[begin:end] for begin, end in pairwise(accumulate(lengths, initial=start))]
    return [parts[i * entries : (i + 1) * entries] for i in range(count)]
