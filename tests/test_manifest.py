"""The manifest: what survives closing, crashing, rotting, and disks that fail or are full."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c

from lsm import manifest as manifest_module
from lsm.directory import parse
from lsm.errors import (
    CorruptionError,
    DiskFullError,
    FileError,
    NotADatabaseError,
    PoisonedError,
    ReadOnlyError,
    UnsupportedVersionError,
)
from lsm.filesystem import CREATE, TRUNCATE, WRITE
from lsm.manifest import HEADER_BYTES, Manifest, read_current
from lsm.memory_files import MemoryFileSystem
from lsm.version import (
    DatabaseVersion,
    KeyspaceCreated,
    KeyspaceOptions,
    PartitionFlushed,
    TableAdded,
    TableMeta,
    TableRemoved,
    VersionEdit,
    VersionError,
)
from lsm.version_edit import Tag

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"
DIRECTORY = "db"
FIRST = f"{DIRECTORY}/MANIFEST-000001"
SNAPSHOT = VersionEdit(
    database_id=bytes(range(16)), hash_seed=0x1122334455667788, epoch=1, created=(KeyspaceCreated(1, "events"),)
)


class Crash(BaseException):
    """The process is gone."""


class FaultyFiles:
    """A file system whose n-th changing call, or whose calls of one name, fail; a crash stops all that follow."""

    CHANGING = ("open", "write", "sync", "truncate", "unlink", "rename", "sync_dir", "write_file_atomically")

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls = 0
        self.fault: Callable[[int, str, tuple[Any, ...]], BaseException | None] = lambda n, name, args: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if name not in self.CHANGING:
            return method

        def call(*args: Any, **keywords: Any) -> Any:
            self.calls += 1
            error = self.fault(self.calls, name, args)
            if error is not None:
                raise error
            return method(*args, **keywords)

        return call

    def fail(self, name: str, error: BaseException | None) -> None:
        self.fault = lambda n, called, args: error if called == name else None


def no_space() -> DiskFullError:
    return DiskFullError(errno.ENOSPC, "no space left", FIRST)


def input_output() -> FileError:
    return FileError(errno.EIO, "input/output error", FIRST)


def add(number: int, key: bytes = b"k") -> VersionEdit:
    table = TableMeta(number, 1000, 10, 1, 900, number, number, 0, 0, key, key)
    return VersionEdit(added=(TableAdded(1, 0, 0, table),), flushed=(PartitionFlushed(1, 0, number),))


def overwrite(fs: Any, path: str, data: bytes) -> None:
    handle = fs.open(path, WRITE | CREATE | TRUNCATE)
    fs.write(handle, data, 0)
    fs.close(handle)


def flip(fs: Any, path: str, at: int, bit: int = 1) -> None:
    data = bytearray(fs.read_file(path))
    data[at] ^= bit
    overwrite(fs, path, bytes(data))


def tables(fs: Any, read_only: bool = True) -> set[int]:
    version, manifest = Manifest.load(fs, DIRECTORY, read_only=read_only)
    manifest.close()
    return version.table_numbers()


def manifests(fs: Any) -> list[str]:
    return [name for name in fs.listdir(DIRECTORY) if name.startswith("MANIFEST")]


@pytest.fixture
def fs() -> Any:
    files = MemoryFileSystem()
    files.mkdir(DIRECTORY)
    return files


@pytest.fixture
def faulty(fs: Any) -> Any:
    return FaultyFiles(fs)


@pytest.fixture
def written(fs: Any) -> list[int]:
    """A manifest with three edits after its snapshot: the offsets of their records."""
    manifest = Manifest.create(fs, DIRECTORY, SNAPSHOT)
    offsets = []
    for number in (1, 2, 3):
        offsets.append(manifest.size)
        manifest.append(add(number))
    manifest.close()
    return offsets


def test_what_was_appended_is_there_after_load(fs: Any) -> None:
    manifest = Manifest.create(fs, DIRECTORY, SNAPSHOT)
    manifest.append(add(1))
    expected = manifest.append(VersionEdit(epoch=2, wal_start=4, closed=True))
    manifest.close()
    version, again = Manifest.load(fs, DIRECTORY)
    assert version == expected == again.version
    assert (version.epoch, version.wal_start, version.closed, version.table_numbers()) == (2, 4, True, {1})


def test_a_loaded_manifest_goes_on(fs: Any, written: list[int]) -> None:
    _, manifest = Manifest.load(fs, DIRECTORY)
    manifest.append(add(4))
    manifest.close()
    assert tables(fs) == {1, 2, 3, 4}
    assert manifests(fs) == ["MANIFEST-000001"]


def test_a_contradicting_edit_is_not_written(fs: Any) -> None:
    manifest = Manifest.create(fs, DIRECTORY, SNAPSHOT)
    size = manifest.size
    with pytest.raises(VersionError):
        manifest.append(VersionEdit(removed=(TableRemoved(1, 0, 9),)))
    assert fs.read_file(FIRST)[size:] == b""
    manifest.append(add(1))


@pytest.mark.parametrize("lost", range(1, 200, 7))
def test_a_torn_tail_is_cut_off(fs: Any, written: list[int], lost: int) -> None:
    data = fs.read_file(FIRST)
    kept = max(len(data) - lost, written[2] + 1)
    overwrite(fs, FIRST, data[:kept])
    assert tables(fs, read_only=False) == {1, 2}
    assert manifests(fs) == ["MANIFEST-000002"]
    assert tables(fs) == {1, 2}


def test_a_tail_of_zeros_is_cut_off(fs: Any, written: list[int]) -> None:
    overwrite(fs, FIRST, fs.read_file(FIRST) + bytes(4096))
    assert tables(fs, read_only=False) == {1, 2, 3}


def test_a_torn_tail_is_left_alone_by_a_reader(fs: Any, written: list[int]) -> None:
    torn = fs.read_file(FIRST)[:-9]
    overwrite(fs, FIRST, torn)
    assert tables(fs, read_only=True) == {1, 2}
    assert fs.read_file(FIRST) == torn
    assert manifests(fs) == ["MANIFEST-000001"]


def test_edits_follow_a_cut_tail(fs: Any, written: list[int]) -> None:
    overwrite(fs, FIRST, fs.read_file(FIRST)[:-9])
    _, manifest = Manifest.load(fs, DIRECTORY)
    manifest.append(add(5))
    manifest.close()
    assert tables(fs) == {1, 2, 5}


def test_a_torn_tail_is_cut_in_place_on_a_full_disk(faulty: Any, written: list[int]) -> None:
    overwrite(faulty, FIRST, faulty.read_file(FIRST)[:-9])
    faulty.fault = lambda n, name, args: no_space() if name == "write" else None
    assert tables(faulty, read_only=False) == {1, 2}
    assert faulty.inner.read_file(FIRST) == faulty.read_file(FIRST)[: written[2]]


def test_a_tail_that_is_cut_in_place_is_so_durably(faulty: Any) -> None:
    """Also where nothing but the snapshot was ever synced: the next edit may be as long as what was cut."""
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    end = manifest.size
    manifest.append(add(1), sync=False)
    manifest.close()
    overwrite(faulty, FIRST, faulty.read_file(FIRST)[: end + 20])
    calls: list[str] = []

    def no_room(_: int, name: str, __: Any) -> Exception | None:
        calls.append(name)
        return no_space() if name == "write" else None

    faulty.fault = no_room
    _, manifest = Manifest.load(faulty, DIRECTORY)
    assert manifest.number == 1
    assert calls.index("sync") > calls.index("truncate")
    manifest.close()


def test_every_flipped_byte_before_the_last_record_is_told(fs: Any, written: list[int]) -> None:
    pristine = fs.read_file(FIRST)
    for at in range(written[2]):
        flip(fs, FIRST, at, 1 << at % 8)
        with pytest.raises(CorruptionError) as told:
            tables(fs)
        record = max([o for o in (HEADER_BYTES, *written) if o <= at], default=0)
        assert told.value.path == FIRST
        assert told.value.offset == (record if at >= HEADER_BYTES else 0)
        overwrite(fs, FIRST, pristine)


def test_every_flipped_byte_after_a_clean_close_is_told_or_harmless(fs: Any, written: list[int]) -> None:
    _, manifest = Manifest.load(fs, DIRECTORY)
    size = manifest.size
    manifest.append(VersionEdit(closed=True))
    manifest.close()
    pristine = fs.read_file(FIRST)
    for at in range(written[2], len(pristine)):
        flip(fs, FIRST, at)
        if at < size:
            with pytest.raises(CorruptionError):
                tables(fs)
        else:
            version, _ = Manifest.load(fs, DIRECTORY, read_only=True)
            assert (version.closed, version.table_numbers()) == (False, {1, 2, 3})
        overwrite(fs, FIRST, pristine)


@pytest.mark.parametrize("kept", [0, 5, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 3, HEADER_BYTES + 40])
def test_a_cut_inside_the_snapshot_is_no_torn_tail(fs: Any, kept: int) -> None:
    Manifest.create(fs, DIRECTORY, SNAPSHOT).close()
    overwrite(fs, FIRST, fs.read_file(FIRST)[:kept])
    with pytest.raises(CorruptionError):
        tables(fs)


def test_unsynced_records_may_tear_in_any_order(fs: Any) -> None:
    manifest = Manifest.create(fs, DIRECTORY, SNAPSHOT)
    manifest.append(add(1))
    at = manifest.size
    manifest.append(add(2), sync=False)
    manifest.append(add(3), sync=False)
    manifest.close()
    flip(fs, FIRST, at + 20)
    assert tables(fs) == {1}


def test_rot_among_unsynced_records_is_told_once_they_were_synced(fs: Any) -> None:
    manifest = Manifest.create(fs, DIRECTORY, SNAPSHOT)
    at = manifest.size
    manifest.append(add(1), sync=False)
    manifest.append(add(2), sync=False)
    manifest.sync()
    manifest.append(add(3), sync=False)
    manifest.close()
    flip(fs, FIRST, at + 20)
    with pytest.raises(CorruptionError) as told:
        tables(fs)
    assert told.value.offset == at


def test_a_record_of_another_manifest_is_not_taken(fs: Any, written: list[int]) -> None:
    data = fs.read_file(FIRST)
    overwrite(fs, FIRST, data + data[written[2] :])
    assert tables(fs) == {1, 2, 3}


@pytest.mark.parametrize("at", range(32))
def test_every_flipped_byte_of_current_is_told(fs: Any, written: list[int], at: int) -> None:
    path = f"{DIRECTORY}/CURRENT"
    flip(fs, path, at)
    with pytest.raises(CorruptionError) as told:
        tables(fs)
    assert (told.value.path, told.value.offset) == (path, 0)


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\n", lambda d: b"", lambda d: b"\xff" * 32])
def test_a_current_of_another_length_is_told(fs: Any, written: list[int], change: Callable[[bytes], bytes]) -> None:
    path = f"{DIRECTORY}/CURRENT"
    overwrite(fs, path, change(fs.read_file(path)))
    with pytest.raises(CorruptionError, match="CURRENT"):
        tables(fs)


def test_a_missing_manifest_is_told(fs: Any, written: list[int]) -> None:
    fs.unlink(FIRST)
    with pytest.raises(CorruptionError, match=r"MANIFEST-000001.*file is missing"):
        tables(fs)


def reheader(fs: Any, at: int, value: bytes) -> None:
    data = bytearray(fs.read_file(FIRST))
    data[at : at + len(value)] = value
    data[124:128] = crc32c(bytes(data[:124])).to_bytes(4, "little")
    overwrite(fs, FIRST, bytes(data))


@pytest.mark.parametrize(("at", "found"), [(8, 9), (48, 2), (52, 2), (56, 2)])
def test_a_newer_format_or_a_cipher_is_refused(fs: Any, written: list[int], at: int, found: int) -> None:
    reheader(fs, at, (9).to_bytes(4, "little"))
    with pytest.raises(UnsupportedVersionError) as refused:
        tables(fs)
    assert (refused.value.path, refused.value.found, refused.value.supported) == (FIRST, found, 1)


@pytest.mark.parametrize(("at", "offset"), [(32, 32), (16, HEADER_BYTES)])
def test_a_header_of_another_manifest_or_database_is_told(fs: Any, written: list[int], at: int, offset: int) -> None:
    reheader(fs, at, b"\x07")
    with pytest.raises(CorruptionError) as told:
        tables(fs)
    assert told.value.offset == offset


@pytest.mark.parametrize("names", [[], ["LOCK"], ["LOCK", "MANIFEST-000001", "CURRENT.tmp"]])
def test_an_empty_or_half_made_directory_holds_no_database(fs: Any, names: list[str]) -> None:
    for name in names:
        overwrite(fs, f"{DIRECTORY}/{name}", b"")
    assert not Manifest.exists(fs, DIRECTORY)
    with pytest.raises(NotADatabaseError, match="create=True"):
        Manifest.load(fs, DIRECTORY)
    Manifest.create(fs, DIRECTORY, SNAPSHOT).close()
    assert tables(fs) == set()


def test_a_directory_of_other_things_is_no_database(fs: Any) -> None:
    overwrite(fs, f"{DIRECTORY}/notes.txt", b"")
    with pytest.raises(NotADatabaseError, match=r"notes\.txt"):
        Manifest.exists(fs, DIRECTORY)


def test_a_file_is_no_database(fs: Any) -> None:
    overwrite(fs, "file", b"")
    with pytest.raises(NotADatabaseError, match="no directory"):
        Manifest.exists(fs, "file")


@pytest.mark.parametrize("name", ["000007.table", "wal-000001.log"])
def test_a_database_without_current_is_told_from_no_database(fs: Any, name: str) -> None:
    overwrite(fs, f"{DIRECTORY}/{name}", b"")
    with pytest.raises(CorruptionError, match=f"no CURRENT beside {name}"):
        Manifest.exists(fs, DIRECTORY)


def test_a_reader_cannot_append(fs: Any, written: list[int]) -> None:
    _, manifest = Manifest.load(fs, DIRECTORY, read_only=True)
    with pytest.raises(ReadOnlyError):
        manifest.append(add(4))


def test_a_full_disk_leaves_the_manifest_as_it_was_and_usable(faulty: Any) -> None:
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    size = manifest.size

    def half_written(n: int, name: str, args: tuple[Any, ...]) -> BaseException | None:
        if name != "write":
            return None
        faulty.inner.write(args[0], bytes(args[1])[:11], args[2])
        return no_space()

    faulty.fault = half_written
    with pytest.raises(DiskFullError):
        manifest.append(add(1))
    assert (len(faulty.read_file(FIRST)), manifest.version.table_numbers(), manifest.poisoned) == (size, set(), False)
    faulty.fault = lambda n, name, args: None
    manifest.append(add(2))
    assert tables(faulty) == {2}


def test_an_edit_that_the_log_has_is_owed_on_a_full_disk_and_comes_first_later(faulty: Any) -> None:
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    size = manifest.size
    faulty.fault = lambda n, name, args: no_space() if name == "write" else None
    for number in (1, 2):
        manifest.owe(add(number))
    assert (manifest.owes, manifest.size, manifest.version.table_numbers()) == (True, size, {1, 2})
    for call in (lambda: manifest.append(add(3)), manifest.sync):
        with pytest.raises(DiskFullError):
            call()
        assert (manifest.owes, manifest.size, manifest.version.table_numbers()) == (True, size, {1, 2})
    assert tables(faulty) == set()
    faulty.fault = lambda n, name, args: None
    manifest.append(VersionEdit(removed=(TableRemoved(1, 0, 1),)))
    assert not manifest.owes
    assert (manifest.version.table_numbers(), tables(faulty)) == ({2}, {2})


def test_a_sync_writes_what_is_owed(faulty: Any) -> None:
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    manifest.owe(add(1))
    assert tables(faulty) == set()
    manifest.sync()
    assert (manifest.owes, tables(faulty)) == (False, {1})


def test_a_write_that_cannot_be_undone_poisons(faulty: Any) -> None:
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    faulty.fault = lambda n, name, args: no_space() if name in ("write", "truncate") else None
    with pytest.raises(PoisonedError, match="no space left"):
        manifest.append(add(1))
    assert manifest.poisoned


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_failed_write_or_sync_poisons_for_good(faulty: Any, call: str) -> None:
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    faulty.fail(call, input_output())
    with pytest.raises(PoisonedError, match="input/output error"):
        manifest.append(add(1))
    faulty.fail("none", None)
    with pytest.raises(PoisonedError, match=r"earlier write failed .*input/output error"):
        manifest.append(add(2))
    with pytest.raises(PoisonedError):
        manifest.sync()


def test_a_full_disk_at_sync_poisons(faulty: Any) -> None:
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    faulty.fail("sync", no_space())
    with pytest.raises(PoisonedError):
        manifest.append(add(1))


def grow(manifest: Manifest, numbers: range) -> None:
    for number in numbers:
        removed = (TableRemoved(1, 0, number - 1),) if number > 1 else ()
        manifest.append(VersionEdit(removed=removed, added=add(number).added))


def test_a_manifest_that_has_grown_is_written_anew(fs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "REWRITE_FLOOR_BYTES", 2000)
    manifest = Manifest.create(fs, DIRECTORY, SNAPSHOT)
    grow(manifest, range(1, 100))
    assert manifest.number > 1
    assert manifest.size < 2500
    assert manifests(fs) == [f"MANIFEST-{manifest.number:06d}"]
    manifest.close()
    assert tables(fs) == {99}


def test_removing_the_old_manifest_cannot_fail_an_edit(faulty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "REWRITE_FLOOR_BYTES", 1000)
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    switched: list[str] = []

    def fault(_: int, name: str, __: Any) -> Exception | None:
        if name == "write_file_atomically":
            switched.append(name)
        elif switched and name in ("sync", "sync_dir", "unlink"):
            return input_output()
        return None

    faulty.fault = fault
    number = 0
    while manifest.number == 1:
        number += 1
        manifest.append(add(number))
    assert not manifest.poisoned
    assert len(manifest.version.table_numbers()) == number
    manifest.close()


def test_a_manifest_stays_with_its_file_where_there_is_no_room_for_a_new_one(
    faulty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_module, "REWRITE_FLOOR_BYTES", 2000)
    manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
    faulty.fault = lambda n, name, args: no_space() if name == "open" else None
    grow(manifest, range(1, 40))
    assert (manifest.number, manifest.poisoned) == (1, False)
    faulty.fault = lambda n, name, args: None
    grow(manifest, range(40, 80))
    assert manifest.number > 1
    manifest.close()
    assert tables(faulty) == {79}


def test_a_crash_at_any_call_leaves_the_edits_that_were_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "REWRITE_FLOOR_BYTES", 700)
    for stop in range(1, 200):
        inner = MemoryFileSystem()
        inner.mkdir(DIRECTORY)
        faulty: Any = FaultyFiles(inner)
        faulty.fault = lambda n, name, args, stop=stop: Crash() if n >= stop else None
        done = None
        try:
            manifest = Manifest.create(faulty, DIRECTORY, SNAPSHOT)
            done = 0
            for number in range(1, 16):
                grow(manifest, range(number, number + 1))
                done = number
        except Crash:
            pass
        if done is None and not Manifest.exists(inner, DIRECTORY):
            continue
        assert tables(inner, read_only=False) in ({done} - {0}, {(done or 0) + 1}, set() if not done else {done})
        assert len(manifests(inner)) == 1
        if done == 15:
            return
    raise AssertionError("the run never came to its end")


def test_leftover_manifests_go_when_a_writer_loads(fs: Any, written: list[int]) -> None:
    overwrite(fs, f"{DIRECTORY}/MANIFEST-000002", b"half")
    tables(fs, read_only=True)
    assert len(manifests(fs)) == 2
    tables(fs, read_only=False)
    assert manifests(fs) == ["MANIFEST-000001"]


# The bytes, and the documents that describe them.


def golden_edits() -> list[VersionEdit]:
    whole = TableMeta(
        7, 5000, 100, 3, 9000, 11, 42, 1_700_000_000_000_000, 1_700_000_000_000_009, b"apple", b"pear",
        salt=0xA1B2C3D4E5F60718, codec=1, shadowed=2,
    )  # fmt: skip
    part = TableMeta(8, 6000, 50, 0, 7000, 1, 10, 0, 0, b"", b"\xff", low=b"b", high=b"q", hash_low=1, hash_high=2**63)
    orders = KeyspaceCreated(2, "öre", True, 4, 17, {"ttl": None, "x": 1})
    return [
        VersionEdit(created=(orders, KeyspaceCreated(3, "gone")), next_file_number=9),
        VersionEdit(
            added=(TableAdded(1, 0, 0, whole), TableAdded(2, 3, 2, part)), flushed=(PartitionFlushed(1, 0, 42),)
        ),
        VersionEdit(removed=(TableRemoved(1, 0, 7),), options=(KeyspaceOptions(2, {"x": 2}),), wal_start=3),
        VersionEdit(dropped=(3,), epoch=2, next_keyspace_id=5, last_sequence=(2 << 44) + 1, closed=True),
    ]


def test_a_manifest_is_written_byte_for_byte_as_the_golden_one(fs: Any) -> None:
    manifest = Manifest.create(fs, DIRECTORY, SNAPSHOT)
    for edit in golden_edits():
        manifest.append(edit)
    manifest.close()
    assert fs.read_file(FIRST) == (GOLDEN / "manifest-000001.bin").read_bytes()
    assert fs.read_file(f"{DIRECTORY}/CURRENT") == (GOLDEN / "manifest-current.txt").read_bytes()


def test_the_golden_manifest_is_read(fs: Any) -> None:
    overwrite(fs, FIRST, (GOLDEN / "manifest-000001.bin").read_bytes())
    overwrite(fs, f"{DIRECTORY}/CURRENT", (GOLDEN / "manifest-current.txt").read_bytes())
    assert read_current(fs, DIRECTORY) == 1
    version, _ = Manifest.load(fs, DIRECTORY, read_only=True)
    expected = DatabaseVersion().apply(SNAPSHOT)
    for edit in golden_edits():
        expected = expected.apply(edit)
    assert version == expected
    assert (list(version.keyspaces), version.epoch, version.next_keyspace_id, version.closed) == ([1, 2], 2, 5, True)


def document_rows(name: str, heading: str) -> list[list[str]]:
    text = (ROOT / "docs" / "format" / name).read_text()
    section = text.split(heading, 1)[1].split("\n#", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


@pytest.mark.parametrize(
    ("heading", "size"), [("## File header", HEADER_BYTES), ("### TABLE_ADDED", 136)], ids=["header", "table"]
)
def test_the_documented_layout_has_no_gap_and_the_size_of_the_code(heading: str, size: int) -> None:
    end = 0
    for offset, length, _ in document_rows("manifest.md", heading):
        assert int(offset) == end
        end += int(length or 0)
    assert end == size


def test_the_documented_sizes_are_those_of_the_code() -> None:
    from lsm import version_edit

    assert version_edit._TABLE.size == 136
    assert manifest_module._HEADER.size + 4 == HEADER_BYTES
    assert document_rows("manifest.md", "## Record")[3][0] == str(manifest_module.RECORD_HEADER_BYTES)


def test_the_documented_tags_are_those_of_the_code() -> None:
    rows = document_rows("manifest.md", "## Version edit")
    assert {name: int(tag) for tag, name, *_ in rows} == {tag.name: int(tag) for tag in Tag}


def test_the_documented_current_line_is_the_one_that_is_written(fs: Any) -> None:
    Manifest.create(fs, DIRECTORY, SNAPSHOT).close()
    line = fs.read_file(f"{DIRECTORY}/CURRENT").decode().rstrip("\n")
    assert f"\n{line}\\n\n" in (ROOT / "docs" / "format" / "manifest.md").read_text()


def test_every_documented_file_has_a_kind() -> None:
    names = [re.fullmatch(r"`(.+)`", row[0]) for row in document_rows("directory.md", "# The database directory")]
    kinds = {parse(name[1])[0] for name in names if name and parse(name[1])}  # type: ignore[index]
    assert kinds == {"lock", "current", "manifest", "segment", "spare", "ring", "table", "reserve"}
