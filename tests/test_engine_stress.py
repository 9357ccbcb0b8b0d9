"""The engine under threads, garbage collections and failures at bad moments: no wrong answer, no crash, no dead end."""

from __future__ import annotations

import contextlib
import errno
import gc
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disk import eventually
from model import TINY, KeyspaceModel, scaled
from together import together

import lsm
from lsm.errors import ClosedError, DiskFullError, KeyspaceDroppedError, LockedError, PoisonedError
from lsm.faulty_files import FaultyFileSystem
from lsm.posix_files import PosixFileSystem


class Cycle:
    """Garbage that only the collector finds, holding something of the engine's."""

    def __init__(self, *held: Any) -> None:
        self.held = held
        self.me = self


def exercise(db: Any, name: str, seed: int, steps: int) -> None:
    """One thread's own keyspace against its model, while other threads flush, compact and read beside it."""
    rng = random.Random(seed)
    ks = db.keyspace(name, partitions=rng.choice([1, 3]))
    model = KeyspaceModel()
    kept: list[tuple[Any, KeyspaceModel]] = []
    scans: list[tuple[Any, Any]] = []
    for step in range(steps):
        key = b"key-%04d" % rng.randrange(400)
        what = rng.random()
        if what < 0.5:
            model.data[key] = rng.randbytes(rng.choice([0, 10, 100, 600]))
            ks.put(key, model.data[key])
        elif what < 0.65:
            ks.delete(key)
            model.data.pop(key, None)
        elif what < 0.7 and len(kept) < 4:
            kept.append((db.snapshot(), model.copy()))
        elif what < 0.73 and kept:
            kept.pop(rng.randrange(len(kept)))[0].close()
        elif what < 0.8:
            snapshot, then = rng.choice(kept) if kept else (None, model)
            reverse = rng.random() < 0.5
            scan = ks.scan(reverse=reverse) if snapshot is None else snapshot.scan(ks, reverse=reverse)
            scans.append((scan, iter(then.scan(reverse=reverse))))
        elif what < 0.97 and scans:
            place = rng.randrange(len(scans))
            for _ in range(rng.choice([1, 10, 200])):
                got, wanted = next(scans[place][0], None), next(scans[place][1], None)
                assert got == wanted
                if got is None:
                    scans.pop(place)
                    break
        else:
            assert ks.get(key) == model.data.get(key)
        if step % 400 == 399:
            db.flush() if rng.random() < 0.7 else db.compact(ks)
    assert list(ks.scan(reverse=True)) == model.scan(reverse=True)


@pytest.mark.parametrize("cache_bytes", [0, 16384])
def test_threads_get_exact_answers_beside_each_other(open_db: Callable[..., Any], cache_bytes: int) -> None:
    db = open_db(**{**TINY, "cache_bytes": cache_bytes, "max_open_files": 16})
    together(*[lambda n=n: exercise(db, f"k{n}", n, scaled(1200)) for n in range(3)])
    assert db.stats()["failure"] is None


def test_keyspaces_dropped_under_compactions_and_scans_leave_the_rest_alone(open_db: Callable[..., Any]) -> None:
    db = open_db(**TINY)

    def drop(name: str) -> None:
        for _ in range(12):
            ks = db.keyspace(name, partitions=2)
            ks.put_many([(b"%04d" % n, b"v" * 100) for n in range(200)])
            scan = ks.scan()
            next(scan)
            db.drop_keyspace(name)
            with contextlib.suppress(KeyspaceDroppedError):
                ks.put(b"late", b"")
            assert len(list(scan)) == 199

    together(lambda: drop("a"), lambda: drop("b"), lambda: [db.compact() for _ in range(12)])
    db.settle()
    assert db.stats()["failure"] is None


def test_flushes_of_several_threads_give_back_the_log_without_a_quarrel(open_db: Callable[..., Any]) -> None:
    db = open_db(**TINY)
    ks = db.keyspace("k")

    def flush(seed: int) -> None:
        for n in range(40):
            ks.put(b"%d-%d" % (seed, n), b"v" * 400)
            db.flush()

    together(*[lambda seed=seed: flush(seed) for seed in range(4)])
    assert db.stats()["failure"] is None
    assert len(ks) == 160


def test_a_scan_shared_by_threads_gives_every_entry_once_or_refuses(open_db: Callable[..., Any]) -> None:
    db = open_db(**{**TINY, "cache_bytes": 0, "max_open_files": 16})
    ks = db.keyspace("k")
    ks.put_many([(b"%05d" % n, b"v" * 50) for n in range(3000)])
    db.flush()
    scan = ks.scan(values=False)
    got: list[bytes] = []

    def take() -> None:
        while True:
            try:
                got.append(next(scan))
            except lsm.BusyError:
                continue
            except StopIteration:
                return

    together(take, take, take)
    assert sorted(got) == [b"%05d" % n for n in range(3000)]


def test_a_scan_is_closed_by_another_thread_while_it_is_stepped(open_db: Callable[..., Any]) -> None:
    db = open_db(**{**TINY, "cache_bytes": 0, "max_open_files": 16})
    ks = db.keyspace("k")
    ks.put_many([(b"%05d" % n, b"v" * 50) for n in range(2000)])
    for n in range(0, 2000, 2):
        ks.delete(b"%05d" % n)
    for _ in range(30):
        scan = ks.scan(reverse=True)
        begun = threading.Event()

        def read(scan: Any = scan, begun: threading.Event = begun) -> None:
            with contextlib.suppress(ClosedError):
                try:
                    for _ in scan:
                        begun.set()
                finally:
                    begun.set()

        def close(scan: Any = scan, begun: threading.Event = begun) -> None:
            begun.wait(600)
            scan.close()

        together(read, close)


def test_garbage_of_the_engine_is_collected_in_any_order(open_db: Callable[..., Any]) -> None:
    db = open_db(**TINY)
    ks = db.keyspace("k")
    ks.put_many([(b"%04d" % n, b"v" * 50) for n in range(1000)])
    db.flush()
    for _ in range(20):
        held = [ks.scan(), db.snapshot(), db.batch(), ks.scan(reverse=True)]
        next(held[0])
        Cycle(*held)
        Cycle(held[3], db.snapshot())
        del held
        gc.collect()

    def collected() -> bool:
        gc.collect()  # does nothing while another thread does it
        return bool(db.stats()["snapshots"] == 0)

    assert eventually(collected)


def test_a_database_in_garbage_is_closed_and_freed(path: Path) -> None:
    for n in range(3):
        db = opened_when_free(path)
        ks = db.keyspace("k")
        ks.put_many([(b"%d-%04d" % (n, i), b"v" * 50) for i in range(500)])
        db.flush()
        scan = ks.scan()
        next(scan)
        Cycle(scan, ks, db, db.snapshot())
        del db, ks, scan
        gc.collect()
    with opened_when_free(path) as db:
        assert len(db.keyspace("k")) == 1500


def opened_when_free(path: Path) -> Any:
    """Once whichever thread's collector has closed the database that is there."""
    found: list[Any] = []

    def opened() -> bool:
        gc.collect()
        with contextlib.suppress(LockedError):
            found.append(lsm.open(path, **TINY))
        return bool(found)

    assert eventually(opened)
    return found[0]


def test_counters_are_made_while_the_collector_ends_scans(open_db: Callable[..., Any]) -> None:
    db = open_db(**TINY)
    ks = db.keyspace("k")
    ks.put_many([(b"%04d" % n, b"v" * 50) for n in range(300)])
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Cycle(ks.scan(), db.snapshot())
            db.stats()
    finally:
        gc.set_threshold(*thresholds)


def test_level_0_may_stop_writers_where_it_would_begin_to_slow_them(open_db: Callable[..., Any]) -> None:
    db = open_db(**{**TINY, "level0_slowdown_tables": 2, "level0_stop_tables": 2})
    ks = db.keyspace("k")
    for n in range(2000):
        ks.put(b"%05d" % n, b"v" * 60)
    assert len(ks) == 2000


@pytest.mark.parametrize("kind", [bytearray, memoryview])
@pytest.mark.parametrize("size", [1, 239, 240, 241, 65536])
def test_a_key_may_be_any_buffer_of_any_size(open_db: Callable[..., Any], kind: Any, size: int) -> None:
    ks = open_db(":memory:").keyspace("k")
    key = bytearray(b"k" * size)
    ks.put(kind(key), b"v")
    key[0] = 0
    assert ks.get(b"k" * size) == b"v"
    assert ks.get_many([kind(bytearray(b"k" * size))]) == [b"v"]


def tables(path: Path) -> set[str]:
    return {file.name for file in path.glob("*.table")}


@pytest.mark.parametrize("operation", ["write", "sync", "sync_dir", "open"])
@pytest.mark.parametrize("after", range(6))
def test_a_compaction_that_fails_anywhere_loses_nothing(path: Path, operation: str, after: int) -> None:
    files = FaultyFileSystem(PosixFileSystem())
    wanted = {b"%05d" % n: b"v" * 80 for n in range(1500)}
    db = lsm.open(path, files=files, **{**TINY, "level0_compaction_tables": 4, "level0_stop_tables": 1000})
    ks = db.keyspace("k")
    ks.put_many(wanted)
    db.settle()
    ks.put_many({key: b"w" for key in list(wanted)[::3]})
    wanted |= dict.fromkeys(list(wanted)[::3], b"w")
    db.flush()
    files.fail(operation, errno.EIO, after=after, times=1)
    with contextlib.suppress(OSError, PoisonedError):
        db.compact()
    files.heal()
    assert dict(ks.scan()) == wanted
    with contextlib.suppress(OSError, PoisonedError):
        db.close()
    with lsm.open(path, **TINY) as db:
        assert dict(db.keyspace("k").scan()) == wanted


@pytest.mark.parametrize("after", range(8))
def test_work_without_room_leaves_no_table_behind_that_nothing_names(path: Path, after: int) -> None:
    files = FaultyFileSystem(PosixFileSystem())
    db = lsm.open(path, files=files, **{**TINY, "memtable_bytes": 1 << 20, "memtables_bytes": 4 << 20})
    ks = db.keyspace("k")
    ks.put_many([(b"%05d" % n, b"v" * 80) for n in range(500)])
    files.fail("write", errno.ENOSPC, after=after)
    for _ in range(3):
        with contextlib.suppress(DiskFullError):
            db.flush()
    # the background goes on trying: what it is at is no leftover
    assert eventually(lambda: tables(path) <= {f"{number:06d}.table" for number in db._store.version.table_numbers()})
    files.heal()
    assert len(ks) == 500
    db.close()
