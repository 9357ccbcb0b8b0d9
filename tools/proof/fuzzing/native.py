"""Fuzz targets for kernels that take bytes: codecs, blocks, changes of the log, items, numbers, checksums.

A target is a function of bytes that returns where the engine answered right, and raises where it did not; refusing
malformed input with the documented exception is right. Where a second implementation exists, both must agree.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

import crc32c as crc32c_package
import xxhash
import zstandard

from lsm import checksum, item_codec, lz4, wal_changes, zstd
from lsm.block import Block
from lsm.decimal_text import read_number
from lsm.errors import CorruptionError, InvalidArgumentError
from lsm.packed import PackedBlock
from lsm_tools import format_lz4
from lsm_tools.format_block import Entry, decode_block
from lsm_tools.format_frame import parse_changes

__all__ = ["block", "changes", "checksums", "exact", "item", "lz4_block", "number", "zstd_frame"]

LAST = 2**64 - 1
EXACTLY = Context(prec=5000, Emax=MAX_EMAX, Emin=MIN_EMIN)
exact: Callable[[bytes], bytes] = bytes
"""Bytes behind which no byte may be read; under the fuzzer really so (`driver.exact`)."""


def lz4_block(data: bytes) -> None:
    """Two bytes of size, a block; then the same bytes as something to compress."""
    size, stored = int.from_bytes(data[:2], "little"), data[2:]
    expected = got = None
    with contextlib.suppress(ValueError):
        expected = format_lz4.decode(stored, size)
    with contextlib.suppress(InvalidArgumentError):
        got = lz4.decompress(exact(stored), size)
    assert got == expected, f"{got!r} where the format says {expected!r}"
    _in_steps(stored, size, expected)
    packed = lz4.compress(exact(stored))
    assert format_lz4.decode(packed, len(stored)) == stored
    assert lz4.decompress(exact(packed), len(stored)) == stored


def _in_steps(stored: bytes, size: int, expected: bytes | None) -> None:
    """Decoding as far as is asked for: never another beginning than the whole has."""
    steps = [size // 7, size // 3, size // 2, size]
    try:
        fronts = lz4.decompress_in_steps(exact(stored), size, steps)
    except InvalidArgumentError:
        assert expected is None, "in steps it is refused"
        return
    assert expected is not None, "in steps it is taken"
    assert fronts == [expected[:step] for step in steps]


def zstd_frame(data: bytes) -> None:
    """Two bytes of size, one of dictionary, the dictionary, a frame."""
    size, length = int.from_bytes(data[:2], "little"), data[2] if len(data) > 2 else 0
    dictionary, frame = data[3 : 3 + length], data[3 + length :]
    expected = got = None
    with contextlib.suppress(CorruptionError):
        got = zstd.decompress(exact(frame), size, dictionary)
    with contextlib.suppress(zstandard.ZstdError, ValueError):
        if zstandard.frame_content_size(frame) == size:
            held = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
            expected = zstandard.ZstdDecompressor(dict_data=held).decompress(
                frame, max_output_size=size, allow_extra_data=False
            )
    assert got == expected, f"{got!r} where the package says {expected!r}"


def block(data: bytes) -> None:
    """One byte of how to look, a key to look for with its length, the raw bytes of a block."""
    how, size = data[0] if data else 0, data[1] if len(data) > 1 else 0
    wanted, raw = data[2 : 2 + size], data[2 + size :]
    expected: list[Entry] | None = None
    found: Block | None = None
    with contextlib.suppress(ValueError):
        expected = decode_block(raw)
    with contextlib.suppress(CorruptionError):
        found = Block(exact(raw), seed=7, with_buckets=bool(how & 1))
    if found is None or expected is None:
        assert (found is None) == (expected is None), f"compiled core: {found}, format: {expected}"
        _look_malformed(raw, wanted)
        return
    entries = [Entry(*entry) for entry in found.entries()]
    assert entries == [entry._replace(sequence=entry.sequence & LAST) for entry in expected]
    _look(raw, found, entries, [wanted, *(entry.key for entry in entries[:8])])


def _look_malformed(raw: bytes, key: bytes) -> None:
    """A packed block is not looked at as a whole: any answer counts, but it stays in its bounds."""
    for compressed in (False, True):
        with contextlib.suppress(CorruptionError):
            PackedBlock(exact(raw), compressed).find(exact(key))


def _look(raw: bytes, found: Block, entries: list[Entry], keys: list[bytes]) -> None:
    """Looks up keys; where the block is as a writer makes it, the answers are known."""
    packed = [PackedBlock(raw, compressed) for compressed in (False, True)]
    order = [(entry.key, LAST - entry.sequence) for entry in entries]
    names = [entry.key for entry in entries]
    sound = order == sorted(order) and (not found.unique or len(set(names)) == len(names))
    for key in keys:
        at = found.lower_bound(exact(key))
        for sequence in (LAST, entries[0].sequence, 0):
            index, more = found.find(exact(key), sequence)
            if sound:
                answer = None if index is None else (entries[index].kind, entries[index].value)
                for other in packed:
                    assert other.find(exact(key), sequence) == (answer, more), f"packed: {key!r} at {sequence}"
                first = bisect_left(order, (key, LAST - sequence))
                wanted = first if first < len(order) and names[first] == key else None
                assert index == wanted, f"{key!r} at {sequence}: {index}, not {wanted}"
        if sound:
            assert at == bisect_left(names, key)


def changes(data: bytes) -> None:
    """The payload of a frame."""
    expected, problem = parse_changes(data)
    try:
        found = wal_changes.decode(exact(data))
    except CorruptionError:
        assert problem is not None, expected
        return
    assert problem is None, problem
    assert found == [(c.kind, c.keyspace, c.key, c.value, c.old, c.metadata) for c in expected]
    assert wal_changes.decode(wal_changes.encode(found)) == found


def item(data: bytes) -> None:
    """The bytes of an item; every reader of them."""
    names = ("a", "b", "")
    for read in (
        item_codec.item_size,
        item_codec.item_json,
        lambda held: item_codec.get_attributes(held, names),
        lambda held: item_codec.project_item(held, frozenset(names)),
    ):
        with contextlib.suppress(ValueError):
            read(exact(data))
    try:
        found = item_codec.decode_item(exact(data))
    except ValueError:
        return
    try:
        stored = item_codec.encode_item(found)
    except item_codec.Unusual:
        return  # what no writer makes: an empty set, a number in another form
    assert item_codec.decode_item(stored) == found or item_codec.encode_item(item_codec.decode_item(stored)) == stored


def number(data: bytes) -> None:
    """The text of a number."""
    text = data.decode("latin-1")
    found = read_number(text)
    if isinstance(found, int):
        return
    assert EXACTLY.create_decimal(text).compare(Decimal(found)) == 0, f"{text!r} became {found!r}"
    assert read_number(found) == found


def checksums(data: bytes) -> None:
    """Both ways to compute a CRC, and the hash, against the packages; the first byte: how much is cut off in front."""
    start = data[0] % 16 if data else 0
    held = memoryview(exact(data))[start:]
    crc = checksum.crc32c(held, start)
    assert crc == checksum.crc32c_from_tables(held, start) == crc32c_package.crc32c(bytes(held), start)
    assert checksum.xxh64(held, start) == xxhash.xxh64_intdigest(bytes(held), start)
