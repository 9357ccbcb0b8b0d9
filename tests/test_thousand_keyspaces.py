"""A thousand keyspaces cost kilobytes each, share one budget of memory and one of log, and reopen."""

from __future__ import annotations

import json
import os

import pytest
from children import assert_quiet, run
from disk import eventually, log_bytes, sizes, table_count
from model import TINY, scaled, value_of

COUNT = 1000
KILOBYTES_EACH = 16 << 10


def name_of(n: int) -> str:
    return f"keyspace {n:04d}"


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """Makes the keyspaces in an interpreter of its own, and reports memory and disk at each stage, in bytes."""
    path = tmp_path_factory.mktemp("thousand") / "data"
    script = """
import gc, json, os, sys
import lsm

def memory():
    gc.collect()
    if not os.path.exists("/proc/self/statm"):
        return 0
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def disk():
    while True:
        try:
            return sum(os.stat(entry).st_blocks * 512 for entry in os.scandir(sys.argv[1]))
        except FileNotFoundError:
            continue  # the background removed it after the names were listed

count, stages = int(sys.argv[2]), {}
db = lsm.open(sys.argv[1])
db.keyspace("first").put(b"k", b"v")
stages["start"] = memory(), disk()
handles = [db.keyspace(f"keyspace {n:04d}", partitions=1, composite=n % 2 == 1) for n in range(count)]
stages["made"] = memory(), disk()
for n, ks in enumerate(handles):
    ks.put((b"p", b"k") if n % 2 else b"k", b"%d" % n)
stages["written"] = memory(), disk()
assert [ks.get((b"p", b"k") if n % 2 else b"k") for n, ks in enumerate(handles)] == [b"%d" % n for n in range(count)]
db.flush()
stages["flushed"] = memory(), disk()
with db.snapshot() as s:
    assert all(len(list(s.scan(ks))) == 1 for ks in handles)
db.close()
print(json.dumps(stages))
"""
    done = run(script, path, COUNT)
    assert_quiet(done)
    return path, json.loads(done.stdout)


@pytest.mark.parametrize("stage", ["made", "written", "flushed"])
def test_each_keyspace_costs_kilobytes_of_disk(thousand, stage):
    _, stages = thousand
    assert (stages[stage][1] - stages["start"][1]) / COUNT < KILOBYTES_EACH


@pytest.mark.parametrize("stage", ["made", "written", "flushed"])
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the resident size from /proc of Linux")
def test_each_keyspace_costs_kilobytes_of_memory(thousand, stage):
    _, stages = thousand
    assert (stages[stage][0] - stages["start"][0]) / COUNT < KILOBYTES_EACH


def test_thousand_keyspaces_reopen_with_what_they_held(thousand, open_db):
    database = open_db(thousand[0])
    assert sorted(database.keyspaces()) == ["first", *(name_of(n) for n in range(COUNT))]
    for n in range(COUNT):
        key = (b"p", b"k") if n % 2 else b"k"
        assert list(database.keyspace(name_of(n)).items()) == [(key, b"%d" % n)]


def test_one_batch_spans_a_thousand_keyspaces(thousand, open_db):
    database = open_db(thousand[0])
    handles = [database.keyspace(name_of(n)) for n in range(0, COUNT, 2)]
    with database.batch() as b:
        for ks in handles:
            b.put(ks, b"batched", b"1")
    assert all(ks.get(b"batched") == b"1" for ks in handles)
    with database.batch() as b:
        for ks in handles:
            b.delete(ks, b"batched")
    database.close()
    database = open_db(thousand[0])
    assert all(b"batched" not in database.keyspace(name_of(n)) for n in range(0, COUNT, 2))


def test_cold_keyspaces_do_not_pin_the_log(open_db, path):
    """Each of 100 keyspaces holds one unflushed record while one keyspace writes a hundred times the log's budget."""
    budget = 65536
    database = open_db(**{**TINY, "wal_bytes": budget, "memtable_bytes": 65536, "memtables_bytes": 8 << 20})
    cold = [database.keyspace(f"cold {n}") for n in range(100)]
    for n, ks in enumerate(cold):
        ks.put(b"key", b"%d" % n)
    hot = database.keyspace("hot")
    for n in range(scaled(3000)):
        hot.put(b"%05d" % (n % 500), value_of(2 * n + 1, 1000))
    assert eventually(lambda: log_bytes(path) <= 2 * budget), sizes(path, ".log")
    assert [ks.get(b"key") for ks in cold] == [b"%d" % n for n in range(100)]
    database.close()
    database = open_db()
    assert [database.keyspace(f"cold {n}").get(b"key") for n in range(100)] == [b"%d" % n for n in range(100)]
    assert len(database.keyspace("hot")) == min(500, scaled(3000))


def test_log_stays_bounded_while_it_is_written(open_db, path):
    budget, seen = 131072, []
    database = open_db(**{**TINY, "wal_bytes": budget})
    keyspaces = [database.keyspace(f"{n}") for n in range(20)]
    for n in range(scaled(4000)):
        keyspaces[0 if n % 50 else n // 50 % 20].put(b"%05d" % (n % 700), value_of(2 * n + 1, 500))
        if n % 100 == 0:
            seen.append(log_bytes(path))
    assert max(seen) <= 8 * budget


def test_flush_leaves_no_log_that_nothing_needs(open_db, path):
    database = open_db(**TINY)
    for n in range(50):
        database.keyspace(f"{n}").put_many([(b"%d" % m, value_of(2 * m + 1, 100)) for m in range(50)])
    database.flush()
    assert eventually(lambda: log_bytes(path) <= 2 * TINY["wal_segment_bytes"]), sizes(path, ".log")


def test_one_budget_bounds_the_memtables_of_all_keyspaces(open_db, path):
    """No keyspace reaches its own limit, but all together exceed the common one: tables must appear."""
    database = open_db(memtable_bytes=1 << 20, memtables_bytes=1 << 20)
    keyspaces = [database.keyspace(f"{n}") for n in range(100)]
    for turn in range(8):
        for n, ks in enumerate(keyspaces):
            ks.put(b"%d" % turn, value_of(2 * n + 1, 5000))
    assert eventually(lambda: table_count(path) > 0)
    assert all(len(ks) == 8 for ks in keyspaces)


def test_many_partitions_cost_kilobytes_each(open_db, path):
    database = open_db()
    before = sum(sizes(path).values())
    ks = database.keyspace("wide", partitions=256)
    ks.put_many([(b"%d" % n, b"v") for n in range(256)])
    database.flush()
    assert (sum(sizes(path).values()) - before) / 256 < KILOBYTES_EACH
    assert len(ks) == 256


def test_dropping_a_thousand_keyspaces_gives_their_space_back(open_db, path):
    database = open_db(**TINY)
    database.keyspace("kept").put(b"key", b"value")
    for n in range(scaled(100)):
        database.keyspace(f"{n}").put_many([(b"%d" % m, value_of(2 * m + 1, 200)) for m in range(30)])
    database.flush()
    for n in range(scaled(100)):
        database.drop_keyspace(f"{n}")
    database.compact()
    assert eventually(lambda: table_count(path) <= 1)
    assert list(database.keyspaces()) == ["kept"]
    assert database.keyspace("kept").get(b"key") == b"value"
