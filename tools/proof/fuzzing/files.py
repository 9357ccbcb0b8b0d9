"""Fuzz targets for whole files: tables, logs, manifests, dumps, and databases made of them, all in memory.

A target is a function of bytes; see `native`. Refusing a file means CorruptionError or UnsupportedVersionError,
whatever is wrong with it.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any, Final

import lsm
import lsm.store
from lsm import directory as names
from lsm.dump_binary import BinaryReader
from lsm.dump_lines import LinesReader
from lsm.dump_parts import DumpHeaderError
from lsm.errors import CorruptionError, UnsupportedVersionError
from lsm.filesystem import FileSystem
from lsm.keyspace_record import KeyspaceRecord
from lsm.manifest import Manifest, read_current
from lsm.memory_files import MemoryFileSystem
from lsm.table_doors import TableReader
from lsm.version import VersionError
from lsm.version_edit import EditFormatError, KeyspaceCreated, TableAdded, TableMeta, VersionEdit
from lsm.wal_recovery import RecoveredLog, scan_log
from lsm_tools.format_edit import parse_edit
from proof.fuzzing.forms import DATABASE, TABLE_NUMBER, chunks, dump_file, log_files, manifest_file, table_file

if TYPE_CHECKING:
    from lsm.table_doors import TableInfo

__all__ = [
    "current", "database", "dump", "edit", "keyspace_record", "log", "manifest", "replay", "table",
]  # fmt: skip

REFUSED: Final = (CorruptionError, UnsupportedVersionError)
PLACE: Final = "/d"
SEED: Final = 99
SMALL: Final[dict[str, Any]] = {
    "memtable_bytes": 1 << 20, "cache_bytes": 1 << 20, "wal_ring_bytes": 4096, "reserve_bytes": 0
}  # fmt: skip


def _files(content: dict[str, bytes]) -> FileSystem:
    fs = MemoryFileSystem()
    fs.mkdir(PLACE)
    for name, data in content.items():
        fs.write_file_atomically(f"{PLACE}/{name}", data)
    return fs


def table(data: bytes) -> None:
    """Opens a table and reads everything in it, block by block and through lookups."""
    fs = _files({"t": table_file(data)})
    try:
        reader = TableReader(fs, f"{PLACE}/t", TABLE_NUMBER, DATABASE, SEED)
    except REFUSED:
        return
    separators = reader.separators()
    keys = [reader.info["smallest"], reader.info["largest"], b"", *separators[:4]]
    for number in range(len(separators)):
        with contextlib.suppress(*REFUSED):
            entries = reader.block_entries(number)
            keys += [key for key, *_ in entries[:2]]
            reader.block_entries(number, entries[-1][0])
    for key in keys[:24]:
        reader.find_block(key)
        reader.may_contain(key)
        with contextlib.suppress(*REFUSED):
            reader.get(key)
            reader.get(key, 0)
    with contextlib.suppress(*REFUSED):
        reader.blocks()


def _meta(info: TableInfo) -> TableMeta:
    return TableMeta(
        info["number"],
        info["file_bytes"],
        info["entries"],
        info["tombstones"],
        info["raw_bytes"],
        info["min_seq"],
        info["max_seq"],
        info["min_time"],
        info["max_time"],
        info["smallest"],
        info["largest"],
        info["salt"],
    )


def database(data: bytes) -> None:
    """The first byte says how the keyspace is made; the rest is its table, which is scanned and compacted."""
    how, data = data[0] if data else 0, table_file(data[1:])
    fs = _files({names.table_name(TABLE_NUMBER): data})
    try:
        info = TableReader(fs, f"{PLACE}/{names.table_name(TABLE_NUMBER)}", TABLE_NUMBER, DATABASE, SEED).info
    except REFUSED:
        return
    composite, level = bool(how & 1), 1 if how & 2 else 0
    added = TableAdded(1, 0, level, _meta(info))
    try:
        _make(fs, VersionEdit(added=(added,)), composite)
    except VersionError:
        return  # a version that no manifest may say
    lsm.store.OPEN_ATTEMPTS = 1  # of a reader beside a writer, which waits for files to come
    try:
        with lsm.open(PLACE, files=fs, read_only=not how & 4, **SMALL) as db:
            _read_all(db)
            if how & 4:
                db.compact()
    except REFUSED:
        return


def _read_all(db: lsm.Database) -> None:
    keyspace = db.keyspace("k")
    for reverse in (False, True):
        with contextlib.suppress(*REFUSED):
            for key, _ in keyspace.scan(reverse=reverse):
                if key:  # no caller has an empty one, and no table of ours
                    keyspace.get(key)


def _make(fs: FileSystem, more: VersionEdit, composite: bool = False) -> None:
    """A manifest with one keyspace, and what `more` adds to it."""
    base = VersionEdit(
        database_id=DATABASE,
        hash_seed=SEED,
        epoch=1,
        next_file_number=TABLE_NUMBER + 1,
        next_keyspace_id=2,
        wal_start=1,
        last_sequence=(1 << 44) + 10,
        created=(KeyspaceCreated(1, "k", composite),),
        added=more.added,
    )
    Manifest.create(fs, PLACE, base).close()


def _frames(log: RecoveredLog) -> list[tuple[int, int, int, int, bytes]]:
    return list(log.frames())


def log(data: bytes) -> None:
    """Scans a log, reads its frames, repairs it: what is then found is the same, and clean."""
    fs = _files(log_files(data))
    with contextlib.suppress(*REFUSED):
        _frames(scan_log(fs, PLACE, DATABASE, live=True))
    try:
        found = scan_log(fs, PLACE, DATABASE)
    except REFUSED:
        return
    frames = _frames(found)
    assert [sequence for sequence, *_ in frames] == sorted({sequence for sequence, *_ in frames}), "sequences"
    found.repair()
    again = scan_log(fs, PLACE, DATABASE)
    assert again.clean, "not clean after its repair"
    assert _frames(again) == frames, "the repair changed the frames"


def replay(data: bytes) -> None:
    """The first byte says how the keyspace is made; the rest is a log, which a database replays."""
    how = data[0] if data else 0
    fs = _files(log_files(data[1:]))
    _make(fs, VersionEdit(), bool(how & 1))
    try:
        with lsm.open(PLACE, files=fs, **SMALL) as db:
            kept = {name: list(db.keyspace(name).scan()) for name in db.keyspaces()}
        with lsm.open(PLACE, files=fs, **SMALL) as db:
            assert {name: list(db.keyspace(name).scan()) for name in db.keyspaces()} == kept
    except REFUSED:
        return


def manifest(data: bytes) -> None:
    """Loads a manifest, rewrites it, and loads that."""
    fs = _files({"MANIFEST-000001": manifest_file(data), "CURRENT": b"MANIFEST-000001 crc32c=7ed3298a\n"})
    try:
        version, _ = Manifest.load(fs, PLACE, read_only=True)
    except REFUSED:
        return
    again, opened = Manifest.load(fs, PLACE)
    opened.close()
    assert again == version
    decoded = VersionEdit.decode(version.snapshot().encode())
    assert decoded == version.snapshot()


def current(data: bytes) -> None:
    """The line of CURRENT."""
    fs = _files({"CURRENT": data})
    try:
        number = read_current(fs, PLACE)
    except REFUSED:
        return
    assert data.startswith(names.manifest_name(number).encode() + b" ")


def edit(data: bytes) -> None:
    """A version edit; the reader of the tools must say the same."""
    fields, problem = parse_edit(data)
    try:
        found = VersionEdit.decode(data)
    except (EditFormatError, UnsupportedVersionError):
        assert problem is not None, fields
        return
    assert problem is None, problem
    encoded = found.encode()
    assert VersionEdit.decode(encoded).encode() == encoded


def keyspace_record(data: bytes) -> None:
    """A name and the value of a KEYSPACE_CREATED change, as two chunks."""
    name, value = [*chunks(data), b"", b""][:2]
    try:
        found = KeyspaceRecord.decode(name, value, "log")
    except REFUSED:
        return
    assert KeyspaceRecord.decode(name, found.encode(), "log") == found
    assert found.name.encode() == name


def dump(data: bytes) -> None:
    """A dump in its binary form, made of chunks; or one of lines, as it stands, where it begins like one."""
    lines = data.startswith(b"{")
    stream = io.BytesIO(data if lines else dump_file(data))
    with contextlib.suppress(DumpHeaderError):
        for _ in LinesReader(stream) if lines else BinaryReader(stream):
            pass
