"""The LZ4 block codec: round trips, golden bytes, the format's rules, and input that is not to be trusted.

`decode` below is the format read literally, byte by byte: what the compiled decoder accepts and gives is compared
with it.
"""

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm import lz4
from lsm.errors import InvalidArgumentError

Sequence = tuple[int, int, int]  # literals, distance, match length; the last with distance 0


class Malformed(Exception):
    pass


def read_length(block: bytes, at: int, length: int) -> tuple[int, int]:
    while length >= 15:
        if at >= len(block):
            raise Malformed
        length += block[at]
        at += 1
        if block[at - 1] != 255:
            break
    return length, at


def decode(block: bytes) -> tuple[bytes, list[Sequence]]:
    out = bytearray()
    sequences: list[Sequence] = []
    at = 0
    while at < len(block):
        token = block[at]
        literals, at = read_length(block, at + 1, token >> 4)
        out += block[at : at + literals]
        at += literals
        if at > len(block) or at == len(block) - 1:
            raise Malformed
        if at == len(block):
            return bytes(out), [*sequences, (literals, 0, 0)]
        distance = int.from_bytes(block[at : at + 2], "little")
        length, at = read_length(block, at + 2, token & 15)
        length += 4
        if not 0 < distance <= len(out):
            raise Malformed
        for _ in range(length):
            out.append(out[-distance])
        sequences.append((literals, distance, length))
    raise Malformed


def values(size: int, seed: int = 1) -> bytes:
    """Values of 100 bytes: 50 random ones, then the same again."""
    chance = random.Random(seed)
    return b"".join(chance.randbytes(50) * 2 for _ in range(size // 100 + 1))[:size]


def records(size: int) -> bytes:
    chance = random.Random(2)
    rows = (b'{"id":%d,"name":"user%d"},' % (chance.getrandbits(30), chance.getrandbits(12)) for _ in range(size))
    out = bytearray()
    while len(out) < size:
        out += next(rows)
    return bytes(out[:size])


SAMPLES = {
    "empty": b"",
    "one byte": b"a",
    "too short for a match": b"a" * 12,
    "shortest match": b"a" * 13,
    "values 4096": values(4096),
    "records 4096": records(4096),
    "random 4096": random.Random(3).randbytes(4096),
    "zeros 65536": bytes(65536),
    "records 65535": records(65535),
    "records 65536": records(65536),
    "records 65537": records(65537),
    "values 300000": values(300_000),
    "farther than a distance reaches": values(70_000) * 2,
    "mixed": random.Random(4).randbytes(3000) + bytes(3000) + records(3000) + b"ab" * 500,
}
GOLDEN = {
    "empty": "00",
    "one byte": "1061",
    "too short for a match": "c0" + "61" * 12,
    "shortest match": "d061616161616161616161616161",
    "text": (
        "f70a61207461626c65206973207772697474656e206f6e63652c201900a972656164206f6674656e1700556e65766572"
        "360050616761696e"
    ),
    "long lengths": (
        "fff1000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d"
        "2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d"
        "5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d"
        "8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbd"
        "bebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebeced"
        "eeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff0001ee0f0100ffff41500000000000"
    ),
}
GOLDEN_INPUT = {
    "text": b"a table is written once, a table is read often, a table is never written again",
    "long lengths": bytes(range(256)) * 2 + bytes(600),
}

# pieces that repeat near and far, so that matches of all kinds arise
repetitive = st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.integers(1, 60)), max_size=30).map(
    lambda pieces: b"".join(piece * times for piece, times in pieces)
)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_come_back(name: str) -> None:
    data = SAMPLES[name]
    assert lz4.decompress(lz4.compress(data), len(data)) == data


@given(st.one_of(st.binary(max_size=2000), repetitive))
@settings(max_examples=300, deadline=None)
def test_any_bytes_come_back(data: bytes) -> None:
    block = lz4.compress(data)
    assert lz4.decompress(block, len(data)) == data
    assert decode(block)[0] == data


@pytest.mark.parametrize("period", range(1, 40))
def test_every_distance_repeats_rightly_up_to_the_end(period: int) -> None:
    pattern = bytes(range(1, period + 1))
    for size in range(13, 13 + 5 * period + 40):
        data = (pattern * 200)[:size]
        assert lz4.decompress(lz4.compress(data), size) == data, size


@pytest.mark.parametrize("distance", range(1, 20))
def test_a_match_up_to_the_last_byte_is_decoded(distance: int) -> None:
    head = bytes(range(100, 100 + distance))
    for length in range(4, 60):
        extra = bytes([length - 19]) if length >= 19 else b""
        head_length = bytes([distance - 15]) if distance >= 15 else b""
        token = min(distance, 15) << 4 | min(length - 4, 15)
        block = bytes([token]) + head_length + head + bytes([distance, 0]) + extra + b"\x00"
        expected = (head * 80)[: distance + length]
        assert lz4.decompress(block, len(expected)) == expected, length


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes(name: str) -> None:
    data = GOLDEN_INPUT.get(name, SAMPLES.get(name))
    assert data is not None
    assert lz4.compress(data).hex() == GOLDEN[name]
    assert lz4.decompress(bytes.fromhex(GOLDEN[name]), len(data)) == data


@pytest.mark.parametrize("name", SAMPLES)
def test_blocks_end_as_the_format_demands(name: str) -> None:
    data, sequences = decode(lz4.compress(SAMPLES[name]))
    assert data == SAMPLES[name]
    if len(sequences) > 1:
        last_match = sequences[-2][2]
        last_literals = sequences[-1][0]
        assert last_literals >= 5
        assert last_match + last_literals >= 12
    assert all(0 < distance <= 65535 and length >= 4 for _, distance, length in sequences[:-1])


@pytest.mark.parametrize("name", SAMPLES)
def test_repeating_bytes_shrink_and_others_hardly_grow(name: str) -> None:
    data = SAMPLES[name]
    block = lz4.compress(data)
    assert len(block) <= len(data) + len(data) // 255 + 16
    if name.startswith("values 4096"):
        assert len(block) < 0.56 * len(data)
    if name.startswith("zeros"):
        assert len(block) < len(data) // 200


def test_equal_input_gives_equal_bytes_on_any_thread() -> None:
    data = records(50_000)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lz4.compress, [data] * 40))) == 1


@pytest.mark.parametrize("name", [name for name in SAMPLES if "4096" in name or len(SAMPLES[name]) < 20])
def test_a_block_fits_its_own_size_and_nothing_less(name: str) -> None:
    data = SAMPLES[name]
    block = lz4.compress(data)
    for capacity in range(len(block)):
        assert lz4.compress_within(data, capacity) is None, capacity
    for capacity in range(len(block), len(block) + 40):
        assert lz4.compress_within(data, capacity) == block, capacity


@given(repetitive, st.data())
@settings(max_examples=200, deadline=None)
def test_capacity_decides_only_whether_there_is_a_block(data: bytes, draw: st.DataObject) -> None:
    block = lz4.compress(data)
    capacity = draw.draw(st.integers(0, len(block) + 20))
    assert lz4.compress_within(data, capacity) == (block if capacity >= len(block) else None)


def check_untrusted(block: bytes, size: int) -> None:
    """The compiled decoder gives what the format says, or refuses."""
    try:
        expected = decode(block)[0] if size <= 255 * len(block) else None
    except Malformed:
        expected = None
    if expected is not None and len(expected) == size:
        assert lz4.decompress(block, size) == expected
    else:
        with pytest.raises(InvalidArgumentError):
            lz4.decompress(block, size)


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=500, deadline=None)
def test_garbage_is_refused_or_decoded_as_the_format_says(block: bytes, size: int) -> None:
    check_untrusted(block, size)
    with contextlib.suppress(Malformed):
        check_untrusted(block, len(decode(block)[0]))


@pytest.mark.parametrize("name", ["shortest match", "values 4096", "records 4096", "mixed"])
def test_mutated_blocks_are_refused_or_decoded_as_the_format_says(name: str) -> None:
    chance = random.Random(name)
    data = SAMPLES[name]
    block = lz4.compress(data)
    for _ in range(300):
        mutated = bytearray(block)
        for _ in range(chance.randint(1, 4)):
            mutated[chance.randrange(len(mutated))] = chance.choice([0, 15, 0xF0, 255, chance.randrange(256)])
        check_untrusted(bytes(mutated), len(data))


@pytest.mark.parametrize("name", ["one byte", "shortest match", "records 4096", "mixed"])
def test_truncated_blocks_are_refused(name: str) -> None:
    data = SAMPLES[name]
    block = lz4.compress(data)
    for size in range(len(block)):
        with pytest.raises(InvalidArgumentError):
            lz4.decompress(block[:size], len(data))


@pytest.mark.parametrize("name", ["one byte", "records 4096", "values 4096", "zeros 65536"])
def test_another_size_than_the_block_holds_is_refused(name: str) -> None:
    data = SAMPLES[name]
    block = lz4.compress(data)
    for size in [0, len(data) - 1, len(data) + 1, 2 * len(data) + 1]:
        if size != len(data):
            with pytest.raises(InvalidArgumentError, match=f"of {size} bytes"):
                lz4.decompress(block, size)


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (b"", 0),
        (b"", 1),
        (b"\xf0", 15),
        (b"\xff" * 1000, 1 << 20),
        (b"\x10a\x00\x00\x50bbbbb", 10),
        (b"\x10a\x02\x00\x50bbbbb", 10),
        (b"\x10a\x01\x00", 5),
        (b"\x10a\x01", 5),
        (b"\x1fa\x01\x00" + b"\xff" * 100, 5),
        (b"\x10a", -1),
        (b"\x10a", 1 << 62),
    ],
    ids=[
        "nothing",
        "nothing for a byte",
        "no length",
        "endless length",
        "distance 0",
        "distance before the start",
        "no last literals",
        "half a distance",
        "match past the end",
        "negative size",
        "absurd size",
    ],
)
def test_malformed_blocks_are_refused(block: bytes, size: int) -> None:
    with pytest.raises(InvalidArgumentError):
        lz4.decompress(block, size)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_lz4_package_and_this_codec_read_each_other(name: str) -> None:
    package = pytest.importorskip("lz4.block")
    data = SAMPLES[name]
    assert package.decompress(lz4.compress(data), uncompressed_size=len(data)) == data
    modes: list[dict[str, Any]] = [{"mode": "default"}, {"mode": "high_compression", "compression": 9}]
    for mode in modes:
        theirs = package.compress(data, store_size=False, **mode)
        assert lz4.decompress(theirs, len(data)) == data


@given(st.data())
def test_in_steps_comes_what_comes_at_once(data):
    words = data.draw(st.lists(st.binary(max_size=30), max_size=6))
    plain = b"".join(data.draw(st.lists(st.sampled_from(words or [b"x"]), max_size=60)))
    steps = sorted(data.draw(st.lists(st.integers(0, len(plain)), max_size=5)))
    assert lz4.decompress_in_steps(lz4.compress(plain), len(plain), steps) == [plain[:n] for n in steps]


@given(st.binary(max_size=60), st.integers(0, 300), st.data())
def test_steps_into_any_bytes_give_the_front_or_are_refused(block, size, data):
    wanted = data.draw(st.integers(0, size))
    try:
        plain = lz4.decompress(block, size)
    except InvalidArgumentError:
        with contextlib.suppress(InvalidArgumentError):
            lz4.decompress_in_steps(block, size, [wanted])
        with pytest.raises(InvalidArgumentError):
            lz4.decompress_in_steps(block, size, [wanted, size])
        return
    assert lz4.decompress_in_steps(block, size, [wanted, size]) == [plain[:wanted], plain]
