"""Measures what zstd saves and costs beside LZ4: sizes, compaction, scans and point reads that no cache serves.

Prints one line per (data, compression). `python tools/zstd_figures.py [records]`; nothing is kept. Nothing imports it.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lsm
from lsm.compression import sample, saving
from lsm.unicode import assigned, character_of

CODECS: dict[str, dict[str, Any]] = {
    "none": {"compression": "none"},
    "lz4": {"compression": "lz4"},
    "zstd": {"compression": "zstd", "zstd_dictionary": "none"},
    "dictionary": {"compression": "zstd", "zstd_dictionary": "train"},
    "level 9": {"compression": "zstd", "zstd_dictionary": "train", "zstd_level": 9},
}
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


def users(count: int) -> Rows:
    """JSON records of about 100 bytes whose numbers are random."""
    source = random.Random(3)
    rows = []
    for _ in range(count):
        name = (
            f"{source.choice(('Ann', 'Ben', 'Carl', 'Dora', 'Eve'))} {source.choice(('Smith', 'Jones', 'Kim', 'Lee'))}"
        )
        value = {"id": source.randrange(10**9), "name": name, "active": source.random() < 0.5, "sum": source.random()}
        rows.append((b"user%09d" % source.randrange(10**9), json.dumps(value).encode()))
    return rows


def counters(count: int) -> Rows:
    """Random keys with numbers."""
    source = random.Random(4)
    return [(b"c/%08x" % source.getrandbits(32), b"%d" % source.randrange(10**6)) for _ in range(count)]


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


def measure(name: str, rows: Rows, codec: str) -> None:
    keys = [key for key, _ in random.Random(2).sample(rows, READS)]
    with (
        tempfile.TemporaryDirectory() as place,
        lsm.open(Path(place) / "db", **CODECS[codec], cache_bytes=0, memtable_bytes=256 << 20) as db,
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
        print(f"{name:12} {codec:10} {len(rows)} records, sample says {saved:.0%}, table {size / 1e6:.2f} MB")
        print(f"    compaction {compacting:.2f} s, beside a busy thread {compacting_beside:.2f} s")
        print(f"    scan {scanning / count * 1e6:.2f} us a record")
        print(f"    get {quiet:.1f} us, beside a busy thread {beside:.0f} us")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    sets = {
        "half random": half_random(count),
        "Unicode JSON": unicode_rows(count),
        "names": [(row.key, row.name) for row in map(character_of, assigned()[:count])],
        "users": users(count),
        "counters": counters(count),
    }
    for name, rows in sets.items():
        for codec in CODECS:
            measure(name, rows, codec)


if __name__ == "__main__":
    main()
