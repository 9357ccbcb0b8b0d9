"""The log when the operating system refuses: full disks lose nothing, failed syncs and writes poison, for good."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
from pathlib import Path

import pytest
from disk import PATIENCE_SECONDS, eventually
from wal_logs import FILES, FIRST, TINY, new_log, payloads, ring, scan, segment

from lsm.errors import DiskFullError, FileError, PoisonedError
from lsm.faulty_files import FaultyFileSystem
from lsm.wal import Wal


@pytest.fixture
def files() -> FaultyFileSystem:
    return FaultyFileSystem(FILES)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


def fill(log: Wal, payload: bytes, limit: int = 10_000) -> int:
    """Appends until the disk is full; how many went in."""
    for i in range(limit):
        try:
            log.append(payload)
        except DiskFullError:
            return i
    raise AssertionError("the disk never got full")


# ---- full disks


def test_a_full_disk_refuses_commits_only_when_the_ring_is_full_and_loses_none(place, files):
    log = new_log(place, files=files, **TINY)
    log.append(b"before")
    log.sync()
    files.fail("write", errno.ENOSPC, halves=True)
    count = fill(log, b"x" * 100)
    assert count == 4096 // 148
    assert log.last_sequence == FIRST + count
    assert log.poisoned is None
    with pytest.raises(DiskFullError):
        log.sync()
    files.heal()
    assert log.append(b"after") == FIRST + count + 1
    log.sync()
    log.close()
    assert payloads(scan(place)) == [b"before", *[b"x" * 100] * count, b"after"]


def test_a_large_commit_on_a_full_disk_changes_nothing(place, files):
    log = new_log(place, files=files)
    log.append(b"before")
    log.sync()
    size = segment(place).stat().st_size
    files.fail("write", errno.ENOSPC, halves=True)
    with pytest.raises(DiskFullError):
        log.append(b"L" * 2_000_000)
    assert segment(place).stat().st_size == size
    assert log.last_sequence == FIRST
    assert log.append(b"small ones still go into the ring") == FIRST + 1
    files.heal()
    assert log.append(b"L" * 1_000_000) == FIRST + 2
    log.close()
    assert [len(p) for p in payloads(scan(place))] == [6, 33, 1_000_000]


def test_waiting_on_a_full_disk_raises_and_works_again_when_there_is_room(place, files):
    log = new_log(place, files=files)
    seq = log.append(b"x")
    files.fail("write", errno.ENOSPC)
    with pytest.raises(DiskFullError):
        log.wait_durable(seq)
    files.heal()

    def durable() -> bool:
        # an attempt that began before there was room may be told of after
        with contextlib.suppress(DiskFullError):
            return bool(log.wait_durable(seq, PATIENCE_SECONDS))
        return False

    assert eventually(durable)
    log.close()


def test_a_following_log_becomes_durable_when_there_is_room_again(place, files):
    log = new_log(place, files=files)
    files.fail("write", errno.ENOSPC)
    fd = log.durable_fd()
    seq = log.append(b"x")
    with pytest.raises(DiskFullError):
        log.sync()
    files.heal()
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while log.durable_sequence < seq:
            assert selector.select(PATIENCE_SECONDS)
            os.read(fd, 4096)
    assert log.durable_sequence == seq
    log.close()


def test_no_room_for_the_next_segment_goes_on_in_the_old_one(place, files):
    log = new_log(place, files=files, **TINY)
    for error in (errno.ENOSPC, errno.EMFILE):
        files.fail("open", error)
        log.append_many(b"x" * 100, 200)
        log.sync()
        assert len(log.segments()) == 1 + (error == errno.EMFILE)
        files.heal()
        log.rotate()
    log.close()
    assert len(payloads(scan(place))) == 400


def test_no_room_for_the_ring_works_without_it(place, files):
    files.fail("write", errno.ENOSPC, times=1)
    log = new_log(place, files=files)
    assert not ring(place).exists()
    log.append(b"a")
    assert log.stats()["ring_bytes"] == 0
    log.close()
    assert payloads(scan(place)) == [b"a"]


def test_a_file_system_without_mappings_works(place, files):
    files.fail("map", 1)
    log = new_log(place, files=files, **TINY)
    log.append_many(b"x" * 300, 100)
    assert log.stats()["drained_bytes"] == 100 * 348
    log.close()
    assert payloads(scan(place)) == [b"x" * 300] * 100


def test_closing_on_a_full_disk_raises_and_loses_nothing(place, files):
    log = new_log(place, files=files)
    log.append(b"only in the ring")
    files.fail("write", errno.ENOSPC)
    with pytest.raises(DiskFullError):
        log.close()
    log.close()
    files.heal()
    found = scan(place)
    assert payloads(found) == [b"only in the ring"]
    assert not found.clean
    files.fail("write", errno.ENOSPC)
    with pytest.raises(DiskFullError):
        scan(place, files=files).repair()
    assert payloads(scan(place)) == [b"only in the ring"]


def test_a_trailer_that_finds_no_room_is_written_later(place, files):
    log = new_log(place)
    log.close()
    log = new_log(place.parent / "b", files=files)
    log.append(b"x")
    log.rotate()
    files.fail("write", errno.ENOSPC)
    log.sync()
    assert log.durable_sequence == FIRST
    assert log.release_through(FIRST) == 0
    files.heal()
    log.append(b"y")
    log.sync()
    assert log.release_through(FIRST) == 1
    log.close()


def test_creation_that_fails_leaves_no_file(place, files):
    place.mkdir()
    for operation, after, error in (
        ("open", 0, errno.EACCES),
        ("open", 1, errno.EACCES),
        ("write", 0, errno.EIO),
        ("write", 18, errno.ENOSPC),
    ):
        files.fail(operation, error, after=after)
        with pytest.raises(FileError):
            new_log(place, files=files)
        files.heal()
        assert os.listdir(place) == []


# ---- poison


@pytest.mark.parametrize(
    ("operation", "error"), [("sync", errno.EIO), ("sync", errno.ENOSPC), ("write", errno.EIO), ("sync_dir", errno.EIO)]
)
def test_a_failed_sync_or_write_poisons_for_good(place, files, operation, error):
    log = new_log(place, files=files)
    log.append(b"a")
    if operation == "sync_dir":
        log.rotate()  # names are synced where there are new ones
    files.fail(operation, error, times=1)
    with pytest.raises(PoisonedError) as caught:
        log.sync()
    assert caught.value.errno == error
    assert isinstance(caught.value.__cause__, FileError)
    syncs = files.calls("sync")
    for call in (
        lambda: log.append(b"b"),
        log.sync,
        log.rotate,
        lambda: log.append(b"L" * 2_000_000),
        lambda: log.wait_durable(FIRST),
    ):
        with pytest.raises(PoisonedError):
            call()
    assert log.poisoned is not None
    assert log.poisoned.errno == error
    assert (log.last_sequence, log.durable_sequence) == (FIRST, FIRST - 1)
    log.close()
    assert files.calls("sync") == syncs
    assert payloads(scan(place)) == [b"a"]


def test_poison_wakes_those_who_wait(place, files):
    log = new_log(place, files=files)
    fd = log.durable_fd()
    files.fail("sync", errno.EIO)
    seq = log.append(b"a")
    with pytest.raises(PoisonedError):
        log.wait_durable(seq)
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        assert selector.select(PATIENCE_SECONDS)
    log.close()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("operation", ["open", "write", "sync", "sync_dir", "unlink"])
def test_whatever_call_fails_what_was_acknowledged_comes_back(place, operation, error):
    for after in range(60):
        files = FaultyFileSystem(FILES)
        here = place.parent / f"{operation}-{error}-{after}"
        files.fail(operation, error, after=after, halves=True)
        log, acknowledged = None, []
        try:
            log = new_log(here, files=files, **TINY)
            for i in range(60):
                payload = b"%d" % i * (300 if i % 20 else 2000)
                log.append(payload)
                acknowledged.append(payload)
                if i % 5 == 0:
                    log.sync()
                if i % 30 == 29:
                    log.rotate()
            log.close()
        except (FileError, PoisonedError):
            pass
        reached = files.calls(operation) > after
        del log
        found = scan(here)
        assert payloads(found) == acknowledged, after
        found.repair()
        assert payloads(scan(here)) == acknowledged
        if not reached:
            return
