"""The simulated power failure: what was synced survives, what was not may, and in which order, by mode and seed."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

import lsm
from lsm.errors import DiskFullError, FileError, InvalidArgumentError
from lsm.filesystem import CREATE, READ, TRUNCATE, WRITE
from lsm.simulated_files import Moment, SimulatedFileSystem

NEW = READ | WRITE | CREATE
SEEDS = 400


def durable(files: SimulatedFileSystem, path: str, data: bytes) -> int:
    """A file whose bytes and name survive; its handle."""
    handle = files.open(path, NEW)
    files.write(handle, data, 0)
    files.sync(handle)
    files.sync_dir(path.rpartition("/")[0] or "/")
    return handle


def contents(files: SimulatedFileSystem, directory: str = "/db") -> dict[str, bytes]:
    if not files.is_dir(directory):
        return {}
    return {name: files.read_file(f"{directory}/{name}") for name in files.listdir(directory)}


def survivors(files: SimulatedFileSystem, mode: str) -> list[dict[str, bytes]]:
    return [contents(files.clone(seed, mode)) for seed in range(SEEDS)]


MODES = ["nothing", "everything", "ext4", "strict"]


@pytest.mark.parametrize("mode", MODES)
def test_what_was_synced_is_on_every_disk(mode: str) -> None:
    files = SimulatedFileSystem()
    durable(files, "/db/a", b"abc" * 1000)
    assert all(found == {"a": b"abc" * 1000} for found in survivors(files, mode))


def test_nothing_unsynced_survives_where_nothing_does_and_all_of_it_where_everything_does() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"old")
    files.write(handle, b"new, longer", 0)
    durable(files, "/db/b", b"b")
    files.unlink("/db/b")
    files.close(files.open("/db/c", NEW))
    assert contents(files.clone(0, "nothing")) == {"a": b"old", "b": b"b"}
    assert contents(files.clone(0, "everything")) == {"a": b"new, longer", "c": b""}


def test_a_synced_file_is_lost_where_its_name_was_not_synced() -> None:
    files = SimulatedFileSystem()
    handle = files.open("/db/a", NEW)
    files.write(handle, b"abc", 0)
    files.sync(handle)
    assert {tuple(found) for found in survivors(files, "strict")} == {(), ("a",)}
    assert {found["a"] for found in survivors(files, "strict") if found} == {b"abc"}


def test_under_one_journal_the_sync_of_a_new_file_takes_its_name_along() -> None:
    files = SimulatedFileSystem()
    handle = files.open("/db/a", NEW)
    files.write(handle, b"abc", 0)
    files.sync(handle)
    assert all(found == {"a": b"abc"} for found in survivors(files, "ext4"))


@pytest.mark.parametrize("mode", ["ext4", "strict"])
def test_names_of_one_directory_arrive_in_order(mode: str) -> None:
    files = SimulatedFileSystem()
    for name in "abcd":
        files.close(files.open(f"/db/{name}", NEW))
    found = {"".join(sorted(names)) for names in survivors(files, mode)}
    assert found == {"", "a", "ab", "abc", "abcd"}


def test_directories_have_orders_of_their_own_but_not_under_one_journal() -> None:
    files = SimulatedFileSystem()
    files.close(files.open("/one/a", NEW))
    files.close(files.open("/two/b", NEW))

    def found(mode: str) -> set[tuple[bool, bool]]:
        clones = [files.clone(seed, mode) for seed in range(SEEDS)]
        return {(clone.exists("/one/a"), clone.exists("/two/b")) for clone in clones}

    assert found("strict") == {(False, False), (True, False), (False, True), (True, True)}
    assert found("ext4") == {(False, False), (True, False), (True, True)}


def test_what_lies_in_a_directory_whose_name_was_lost_is_lost() -> None:
    files = SimulatedFileSystem()
    files.mkdir("/db")
    durable(files, "/db/a", b"abc")
    assert contents(files.clone(0, "nothing")) == {}
    files.sync_dir("/")
    assert contents(files.clone(0, "nothing")) == {"a": b"abc"}


@pytest.mark.parametrize("mode", ["ext4", "strict"])
def test_a_rename_is_one_step(mode: str) -> None:
    files = SimulatedFileSystem()
    durable(files, "/db/a", b"old")
    durable(files, "/db/a.tmp", b"new")
    files.rename("/db/a.tmp", "/db/a")
    found = survivors(files, mode)
    assert {"a": b"new"} in found
    assert {"a": b"old", "a.tmp": b"new"} in found
    assert all(each in ({"a": b"new"}, {"a": b"old", "a.tmp": b"new"}) for each in found)


@pytest.mark.parametrize("mode", ["ext4", "strict"])
def test_overwritten_pieces_arrive_in_any_order(mode: str) -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"o" * 2048)
    files.write(handle, b"n" * 2048, 0)
    found = {each["a"] for each in survivors(files, mode)}
    assert all(len(data) == 2048 for data in found)
    assert all(len(set(data[at : at + 512])) == 1 for data in found for at in range(0, 2048, 512))
    assert len(found) == 16


def test_a_piece_may_be_as_it_was_between_two_writes() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"0" * 512)
    for turn in b"123":
        files.write(handle, bytes([turn]) * 512, 0)
    assert {each["a"][:1] for each in survivors(files, "strict")} == {b"0", b"1", b"2", b"3"}


def test_lengths_are_old_new_or_between() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"o" * 100)
    files.write(handle, b"n" * 5000, 100)
    lengths = {len(each["a"]) for each in survivors(files, "strict")}
    assert {100, 5100} < lengths
    assert all(100 <= length <= 5100 for length in lengths)


def test_under_one_journal_a_length_comes_after_the_bytes_below_it() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"")
    for turn in range(5):
        files.write(handle, b"n" * 3000, 3000 * turn)
    found = {each["a"] for each in survivors(files, "ext4")}
    assert len(found) > 5
    assert all(set(data) <= {ord("n")} for data in found)


def test_what_a_grown_file_lacks_is_zeros_or_bytes_of_files_that_are_gone() -> None:
    files = SimulatedFileSystem()
    files.close(durable(files, "/db/gone", b"g" * 8192))
    files.unlink("/db/gone")
    files.sync_dir("/db")
    handle = durable(files, "/db/a", b"")
    files.write(handle, b"n" * 65536, 0)
    seen = {byte for each in survivors(files, "strict") for byte in each["a"]}
    assert seen == {0, ord("n"), ord("g")}


@pytest.mark.parametrize("mode", ["ext4", "strict"])
def test_a_cut_file_has_its_old_or_its_new_length(mode: str) -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"o" * 5000)
    files.truncate(handle, 0)
    found = {each["a"] for each in survivors(files, mode)}
    assert {b"", b"o" * 5000} <= found
    if mode == "ext4":
        assert found == {b"", b"o" * 5000}


def test_bytes_stored_through_a_mapping_are_cached_until_the_file_is_synced() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/ring", bytes(4096))
    mapped = files.map(handle, 4096)
    assert mapped is not None
    with memoryview(mapped) as view:
        view[1000:1003] = b"abc"
        assert files.read(handle, 3, 1000) == b"abc"
        assert contents(files.clone(0, "nothing"))["ring"] == bytes(4096)
        assert contents(files.clone(0, "everything"))["ring"][1000:1003] == b"abc"
        assert {each["ring"][1000:1003] for each in survivors(files, "ext4")} == {b"abc", bytes(3)}
        files.sync(handle)
        assert contents(files.clone(0, "nothing"))["ring"][1000:1003] == b"abc"


def test_mapped_pieces_may_be_as_any_call_found_them() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/ring", bytes(512))
    mapped = files.map(handle, 512)
    assert mapped is not None
    with memoryview(mapped) as view:
        for turn in (1, 2, 3):
            view[0] = turn
            files.close(files.open(f"/db/{turn}", NEW))
    assert {each["ring"][0] for each in survivors(files, "strict")} == {0, 1, 2, 3}


def test_a_clone_is_given_by_its_seed() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"o" * 20000)
    files.write(handle, b"n" * 30000, 10000)
    for mode in MODES:
        assert survivors(files, mode) == survivors(files, mode)


def test_all_that_a_clone_holds_is_durable() -> None:
    files = SimulatedFileSystem()
    files.write(files.open("/db/a", NEW), b"abc" * 1000, 0)
    clone = files.clone(3, "everything")
    assert contents(clone.clone(0, "nothing")) == {"a": b"abc" * 1000}


def test_a_killed_process_leaves_the_cache_and_what_is_durable_as_they_were() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"old")
    files.write(handle, b"new", 0)
    assert files.lock(handle)
    killed = files.clone(0, "killed")
    assert killed.lock(killed.open("/db/a"))
    assert contents(killed) == {"a": b"new"}
    assert contents(killed.clone(0, "nothing")) == {"a": b"old"}


def test_at_the_crash_everything_stops_and_nothing_changes() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"abc")
    files.crash_at(files.calls() + 1)
    operations: tuple[Callable[[], object], ...] = (
        lambda: files.write(handle, b"last", 0),
        lambda: files.write(handle, b"later", 0),
        lambda: files.sync(handle),
        lambda: files.read(handle, 1, 0),
        lambda: files.unlink("/db/a"),
        lambda: files.listdir("/db"),
        lambda: files.sync_dir("/db"),
        lambda: files.open("/db/a"),
    )
    for operation in operations:
        with pytest.raises(FileError) as caught:
            operation()
        assert caught.value.errno == errno.ESHUTDOWN
    assert files.off
    assert files.map(handle, 1) is None
    assert {each["a"] for each in survivors(files, "strict")} >= {b"abc", b"last"}
    assert {each["a"] for each in survivors(files, "nothing")} == {b"abc"}


def test_a_sync_that_the_crash_meets_syncs_nothing_for_sure() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", b"old")
    files.write(handle, b"new", 0)
    files.crash_at(files.calls() + 1)
    with pytest.raises(FileError):
        files.sync(handle)
    assert {each["a"] for each in survivors(files, "strict")} == {b"old", b"new"}


def test_a_lock_is_lost_with_the_power() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/LOCK", b"")
    assert files.lock(handle)
    assert not files.lock(files.open("/db/LOCK", NEW))
    clone = files.clone(0, "nothing")
    assert clone.lock(clone.open("/db/LOCK", NEW))


def test_moments_are_the_disk_as_each_call_found_it() -> None:
    files = SimulatedFileSystem()
    files.record()
    for turn in range(3):
        files.note = turn
        durable(files, f"/db/{turn}", b"abc")
    moments = files.moments()
    assert [moment.number for moment in moments] == list(range(12))
    assert [moment.note for moment in moments] == [0] * 4 + [1] * 4 + [2] * 4
    assert [len(contents(moment.clone(0, "nothing"))) for moment in moments] == [0] * 4 + [1] * 4 + [2] * 4
    assert [call[1] for call in moments[-1].trace] == ["create", "write", "sync", "sync_dir"] * 2 + [
        "create",
        "write",
        "sync",
    ]
    assert files.moments() == []


def test_a_moment_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError):
        Moment()


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        ("open", lambda files, handle: files.open("/db/a")),
        ("create", lambda files, handle: files.open("/db/new", NEW)),
        ("read", lambda files, handle: files.read(handle, 3, 0)),
        ("write", lambda files, handle: files.write(handle, b"x", 0)),
        ("allocate", lambda files, handle: files.write(handle, b"xyz", 2)),
        ("sync", lambda files, handle: files.sync(handle)),
        ("truncate", lambda files, handle: files.truncate(handle, 1)),
        ("size", lambda files, handle: files.size(handle)),
        ("unlink", lambda files, handle: files.unlink("/db/a")),
        ("rename", lambda files, handle: files.rename("/db/a", "/db/b")),
        ("mkdir", lambda files, handle: files.mkdir("/db/d")),
        ("sync_dir", lambda files, handle: files.sync_dir("/db")),
        ("lock", lambda files, handle: files.lock(handle)),
        ("kind", lambda files, handle: files.exists("/db/a")),
        ("list", lambda files, handle: files.listdir("/db")),
        ("free_bytes", lambda files, handle: files.free_bytes("/db")),
        ("change", lambda files, handle: files.write(handle, b"x", 0)),
        ("any", lambda files, handle: files.size(handle)),
    ],
)
def test_the_nth_call_of_a_kind_fails_and_no_other(
    kind: str, operation: Callable[[SimulatedFileSystem, int], object]
) -> None:
    def prepared() -> tuple[SimulatedFileSystem, int]:
        files = SimulatedFileSystem()
        return files, durable(files, "/db/a", b"abc")

    files, handle = prepared()
    files.fail(kind, 1, errno.EIO)
    before = contents(files.clone(0, "everything"))
    with pytest.raises(FileError) as caught:
        operation(files, handle)
    assert caught.value.errno == errno.EIO
    assert contents(files.clone(0, "everything")) == before
    operation(files, handle)

    files, handle = prepared()
    files.fail(kind, 2, errno.EIO)
    operation(files, handle)


def test_a_mapping_can_be_refused() -> None:
    files = SimulatedFileSystem()
    handle = durable(files, "/db/a", bytes(4096))
    files.fail("map", 1, errno.ENOMEM)
    assert files.map(handle, 4096) is None
    assert files.map(handle, 4096) is not None


def test_interrupted_and_short_calls_do_not_pass_the_seam() -> None:
    files = SimulatedFileSystem()
    handle = files.open("/db/a", NEW)
    for kind in ("read", "write", "sync", "truncate"):
        files.fail(kind, 1, errno.EINTR, 3)
    files.shorten("read", 1, 3, None)
    files.shorten("write", 1, 2, None)
    files.write(handle, b"0123456789", 0)
    assert files.read(handle, 10, 0) == b"0123456789"
    files.truncate(handle, 5)
    files.sync(handle)
    files.sync_dir("/db")
    assert contents(files.clone(0, "nothing")) == {"a": b"01234"}
    assert files.calls("write") == 8


def test_a_failing_write_may_leave_half_of_its_bytes() -> None:
    files = SimulatedFileSystem()
    handle = files.open("/db/a", NEW)
    files.fail("write", 1, errno.ENOSPC, halves=True)
    with pytest.raises(DiskFullError):
        files.write(handle, b"0123456789", 0)
    assert files.read_file("/db/a") == b"01234"


def test_a_call_may_lie() -> None:
    files = SimulatedFileSystem()
    handle = files.open("/db/a", NEW)
    files.fail("sync", 1, 0)
    files.write(handle, b"abc", 0)
    files.sync(handle)
    files.sync_dir("/db")
    assert contents(files.clone(0, "nothing")) == {"a": b""}


def test_healing_takes_every_fault_back() -> None:
    files = SimulatedFileSystem()
    files.fail("any", 1, errno.EIO, None)
    with pytest.raises(FileError):
        files.listdir("/")
    files.heal()
    files.listdir("/")


def test_a_full_disk_takes_what_fits_and_has_room_again_after_a_removal() -> None:
    files = SimulatedFileSystem()
    files.capacity = 3 * 4096
    files.close(durable(files, "/db/a", bytes(8192)))
    handle = files.open("/db/b", NEW)
    with pytest.raises(DiskFullError):
        files.write(handle, bytes(5000), 0)
    assert (files.size(handle), files.used_bytes, files.free_bytes("/db")) == (4096, 3 * 4096, 0)
    with pytest.raises(DiskFullError):
        files.open("/db/c", NEW)
    with pytest.raises(DiskFullError):
        files.truncate(handle, 5000)
    files.write(handle, b"overwritten", 0)
    files.unlink("/db/a")
    files.write(handle, bytes(904), 4096)
    assert files.size(handle) == 5000
    files.capacity = None
    assert files.free_bytes("/db") is None


def test_a_removed_file_takes_room_while_it_is_open() -> None:
    files = SimulatedFileSystem()
    files.capacity = 1 << 20
    handle = durable(files, "/db/a", bytes(8192))
    files.unlink("/db/a")
    assert files.used_bytes == 8192
    files.close(handle)
    assert files.used_bytes == 0


def test_the_trace_names_calls_files_and_failures() -> None:
    files = SimulatedFileSystem()
    handle = files.open("/db/a", NEW | TRUNCATE)
    files.write(handle, b"abc", 7)
    files.fail("sync", 1, errno.EIO)
    with pytest.raises(FileError):
        files.sync(handle)
    assert files.trace() == [
        (1, "create", "/db/a", 0, 0, ""),
        (2, "write", "/db/a", 7, 3, ""),
        (3, "sync", "/db/a", 0, 0, "EIO"),
    ]


def test_bad_arguments_are_refused() -> None:
    files = SimulatedFileSystem()
    with pytest.raises(InvalidArgumentError, match="no kind of call 'flush'"):
        files.fail("flush", 1, errno.EIO)
    with pytest.raises(InvalidArgumentError, match="counts from 1"):
        files.fail("read", 0, errno.EIO)
    with pytest.raises(InvalidArgumentError, match="no mode 'xfs'"):
        files.clone(0, "xfs")
    with pytest.raises(InvalidArgumentError, match="no progress"):
        files.shorten("read", 1, 0)


def test_a_database_lives_on_it_and_a_synced_commit_outlives_the_power() -> None:
    files = SimulatedFileSystem()
    files.mkdir("/db")
    files.sync_dir("/")
    db = lsm.open("/db", files=files, reserve_bytes=0)
    keyspace = db.keyspace("k")
    keyspace.put(b"a", b"1", sync=True)
    keyspace.put(b"b", b"2")
    files.crash()
    for mode in MODES:
        for seed in range(5):
            with lsm.open("/db", files=files.clone(seed, mode), reserve_bytes=0) as found:
                assert dict(found.keyspace("k").items()) in ({b"a": b"1"}, {b"a": b"1", b"b": b"2"})
    with pytest.raises(lsm.Error):
        db.close()
