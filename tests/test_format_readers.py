"""The readers of lsm_tools, written from docs/format/ alone, see what the engine wrote, and survive any damage."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from filled_databases import flip, make_closed, make_killed
from hypothesis import given
from hypothesis import strategies as st
from model import OPTION_SETS, TINY
from read_states import state_of
from wal_logs import durable_log, new_log

import lsm
from lsm import lz4, wal_changes
from lsm.errors import InvalidArgumentError
from lsm.manifest import Manifest
from lsm.posix_files import PosixFileSystem
from lsm.table_doors import TableReader
from lsm.wal_recovery import scan_log
from lsm_tools import format_edit, format_frame, format_lz4, format_manifest, format_table, format_wal
from lsm_tools.format_block import STORED, decode_block
from lsm_tools.format_bytes import Faults, Layout
from lsm_tools.format_directory import Directory
from lsm_tools.format_frame import parse_changes
from lsm_tools.format_log import Log
from lsm_tools.format_salvage import find_blocks
from lsm_tools.format_table import TableFile
from lsm_tools.format_wal import SegmentFile
from lsm_tools.verify_keys import split_composite

FS = PosixFileSystem()
DOCS = Path(__file__).parent.parent / "docs/format"
SETS = ["tiny", "zstd-slowed", "small-unfiltered", "dictionary"]
DICTIONARY: dict[str, Any] = {**TINY, "compression": "zstd", "zstd_dictionary": "train"}


@pytest.fixture(scope="module", params=[*SETS, "killed"])
def made(request, tmp_path_factory):
    """Path, what the database holds, and whether it was closed."""
    path = tmp_path_factory.mktemp(request.param) / "data"
    if request.param == "killed":
        return path, make_killed(path, TINY), False
    return path, make_closed(path, OPTION_SETS.get(request.param, DICTIONARY)), True


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    path = tmp_path_factory.mktemp("closed") / "data"
    make_closed(path, TINY)
    return path


# the documents


def documented(page: str, heading: str) -> dict[str, tuple[int, int]]:
    """Field -> (offset, bytes) of the first table under a heading."""
    text = (DOCS / page).read_text().split(f" {heading}\n", 1)[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    found: dict[str, tuple[int, int]] = {}
    for row in rows[2:]:
        if not row[0].isdigit():
            break
        if row[1].isdigit() and row[1] != "0":
            found[row[2]] = (int(row[0]), int(row[1]))
    return found


LAYOUTS: list[tuple[str, str, Layout]] = [
    ("table.md", "header", format_table.HEADER),
    ("table.md", "trailer", STORED),
    ("table.md", "index", format_table.INDEX),
    ("table.md", "footer", format_table.FOOTER),
    ("table.md", "tail", format_table.TAIL),
    ("wal.md", "segment header", format_wal.SEGMENT_HEADER),
    ("wal.md", "frame", format_frame.FRAME),
    ("wal.md", "trailer payload", format_frame.TRAILER),
    ("manifest.md", "TABLE_ADDED", format_edit.TABLE_ADDED),
]


@pytest.mark.parametrize(("page", "heading", "layout"), LAYOUTS, ids=[f"{page} {name}" for page, name, _ in LAYOUTS])
def test_layouts_are_the_documents(page, heading, layout):
    said = {f.name: (f.offset, f.size) for f in layout.fields}
    wanted = documented(page, heading)
    assert {re.split("[:,;]", name)[0]: place for name, place in wanted.items()} == said


@pytest.mark.parametrize(
    ("heading", "layout"), [("File header", format_manifest.HEADER), ("Record", format_manifest.RECORD)]
)
def test_layouts_of_the_manifest_stand_where_the_document_says(heading, layout):
    wanted = [place for place in documented("manifest.md", heading).values()]
    assert [(f.offset, f.size) for f in layout.fields] == wanted


def test_the_rings_layouts_are_the_documents():
    layouts = (format_wal.RING_HEADER, format_wal.RING_MARKS)
    said = {f.name: (f.offset, f.size) for layout in layouts for f in layout.fields}
    assert said == documented("wal.md", "ring header")


def test_the_tags_are_the_documents():
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", (DOCS / "manifest.md").read_text(), re.MULTILINE)
    assert {name: int(number) for number, name in rows} == dict(format_edit.Tag.__members__)


# what the engine wrote


def test_tables_have_the_entries_the_engine_reads(made):
    path = made[0]
    faults = Faults()
    state = state_of(path)
    for _, table in state.tables():
        name = path / table.file_name
        file = TableFile(str(name), faults, number=table.number, database_id=state.database_id)
        reader = TableReader(FS, name, table.number, None, state.hash_seed)
        assert [tuple(entry) for entry in file.entries()] == list(reader.entries())
        assert [place.separator for place in file.blocks] == reader.separators()
    assert faults == []


def facts(table):
    """What a manifest says of a table, by the names that both readers use."""
    names = (
        "number file_bytes entries tombstones shadowed raw_bytes min_seq max_seq salt codec smallest largest low high"
    )
    return [getattr(table, name) for name in names.split()]


def test_the_manifest_makes_the_version_the_engine_makes(made):
    path = made[0]
    version, manifest = Manifest.load(FS, str(path), read_only=True)
    manifest.close()
    faults = Faults()
    state = state_of(path)
    assert state.numbers["EPOCH"] == version.epoch
    assert state.wal_start == version.wal_start
    assert state.hash_seed == version.hash_seed
    assert state.numbers["NEXT_FILE_NUMBER"] == version.next_file_number
    for id, keyspace in version.keyspaces.items():
        ours = state.keyspaces[id]
        assert (ours.name, ours.composite, ours.created) == (keyspace.name, keyspace.composite, keyspace.created_seq)
        for partition, other in zip(ours.partitions, keyspace.partitions, strict=True):
            assert ours.hash_range(partition.index) == (other.hash_low, other.hash_high)
            assert partition.flushed == other.flushed_seq
            levels = [
                [(t.number, t.smallest, t.largest, t.max_seq, t.shadowed) for t in level] for level in other.levels
            ]
            assert [
                [(t.number, t.smallest, t.largest, t.max_seq, t.shadowed) for t in level]
                for level in partition.levels()
            ] == levels
    assert state.keyspaces.keys() == version.keyspaces.keys()
    assert faults == []


def test_the_log_has_the_frames_recovery_reads(made):
    path, _, was_closed = made
    faults = Faults()
    directory = Directory(str(path), faults)
    database_id = state_of(path).database_id
    assert database_id is not None
    log = Log(directory, faults, database_id)
    ours = [(f.sequence, f.time, f.flags, f.change_count, f.payload) for f in log.frames()]
    theirs = list(scan_log(FS, str(path), database_id, read_only=True).frames())
    assert ours == theirs
    assert faults == []
    assert log.clean == was_closed
    for *_, payload in ours:
        changes, problem = parse_changes(payload)
        assert problem is None
        assert [tuple(change)[1:-1] for change in changes] == wal_changes.decode(payload)


def records(path: Path) -> dict[str, dict[Any, bytes]]:
    """What a database holds, read without the engine: tables and log, the highest sequence of each key counts."""
    faults = Faults()
    directory, state = Directory(str(path), faults), state_of(path)
    newest: dict[tuple[int, bytes], tuple[int, int, bytes]] = {}
    for partition, table in state.tables():
        for key, sequence, kind, value in TableFile(str(path / table.file_name), faults).entries():
            place = (partition.keyspace, key)
            newest[place] = max(newest.get(place, (-1, 0, b"")), (sequence, kind, value))
    for frame in Log(directory, faults).frames():
        for change in parse_changes(frame.payload)[0]:
            if change.kind <= 2:
                place = (change.keyspace, change.key)
                newest[place] = max(newest.get(place, (-1, 0, b"")), (frame.sequence, change.kind, change.value))
    assert faults == []
    found: dict[str, dict[Any, bytes]] = {k.name: {} for k in state.keyspaces.values()}
    for (id, key), (_, kind, value) in newest.items():
        if kind == 1 and id in state.keyspaces:
            keyspace = state.keyspaces[id]
            found[keyspace.name][split_composite(key) if keyspace.composite else key] = value
    return found


def test_tables_and_log_hold_what_was_written(made):
    path, model, _ = made
    assert records(path) == model


def test_versions_kept_for_a_snapshot_are_read(tmp_path, never_quiet):
    with lsm.open(tmp_path / "data", **TINY) as database:
        keyspace = database.keyspace("k")
        first = keyspace.put(b"key", b"one")
        with database.snapshot():
            second = keyspace.put(b"key", b"two")
            database.flush()
            names = list((tmp_path / "data").glob("*.table"))
            entries = [entry for name in names for entry in TableFile(str(name), Faults()).entries()]
    assert [(e.key, e.value) for e in entries] == [(b"key", b"two"), (b"key", b"one")]
    assert entries[0].sequence == second
    assert entries[1].sequence in (first, 0)


# damage


def test_a_damaged_block_is_named_and_the_others_are_read(closed, tmp_path):
    source = max(closed.glob("*.table"), key=lambda p: p.stat().st_size)
    whole = TableFile(str(source), Faults())
    copy = tmp_path / source.name
    shutil.copy(source, copy)
    place = whole.blocks[1]
    flip(copy, place.offset + place.size // 2)
    faults = Faults()
    blocks = list(TableFile(str(copy), faults).read_blocks())
    assert [block.place.number for block in blocks] == [n for n in range(len(whole.blocks)) if n != 1]
    assert [(f.offset, f.what) for f in faults] == [(place.offset, "checksum of block 1")]


@pytest.mark.parametrize("cut", ["index", "tail", "after a block", "damaged block too"])
def test_blocks_are_found_without_an_index(closed, tmp_path, cut):
    source = max(closed.glob("*.table"), key=lambda p: p.stat().st_size)
    whole = TableFile(str(source), Faults())
    blocks = list(whole.read_blocks())
    content = bytearray(source.read_bytes())
    lost = set()
    assert whole.footer is not None
    if cut == "index":
        content[whole.footer["index offset"]] ^= 1
    elif cut == "after a block":
        del content[whole.blocks[2].offset :]
        lost = set(range(2, len(blocks)))
    else:
        del content[-5:]
        if cut != "tail":
            content[whole.blocks[1].offset + 3] ^= 1
            lost = {1}
    copy = tmp_path / source.name
    copy.write_bytes(content)
    found = list(find_blocks(TableFile(str(copy), Faults())))
    assert [b.entries for b in found] == [b.entries for i, b in enumerate(blocks) if i not in lost]


def test_a_large_value_is_found_without_an_index(tmp_path):
    value = random.Random(3).randbytes(300_000)
    with lsm.open(tmp_path / "data", compression="none") as database:
        keyspace = database.keyspace("k")
        for i in range(3):
            keyspace.put(b"key%d" % i, value)
            keyspace.put(b"key%d small" % i, b"x")
        database.flush()
    name = next((tmp_path / "data").glob("*.table"))
    entries = list(TableFile(str(name), Faults()).entries())
    name.write_bytes(name.read_bytes()[:-1])
    assert [e for block in find_blocks(TableFile(str(name), Faults())) for e in block.entries] == entries


def test_frames_behind_damage_are_found(tmp_path):
    place = tmp_path / "log"
    payloads = durable_log(place)
    path = place / "wal-000002.log"
    segment = SegmentFile(str(path), Faults())
    frames = list(segment.frames())
    assert segment.trailer is not None
    flip(path, frames[1].offset + 50)
    damaged = SegmentFile(str(path), Faults())
    assert list(damaged.frames()) == frames[:1]
    assert (damaged.end, damaged.stop) == (frames[1].offset, "checksum of a frame")
    assert [f for f in damaged.later_frames(damaged.end) if not f.is_trailer] == frames[2:]
    assert frames[0].payload in payloads


def test_frames_of_the_ring_are_found_without_a_segment(tmp_path):
    log = new_log(tmp_path / "log", ring_bytes=4096, segment_bytes=1 << 20)
    for i in range(400):
        log.append(b"payload %d" % i)
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    log.close()
    ring = format_wal.RingFile(str(tmp_path / "copy/wal.ring"), Faults())
    found = sorted(frame.sequence for frame in ring.found_frames())
    assert len(found) > 20
    assert found == list(range(found[0], found[-1] + 1))
    assert found[-1] == (1 << 44) + 400


def test_no_damage_makes_a_reader_raise(made, tmp_path):
    path = made[0]
    rng = random.Random(7)
    names = [p.name for p in path.iterdir() if p.name not in ("LOCK", "RESERVE")]
    for _ in range(25):
        name = rng.choice(names)
        content = bytearray((path / name).read_bytes())
        for _ in range(rng.choice((1, 1, 4))):
            how, at = rng.randrange(3), rng.randrange(len(content) or 1)
            if how == 0 and content:
                content[at] ^= 1 << rng.randrange(8)
            elif how == 1:
                content[at : at + rng.randrange(600)] = bytes(rng.randrange(600))
            else:
                del content[at:]
        read_everything(tmp_path, path, name, bytes(content))


def read_everything(tmp_path: Path, path: Path, name: str, content: bytes) -> None:
    """Every reader over a directory in which one file has other content."""
    place = tmp_path / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for file in path.iterdir():
        if file.name not in (name, "RESERVE"):
            (place / file.name).symlink_to(file)
    (place / name).write_bytes(content)
    faults = Faults()
    directory = Directory(str(place), faults)
    log = Log(directory, faults)
    for frame in log.frames():
        parse_changes(frame.payload)
    list(log.later_frames())
    log.close()
    if name.endswith(".table"):
        table = TableFile(str(place / name), faults)
        list(table.read_blocks())
        list(find_blocks(table))


@given(st.binary(max_size=300))
def test_any_bytes_as_a_block_give_entries_or_a_value_error(raw):
    try:
        entries = decode_block(raw)
    except ValueError:
        return
    assert 1 <= len(entries) <= 254


@given(st.binary(max_size=2000), st.integers(1, 30))
def test_lz4_undoes_what_the_engine_compressed(data, times):
    data *= times
    assert format_lz4.decode(lz4.compress(data), len(data)) == data


@given(st.binary(max_size=200), st.integers(0, 4000))
def test_lz4_agrees_with_the_engine_about_any_bytes(data, size):
    try:
        ours = format_lz4.decode(data, size)
    except ValueError:
        ours = None
    try:
        theirs = lz4.decompress(data, size)
    except InvalidArgumentError:
        theirs = None
    assert ours == theirs
