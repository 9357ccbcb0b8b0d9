"""Wrong arguments, wrong moments: each a specific exception, and the database works on as if nothing had been asked."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from typing import Any

import pytest
from model import TINY

import lsm
from lsm.errors import ClosedError, InvalidArgumentError


class Something:
    """Of no type that is taken anywhere."""

    def __repr__(self) -> str:
        return "something"


NOT_BYTES = [None, "text", 3, 1.5, ["list"], {"a": 1}, Something(), True]
TOO_LONG = bytes((64 << 10) + 1)


@pytest.fixture(scope="module", params=["disk", "memory"])
def shared_db(request, tmp_path_factory):
    """One database for all wrong arguments, since none of them may harm it."""
    where = ":memory:" if request.param == "memory" else tmp_path_factory.mktemp("shared") / "data"
    with lsm.open(where, **TINY) as database:
        yield database


@pytest.fixture
def memory_db(open_db):
    return open_db(":memory:")


@pytest.fixture
def ks(shared_db):
    ks = shared_db.keyspace("plain")
    ks.put(b"kept", b"value")
    return ks


@pytest.fixture
def composite(shared_db):
    ks = shared_db.keyspace("composite", composite=True)
    ks.put((b"kept", b""), b"value")
    return ks


@pytest.fixture(autouse=True)
def unharmed(request):
    """After every misuse the keyspaces of the test hold what they held, and take a write."""
    handles = {name: request.getfixturevalue(name) for name in ("ks", "composite") if name in request.fixturenames}
    yield
    for name, handle in handles.items():
        kept = b"kept" if name == "ks" else (b"kept", b"")
        assert list(handle.items()) == [(kept, b"value")]
        handle.put(kept, b"still writable")
        assert handle.get(kept) == b"still writable"


# Keys and values

PLAIN_CALLS = {
    "put": lambda ks, key: ks.put(key, b"v"),
    "get": lambda ks, key: ks.get(key),
    "delete": lambda ks, key: ks.delete(key),
    "put_many": lambda ks, key: ks.put_many([(key, b"v")]),
    "get_many": lambda ks, key: ks.get_many([key]),
    "subscription": lambda ks, key: ks[key],
    "assignment": lambda ks, key: ks.__setitem__(key, b"v"),
    "deletion": lambda ks, key: ks.__delitem__(key),
    "in": lambda ks, key: key in ks,
}
plain_calls = pytest.mark.parametrize("call", list(PLAIN_CALLS.values()), ids=list(PLAIN_CALLS))


@plain_calls
@pytest.mark.parametrize("key", [*NOT_BYTES, (b"p", b"s")], ids=repr)
def test_key_of_a_wrong_type_raises_type_error(ks, call, key):
    with pytest.raises(TypeError):
        call(ks, key)


@plain_calls
@pytest.mark.parametrize("key", [b"", bytearray(), TOO_LONG], ids=["empty", "empty bytearray", "too long"])
def test_key_of_a_wrong_length_raises_invalid_argument(ks, call, key):
    with pytest.raises(InvalidArgumentError):
        call(ks, key)


@plain_calls
@pytest.mark.parametrize(
    "key", [*NOT_BYTES, b"bytes", (b"p", None), ("p", b"s"), (b"p", 3), (b"p", (b"s",)), [b"p", "s"]], ids=repr
)
def test_composite_key_of_a_wrong_type_raises_type_error(composite, call, key):
    with pytest.raises(TypeError):
        call(composite, key)


@plain_calls
@pytest.mark.parametrize("key", [(), (b"p",), (b"p", b"s", b"t")], ids=repr)
def test_composite_key_with_other_than_two_parts_raises(composite, call, key):
    with pytest.raises((TypeError, InvalidArgumentError)):
        call(composite, key)


@plain_calls
@pytest.mark.parametrize("key", [(b"", b"s"), (TOO_LONG, b""), (b"p", TOO_LONG)], ids=["empty", "long pk", "long sk"])
def test_composite_key_of_a_wrong_length_raises_invalid_argument(composite, call, key):
    with pytest.raises(InvalidArgumentError):
        call(composite, key)


@pytest.mark.parametrize("value", NOT_BYTES, ids=repr)
def test_value_of_a_wrong_type_raises_type_error(ks, shared_db, value):
    with pytest.raises(TypeError):
        ks.put(b"key", value)
    with pytest.raises(TypeError):
        ks[b"key"] = value
    with pytest.raises(TypeError):
        ks.put_many([(b"good", b"v"), (b"key", value)])
    with shared_db.batch() as b, pytest.raises(TypeError):
        b.put(ks, b"key", value)


@pytest.mark.parametrize("call", ["put", "get", "delete", "put_many", "get_many", "scan"])
def test_wrong_number_or_name_of_arguments_raises_type_error(ks, call):
    method = getattr(ks, call)
    with pytest.raises(TypeError):
        method(*[b"a"] * 12)
    with pytest.raises(TypeError):
        method(no_such_argument=1)


def test_missing_arguments_raise_type_error(ks):
    for method in (ks.put, ks.get, ks.delete, ks.put_many, ks.get_many):
        with pytest.raises(TypeError):
            method()
    with pytest.raises(TypeError):
        ks.put(b"key")


@pytest.mark.parametrize(
    "pairs", [None, 3, [3], [None], [(b"a",)], [(b"a", b"b", b"c")], [b"ab!"], Something()], ids=repr
)
def test_put_many_of_anything_but_pairs_raises(ks, pairs):
    with pytest.raises((TypeError, ValueError)):
        ks.put_many(pairs)


@pytest.mark.parametrize("keys", [None, 3, Something()], ids=repr)
def test_get_many_of_anything_but_an_iterable_raises_type_error(ks, keys):
    with pytest.raises(TypeError):
        ks.get_many(keys)


def test_message_for_text_says_that_bytes_are_wanted(ks):
    with pytest.raises(TypeError, match="bytes"):
        ks.put("text", b"v")
    with pytest.raises(TypeError, match="bytes"):
        ks.put(b"key", "text")


# Scans


@pytest.mark.parametrize("name", ["start", "stop", "prefix"])
@pytest.mark.parametrize("bound", ["text", 3, 1.5, (b"a", b"b"), Something()], ids=repr)
def test_bound_of_a_wrong_type_raises_type_error(ks, name, bound):
    with pytest.raises(TypeError):
        ks.scan(**{name: bound})


@pytest.mark.parametrize("limit", ["3", 1.5, b"3", Something(), [1]], ids=repr)
def test_limit_of_a_wrong_type_raises_type_error(ks, limit):
    with pytest.raises(TypeError):
        ks.scan(limit=limit)


@pytest.mark.parametrize("limit", [-1, -(2**63), -(2**70)])
def test_negative_limit_raises_invalid_argument(ks, limit):
    with pytest.raises(InvalidArgumentError):
        ks.scan(limit=limit)


@pytest.mark.parametrize("limit", [2**31, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64, 2**200])
def test_huge_limit_is_no_limit_or_is_refused(ks, limit):
    try:
        scan = ks.scan(limit=limit)
    except (InvalidArgumentError, OverflowError):
        assert limit >= 2**63
    else:
        assert list(scan) == [(b"kept", b"value")]


@pytest.mark.parametrize("partition", ["text", 3, (b"p", b"s"), Something()], ids=repr)
def test_partition_of_a_wrong_type_raises_type_error(composite, partition):
    with pytest.raises(TypeError):
        composite.scan(partition=partition)


@pytest.mark.parametrize(
    "bounds", [{"start": b"a"}, {"stop": b"a"}, {"prefix": b"a"}, {"start": (b"kept", b"")}], ids=repr
)
def test_bounds_of_a_composite_scan_without_partition_never_crash(composite, bounds):
    with contextlib.suppress(InvalidArgumentError, TypeError):
        list(composite.scan(**bounds))


@pytest.mark.parametrize("start", [TOO_LONG, bytes(1 << 20)])
def test_bounds_longer_than_keys_are_bounds_or_refused(ks, start):
    try:
        assert list(ks.scan(start=start)) == [(b"kept", b"value")]
        assert list(ks.scan(stop=b"x" + start, reverse=True)) == [(b"kept", b"value")]
        assert list(ks.scan(prefix=start)) == []
    except InvalidArgumentError:
        pass


@pytest.mark.parametrize("bounds", [("text", None), (None, 3), (Something(), None)], ids=repr)
def test_approximate_bytes_of_wrong_bounds_raises_type_error(ks, bounds):
    with pytest.raises(TypeError):
        ks.approximate_bytes(*bounds)


# Databases


@pytest.mark.parametrize("name", [None, b"bytes", 3, ("a",), Something()], ids=repr)
def test_keyspace_name_of_a_wrong_type_raises_type_error(memory_db, name):
    with pytest.raises(TypeError):
        memory_db.keyspace(name)
    with pytest.raises(TypeError):
        memory_db.drop_keyspace(name)
    assert list(memory_db.keyspaces()) == []


@pytest.mark.parametrize("name", ["", "\ud800"], ids=ascii)
def test_keyspace_name_that_cannot_be_stored_is_refused(memory_db, name):
    with pytest.raises(ValueError):  # noqa: PT011 - InvalidArgumentError, or UnicodeEncodeError of a lone surrogate
        memory_db.keyspace(name)
    assert list(memory_db.keyspaces()) == []


@pytest.mark.parametrize(
    "name", ["..", "/etc/x", "a/b", "a\0b", "LOCK", "CURRENT", ":memory:", "x" * 100_000], ids=lambda n: n[:10]
)
def test_keyspace_name_is_never_a_file_name(open_db, path, tmp_path, name):
    database = open_db()
    before = set(os.listdir(tmp_path))
    try:
        database.keyspace(name).put(b"key", b"value")
    except InvalidArgumentError:
        assert list(database.keyspaces()) == []
    else:
        database.flush()
        database.close()
        assert open_db().keyspace(name).get(b"key") == b"value"
    assert set(os.listdir(tmp_path)) == before
    assert not any(os.path.isdir(path / entry) for entry in os.listdir(path))


@pytest.mark.parametrize("partitions", [0, -1, 2**40, 2**70])
def test_partition_count_out_of_range_is_refused(memory_db, partitions):
    with pytest.raises(InvalidArgumentError):
        memory_db.keyspace("p", partitions=partitions)
    assert list(memory_db.keyspaces()) == []


@pytest.mark.parametrize("partitions", ["2", 1.5, b"2", [1]], ids=repr)
def test_partition_count_of_a_wrong_type_raises_type_error(memory_db, partitions):
    with pytest.raises(TypeError):
        memory_db.keyspace("p", partitions=partitions)


def test_unknown_option_raises_type_error_and_names_it(path):
    with pytest.raises(TypeError, match="memtable_size"):
        lsm.open(path, memtable_size=1)
    assert not path.exists()


BYTE_OPTIONS = [
    "memtable_bytes",
    "memtables_bytes",
    "cache_bytes",
    "wal_bytes",
    "wal_segment_bytes",
    "block_bytes",
    "table_bytes",
]


@pytest.mark.parametrize(
    "name", [*BYTE_OPTIONS, "wal_ring_bytes", "level_base_bytes", "level0_stop_tables", "flush_on_close_bytes"]
)
def test_option_of_a_wrong_type_or_negative_is_refused_and_named(path, name):
    wrong: Any
    for wrong in ("64", 1.5, b"1", [1]):
        with pytest.raises(TypeError, match=name):
            lsm.open(path, **{name: wrong})
    for wrong in (-1, -(2**63), 2**80):
        with pytest.raises(InvalidArgumentError, match=name):
            lsm.open(path, **{name: wrong})
    assert not path.exists()


@pytest.mark.parametrize("compression", ["gzip", "", "LZ4 "])
def test_unknown_compression_is_refused(path, compression):
    with pytest.raises(InvalidArgumentError, match="compression"):
        lsm.open(path, compression=compression)


@pytest.mark.parametrize(
    "name", ["level_multiplier", "level0_compaction_tables", "level0_slowdown_tables", "level0_stop_tables"]
)
def test_zero_of_an_option_that_counts_is_refused(path, name):
    options: dict[str, Any] = {name: 0}
    with pytest.raises(InvalidArgumentError, match=name):
        lsm.open(path, **options)


@pytest.mark.parametrize("where", [None, 3, 1.5, [], Something()], ids=repr)
def test_path_of_a_wrong_type_raises_type_error(where):
    with pytest.raises(TypeError):
        lsm.open(where)


@pytest.mark.parametrize("where", ["", "a\0b"], ids=repr)
def test_path_that_no_file_can_have_is_refused(where):
    with pytest.raises((ValueError, OSError)):
        lsm.open(where)


@pytest.mark.parametrize("sequence", ["3", None, 1.5, b"3"], ids=repr)
def test_sequence_of_a_wrong_type_raises_type_error(shared_db, sequence):
    with pytest.raises(TypeError):
        shared_db.wait_durable(sequence)


@pytest.mark.parametrize("sequence", [-1, 2**64, 2**200])
def test_sequence_out_of_range_is_refused(shared_db, sequence):
    with pytest.raises((InvalidArgumentError, OverflowError, TimeoutError)):
        shared_db.wait_durable(sequence, timeout=0.01)


@pytest.mark.parametrize("timeout", ["3", b"3", Something()], ids=repr)
def test_timeout_of_a_wrong_type_raises_type_error(shared_db, timeout):
    with pytest.raises(TypeError):
        shared_db.wait_durable(shared_db.last_sequence, timeout=timeout)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 1e300, -float("inf")])
def test_odd_timeouts_of_a_durable_sequence_return_or_are_refused(shared_db, timeout):
    sequence = shared_db.keyspace("synced").put(b"a", b"", sync=True)
    with contextlib.suppress(InvalidArgumentError, OverflowError):
        shared_db.wait_durable(sequence, timeout=timeout)


# After close

DATABASE_USES = {
    "keyspace": lambda db: db.keyspace("plain"),
    "new keyspace": lambda db: db.keyspace("new"),
    "keyspaces": lambda db: db.keyspaces(),
    "drop_keyspace": lambda db: db.drop_keyspace("plain"),
    "batch": lambda db: db.batch().__enter__(),
    "snapshot": lambda db: db.snapshot(),
    "wait_durable": lambda db: db.wait_durable(1),
    "durable_fd": lambda db: db.durable_fd(),
    "flush": lambda db: db.flush(),
    "compact": lambda db: db.compact(),
    "settle": lambda db: db.settle(),
    "stats": lambda db: db.stats(),
    "sync": lambda db: db.sync(),
    "with": lambda db: db.__enter__(),
}
KEYSPACE_USES = {
    "put": lambda ks: ks.put(b"k", b"v"),
    "put synced": lambda ks: ks.put(b"k", b"v", sync=True),
    "get": lambda ks: ks.get(b"k"),
    "delete": lambda ks: ks.delete(b"k"),
    "put_many": lambda ks: ks.put_many([(b"k", b"v")]),
    "get_many": lambda ks: ks.get_many([b"k"]),
    "scan": lambda ks: list(ks.scan()),
    "iter": lambda ks: list(ks),
    "keys": lambda ks: list(ks.keys()),
    "items": lambda ks: list(ks.items()),
    "in": lambda ks: b"k" in ks,
    "subscription": lambda ks: ks[b"k"],
    "assignment": lambda ks: ks.__setitem__(b"k", b"v"),
    "deletion": lambda ks: ks.__delitem__(b"k"),
    "len": len,
    "bool": bool,
    "approximate_count": lambda ks: ks.approximate_count(),
    "approximate_bytes": lambda ks: ks.approximate_bytes(None, None),
}


@pytest.mark.parametrize("use", list(DATABASE_USES.values()), ids=list(DATABASE_USES))
def test_closed_database_raises(any_db, use):
    any_db.keyspace("plain")
    any_db.close()
    with pytest.raises(ClosedError):
        use(any_db)


@pytest.mark.parametrize("use", list(KEYSPACE_USES.values()), ids=list(KEYSPACE_USES))
def test_keyspace_of_a_closed_database_raises(any_db, use):
    ks = any_db.keyspace("plain")
    any_db.close()
    with pytest.raises(ClosedError):
        use(ks)


def test_close_twice_is_no_error(any_db):
    any_db.close()
    any_db.close()


def test_everything_of_a_closed_database_has_a_repr(any_db):
    ks, s, b = any_db.keyspace("plain"), any_db.snapshot(), any_db.batch()
    scan = ks.scan()
    any_db.close()
    for thing in (any_db, ks, s, b, scan):
        assert repr(thing)


def test_batch_open_while_the_database_closes_raises_and_applies_nothing(open_db):
    database = open_db()
    ks = database.keyspace("plain")

    def write():
        with database.batch() as b:
            b.put(ks, b"a", b"1")
            database.close()

    with pytest.raises(ClosedError):
        write()
    assert list(open_db().keyspace("plain")) == []


def test_leaving_a_with_block_closes(path):
    with lsm.open(path) as database:
        ks = database.keyspace("plain")
    with pytest.raises(ClosedError):
        ks.get(b"a")
    with lsm.open(path):
        pass


def test_exception_in_a_with_block_comes_through_and_closes(path):
    def work():
        with lsm.open(path) as database:
            database.keyspace("plain").put(b"a", b"1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with lsm.open(path) as database:
        assert database.keyspace("plain").get(b"a") == b"1"


@pytest.mark.parametrize("what", ["puts", "gets", "scans", "batches", "snapshots", "synced puts", "flushes", "mixture"])
def test_threads_racing_a_close_get_closed_error_and_lose_nothing(open_db, what):
    uses = {
        "puts": lambda db, ks, n: ks.put(b"%d-%d" % n, b"value" * 20),
        "gets": lambda db, ks, n: ks.get(b"key"),
        "scans": lambda db, ks, n: list(ks.scan(limit=50)),
        "batches": lambda db, ks, n: batch_of_one(db, ks, n),
        "snapshots": lambda db, ks, n: snapshot_read(db, ks),
        "synced puts": lambda db, ks, n: ks.put(b"%d-%d" % n, b"value", sync=True),
        "flushes": lambda db, ks, n: (ks.put(b"%d-%d" % n, b""), db.flush()),
    }
    for turn in range(4):
        database = open_db(memtable_bytes=4096, table_bytes=8192)
        ks = database.keyspace("plain", partitions=2)
        ks.put(b"key", b"value")
        written: list[Any] = []
        ended: list[Any] = []

        def work(number, database=database, ks=ks, written=written, ended=ended):
            chosen = list(uses.values()) if what == "mixture" else [uses[what]]
            try:
                for n in range(1 << 30):
                    chosen[n % len(chosen)](database, ks, (number, n))
                    if what in ("puts", "batches", "synced puts"):
                        written.append(b"%d-%d" % (number, n))
            except ClosedError:
                ended.append("closed")
            except Exception:
                ended.append(traceback.format_exc())

        threads = [threading.Thread(target=work, args=(100 * turn + n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        while ks.get(b"%d-3" % (100 * turn)) is None and what in ("puts", "batches", "synced puts", "flushes"):
            pass
        database.close()
        for thread in threads:
            thread.join()
        assert ended == ["closed"] * 4, "\n".join(ended)
        database = open_db()
        assert None not in database.keyspace("plain").get_many(written)
        database.close()


def batch_of_one(db, ks, n) -> None:
    with db.batch() as b:
        b.put(ks, b"%d-%d" % n, b"value")


def snapshot_read(db, ks) -> None:
    with db.snapshot() as s:
        assert s.get(ks, b"key") == b"value"
