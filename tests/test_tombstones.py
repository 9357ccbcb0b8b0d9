"""Piles of tombstones: queues, deleted ranges, dropped keyspaces. Space comes back, and reads do not wade for ever.

Work is told by what lies on disk and by the counters of `stats()`, never by time.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import pytest
from disk import eventually, table_bytes, table_count
from model import TINY, scaled, value_of

PLAIN = {**TINY, "compression": "none"}


def item(n: int) -> tuple[bytes, bytes]:
    return b"%08d" % n, value_of(2 * n + 1, 100)


def run_queue(ks, count: int, depth: int, between=lambda n: None) -> deque[int]:
    """Puts at the tail and deletes at the head, finding the head by a scan; gives what is left."""
    waiting: deque[int] = deque()
    for n in range(count):
        ks.put(*item(n))
        waiting.append(n)
        if len(waiting) > depth:
            head, value = next(ks.scan(limit=1))
            assert (head, value) == item(waiting[0])
            ks.delete(head)
            waiting.popleft()
        between(n)
    return waiting


@pytest.mark.parametrize("depth", [0, 1, 10, 200])
def test_queue_gives_its_head_at_every_step(tiny, depth):
    ks = tiny.keyspace("queue")
    left = run_queue(ks, scaled(2000), depth)
    assert list(ks.items()) == [item(n) for n in left]


def test_queue_gives_its_head_from_a_composite_partition(tiny):
    ks = tiny.keyspace("queues", composite=True, partitions=2)
    waiting: dict[bytes, deque[Any]] = {b"a": deque(), b"b": deque(), b"c": deque()}
    for n in range(scaled(1500)):
        pk = b"abc"[n % 3 : n % 3 + 1]
        ks.put((pk, b"%08d" % n), b"value")
        waiting[pk].append(n)
        if len(waiting[pk]) > 5:
            (key,) = ks.scan(partition=pk, limit=1, values=False)
            assert key == (pk, b"%08d" % waiting[pk].popleft())
            ks.delete(key)
    for pk, left in waiting.items():
        assert list(ks.scan(partition=pk, values=False)) == [(pk, b"%08d" % n) for n in left]


def test_stack_gives_its_top_in_reverse(tiny):
    ks, stack = tiny.keyspace("stack"), []
    for n in range(scaled(1500)):
        ks.put(*item(n))
        stack.append(n)
        if n % 3:
            ((key, _),) = ks.scan(reverse=True, limit=1)
            assert key == item(stack.pop())[0]
            ks.delete(key)
    assert list(ks) == [item(n)[0] for n in stack]


def test_settled_queue_keeps_little_on_disk(open_db, path):
    """Without a manual compaction: background work alone must drop what a queue has passed over."""
    database = open_db(**PLAIN)
    ks = database.keyspace("queue")
    count = scaled(6000)
    left = run_queue(ks, count, 10)
    database.settle()
    written = count * 120
    assert eventually(lambda: table_bytes(path) < written / 4), table_bytes(path)
    assert list(ks) == [item(n)[0] for n in left]


def test_compacted_queue_keeps_nothing_but_what_is_in_it(open_db, path):
    database = open_db(**PLAIN)
    ks = database.keyspace("queue", partitions=2)
    left = run_queue(ks, scaled(3000), 10)
    database.compact()
    assert eventually(lambda: table_bytes(path) < 16384)
    assert list(ks) == [item(n)[0] for n in left]


def test_queue_survives_a_reopen_at_any_depth_of_tombstones(open_db):
    left: deque[int] = deque()
    for turn in range(4):
        database = open_db(**PLAIN)
        ks = database.keyspace("queue")
        assert list(ks) == [item(n)[0] for n in left]
        for key in list(ks):
            ks.delete(key)
        left = run_queue(ks, scaled(500) + 100 * turn, 7)
        database.close()


def work(database) -> int:
    """Blocks looked at and tombstones passed over since the database was opened."""
    stats = database.stats()
    return int(stats["cache"]["hits"] + stats["cache"]["misses"] + stats["tombstones_skipped"])


@pytest.mark.parametrize("options", [TINY, {}], ids=["tiny", "default"])
def test_work_of_finding_the_head_of_a_queue_does_not_grow_for_ever(open_db, options):
    """Work in proportion to all that was ever deleted would make the last quarter 7/3 of the second."""
    database = open_db(**options)
    ks = database.keyspace("queue")
    count, marks = max(1, scaled(1)) * (8000 if options else 24000), []

    def mark(n):
        if n % (count // 40) == 0:
            # a busy machine must not starve the background of the time that the test is not about
            database.settle()
        if n % (count // 4) == 0:
            marks.append(work(database))

    run_queue(ks, count, 10, mark)
    marks.append(work(database))
    quarters = [after - before for before, after in itertools.pairwise(marks)]
    assert quarters[3] <= 2 * quarters[1], quarters


def test_passed_over_tombstones_are_counted(db):
    ks = db.keyspace("plain")
    for n in range(500):
        ks.put(*item(n))
        ks.delete(item(n)[0])
    before = db.stats()["tombstones_skipped"]
    assert list(ks.scan()) == []
    assert 0 < db.stats()["tombstones_skipped"] - before <= 1000


def test_space_of_deleted_data_comes_back_after_compact(open_db, path):
    database = open_db(**PLAIN)
    ks = database.keyspace("plain")
    count = scaled(3000)
    ks.put_many([item(n) for n in range(count)])
    database.flush()
    full = table_bytes(path)
    for n in range(count):
        ks.delete(item(n)[0])
    database.compact()
    assert full > count * 100
    assert eventually(lambda: table_bytes(path) < 16384)
    assert list(ks) == []


def test_space_of_a_deleted_half_comes_back_after_compact(open_db, path):
    database = open_db(**PLAIN)
    ks = database.keyspace("plain", partitions=3)
    count = scaled(3000)
    ks.put_many([item(n) for n in range(count)])
    database.compact()
    full = table_bytes(path)
    for n in range(0, count, 2):
        ks.delete(item(n)[0])
    database.compact()
    assert eventually(lambda: table_bytes(path) < 0.65 * full)
    assert len(ks) == count // 2


def test_deletes_of_absent_keys_leave_nothing_after_compact(open_db, path):
    database = open_db(**PLAIN)
    ks = database.keyspace("plain")
    for n in range(scaled(3000)):
        ks.delete(item(n)[0])
    database.compact()
    assert eventually(lambda: table_bytes(path) < 8192)


def test_space_of_a_dropped_keyspace_comes_back(open_db, path):
    database = open_db(**PLAIN)
    kept, dropped = database.keyspace("kept"), database.keyspace("dropped", partitions=4)
    kept.put_many([item(n) for n in range(100)])
    dropped.put_many([item(n) for n in range(scaled(3000))])
    database.flush()
    full = table_bytes(path)
    database.drop_keyspace("dropped")
    assert full > scaled(3000) * 100
    assert eventually(lambda: table_bytes(path) < 100 * 200)
    assert list(kept.items()) == [item(n) for n in range(100)]


def test_space_of_a_dropped_keyspace_stays_away_after_a_reopen(open_db, path):
    database = open_db(**PLAIN)
    database.keyspace("dropped").put_many([item(n) for n in range(scaled(3000))])
    database.flush()
    database.drop_keyspace("dropped")
    database.close()
    database = open_db(**PLAIN)
    assert list(database.keyspaces()) == []
    assert eventually(lambda: table_count(path) == 0)


def test_space_of_a_keyspace_dropped_under_an_iterator_comes_back_when_it_closes(open_db, path):
    database = open_db(**PLAIN)
    ks = database.keyspace("dropped")
    ks.put_many([item(n) for n in range(scaled(2000))])
    database.flush()
    scan = ks.scan()
    next(scan)
    database.drop_keyspace("dropped")
    scan.close()
    assert eventually(lambda: table_count(path) == 0)


def test_range_deleted_key_by_key_is_skipped_in_both_directions(tiny):
    ks = tiny.keyspace("plain", partitions=2)
    count = scaled(3000)
    ks.put_many([item(n) for n in range(count)])
    tiny.flush()
    for n in range(1, count - 1):
        ks.delete(item(n)[0])
    ends = [item(0), item(count - 1)]
    assert list(ks.scan()) == ends
    assert list(ks.scan(reverse=True)) == ends[::-1]
    assert next(ks.scan(start=item(1)[0])) == ends[1]
    assert next(ks.scan(stop=item(count - 1)[0], reverse=True)) == ends[0]


def test_tombstones_shade_older_tables_until_those_are_gone(open_db):
    """Values in the deepest level, tombstones above, a compaction of the upper ones alone: nothing may come back."""
    database = open_db(**PLAIN)
    ks = database.keyspace("plain")
    ks.put_many([item(n) for n in range(500)])
    database.compact()
    for n in range(0, 500, 3):
        ks.delete(item(n)[0])
    database.flush()
    expected = [item(n) for n in range(500) if n % 3]
    for turn in range(10):
        ks.put_many([(b"other-%05d-%d" % (n, turn), b"x" * 50) for n in range(100)])
        database.flush()
        assert list(ks.scan(stop=b"o")) == expected
    database.settle()
    assert list(ks.scan(stop=b"o")) == expected
    database.close()
    assert list(open_db(**PLAIN).keyspace("plain").scan(stop=b"o")) == expected
