"""docs/format/keys.md against what a database really writes: engine keys, hashes, partitions, sequence numbers."""

from __future__ import annotations

import random
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

import lsm
from lsm import table_doors, wal_changes
from lsm.bloom import Filter
from lsm.keyspace_record import KEYSPACE_CREATED, KeyspaceRecord
from lsm.manifest import Manifest
from lsm.posix_files import PosixFileSystem
from lsm.version import DatabaseVersion
from lsm.wal_recovery import scan_log

ROOT = Path(__file__).parent.parent
DOC = (ROOT / "docs/format/keys.md").read_text()
COUNTER_BITS = 44

# few different bytes, those that the encoding treats apart among them: prefixes and ties are common
parts = st.lists(st.sampled_from([0, 1, 0x61, 0xFE, 0xFF]), max_size=4).map(bytes)
pairs = st.tuples(parts.filter(len), parts)


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading or a column title, without header and rule."""
    text = DOC.split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table[0].splitlines()]
    return [row for row in cells if not set(row[0]) <= {"-"}]


def unhex(cell: str) -> bytes:
    return bytes.fromhex(cell.replace("`", ""))


def escaped(partition_key: bytes) -> bytes:
    return partition_key.replace(b"\0", b"\0\xff") + b"\0\x01"


def version_of(path: Path) -> DatabaseVersion:
    version, manifest = Manifest.load(PosixFileSystem(), str(path), read_only=True)
    manifest.close()
    return version


def logged(path: Path) -> list[tuple[int, Any]]:
    """(sequence, change) of every change in the log of a closed database."""
    log = scan_log(PosixFileSystem(), path, version_of(path).database_id, read_only=True)
    return [(frame[0], change) for frame in log.frames() for change in wal_changes.decode(frame[4])]


def engine_keys(path: Path) -> list[bytes]:
    return [change[2] for _, change in logged(path) if change[0] == 1]


def test_numbers_are_the_documents(path: Path) -> None:
    numbers = dict(rows("`tests/test_format_keys.py` checks this page through the public interface."))
    with lsm.open(path, memtable_bytes=256 << 20, memtables_bytes=768 << 20) as db:
        keyspace = db.keyspace("limits")
        assert numbers["key bytes"] == "1 to 65536"
        keyspace.put(bytes(65536), b"")
        for key in (b"", bytes(65537)):
            with pytest.raises(lsm.InvalidArgumentError):
                keyspace.put(key, b"")
        assert numbers["value bytes"] == f"0 to {64 << 20}"
        with pytest.raises(lsm.InvalidArgumentError):
            keyspace.put(b"k", bytes((64 << 20) + 1))
        assert numbers["counter bits"] == str(COUNTER_BITS)
        assert int(numbers["epoch bits"]) + COUNTER_BITS == 64
        assert db.last_sequence >> COUNTER_BITS == int(numbers["first epoch"])


def test_a_plain_engine_key_is_the_key(path: Path) -> None:
    with lsm.open(path) as db:
        db.keyspace("plain").put(b"\0\x01key\xff", b"v")
    assert engine_keys(path) == [b"\0\x01key\xff"]


def test_composite_engine_keys_are_those_of_the_document(path: Path) -> None:
    examples = rows("a table accepts keys of 163,840.")[1:]
    assert len(examples) == 6
    with lsm.open(path) as db:
        keyspace = db.keyspace("pairs", composite=True)
        for partition_key, sort_key, _ in examples:
            keyspace.put((unhex(partition_key), unhex(sort_key)), b"v")
    seed = version_of(path).hash_seed
    expected = []
    for partition_key, _, engine_key in examples:
        prefix = xxhash.xxh64_intdigest(unhex(partition_key), seed).to_bytes(8, "big")
        expected.append(prefix + unhex(engine_key.replace(" ", "")))
    assert engine_keys(path) == expected


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("flushed", [False, True])
def test_composite_order_is_hash_partition_key_sort_key(path: Path, partitions: int, flushed: bool) -> None:
    some = [b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"a", b"a\0", b"a\0\x01", b"a\0b", b"ab", b"\xff", b"\xff\xff"]
    keys = [(p, s) for p in some for s in [b"", *some]]
    with lsm.open(path, create=True) as db:
        keyspace = db.keyspace("pairs", composite=True, partitions=partitions)
        keyspace.put_many([(key, b"v") for key in keys])
        if flushed:
            db.flush()
        seen = list(keyspace.keys())
        backwards = list(reversed(keyspace))
    seed = version_of(path).hash_seed
    assert seen == sorted(keys, key=lambda key: (xxhash.xxh64_intdigest(key[0], seed), key))
    assert backwards == seen[::-1]


@settings(max_examples=30, deadline=None)
@given(keys=st.sets(pairs, max_size=40))
def test_pairs_come_back_as_they_went_in(keys: set[tuple[bytes, bytes]]) -> None:
    with lsm.open(":memory:") as db:
        keyspace = db.keyspace("pairs", composite=True)
        keyspace.put_many([(key, b"|".join(key)) for key in keys])
        assert sorted(keyspace.items()) == sorted((key, b"|".join(key)) for key in keys)
        for partition_key in {key[0] for key in keys}:
            collection = list(keyspace.scan(partition=partition_key, values=False))
            assert collection == sorted(key for key in keys if key[0] == partition_key)


@given(keys=st.lists(parts.filter(len), min_size=2, max_size=2, unique=True))
def test_escaping_keeps_the_order_of_partition_keys_and_makes_none_a_prefix(keys: list[bytes]) -> None:
    low, high = sorted(keys)
    assert escaped(low) < escaped(high)
    assert not escaped(high).startswith(escaped(low))


def test_a_partition_has_its_range_of_the_hash(path: Path) -> None:
    count = 5
    with lsm.open(path) as db:
        db.keyspace("plain", partitions=count).put_many([(b"key %d" % i, b"v") for i in range(300)])
        db.keyspace("pairs", partitions=count, composite=True).put_many([((b"%d" % i, b"s"), b"v") for i in range(300)])
        db.flush()
    version = version_of(path)
    for keyspace in version.keyspaces.values():
        met = 0
        for partition in keyspace.partitions:
            for meta in partition.all_tables():
                table = table_doors.TableReader(PosixFileSystem(), path / f"{meta.number:06}.table", meta.number)
                for key, *_ in table.entries():
                    hashed = xxhash.xxh64_intdigest(key, version.hash_seed)
                    h = int.from_bytes(key[:8], "big") if keyspace.composite else hashed
                    assert h * count >> 64 == partition.index
                    met += 1
        assert met == 300


def test_an_epoch_begins_at_1_and_a_commit_takes_one_number(path: Path) -> None:
    with lsm.open(path) as db:
        assert db.last_sequence == 1 << COUNTER_BITS
        keyspace = db.keyspace("plain")
        first = keyspace.put(b"a", b"")
        assert first == (1 << COUNTER_BITS) + 2
        assert keyspace.put_many([(b"b", b""), (b"c", b"")]) == first + 1
        assert keyspace.delete(b"a") == first + 2


def test_a_clean_close_keeps_the_epoch_and_a_crash_begins_the_next(path: Path, tmp_path: Path) -> None:
    with lsm.open(path) as db:
        last = db.keyspace("plain").put(b"a", b"1")
    with lsm.open(path) as db:
        assert db.last_sequence == last
        last = db.keyspace("plain").put(b"b", b"2")
        assert last >> COUNTER_BITS == 1
        crashed = tmp_path / "crashed"
        shutil.copytree(path, crashed)
    with lsm.open(crashed) as db:
        keyspace = db.keyspace("plain")
        assert keyspace.get(b"b") == b"2"
        assert keyspace.put(b"c", b"3") == (2 << COUNTER_BITS) + 1
    assert [sequence >> COUNTER_BITS for sequence, _ in logged(crashed)] == [1, 1, 1, 2]


def test_sequence_0_stands_where_nobody_can_tell_versions_apart(path: Path) -> None:
    with lsm.open(path) as db:
        last = db.keyspace("plain").put_many([(b"%d" % i, b"v") for i in range(10)])
        db.flush()
    partition = next(iter(version_of(path).keyspaces.values())).partitions[0]
    (meta,) = partition.all_tables()
    table = table_doors.TableReader(PosixFileSystem(), path / f"{meta.number:06}.table", meta.number)
    assert {sequence for _, sequence, *_ in table.entries()} == {0}
    assert meta.max_seq == last


def test_a_keyspace_record_has_the_bytes_that_the_logs_document_tells(path: Path) -> None:
    with lsm.open(path) as db:
        db.keyspace("été", partitions=7, composite=True)
    ((_, change),) = logged(path)
    kind, number, key, value, *_ = change
    assert (kind, number, key) == (KEYSPACE_CREATED, 1, "été".encode())
    assert value == struct.pack("<HHI", 1, 1, 7)
    assert KeyspaceRecord.decode(key, value, "log") == KeyspaceRecord("été", 7, True)
    with pytest.raises(lsm.UnsupportedVersionError):
        KeyspaceRecord.decode(key, b"\x02" + value[1:], "log")


def test_a_filter_tells_the_keys_of_one_partition_apart() -> None:
    draw = random.Random(1)
    sixteenth = [5 << 60 | draw.getrandbits(60) for _ in range(20_000)]
    present, absent = sixteenth[:10_000], sixteenth[10_000:]
    found = Filter(present, 10)
    assert all(map(found.may_contain, present))
    assert sum(map(found.may_contain, absent)) < 0.016 * len(absent)
