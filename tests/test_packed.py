"""Packed blocks: lookups in them agree with lookups in decoded ones, and a database in them with its model."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import TINY, scaled
from test_block import DELETE, LAST, PUT, SEED, entry_lists, keys

from lsm.block import Block
from lsm.block_builder import encode_block
from lsm.errors import CorruptionError, InvalidArgumentError
from lsm.packed import PackedBlock
from lsm.posix_files import PosixFileSystem
from lsm.table_doors import TableReader

NOTHING = {"cache_bytes": 0}
LITTLE = {"cache_bytes": 256 << 10}
SALT_AT = 40
TRAILER = struct.Struct("<BII")


def answer(block: Block, key: bytes, seq: int) -> tuple[tuple[int, bytes] | None, bool]:
    """What a decoded block says, in the form of a packed one."""
    slot, more = block.find(key, seq)
    return (None if slot is None else block.entry(slot)[2:]), more


@given(entry_lists(), st.integers(0, LAST), keys, st.booleans())
def test_find_agrees_with_the_decoded_block(rows, seq, absent, compressed):
    raw = encode_block(rows)
    block, packed = Block(raw, SEED), PackedBlock(raw, compressed)
    for key in {row[0] for row in rows} | {absent, b"", absent + b"\0", rows[0][0][:-1]}:
        for at in (seq, LAST, 0):
            assert packed.find(key, at) == answer(block, key, at)


@given(st.integers(1, 254), st.integers(0, 20), st.integers(0, 30), st.booleans())
def test_lengths_that_are_all_the_same(count, key_bytes, value_bytes, zeroed):
    rows = [(b"p" * key_bytes + b"%03d" % i, 0 if zeroed else i, PUT, b"%03d" % i * value_bytes) for i in range(count)]
    packed = PackedBlock(encode_block(rows))
    for key, _, kind, value in rows:
        assert packed.find(key) == ((kind, value), False)
        assert packed.find(key + b"0")[0] is None


def test_repeated_values_are_stored_compressed_and_found_wherever_they_stand():
    rows = [(b"%04d" % i, 0, DELETE if i % 7 == 0 else PUT, bytes([i]) * 400) for i in range(200)]
    packed = PackedBlock(encode_block(rows))
    assert packed.compressed
    assert [packed.find(row[0]) for row in rows] == [((row[2], row[3]), False) for row in rows]


def test_a_block_too_large_to_pack_is_refused():
    with pytest.raises(InvalidArgumentError, match="more than the 131072"):
        PackedBlock(bytes(131073))


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_block_or_corruption(raw, compressed):
    packed = PackedBlock(raw, compressed)
    try:
        block = Block(raw, SEED)
    except CorruptionError:
        with pytest.raises(CorruptionError):
            packed.find(b"key")
        return
    for key, seq, _, _ in block.entries():
        packed.find(key, seq)


@given(entry_lists(), st.data())
def test_changed_bytes_answer_or_are_corruption(rows, data):
    raw = bytearray(encode_block(rows))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 60)))] = data.draw(st.integers(0, 255))
    packed = PackedBlock(bytes(raw))
    try:
        Block(bytes(raw), SEED)
    except CorruptionError:
        with pytest.raises(CorruptionError):
            packed.find(rows[0][0])
        return
    for key, seq, _, _ in rows:
        packed.find(key, seq)


def content(count: int) -> dict[bytes, bytes]:
    chance = random.Random(3)
    lengths = (0, 5, 40, 90, 90, 90, 700)
    return {b"key%06d" % n: b"%d:" % n + b"words " * chance.choice(lengths) for n in range(count)}


@pytest.mark.parametrize("options", [NOTHING, LITTLE], ids=["no cache", "a small cache"])
def test_a_database_larger_than_its_cache_answers_as_written(open_db: Callable[..., Any], options: Any) -> None:
    expected = content(scaled(6000))
    db = open_db(**{**TINY, **options, "block_bytes": 4096})
    ks = db.keyspace("k")
    ks.put_many(list(expected.items()))
    gone = list(expected)[::5]
    for key in gone:
        ks.delete(key)
        del expected[key]
    db.settle()
    chance = random.Random(4)
    everything = list(expected)
    hot = everything[::200]
    for _ in range(3):
        for key in chance.choices(everything, k=1000) + hot * 8:
            assert ks.get(key) == expected[key]
        assert ks.get_many(hot + gone[:50]) == [expected[key] for key in hot] + [None] * 50
        start = chance.choice(everything)
        assert list(ks.scan(start=start, limit=20)) == [(k, expected[k]) for k in everything if k >= start][:20]
    assert dict(ks.scan()) == expected


def test_snapshots_and_overwrites_are_read_from_packed_blocks(open_db: Callable[..., Any]) -> None:
    db = open_db(**{**TINY, **NOTHING})
    ks = db.keyspace("k")
    snapshots = []
    for version in range(12):
        ks.put_many([(b"key%d" % n, b"%d of %d" % (version, n)) for n in range(40)])
        snapshots.append(db.snapshot())
        db.flush()
    for version, snapshot in enumerate(snapshots):
        assert [snapshot.get(ks, b"key%d" % n) for n in range(40)] == [b"%d of %d" % (version, n) for n in range(40)]
        snapshot.close()


def forge(file: Path, block: int) -> None:
    """Makes a block say that it has no entries, and its checksum right."""
    offset, size, _, codec = TableReader(PosixFileSystem(), file, int(file.stem)).blocks()[block]
    assert codec == "none"
    data = bytearray(file.read_bytes())
    data[offset] = 0
    end = offset + size - 4
    checked = data[SALT_AT : SALT_AT + 8] + offset.to_bytes(8, "little") + data[offset:end]
    data[end : end + 4] = crc32c.crc32c(bytes(checked)).to_bytes(4, "little")
    file.write_bytes(data)


@pytest.mark.parametrize("options", [NOTHING, LITTLE], ids=["no cache", "a small cache"])
def test_a_block_that_verifies_but_makes_no_sense_is_corruption_each_time(
    open_db: Callable[..., Any], path: Path, options: Any
) -> None:
    db = open_db(compression="none", block_bytes=4096, **options)
    ks = db.keyspace("k")
    ks.put_many([(b"key%06d" % n, b"%d" % n * 20) for n in range(20000)])
    db.flush()
    db.close()
    file = max(path.glob("*.table"), key=lambda file: file.stat().st_size)
    number = TableReader(PosixFileSystem(), file, int(file.stem)).find_block(b"key000000")
    forge(file, number)
    again = open_db(compression="none", **options).keyspace("k")
    for _ in range(3):
        with pytest.raises(CorruptionError, match="columns of a block") as raised:
            again.get(b"key000000")
        assert str(file) in str(raised.value)
    assert again.get(b"key019999") == b"19999" * 20
