"""Scans over tables whose blocks have to be fetched: every step may stop half-way and be repeated.

Without a cache and with more tables than may be open, no block is at hand: each one a scan turns to makes the step
that asked for it start anew, without the interpreter's lock.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

OPEN_TABLES = 16
COLD = {
    "cache_bytes": 0,
    "max_open_files": OPEN_TABLES,
    "block_bytes": 64,
    "compression": "none",
    "level0_compaction_tables": 1000,
    "level0_slowdown_tables": 1000,
    "level0_stop_tables": 1000,
}
Data = dict[bytes, bytes]


@pytest.fixture
def cold(open_db: Callable[..., Any]) -> Any:
    """A database that has used up its open files, so that every block of a later table is read on its own."""
    db = open_db(**COLD)
    for n in range(OPEN_TABLES):
        db.keyspace(f"ballast {n}").put(b"k", b"v")
    db.flush()
    return db


def write_versions(db: Any, ks: Any, rounds: int, seed: int) -> list[tuple[Any, Data]]:
    """Rounds of puts and deletes of the same keys, each flushed; a snapshot and what it must see, after each."""
    rng = random.Random(seed)
    data: Data = {}
    seen = []
    for stamp in range(rounds):
        for _ in range(3):
            for key in rng.sample([b"key-%03d" % n for n in range(60)], 40):
                if rng.random() < 0.3:
                    ks.delete(key)
                    data.pop(key, None)
                else:
                    data[key] = b"%d" % stamp * rng.randrange(40)
                    ks.put(key, data[key])
            seen.append((db.snapshot(), dict(data)))
        db.flush()
    return seen


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("compacted", [False, True])
def test_every_snapshot_sees_its_versions_in_cold_blocks(cold: Any, reverse: bool, compacted: bool) -> None:
    ks = cold.keyspace("k")
    seen = write_versions(cold, ks, 6, seed=1)
    if compacted:
        cold.compact(ks)
    for snapshot, data in seen:
        assert list(snapshot.scan(ks, reverse=reverse)) == sorted(data.items(), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_bounds_hold_in_cold_blocks(cold: Any, reverse: bool) -> None:
    ks = cold.keyspace("k")
    seen = write_versions(cold, ks, 4, seed=2)
    rng = random.Random(3)
    for snapshot, data in seen:
        start, stop = sorted(rng.sample([b"key-%03d" % n for n in range(70)], 2))
        wanted = sorted(((k, v) for k, v in data.items() if start <= k < stop), reverse=reverse)
        assert list(snapshot.scan(ks, start, stop, reverse=reverse)) == wanted


@pytest.mark.parametrize("reverse", [False, True])
def test_versions_of_one_key_that_span_many_blocks_count_once(cold: Any, reverse: bool) -> None:
    ks = cold.keyspace("k")
    ks.put_many([(b"a", b"first"), (b"c", b"last")])
    snapshots = []
    for stamp in range(100):
        ks.put(b"b", b"%03d" % stamp * 20)
        snapshots.append(cold.snapshot())
    ks.delete(b"b")
    cold.flush()
    for stamp, snapshot in list(enumerate(snapshots))[::9]:
        wanted = [(b"a", b"first"), (b"b", b"%03d" % stamp * 20), (b"c", b"last")]
        assert list(snapshot.scan(ks, reverse=reverse)) == (wanted[::-1] if reverse else wanted)
    assert list(ks.scan(values=False, reverse=reverse)) == ([b"c", b"a"] if reverse else [b"a", b"c"])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_newer_table_hides_versions_of_older_cold_ones(cold: Any, reverse: bool) -> None:
    ks = cold.keyspace("k")
    keys = [b"key-%03d" % n for n in range(200)]
    held = []
    for stamp in range(5):
        ks.put_many([(key, b"%d" % stamp * 30) for key in keys[stamp::2]])
        held.append(cold.snapshot())  # keeps older versions in the tables
        ks.put_many([(key, b"%d!" % stamp) for key in keys[stamp::3]])
        cold.flush()
    wanted: dict[bytes, bytes] = {}
    for stamp in range(5):
        wanted |= {key: b"%d" % stamp * 30 for key in keys[stamp::2]}
        wanted |= {key: b"%d!" % stamp for key in keys[stamp::3]}
    assert list(ks.scan(reverse=reverse)) == sorted(wanted.items(), reverse=reverse)


def test_scans_side_by_side_do_not_disturb_each_other(cold: Any) -> None:
    ks = cold.keyspace("k")
    seen = write_versions(cold, ks, 4, seed=5)
    rng = random.Random(6)
    running: list[Any] = [
        (snapshot.scan(ks, reverse=reverse), sorted(data.items(), reverse=reverse), [])
        for snapshot, data in seen
        for reverse in (False, True)
    ]
    while running:
        place = rng.randrange(len(running))
        scan, wanted, got = running[place]
        entry = next(scan, None)
        if entry is None:
            assert got == wanted
            running.pop(place)
        else:
            got.append(entry)
