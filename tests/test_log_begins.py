"""A log begins with the first commit of an opening: what opens, reads and closes leaves every byte as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from disk import sizes

import lsm
from lsm import store
from lsm.errors import DiskFullError, FileError, PoisonedError
from lsm.faulty_files import FaultyFileSystem
from lsm.posix_files import PosixFileSystem
from lsm.simulated_files import SimulatedFileSystem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def files() -> FaultyFileSystem:
    return FaultyFileSystem(PosixFileSystem())


@pytest.fixture
def filled(path: Path) -> Path:
    with lsm.open(path) as db:
        db.keyspace("k").put_many([(b"%04d" % n, b"value %d" % n) for n in range(1000)])
        db.flush()
        db.keyspace("k").put(b"in the log", b"1")
    return path


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "LOCK"}


# ---- without a commit


def test_reading_leaves_every_byte_as_it_was(filled):
    before = content(filled)
    for _ in range(3):
        with lsm.open(filled) as db:
            ks = db.keyspace("k")
            assert ks[b"0007"] == b"value 7"
            assert len(list(ks.scan())) == 1001
            assert content(filled) == before
            db.sync()
            assert db.wait_durable(db.last_sequence)
    assert content(filled) == before


def test_sequences_go_on_where_they_were(filled):
    with lsm.open(filled) as db:
        last = db.last_sequence
    with lsm.open(filled) as db:
        assert db.last_sequence == db.durable_sequence == last
    with lsm.open(filled) as db:
        assert db.keyspace("k").put(b"next", b"1") == last + 1


def test_a_database_that_was_never_written_stays_in_its_first_epoch(path):
    for _ in range(4):
        with lsm.open(path) as db:
            assert db.last_sequence == 1 << 44
        assert not sizes(path, ".log")
    with lsm.open(path) as db:
        assert db.keyspace("k").put(b"k", b"v") >> 44 == 1


def test_what_is_removed_by_hand_takes_a_new_epoch(filled):
    """Where files of the log are gone, commits may be lost whose sequences were given."""
    with lsm.open(filled) as db:
        db.flush()
        last = db.last_sequence
    for name in sizes(filled, ".log"):
        (filled / name).unlink()
    with lsm.open(filled) as db:
        assert db.keyspace("k").put(b"k", b"v") >> 44 == (last >> 44) + 1


@pytest.mark.parametrize("call", ["flush", "compact", "settle"])
def test_maintenance_without_a_commit(filled, call):
    with lsm.open(filled) as db:
        getattr(db, call)()
        assert db.keyspace("k")[b"in the log"] == b"1"
        assert db.stats()["wal"]["segments"] == 1  # what was in the log is in tables now
        last = db.last_sequence
    with lsm.open(filled) as db:
        assert db.last_sequence == last
        assert len(list(db.keyspace("k").scan())) == 1001


def test_maintenance_of_an_empty_database_makes_no_log(path):
    with lsm.open(path) as db:
        db.flush()
        db.compact()
        assert not sizes(path, ".log")
        assert db.stats()["wal"]["segments"] == 0


# ---- the first commit


def test_the_first_commit_is_durable_where_that_is_asked_for(filled):
    with lsm.open(filled) as db:
        sequence = db.keyspace("k").put(b"k", b"v", sync=True)
        assert db.durable_sequence == sequence
        assert "wal.ring" in sizes(filled)


def test_a_descriptor_asked_for_before_the_first_commit_tells_of_it(filled):
    with lsm.open(filled) as db:
        descriptor = db.durable_fd()
        assert not select.select([descriptor], [], [], 0)[0]
        sequence = db.keyspace("k").put(b"k", b"v")
        while db.durable_sequence < sequence:
            assert select.select([descriptor], [], [], 60)[0]
            os.read(descriptor, 4096)


def test_many_first_commits_at_once(filled):
    with lsm.open(filled) as db:
        ks, first, found = db.keyspace("k"), db.last_sequence, []
        together = threading.Barrier(8)

        def commit(number: int) -> None:
            together.wait()
            found.append(ks.put(b"thread %d" % number, b"1", sync=number % 2 == 0))

        threads = [threading.Thread(target=commit, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [first + 1 + n for n in range(8)]
    with lsm.open(filled) as db:
        assert all(db.keyspace("k")[b"thread %d" % n] == b"1" for n in range(8))


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_first_commit_of_any_size(filled, size):
    with lsm.open(filled) as db:
        with db.batch() as batch:
            batch.put(db.keyspace("k"), b"large", bytes(size))
        db.keyspace("k").put(b"after", b"1")
    with lsm.open(filled) as db:
        assert db.keyspace("k")[b"large"] == bytes(size)
        assert db.keyspace("k")[b"after"] == b"1"


# ---- where it cannot begin


def test_a_full_disk_opens_reads_and_refuses_the_first_commit_until_there_is_room(filled, files):
    files.fail("write", errno.ENOSPC)
    with lsm.open(filled, files=files) as db:
        ks = db.keyspace("k")
        assert ks[b"0001"] == b"value 1"
        for _ in range(2):
            with pytest.raises(DiskFullError):
                ks.put(b"k", b"v", sync=True)
        assert not sizes(filled, ".ring")
        files.heal()
        last = db.last_sequence
        assert ks.put(b"k", b"v", sync=True) == last + 1
    with lsm.open(filled) as db:
        assert db.keyspace("k")[b"k"] == b"v"


@pytest.mark.parametrize("after", range(3))
def test_without_descriptors_the_first_commit_fails_and_the_next_may_not(filled, files, after):
    """One to sync the segment before, one for the ring, one for the new segment."""
    with lsm.open(filled, files=files) as db:
        before = content(filled)
        files.fail("open", errno.EMFILE, after=after)
        with pytest.raises(FileError) as caught:
            db.keyspace("k").put(b"k", b"v")
        assert caught.value.errno == errno.EMFILE
        assert not isinstance(caught.value, PoisonedError)
        assert content(filled) == before
        files.heal()
        db.keyspace("k").put(b"k", b"v")
    with lsm.open(filled) as db:
        assert db.keyspace("k")[b"k"] == b"v"


def test_without_a_descriptor_for_the_directory_the_next_commit_may_succeed(filled, files):
    with lsm.open(filled, files=files) as db:
        before = content(filled)
        files.fail("sync_dir", errno.EMFILE, times=1)
        with pytest.raises(FileError) as caught:
            db.keyspace("k").put(b"k", b"v")
        assert caught.value.errno == errno.EMFILE
        assert content(filled) == before
        db.keyspace("k").put(b"k", b"v", sync=True)
    with lsm.open(filled) as db:
        assert db.keyspace("k")[b"k"] == b"v"


@pytest.mark.parametrize("ending", ["close", "kill"])
@pytest.mark.parametrize("written", range(36))
def test_files_of_a_failed_beginning_that_would_not_go_are_in_nobodys_way(filled, files, tmp_path, written, ending):
    """The n-th write finds no room, and neither does the removal of what it left: a full btrfs says so to both."""
    left = filled
    with lsm.open(filled, files=files) as db:
        files.fail("write", errno.ENOSPC, after=written, times=1)
        files.fail("unlink", errno.ENOSPC, after=1, times=1)
        with contextlib.suppress(DiskFullError):
            db.keyspace("k").put(b"k", b"1")
        files.heal()
        db.keyspace("k").put(b"k", b"2", sync=True)
        if ending == "kill":
            left = tmp_path / "left"
            shutil.copytree(filled, left)
    with lsm.open(left) as db:
        assert db.keyspace("k")[b"k"] == b"2"
        assert len(list(db.keyspace("k").scan())) == 1002


def test_an_epoch_is_durable_before_its_log(monkeypatch):
    """Killed at any call of an opening that takes a new epoch; the next opening commits, then the power fails."""
    monkeypatch.setattr(store, "COUNTER_MASK", 15)  # half used after eight commits
    options: dict[str, Any] = {"reserve_bytes": 0, "wal_ring_bytes": 4096, "wal_segment_bytes": 4096}
    disk = SimulatedFileSystem()
    with lsm.open("/db", files=disk, **options) as db:
        for n in range(9):
            db.keyspace("k").put(b"%d" % n, b"v")
    disk.record()
    lsm.open("/db", files=disk, **options).close()
    disk.record(0)
    tried = 0
    for moment in disk.moments():
        killed = moment.clone(0, "killed")
        db = lsm.open("/db", files=killed, **options)
        db.keyspace("k").put(b"synced", b"1", sync=True)
        for mode in ("nothing", "ext4", "strict"):
            with lsm.open("/db", files=killed.clone(1, mode), **options) as found:
                assert found.keyspace("k")[b"synced"] == b"1"
            tried += 1
        db.close()
    assert tried > 10


@pytest.mark.parametrize("operation", ["sync", "sync_dir"])
def test_a_failed_sync_of_the_beginning_is_final(filled, files, operation):
    with lsm.open(filled, files=files) as db:
        last = db.last_sequence
        files.fail(operation, errno.EIO, times=1)
        for _ in range(2):
            with pytest.raises(PoisonedError):
                db.keyspace("k").put(b"k", b"v")
        assert db.keyspace("k")[b"0001"] == b"value 1"
    with lsm.open(filled) as db:
        assert db.keyspace("k").get(b"k") is None
        assert db.last_sequence >= last
        db.keyspace("k").put(b"k", b"v", sync=True)


def test_a_child_of_a_fork_before_the_first_commit_disturbs_nothing(filled):
    with lsm.open(filled) as db:
        child = os.fork()
        if child == 0:
            os._exit(0 if db._running.forked else 1)
        assert os.waitpid(child, 0)[1] == 0
        db.keyspace("k").put(b"k", b"v", sync=True)
    with lsm.open(filled) as db:
        assert db.keyspace("k")[b"k"] == b"v"
