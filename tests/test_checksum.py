"""CRC-32C and XXH64 of the core against the packages that define them, and against the format's vectors."""

import random
import re
from pathlib import Path

import crc32c as crc32c_package
import pytest
import xxhash

from lsm import checksum

DOC = Path(__file__).parents[1] / "docs" / "format" / "checksums-and-codecs.md"
BYTES = random.Random(1).randbytes(10_000)
SEEDS = [0, 1, 0x9E3779B97F4A7C15, 2**63, 2**64 - 1]
# around the lengths where the interleaved streams begin and where one round of them ends
LENGTHS = [*range(301), *range(1528, 1545), 1600, 3072, 4096, 9_999]


def vectors(algorithm: str) -> list[tuple[bytes, int, int]]:
    """Rows `| algorithm | input | seed or start | value |` of the format's document."""
    rows = re.findall(rf"^\| {algorithm} \| `([^`]*)` \| `(\w+)` \| `(\w+)` \|$", DOC.read_text(), re.MULTILINE)
    return [(data.encode(), int(seed, 16), int(value, 16)) for data, seed, value in rows]


def test_document_has_vectors_for_both_algorithms() -> None:
    assert len(vectors("CRC-32C")) >= 3
    assert len(vectors("XXH64")) >= 3


@pytest.mark.parametrize(("data", "start", "value"), vectors("CRC-32C"))
def test_crc32c_gives_the_documented_vectors(data: bytes, start: int, value: int) -> None:
    assert checksum.crc32c(data, start) == value
    assert checksum.crc32c_from_tables(data, start) == value


@pytest.mark.parametrize(("data", "seed", "value"), vectors("XXH64"))
def test_xxh64_gives_the_documented_vectors(data: bytes, seed: int, value: int) -> None:
    assert checksum.xxh64(data, seed) == value


@pytest.mark.parametrize("compute", [checksum.crc32c, checksum.crc32c_from_tables])
def test_crc32c_equals_the_package_at_every_length_and_alignment(compute) -> None:
    view = memoryview(BYTES)
    for length in LENGTHS:
        offset = length % 9 if length < 9_990 else 0
        data = view[offset : offset + length]
        assert compute(data) == crc32c_package.crc32c(data), length


@pytest.mark.parametrize("compute", [checksum.crc32c, checksum.crc32c_from_tables])
def test_crc32c_of_parts_continues_to_that_of_the_whole(compute) -> None:
    whole = compute(BYTES)
    for cut in [0, 1, 7, 63, 64, 170, 1536, 4096, len(BYTES)]:
        assert compute(BYTES[cut:], compute(BYTES[:cut])) == whole, cut


def test_crc32c_changes_with_any_flipped_bit_of_a_short_frame() -> None:
    frame = bytearray(BYTES[:170])
    value = checksum.crc32c(frame)
    for bit in range(170 * 8):
        frame[bit >> 3] ^= 1 << (bit & 7)
        assert checksum.crc32c(frame) != value, bit
        frame[bit >> 3] ^= 1 << (bit & 7)


@pytest.mark.parametrize("seed", SEEDS)
def test_xxh64_equals_the_package_at_every_length(seed: int) -> None:
    for length in LENGTHS:
        data = BYTES[:length]
        assert checksum.xxh64(data, seed) == xxhash.xxh64_intdigest(data, seed), length


def test_xxh64_reads_unaligned_input() -> None:
    view = memoryview(BYTES)
    for offset in range(9):
        data = view[offset : offset + 100]
        assert checksum.xxh64(data, 7) == xxhash.xxh64_intdigest(data, 7), offset


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_contiguous_buffer_is_accepted(kind) -> None:
    assert checksum.crc32c(kind(b"123456789")) == 0xE3069283
    assert checksum.xxh64(kind(b"123456789")) == xxhash.xxh64_intdigest(b"123456789")


@pytest.mark.parametrize("compute", [checksum.crc32c, checksum.crc32c_from_tables, checksum.xxh64])
def test_what_is_no_contiguous_buffer_is_refused(compute) -> None:
    with pytest.raises(TypeError):
        compute("text")
    with pytest.raises(BufferError):
        compute(memoryview(b"abcdef")[::2])


def test_start_and_seed_outside_their_width_are_refused() -> None:
    with pytest.raises(OverflowError):
        checksum.crc32c(b"", 2**32)
    with pytest.raises(OverflowError):
        checksum.xxh64(b"", 2**64)
    with pytest.raises(OverflowError):
        checksum.xxh64(b"", -1)
