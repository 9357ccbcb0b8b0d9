"""Many threads on one database: each call atomic, each reader at one moment, nothing lost and nothing invented."""

from __future__ import annotations

import random
import struct
import threading
from typing import Any

import pytest
from model import TINY, scaled, value_of
from together import together

ACCOUNTS, START = 20, 1000


def test_each_key_holds_what_its_last_writer_wrote(any_db):
    """Keys belong to threads, so that the last value of each is known, while all share blocks, memtables and tables."""
    ks = any_db.keyspace("plain", partitions=2)
    last: list[dict[bytes, bytes | None]] = [{} for _ in range(4)]

    def write(thread):
        rng = random.Random(thread)
        for n in range(scaled(1500)):
            key = b"%03d-%d" % (rng.randrange(100), thread)
            last[thread][key] = value = None if rng.random() < 0.2 else value_of(n, rng.choice([0, 20, 200]))
            ks.delete(key) if value is None else ks.put(key, value)
            assert ks.get(key) == value

    together(*(lambda thread=thread: write(thread) for thread in range(4)))
    expected = {key: value for mine in last for key, value in mine.items() if value is not None}
    assert list(ks.items()) == sorted(expected.items())


def test_of_concurrent_writes_to_one_key_the_highest_sequence_stays(any_db):
    ks = any_db.keyspace("plain")
    written = {}

    def write(thread):
        for n in range(scaled(500)):
            written[ks.put(b"key", b"%d-%d" % (thread, n))] = b"%d-%d" % (thread, n)

    together(*(lambda thread=thread: write(thread) for thread in range(4)))
    assert ks.get(b"key") == written[max(written)]
    assert len(written) == 4 * scaled(500)


def test_counters_under_a_lock_of_the_caller_lose_no_step(any_db):
    ks, lock = any_db.keyspace("plain"), threading.Lock()
    ks.put(b"counter", struct.pack("<Q", 0))

    def count():
        for _ in range(scaled(500)):
            with lock:
                (value,) = struct.unpack("<Q", ks.get(b"counter"))
                ks.put(b"counter", struct.pack("<Q", value + 1))

    together(*[count] * 4)
    assert struct.unpack("<Q", ks[b"counter"]) == (4 * scaled(500),)


def test_a_key_read_while_it_is_overwritten_is_one_of_its_values(any_db):
    """Values tell their own length and content, so that a torn one would show."""
    ks, done = any_db.keyspace("plain"), threading.Event()
    ks.put(b"key", b"")

    def write():
        try:
            for n in range(scaled(600)):
                ks.put(b"key", bytes([n & 255]) * (n * 37 % 1000))
        finally:
            done.set()

    def read():
        while not done.is_set():
            value = ks.get(b"key")
            assert value is not None
            assert value == value[:1] * len(value)

    together(write, read, read)


def test_values_of_a_counter_never_go_back_for_a_reader(any_db):
    ks, done = any_db.keyspace("plain"), threading.Event()
    ks.put(b"counter", struct.pack(">Q", 0))

    def write():
        try:
            for n in range(scaled(3000)):
                ks.put(b"counter", struct.pack(">Q", n))
        finally:
            done.set()

    def read(how):
        seen = b""
        while not done.is_set():
            value = how()
            assert value >= seen
            seen = value

    together(
        write,
        lambda: read(lambda: ks.get(b"counter")),
        lambda: read(lambda: next(ks.scan())[1]),
        lambda: read(lambda: ks.get_many([b"counter"])[0]),
    )


@pytest.fixture(params=["default", "tiny", "memory"])
def bank(request, open_db):
    """Accounts in a plain and in a composite keyspace; transfers keep the sum."""
    database = open_db(
        ":memory:" if request.param == "memory" else None, **(TINY if request.param != "default" else {})
    )
    plain, composite = (
        database.keyspace("plain", partitions=3),
        database.keyspace("composite", composite=True, partitions=2),
    )
    with database.batch() as b:
        for n in range(ACCOUNTS):
            b.put(plain, b"%d" % n, b"%d" % START)
            b.put(composite, (b"bank-%d" % (n % 4), b"%d" % n), b"%d" % START)
    return database, plain, composite


def transfers(bank, lock, rng, count, between=lambda n: None) -> None:
    database, plain, composite = bank
    for n in range(count):
        a, b = rng.randrange(ACCOUNTS), rng.randrange(ACCOUNTS)
        amount = rng.randrange(50)
        there = (b"bank-%d" % (b % 4), b"%d" % b)
        with lock, database.batch() as batch:
            batch.put(plain, b"%d" % a, b"%d" % (int(plain[b"%d" % a]) - amount))
            batch.put(composite, there, b"%d" % (int(composite[there]) + amount))
        between(n)


def total(plain_pairs, composite_pairs) -> int:
    plain, composite = list(plain_pairs), list(composite_pairs)
    assert (len(plain), len(composite)) == (ACCOUNTS, ACCOUNTS)
    return sum(int(value) for _, value in plain) + sum(int(value) for _, value in composite)


def test_snapshots_see_the_sum_of_accounts_unchanged(bank):
    database, plain, composite = bank
    lock, done = threading.Lock(), threading.Event()

    def write(seed):
        try:
            transfers(bank, lock, random.Random(seed), scaled(300))
        finally:
            done.set()

    def read():
        while not done.is_set():
            with database.snapshot() as s:
                assert total(s.scan(plain), s.scan(composite, reverse=True)) == 2 * ACCOUNTS * START
                first = [s.get(plain, b"%d" % n) for n in range(ACCOUNTS)]
                assert first == [s.get(plain, b"%d" % n) for n in range(ACCOUNTS)]

    together(lambda: write(1), lambda: write(2), read, read)
    assert total(plain.items(), composite.items()) == 2 * ACCOUNTS * START


def test_snapshots_see_the_sum_unchanged_beside_flushes_and_compactions(bank):
    database, plain, composite = bank
    lock, done = threading.Lock(), threading.Event()

    def write():
        def churn(n):
            if n % 50 == 0:
                plain.put_many([(b"%d" % a, plain[b"%d" % a]) for a in range(0)])
                database.flush()
            if n % 100 == 0:
                database.compact()

        try:
            transfers(bank, lock, random.Random(3), scaled(250), churn)
        finally:
            done.set()

    def read():
        while not done.is_set():
            with database.snapshot() as s:
                assert total(s.scan(plain), s.scan(composite)) == 2 * ACCOUNTS * START

    together(write, read, read)


def test_scan_of_one_keyspace_sees_each_batch_whole(tiny):
    """All records of the keyspace are rewritten by every batch, so that a scan must show one number."""
    ks, done = tiny.keyspace("plain", partitions=4), threading.Event()
    ks.put_many([(b"%03d" % slot, b"%d" % 0) for slot in range(50)])

    def write():
        try:
            for n in range(scaled(200)):
                ks.put_many([(b"%03d" % slot, b"%d" % n) for slot in range(50)])
        finally:
            done.set()

    def read(reverse):
        while not done.is_set():
            seen = [value for _, value in ks.scan(reverse=reverse)]
            assert len(seen) == 50
            assert len(set(seen)) == 1

    together(write, lambda: read(False), lambda: read(True))


def test_get_many_sees_each_batch_whole(tiny):
    ks, done = tiny.keyspace("plain", partitions=4), threading.Event()
    keys = [b"%03d" % slot for slot in range(20)]
    ks.put_many([(key, b"0") for key in keys])

    def write():
        try:
            for n in range(scaled(300)):
                ks.put_many([(key, b"%d" % n) for key in keys])
        finally:
            done.set()

    def read():
        while not done.is_set():
            assert len(set(ks.get_many(keys))) == 1

    together(write, read, read)


def test_scans_run_in_order_while_others_write_between_their_keys(tiny):
    ks, done = tiny.keyspace("plain", partitions=2), threading.Event()
    fixed = [b"%05d" % n for n in range(0, 2000, 10)]
    ks.put_many([(key, b"fixed") for key in fixed])

    def write(seed):
        rng = random.Random(seed)
        try:
            for _ in range(scaled(1500)):
                n = rng.randrange(2000)
                if n % 10:
                    ks.put(b"%05d" % n, b"passing") if rng.random() < 0.6 else ks.delete(b"%05d" % n)
        finally:
            done.set()

    def read(reverse):
        while not done.is_set():
            keys = list(ks.scan(reverse=reverse, values=False))
            assert keys == sorted(set(keys), reverse=reverse)
            assert [key for key in keys if int(key) % 10 == 0] == sorted(fixed, reverse=reverse)

    together(lambda: write(1), lambda: write(2), lambda: read(False), lambda: read(True))


def test_keyspaces_made_used_and_dropped_by_many_threads(tiny):
    def work(thread):
        for n in range(scaled(12)):
            name = f"{thread}-{n % 3}"
            ks = tiny.keyspace(name, partitions=1 + n % 3)
            ks.put_many([(b"%d" % m, value_of(m, 50)) for m in range(50)])
            assert len(ks) == 50
            assert name in tiny.keyspaces()
            tiny.drop_keyspace(name)
            assert name not in tiny.keyspaces()

    together(*(lambda thread=thread: work(thread) for thread in range(4)))
    assert list(tiny.keyspaces()) == []


def test_one_keyspace_asked_for_by_many_threads_is_one(tiny):
    handles = []
    together(*[lambda: handles.append(tiny.keyspace("shared"))] * 8)
    for n, handle in enumerate(handles):
        handle.put(b"%d" % n, b"")
    assert len(tiny.keyspace("shared")) == 8
    assert list(tiny.keyspaces()) == ["shared"]


def test_of_many_threads_that_drop_a_keyspace_one_does(tiny):
    for _ in range(scaled(5)):
        tiny.keyspace("shared").put(b"a", b"1")
        dropped: list[Any] = []
        refused: list[Any] = []

        def drop(dropped=dropped, refused=refused):
            try:
                tiny.drop_keyspace("shared")
                dropped.append(1)
            except KeyError:
                refused.append(1)

        together(*[drop] * 6)
        assert (len(dropped), len(refused)) == (1, 5)


def test_flush_compact_settle_and_stats_by_many_threads_at_once(tiny):
    ks = tiny.keyspace("plain", partitions=2)

    def write():
        for n in range(scaled(400)):
            ks.put(b"%04d" % (n % 300), value_of(n, 60))

    def repeat(call):
        for _ in range(scaled(8)):
            call()

    together(
        write,
        *(lambda call=call: repeat(call) for call in (tiny.flush, tiny.compact, tiny.settle, tiny.stats, tiny.sync)),
    )
    assert len(ks) == min(300, scaled(400))


def test_snapshots_and_iterators_are_made_and_closed_by_many_threads(tiny):
    ks = tiny.keyspace("plain", partitions=2)
    ks.put_many([(b"%04d" % n, value_of(n, 60)) for n in range(500)])
    expected = [b"%04d" % n for n in range(500)]

    def work(thread):
        for n in range(scaled(25)):
            with tiny.snapshot() as s, s.scan(ks, values=False) as scan:
                ks.put(b"%04d" % (n % 500), value_of(thread * 1000 + n, 60))
                assert list(scan) == expected
                with ks.scan(start=b"%04d" % n, limit=3, values=False) as few:
                    assert list(few) == expected[n : n + 3]
            if n % 10 == 0:
                tiny.compact()

    together(*(lambda thread=thread: work(thread) for thread in range(4)))


def test_a_database_is_opened_used_and_closed_by_different_threads(open_db):
    made = []
    together(lambda: made.append(open_db(**TINY)))
    ks = made[0].keyspace("plain")
    together(*(lambda n=n: ks.put(b"%d" % n, b"") for n in range(4)))
    together(made[0].close)
    assert len(open_db(**TINY).keyspace("plain")) == 4


def test_everything_many_threads_wrote_is_there_after_a_reopen(open_db):
    database = open_db(**TINY)
    plain, composite = database.keyspace("plain", partitions=3), database.keyspace("composite", composite=True)
    count = scaled(400)

    def write(thread):
        for n in range(count):
            with database.batch(sync=n % 100 == 0) as b:
                b.put(plain, b"%d-%05d" % (thread, n), value_of(n, 100))
                b.put(composite, (b"%d" % thread, b"%05d" % n), b"")
                b.delete(plain, b"%d-%05d" % (thread, n - 50))

    together(*(lambda thread=thread: write(thread) for thread in range(4)))
    database.close()
    database = open_db(**TINY)
    kept = [b"%d-%05d" % (thread, n) for thread in range(4) for n in range(max(0, count - 50), count)]
    assert list(database.keyspace("plain")) == kept
    assert len(database.keyspace("composite")) == 4 * count
