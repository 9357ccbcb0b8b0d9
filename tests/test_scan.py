"""Scans: bounds, direction, limits and order, of plain and of composite keyspaces, in memory and on disk."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from model import KeyspaceModel, hash_rank, scaled, value_of

import lsm
from lsm.errors import ClosedError, InvalidArgumentError

PLACES = ["memtable", "one table", "many tables", "compacted"]


def fill(db, ks, pairs, where):
    """Stores the pairs so that they lie in memory, in one table, in several with memory above, or compacted."""
    parts = [pairs[n::4] for n in range(4)] if where in ("many tables", "compacted") else [pairs]
    for part in parts:
        ks.put_many(part)
        if (where != "memtable" and part is not parts[-1]) or where == "one table":
            db.flush()
    if where == "compacted":
        db.compact()


@pytest.fixture(scope="module", params=PLACES)
def where(request):
    return request.param


@pytest.fixture(scope="module")
def shared_db(where, tmp_path_factory):
    """A database for the tests that only read."""
    with lsm.open(tmp_path_factory.mktemp("shared") / "data") as database:
        yield database


@pytest.fixture(scope="module", params=[1, 5])
def letters(request, shared_db, where):
    """Keys a..j with their capitals as values, in one or in five partitions."""
    ks = shared_db.keyspace(f"letters {request.param}", partitions=request.param)
    fill(shared_db, ks, [(bytes([c]), bytes([c]).upper()) for c in b"hdbjafcgie"], where)
    return ks


def joined(keys) -> str:
    return b"".join(keys).decode()


# Bounds


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, "abcdefghij"),
        ({"start": b"c"}, "cdefghij"),
        ({"start": b"cc"}, "defghij"),
        ({"start": b""}, "abcdefghij"),
        ({"start": b"j"}, "j"),
        ({"start": b"k"}, ""),
        ({"stop": b"c"}, "ab"),
        ({"stop": b"c\x00"}, "abc"),
        ({"stop": b"a"}, ""),
        ({"stop": b""}, ""),
        ({"stop": b"\xff"}, "abcdefghij"),
        ({"start": b"c", "stop": b"f"}, "cde"),
        ({"start": b"c", "stop": b"c"}, ""),
        ({"start": b"f", "stop": b"c"}, ""),
        ({"prefix": b""}, "abcdefghij"),
        ({"prefix": b"c"}, "c"),
        ({"prefix": b"cc"}, ""),
        ({"prefix": b"z"}, ""),
        ({"limit": 0}, ""),
        ({"limit": 3}, "abc"),
        ({"limit": 10}, "abcdefghij"),
        ({"limit": 11}, "abcdefghij"),
        ({"limit": 2**63 - 1}, "abcdefghij"),
        ({"start": b"c", "stop": b"f", "limit": 2}, "cd"),
    ],
)
def test_bounds_select_forward(letters, bounds, expected):
    assert joined(letters.scan(**bounds, values=False)) == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, "jihgfedcba"),
        ({"start": b"c"}, "jihgfedc"),
        ({"stop": b"c"}, "ba"),
        ({"stop": b"c\x00"}, "cba"),
        ({"start": b"c", "stop": b"f"}, "edc"),
        ({"start": b"c", "stop": b"c"}, ""),
        ({"start": b"f", "stop": b"c"}, ""),
        ({"prefix": b"c"}, "c"),
        ({"limit": 3}, "jih"),
        ({"limit": 0}, ""),
        ({"start": b"c", "stop": b"f", "limit": 2}, "ed"),
        ({"stop": b"cc", "limit": 1}, "c"),
    ],
)
def test_start_is_included_and_stop_excluded_also_in_reverse(letters, bounds, expected):
    assert joined(letters.scan(**bounds, reverse=True, values=False)) == expected


def test_scan_gives_pairs_by_default(letters):
    assert list(letters.scan(start=b"c", stop=b"e")) == [(b"c", b"C"), (b"d", b"D")]


def test_scan_without_values_gives_keys(letters):
    assert list(letters.scan(start=b"c", stop=b"e", values=False)) == [b"c", b"d"]


def test_start_and_stop_may_be_positional(letters):
    assert list(letters.scan(b"c", b"e")) == [(b"c", b"C"), (b"d", b"D")]


def test_pairs_are_tuples_of_bytes(letters):
    for pair in letters.scan():
        assert type(pair) is tuple
        assert [type(part) for part in pair] == [bytes, bytes]


def test_prefix_and_bounds_apply_together(db, where):
    ks = db.keyspace("words")
    fill(db, ks, [(b"ab%d" % n, b"") for n in range(10)] + [(b"aa", b""), (b"b", b"")], where)
    assert list(ks.scan(start=b"ab3", prefix=b"ab", values=False)) == [b"ab%d" % n for n in range(3, 10)]
    assert list(ks.scan(stop=b"ab3", prefix=b"ab", values=False)) == [b"ab0", b"ab1", b"ab2"]
    assert list(ks.scan(start=b"a", stop=b"c", prefix=b"ab", limit=1, reverse=True, values=False)) == [b"ab9"]
    assert list(ks.scan(start=b"b", prefix=b"ab", values=False)) == []


@pytest.mark.parametrize("prefix", [b"\xff", b"\xff\xff", b"a\xff", b"\x00"])
@pytest.mark.parametrize("reverse", [False, True])
def test_prefix_that_has_no_successor_selects_to_the_end(db, where, prefix, reverse):
    ks = db.keyspace("edges")
    keys = [
        b"\x00",
        b"\x00\xff",
        b"a",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\xfe\xff",
        b"\xff",
        b"\xff\x00",
        b"\xff\xff",
        b"\xff" * 3,
    ]
    fill(db, ks, [(key, b"") for key in keys], where)
    expected = sorted((key for key in keys if key.startswith(prefix)), reverse=reverse)
    assert list(ks.scan(prefix=prefix, reverse=reverse, values=False)) == expected


def test_keys_come_in_byte_order_not_in_length_or_signed_order(db, where):
    ks = db.keyspace("order", partitions=3)
    keys = [
        b"\x7f",
        b"\x80",
        b"\x00",
        b"\xff",
        b"a",
        b"aa",
        b"a\x00",
        b"a\xff",
        b"b",
        b"B",
        b"aaaaaaaaaaaaaaaa",
        b"aaaaaaaaaaaaaaab",
        b"aaaaaaaaa",
    ]
    fill(db, ks, [(key, b"") for key in keys], where)
    assert list(ks) == sorted(keys)


def test_bound_longer_than_any_key_is_a_bound_like_others(letters):
    assert joined(letters.scan(start=b"c" * 1000, stop=b"f" + bytes(1000), values=False)) == "def"


# Random bounds against the oracle


@pytest.mark.parametrize("partitions", [1, 4])
def test_random_bounds_select_what_the_oracle_selects(tiny, partitions):
    rng = random.Random(partitions)
    ks, model = tiny.keyspace("random", partitions=partitions), KeyspaceModel()
    alphabet = [b"", b"\x00", b"a", b"b", b"\xff"]

    def word() -> bytes:
        return b"".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 7))) or b"x"

    for step in range(scaled(400)):
        key = word()
        if rng.random() < 0.25:
            ks.delete(key)
            model.data.pop(key, None)
        else:
            model.data[key] = value_of(step, rng.choice([0, 5, 60, 300]))
            ks.put(key, model.data[key])
        bounds: dict[str, Any] = {
            "start": rng.choice([None, word()]),
            "stop": rng.choice([None, word()]),
            "prefix": rng.choice([None, None, word()]),
            "reverse": rng.random() < 0.5,
            "limit": rng.choice([None, None, 1, 7]),
        }
        assert list(ks.scan(**bounds)) == model.scan(**bounds), bounds


# Merge order across partitions, memtables and tables


@pytest.mark.parametrize("partitions", [1, 2, 3, 16])
@pytest.mark.parametrize("reverse", [False, True])
def test_partitions_merge_into_key_order(tiny, partitions, reverse):
    ks = tiny.keyspace("merged", partitions=partitions)
    pairs = [(b"%05d" % n, value_of(n, 20)) for n in range(1000)]
    shuffled = random.Random(1).sample(pairs, len(pairs))
    for at in range(0, len(shuffled), 100):
        ks.put_many(shuffled[at : at + 100])
    assert list(ks.scan(reverse=reverse)) == sorted(pairs, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_newest_version_wins_wherever_the_versions_lie(tiny, reverse):
    ks = tiny.keyspace("versions", partitions=2)
    expected = {}
    rng = random.Random(5)
    for turn in range(12):
        for key in rng.sample(range(200), 120):
            expected[b"%03d" % key] = b"%d" % turn
            ks.put(b"%03d" % key, b"%d" % turn)
        if turn % 3 == 1:
            tiny.flush()
        if turn == 7:
            tiny.compact()
    assert list(ks.scan(reverse=reverse)) == sorted(expected.items(), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_deleted_keys_are_skipped_wherever_their_tombstones_lie(tiny, reverse):
    ks = tiny.keyspace("deleted")
    ks.put_many([(b"%04d" % n, b"value") for n in range(1000)])
    tiny.flush()
    for n in range(1000):
        if n % 10:
            ks.delete(b"%04d" % n)
    assert list(ks.scan(reverse=reverse, values=False)) == sorted(
        (b"%04d" % n for n in range(0, 1000, 10)), reverse=reverse
    )
    tiny.flush()
    assert joined(ks.scan(start=b"0001", limit=2, values=False)) == "00100020"


def test_limit_counts_live_records_only(db, where):
    ks = db.keyspace("limited")
    fill(db, ks, [(b"%03d" % n, b"") for n in range(100)], where)
    for n in range(50):
        ks.delete(b"%03d" % n)
    assert list(ks.scan(limit=2, values=False)) == [b"050", b"051"]


def test_scan_of_an_empty_keyspace_is_empty(db):
    ks = db.keyspace("empty", partitions=3)
    assert list(ks.scan()) == []
    assert list(ks.scan(reverse=True, prefix=b"x", limit=4)) == []


def test_scan_of_values_larger_than_blocks_gives_them_whole(tiny):
    ks = tiny.keyspace("large")
    pairs = [(b"%02d" % n, value_of(n, 1000 * n)) for n in range(30)]
    for pair in pairs:
        ks.put(*pair)
    tiny.flush()
    assert list(ks.scan()) == pairs
    assert list(ks.scan(reverse=True)) == pairs[::-1]


# The iterator itself


def test_scan_is_an_iterator(letters):
    scan = letters.scan(values=False)
    assert iter(scan) is scan
    assert next(scan) == b"a"
    assert next(scan) == b"b"
    assert joined(scan) == "cdefghij"


def test_exhausted_scan_stays_exhausted(letters):
    scan = letters.scan(limit=1)
    list(scan)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(scan)


def test_closed_scan_raises(letters):
    scan = letters.scan()
    next(scan)
    scan.close()
    scan.close()
    with pytest.raises(ClosedError):
        next(scan)


def test_scan_is_a_context_manager_that_closes(letters):
    with letters.scan(values=False) as scan:
        assert next(scan) == b"a"
    with pytest.raises(ClosedError):
        next(scan)


def test_scans_of_one_keyspace_are_independent(letters):
    scans = [
        letters.scan(values=False),
        letters.scan(values=False, reverse=True),
        letters.scan(start=b"e", values=False),
    ]
    first = [next(scan) for scan in scans]
    second = [next(scan) for scan in scans]
    assert (first, second) == ([b"a", b"j", b"e"], [b"b", b"i", b"f"])


def test_negative_limit_is_refused(letters):
    with pytest.raises(InvalidArgumentError):
        letters.scan(limit=-1)


# Composite keyspaces

PARTITION_KEYS = [b"user-%d" % n for n in range(40)] + [
    b"\x00",
    b"\x00\xff",
    b"\x00\x01",
    b"\xff",
    b"\xff\xff",
    b"u",
    b"us" * 50,
]
SORT_KEYS = [b"", b"\x00", b"\x00\x01", b"1", b"10", b"2", b"\xff", b"\xff\xff"]


@pytest.fixture(scope="module", params=[1, 4])
def collections(request, shared_db, where):
    """Every sort key under every partition key, in one or in four partitions."""
    ks = shared_db.keyspace(f"collections {request.param}", composite=True, partitions=request.param)
    pairs = [((pk, sk), pk + b"/" + sk) for pk, sk in itertools.product(PARTITION_KEYS, SORT_KEYS)]
    fill(shared_db, ks, random.Random(3).sample(pairs, len(pairs)), where)
    return ks


def test_every_collection_is_contiguous_and_ordered(collections):
    keys = list(collections.scan(values=False))
    groups = [(pk, [sk for _, sk in group]) for pk, group in itertools.groupby(keys, key=lambda key: key[0])]
    assert sorted(pk for pk, _ in groups) == sorted(PARTITION_KEYS)
    assert all(sort_keys == sorted(SORT_KEYS) for _, sort_keys in groups)


def test_collections_are_not_in_key_order_but_in_hash_order(collections):
    partition_keys = [pk for pk, _ in collections.scan(values=False)]
    assert partition_keys != sorted(partition_keys)


def test_hash_order_is_the_order_of_one_xxh64_seed(db):
    """No seed is public; two keyspaces of one database must agree on the order, whatever their partitions."""
    orders = []
    for partitions in (1, 3, 8):
        ks = db.keyspace(f"p{partitions}", composite=True, partitions=partitions)
        ks.put_many([((pk, b""), b"") for pk in PARTITION_KEYS])
        orders.append(list(ks))
    assert orders[0] == orders[1] == orders[2]


def test_hash_order_outlives_flush_compaction_and_reopen(open_db):
    database = open_db()
    ks = database.keyspace("stable", composite=True, partitions=4)
    ks.put_many([((pk, b"s"), b"") for pk in PARTITION_KEYS])
    order = list(ks)
    database.flush()
    assert list(ks) == order
    database.compact()
    assert list(ks) == order
    database.close()
    assert list(open_db().keyspace("stable")) == order


def test_reverse_scan_is_the_whole_order_reversed(collections):
    assert list(collections.scan(reverse=True)) == list(collections.scan())[::-1]


def test_items_of_composite_scans_are_pairs_of_bytes_and_a_value(collections):
    for key, value in collections.scan():
        assert type(key) is tuple
        assert value == key[0] + b"/" + key[1]


@pytest.mark.parametrize("pk", [b"user-7", b"\x00", b"\x00\xff", b"\xff", b"u", b"us" * 50])
@pytest.mark.parametrize("reverse", [False, True])
def test_partition_selects_one_collection_in_sort_key_order(collections, pk, reverse):
    expected = sorted(((pk, sk) for sk in SORT_KEYS), reverse=reverse)
    assert list(collections.scan(partition=pk, reverse=reverse, values=False)) == expected


@pytest.mark.parametrize(
    "bounds",
    [
        {"start": b"1"},
        {"start": b""},
        {"stop": b"1"},
        {"stop": b""},
        {"start": b"\x00", "stop": b"2"},
        {"start": b"2", "stop": b"\x00"},
        {"prefix": b"1"},
        {"prefix": b""},
        {"prefix": b"\xff"},
        {"prefix": b"\x00"},
        {"start": b"10", "limit": 2},
        {"limit": 0},
        {"limit": 3},
        {"stop": b"\xff", "limit": 1},
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_bounds_within_a_partition_are_sort_keys(collections, bounds, reverse):
    model = KeyspaceModel({b"user-7": 0})
    model.data = {(b"user-7", sk): b"user-7/" + sk for sk in SORT_KEYS}
    expected = model.scan(**bounds, reverse=reverse, partition=b"user-7")
    assert list(collections.scan(partition=b"user-7", **bounds, reverse=reverse)) == expected


def test_partition_without_records_scans_empty(collections):
    assert list(collections.scan(partition=b"user-")) == []
    assert list(collections.scan(partition=b"user-77", reverse=True)) == []


def test_limit_of_a_whole_scan_takes_from_the_end_where_it_starts(collections):
    order = list(collections.scan(values=False))
    assert list(collections.scan(limit=13, values=False)) == order[:13]
    assert list(collections.scan(limit=13, reverse=True, values=False)) == order[::-1][:13]


@pytest.mark.parametrize("reverse", [False, True])
def test_pairs_bound_a_whole_scan_in_hash_order(collections, reverse):
    order = list(collections.scan(values=False))
    low, high = order[30], order[200]
    for bounds, expected in [
        ({"start": low}, order[30:]),
        ({"stop": high}, order[:200]),
        ({"start": low, "stop": high}, order[30:200]),
        ({"start": high, "stop": low}, []),
        ({"start": (low[0], low[1] + b"\x00\x00"), "stop": high, "limit": 5}, None),
    ]:
        found = list(collections.scan(**bounds, reverse=reverse, values=False))
        if expected is None:
            place = next(
                n for n, key in enumerate(order) if n > 30 and (key[0] != low[0] or key[1] >= low[1] + b"\0\0")
            )
            expected = order[195:200] if reverse else order[place : place + 5]
        assert found == (expected[::-1] if reverse else expected)


def test_scan_resumed_after_each_page_gives_everything_once(collections):
    """A page ends at a pair; the next starts at the smallest pair above it."""
    order, seen, start = list(collections.scan()), [], None
    while page := list(collections.scan(start=start, limit=7)):
        seen.extend(page)
        start = (page[-1][0][0], page[-1][0][1] + b"\x00")
    assert seen == order


def test_partition_of_a_plain_keyspace_is_refused(db):
    with pytest.raises((InvalidArgumentError, TypeError)):
        db.keyspace("plain").scan(partition=b"p")


def test_empty_partition_is_refused(db):
    with pytest.raises(InvalidArgumentError):
        db.keyspace("composite", composite=True).scan(partition=b"")


def test_deleting_one_item_leaves_its_neighbours(collections):
    collections.delete((b"user-7", b"10"))
    expected = [(b"user-7", sk) for sk in sorted(SORT_KEYS) if sk != b"10"]
    assert list(collections.scan(partition=b"user-7", values=False)) == expected
    collections.put((b"user-7", b"10"), b"user-7/10")


def test_put_then_query_sees_the_item_at_once(tiny):
    ks = tiny.keyspace("query", composite=True, partitions=2)
    for n in range(300):
        pk = b"user-%d" % (n % 7)
        ks.put((pk, b"%05d" % n), b"%d" % n)
        assert next(ks.scan(partition=pk, reverse=True, limit=1)) == ((pk, b"%05d" % n), b"%d" % n)


def test_random_composite_bounds_select_what_the_oracle_selects(tiny):
    rng = random.Random(11)
    model = KeyspaceModel(hash_rank(tiny, PARTITION_KEYS[-12:]))
    ks = tiny.keyspace("random", composite=True, partitions=3)
    for step in range(scaled(400)):
        key = (rng.choice(PARTITION_KEYS[-12:]), rng.choice(SORT_KEYS) + rng.choice(SORT_KEYS))
        if rng.random() < 0.25:
            ks.delete(key)
            model.data.pop(key, None)
        else:
            model.data[key] = value_of(step, rng.choice([0, 5, 60, 300]))
            ks.put(key, model.data[key])
        bounds: dict[str, Any] = {"reverse": rng.random() < 0.5, "limit": rng.choice([None, 1, 7])}
        if rng.random() < 0.7:
            bounds["partition"] = rng.choice(PARTITION_KEYS[-12:])
            for name in ("start", "stop", "prefix"):
                bounds[name] = rng.choice([None, None, rng.choice(SORT_KEYS)])
        assert list(ks.scan(**bounds)) == model.scan(**bounds), bounds


@pytest.fixture
def segmented(any_db):
    keyspace = any_db.keyspace("c", composite=True, partitions=3)
    for number in range(60):
        for part in range(3):
            keyspace.put((b"%d" % number, b"%d" % part), b"v")
    return keyspace


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_segments_divide_a_composite_keyspace_in_hash_order(segmented, count):
    pages = [list(segmented.scan(values=False, segment=(index, count))) for index in range(count)]
    assert [key for page in pages for key in page] == list(segmented.scan(values=False))


def test_a_segment_is_the_sum_of_its_parts(segmented):
    index, whole = next((i, page) for i in range(1000) if (page := list(segmented.scan(segment=(i, 1000)))))
    parts = [segmented.scan(segment=(index * 1000 + part, 1_000_000)) for part in range(1000)]
    assert [entry for part in parts for entry in part] == whole


def test_a_segment_backwards_is_the_segment_reversed(segmented):
    forwards = list(segmented.scan(segment=(1, 3)))
    assert list(segmented.scan(segment=(1, 3), reverse=True)) == forwards[::-1]


def test_bounds_and_segment_together_give_what_lies_in_both(segmented):
    keys = list(segmented.scan(values=False, segment=(2, 4)))
    middle = keys[len(keys) // 2]
    assert list(segmented.scan(start=middle, values=False, segment=(2, 4))) == keys[len(keys) // 2 :]
    assert list(segmented.scan(stop=middle, values=False, segment=(2, 4))) == keys[: len(keys) // 2]


@pytest.mark.parametrize("segment", [(0, 0), (1, 1), (-1, 2), (2, 2), (0, 1 << 33)])
def test_segment_out_of_range_is_refused(segmented, segment):
    with pytest.raises(InvalidArgumentError, match="segment"):
        segmented.scan(segment=segment)


def test_segment_of_a_plain_keyspace_is_refused(db):
    with pytest.raises(InvalidArgumentError, match="composite"):
        db.keyspace("plain").scan(segment=(0, 2))


def test_segment_with_a_partition_is_refused(segmented):
    with pytest.raises(InvalidArgumentError, match="exclude"):
        segmented.scan(partition=b"1", segment=(0, 2))
