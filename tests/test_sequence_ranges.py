"""Tables keep the range of sequences that their records had, also after compaction zeroed them, and again and again."""

from __future__ import annotations

from pathlib import Path

from model import TINY

import lsm
from lsm.version import TableMeta


def tables(db: lsm.Database) -> list[TableMeta]:
    return [table for p in db._store.version.partitions() for table in p.all_tables()]


def test_compacting_zeroed_records_again_keeps_their_range(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", **TINY) as db:
        ks = db.keyspace("k")
        first = ks.put(b"a", b"1")
        last = ks.put(b"b", b"2")
        for _ in range(3):
            db.flush()
            db.compact()
            (table,) = tables(db)
            assert table.min_seq <= first
            assert last <= table.max_seq <= db.last_sequence
            # another record makes the next compaction rewrite the others
            last = ks.put(b"c", b"3")
        assert last == db.last_sequence


def test_every_table_covers_the_newest_commit_of_its_records(open_db) -> None:
    db = open_db(**{**TINY, "compression": "none", "table_bytes": 8192})
    ks = db.keyspace("k")
    newest: dict[bytes, int] = {}
    for n in range(3000):
        key = b"%04d" % (n * 7919 % 1000)
        newest[key] = ks.put(key, b"v" * 40)
    for _ in range(2):
        ks.put(b"0000", b"again")
        newest[b"0000"] = db.last_sequence
        db.flush()
        db.compact()
    held = tables(db)
    assert len(held) > 3
    for key, sequence in newest.items():
        (table,) = (t for t in held if t.first <= key < t.end)
        assert 0 < table.min_seq <= sequence <= table.max_seq


def test_the_footer_says_the_same_as_the_manifest(open_db, path: Path) -> None:
    from lsm.posix_files import PosixFileSystem
    from lsm.table_doors import TableReader

    db = open_db(**TINY)
    ks = db.keyspace("k")
    for round_ in range(3):
        for n in range(500):
            ks.put(b"%04d" % n, b"%d" % round_)
        db.flush()
        db.compact()
    for meta in tables(db):
        info = TableReader(PosixFileSystem(), path / f"{meta.number:06}.table", meta.number).info
        assert (info["min_seq"], info["max_seq"]) == (meta.min_seq, meta.max_seq)
