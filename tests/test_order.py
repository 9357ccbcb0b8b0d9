"""The order of a memtable, as scans and flushes see it: whatever the keys look like and whenever they come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import lsm

GATHERED_AT_ONCE = 128  # a cursor takes no more entries out of the tree before it comes back for more


@pytest.fixture
def ks() -> Iterator[Any]:
    """A keyspace whose memtable is never flushed on its own."""
    with lsm.open(":memory:") as db:
        yield db.keyspace("k")


def shapes() -> dict[str, list[bytes]]:
    """Key sets that are hard on prefixes, radix passes or splits."""
    rng = random.Random(7)
    return {
        "one": [b"k"],
        "random": [rng.randbytes(rng.randrange(1, 20)) for _ in range(3000)],
        "shared-prefix": [b"tenant/0001/order/%08d" % n for n in range(3000)],
        "nested": [b"a" * n for n in range(1, 700)],
        "zeros": [b"\x00" * n for n in range(1, 300)] + [b"\x00" * n + b"\x01" for n in range(300)],
        "zero-tails": [b"k%03d" % n + b"\x00" * m for n in range(60) for m in range(12)],
        "few-bytes": [bytes(rng.choice(b"\x00\x01\xfe\xff") for _ in range(rng.randrange(1, 9))) for _ in range(3000)],
        "long-ties": [b"x" * 200 + b"%05d" % n + b"y" * 90 for n in range(1200)],
        "mixed-ends": [b"x" * n + tail for n in range(0, 64, 8) for tail in (b"q", b"\x00", b"\xff" * 9, b"m" * 70)],
        "eights": [b"p" * 8 * n for n in range(1, 200)] + [b"p" * 8 * n + b"p" for n in range(200)],
    }


@pytest.mark.parametrize("shape", list(shapes()))
@pytest.mark.parametrize("arrival", ["ascending", "descending", "shuffled"])
def test_a_scan_is_in_key_order_in_both_directions(ks: Any, shape: str, arrival: str) -> None:
    keys = sorted(set(shapes()[shape]))
    arrived = keys[::-1] if arrival == "descending" else keys[:]
    if arrival == "shuffled":
        random.Random(1).shuffle(arrived)
    for n, key in enumerate(arrived):
        ks.put(key, b"")
        if n % 501 == 7:  # the tree grows one by one from here, and is built anew where it fell far behind
            next(ks.scan())
    assert list(ks.scan(values=False)) == keys
    assert list(ks.scan(values=False, reverse=True)) == keys[::-1]


@pytest.mark.parametrize("shape", list(shapes()))
def test_a_flush_writes_in_key_order(shape: str) -> None:
    keys = sorted(set(shapes()[shape]))
    with lsm.open(":memory:") as db:
        ks = db.keyspace("k")
        ks.put_many([(key, key) for key in random.Random(2).sample(keys, len(keys))])
        db.flush()
        assert list(ks.scan()) == [(key, key) for key in keys]


@pytest.mark.parametrize("shape", list(shapes()))
def test_bounds_cut_at_any_key_and_between_keys(ks: Any, shape: str) -> None:
    keys = sorted(set(shapes()[shape]))
    ks.put_many([(key, b"") for key in keys])
    rng = random.Random(3)
    for _ in range(60):
        a, b = (rng.choice(keys) + rng.choice([b"", b"\x00", b"\xff"]) for _ in range(2))
        inside = [key for key in keys if a <= key < b]
        assert list(ks.scan(a, b, values=False)) == inside
        assert list(ks.scan(a, b, values=False, reverse=True)) == inside[::-1]


@pytest.mark.parametrize("bound", [b"k", b"key-", b"key", b"a", b"z", b"key-00150", b"key-\xff"])
def test_bounds_around_the_bytes_that_all_keys_share(ks: Any, bound: bytes) -> None:
    keys = [b"key-%05d" % n for n in range(300)]
    ks.put_many([(key, b"") for key in keys])
    assert list(ks.scan(bound, values=False)) == [key for key in keys if key >= bound]
    assert list(ks.scan(None, bound, values=False, reverse=True)) == [key for key in keys if key < bound][::-1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("fresh", [1, 40, 5000], ids=["inserted", "splitting", "rebuilt"])
def test_keys_that_come_between_two_gatherings_do_not_disturb_a_scan(ks: Any, reverse: bool, fresh: int) -> None:
    keys = [b"k%06d" % (n * 10) for n in range(3 * GATHERED_AT_ONCE * 3)]
    ks.put_many([(key, b"old") for key in keys])
    rng = random.Random(4)
    scan = ks.scan(reverse=reverse)
    seen = []
    for n, (key, value) in enumerate(scan):
        seen.append(key)
        assert value == b"old"
        if n % 100 == 50:
            ks.put_many([(b"k%06d" % rng.randrange(12000), b"new") for _ in range(fresh)])
            next(ks.scan())  # brings the tree up to date under the other scan
    assert seen == (keys[::-1] if reverse else keys)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_key_that_shares_nothing_with_the_others_does_not_disturb_a_scan(ks: Any, reverse: bool) -> None:
    keys = [b"common-prefix-%05d" % n for n in range(1000)]
    ks.put_many([(key, b"") for key in keys])
    scan = ks.scan(values=False, reverse=reverse)
    seen = [next(scan) for _ in range(20)]
    for stranger in (b"common-q", b"common", b"a", b"\xff"):
        ks.put(stranger, b"")
        next(ks.scan())
        seen += [next(scan) for _ in range(150)]
    seen += list(scan)
    assert seen == (keys[::-1] if reverse else keys)
    assert len(list(ks.scan())) == len(keys) + 4


@pytest.mark.parametrize("reverse", [False, True])
def test_old_versions_are_seen_by_a_scan_that_goes_on(ks: Any, reverse: bool) -> None:
    keys = [b"k%04d" % n for n in range(1000)]
    ks.put_many([(key, b"1") for key in keys])
    scan = ks.scan(reverse=reverse)
    seen = [next(scan)]
    ks.put_many([(key, b"2") for key in keys])
    for key in keys[::2]:
        ks.delete(key)
    seen += list(scan)
    assert seen == [(key, b"1") for key in (keys[::-1] if reverse else keys)]


def test_a_memtable_that_is_flushed_serves_the_scans_that_began_in_it() -> None:
    with lsm.open(":memory:") as db:
        ks = db.keyspace("k")
        keys = [b"k%05d" % n for n in range(4000)]
        ks.put_many([(key, b"") for key in keys])
        scans = [ks.scan(values=False, reverse=reverse) for reverse in (False, True)]
        firsts = [[next(scan)] for scan in scans]
        db.flush()
        ks.put_many([(key + b"+", b"") for key in keys])
        db.compact()
        forward, backward = (first + list(scan) for first, scan in zip(firsts, scans, strict=True))
        assert forward == keys
        assert backward == keys[::-1]
