"""`lsm verify`: sound databases of all kinds pass, and every kind of damage is found and named with file and offset."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c
from filled_databases import flip, make_closed, make_killed
from model import OPTION_SETS, TINY
from read_states import state_of

import lsm
from lsm.cli import main
from lsm.errors import LockedError
from lsm.version_edit import PartitionFlushed, TableAdded, TableMeta, TableRemoved, VersionEdit
from lsm_tools.format_bytes import Fault, Faults, placed_crc
from lsm_tools.format_edit import Table
from lsm_tools.format_frame import FRAME
from lsm_tools.format_table import FOOTER, TableFile
from lsm_tools.format_wal import SEGMENT_HEADER, SegmentFile
from lsm_tools.inspect_block import column_rows
from lsm_tools.inspect_rows import Shown
from lsm_tools.verify import verify

OPERATIONS = 500
BUSY = {**TINY, "compression": "none", "wal_bytes": 1 << 20}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A closed database with tables at several levels and a log of several segments."""
    path = tmp_path_factory.mktemp("sound") / "data"
    make_closed(path, BUSY, operations=OPERATIONS)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "data"
    make_killed(path, BUSY, operations=OPERATIONS)
    return path


@pytest.fixture
def copy(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / "copy"))


@pytest.fixture
def killed_copy(killed, tmp_path):
    return Path(shutil.copytree(killed, tmp_path / "copy"))


def digest(path: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}


def found(path: Path, quick: bool = False) -> list[Fault]:
    return list(verify(str(path), quick=quick).faults)


# sound databases


@pytest.mark.parametrize("name", ["default", "zstd-slowed", "small-unfiltered"])
def test_a_closed_database_is_sound(name, tmp_path):
    make_closed(tmp_path / "data", OPTION_SETS[name], operations=OPERATIONS)
    report = verify(str(tmp_path / "data"))
    assert report.faults == []
    assert report.notes == []
    assert {f.name for f in report.files} == {p.name for p in (tmp_path / "data").iterdir()} - {"LOCK", "RESERVE"}


def test_every_record_is_counted(sound):
    report = verify(str(sound))
    state = state_of(sound)
    assert report.faults == []
    assert report.entries == sum(table.entries for _, table in state.tables())
    assert report.tables == len(list(sound.glob("*.table")))
    assert report.tables > 5
    assert verify(str(sound), quick=True).entries == report.entries


def test_a_killed_database_is_sound_and_what_is_unfinished_is_a_note(killed):
    report = verify(str(killed))
    assert report.faults == []
    assert any("the next open for writing finishes it" in note.what for note in report.notes)
    assert any(note.path.endswith("wal.ring") for note in report.notes)


def test_a_database_that_lost_its_ring_is_sound(killed_copy):
    (killed_copy / "wal.ring").unlink()
    assert found(killed_copy) == []


def test_a_torn_tail_is_a_note(killed_copy):
    (killed_copy / "wal.ring").unlink()
    path = max(killed_copy.glob("wal-*.log"))
    segment = SegmentFile(str(path), Faults())
    assert list(segment.frames())
    path.write_bytes(path.read_bytes()[: segment.end] + b"torn")
    report = verify(str(killed_copy))
    assert report.faults == []
    [note] = [note for note in report.notes if "torn tail of 4 bytes" in note.what]
    assert (note.path, note.offset) == (str(path), segment.end)


def test_files_that_nothing_names_are_notes(copy):
    (copy / "000999.table").write_bytes(b"orphan")
    (copy / "MANIFEST-000099").write_bytes(b"orphan")
    (copy / "README").write_bytes(b"mine")
    report = verify(str(copy))
    assert report.faults == []
    assert {Path(note.path).name for note in report.notes} == {"000999.table", "MANIFEST-000099", "README"}


def test_an_empty_database_is_sound(tmp_path):
    lsm.open(tmp_path / "data").close()
    assert found(tmp_path / "data") == []


@pytest.mark.parametrize("quick", [False, True])
def test_verify_changes_nothing(killed, quick):
    before = digest(killed)
    verify(str(killed), quick=quick)
    assert digest(killed) == before


# damage


def table_path(path: Path) -> Path:
    """A table with several blocks."""
    return max(path.glob("*.table"), key=lambda p: p.stat().st_size)


def region(path: Path, name: str) -> int:
    """An offset inside a region of a table, and where its fault is reported."""
    table = TableFile(str(path), Faults())
    assert table.footer is not None
    assert table.tail is not None
    return {
        "header": 0,
        "block": table.blocks[1].offset,
        "filter": int(table.footer["filter offset"]),
        "index": int(table.footer["index offset"]),
        "footer": int(table.tail["footer offset"]),
        "tail": table.size - 32,
    }[name]


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", ["header", "block", "filter", "index", "footer", "tail"])
def test_a_flipped_bit_in_a_table_is_found(copy, name, quick):
    path = table_path(copy)
    at = region(path, name)
    flip(path, at + 11)
    assert (str(path), at) in [(f.path, f.offset) for f in found(copy, quick) if name in f.what]


def test_a_table_cut_short_is_found(copy):
    path = table_path(copy)
    path.write_bytes(path.read_bytes()[:-1000])
    assert [f.path for f in found(copy)] == [str(path)]


def test_zeroed_bytes_in_a_block_are_found(copy):
    path = table_path(copy)
    at = region(path, "block")
    content = bytearray(path.read_bytes())
    content[at + 1 : at + 12] = bytes(11)
    path.write_bytes(content)
    assert [(f.path, f.offset, f.what) for f in found(copy)] == [(str(path), at, "checksum of block 1")]


def test_swapped_tables_are_found(copy):
    first, second, *_ = sorted(copy.glob("*.table"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    named = {(f.path, f.what) for f in found(copy)}
    assert {(str(first), "table number in the footer"), (str(second), "table number in the footer")} <= named


def test_a_table_of_another_database_is_found(copy, tmp_path):
    own = {p.name for p in copy.glob("*.table")}
    for attempt in itertools.count():
        # how many numbers the background took is another matter each time
        other = tmp_path / f"other {attempt}"
        make_closed(other, BUSY, operations=OPERATIONS)
        name = min(own & {p.name for p in other.glob("*.table")}, default=None)
        if name is not None:
            break
    shutil.copy(other / name, copy / name)
    assert (str(copy / name), "database id in the footer") in [(f.path, f.what) for f in found(copy)]


def test_a_missing_table_is_found(copy):
    path = table_path(copy)
    path.unlink()
    assert [(f.path, f.what.partition(";")[0]) for f in found(copy)] == [(str(path), "missing")]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_damage_to_current_is_found(copy, damage):
    path = copy / "CURRENT"
    if damage == "flip":
        flip(path, 20)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    assert str(path) in [f.path for f in found(copy)]


@pytest.mark.parametrize("offset", [3, 60, 124, 135, 150, 700])
def test_a_flipped_bit_in_the_manifest_is_found(copy, offset):
    path = next(copy.glob("MANIFEST-*"))
    flip(path, offset)
    faults = found(copy)
    assert [f.path for f in faults if f.offset is not None and f.offset <= offset][:1] == [str(path)]


def test_a_missing_manifest_is_found(copy):
    path = next(copy.glob("MANIFEST-*"))
    path.unlink()
    assert [(f.path, f.what) for f in found(copy)] == [(str(path), "missing; CURRENT names it")]


def segments(path: Path) -> list[Path]:
    return sorted(path.glob("wal-*.log"))


@pytest.mark.parametrize("where", ["header", "frame", "trailer"])
@pytest.mark.parametrize("which", [0, -1])
def test_a_flipped_bit_in_a_sealed_segment_is_found(copy, where, which):
    path = segments(copy)[which]
    frames = list(SegmentFile(str(path), Faults()).frames())
    at = {"header": 12, "frame": frames[1].offset, "trailer": frames[-1].offset + frames[-1].size}[where]
    flip(path, at + 6)
    faults = [(f.path, f.offset) for f in found(copy)]
    assert (str(path), at) in faults or (where == "header" and (str(path), 12) in faults)


def test_a_log_cut_short_after_a_clean_close_is_found(copy):
    path = segments(copy)[-1]
    frames = list(SegmentFile(str(path), Faults()).frames())
    path.write_bytes(path.read_bytes()[: frames[-1].offset])
    assert (str(path), frames[-1].offset) in [(f.path, f.offset) for f in found(copy)]


def test_a_missing_segment_is_found(copy):
    names = segments(copy)
    assert len(names) > 2
    names[1].unlink()
    assert [f.path for f in found(copy)] == [str(names[2])]


def test_a_segment_of_another_database_is_found(copy, killed):
    own = segments(copy)[-1]
    shutil.copy(segments(killed)[-1], own)
    assert (str(own), "file of another database") in [(f.path, f.what) for f in found(copy)]


def test_a_segment_under_a_lower_name_than_its_own_is_found(copy):
    path = copy / "wal-000000.log"
    path.write_bytes(segments(copy)[-1].read_bytes())
    at = SEGMENT_HEADER.offset_of("segment number")
    assert (str(path), at, "segment number") in [(f.path, f.offset, f.what) for f in found(copy)]


def test_a_copy_of_an_older_segment_behind_the_log_is_no_part_of_it(copy):
    path = copy / "wal-000999.log"
    path.write_bytes(segments(copy)[0].read_bytes())
    report = verify(str(copy))
    assert report.faults == []
    assert str(path) in [note.path for note in report.notes]


def test_a_missing_first_segment_is_found(copy):
    names = segments(copy)
    names[0].unlink()
    assert str(names[0]) in [f.path for f in found(copy) if "missing" in f.what]


def test_a_ring_that_knows_of_more_durable_commits_is_found(killed_copy):
    path = killed_copy / "wal.ring"
    content = bytearray(path.read_bytes())
    mark = struct.unpack_from("<Q", content, 1024)[0] + 100000
    struct.pack_into("<QQ", content, 1024, mark, mark ^ (2**64 - 1))
    path.write_bytes(content)
    assert any("wal.ring says that the log was durable through" in f.what for f in found(killed_copy))


def test_any_flipped_bit_is_found(sound, tmp_path):
    """Of a closed database every byte counts but those of the manifest's last record, which says that it was closed."""
    rng = random.Random(5)
    names = [p.name for p in sound.iterdir() if p.name not in ("LOCK", "RESERVE")]
    place = tmp_path / "copy"
    for _ in range(40):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(sound, place)
        path = place / rng.choice(names)
        size = path.stat().st_size - (64 if path.name.startswith("MANIFEST") else 0)
        at = rng.randrange(size)
        flip(path, at, rng.randrange(8))
        faults = found(place, quick=rng.random() < 0.5)
        assert str(path) in [f.path for f in faults], (path.name, at, faults)


# what has right checksums, and is wrong


def forge_footer(path: Path, field: str, value: int) -> int:
    """Gives a field of the footer another value, with a checksum that fits; where it stands."""
    table = TableFile(str(path), Faults())
    assert table.tail is not None
    at, n = table.tail["footer offset"], table.tail["footer bytes"] - 4
    content = bytearray(path.read_bytes())
    f = next(f for f in FOOTER.fields if f.name == field)
    content[at + f.offset : at + f.offset + f.size] = value.to_bytes(f.size, "little")
    content[at + n : at + n + 4] = placed_crc(table.salt or 0, at, bytes(content[at : at + n])).to_bytes(4, "little")
    path.write_bytes(content)
    return int(at) + f.offset


@pytest.mark.parametrize(
    "field", ["entries", "tombstones", "raw bytes", "lowest hash", "highest hash", "lowest sequence", "highest time"]
)
def test_a_wrong_count_or_range_in_a_footer_is_found(copy, field):
    path = table_path(copy)
    at = forge_footer(path, field, 12345)
    assert (str(path), at) in [(f.path, f.offset) for f in found(copy) if field in f.what]


def forge_block(path: Path, column: str, value: int) -> int:
    """Changes the first byte of a column in a block of an uncompressed table, with a checksum that fits."""
    table = TableFile(str(path), Faults())
    content = bytearray(path.read_bytes())
    place, row = next(
        (block.place, row)
        for block in table.read_blocks()
        for row in column_rows(block.raw, 0, Shown())
        if row.name == column and len(block.entries) > 2
    )
    assert row.offset is not None
    content[place.offset + row.offset] = value
    end = place.offset + place.size
    crc = placed_crc(table.salt or 0, place.offset, bytes(content[place.offset : end - 4]))
    content[end - 4 : end] = crc.to_bytes(4, "little")
    path.write_bytes(content)
    return place.offset


def test_keys_out_of_order_are_found(copy):
    path = table_path(copy)
    at = forge_block(path, "key suffixes", 255)
    wrong = [f.what for f in found(copy) if (f.path, f.offset) == (str(path), at)]
    assert any("keys are out of order" in what for what in wrong)


def test_a_key_that_the_filter_denies_is_found(copy):
    path = table_path(copy)
    table = TableFile(str(path), Faults())
    assert table.footer is not None
    at, n = table.footer["filter offset"], table.footer["filter bytes"]
    content = bytearray(path.read_bytes())
    content[at : at + n] = bytes(n)
    content[at + n : at + n + 4] = placed_crc(table.salt or 0, at, bytes(n)).to_bytes(4, "little")
    path.write_bytes(content)
    [fault] = found(copy)
    assert (fault.path, fault.offset) == (str(path), at)
    assert "filter denies" in fault.what
    assert found(copy, quick=True) == []


def append_edit(path: Path, edit: VersionEdit) -> int:
    """Appends a record to the manifest; where it stands."""
    manifest = next(path.glob("MANIFEST-*"))
    content = manifest.read_bytes()
    payload = edit.encode()
    body = struct.pack("<IQ", len(payload), 0) + payload
    body += bytes(-(len(body) + 4) % 8)
    binding = content[16:40] + len(content).to_bytes(8, "little")
    manifest.write_bytes(content + crc32c(body, crc32c(binding)).to_bytes(4, "little") + body)
    return len(content)


def meta(table: Table) -> TableMeta:
    names = (
        "number file_bytes entries tombstones raw_bytes min_seq max_seq min_time max_time smallest largest salt codec"
    )
    return TableMeta(**{name: getattr(table, name) for name in names.split()}, shadowed=table.shadowed)


@pytest.fixture
def two_tables(tmp_path, never_quiet):
    """A database with two tables in level 0 that hold a version of one key each; the older one first."""
    path = tmp_path / "data"
    options: dict[str, Any] = {"level0_compaction_tables": 100, "level0_slowdown_tables": 200}
    with lsm.open(path, level0_stop_tables=300, **options) as database:
        keyspace = database.keyspace("k")
        for value in (b"old", b"new"):
            keyspace.put(b"key", value)
            database.flush()
    older, newer = sorted((t for _, t in state_of(path).tables()), key=lambda t: t.number)
    assert (older.level, newer.level) == (0, 0)
    return path, older, newer


def move(path: Path, level: int, *tables: Table) -> None:
    """Makes the manifest say that tables lie at another level."""
    append_edit(
        path,
        VersionEdit(
            removed=tuple(TableRemoved(t.keyspace, t.partition, t.number) for t in tables),
            added=tuple(TableAdded(t.keyspace, t.partition, level, meta(t)) for t in tables),
        ),
    )


def test_overlapping_tables_of_a_level_are_found(two_tables):
    path, older, newer = two_tables
    size = next(path.glob("MANIFEST-*")).stat().st_size
    move(path, 2, older, newer)
    [fault] = [f for f in found(path) if "overlap" in f.what]
    assert fault.path == str(next(path.glob("MANIFEST-*")))
    assert fault.offset is not None
    assert fault.offset > size


def test_a_version_above_a_newer_one_is_found(two_tables):
    """Reads would stop at the older version above it."""
    path, older, newer = two_tables
    move(path, 1, newer)
    [fault] = found(path)
    assert fault.path == str(path / newer.file_name)
    assert fault.what.endswith(f"a version that is not older than the one in {older.file_name}")


def test_a_manifest_ahead_of_the_log_is_found(copy):
    state = state_of(copy)
    partition = next(state.partitions())
    append_edit(copy, VersionEdit(flushed=(PartitionFlushed(partition.keyspace, partition.index, 99 << 44),)))
    assert any(f.what == "the log ends before commits that were durable" for f in found(copy))


def test_an_edit_that_contradicts_the_version_is_found(copy):
    at = append_edit(copy, VersionEdit(removed=(TableRemoved(1, 0, 4242),)))
    manifest = str(next(copy.glob("MANIFEST-*")))
    assert [(f.path, f.offset) for f in found(copy)] == [(manifest, at + 16)]


def forge_frame(path: Path, field: str, value: int) -> int:
    """Gives a field of the first frame another value, with a checksum that fits; where it stands."""
    segment = SegmentFile(str(path), Faults())
    assert segment.header is not None
    frame = next(segment.frames())
    content = bytearray(path.read_bytes())
    f = next(f for f in FRAME.fields if f.name == field)
    at = frame.offset
    content[at + f.offset : at + f.offset + f.size] = value.to_bytes(f.size, "little")
    crc = placed_crc(segment.header["salt"], frame.stream, bytes(content[at + 4 : at + frame.size]))
    content[at : at + 4] = crc.to_bytes(4, "little")
    path.write_bytes(content)
    return at + f.offset


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("change count", 77, "count of changes"),
        ("commit time", 5, "commit time goes back"),
        ("durable through", 5, "durable mark goes back"),
    ],
)
def test_a_frame_that_contradicts_itself_or_the_one_before_is_found(copy, field, value, what):
    path = segments(copy)[1]
    at = forge_frame(path, field, value)
    [fault] = found(copy)
    assert (fault.path, fault.offset) == (str(path), at)
    assert what in fault.what


def test_a_segment_of_an_epoch_that_the_manifest_does_not_know_is_found(copy):
    path = segments(copy)[-1]
    content = bytearray(path.read_bytes())
    at = SEGMENT_HEADER.offset_of("epoch")
    content[at : at + 8] = (9).to_bytes(8, "little")
    content[12:16] = crc32c(bytes(content[16:128]), crc32c(bytes(content[:12]))).to_bytes(4, "little")
    path.write_bytes(content)
    assert (str(path), at) in [(f.path, f.offset) for f in found(copy)]


# the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_says_that_a_database_is_sound(sound, capsys):
    status, out, err = run(capsys, "verify", str(sound))
    assert (status, err) == (0, "")
    assert out.startswith(f"{sound}: sound\n")


def test_the_command_reports_faults_for_programs(copy, capsys):
    path = table_path(copy)
    at = region(path, "block")
    flip(path, at + 11)
    status, out, _ = run(capsys, "verify", str(copy), "--json", "--quick")
    report = json.loads(out)
    assert status == 1
    assert report["sound"] is False
    assert {"name": path.name, "kind": "table"}.items() <= next(
        f for f in report["files"] if f["name"] == path.name
    ).items()
    [fault] = report["faults"]
    assert (fault["path"], fault["offset"], fault["what"]) == (str(path), at, "checksum of block 1")


def test_the_command_draws_a_progress_bar(sound, capsys):
    status, _, err = run(capsys, "verify", str(sound), "--progress")
    assert status == 0
    assert "verify" in err
    assert "100%" in err


def test_an_open_database_is_refused_with_the_holders_pid(copy, capsys):
    with lsm.open(copy):
        with pytest.raises(LockedError, match=f"process {os.getpid()}"):
            verify(str(copy))
        status, out, err = run(capsys, "verify", str(copy))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize("what", ["missing", "file", "empty directory"])
def test_what_is_no_database_is_refused(tmp_path, capsys, what):
    path: Any = tmp_path / "x"
    if what == "file":
        path.write_bytes(b"text")
    elif what == "empty directory":
        path.mkdir()
    status, out, err = run(capsys, "verify", str(path))
    assert (status, out) == (2, "")
    assert err.startswith("lsm: ")
    assert err.count("\n") == 1
