"""Versions, version edits and their bytes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.directory import manifest_name, parse, segment_name, table_name
from lsm.errors import UnsupportedVersionError
from lsm.version import (
    DatabaseVersion,
    KeyspaceCreated,
    KeyspaceOptions,
    PartitionFlushed,
    PartitionVersion,
    TableAdded,
    TableMeta,
    TableRemoved,
    VersionBuilder,
    VersionEdit,
    VersionError,
    hash_bounds,
    overlapping,
    partition_of,
)
from lsm.version_edit import MUST_UNDERSTAND, EditFormatError, Tag

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
keys = st.binary(max_size=40)

tables = st.builds(
    TableMeta, u64, u64, u64, u64, u64, u64, u64, u64, u64, keys, keys,
    salt=u64, codec=st.integers(0, 255), flags=st.integers(0, 65535), shadowed=u64,
    low=st.none() | keys, high=st.none() | keys, hash_low=u64, hash_high=u64,
)  # fmt: skip
option_values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10)
option_sets = st.dictionaries(st.text(max_size=10), option_values, max_size=3)
edits = st.builds(
    VersionEdit,
    database_id=st.none() | st.binary(min_size=16, max_size=16),
    hash_seed=st.none() | u64,
    epoch=st.none() | u64,
    next_file_number=st.none() | u64,
    next_keyspace_id=st.none() | u64,
    wal_start=st.none() | u64,
    last_sequence=st.none() | u64,
    closed=st.booleans(),
    created=st.lists(
        st.builds(KeyspaceCreated, u64, st.text(max_size=20), st.booleans(), u32, u64, option_sets), max_size=3
    ).map(tuple),
    options=st.lists(st.builds(KeyspaceOptions, u64, option_sets), max_size=2).map(tuple),
    removed=st.lists(st.builds(TableRemoved, u64, u32, u64), max_size=3).map(tuple),
    added=st.lists(st.builds(TableAdded, u64, u32, st.integers(0, 255), tables), max_size=3).map(tuple),
    flushed=st.lists(st.builds(PartitionFlushed, u64, u32, u64), max_size=3).map(tuple),
    dropped=st.lists(u64, max_size=3).map(tuple),
)


def table(number: int, smallest: bytes = b"a", largest: bytes = b"z", seqs: tuple[int, int] = (1, 1)) -> TableMeta:
    return TableMeta(number, 1000, 10, 0, 1000, seqs[0], seqs[1], 0, 0, smallest, largest)


def added(level: int, *new: TableMeta) -> VersionEdit:
    return VersionEdit(added=tuple(TableAdded(1, 0, level, t) for t in new))


def database(*extra: VersionEdit) -> DatabaseVersion:
    version = DatabaseVersion().apply(VersionEdit(database_id=b"i" * 16, created=(KeyspaceCreated(1, "events"),)))
    for edit in extra:
        version = version.apply(edit)
    return version


def numbers(partition: PartitionVersion) -> list[list[int]]:
    return [[t.number for t in level] for level in partition.levels]


@given(edits)
def test_decode_returns_what_was_encoded(edit: VersionEdit) -> None:
    assert VersionEdit.decode(edit.encode()) == edit


@given(st.binary(max_size=200))
def test_decode_of_any_bytes_returns_or_raises_its_own_errors(data: bytes) -> None:
    with contextlib.suppress(EditFormatError, UnsupportedVersionError):
        assert isinstance(VersionEdit.decode(data), VersionEdit)


@given(edits, st.data())
def test_a_cut_edit_is_refused_or_decodes_to_its_whole_fields(edit: VersionEdit, data: st.DataObject) -> None:
    encoded = edit.encode()
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    with contextlib.suppress(EditFormatError):
        assert VersionEdit.decode(cut).encode() == cut


def test_an_unknown_field_below_the_boundary_is_skipped() -> None:
    assert VersionEdit.decode(bytes([MUST_UNDERSTAND - 1, 3]) + b"new" + VersionEdit(epoch=7).encode()) == VersionEdit(
        epoch=7
    )


def test_an_unknown_field_from_the_boundary_on_is_refused_by_name_of_the_file() -> None:
    with pytest.raises(UnsupportedVersionError, match="MANIFEST-000009") as refused:
        VersionEdit.decode(bytes([127, 3]) + b"new", "MANIFEST-000009")
    assert (refused.value.found, refused.value.supported) == (2, 1)


def test_a_field_that_a_later_release_lengthened_is_read() -> None:
    encoded = VersionEdit(flushed=(PartitionFlushed(1, 2, 3),)).encode()
    longer = bytes([encoded[0], encoded[1] + 4]) + encoded[2:] + b"more"
    assert VersionEdit.decode(longer).flushed == (PartitionFlushed(1, 2, 3),)


def test_tags_keep_their_numbers() -> None:
    assert {tag.name: int(tag) for tag in Tag} == {
        "LAST_SEQUENCE": 1, "CLOSED": 2, "WAL_START_SEQUENCE": 3, "DATABASE_ID": 64, "HASH_SEED": 65, "EPOCH": 66,
        "NEXT_FILE_NUMBER": 67, "NEXT_KEYSPACE_ID": 68, "WAL_START": 69, "KEYSPACE_CREATED": 70, "KEYSPACE_OPTIONS": 71,
        "KEYSPACE_DROPPED": 72, "TABLE_REMOVED": 73, "TABLE_ADDED": 74, "PARTITION_FLUSHED": 75,
    }  # fmt: skip


def test_level_0_is_newest_first() -> None:
    version = database(added(0, table(5, seqs=(1, 4))), added(0, table(4, seqs=(5, 9))))
    assert numbers(version.keyspaces[1].partitions[0]) == [[4, 5]]


def test_level_0_refuses_tables_that_overlap_in_keys_and_sequences() -> None:
    with pytest.raises(VersionError, match="tables 6 and 5 of level 0"):
        database(added(0, table(5, seqs=(1, 4)), table(6, seqs=(4, 9))))


def test_level_0_takes_tables_of_one_flush_that_share_sequences_and_no_key() -> None:
    version = database(added(0, table(5, b"a", b"f", (1, 4)), table(6, b"g", b"z", (2, 9))))
    assert version.table_numbers() == {5, 6}


def test_deeper_levels_are_in_key_order() -> None:
    version = database(added(1, table(5, b"m", b"p"), table(6, b"a", b"c")))
    assert numbers(version.keyspaces[1].partitions[0]) == [[], [6, 5]]


def test_deeper_levels_refuse_overlap() -> None:
    with pytest.raises(VersionError, match="tables 6 and 5 of level 1 overlap"):
        database(added(1, table(5, b"c", b"p"), table(6, b"a", b"c")))


def test_references_to_parts_of_one_range_lie_side_by_side() -> None:
    left = TableMeta(5, 9, 9, 0, 9, 1, 1, 0, 0, b"a", b"z", high=b"m")
    right = TableMeta(6, 9, 9, 0, 9, 1, 1, 0, 0, b"a", b"z", low=b"m")
    partition = database(added(1, right, left)).keyspaces[1].partitions[0]
    assert numbers(partition) == [[], [5, 6]]
    assert (left.first, left.end, right.first, right.end) == (b"a", b"m", b"m", b"z\0")


def test_a_reference_without_keys_between_its_bounds_is_refused() -> None:
    with pytest.raises(VersionError, match="table 5 holds no key"):
        database(added(1, TableMeta(5, 9, 9, 0, 9, 1, 1, 0, 0, b"a", b"c", low=b"x")))


def test_a_table_moves_between_levels_in_one_edit() -> None:
    moved = table(5)
    version = database(
        added(0, moved), VersionEdit(removed=(TableRemoved(1, 0, 5),), added=(TableAdded(1, 0, 3, moved),))
    )
    assert numbers(version.keyspaces[1].partitions[0]) == [[], [], [], [5]]


def test_empty_levels_at_the_bottom_go() -> None:
    version = database(added(3, table(5)), VersionEdit(removed=(TableRemoved(1, 0, 5),)))
    assert version.keyspaces[1].partitions[0].levels == ((),)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (VersionEdit(removed=(TableRemoved(1, 0, 9),)), "no table 9"),
        (VersionEdit(removed=(TableRemoved(2, 0, 9),)), "no keyspace 2"),
        (VersionEdit(removed=(TableRemoved(1, 1, 9),)), "none is number 1"),
        (VersionEdit(dropped=(2,)), "no keyspace 2"),
        (VersionEdit(created=(KeyspaceCreated(1, "other"),)), "exists already"),
        (VersionEdit(created=(KeyspaceCreated(2, "events"),)), "exists already"),
        (VersionEdit(created=(KeyspaceCreated(2, "b", partitions=0),)), "0 partitions"),
        (VersionEdit(epoch=2), "epoch goes back from 3 to 2"),
        (VersionEdit(wal_start=3), "wal_start goes back from 4 to 3"),
        (VersionEdit(database_id=b"short"), "16 bytes"),
        (added(7, table(5)), "at level 7"),
        (added(1, table(5), table(5)), "table 5 already"),
    ],
)
def test_a_contradicting_edit_is_refused(edit: VersionEdit, message: str) -> None:
    version = database(VersionEdit(epoch=3, wal_start=4))
    with pytest.raises(VersionError, match=message):
        version.apply(edit)
    assert version == database(VersionEdit(epoch=3, wal_start=4))


def test_a_lower_next_number_that_comes_late_is_old_news() -> None:
    late = VersionEdit(next_file_number=9, next_keyspace_id=1, last_sequence=5)
    version = database(VersionEdit(next_file_number=10, last_sequence=6), late)
    assert (version.next_file_number, version.next_keyspace_id, version.last_sequence) == (10, 2, 6)


def test_flushed_sequence_never_goes_back() -> None:
    version = database(VersionEdit(flushed=(PartitionFlushed(1, 0, 8),)))
    with pytest.raises(VersionError, match="not back to 7"):
        version.apply(VersionEdit(flushed=(PartitionFlushed(1, 0, 7),)))


def test_a_dropped_name_may_be_used_again_and_its_id_may_not() -> None:
    version = database(VersionEdit(dropped=(1,)))
    assert version.next_keyspace_id == 2
    assert version.apply(VersionEdit(created=(KeyspaceCreated(2, "events"),))).keyspaces[2].name == "events"


def test_tables_of_a_dropped_keyspace_are_not_needed() -> None:
    assert database(added(0, table(5)), VersionEdit(dropped=(1,))).table_numbers() == set()


def test_next_file_number_stays_above_every_table() -> None:
    assert database(added(0, table(41))).next_file_number == 42


def test_the_clean_close_mark_holds_until_the_next_edit() -> None:
    closed = database(VersionEdit(closed=True))
    assert (closed.closed, closed.apply(VersionEdit(epoch=2)).closed) == (True, False)


def test_apply_shares_untouched_partitions() -> None:
    before = database(VersionEdit(created=(KeyspaceCreated(2, "b", partitions=2),)))
    after = before.apply(added(0, table(5)))
    assert after.keyspaces[2] is before.keyspaces[2]
    assert before.keyspaces[1].partitions[0].levels == ((),)


def test_a_partition_applies_only_what_concerns_it() -> None:
    partition = PartitionVersion(1, 0)
    edit = VersionEdit(
        added=(TableAdded(1, 0, 0, table(5)), TableAdded(1, 1, 0, table(6))), flushed=(PartitionFlushed(1, 0, 9),)
    )
    assert numbers(partition.apply(edit)) == [[5]]
    assert partition.apply(edit).flushed_seq == 9


def test_a_snapshot_edit_makes_the_same_version_out_of_nothing() -> None:
    orders = KeyspaceCreated(7, "orders", True, 4, 2, {"x": 1})
    in_orders = (TableAdded(7, 2, 0, table(5)), TableAdded(7, 2, 4, table(6)))
    version = database(
        VersionEdit(hash_seed=5, epoch=3, wal_start=8, last_sequence=99, created=(orders,)),
        VersionEdit(added=in_orders, flushed=(PartitionFlushed(7, 2, 9),)),
        VersionEdit(closed=True),
    )
    builder = VersionBuilder()
    builder.apply(VersionEdit.decode(version.snapshot().encode()))
    assert builder.build() == version


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000, 65536])
def test_every_hash_has_the_partition_whose_bounds_hold_it(count: int) -> None:
    assert hash_bounds(0, count)[0] == 0
    assert hash_bounds(count - 1, count)[1] == 2**64
    for index in {0, 1, count // 2, count - 1} & set(range(count)):
        low, high = hash_bounds(index, count)
        assert partition_of(low, count) == partition_of(high - 1, count) == index
        assert index == count - 1 or hash_bounds(index + 1, count)[0] == high


def test_overlapping_finds_the_run_that_meets_a_range() -> None:
    level = (table(1, b"b", b"d"), table(2, b"f", b"h"), table(3, b"k", b"m"))
    found = {
        span: [t.number for t in overlapping(level, *span)]
        for span in [(b"a", b"b"), (b"a", b"b\0"), (b"d", b"f"), (b"d\0", b"f"), (b"e", b"z"), (b"m\0", b"z")]
    }
    assert found == {
        (b"a", b"b"): [], (b"a", b"b\0"): [1], (b"d", b"f"): [1], (b"d\0", b"f"): [], (b"e", b"z"): [2, 3],
        (b"m\0", b"z"): [],
    }  # fmt: skip


@given(st.integers(0, 2**64 - 1))
def test_parse_inverts_the_names_of_numbered_files(number: int) -> None:
    assert parse(manifest_name(number)) == ("manifest", number)
    assert parse(segment_name(number)) == ("segment", number)
    assert parse(table_name(number)) == ("table", number)


@pytest.mark.parametrize("name", ["0000001.table", "1.table", "000001.sst", "manifest-000001", "CURRENT.tmp", "x"])
def test_other_files_have_no_kind(name: str) -> None:
    assert parse(name) is None
