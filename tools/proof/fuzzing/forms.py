"""Files made of fuzzed parts, with every checksum right: so that a mutation reaches the decoder, not the checksum.

A fuzzed input is a list of chunks (two bytes of length each). Fixed fields have the values that fit, and *bends*
(pairs: offset, byte to xor) change them before the checksum is made. Guarantees: any bytes give a file. Pure; any
thread.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lsm.checksum import crc32c

__all__ = [
    "DATABASE",
    "FIRST",
    "SALT",
    "TABLE_NUMBER",
    "bent",
    "chunks",
    "common_bytes",
    "dump_file",
    "join",
    "log_files",
    "manifest_file",
    "table_file",
]

DATABASE = bytes(range(16))
SALT = 0x1122334455667788
TABLE_MAGIC = b"LSMTABLE"
TABLE_NUMBER = 7
TABLE_HEADER = 128
FOOTER = struct.Struct("<16s12QIIQQ6I4Q64x")


def chunks(data: bytes) -> Iterator[bytes]:
    """The parts of an input; the last one may be shorter than it says."""
    at = 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def join(parts: Iterable[bytes]) -> bytes:
    """The input with these parts."""
    return b"".join(len(part).to_bytes(2, "little") + part for part in parts)


def bent(data: bytes, bends: bytes) -> bytes:
    """`data` with each pair's byte xored into the pair's offset."""
    if not bends:
        return data
    out = bytearray(data)
    for at, change in zip(bends[::2], bends[1::2], strict=False):
        if at < len(out):
            out[at] ^= change
    return bytes(out)


# ---- tables


def placed(salt: int, offset: int, data: bytes) -> bytes:
    """The placed checksum of docs/format/table.md."""
    return crc32c(data, crc32c(struct.pack("<QQ", salt, offset))).to_bytes(4, "little")


def _section(data: bytes, salt: int, offset: int) -> bytes:
    return data + placed(salt, offset, data) if data else b""


def _stored(data: bytes, codec: int, raw_bytes: int, salt: int, offset: int) -> bytes:
    body = data + struct.pack("<BI", codec, raw_bytes)
    return body + placed(salt, offset, body)


def _block(part: bytes) -> tuple[int, int, bytes, bytes]:
    """codec, raw bytes, separator, output of the codec."""
    head, size = part[:5].ljust(5, b"\0"), part[4] if len(part) > 4 else 0
    return head[0], int.from_bytes(head[1:4], "little"), part[5 : 5 + size], part[5 + size :]


def common_bytes(a: bytes, b: bytes) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def table_file(data: bytes) -> bytes:
    """A table of number 7. Chunks: bends of footer, tail and raw index, codec and form of the index, smallest and
    largest key, filter, dictionary; then blocks: codec, raw bytes (3), separator with its length, the codec's output.
    """
    parts = list(chunks(data))
    parts += [b""] * (8 - len(parts))
    footer_bends, tail_bends, index_bends, form, smallest, largest, bloom, dictionary = parts[:8]
    out = bytearray(bytes(TABLE_HEADER))
    skip = common_bytes(smallest, largest)
    sizes, suffixes = [], []
    for i, part in enumerate(parts[8:]):
        codec, raw_bytes, separator, output = _block(part)
        stored = _stored(output, codec, raw_bytes if codec else len(output), SALT, len(out))
        out += stored
        sizes.append(len(stored))
        suffixes.append(largest[skip:] if i == len(parts) - 9 else separator)
    filter_at, filter_bytes = len(out), len(bloom) // 64 * 64
    out += _section(bloom[:filter_bytes], SALT, filter_at)
    index_at = len(out)
    out += _index(sizes, suffixes, index_bends, form, index_at)
    dictionary_at = len(out)
    out += _section(dictionary, SALT, dictionary_at)
    footer_at = len(out)
    footer_bytes = FOOTER.size + len(smallest) + len(largest)
    fixed = FOOTER.pack(
        DATABASE,
        TABLE_NUMBER,
        SALT,
        footer_at + footer_bytes + 4 + 32,
        *(1, 0, 1, 9, 1, 9, 1, 0, 2**64 - 1),
        *(len(sizes), 2, filter_at, filter_bytes),
        *(1 if filter_bytes else 0, len(smallest), len(largest), 0, 0, 0),
        *(index_at, dictionary_at - index_at, dictionary_at if dictionary else 0, len(dictionary)),
    )
    out += _section(bent(fixed, footer_bends) + smallest + largest, SALT, footer_at)
    tail = bent(struct.pack("<QIII", footer_at, footer_bytes + 4, 2 if dictionary else 1, 0), tail_bends)
    return bytes(out + tail + placed(0, len(out), tail) + TABLE_MAGIC)


def _index(sizes: list[int], suffixes: list[bytes], bends: bytes, form: bytes, offset: int) -> bytes:
    """Form: nothing for an index that is stored as it is; else codec and raw bytes, then the codec's output."""
    if len(form) > 5:
        return _stored(form[5:], form[0], int.from_bytes(form[1:5], "little"), SALT, offset)
    raw = struct.pack("<IBBH", len(sizes), 4, 2, 0)
    raw += struct.pack(f"<{len(sizes)}I", *sizes)
    raw += struct.pack(f"<{len(suffixes)}H", *(len(suffix) & 0xFFFF for suffix in suffixes))
    raw = bent(raw + b"".join(suffixes), bends)
    return _stored(raw, 0, len(raw), SALT, offset)


# ---- the log

FRAME = struct.Struct("<IIQQQIHHII")
HEADER = struct.Struct("<8sII16sQIIH6xQQQQQQ24x")
RING_BYTES = 4096
FIRST = (1 << 44) + 1


@dataclass
class _Log:
    """What is written so far: one opening after the other."""

    salt: int = SALT
    epoch: int = 1
    first: int = FIRST
    stream: int = 0
    next: int = FIRST
    frames: int = 0
    segments: list[bytearray] = field(default_factory=list)
    ring: bytearray | None = None

    def header(self, magic: bytes, bends: bytes, *rest: int) -> bytes:
        fixed = (self.epoch, 0, 0, 0, self.salt, 1, self.first, *rest)
        head = bent(HEADER.pack(magic, 1, 0, DATABASE, *fixed), bends)
        return head[:12] + crc32c(head[16:], crc32c(head[:12])).to_bytes(4, "little") + head[16:]

    def segment(self, bends: bytes) -> None:
        number = len(self.segments) + 1
        self.segments.append(bytearray(self.header(b"lsmwal\r\n", bends, number, self.stream, self.next)))
        self.frames = 0

    def reopen(self, bends: bytes) -> None:
        self.salt, self.epoch = self.salt + 1, self.epoch + 1
        self.first = self.next = (self.epoch << 44) + 1
        self.stream = 0
        self.segment(bends)

    def frame(self, part: bytes, flags: int = 0) -> None:
        size = part[0] if part else 0
        bends, payload = part[1 : 1 + size], part[1 + size :]
        sequence = self.next - (flags & 1)
        fixed = FRAME.pack(0, len(payload), sequence, 1, 0, 0, flags, 0, 1 - (flags & 1), 0)
        frame = bent(fixed, bends) + payload
        head = struct.pack("<QQ", self.salt, self.stream)
        frame = crc32c(frame[4:], crc32c(head)).to_bytes(4, "little") + frame[4:]
        self.put(frame)
        self.next += 1 - (flags & 1)
        self.frames += 1

    def put(self, data: bytes) -> None:
        """Into the ring, where there is one."""
        if self.ring is None:
            if self.segments:
                self.segments[-1] += data
        else:
            for i, byte in enumerate(data):
                self.ring[4096 + (self.stream + i) % RING_BYTES] = byte
        self.stream += len(data)

    def trailer(self, part: bytes) -> None:
        payload = bent(struct.pack("<QQ", self.next - 1, self.frames), part[1:])
        self.frame(part[:1].replace(part[:1], b"\0") + payload, 1)

    def start_ring(self, part: bytes) -> None:
        page = self.header(b"lsmrng\r\n", part[8:], RING_BYTES, 0, 0)
        mark = part[:8].ljust(8, b"\0")
        inverted = bytes(byte ^ 255 for byte in mark)
        self.ring = bytearray(page.ljust(1024, b"\0") + mark + inverted).ljust(4096 + RING_BYTES, b"\0")


def log_files(data: bytes) -> dict[str, bytes]:
    """The files of a log. Chunks begin with what they are: 0 segment (bends), 1 frame (bends with their length,
    payload), 2 trailer, 3 bytes as they are, 4 ring (mark, bends) that takes what follows, 5 a new opening.
    """
    log = _Log()
    steps = (log.segment, log.frame, log.trailer, log.put, log.start_ring, log.reopen)
    for part in chunks(data):
        if part:
            steps[part[0] % len(steps)](part[1:])
    files = {f"wal-{i:06d}.log": bytes(segment) for i, segment in enumerate(log.segments, 1)}
    return files | ({"wal.ring": bytes(log.ring)} if log.ring is not None else {})


# ---- the manifest

MANIFEST_HEADER = struct.Struct("<8sII16sQQIIQ60x")


def manifest_file(data: bytes) -> bytes:
    """Manifest 1. Chunks: bends of the header, then records: bends of their headers with their length, payload."""
    parts = list(chunks(data)) or [b""]
    end = 128
    records = []
    for part in parts[1:]:
        size = part[0] if part else 0
        payload = part[1 + size :]
        record = bent(struct.pack("<IIQ", 0, len(payload), 0), part[1 : 1 + size]) + payload
        record += bytes(-len(record) % 8)
        checksum = crc32c(record[4:], crc32c(struct.pack("<16sQQ", DATABASE, 1, end)))
        records.append(checksum.to_bytes(4, "little") + record[4:])
        end += len(record)
    head = MANIFEST_HEADER.pack(b"LSMMANIF", 1, 128, DATABASE, 1, 128 + sum(map(len, records[:1])), 0, 0, 0)
    head = bent(head, parts[0])
    return head + crc32c(head).to_bytes(4, "little") + b"".join(records)


# ---- dumps

DUMP_BLOCK = struct.Struct("<IBBHIIII")


def dump_file(data: bytes) -> bytes:
    """A dump in its binary form. Chunks: bends of the header, then blocks: bends of the block's header with their
    length, kind, codec, entries, the codec's output, whose raw size is taken to be its own.
    """
    parts = list(chunks(data)) or [b""]
    head = bent(struct.pack("<8sIIQ40x", b"lsmdmp\r\n", 1, 0, 5), parts[0])
    out = bytearray(head[:12] + crc32c(head[16:], crc32c(head[:12])).to_bytes(4, "little") + head[16:])
    for part in parts[1:]:
        size = part[0] if part else 0
        kind, codec, entries = part[1 + size : 4 + size].ljust(3, b"\0")
        payload = part[4 + size :]
        block = DUMP_BLOCK.pack(0, kind, codec, 0, len(payload), len(payload), entries, 0)
        block = bent(block, part[1 : 1 + size])
        checksum = crc32c(payload, crc32c(block[4:], crc32c(len(out).to_bytes(8, "little"))))
        out += checksum.to_bytes(4, "little") + block[4:] + payload
    return bytes(out)
