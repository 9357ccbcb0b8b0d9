"""Batches: atomic across keyspaces and partitions, invisible before their end, one sequence each."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from children import HUNG_SECONDS, environment
from model import TINY, scaled, value_of
from together import together

import lsm
from lsm.errors import ClosedError, InvalidArgumentError, KeyspaceDroppedError


@pytest.fixture
def plain(any_db):
    return any_db.keyspace("plain", partitions=3)


@pytest.fixture
def composite(any_db):
    return any_db.keyspace("composite", composite=True)


class RefusedByCallerError(Exception):
    """Raised inside a with block by these tests."""


def test_batch_applies_puts_and_deletes_to_several_keyspaces(any_db, plain, composite):
    plain.put(b"old", b"value")
    with any_db.batch() as b:
        b.put(plain, b"new", b"1")
        b.delete(plain, b"old")
        b.put(composite, (b"p", b"s"), b"2")
    assert list(plain.items()) == [(b"new", b"1")]
    assert list(composite.items()) == [((b"p", b"s"), b"2")]


def test_nothing_of_a_batch_is_visible_before_its_end(any_db, plain, composite):
    with any_db.batch() as b:
        b.put(plain, b"key", b"value")
        b.put(composite, (b"p", b"s"), b"value")
        assert plain.get(b"key") is None
        assert list(plain.scan()) == []
        assert list(composite.scan()) == []
    assert plain.get(b"key") == b"value"


def test_exception_inside_the_block_discards_the_batch_and_comes_through(any_db, plain):
    last = plain.put(b"key", b"kept")

    def write():
        with any_db.batch() as b:
            b.put(plain, b"key", b"discarded")
            b.delete(plain, b"key")
            raise RefusedByCallerError

    with pytest.raises(RefusedByCallerError):
        write()
    assert plain.get(b"key") == b"kept"
    assert any_db.last_sequence == last


def test_batch_is_one_commit(any_db, plain, composite):
    before = plain.put(b"key", b"")
    with any_db.batch() as b:
        for n in range(20):
            b.put(plain, b"%d" % n, b"")
            b.put(composite, (b"p", b"%d" % n), b"")
    assert b.sequence == before + 1
    assert any_db.last_sequence == b.sequence
    assert plain.put(b"key", b"") == before + 2


def test_last_change_of_a_key_in_a_batch_counts(any_db, plain):
    plain.put(b"c", b"old")
    with any_db.batch() as b:
        b.put(plain, b"a", b"1")
        b.put(plain, b"a", b"2")
        b.put(plain, b"b", b"1")
        b.delete(plain, b"b")
        b.delete(plain, b"c")
        b.put(plain, b"c", b"new")
    assert list(plain.items()) == [(b"a", b"2"), (b"c", b"new")]


def test_last_change_of_a_key_in_a_batch_counts_after_flush_and_reopen(open_db):
    database = open_db()
    ks = database.keyspace("plain")
    with database.batch() as b:
        b.put(ks, b"a", b"1")
        b.put(ks, b"a", b"2")
        b.put(ks, b"b", b"1")
        b.delete(ks, b"b")
    database.flush()
    assert list(ks.items()) == [(b"a", b"2")]
    with database.batch() as b:
        b.delete(ks, b"a")
        b.put(ks, b"a", b"3")
    database.close()
    assert list(open_db().keyspace("plain").items()) == [(b"a", b"3")]


def test_empty_batch_changes_nothing(any_db, plain):
    plain.put(b"key", b"value")
    with any_db.batch():
        pass
    assert list(plain.items()) == [(b"key", b"value")]


def test_batch_keeps_copies_of_buffers(any_db, plain):
    key, value = bytearray(b"key"), bytearray(b"value")
    with any_db.batch() as b:
        b.put(plain, key, value)
        key[:], value[:] = b"yek", b"eulav"
    key.clear()
    value.clear()
    assert list(plain.items()) == [(b"key", b"value")]


def test_refused_change_leaves_the_rest_of_the_batch_usable(any_db, plain):
    with any_db.batch() as b:
        b.put(plain, b"a", b"1")
        with pytest.raises(InvalidArgumentError):
            b.put(plain, b"", b"2")
        with pytest.raises(TypeError):
            b.put(plain, b"c", None)
        with pytest.raises(TypeError):
            b.delete(plain, (b"p", b"s"))
        b.put(plain, b"d", b"4")
    assert list(plain) == [b"a", b"d"]


def test_batch_after_its_end_raises(any_db, plain):
    with any_db.batch() as b:
        b.put(plain, b"a", b"1")
    with pytest.raises(ClosedError):
        b.put(plain, b"b", b"2")
    with pytest.raises(ClosedError):
        b.delete(plain, b"a")
    assert list(plain.items()) == [(b"a", b"1")]


def test_batch_is_entered_once(any_db, plain):
    with any_db.batch() as b:
        b.put(plain, b"a", b"1")
    sequence = any_db.last_sequence
    with pytest.raises(ClosedError), b:
        pass
    assert any_db.last_sequence == sequence


def test_discarded_batch_raises_when_used_again(any_db, plain):
    with pytest.raises(RefusedByCallerError), any_db.batch() as b:
        raise RefusedByCallerError
    with pytest.raises(ClosedError):
        b.put(plain, b"a", b"1")


def test_keyspace_of_another_database_is_refused(any_db, plain):
    with lsm.open(":memory:") as other:
        foreign = other.keyspace("plain")
        with any_db.batch() as b:
            b.put(plain, b"a", b"1")
            with pytest.raises(InvalidArgumentError):
                b.put(foreign, b"b", b"2")
        assert foreign.get(b"b") is None
    assert list(plain) == [b"a"]


@pytest.mark.parametrize("keyspace", [None, "plain", b"plain", 3, object()])
def test_anything_but_a_keyspace_is_refused(any_db, keyspace):
    with any_db.batch() as b, pytest.raises(TypeError):
        b.put(keyspace, b"k", b"v")


def test_batch_over_a_dropped_keyspace_applies_nothing(any_db, plain):
    dropped = any_db.keyspace("dropped")

    def write():
        with any_db.batch() as b:
            b.put(plain, b"a", b"1")
            b.put(dropped, b"b", b"2")
            any_db.drop_keyspace("dropped")

    with pytest.raises(KeyspaceDroppedError):
        write()
    assert list(plain) == []


def test_two_batches_at_once_apply_in_the_order_they_end(any_db, plain):
    with any_db.batch() as first:
        first.put(plain, b"key", b"first")
        with any_db.batch() as second:
            second.put(plain, b"key", b"second")
    assert plain.get(b"key") == b"first"
    assert first.sequence == second.sequence + 1


def test_snapshot_taken_inside_the_block_does_not_see_the_batch(any_db, plain):
    with any_db.batch() as b:
        b.put(plain, b"a", b"1")
        snapshot = any_db.snapshot()
    with snapshot:
        assert snapshot.get(plain, b"a") is None
        assert plain.get(b"a") == b"1"


def test_snapshot_sees_all_of_a_batch_or_nothing(any_db, plain, composite):
    """A reader takes snapshots while a writer commits batches over two keyspaces."""
    rounds, done = scaled(400), threading.Event()

    def write():
        try:
            for n in range(rounds):
                with any_db.batch() as b:
                    for slot in range(5):
                        b.put(plain, b"slot-%d" % slot, b"%d" % n)
                    b.put(composite, (b"p", b""), b"%d" % n)
        finally:
            done.set()

    def read():
        while not done.is_set():
            with any_db.snapshot() as s:
                seen = {s.get(plain, b"slot-%d" % slot) for slot in range(5)} | {s.get(composite, (b"p", b""))}
                assert len(seen) == 1
                assert {value for _, value in s.scan(plain)} | {None} == seen | {None}

    together(write, read)


def test_batch_larger_than_memtable_and_log_buffers_is_whole(open_db):
    database = open_db(**TINY)
    plain, composite = database.keyspace("p", partitions=4), database.keyspace("c", composite=True)
    with database.batch() as b:
        for n in range(2000):
            b.put(plain, b"%05d" % n, value_of(n, 50))
            b.put(composite, (b"p%d" % (n % 9), b"%05d" % n), value_of(n, 20))
        for n in range(0, 2000, 2):
            b.delete(plain, b"%05d" % n)
    for again in range(2):
        assert list(plain.items()) == [(b"%05d" % n, value_of(n, 50)) for n in range(1, 2000, 2)]
        assert sorted(composite.items()) == sorted(
            ((b"p%d" % (n % 9), b"%05d" % n), value_of(n, 20)) for n in range(2000)
        )
        if again:
            break
        database.close()
        database = open_db(**TINY)
        plain, composite = database.keyspace("p"), database.keyspace("c")


def test_batches_outlive_a_reopen(open_db):
    database = open_db()
    plain, composite = database.keyspace("p", partitions=2), database.keyspace("c", composite=True)
    for n in range(50):
        with database.batch() as b:
            b.put(plain, b"%02d" % n, b"%d" % n)
            b.put(composite, (b"p", b"%02d" % n), b"%d" % n)
            b.delete(plain, b"%02d" % (n - 5))
    database.close()
    database = open_db()
    assert list(database.keyspace("p")) == [b"%02d" % n for n in range(45, 50)]
    assert len(list(database.keyspace("c"))) == 50


def test_synced_batch_is_durable_when_the_block_ends(db):
    ks = db.keyspace("plain")
    with db.batch(sync=True) as b:
        b.put(ks, b"a", b"1")
    assert db.durable_sequence >= b.sequence


def test_abandoned_batch_is_discarded(any_db, plain):
    b = any_db.batch()
    b.__enter__()
    b.put(plain, b"a", b"1")
    del b
    assert list(plain) == []


OUT_OF_MEMORY = """
import resource, sys
import lsm
from lsm import scheduler

scheduler.IDLE_SECONDS = 3600.0  # the background must not be the one that finds no memory
db = lsm.open(sys.argv[1], memtable_bytes=1 << 30)
ks = db.keyspace("events")
ks.put(b"before", b"1")
value = bytes(1 << 20)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (100 << 20), resource.RLIM_INFINITY))
batch = db.batch()
for i in range(30):
    batch.put(ks, b"%03d" % i, value)
# The frame stands in memory; the memtable needs as much again, which there is not.
resource.setrlimit(resource.RLIMIT_AS, (int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
                                        + (16 << 20), resource.RLIM_INFINITY))
try:
    batch.commit()
except MemoryError:
    pass
else:
    sys.exit("there was memory")
assert list(ks.keys()) == [b"before"]
ks.put(b"after", b"2")
db.close()
with lsm.open(sys.argv[1]) as db:
    assert list(db.keyspace("events")) == [b"after", b"before"]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited by /proc and RLIMIT_AS")
def test_a_batch_that_finds_no_memory_changes_nothing(tmp_path):
    program = [sys.executable, "-c", OUT_OF_MEMORY, str(tmp_path / "db")]
    # an arena for each thread takes 64 MB of addresses, at a moment of its own
    environ = {**environment(), "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=HUNG_SECONDS)
    assert done.returncode == 0, done.stderr
