"""Measures what zstd saves and costs beside LZ4: sizes, compaction, scans and point reads that no cache serves.

Prints one line per (data, compression). `python tools/zstd_figures.py [records]`; nothing is kept. Nothing imports it.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard

import lsm
from lsm.compression import sample, saving
from lsm.unicode import assigned, character_of

COMPRESSIONS = ("none", "lz4", "zstd")
READS = 2000
Rows = list[tuple[bytes, bytes]]


def half_random(count: int) -> Rows:
    """Values of 100 bytes: 50 random ones, twice."""
    source = random.Random(1)
    return [(source.randbytes(16), source.randbytes(50) * 2) for _ in range(count)]


def unicode_rows(count: int) -> Rows:
    """JSON records of the Unicode database, about 160 bytes each."""
    rows = [character_of(point) for point in assigned()[:count]]
    return [(row.key, row.record) for row in rows]


@contextlib.contextmanager
def busy_thread() -> Iterator[None]:
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(200))

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def per_read(keyspace: lsm.Keyspace, keys: list[bytes]) -> float:
    """Microseconds of a get."""
    started = time.perf_counter()
    for key in keys:
        keyspace.get(key)
    return (time.perf_counter() - started) / len(keys) * 1e6


def measure(name: str, rows: Rows, compression: str) -> None:
    keys = [key for key, _ in random.Random(2).sample(rows, READS)]
    with (
        tempfile.TemporaryDirectory() as place,
        lsm.open(Path(place) / "db", compression=compression, cache_bytes=0, memtable_bytes=256 << 20) as db,
    ):
        keyspace = db.keyspace("rows")
        for at in range(0, len(rows), 1000):
            keyspace.put_many(rows[at : at + 1000])
        db.flush()
        store = db._store
        saved = saving(sample(list(store.tables.values())))
        started = time.perf_counter()
        db.compact()
        compacting = time.perf_counter() - started
        size = sum(file.stat().st_size for file in (Path(place) / "db").glob("*.table"))
        started = time.perf_counter()
        count = sum(1 for _ in keyspace.scan())
        scanning = time.perf_counter() - started
        quiet = per_read(keyspace, keys)
        keyspace.put(b"\0", b"")
        db.flush()
        with busy_thread():
            beside = per_read(keyspace, keys)
            started = time.perf_counter()
            db.compact()
            compacting_beside = time.perf_counter() - started
        print(f"{name:12} {compression:5} {len(rows)} records, sample says {saved:.0%}, table {size / 1e6:.2f} MB")
        print(f"    compaction {compacting:.2f} s, beside a busy thread {compacting_beside:.2f} s")
        print(f"    scan {scanning / count * 1e6:.2f} us a record")
        print(f"    get {quiet:.1f} us, beside a busy thread {beside:.0f} us")


def dictionary(name: str, rows: Rows) -> None:
    """What a dictionary of 16 KiB would do for blocks of 4 and 16 KiB; here blocks are just values joined."""
    text = b"".join(value for _, value in sorted(rows))
    for block in (4096, 16384):
        blocks: list[bytes | bytearray | memoryview[int]] = [text[at : at + block] for at in range(0, len(text), block)]
        trained = zstandard.train_dictionary(16384, blocks[:: max(1, len(blocks) // 500)])
        plain = zstandard.ZstdCompressor(level=3)
        aided = zstandard.ZstdCompressor(level=3, dict_data=trained)
        without = sum(len(plain.compress(b)) for b in blocks) / len(text)
        with_it = sum(len(aided.compress(b)) for b in blocks) / len(text)
        print(
            f"{name:12} blocks of {block:5}: {without:.3f} of raw with zstd, {with_it:.3f} with a dictionary of 16 KiB"
        )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for name, rows in (("half random", half_random(count)), ("Unicode JSON", unicode_rows(count))):
        for compression in COMPRESSIONS:
            measure(name, rows, compression)
        dictionary(name, rows)
    dictionary("names", [(row.key, row.name) for row in map(character_of, assigned()[:count])])


if __name__ == "__main__":
    main()
