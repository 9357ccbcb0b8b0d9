"""Memory that one memtable leaves to the next: it shows nothing of what was in it, is bounded, and goes when unused."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from disk import eventually
from model import scaled

import lsm

MEMTABLE = 4 << 20
BUDGET = 2 * MEMTABLE


def spare_bytes(db: lsm.Database) -> int:
    held: int = db.stats()["memtables"]["spare_bytes"]
    return held


@pytest.mark.parametrize("where", ["disk", "memory"])
@pytest.mark.parametrize("partitions", [1, 3])
def test_nothing_of_an_earlier_memtable_is_seen(where: str, partitions: int, tmp_path: Path) -> None:
    chance = random.Random(partitions)
    path = ":memory:" if where == "memory" else tmp_path / "db"
    model: dict[bytes, bytes] = {}
    kept: tuple[lsm.Snapshot, dict[bytes, bytes]] | None = None
    most = 0
    with lsm.open(path, memtable_bytes=MEMTABLE, memtables_bytes=BUDGET, cache_bytes=1 << 20) as db:
        keyspace = db.keyspace("k", partitions=partitions)
        for generation in range(scaled(6)):
            # Few large ones, then many small ones: indexes of several sizes, chunks filled to another mark each time.
            mean = (3000, 20, 300)[generation % 3]
            written = 0
            while written < MEMTABLE * partitions:
                key = b"%07d" % chance.randrange(100_000)
                size = 700_000 if chance.random() < 0.0005 else chance.randrange(2 * mean)
                if chance.random() < 0.1:
                    keyspace.delete(key)
                    model.pop(key, None)
                else:
                    model[key] = chance.randbytes(size)
                    keyspace.put(key, model[key])
                written += size + 60
                if written % 16 == 0:
                    most = max(most, spare_bytes(db))
            db.flush()
            for key in chance.sample(sorted(model), 1000):
                assert keyspace.get(key) == model[key]
            assert list(keyspace.scan()) == sorted(model.items())
            if kept is not None:
                snapshot, then = kept
                assert list(snapshot.scan(keyspace)) == sorted(then.items())
                snapshot.close()
            kept = db.snapshot(), dict(model)
        if kept is not None:
            kept[0].close()
    assert most <= BUDGET // 2
    if where == "disk":
        with lsm.open(path) as db:
            assert list(db.keyspace("k").scan()) == sorted(model.items())


def write_until_some_are_spare(db: lsm.Database) -> lsm.Keyspace:
    keyspace, numbers = db.keyspace("k"), itertools.count()

    def put_and_look() -> bool:
        for n in itertools.islice(numbers, 1000):
            keyspace.put(b"%07d" % (n % 1_000_000), b"v" * 150)
        return spare_bytes(db) > 0

    assert eventually(put_and_look)
    return keyspace


def test_it_goes_when_nobody_writes(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", memtable_bytes=MEMTABLE, memtables_bytes=BUDGET) as db:
        keyspace = write_until_some_are_spare(db)
        assert eventually(lambda: spare_bytes(db) == 0)
        assert keyspace.get(b"%07d" % 0) == b"v" * 150


def test_it_goes_with_a_flush_that_was_asked_for(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", memtable_bytes=MEMTABLE, memtables_bytes=BUDGET) as db:
        keyspace = write_until_some_are_spare(db)
        db.flush()
        assert spare_bytes(db) == 0
        assert keyspace.get(b"%07d" % 0) == b"v" * 150


def test_small_memtables_leave_nothing(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", memtable_bytes=1 << 16, memtables_bytes=1 << 20) as db:
        keyspace = db.keyspace("k")
        for n in range(20_000):
            keyspace.put(b"%07d" % n, b"v" * 50)
        db.flush()
        assert spare_bytes(db) == 0
