"""One contract for every file system: whatever passes here can stand under the engine."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from lsm.errors import FileError, InvalidArgumentError
from lsm.filesystem import CREATE, EXCLUSIVE, READ, TRUNCATE, WRITE, FileSystem
from lsm.memory_files import MemoryFileSystem
from lsm.posix_files import PosixFileSystem
from lsm.short_files import ShortTransferFileSystem
from lsm.simulated_files import SimulatedFileSystem

NEW = READ | WRITE | CREATE

KINDS: dict[str, Callable[[], FileSystem]] = {
    "posix": PosixFileSystem,
    "memory": MemoryFileSystem,
    "simulated": SimulatedFileSystem,
    "posix, interrupted": lambda: ShortTransferFileSystem(PosixFileSystem(), 7, 2),
    "memory, interrupted": lambda: ShortTransferFileSystem(MemoryFileSystem(), 7, 2),
    "simulated, interrupted": lambda: ShortTransferFileSystem(SimulatedFileSystem(), 7, 2),
}


@dataclass
class Place:
    """A file system and an empty directory in it."""

    files: FileSystem
    directory: str

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def put(self, name: str, data: bytes) -> str:
        with self.opened(name, NEW | TRUNCATE) as handle:
            self.files.write(handle, data, 0)
        return self.path(name)

    @contextlib.contextmanager
    def opened(self, name: str, flags: int = READ) -> Iterator[int]:
        handle = self.files.open(self.path(name), flags)
        try:
            yield handle
        finally:
            self.files.close(handle)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    files = KINDS[request.param]()
    directory = str(tmp_path / "db")
    files.mkdir(directory)
    return Place(files, directory)


def test_bytes_come_back_as_written(place: Place) -> None:
    data = os.urandom(200_000)
    place.put("a", data)
    with place.opened("a") as handle:
        assert place.files.read(handle, len(data), 0) == data
        assert place.files.read(handle, 1000, 150_000) == data[150_000:151_000]
        assert place.files.size(handle) == len(data)


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4]])
def test_any_buffer_can_be_written(place: Place, data: bytes | bytearray | memoryview) -> None:
    place.put("a", data)  # type: ignore[arg-type]
    assert place.files.read_file(place.path("a")) == b"abc"


def test_reading_past_the_end_gives_what_there_is(place: Place) -> None:
    place.put("a", b"0123456789")
    with place.opened("a") as handle:
        assert place.files.read(handle, 100, 6) == b"6789"
        assert place.files.read(handle, 100, 10) == b""
        assert place.files.read(handle, 100, 1 << 40) == b""
        assert place.files.read(handle, 0, 0) == b""


def test_a_read_that_may_not_wait_gives_the_same_bytes_or_none(place: Place) -> None:
    data = os.urandom(100_000)
    place.put("a", data)
    given = []
    with place.opened("a") as handle:
        for n, offset in ((100_000, 0), (10, 99_990), (200, 99_900), (1, 100_000), (0, 5)):
            given.append(place.files.read_nowait(handle, n, offset))
            assert given[-1] in (None, data[offset : offset + n])
    if not any(given):
        return  # this system cannot tell, and is not asked
    with place.opened("a", WRITE) as handle, pytest.raises(FileError) as caught:
        place.files.read_nowait(handle, 1, 0)
    assert (caught.value.errno, caught.value.filename) == (errno.EBADF, place.path("a"))


@pytest.mark.parametrize("gap", [1, 255, 65_535, 65_536, 65_537, 1_000_000])
def test_a_write_past_the_end_leaves_zeros_in_the_gap(place: Place, gap: int) -> None:
    place.put("a", b"ab")
    with place.opened("a", READ | WRITE) as handle:
        place.files.write(handle, b"cd", 2 + gap)
        assert place.files.size(handle) == gap + 4
    assert place.files.read_file(place.path("a")) == b"ab" + bytes(gap) + b"cd"


def test_overwriting_the_middle_keeps_the_rest(place: Place) -> None:
    place.put("a", bytes(70_000))
    with place.opened("a", READ | WRITE) as handle:
        place.files.write(handle, b"x" * 100, 65_500)
    assert place.files.read_file(place.path("a")) == bytes(65_500) + b"x" * 100 + bytes(4_400)


@pytest.mark.parametrize("offset", [0, 1, 32_767, 32_768, 32_769, 1_048_575])
@pytest.mark.parametrize("size", [0, 1, 32_768, 98_303, 98_305, 1_500_000])
def test_a_long_write_is_whole_wherever_it_begins(place: Place, offset: int, size: int) -> None:
    data = os.urandom(size)
    place.put("a", b"!" * (offset + size + 1))
    with place.opened("a", READ | WRITE) as handle:
        place.files.write(handle, data, offset)
    assert place.files.read_file(place.path("a")) == b"!" * offset + data + b"!"


@pytest.mark.parametrize("size", [0, 5, 65_536, 70_000])
def test_what_truncate_cut_reads_as_zeros_when_the_file_grows_again(place: Place, size: int) -> None:
    place.put("a", b"x" * 140_000)
    with place.opened("a", READ | WRITE) as handle:
        place.files.truncate(handle, size)
        assert place.files.size(handle) == size
        place.files.truncate(handle, 140_000)
    assert place.files.read_file(place.path("a")) == b"x" * size + bytes(140_000 - size)


def test_writes_and_truncations_in_any_order_leave_what_a_bytearray_would_hold(place: Place) -> None:
    random = Random(7)
    model = bytearray()
    with place.opened("a", NEW) as handle:
        for _ in range(150):
            at, n = random.choice((0, 250, 65_000, 131_000)) + random.randrange(600), random.randrange(1, 700)
            if random.random() < 0.3:
                place.files.truncate(handle, at)
                model = model[:at] + bytes(max(0, at - len(model)))
            else:
                data = random.randbytes(n)
                place.files.write(handle, data, at)
                model += bytes(max(0, at + n - len(model)))
                model[at : at + n] = data
            assert place.files.size(handle) == len(model)
            assert place.files.read(handle, 2_000, max(0, at - 700)) == model[max(0, at - 700) :][:2_000]
        assert place.files.read(handle, len(model) + 1, 0) == model


def test_opening_with_truncate_empties_the_file(place: Place) -> None:
    path = place.put("a", b"abc")
    place.put("a", b"")
    assert place.files.read_file(path) == b""


def test_opening_without_create_needs_the_file(place: Place) -> None:
    path = place.path("absent")
    with pytest.raises(FileError) as caught:
        place.files.open(path, READ)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == path
    assert caught.value.strerror == f"cannot open: {os.strerror(errno.ENOENT)}"
    assert not place.files.exists(path)


def test_exclusive_creation_refuses_an_existing_file(place: Place) -> None:
    path = place.put("a", b"abc")
    with pytest.raises(FileError) as caught:
        place.files.open(path, NEW | EXCLUSIVE)
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, path)
    with place.opened("b", NEW | EXCLUSIVE):
        assert place.files.exists(place.path("b"))


def test_a_handle_does_only_what_it_was_opened_for(place: Place) -> None:
    path = place.put("a", b"abc")
    with place.opened("a", READ) as handle, pytest.raises(FileError) as caught:
        place.files.write(handle, b"x", 0)
    assert (caught.value.errno, caught.value.filename) == (errno.EBADF, path)
    with place.opened("a", WRITE) as handle, pytest.raises(FileError) as caught:
        place.files.read(handle, 1, 0)
    assert (caught.value.errno, caught.value.filename) == (errno.EBADF, path)


def test_a_closed_handle_is_refused_by_every_operation(place: Place) -> None:
    handle = place.files.open(place.path("a"), NEW)
    place.files.close(handle)
    files = place.files
    for operation in (
        lambda: files.read(handle, 1, 0),
        lambda: files.write(handle, b"x", 0),
        lambda: files.sync(handle),
        lambda: files.size(handle),
        lambda: files.truncate(handle, 0),
        lambda: files.lock(handle),
    ):
        with pytest.raises(FileError) as caught:
            operation()
        assert caught.value.errno == errno.EBADF
    assert files.map(handle, 1) is None


@pytest.mark.parametrize("handle", [-1, 1_000_000, 2**31 - 1, -(2**31)])
def test_a_number_that_is_no_handle_is_refused(place: Place, handle: int) -> None:
    for operation in (lambda: place.files.close(handle), lambda: place.files.read(handle, 1, 0)):
        with pytest.raises(FileError) as caught:
            operation()
        assert caught.value.errno == errno.EBADF


def test_negative_numbers_are_refused(place: Place) -> None:
    with place.opened("a", NEW) as handle:
        for operation in (
            lambda: place.files.read(handle, -1, 0),
            lambda: place.files.read(handle, 1, -1),
            lambda: place.files.write(handle, b"x", -1),
            lambda: place.files.truncate(handle, -1),
            lambda: place.files.map(handle, -1),
        ):
            with pytest.raises(InvalidArgumentError, match="is -1; give 0 or more"):
                operation()


def test_an_offset_no_file_can_have_is_an_error(place: Place) -> None:
    path = place.path("a")
    with place.opened("a", NEW) as handle:
        with pytest.raises(FileError) as caught:
            place.files.write(handle, b"x", 2**63 - 1)
        assert caught.value.errno in (errno.EFBIG, errno.EINVAL)
        assert caught.value.filename == path
        refusal = None
        try:
            place.files.truncate(handle, 2**63 - 1)
        except FileError as error:
            refusal = error.errno
        if refusal is None:  # a tmpfs takes it
            assert place.files.size(handle) == 2**63 - 1
            place.files.truncate(handle, 0)
        assert refusal in (None, errno.EFBIG, errno.EINVAL)
        with pytest.raises(OverflowError):
            place.files.write(handle, b"x", 2**64)
        assert place.files.size(handle) == 0


def test_rename_replaces_an_existing_file(place: Place) -> None:
    old, new = place.put("old", b"fresh"), place.put("new", b"stale")
    place.files.rename(old, new)
    assert place.files.read_file(new) == b"fresh"
    assert place.files.listdir(place.directory) == ["new"]


def test_a_replaced_file_lives_on_under_its_handle(place: Place) -> None:
    old, new = place.put("old", b"fresh"), place.put("new", b"stale")
    with place.opened("new", READ | WRITE) as handle:
        place.files.rename(old, new)
        assert place.files.read(handle, 10, 0) == b"stale"
    assert place.files.read_file(new) == b"fresh"


def test_rename_to_itself_changes_nothing(place: Place) -> None:
    path = place.put("a", b"abc")
    place.files.rename(path, path)
    assert place.files.read_file(path) == b"abc"


def test_rename_of_an_absent_file_names_it(place: Place) -> None:
    with pytest.raises(FileError) as caught:
        place.files.rename(place.path("absent"), place.path("b"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, place.path("absent"))


def test_an_unlinked_file_lives_until_its_last_handle_is_closed(place: Place) -> None:
    path = place.put("a", b"abc")
    with place.opened("a", READ | WRITE) as first, place.opened("a", READ) as second:
        place.files.unlink(path)
        assert not place.files.exists(path)
        place.files.write(first, b"def", 3)
        assert place.files.read(second, 10, 0) == b"abcdef"
        place.put("a", b"another")
        assert place.files.read(second, 10, 0) == b"abcdef"
    assert place.files.read_file(path) == b"another"


def test_unlink_of_an_absent_file_is_an_error_unless_allowed(place: Place) -> None:
    path = place.path("absent")
    with pytest.raises(FileError) as caught:
        place.files.unlink(path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, path)
    place.files.unlink(path, missing_ok=True)


def test_unlink_leaves_directories_alone(place: Place) -> None:
    with pytest.raises(FileError) as caught:
        place.files.unlink(place.directory, missing_ok=True)
    assert caught.value.errno in (errno.EISDIR, errno.EPERM)
    assert place.files.is_dir(place.directory)


def test_a_locked_file_refuses_a_second_handle_until_the_first_is_closed(place: Place) -> None:
    first = place.files.open(place.path("LOCK"), NEW)
    with place.opened("LOCK", NEW) as second:
        assert place.files.lock(first) is True
        assert place.files.lock(first) is True
        assert place.files.lock(second) is False
        place.files.close(first)
        assert place.files.lock(second) is True


def test_closing_a_handle_without_the_lock_keeps_the_lock(place: Place) -> None:
    with place.opened("LOCK", NEW) as first:
        assert place.files.lock(first)
        with place.opened("LOCK", NEW):
            pass
        with place.opened("LOCK", NEW) as third:
            assert not place.files.lock(third)


def test_listdir_gives_names_of_files_and_directories_sorted(place: Place) -> None:
    for name in ("b", "a", "ä", "c.table"):
        place.put(name, b"")
    place.files.mkdir(place.path("sub"))
    place.put("sub/inner", b"")
    assert place.files.listdir(place.directory) == sorted(["a", "b", "ä", "c.table", "sub"])
    assert place.files.listdir(place.path("sub")) == ["inner"]


def test_listdir_of_many_names(place: Place) -> None:
    names = [f"{number:06}.table" for number in range(1500)]
    for name in names:
        place.put(name, b"")
    assert place.files.listdir(place.directory) == names


def test_listdir_of_nothing_and_of_a_file_are_errors(place: Place) -> None:
    with pytest.raises(FileError) as caught:
        place.files.listdir(place.path("absent"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, place.path("absent"))
    with pytest.raises(FileError) as caught:
        place.files.listdir(place.put("file", b""))
    assert caught.value.errno == errno.ENOTDIR


def test_mkdir_refuses_what_exists_unless_it_is_a_directory_and_allowed(place: Place) -> None:
    directory = place.path("sub")
    place.files.mkdir(directory)
    assert place.files.is_dir(directory)
    with pytest.raises(FileError) as caught:
        place.files.mkdir(directory)
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, directory)
    place.files.mkdir(directory, exist_ok=True)
    with pytest.raises(FileError):
        place.files.mkdir(place.put("file", b""), exist_ok=True)


def test_exists_and_is_dir_tell_files_from_directories(place: Place) -> None:
    path = place.put("a", b"")
    assert (place.files.exists(path), place.files.is_dir(path)) == (True, False)
    assert (place.files.exists(place.directory), place.files.is_dir(place.directory)) == (True, True)
    assert (place.files.exists(place.path("b")), place.files.is_dir(place.path("b"))) == (False, False)
    assert not place.files.exists("")


def test_two_spellings_of_a_path_are_one_file(place: Place) -> None:
    place.put("a", b"abc")
    assert place.files.read_file(f"{place.directory}//./a") == b"abc"
    assert place.files.listdir(f"{place.directory}/") == ["a"]


def test_paths_may_be_bytes_or_path_objects(place: Place) -> None:
    place.put("a", b"abc")
    assert place.files.read_file(os.fsencode(place.path("a"))) == b"abc"
    assert place.files.read_file(Path(place.directory) / "a") == b"abc"


def test_a_path_that_is_not_utf8_comes_back_as_it_went_in(place: Place) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        place.put(name, b"abc")
    except FileError:
        pytest.skip("this file system takes UTF-8 names only")
    assert place.files.listdir(place.directory) == [name]
    with pytest.raises(FileError) as caught:
        place.files.unlink(place.path(name + "x"))
    assert caught.value.filename == place.path(name + "x")


def test_a_nul_in_a_path_is_refused_everywhere(place: Place) -> None:
    bad = place.path("a\0b")
    for operation in (
        place.files.open,
        place.files.unlink,
        place.files.mkdir,
        place.files.sync_dir,
        place.files.exists,
        place.files.is_dir,
        place.files.listdir,
        place.files.free_bytes,
        place.files.read_file,
        lambda path: place.files.rename(path, place.path("a")),
        lambda path: place.files.rename(place.path("a"), path),
        lambda path: place.files.write_file_atomically(path, b""),
    ):
        with pytest.raises(ValueError, match="NUL"):
            operation(bad)


def test_a_path_of_the_wrong_type_is_refused(place: Place) -> None:
    with pytest.raises(TypeError):
        place.files.open(7)  # type: ignore[arg-type]


def test_a_name_too_long_is_an_error_with_its_whole_path(place: Place) -> None:
    path = place.path("x" * 5000)
    with pytest.raises(FileError) as caught:
        place.files.open(path, NEW)
    assert (caught.value.errno, caught.value.filename) == (errno.ENAMETOOLONG, path)


def test_sync_and_sync_dir_succeed(place: Place) -> None:
    with place.opened("a", NEW) as handle:
        place.files.write(handle, b"abc", 0)
        place.files.sync(handle)
    place.files.sync_dir(place.directory)


def test_an_atomic_write_replaces_the_file_and_leaves_nothing_else(place: Place) -> None:
    path = place.put("CURRENT", b"old")
    place.files.write_file_atomically(path, b"new")
    assert place.files.read_file(path) == b"new"
    assert place.files.listdir(place.directory) == ["CURRENT"]


def test_a_failed_atomic_write_leaves_the_old_file_alone(place: Place) -> None:
    directory = place.path("taken")
    place.files.mkdir(directory)
    place.put("taken/a", b"")
    with pytest.raises(FileError) as caught:
        place.files.write_file_atomically(directory, b"new")
    assert caught.value.errno in (errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY)
    assert place.files.listdir(place.directory) == ["taken"]


def test_free_bytes_is_a_number_or_nothing(place: Place) -> None:
    free = place.files.free_bytes(place.directory)
    assert free is None or free > 0


def test_many_handles_are_distinct(place: Place) -> None:
    place.put("a", b"abc")
    handles = [place.files.open(place.path("a")) for _ in range(100)]
    assert len(set(handles)) == 100
    for handle in handles[::2]:
        place.files.close(handle)
    assert [place.files.read(handle, 3, 0) for handle in handles[1::2]] == [b"abc"] * 50
    for handle in handles[1::2]:
        place.files.close(handle)


def test_threads_use_one_file_system_at_once(place: Place) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(30):
                data = bytes([number, turn]) * 500
                path = place.put(f"file-{number}", data)
                assert place.files.read_file(path) == data
                place.files.rename(path, place.path(f"done-{number}"))
                place.files.listdir(place.directory)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert place.files.listdir(place.directory) == [f"done-{number}" for number in range(4)]
