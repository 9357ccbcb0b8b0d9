"""Snapshots and iterators: one moment, whatever happens meanwhile, and nothing held once they are gone."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any

import pytest
from disk import deleted_files_held, eventually, table_bytes, table_count
from model import TINY, value_of

import lsm
from lsm.errors import ClosedError, InvalidArgumentError, KeyspaceDroppedError

ROUNDS = 8
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="looks at /proc of Linux")


def fill(ks, stamp, count=300):
    ks.put_many([(b"%05d" % n, value_of(stamp * 1000 + n, 40)) for n in range(count)])


def contents(stamp, count=300):
    return [(b"%05d" % n, value_of(stamp * 1000 + n, 40)) for n in range(count)]


def flush(db, ks):
    db.flush()


def compact(db, ks):
    db.compact()


def overwrite(db, ks):
    fill(ks, 99)


def delete_all(db, ks):
    for key in list(ks):
        ks.delete(key)


def everything(db, ks):
    for stamp in range(20, 20 + ROUNDS):
        fill(ks, stamp)
        delete_all(db, ks)
        db.flush()
    db.compact()
    fill(ks, 98)
    db.settle()


MEANWHILE = [flush, compact, overwrite, delete_all, everything]


@pytest.fixture
def ks(tiny):
    ks = tiny.keyspace("watched", partitions=2)
    fill(ks, 1)
    return ks


# One moment


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_snapshot_reads_its_moment(tiny, ks, meanwhile):
    with tiny.snapshot() as s:
        meanwhile(tiny, ks)
        assert list(s.scan(ks)) == contents(1)
        assert list(s.scan(ks, reverse=True)) == contents(1)[::-1]
        assert [s.get(ks, key) for key, _ in contents(1)] == [value for _, value in contents(1)]


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("started", [0, 1, 150])
@pytest.mark.parametrize("reverse", [False, True])
def test_iterator_reads_the_moment_it_was_made(tiny, ks, meanwhile, started, reverse):
    scan = ks.scan(reverse=reverse)
    seen = [next(scan) for _ in range(started)]
    meanwhile(tiny, ks)
    seen.extend(scan)
    assert seen == sorted(contents(1), reverse=reverse)


def test_each_of_many_snapshots_reads_its_own_moment(tiny, ks):
    snapshots = []
    for stamp in range(2, 2 + ROUNDS):
        fill(ks, stamp)
        snapshots.append((stamp, tiny.snapshot()))
        if stamp % 3 == 0:
            tiny.flush()
    tiny.compact()
    for stamp, s in snapshots:
        assert list(s.scan(ks)) == contents(stamp)
    for _, s in snapshots[::2]:
        s.close()
    fill(ks, 77)
    tiny.compact()
    for stamp, s in snapshots[1::2]:
        assert list(s.scan(ks)) == contents(stamp)
        s.close()


def test_snapshot_does_not_see_keys_put_later(tiny, ks):
    with tiny.snapshot() as s:
        ks.put(b"later", b"value")
        assert s.get(ks, b"later") is None
        assert s.get(ks, b"later", b"default") == b"default"
        assert s.get(ks, b"later", default=7) == 7
        assert list(s.scan(ks, prefix=b"later")) == []


def test_snapshot_sees_keys_deleted_later(tiny, ks):
    with tiny.snapshot() as s:
        ks.delete(b"00007")
        tiny.compact()
        assert s.get(ks, b"00007") == value_of(1007, 40)


def test_snapshot_does_not_see_keys_deleted_before_even_when_put_again(tiny, ks):
    ks.delete(b"00007")
    with tiny.snapshot() as s:
        ks.put(b"00007", b"again")
        tiny.compact()
        assert s.get(ks, b"00007") is None


def test_snapshot_spans_keyspaces(any_db):
    a, b = any_db.keyspace("a"), any_db.keyspace("b", composite=True, partitions=3)
    a.put(b"k", b"1")
    b.put((b"p", b"s"), b"1")
    with any_db.snapshot() as s:
        a.put(b"k", b"2")
        b.delete((b"p", b"s"))
        assert s.get(a, b"k") == b"1"
        assert s.get(b, (b"p", b"s")) == b"1"
        assert list(s.scan(b, partition=b"p")) == [((b"p", b"s"), b"1")]


def test_snapshot_scan_takes_every_bound(any_db):
    ks = any_db.keyspace("bounds")
    for n in range(10):
        ks.put(b"k%d" % n, b"")
    with any_db.snapshot() as s:
        ks.put(b"k35", b"")
        assert list(s.scan(ks, b"k3", b"k6", values=False)) == [b"k3", b"k4", b"k5"]
        assert list(s.scan(ks, start=b"k3", limit=2, values=False)) == [b"k3", b"k4"]
        assert list(s.scan(ks, stop=b"k6", reverse=True, limit=2, values=False)) == [b"k5", b"k4"]
        assert list(s.scan(ks, prefix=b"k3", values=False)) == [b"k3"]


def test_sequence_of_a_snapshot_is_the_last_commit_it_sees(any_db):
    ks = any_db.keyspace("a")
    sequence = ks.put(b"k", b"1")
    with any_db.snapshot() as s:
        ks.put(b"k", b"2")
        assert s.sequence == sequence


def test_snapshot_of_a_keyspace_made_later_is_empty(any_db):
    with any_db.snapshot() as s:
        later = any_db.keyspace("later")
        later.put(b"k", b"v")
        assert s.get(later, b"k") is None
        assert list(s.scan(later)) == []


def test_writes_during_an_iteration_neither_show_nor_disturb(tiny, ks):
    seen = []
    for n, pair in enumerate(ks.scan()):
        seen.append(pair)
        ks.put(b"%05d-between" % n, b"new")
        ks.delete(b"%05d" % ((n + 7) % 300))
    assert seen == contents(1)


def test_deleting_what_the_iteration_gives_empties_the_keyspace(tiny, ks):
    for key in ks.scan(values=False):
        ks.delete(key)
    assert list(ks) == []


def test_iterator_of_a_snapshot_reads_the_moment_of_the_snapshot(tiny, ks):
    with tiny.snapshot() as s:
        everything(tiny, ks)
        scan = s.scan(ks)
        first = next(scan)
        everything(tiny, ks)
        assert [first, *scan] == contents(1)


def test_iterator_open_while_its_keyspace_is_dropped_gives_its_moment_or_says_so(tiny, ks):
    tiny.flush()
    scan = ks.scan()
    seen = [next(scan)]
    tiny.drop_keyspace("watched")
    tiny.compact()
    try:
        seen.extend(scan)
    except KeyspaceDroppedError:
        assert seen == contents(1)[: len(seen)]
    else:
        assert seen == contents(1)


def test_snapshot_held_while_a_keyspace_is_dropped_and_made_anew_never_mixes_them(tiny, ks):
    with tiny.snapshot() as s:
        tiny.drop_keyspace("watched")
        again = tiny.keyspace("watched", partitions=2)
        fill(again, 5)
        tiny.compact()
        assert list(s.scan(again)) == []
        try:
            seen = list(s.scan(ks))
        except KeyspaceDroppedError:
            return
        assert seen == contents(1)


# Closing


def test_closed_snapshot_raises(any_db):
    ks = any_db.keyspace("a")
    s = any_db.snapshot()
    s.close()
    s.close()
    with pytest.raises(ClosedError):
        s.get(ks, b"k")
    with pytest.raises(ClosedError):
        s.scan(ks)


def test_snapshot_is_a_context_manager_that_closes(any_db):
    ks = any_db.keyspace("a")
    with any_db.snapshot() as s:
        pass
    with pytest.raises(ClosedError):
        s.get(ks, b"k")


def test_iterator_outliving_its_snapshot_gives_its_moment_or_says_so(tiny, ks):
    with tiny.snapshot() as s:
        scan = s.scan(ks)
        seen = [next(scan)]
    everything(tiny, ks)
    try:
        seen.extend(scan)
    except ClosedError:
        assert seen == contents(1)[: len(seen)]
    else:
        assert seen == contents(1)


@pytest.mark.parametrize("started", [0, 1, 299])
def test_iterator_outliving_its_database_raises(open_db, started):
    database = open_db(**TINY)
    ks = database.keyspace("a")
    fill(ks, 1)
    database.flush()
    scan = ks.scan()
    for _ in range(started):
        next(scan)
    database.close()
    for _ in range(2):
        with pytest.raises(ClosedError):
            next(scan)
    scan.close()


def test_snapshot_outliving_its_database_raises_and_closes(open_db):
    database = open_db()
    ks = database.keyspace("a")
    s = database.snapshot()
    database.close()
    with pytest.raises(ClosedError):
        s.get(ks, b"k")
    with pytest.raises(ClosedError):
        s.scan(ks)
    s.close()


def test_snapshot_refuses_a_keyspace_of_another_database(any_db):
    with lsm.open(":memory:") as other, any_db.snapshot() as s:
        foreign = other.keyspace("a")
        with pytest.raises(InvalidArgumentError):
            s.get(foreign, b"k")
        with pytest.raises(InvalidArgumentError):
            s.scan(foreign)


# What they hold, and that they let it go


def churned(database):
    """A keyspace rewritten several times, then settled: what a database without readers keeps."""
    ks = database.keyspace("churned")
    for stamp in range(ROUNDS):
        fill(ks, stamp)
        database.flush()
    return ks


@pytest.mark.parametrize("hold", ["snapshot", "iterator", "iterator of a snapshot", "many of each"])
def test_space_comes_back_when_readers_close(open_db, tmp_path, hold):
    plain_path, watched_path = tmp_path / "plain", tmp_path / "watched"
    unwatched = open_db(plain_path, **TINY)
    churned(unwatched)
    unwatched.compact()

    watched = open_db(watched_path, **TINY)
    ks = watched.keyspace("churned")
    held = []
    for stamp in range(ROUNDS):
        fill(ks, stamp)
        if hold in ("snapshot", "many of each"):
            held.append(watched.snapshot())
        if hold in ("iterator", "many of each"):
            held.append(ks.scan())
            next(held[-1])
        if hold == "iterator of a snapshot":
            held.append(watched.snapshot())
            held.append(held[-1].scan(ks))
        watched.flush()
    watched.compact()
    for reader in held:
        reader.close()
    watched.compact()

    assert list(ks.scan()) == contents(ROUNDS - 1)
    assert eventually(lambda: table_count(watched_path) <= table_count(plain_path) + 2 * ROUNDS)
    assert eventually(lambda: table_bytes(watched_path) <= 1.2 * table_bytes(plain_path) + 4096)


def test_versions_that_a_snapshot_needs_stay_on_disk_while_it_lives(open_db, path):
    database = open_db(**{**TINY, "compression": "none"})
    ks = database.keyspace("a")
    keys = [b"%03d" % n for n in range(200)]
    ks.put_many([(key, value_of(2 * n + 1, 200)) for n, key in enumerate(keys)])
    with database.snapshot() as s:
        for key in keys:
            ks.delete(key)
        database.compact()
        assert table_bytes(path) > 200 * 200
        assert len(list(s.scan(ks))) == 200
    database.compact()
    assert eventually(lambda: table_bytes(path) < 8192)


@needs_proc
@pytest.mark.parametrize("close", ["close", "collect", "exhaust"])
def test_no_descriptor_or_mapping_of_a_deleted_file_is_left(open_db, path, close):
    database = open_db(**TINY)
    ks = churned(database)
    scan = ks.scan()
    next(scan)
    with database.snapshot() as s:
        other = s.scan(ks, reverse=True)
        next(other)
        churned(database)
        database.compact()
    if close == "close":
        scan.close()
        other.close()
    if close == "exhaust":
        list(scan)
        list(other)
    del scan, other
    gc.collect()
    database.compact()
    assert eventually(lambda: deleted_files_held(path) == set()), deleted_files_held(path)


@needs_proc
def test_descriptors_do_not_grow_with_scans_and_snapshots(tiny, ks):
    tiny.flush()
    tiny.compact()
    list(ks.scan())

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(200):
        with tiny.snapshot() as s:
            next(s.scan(ks))
        next(ks.scan(reverse=True))
    gc.collect()
    assert eventually(lambda: descriptors() <= before + 2)


def test_collected_snapshot_no_longer_holds_versions(open_db, path):
    database = open_db(**TINY)
    ks = database.keyspace("a")
    fill(ks, 1)
    s = database.snapshot()
    scan = s.scan(ks)
    next(scan)
    for key in list(ks):
        ks.delete(key)
    del s, scan
    gc.collect()
    database.compact()
    assert eventually(lambda: table_bytes(path) < 8192)


def test_overwritten_versions_leave_the_disk(open_db, path):
    database = open_db(**{**TINY, "compression": "none"})
    ks = database.keyspace("a", partitions=2)
    pairs = [(b"%03d" % n, value_of(2 * n + 1, 100)) for n in range(100)]
    for _ in range(100):
        ks.put_many(pairs)
    database.compact()
    assert eventually(lambda: table_bytes(path) < 3 * 100 * 130)
    assert list(ks.items()) == pairs


def test_tombstones_leave_the_disk(open_db, path):
    database = open_db(**TINY)
    ks = database.keyspace("a", partitions=2)
    for turn in range(5):
        fill(ks, turn, 1000)
        for n in range(1000):
            ks.delete(b"%05d" % n)
    database.compact()
    assert list(ks) == []
    assert eventually(lambda: table_bytes(path) < 8192)


def test_one_key_overwritten_many_times_keeps_one_version(open_db, path):
    database = open_db(**{**TINY, "compression": "none"})
    ks = database.keyspace("a")
    for n in range(2000):
        ks.put(b"key", value_of(2 * n + 1, 100))
    database.compact()
    assert ks.get(b"key") == value_of(2 * 1999 + 1, 100)
    assert eventually(lambda: table_bytes(path) < 4096)


def test_iterator_in_a_reference_cycle_is_collected(tiny, ks):
    class Holder:
        itself: Any
        scan: Any
        snapshot: Any

    holder = Holder()
    holder.itself, holder.scan, holder.snapshot = holder, ks.scan(), tiny.snapshot()
    next(holder.scan)
    alive = weakref.ref(holder)
    del holder

    def collected() -> bool:
        gc.collect()  # does nothing while another thread does it
        return alive() is None

    assert eventually(collected)
    tiny.compact()
    assert list(ks.scan()) == contents(1)
