"""Bloom filters: no false negatives, few false positives, bytes that never change."""

import random

import pytest

from lsm import bloom
from lsm.errors import InvalidArgumentError


def hashes(count: int, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.getrandbits(64) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 51, 52, 1000, 20_000])
@pytest.mark.parametrize("bits_per_key", [1, 6, 10, 16])
def test_every_key_put_in_is_found(count: int, bits_per_key: int) -> None:
    keys = hashes(count, count)
    built = bloom.Filter(keys, bits_per_key)
    assert all(built.may_contain(h) for h in keys)


@pytest.mark.parametrize("h", [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
def test_extreme_hashes_are_found(h: int) -> None:
    assert bloom.Filter([h, *hashes(500, 9)], 10).may_contain(h)


@pytest.mark.parametrize("count", [1000, 20_000, 100_000])
def test_false_positives_at_ten_bits_per_key_stay_below_the_stated_rate(count: int) -> None:
    built = bloom.Filter(hashes(count, 1), 10)
    absent = hashes(100_000, 2)
    assert sum(map(built.may_contain, absent)) / len(absent) < 0.016


def test_an_empty_filter_contains_nothing() -> None:
    built = bloom.Filter([], 10)
    assert built.to_bytes() == bytes(64)
    assert not any(built.may_contain(h) for h in [0, 2**64 - 1, *hashes(1000, 3)])


@pytest.mark.parametrize(
    ("count", "bits_per_key", "size"),
    [(0, 10, 64), (1, 10, 64), (51, 10, 64), (52, 10, 128), (512, 1, 64), (513, 1, 128), (1000, 10, 1280)],
)
def test_size_is_whole_lines_of_64_bytes(count: int, bits_per_key: int, size: int) -> None:
    assert len(bloom.Filter(hashes(count, 4), bits_per_key).to_bytes()) == size


def test_bytes_do_not_depend_on_the_order_of_keys_or_on_repeats() -> None:
    keys = hashes(300, 5)
    again = [*reversed(keys)]
    assert bloom.Filter(keys, 10).to_bytes() == bloom.Filter(again, 10).to_bytes()
    assert bloom.Filter([7], 10).to_bytes() == bloom.Filter([7, 7], 10).to_bytes()


def test_golden_bytes() -> None:
    golden = bytes.fromhex(
        "155a23060a012c004568200005100804321d00440e215400b10525b44aa13000"
        "800284140000a140648152204022010054840030e38498892a40c8906a000611"
        "5047ac122050448bb9e6060a846b428dbb50180854b1082856d820020281805c"
        "be682996486098318ed44181c1d691ab4dab42c014180040ca8b0191020d2403"
    )
    assert bloom.Filter([i * 0xD6E8FEB86659FD93 % 2**64 for i in range(60)], 10).to_bytes() == golden


@pytest.mark.parametrize("bits_per_key", [0, -1])
def test_less_than_one_bit_per_key_is_refused(bits_per_key: int) -> None:
    with pytest.raises(InvalidArgumentError, match="bits_per_key"):
        bloom.Filter([1], bits_per_key)


def test_hashes_that_are_no_64_bit_numbers_are_refused() -> None:
    with pytest.raises(OverflowError):
        bloom.Filter([2**64], 10)
    with pytest.raises(OverflowError):
        bloom.Filter([-1], 10)
    with pytest.raises(TypeError):
        bloom.Filter(["text"], 10)  # type: ignore[list-item]
