"""Databases and tables with zstd: what goes in comes out, and what is damaged is told."""

from __future__ import annotations

import contextlib
import random
import struct
import threading
from pathlib import Path

import crc32c
import pytest
from disk import PATIENCE_SECONDS, eventually
from model import TINY, scaled

from lsm import zstd
from lsm.errors import CorruptionError, FileError
from lsm.posix_files import PosixFileSystem
from lsm.table_doors import TableReader, TableWriter

FS = PosixFileSystem()
ID = bytes(range(16))
PUT = 1
ZSTD = {**TINY, "compression": "zstd", "cache_bytes": 0}
ONE_TABLE = {"compression": "zstd", "cache_bytes": 0, "block_bytes": 256}
TRAILER = struct.Struct("<BI")


def records(count: int, seed: int = 1) -> dict[bytes, bytes]:
    chance = random.Random(seed)
    return {b"key%06d" % n: b"%d:" % n + b"some words " * chance.randrange(12) for n in range(count)}


def codecs(path: Path) -> set[str]:
    """Of all blocks of all tables of a database."""
    files = [(file, int(file.stem)) for file in path.glob("*.table")]
    found: set[str] = set()
    for file, number in files:
        # the background removes tables that were compacted while they are being looked at
        with contextlib.suppress(FileNotFoundError, FileError):
            found |= {block[3] for block in TableReader(FS, file, number).blocks()}
    return found


def compacted(open_db, content, base=ZSTD, **options):
    db = open_db(**{**base, **options})
    ks = db.keyspace("k")
    pairs = list(content.items())
    for at in range(0, len(pairs), 500):
        ks.put_many(pairs[at : at + 500])
    db.flush()
    db.compact()
    return db, ks


def assert_holds(ks, content):
    keys = list(content)
    random.Random(2).shuffle(keys)
    assert [ks.get(key) for key in keys] == [content[key] for key in keys]
    assert ks.get_many(keys) == [content[key] for key in keys]
    assert dict(ks.scan()) == content
    assert list(ks.scan(reverse=True)) == sorted(content.items(), reverse=True)
    middle = sorted(keys)[len(keys) // 2]
    assert next(iter(ks.scan(start=middle))) == (middle, content[middle])


# Databases


def test_what_was_compacted_is_read_back(open_db, path):
    content = records(scaled(3000))
    _, ks = compacted(open_db, content)
    assert "zstd" in codecs(path)
    assert_holds(ks, content)


def test_a_reopened_database_reads_its_zstd_tables(open_db, path):
    content = records(scaled(2000))
    db, _ = compacted(open_db, content)
    db.close()
    assert_holds(open_db(**TINY, compression="none").keyspace("k"), content)


def test_blocks_in_the_cache_are_read_like_others(open_db):
    content = records(scaled(2000))
    _, ks = compacted(open_db, content, cache_bytes=16 << 20)
    assert_holds(ks, content)
    assert_holds(ks, content)


def test_more_tables_than_open_files_are_read(open_db, path):
    content = records(scaled(3000))
    db, ks = compacted(open_db, content, max_open_files=16, table_bytes=1024)
    assert len(list(path.glob("*.table"))) > 16
    assert_holds(ks, content)
    ks.put(b"key", b"")
    db.compact()
    assert_holds(ks, {**content, b"key": b""})


def test_a_flush_writes_no_zstd(open_db, path):
    db = open_db(compression="zstd")
    db.keyspace("k").put_many(list(records(2000).items()))
    db.flush()
    assert codecs(path) == {"lz4"}


@pytest.mark.parametrize("compression", ["lz4", "none"])
def test_a_full_compaction_changes_the_codec_to_what_the_options_say(open_db, path, compression):
    content = records(scaled(2000))
    db, _ = compacted(open_db, content)
    db.close()
    db = open_db(**{**ZSTD, "compression": compression})
    db.compact()
    db.close()
    assert codecs(path) <= {compression, "none"}
    assert_holds(open_db(**ZSTD).keyspace("k"), content)


def test_large_and_incompressible_values_are_kept(open_db, path):
    chance = random.Random(3)
    content = {b"large": b"ab" * (3 << 20), b"noise": chance.randbytes(5 << 20), b"small": b"x", b"void": b""}
    content |= {b"n%04d" % n: chance.randbytes(700) for n in range(300)}
    _, ks = compacted(open_db, content, memtables_bytes=64 << 20, memtable_bytes=32 << 20, wal_bytes=64 << 20)
    assert eventually(lambda: codecs(path) == {"zstd", "none"}), codecs(path)
    assert_holds(ks, content)


def test_tombstones_and_snapshots_survive_compaction(open_db):
    content = records(scaled(1000))
    db, ks = compacted(open_db, content)
    with db.snapshot() as before:
        for key in list(content)[::2]:
            ks.delete(key)
        db.flush()
        db.compact()
        assert dict(before.scan(ks)) == content
        assert dict(ks.scan()) == dict(list(content.items())[1::2])


def test_reads_beside_a_thread_that_computes(open_db):
    content = records(scaled(300))
    _, ks = compacted(open_db, content)
    over = threading.Event()

    def compute():
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        assert dict(ks.scan()) == content
        some = list(content)[::15]
        assert [ks.get(key) for key in some] == [content[key] for key in some]
    finally:
        over.set()
        thread.join()


def test_many_threads_read_while_one_writes_and_compacts(open_db):
    content = records(scaled(1500))
    db, ks = compacted(open_db, content)
    failures: list[BaseException] = []
    over = threading.Event()

    def read(seed):
        chance = random.Random(seed)
        keys = list(content)
        try:
            while not over.is_set():
                key = chance.choice(keys)
                assert ks.get(key) == content[key]
                some = chance.sample(keys, 20)
                assert ks.get_many(some) == [content[key] for key in some]
                start = chance.choice(keys)
                assert next(iter(ks.scan(start=start))) == (start, content[start])
                if chance.random() < 0.1:
                    assert sum(1 for _ in ks.scan(prefix=b"key", reverse=chance.random() < 0.5)) == len(content)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(3):
        ks.put_many([(b"other%04d" % n, b"%d" % turn * 100) for n in range(300)])
        db.flush()
        db.compact()
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []


# Damage


def one_table(path: Path) -> Path:
    (file,) = path.glob("*.table")
    return file


@pytest.mark.parametrize("how", ["get", "get_many", "scan", "reverse", "compact"])
def test_a_damaged_block_is_corruption(open_db, path, how, never_quiet):
    content = records(2000)
    db, ks = compacted(open_db, content, ONE_TABLE)
    db.close()
    file = one_table(path)
    offset, size, _, codec = TableReader(FS, file, int(file.stem)).blocks()[3]
    assert codec == "zstd"
    image = bytearray(file.read_bytes())
    image[offset + size // 2] ^= 4
    file.write_bytes(image)
    db = open_db(**ONE_TABLE)
    ks = db.keyspace("k")
    ways = {
        "get": lambda: [ks.get(key) for key in content],
        "get_many": lambda: ks.get_many(list(content)),
        "scan": lambda: list(ks.scan()),
        "reverse": lambda: list(ks.scan(reverse=True)),
        "compact": lambda: (ks.put(b"a", b""), db.flush(), db.compact()),
    }
    with pytest.raises(CorruptionError) as failure:
        ways[how]()
    assert failure.value.offset == offset
    assert (failure.value.path or "").endswith(file.name)


def test_entries_before_a_damaged_block_are_read(open_db, path):
    content = records(2000)
    db, ks = compacted(open_db, content, ONE_TABLE)
    db.close()
    file = one_table(path)
    blocks = TableReader(FS, file, int(file.stem)).blocks()
    image = bytearray(file.read_bytes())
    image[blocks[-1][0] + 20] ^= 4
    file.write_bytes(image)
    ks = open_db(**ONE_TABLE).keyspace("k")
    seen = []
    scan = ks.scan()
    with pytest.raises(CorruptionError):
        seen.extend(scan)  # extend keeps what came before the failure
    assert seen == sorted(content.items())[: len(content) - blocks[-1][2]]


def table(place: Path, content: dict[bytes, bytes]) -> list[tuple[int, int, int, str]]:
    writer = TableWriter(FS, place, database_id=ID, salt=7, codec="zstd")
    for key, value in content.items():
        writer.add(key, 1, PUT, value)
    writer.finish()
    return TableReader(FS, place, 1).blocks()


def forge(place: Path, offset: int, size: int, body: bytes, raw_bytes: int) -> None:
    """Another zstd body, with a checksum that verifies, in the place of a block of the same size."""
    assert len(body) == size - 9
    stored = body + TRAILER.pack(2, raw_bytes)
    crc = crc32c.crc32c(struct.pack("<QQ", 7, offset) + stored)
    image = bytearray(place.read_bytes())
    image[offset : offset + size] = stored + struct.pack("<I", crc)
    place.write_bytes(image)


@pytest.mark.parametrize("claim", [-1, 1, 1000])
def test_a_frame_of_another_size_than_the_trailer_says_is_corruption(tmp_path, claim):
    place = tmp_path / "t"
    offset, size, _, codec = table(place, records(300))[0]
    assert codec == "zstd"
    image = place.read_bytes()
    raw_bytes = TRAILER.unpack_from(image, offset + size - 9)[1]
    forge(place, offset, size, image[offset : offset + size - 9], raw_bytes + claim)
    with pytest.raises(CorruptionError, match="compressed bytes of a block") as failure:
        list(TableReader(FS, place, 1).entries())
    assert failure.value.offset == offset


def test_malformed_frames_with_right_checksums_are_corruption(tmp_path):
    place = tmp_path / "t"
    offset, size, *_ = table(place, records(300))[0]
    image = place.read_bytes()
    frame = image[offset : offset + size - 9]
    raw_bytes = TRAILER.unpack_from(image, offset + size - 9)[1]
    chance = random.Random(5)
    for _ in range(scaled(300)):
        body = bytearray(frame)
        for _ in range(chance.randrange(1, 5)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        forge(place, offset, size, bytes(body), raw_bytes)
        try:
            assert len(list(TableReader(FS, place, 1).entries())) == 300
        except CorruptionError:
            continue


@pytest.mark.parametrize("size", [0, 9, 11])
def test_decompress_gives_exactly_the_size_asked_for(size):
    with pytest.raises(CorruptionError):
        zstd.decompress(zstd.compress(b"0123456789"), size)
    assert zstd.decompress(zstd.compress(b"0123456789"), 10) == b"0123456789"


def test_a_frame_that_states_no_size_is_refused():
    import zstandard

    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"0123456789")
    with pytest.raises(CorruptionError):
        zstd.decompress(frame, 10)


def test_tables_that_would_be_moved_around_another_are_rewritten_one_by_one(open_db):
    """Level-0 tables left and right of a level-1 table go down without growing together over it."""
    database = open_db(compression="zstd", memtable_bytes=1 << 20, table_bytes=8192, level0_compaction_tables=2)
    ks = database.keyspace("plain")
    value = random.Random(1).randbytes(60)
    for low in (2000, 1000, 3000):
        ks.put_many([(b"%06d" % n, value) for n in range(low, low + 400)])
        database.flush()
        if low == 2000:
            database.compact()
    assert database.settle(timeout=PATIENCE_SECONDS)
    assert [int(key) for key in ks] == [n for low in (1000, 2000, 3000) for n in range(low, low + 400)]
    assert database.stats()["failure"] is None
