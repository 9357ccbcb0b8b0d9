"""What only one kind of file system does: the operating system's, the one in memory, and the test door above both."""

from __future__ import annotations

import errno
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lsm
from lsm.errors import DiskFullError, FileError, InvalidArgumentError
from lsm.filesystem import CREATE, READ, WRITE, FileSystem, MappedFile
from lsm.memory_files import MemoryFileSystem
from lsm.posix_files import PosixFileSystem
from lsm.short_files import ShortTransferFileSystem
from lsm.simulated_files import SimulatedFileSystem

NEW = READ | WRITE | CREATE


def test_a_mapping_shares_its_bytes_with_reads_and_writes(tmp_path: Path) -> None:
    files = PosixFileSystem()
    handle = files.open(tmp_path / "ring", NEW)
    files.write(handle, bytes(8192), 0)
    mapped = files.map(handle, 8192)
    assert mapped is not None
    assert len(mapped) == 8192
    with memoryview(mapped) as view:
        view[5000:5003] = b"abc"
        assert files.read(handle, 3, 5000) == b"abc"
        files.write(handle, b"xyz", 1)
        assert bytes(view[1:4]) == b"xyz"
    files.close(handle)


def test_a_mapping_outlives_its_handle_and_its_file(tmp_path: Path) -> None:
    files = PosixFileSystem()
    handle = files.open(tmp_path / "ring", NEW)
    files.write(handle, b"a" * 4096, 0)
    mapped = files.map(handle, 4096)
    assert mapped is not None
    files.close(handle)
    files.unlink(tmp_path / "ring")
    del files
    gc.collect()
    view = memoryview(mapped)
    del mapped
    assert bytes(view[-4:]) == b"aaaa"


def test_nothing_is_mapped_past_the_end_of_a_file(tmp_path: Path) -> None:
    files = PosixFileSystem()
    handle = files.open(tmp_path / "ring", NEW)
    files.write(handle, bytes(4096), 0)
    assert files.map(handle, 4097) is None
    assert files.map(handle, 0) is None
    assert files.map(handle, 2**62) is None
    files.close(handle)


def test_memory_has_no_mapping() -> None:
    files = MemoryFileSystem()
    handle = files.open("ring", NEW)
    files.write(handle, bytes(4096), 0)
    assert files.map(handle, 4096) is None


def test_a_mapping_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError):
        MappedFile()
    with pytest.raises(BufferError):
        memoryview(MappedFile.__new__(MappedFile))


def test_a_child_program_inherits_no_handle(tmp_path: Path) -> None:
    files = PosixFileSystem()
    handle = files.open(tmp_path / "a", NEW)
    script = "import os, sys\ntry: os.fstat(int(sys.argv[1]))\nexcept OSError as e: sys.exit(e.errno)"
    child = subprocess.run([sys.executable, "-c", script, str(handle)], close_fds=False, check=False)
    files.close(handle)
    assert child.returncode == errno.EBADF


def test_another_process_sees_the_lock(tmp_path: Path) -> None:
    files = PosixFileSystem()
    handle = files.open(tmp_path / "LOCK", NEW)
    assert files.lock(handle)
    script = "import fcntl, sys\nfcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", script, str(tmp_path / "LOCK")]
    locked = subprocess.run(command, capture_output=True, check=False)
    files.close(handle)
    freed = subprocess.run(command, capture_output=True, check=False)
    assert b"BlockingIOError" in locked.stderr
    assert freed.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_has_its_own_error() -> None:
    files = PosixFileSystem()
    handle = files.open("/dev/full", WRITE)
    with pytest.raises(DiskFullError) as caught:
        files.write(handle, b"x", 0)
    files.close(handle)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
    assert "free some and try again" in str(caught.value)


def test_a_missing_parent_directory_is_an_error_on_disk(tmp_path: Path) -> None:
    files = PosixFileSystem()
    operations: tuple[Callable[[], object], ...] = (
        lambda: files.open(tmp_path / "absent" / "a", NEW),
        lambda: files.mkdir(tmp_path / "absent" / "a"),
        lambda: files.sync_dir(tmp_path / "absent"),
        lambda: files.free_bytes(tmp_path / "absent"),
    )
    for operation in operations:
        with pytest.raises(FileError) as caught:
            operation()
        assert caught.value.errno == errno.ENOENT
        assert str(caught.value.filename).startswith(str(tmp_path / "absent"))


def test_free_bytes_on_disk_is_a_number_and_in_memory_none(tmp_path: Path) -> None:
    assert PosixFileSystem().free_bytes(tmp_path) is not None
    assert MemoryFileSystem().free_bytes("/") is None


def test_directories_in_memory_are_prefixes() -> None:
    files = MemoryFileSystem()
    files.close(files.open("db/sub/a", NEW))
    files.close(files.open("top", NEW))
    files.close(files.open("/absolute", NEW))
    assert files.is_dir("db")
    assert files.is_dir("db/sub/")
    assert not files.exists("db/su")
    assert files.listdir(".") == ["db", "top"]
    assert files.listdir("/") == ["absolute"]
    assert files.listdir("db") == ["sub"]


def test_files_in_memory_may_be_large_and_sparse() -> None:
    files = MemoryFileSystem()
    handle = files.open("a", NEW)
    files.write(handle, b"end", 1 << 32)
    assert files.size(handle) == (1 << 32) + 3
    assert files.read(handle, 5, (1 << 32) - 2) == b"\0\0end"


def test_two_file_systems_in_memory_share_nothing() -> None:
    first, second = MemoryFileSystem(), MemoryFileSystem()
    first.close(first.open("a", NEW))
    assert not second.exists("a")


def test_a_dropped_file_system_frees_open_and_unlinked_files() -> None:
    files = MemoryFileSystem()
    handle = files.open("a", NEW)
    files.write(handle, bytes(1 << 20), 0)
    files.unlink("a")
    files.close(files.open("b", NEW))
    del files
    gc.collect()


@pytest.mark.parametrize("inner", [PosixFileSystem, MemoryFileSystem])
def test_the_interrupting_door_really_interrupts(inner: type[FileSystem], tmp_path: Path) -> None:
    files = ShortTransferFileSystem(inner(), 3, 2)
    handle = files.open(tmp_path / "a", NEW)
    files.write(handle, b"0123456789" * 10, 0)
    assert files.read(handle, 100, 0) == b"0123456789" * 10
    files.close(handle)
    assert files.interrupts >= 60


def test_writes_without_progress_become_an_input_output_error(tmp_path: Path) -> None:
    files = ShortTransferFileSystem(MemoryFileSystem(), 0, 0)
    handle = files.open("a", NEW)
    with pytest.raises(FileError, match="no progress") as caught:
        files.write(handle, b"abc", 0)
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "a")


def test_a_door_that_always_interrupts_cannot_be_made() -> None:
    with pytest.raises(InvalidArgumentError, match="interrupt_every"):
        ShortTransferFileSystem(MemoryFileSystem(), 1, 1)
    with pytest.raises(TypeError):
        ShortTransferFileSystem(None, 1, 0)  # type: ignore[arg-type]


def test_a_file_system_without_operations_refuses_every_call() -> None:
    files = FileSystem()
    for operation in (
        lambda: files.open("a"),
        lambda: files.close(0),
        lambda: files.read(0, 1, 0),
        lambda: files.write(0, b"x", 0),
        lambda: files.sync(0),
        lambda: files.size(0),
        lambda: files.truncate(0, 0),
        lambda: files.lock(0),
        lambda: files.unlink("a"),
        lambda: files.rename("a", "b"),
        lambda: files.mkdir("a"),
        lambda: files.sync_dir("a"),
        lambda: files.exists("a"),
        lambda: files.listdir("a"),
        lambda: files.free_bytes("a"),
    ):
        with pytest.raises(FileError) as caught:
            operation()
        assert caught.value.errno == errno.ENOSYS
    assert files.map(0, 1) is None


def test_python_may_override_single_methods(tmp_path: Path) -> None:
    class Recording(PosixFileSystem):
        def sync(self, handle: int) -> None:
            synced.append(handle)
            super().sync(handle)

    synced: list[int] = []
    files = Recording()
    files.write_file_atomically(tmp_path / "a", b"abc")
    assert len(synced) == 1
    assert files.read_file(tmp_path / "a") == b"abc"


# What statfs(2) says of places where a store into a mapping may find no room: btrfs, ZFS, NFS, FUSE.
UNSAFE = (0x9123683E, 0x2FC12FC1, 0x6969, 0x65735546)


@pytest.mark.parametrize("place", UNSAFE, ids=hex)
def test_nothing_is_mapped_where_overwriting_may_need_room(tmp_path: Path, place: int) -> None:
    files = PosixFileSystem(place=place)
    handle = files.open(tmp_path / "file", READ | WRITE | CREATE)
    files.write(handle, bytes(4096), 0)
    assert files.map(handle, 4096) is None
    files.close(handle)


@pytest.mark.parametrize("place", [0xEF53, 0x58465342, 0x01021994], ids=["ext4", "xfs", "tmpfs"])
def test_files_that_stay_where_they_were_written_are_mapped(tmp_path: Path, place: int) -> None:
    files = PosixFileSystem(place=place)
    handle = files.open(tmp_path / "file", READ | WRITE | CREATE)
    files.write(handle, bytes(4096), 0)
    assert files.map(handle, 4096) is not None
    files.close(handle)


def test_a_database_without_mappings_keeps_what_it_was_told(tmp_path: Path) -> None:
    files = PosixFileSystem(place=UNSAFE[0])
    db = lsm.open(tmp_path / "db", files=files)
    ks = db.keyspace("events")
    for i in range(100):
        ks.put(b"%03d" % i, bytes(i))
    assert not (tmp_path / "db" / "wal.ring").exists()
    assert db.stats()["wal"]["large_frames"] >= 100
    db.close()
    with lsm.open(tmp_path / "db") as again:
        assert [len(value) for _, value in again.keyspace("events").scan()] == list(range(100))


def test_allocated_room_reads_as_zeros_and_shortens_nothing(tmp_path: Path) -> None:
    for files in (PosixFileSystem(), MemoryFileSystem(), SimulatedFileSystem()):
        directory = str(tmp_path / type(files).__name__)
        files.mkdir(directory)
        handle = files.open(f"{directory}/file", READ | WRITE | CREATE)
        files.write(handle, b"abc", 0)
        if files.allocate(handle, 5000):
            assert files.size(handle) == 5000
            assert files.read(handle, 5000, 0) == b"abc" + bytes(4997)
            assert files.allocate(handle, 10)
            assert files.size(handle) == 5000
        files.close(handle)
