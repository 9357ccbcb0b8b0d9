"""First inputs of each target, made of what the engine itself writes: the fuzzer begins behind the first checks.

Deterministic. Needs no files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from lsm import item_codec, lz4, wal_changes, zstd
from lsm.block_builder import encode_block
from lsm.keyspace_record import KeyspaceRecord
from lsm.version import DatabaseVersion
from lsm.version_edit import (
    KeyspaceCreated,
    KeyspaceOptions,
    PartitionFlushed,
    TableAdded,
    TableMeta,
    TableRemoved,
    VersionEdit,
)
from proof.fuzzing.forms import DATABASE, FIRST, common_bytes, join

__all__ = ["examples"]

Entry = tuple[bytes, int, int, bytes]
NO_CHUNK = b""
FRAME, TRAILER, SEGMENT, RAW, RING, REOPEN = b"\1", b"\2", b"\0", b"\3", b"\4", b"\5"
CREATED, DROPPED = 7, 8


def examples(target: str) -> list[bytes]:
    """What a target is first given."""
    return list(_MAKERS[target]())


def _texts() -> Iterator[bytes]:
    yield b"a" * 300
    yield bytes(range(256))
    yield b"".join(b"user:%06d is here, " % (i * 7919 % 1000) for i in range(60))
    yield b"abcabcabcabcabdabcabcabcabcabc" * 3
    yield b""


def _lz4() -> Iterator[bytes]:
    for text in _texts():
        yield len(text).to_bytes(2, "little") + lz4.compress(text)


def _zstd() -> Iterator[bytes]:
    for text in _texts():
        for dictionary in (b"", b"user:0000 is here, abcabcabc" * 4):
            head = len(text).to_bytes(2, "little") + bytes([len(dictionary)]) + dictionary
            yield head + zstd.compress(text, dictionary=dictionary)


def _rows() -> Iterator[list[Entry]]:
    yield [(b"k", 1, 1, b"v")]
    yield [(b"user:%04d" % i, 0, 1, b"value") for i in range(40)]
    yield [(b"user:%d" % i, 900 - i, 1 + i % 2, b"" if i % 2 else b"x" * i) for i in range(10, 30)]
    yield [(b"many", 500 - i, 1, b"%d" % i) for i in range(60)]
    yield [(b"a" * 300, 2**60, 1, b"y" * 300), (b"a" * 301, 1, 2, b"")]
    yield [(b"", 3, 1, b""), (b"\0", 2, 1, b"\0"), (b"\xff", 1, 1, b"\xff" * 20)]


def _block() -> Iterator[bytes]:
    for rows in _rows():
        for how in (0, 1):
            key = rows[len(rows) // 2][0][:255]
            yield bytes([how, len(key)]) + key + encode_block(rows)


def _changes() -> Iterator[bytes]:
    yield wal_changes.encode([(1, 1, b"key", b"value")])
    yield wal_changes.encode([(2, 1, b"key", b""), (1, 300, b"k" * 200, b"v" * 300)])
    yield wal_changes.encode(
        [(1, 1, b"k", b"v", b"old"), (1, 1, b"k", b"v", None, b"meta"), (4, 2, b"", b"", b"", b"")]
    )
    yield wal_changes.encode([(kind, kind, b"name", KeyspaceRecord("name", 3, True).encode()) for kind in (7, 9, 10)])


def _items() -> Iterator[bytes]:
    yield item_codec.encode_item({"a": {"S": "text"}, "b": {"N": "-12.5"}, "c": {"B": b"\0\xff"}})
    yield item_codec.encode_item({"s": {"SS": ["x", "y"]}, "n": {"NS": ["1", "2.5"]}, "b": {"BS": [b"", b"\1"]}})
    yield item_codec.encode_item({"l": {"L": [{"NULL": True}, {"BOOL": False}, {"M": {"a": {"BOOL": True}}}]}})
    deep: dict[str, object] = {"S": "x"}
    for _ in range(31):
        deep = {"L": [deep]}
    yield item_codec.encode_item({"a": deep, "ü": {"M": {}}})


def _numbers() -> Iterator[bytes]:
    for text in ("0", "-1.50", "1e125", "9.9E-130", "123456789012345678901234567890.12345678", ".5", "1.", "+00012e+3"):
        yield text.encode()


def _checksums() -> Iterator[bytes]:
    for size in (0, 1, 7, 8, 31, 32, 63, 64, 100, 256):
        yield bytes(i * 7 & 255 for i in range(size))


# ---- tables: see forms.table_file for the chunks


def _table_chunks(rows: list[Entry], per_block: int, codec: int, dictionary: bytes = b"") -> list[bytes]:
    groups = [rows[i : i + per_block] for i in range(0, len(rows), per_block)]
    skip = common_bytes(rows[0][0], rows[-1][0])
    blocks = []
    for group in groups:
        raw = encode_block(group)
        output = raw
        if codec == 1:
            output = lz4.compress(raw)
        elif codec:
            output = zstd.compress(raw, dictionary=dictionary if codec == 3 else b"")
        separator = group[-1][0][skip:][:200]
        blocks.append(bytes([codec]) + len(raw).to_bytes(3, "little") + bytes([len(separator)]) + separator + output)
    bloom = b"\xff" * 64 if codec else b""
    return [NO_CHUNK] * 4 + [rows[0][0], rows[-1][0], bloom, dictionary, *blocks]


def _tables() -> Iterator[bytes]:
    for codec in (0, 1, 2, 3):
        dictionary = b"user:0000 value" * 8 if codec == 3 else b""
        for i, rows in enumerate(_rows()):
            if i == 1 or codec < 2:
                yield join(_table_chunks(rows, 16, codec, dictionary))
    rows = [(b"k%03d" % i, 0, 1, b"v") for i in range(64)]
    sizes = bytes(len(encode_block(rows[i : i + 16])) + 9 for i in range(0, 64, 16))
    packed = lz4.compress(struct.pack("<IBBH", 4, 1, 1, 0) + sizes + b"\2\2\2\2" + b"15314763")
    plain = _table_chunks(rows, 16, 0)
    yield join([*plain[:3], b"\1" + (24).to_bytes(4, "little") + packed, *plain[4:]])


def _databases() -> Iterator[bytes]:
    for how in (0, 2, 4, 6):
        for table in _tables():
            yield bytes([how]) + table
    pairs = [(b"hash8byt" + b"p%03d\0\1s" % i, 0, 1, b"value") for i in range(40)]
    yield b"\1" + join(_table_chunks(pairs, 8, 1))
    pairs = [(struct.pack(">Q", i) + b"p\0\xff%03d\0\1s" % i, 5, 1, b"value") for i in range(40)]
    yield b"\5" + join(_table_chunks(pairs, 8, 2))


# ---- logs: see forms.log_files


def _put(key: bytes, value: bytes = b"v") -> bytes:
    return FRAME + b"\0" + wal_changes.encode([(1, 1, key, value), (2, 1, key + b"x", b"")])


def _logs() -> Iterator[bytes]:
    durable = bytes([24, 1, 29, 0x10, 30, 0])  # bends of the field `durable through`
    some = [_put(b"key%d" % i) for i in range(4)]
    marked = FRAME + bytes([len(durable)]) + durable + some[0][2:]
    yield join([SEGMENT, *some])
    yield join([SEGMENT, *some, TRAILER])
    yield join([SEGMENT, *some, TRAILER, SEGMENT, *some])
    yield join([SEGMENT, *some[:1], SEGMENT, *some[1:], RAW + b"torn"])
    yield join([SEGMENT, *some, RING + struct.pack("<Q", FIRST + 5), *some])
    yield join([SEGMENT, *some, TRAILER, REOPEN, *some, TRAILER])
    yield join([SEGMENT, *some, RAW + b"rot", *some, marked])
    created = wal_changes.encode([(CREATED, 2, b"made", KeyspaceRecord("made", 2, True).encode())])
    dropped = wal_changes.encode([(DROPPED, 2, b"made", b"")])
    inside = wal_changes.encode([(1, 2, b"hash8bytp\0\1s", b"v")])
    yield join([SEGMENT, FRAME + b"\0" + created, FRAME + b"\0" + inside, FRAME + b"\0" + dropped, TRAILER])
    yield join([SEGMENT, FRAME + b"\0" + created, FRAME + b"\0" + inside])


def _replays() -> Iterator[bytes]:
    for log in _logs():
        yield b"\0" + log


# ---- manifests


def _table_meta(number: int) -> TableMeta:
    return TableMeta(number, 5000, 10, 1, 900, 1, 9, 0, 0, b"a", b"m", low=b"b", high=b"c" if number % 2 else None)


def _edits() -> Iterator[VersionEdit]:
    created = KeyspaceCreated(1, "k", True, 2, 5, {"ttl": 3, "name": "ü", "none": None})
    yield VersionEdit(database_id=DATABASE, hash_seed=1, epoch=2, next_file_number=9, next_keyspace_id=2, wal_start=1)
    yield VersionEdit(created=(created,), last_sequence=7, closed=True)
    yield VersionEdit(added=(TableAdded(1, 0, 0, _table_meta(3)), TableAdded(1, 1, 2, _table_meta(4))))
    yield VersionEdit(options=(KeyspaceOptions(1, {"a": 1.5}),), flushed=(PartitionFlushed(1, 0, 9),))
    yield VersionEdit(removed=(TableRemoved(1, 0, 3),), dropped=(1,))


def _encoded_edits() -> Iterator[bytes]:
    for edit in _edits():
        yield edit.encode()


def _manifests() -> Iterator[bytes]:
    payloads = [b"\0" + edit.encode() for edit in _edits()]
    merged = payloads[0] + payloads[1][1:]
    yield join([b"", *payloads])
    yield join([b"", merged, payloads[2]])
    yield join([b"", b"\0" + DatabaseVersion().snapshot().encode()])


def _currents() -> Iterator[bytes]:
    yield b"MANIFEST-000001 crc32c=7ed3298a\n"
    yield b"MANIFEST-000001 crc32c=7ed3298b\n"


def _records() -> Iterator[bytes]:
    yield join([b"name", KeyspaceRecord("name", 3, True).encode()])


def _dumps() -> Iterator[bytes]:
    heads = struct.pack("<III", 1, 0, 2) + b"ks" + struct.pack("<III", 1, 1, 2) + b"cs"
    rows = struct.pack("<IIII", 1, 1, 2, 2) + b"abvvww"
    tail = struct.pack("<QQQQQ", 2, 1, 2, 4, 0)
    yield join([b"", b"\0\1\0\2" + heads, b"\0\2\0\2" + rows, b"\0\3\0\0" + tail])
    yield b'{"lsm_dump":1,"sequence":5,"keyspaces":[{"name":"k","composite":false,"partitions":1}]}\n' + (
        b'{"keyspace":"k"}\n{"key":"a","value":"b"}\n{"end":{"records":1,"xxh64":"0"}}\n'
    )


_MAKERS: dict[str, Callable[[], Iterator[bytes]]] = {
    "block": _block,
    "changes": _changes,
    "checksums": _checksums,
    "current": _currents,
    "database": _databases,
    "dump": _dumps,
    "edit": _encoded_edits,
    "item": _items,
    "keyspace_record": _records,
    "log": _logs,
    "lz4": _lz4,
    "manifest": _manifests,
    "number": _numbers,
    "replay": _replays,
    "table": _tables,
    "zstd": _zstd,
}
