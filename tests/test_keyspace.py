"""One keyspace: put, get, delete, the mapping protocol, many at once, buffers, limits, and remembered options."""

from __future__ import annotations

import array
import mmap

import pytest
from model import TINY, value_of

from lsm.errors import InvalidArgumentError, KeyspaceDroppedError, KeyspaceOptionsError

KEY_LIMIT = 64 << 10
VALUE_LIMIT = 64 << 20


@pytest.fixture
def ks(any_db):
    return any_db.keyspace("plain")


@pytest.fixture
def composite(any_db):
    return any_db.keyspace("composite", composite=True)


# Put, get, delete


def test_get_returns_what_put_stored(ks):
    ks.put(b"key", b"value")
    assert ks.get(b"key") == b"value"


def test_get_returns_exactly_bytes(ks):
    ks.put(b"key", bytearray(b"value"))
    assert type(ks.get(b"key")) is bytes


def test_get_of_an_absent_key_is_none(ks):
    assert ks.get(b"absent") is None


def test_get_of_an_absent_key_gives_the_default_itself(ks):
    default = object()
    assert ks.get(b"absent", default) is default


def test_get_takes_the_default_by_name(ks):
    assert ks.get(b"absent", default=b"other") == b"other"


def test_get_ignores_the_default_when_the_value_is_empty(ks):
    ks.put(b"key", b"")
    assert ks.get(b"key", b"default") == b""


def test_put_overwrites(ks):
    ks.put(b"key", b"a long first value")
    ks.put(b"key", b"second")
    assert ks.get(b"key") == b"second"


def test_put_returns_growing_sequences(ks):
    first = ks.put(b"a", b"1")
    second = ks.put(b"a", b"2")
    assert isinstance(first, int)
    assert second > first


def test_delete_removes(ks):
    ks.put(b"key", b"value")
    ks.delete(b"key")
    assert ks.get(b"key") is None


def test_delete_returns_a_later_sequence(ks):
    put = ks.put(b"key", b"value")
    assert ks.delete(b"key") > put


def test_delete_of_an_absent_key_is_no_error(ks):
    assert isinstance(ks.delete(b"absent"), int)


def test_put_after_delete_brings_the_key_back(ks):
    ks.put(b"key", b"old")
    ks.delete(b"key")
    ks.put(b"key", b"new")
    assert ks.get(b"key") == b"new"


def test_deleted_key_stays_deleted_above_its_flushed_value(ks, any_db):
    ks.put(b"key", b"value")
    any_db.flush()
    ks.delete(b"key")
    assert ks.get(b"key") is None
    any_db.flush()
    assert ks.get(b"key") is None
    any_db.compact()
    assert ks.get(b"key") is None


@pytest.mark.parametrize("key", [b"\x00", b"\xff", b"\x00\x00", b"\xff" * 9, b"\x00\xff", b"k\x00", b"\n", b"x" * 300])
def test_keys_are_any_bytes(ks, any_db, key):
    ks.put(key, b"value of " + key)
    any_db.flush()
    assert ks.get(key) == b"value of " + key
    assert list(ks) == [key]


def test_keys_that_are_prefixes_of_each_other_are_apart(ks, any_db):
    keys = [b"a" * n for n in range(1, 40)]
    for n, key in enumerate(keys):
        ks.put(key, b"%d" % n)
    any_db.flush()
    assert [ks.get(key) for key in keys] == [b"%d" % n for n in range(len(keys))]
    assert ks.get(b"a" * 40) is None


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 4095, 4096, 4097, 65535, 65536, 1 << 20])
def test_values_of_any_length_come_back_whole(ks, any_db, length):
    value = value_of(1, length)
    ks.put(b"key", value)
    assert ks.get(b"key") == value
    any_db.flush()
    assert ks.get(b"key") == value


def test_keyspaces_do_not_see_each_other(any_db):
    a, b = any_db.keyspace("a"), any_db.keyspace("b")
    a.put(b"key", b"of a")
    b.put(b"key", b"of b")
    a.delete(b"key")
    assert (a.get(b"key"), b.get(b"key")) == (None, b"of b")


def test_two_handles_of_one_keyspace_see_the_same(any_db):
    any_db.keyspace("name").put(b"key", b"value")
    assert any_db.keyspace("name").get(b"key") == b"value"


def test_partitioned_keyspace_finds_every_key(any_db):
    ks = any_db.keyspace("spread", partitions=7)
    keys = [b"key-%d" % n for n in range(500)]
    for key in keys:
        ks.put(key, key[::-1])
    any_db.flush()
    assert [ks.get(key) for key in keys] == [key[::-1] for key in keys]


# Composite keys


def test_composite_keys_are_pairs(composite):
    composite.put((b"user", b"42"), b"value")
    assert composite.get((b"user", b"42")) == b"value"
    assert composite.get((b"user", b"43")) is None


def test_composite_key_parts_do_not_run_together(composite):
    composite.put((b"ab", b"c"), b"1")
    composite.put((b"a", b"bc"), b"2")
    composite.put((b"abc", b""), b"3")
    assert [composite.get(key) for key in [(b"ab", b"c"), (b"a", b"bc"), (b"abc", b"")]] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("pk", [b"\x00", b"\x00\x00", b"\x00\xff", b"\x00\x01", b"a\x00b", b"\xff\xff"])
@pytest.mark.parametrize("sk", [b"", b"\x00", b"\x01", b"\xff"])
def test_composite_keys_are_any_bytes(composite, pk, sk):
    composite.put((pk, sk), b"value")
    composite.put((pk + b"\x00", sk), b"other")
    assert composite.get((pk, sk)) == b"value"
    assert sorted(composite.scan(values=False)) == sorted([(pk, sk), (pk + b"\x00", sk)])


def test_composite_key_may_be_a_subclass_of_tuple(composite):
    from typing import NamedTuple

    class Pair(NamedTuple):
        partition: bytes
        sort: bytes

    composite.put(Pair(b"p", b"s"), b"value")
    assert composite.get((b"p", b"s")) == b"value"


# The mapping protocol


def test_subscription_puts_and_gets(ks):
    ks[b"key"] = b"value"
    assert ks[b"key"] == b"value"


def test_subscription_of_an_absent_key_raises_key_error_with_the_key(ks):
    with pytest.raises(KeyError) as caught:
        ks[b"absent"]
    assert caught.value.args == (b"absent",)


def test_subscription_of_an_absent_composite_key_raises_key_error_with_the_pair(composite):
    with pytest.raises(KeyError) as caught:
        composite[b"p", b"s"]
    assert caught.value.args == ((b"p", b"s"),)


def test_del_removes(ks):
    ks[b"key"] = b"value"
    del ks[b"key"]
    assert b"key" not in ks


def test_del_of_an_absent_key_raises_key_error(ks):
    with pytest.raises(KeyError) as caught:
        del ks[b"absent"]
    assert caught.value.args == (b"absent",)


def test_in_tells_presence(ks):
    ks[b"key"] = b""
    assert b"key" in ks
    assert b"other" not in ks


def test_iteration_gives_keys_in_order(ks):
    for key in [b"b", b"c", b"a"]:
        ks[key] = b""
    assert list(ks) == [b"a", b"b", b"c"]


def test_keys_and_items_are_in_key_order(ks):
    for key in [b"b", b"c", b"a"]:
        ks[key] = key.upper()
    assert list(ks.keys()) == [b"a", b"b", b"c"]
    assert list(ks.items()) == [(b"a", b"A"), (b"b", b"B"), (b"c", b"C")]


def test_composite_keyspace_is_a_mapping_of_pairs(composite):
    composite[b"p", b"2"] = b"two"
    composite[b"p", b"1"] = b"one"
    assert (b"p", b"1") in composite
    assert list(composite) == [(b"p", b"1"), (b"p", b"2")]
    assert list(composite.items()) == [((b"p", b"1"), b"one"), ((b"p", b"2"), b"two")]
    del composite[b"p", b"1"]
    assert list(composite.keys()) == [(b"p", b"2")]


def test_len_counts_exactly(ks):
    for n in range(50):
        ks[b"%d" % n] = b""
        ks[b"%d" % (n // 2)] = b"again"
    del ks[b"7"]
    assert len(ks) == 49


def test_empty_keyspace_is_false_and_a_filled_one_true(ks):
    assert not ks
    ks[b"key"] = b""
    assert ks
    del ks[b"key"]
    assert not ks


def test_dict_of_items_equals_a_dict(ks):
    expected = {b"%d" % n: value_of(n, n) for n in range(100)}
    for key, value in expected.items():
        ks[key] = value
    assert dict(ks.items()) == expected


# Many at once


def test_put_many_stores_every_pair(ks):
    ks.put_many([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    assert list(ks.items()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]


def test_put_many_is_one_commit(ks, any_db):
    before = ks.put(b"key", b"")
    sequence = ks.put_many([(b"%d" % n, b"") for n in range(100)])
    assert sequence == before + 1
    assert any_db.last_sequence == sequence


def test_put_many_keeps_the_last_of_equal_keys(ks):
    ks.put_many([(b"key", b"first"), (b"key", b"second")])
    assert ks.get(b"key") == b"second"
    assert list(ks) == [b"key"]


def test_put_many_takes_any_iterable_of_pairs(ks):
    ks.put_many((b"%d" % n, b"v") for n in range(3))
    ks.put_many({b"a": b"1"}.items())
    ks.put_many([[b"list", b"pair"]])
    assert list(ks) == [b"0", b"1", b"2", b"a", b"list"]


def test_put_many_of_nothing_changes_nothing(ks):
    ks.put(b"key", b"value")
    ks.put_many([])
    ks.put_many(iter(()))
    assert list(ks.items()) == [(b"key", b"value")]


def test_put_many_with_one_bad_pair_stores_none(ks):
    with pytest.raises(InvalidArgumentError):
        ks.put_many([(b"a", b"1"), (b"", b"2"), (b"c", b"3")])
    with pytest.raises(TypeError):
        ks.put_many([(b"a", b"1"), (b"b", "text")])
    assert list(ks) == []


def test_put_many_larger_than_every_buffer_is_whole(ks, any_db):
    pairs = [(b"%06d" % n, value_of(n, 100)) for n in range(3000)]
    ks.put_many(reversed(pairs))
    assert list(ks.items()) == pairs
    any_db.flush()
    assert list(ks.items()) == pairs


def test_get_many_answers_in_the_order_asked(ks):
    ks.put_many([(b"a", b"1"), (b"b", b"2")])
    assert ks.get_many([b"b", b"absent", b"a", b"b"]) == [b"2", None, b"1", b"2"]


def test_get_many_of_nothing_is_empty(ks):
    assert ks.get_many([]) == []


def test_get_many_takes_any_iterable(ks):
    ks.put(b"a", b"1")
    assert ks.get_many(key for key in (b"a", b"b")) == [b"1", None]


def test_get_many_finds_keys_in_memory_and_in_tables(ks, any_db):
    keys = [b"%04d" % n for n in range(600)]
    for part in range(3):
        ks.put_many([(key, key * 3) for key in keys[part::3]])
        if part < 2:
            any_db.flush()
    assert ks.get_many(keys) == [key * 3 for key in keys]


def test_many_on_composite_keyspaces_take_pairs(composite):
    composite.put_many([((b"p", b"1"), b"one"), ((b"q", b""), b"two")])
    assert composite.get_many([(b"q", b""), (b"p", b"2"), (b"p", b"1")]) == [b"two", None, b"one"]


# Anything with the buffer protocol


def buffers(content: bytes) -> list[object]:
    mapped = mmap.mmap(-1, len(content))
    mapped[:] = content
    return [
        bytearray(content),
        memoryview(content),
        memoryview(bytearray(b"--" + content + b"--"))[2:-2],
        array.array("B", content),
        mapped,
    ]


@pytest.mark.parametrize("kind", range(5))
def test_keys_and_values_may_be_any_contiguous_buffer(ks, kind):
    ks.put(buffers(b"a key")[kind], buffers(b"a value")[kind])
    assert list(ks.items()) == [(b"a key", b"a value")]
    assert ks.get(buffers(b"a key")[kind]) == b"a value"
    assert buffers(b"a key")[kind] in ks
    assert ks.get_many([buffers(b"a key")[kind]]) == [b"a value"]
    assert list(ks.scan(prefix=buffers(b"a ")[kind], values=False)) == [b"a key"]
    ks.delete(buffers(b"a key")[kind])
    assert ks.get(b"a key") is None


@pytest.mark.parametrize("kind", range(5))
def test_parts_of_composite_keys_may_be_buffers(composite, kind):
    composite.put((buffers(b"pk")[kind], buffers(b"sk")[kind]), b"value")
    assert composite.get((b"pk", b"sk")) == b"value"
    assert list(composite.scan(partition=buffers(b"pk")[kind])) == [((b"pk", b"sk"), b"value")]


def test_items_wider_than_a_byte_are_stored_as_their_bytes(ks):
    numbers = array.array("d", [1.5, -2.0])
    ks.put(b"key", numbers)
    assert ks.get(b"key") == numbers.tobytes()


def test_subclass_of_bytes_is_taken_as_bytes(ks):
    class Name(bytes):
        def __len__(self) -> int:
            return 1 << 40

    ks.put(Name(b"key"), Name(b"value"))
    assert list(ks.items()) == [(b"key", b"value")]


def test_later_change_of_a_buffer_does_not_reach_the_store(ks):
    key, value = bytearray(b"key"), bytearray(b"value")
    ks.put(key, value)
    key[:], value[:] = b"yek", b"eulav"
    assert list(ks.items()) == [(b"key", b"value")]


def test_buffers_are_released_after_the_call(ks):
    key, value = bytearray(b"key"), bytearray(b"value")
    ks.put(key, value)
    ks.get(key)
    ks.put_many([(key, value)])
    ks.get_many([key])
    list(ks.scan(start=key, stop=key))
    key.extend(b"grows: nothing holds an export")
    value.clear()


def test_buffer_of_a_refused_call_is_released(ks):
    key = bytearray(b"key")
    with pytest.raises(TypeError):
        ks.put(key, "text")
    key.clear()


def test_strided_buffer_is_refused_or_stored_as_its_bytes(ks):
    view = memoryview(b"a-b-c")[::2]
    try:
        ks.put(b"key", view)
    except (BufferError, TypeError, ValueError):
        assert b"key" not in ks
    else:
        assert ks.get(b"key") == b"abc"


# Limits


def test_longest_key_is_stored_and_found(ks, any_db):
    key = value_of(1, KEY_LIMIT)
    ks.put(key, b"value")
    any_db.flush()
    assert ks.get(key) == b"value"
    assert list(ks) == [key]


def test_key_of_all_zero_bytes_and_the_longest_length_is_stored_in_a_composite_keyspace(composite, any_db):
    key = (bytes(KEY_LIMIT), b"")
    composite.put(key, b"value")
    any_db.flush()
    assert composite.get(key) == b"value"
    assert list(composite) == [key]


def test_longest_sort_key_is_stored(composite, any_db):
    key = (b"p", b"\xff" * (KEY_LIMIT - 1))
    composite.put(key, b"value")
    any_db.flush()
    assert list(composite.items()) == [(key, b"value")]


def test_key_over_the_limit_is_refused(ks):
    with pytest.raises(InvalidArgumentError, match=r"65,?536|64 KiB"):
        ks.put(bytes(KEY_LIMIT + 1), b"")
    assert not list(ks)


def test_composite_key_over_the_limit_in_total_is_refused(composite):
    with pytest.raises(InvalidArgumentError):
        composite.put((bytes(KEY_LIMIT - 10), bytes(11)), b"")
    assert not list(composite)


def test_empty_key_is_refused(ks):
    with pytest.raises(InvalidArgumentError):
        ks.put(b"", b"value")


def test_empty_partition_key_is_refused(composite):
    with pytest.raises(InvalidArgumentError):
        composite.put((b"", b"sort"), b"value")


def test_largest_value_is_stored_and_outlives_a_reopen(open_db, path):
    value = bytes(1 << 20) * 63 + value_of(1, 1 << 20)
    database = open_db(path)
    ks = database.keyspace("large")
    ks.put(b"key", value)
    ks.put(b"next", b"small")
    assert ks.get(b"key") == value
    database.close()
    ks = open_db(path).keyspace("large")
    assert ks.get(b"key") == value
    assert ks.get(b"next") == b"small"


def test_value_over_the_limit_is_refused(db):
    ks = db.keyspace("large")
    with pytest.raises(InvalidArgumentError):
        ks.put(b"key", bytes(VALUE_LIMIT + 1))
    assert ks.get(b"key") is None
    ks.put(b"key", b"goes on")
    assert ks.get(b"key") == b"goes on"


# Keyspaces: created, listed, dropped, remembered


def test_new_database_has_no_keyspaces(any_db):
    assert list(any_db.keyspaces()) == []


def test_keyspaces_are_listed(any_db):
    for name in ["b", "a", "ä keyspace / with: everything"]:
        any_db.keyspace(name)
    assert sorted(any_db.keyspaces()) == sorted(["a", "b", "ä keyspace / with: everything"])


def test_keyspaces_outlive_a_reopen(open_db):
    first = open_db()
    first.keyspace("empty")
    first.keyspace("ключ", partitions=3).put(b"key", b"value")
    first.close()
    second = open_db()
    assert sorted(second.keyspaces()) == ["empty", "ключ"]
    assert second.keyspace("ключ").get(b"key") == b"value"


def test_dropped_keyspace_is_gone_from_the_list(any_db):
    any_db.keyspace("a")
    any_db.keyspace("b")
    any_db.drop_keyspace("a")
    assert list(any_db.keyspaces()) == ["b"]


def test_dropping_an_unknown_keyspace_raises_key_error_with_the_name(any_db):
    with pytest.raises(KeyError) as caught:
        any_db.drop_keyspace("unknown")
    assert "unknown" in str(caught.value)


def test_name_of_a_dropped_keyspace_is_empty_when_used_again(any_db):
    any_db.keyspace("name").put(b"old", b"value")
    any_db.flush()
    any_db.keyspace("name").put(b"older", b"in memory")
    any_db.drop_keyspace("name")
    again = any_db.keyspace("name", composite=True, partitions=2)
    assert list(again) == []
    again.put((b"new", b""), b"value")
    assert list(again) == [(b"new", b"")]


def test_dropped_keyspace_stays_dropped_and_its_successor_stays_after_a_reopen(open_db):
    first = open_db(**TINY)
    first.keyspace("name").put_many([(b"%d" % n, b"old") for n in range(500)])
    first.keyspace("gone").put(b"key", b"value")
    first.drop_keyspace("name")
    first.drop_keyspace("gone")
    first.keyspace("name").put(b"key", b"new")
    first.close()
    second = open_db(**TINY)
    assert list(second.keyspaces()) == ["name"]
    assert list(second.keyspace("name").items()) == [(b"key", b"new")]


@pytest.mark.parametrize(
    "use",
    [
        lambda ks: ks.put(b"k", b"v"),
        lambda ks: ks.get(b"k"),
        lambda ks: ks.delete(b"k"),
        lambda ks: ks.put_many([(b"k", b"v")]),
        lambda ks: ks.get_many([b"k"]),
        lambda ks: list(ks.scan()),
        lambda ks: list(ks),
        lambda ks: b"k" in ks,
        lambda ks: ks[b"k"],
        lambda ks: len(ks),
    ],
)
def test_handle_of_a_dropped_keyspace_raises(any_db, use):
    ks = any_db.keyspace("name")
    any_db.drop_keyspace("name")
    with pytest.raises(KeyspaceDroppedError):
        use(ks)
    any_db.keyspace("name")
    with pytest.raises(KeyspaceDroppedError):
        use(ks)


def test_options_are_remembered_within_a_database(any_db):
    any_db.keyspace("c", composite=True, partitions=3)
    ks = any_db.keyspace("c")
    ks.put((b"p", b"s"), b"value")
    assert list(ks) == [(b"p", b"s")]


def test_options_are_remembered_across_a_reopen(open_db):
    first = open_db()
    first.keyspace("c", composite=True, partitions=3).put((b"p", b"s"), b"value")
    first.close()
    second = open_db()
    assert list(second.keyspace("c")) == [(b"p", b"s")]
    second.keyspace("c", composite=True, partitions=3)
    with pytest.raises(KeyspaceOptionsError):
        second.keyspace("c", partitions=4)


def test_other_partition_count_than_remembered_is_refused(any_db):
    any_db.keyspace("p", partitions=4)
    with pytest.raises(KeyspaceOptionsError, match="4"):
        any_db.keyspace("p", partitions=2)


def test_composite_use_of_a_plain_keyspace_is_refused(any_db):
    any_db.keyspace("p")
    with pytest.raises(KeyspaceOptionsError, match=r"composite|plain"):
        any_db.keyspace("p", composite=True)


def test_same_options_again_are_accepted(any_db):
    any_db.keyspace("p", partitions=4, composite=True)
    any_db.keyspace("p", partitions=4)
    any_db.keyspace("p", composite=True)


# Approximations


def test_approximate_count_is_near_the_truth_after_compaction(any_db):
    ks = any_db.keyspace("counted")
    ks.put_many([(b"%05d" % n, b"value") for n in range(2000)])
    any_db.compact()
    assert 1000 <= ks.approximate_count() <= 4000


def test_approximate_count_sees_records_in_memory(any_db):
    ks = any_db.keyspace("counted", partitions=3)
    assert ks.approximate_count() == 0
    ks.put_many([(b"%05d" % n, b"value") for n in range(100)])
    assert 50 <= ks.approximate_count() <= 200


def test_approximate_bytes_grow_with_the_range(any_db):
    ks = any_db.keyspace("sized")
    ks.put_many([(b"%05d" % n, value_of(2 * n + 1, 1000)) for n in range(1000)])
    any_db.compact()
    whole, half = ks.approximate_bytes(None, None), ks.approximate_bytes(b"00000", b"00500")
    assert 500_000 <= whole <= 2_000_000
    assert 0.3 * whole <= half <= 0.7 * whole
    assert ks.approximate_bytes(b"x", b"y") <= 0.1 * whole
