"""Blocks: what is encoded comes back, lookups agree with a sorted list, and no bytes make decoding misbehave."""

import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.block import Block
from lsm.block_builder import encode_block
from lsm.errors import CorruptionError, InvalidArgumentError

PUT, DELETE, MERGE = 1, 2, 4
LAST = 2**64 - 1
SEED = 77

keys = st.one_of(
    st.binary(min_size=1, max_size=6),
    st.binary(max_size=24).map(lambda b: b"a shared prefix/" + b),
    st.integers(0, 300).map(lambda i: b"user:%08d" % i),
)


@st.composite
def entry_lists(draw):
    """Entries in order, with several versions of some keys."""
    versions = st.lists(st.integers(0, LAST), min_size=1, max_size=5, unique=True)
    rows = []
    for key in sorted(draw(st.sets(keys, min_size=1, max_size=40))):
        for seq in sorted(draw(versions), reverse=True):
            rows.append((key, seq, draw(st.sampled_from([PUT, PUT, DELETE, MERGE])), draw(st.binary(max_size=40))))
    return rows


def newest(rows, key, seq):
    """Slot of the newest version at or before seq, as a plain search finds it."""
    return next((i for i, row in enumerate(rows) if row[0] == key and row[1] <= seq), None)


@given(entry_lists())
def test_decoding_gives_back_what_was_encoded(rows):
    block = Block(encode_block(rows), SEED)
    assert block.entries() == rows
    assert len(block) == len(rows)
    assert block.unique == (len({row[0] for row in rows}) == len(rows))


@given(entry_lists(), st.integers(0, LAST), keys, st.booleans())
def test_find_sees_the_newest_version_at_a_sequence(rows, seq, absent, with_buckets):
    block = Block(encode_block(rows), SEED, with_buckets)
    for key in {row[0] for row in rows} | {absent}:
        for at in (seq, LAST, 0):
            slot, more = block.find(key, at)
            assert slot == newest(rows, key, at)
            assert more == (slot is None and key == rows[-1][0])


@given(entry_lists(), keys)
def test_lower_bound_agrees_with_bisect(rows, other):
    block = Block(encode_block(rows), SEED, False)
    ordered = [row[0] for row in rows]
    near = {key[:n] for key in ordered for n in range(len(key))} | {key + b"\0" for key in ordered}
    for key in {other, b"", b"\xff" * 30} | set(ordered) | near:
        assert block.lower_bound(key) == bisect.bisect_left(ordered, key)


def test_keys_that_differ_by_trailing_zeros_stay_in_order():
    rows = [(b"k" + b"\0" * n, 1, PUT, b"") for n in range(30)]
    block = Block(encode_block(rows), SEED)
    assert [block.lower_bound(row[0]) for row in rows] == list(range(30))
    assert [block.find(row[0])[0] for row in rows] == list(range(30))


def test_an_empty_key_is_a_key():
    rows = [(b"", 3, PUT, b"nothing"), (b"\0", 2, PUT, b"zero")]
    block = Block(encode_block(rows), SEED)
    assert block.entries() == rows
    assert block.find(b"") == (0, False)


def test_a_full_block_of_one_key_finds_every_version():
    rows = [(b"k", 1000 - i, PUT, b"%d" % i) for i in range(254)]
    block = Block(encode_block(rows), SEED)
    assert [block.find(b"k", 1000 - i) for i in range(254)] == [(i, False) for i in range(254)]
    assert block.find(b"k", 746) == (None, True)


def test_constant_columns_take_no_room():
    rows = [(b"user:%04d" % i, 0, PUT, b"v" * 10) for i in range(200)]
    raw = encode_block(rows)
    assert len(raw) == 3 + 4 + len(b"user:0") + 200 * (3 + 10)


@pytest.mark.parametrize("key_bytes", [1, 255, 256, 65535, 65536, 163840])
def test_keys_of_any_allowed_length(key_bytes):
    rows = [(b"a" * key_bytes, 5, PUT, b"x"), (b"b", 4, DELETE, b""), (b"c" * key_bytes, 3, PUT, b"y")]
    assert Block(encode_block(rows), SEED).entries() == rows


@pytest.mark.parametrize("value_bytes", [0, 255, 256, 65535, 65536, 20000, 8 << 20])
def test_values_of_any_allowed_length(value_bytes):
    rows = [(b"a", 5, PUT, b"x" * value_bytes), (b"b", 4, DELETE, b""), (b"c", 3, PUT, b"y" * value_bytes)]
    block = Block(encode_block(rows), SEED)
    assert block.entries() == rows
    assert block.charge >= 2 * value_bytes


def test_columns_too_long_for_the_room_before_the_values():
    rows = [(b"%03d" % i + b"k" * 400, i, PUT, b"v%d" % i) for i in range(254)]
    assert Block(encode_block(rows), SEED).entries() == rows


def test_more_entries_than_a_slot_can_number_are_refused():
    with pytest.raises(InvalidArgumentError, match="1 to 254 entries, not 255"):
        encode_block([(b"%03d" % i, 1, PUT, b"") for i in range(255)])
    with pytest.raises(InvalidArgumentError, match="not 0"):
        encode_block([])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_block_or_corruption(raw):
    try:
        block = Block(raw, SEED)
    except CorruptionError:
        return
    for key, seq, _, _ in block.entries():
        block.find(key, seq)
        block.lower_bound(key)


@given(entry_lists(), st.data())
def test_changed_bytes_are_a_block_or_corruption(rows, data):
    raw = bytearray(encode_block(rows))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 60)))] = data.draw(st.integers(0, 255))
    try:
        block = Block(bytes(raw), SEED)
    except CorruptionError:
        return
    for key, seq, _, _ in block.entries():
        block.find(key, seq)
        block.lower_bound(key)


@given(entry_lists())
def test_a_block_cut_or_lengthened_is_corruption(rows):
    raw = encode_block(rows)
    for n in range(len(raw)):
        with pytest.raises(CorruptionError):
            Block(raw[:n], SEED)
    with pytest.raises(CorruptionError):
        Block(raw + b"\0", SEED)
