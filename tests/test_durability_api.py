"""Waiting for durability, apart from committing: sequences, wait_durable, durable_fd, sync=True, reopened databases."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import selectors
import threading
from pathlib import Path
from typing import Any

import pytest
from disk import PATIENCE_SECONDS
from model import TINY, scaled
from together import together

import lsm
from lsm.errors import ClosedError, DiskFullError, InvalidArgumentError
from lsm.faulty_files import FaultyFileSystem
from lsm.posix_files import PosixFileSystem


@pytest.fixture
def ks(db):
    return db.keyspace("plain")


def waited(database, sequence, timeout=None) -> bool:
    """Whether wait_durable says that the sequence is durable; running out of time may be False or TimeoutError."""
    try:
        return database.wait_durable(sequence, timeout=timeout) is not False
    except TimeoutError:
        return False


def drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(fd, 4096)


# Sequences


def test_last_sequence_is_what_the_last_write_returned(any_db):
    ks = any_db.keyspace("plain")
    for write in (lambda: ks.put(b"a", b""), lambda: ks.delete(b"a"), lambda: ks.put_many([(b"a", b""), (b"b", b"")])):
        sequence = write()
        assert any_db.last_sequence == sequence


def test_reads_take_no_sequence(any_db):
    ks = any_db.keyspace("plain")
    sequence = ks.put(b"a", b"")
    ks.get(b"a")
    list(ks.scan())
    any_db.snapshot().close()
    any_db.stats()
    assert any_db.last_sequence == sequence


def test_sequences_of_one_thread_are_contiguous(any_db):
    ks = any_db.keyspace("plain", partitions=3)
    first = ks.put(b"0", b"")
    assert [ks.put(b"%d" % n, b"x" * 100) for n in range(1000)] == list(range(first + 1, first + 1001))


def test_no_two_commits_of_many_threads_share_a_sequence(any_db):
    ks = any_db.keyspace("plain", partitions=2)
    count, taken = scaled(500), []

    def write(thread):
        mine = [ks.put(b"%d-%d" % (thread, n), b"value") for n in range(count)]
        assert mine == sorted(mine)
        taken.extend(mine)

    together(*(lambda n=n: write(n) for n in range(4)))
    assert sorted(taken) == list(range(min(taken), min(taken) + 4 * count))


def test_sequences_grow_across_a_clean_reopen(open_db):
    database = open_db()
    sequence = database.keyspace("plain").put(b"a", b"")
    for _ in range(5):
        database.close()
        database = open_db()
        assert database.last_sequence >= sequence
        later = database.keyspace("plain").put(b"a", b"")
        assert later > sequence
        sequence = later


def test_everything_is_durable_after_a_reopen(open_db):
    database = open_db()
    sequence = database.keyspace("plain").put(b"a", b"")
    database.close()
    assert open_db().durable_sequence >= sequence


# Waiting


def test_durable_sequence_never_exceeds_the_last(db, ks):
    for n in range(200):
        ks.put(b"%d" % n, b"", sync=n % 50 == 0)
        assert db.durable_sequence <= db.last_sequence


def test_wait_durable_returns_when_the_sequence_is_durable(db, ks):
    sequence = ks.put(b"a", b"")
    db.wait_durable(sequence)
    assert db.durable_sequence >= sequence


def test_wait_durable_of_a_durable_sequence_returns_at_once(db, ks):
    sequence = ks.put(b"a", b"", sync=True)
    assert waited(db, sequence, timeout=0)
    assert waited(db, sequence)
    assert waited(db, 0)


def test_wait_durable_with_a_timeout_says_truly_whether_it_is_durable(db, ks):
    for timeout in (0, 0.0, 1e-6, 0.001, 1, PATIENCE_SECONDS):
        sequence = ks.put(b"a", b"")
        # one that was not durable then may be so by now
        if waited(db, sequence, timeout) or timeout == PATIENCE_SECONDS:
            assert db.durable_sequence >= sequence


def test_who_only_asks_is_told_that_the_disk_is_full_and_that_there_is_room_again(open_db):
    files = FaultyFileSystem(PosixFileSystem())
    db = open_db(files=files)
    ks = db.keyspace("plain")
    # the log syncs on its own from here on, and tries again where it could not
    assert db.durable_fd() >= 0
    files.fail("write", errno.ENOSPC)
    sequence = ks.put(b"a", b"")
    with pytest.raises(DiskFullError):
        db.wait_durable(sequence)
    for _ in range(3):
        with pytest.raises(DiskFullError):
            db.wait_durable(sequence, 0)
    files.heal()
    while db.durable_sequence < sequence:
        with contextlib.suppress(DiskFullError):
            db.wait_durable(sequence, PATIENCE_SECONDS)
    assert db.wait_durable(sequence, 0)


def test_wait_for_a_sequence_that_nobody_committed_does_not_succeed(db, ks):
    future = ks.put(b"a", b"") + 1000
    with contextlib.suppress(InvalidArgumentError):
        assert not waited(db, future, timeout=0.05)
    assert ks.get(b"a") == b""


@pytest.mark.parametrize("write", ["put", "delete", "put_many", "batch"])
def test_sync_true_is_durable_when_it_returns(db, ks, write):
    ks.put(b"a", b"")
    if write == "put":
        sequence = ks.put(b"a", b"1", sync=True)
    elif write == "delete":
        sequence = ks.delete(b"a", sync=True)
    elif write == "put_many":
        sequence = ks.put_many([(b"b", b""), (b"c", b"")], sync=True)
    else:
        with db.batch(sync=True) as b:
            b.put(ks, b"a", b"2")
        sequence = b.sequence
    assert db.durable_sequence >= sequence


def test_sync_makes_everything_before_it_durable(db, ks):
    sequences = [ks.put(b"%d" % n, b"") for n in range(100)]
    db.sync()
    assert db.durable_sequence >= max(sequences)


def test_flush_makes_everything_before_it_durable(db, ks):
    sequence = ks.put(b"a", b"")
    db.flush()
    assert db.durable_sequence >= sequence


def test_making_and_dropping_a_keyspace_is_durable_when_it_returns(db):
    db.keyspace("made")
    assert db.durable_sequence >= db.last_sequence
    db.drop_keyspace("made")
    assert db.durable_sequence >= db.last_sequence


def test_sync_of_an_idle_database_returns(any_db):
    any_db.sync()
    any_db.sync()


def test_memory_database_takes_every_durability_call(open_db):
    database = open_db(":memory:")
    ks = database.keyspace("plain")
    sequence = ks.put(b"a", b"", sync=True)
    with database.batch(sync=True) as b:
        b.put(ks, b"b", b"")
    database.sync()
    database.wait_durable(sequence)
    database.flush()
    assert list(ks) == [b"a", b"b"]


def test_many_threads_with_sync_are_each_durable(db, ks):
    rounds, failures = scaled(25), []

    def write(thread):
        for n in range(rounds):
            sequence = ks.put(b"%d-%d" % (thread, n), b"value", sync=True)
            if db.durable_sequence < sequence:
                failures.append(sequence)

    together(*(lambda n=n: write(n) for n in range(8)))
    assert failures == []
    assert len(ks) == 8 * rounds


def test_waiters_and_plain_writers_do_not_hold_each_other_up(db, ks):
    """Threads that wait, threads that only commit, and one that waits for the sequences of the others."""
    rounds, waiting = scaled(20), [True] * 3

    def commit():
        n = 0
        while any(waiting):
            ks.put(b"commit-%d" % (n % 1000), b"value")
            n += 1

    def wait(waiter):
        try:
            for _ in range(rounds):
                sequence = db.last_sequence
                db.wait_durable(sequence)
                assert db.durable_sequence >= sequence
        finally:
            waiting[waiter] = False

    together(commit, *(lambda n=n: wait(n) for n in range(3)))
    db.sync()
    assert db.durable_sequence >= db.last_sequence


def test_durable_sequence_never_goes_back(tiny):
    ks, seen = tiny.keyspace("plain"), [0]
    for n in range(scaled(600)):
        ks.put(b"%d" % (n % 100), b"x" * 50)
        if n % 40 == 0:
            waited(tiny, tiny.last_sequence, timeout=0)
        seen.append(tiny.durable_sequence)
    assert seen == sorted(seen)


def test_close_wakes_or_satisfies_a_waiting_thread(open_db):
    for _ in range(10):
        database = open_db()
        ks = database.keyspace("plain")
        ended: list[Any] = []

        def wait(database=database, ks=ks, ended=ended):
            try:
                while True:
                    database.wait_durable(ks.put(b"a", b""))
            except ClosedError:
                ended.append("closed")

        thread = threading.Thread(target=wait)
        thread.start()
        database.close()
        thread.join()
        assert ended == ["closed"]


# The descriptor of an event loop


def test_durable_fd_is_a_descriptor_that_does_not_block(db):
    fd = db.durable_fd()
    assert isinstance(fd, int)
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)


def test_durable_fd_wakes_a_selector(db, ks):
    fd = db.durable_fd()
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        for _ in range(20):
            sequence = ks.put(b"a", b"value")
            waited(db, sequence, timeout=0)
            while db.durable_sequence < sequence:
                assert selector.select(PATIENCE_SECONDS), "the descriptor never woke"
                drain(fd)


def test_durable_fd_is_readable_after_a_synced_write_by_another_thread(db, ks):
    fd = db.durable_fd()
    drain(fd)
    thread = threading.Thread(target=lambda: ks.put(b"a", b"value", sync=True))
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        thread.start()
        assert selector.select(PATIENCE_SECONDS)
    thread.join()


def test_durable_fd_serves_asyncio(db, ks):
    """One loop commits for many tasks, and answers each when its commit is durable."""
    answered = []

    async def serve():
        loop = asyncio.get_running_loop()
        waiting: list[Any] = []
        fd = db.durable_fd()

        def wake():
            drain(fd)
            durable = db.durable_sequence
            for sequence, future in [entry for entry in waiting if entry[0] <= durable]:
                waiting.remove((sequence, future))
                future.set_result(durable)

        async def client(number):
            for n in range(scaled(10)):
                sequence, future = ks.put(b"%d-%d" % (number, n), b"value"), loop.create_future()
                waiting.append((sequence, future))
                waited(db, sequence, timeout=0)
                loop.call_soon(wake)
                answered.append((sequence, await asyncio.wait_for(future, PATIENCE_SECONDS)))

        loop.add_reader(fd, wake)
        await asyncio.gather(*(client(number) for number in range(8)))
        loop.remove_reader(fd)

    asyncio.run(serve())
    assert len(answered) == 8 * scaled(10)
    assert all(durable >= sequence for sequence, durable in answered)


# Options that change how much the log does


@pytest.mark.parametrize("ring", [4096, 1 << 20])
def test_durability_with_segments_that_rotate_all_the_time(open_db, ring):
    database = open_db(**{**TINY, "wal_ring_bytes": ring})
    ks = database.keyspace("plain")
    for n in range(scaled(300)):
        sequence = ks.put(b"%d" % (n % 50), b"x" * 500)
        if n % 20 == 0:
            database.wait_durable(sequence)
            assert database.durable_sequence >= sequence
    database.close()
    assert len(open_db(**TINY).keyspace("plain")) == min(50, scaled(300))


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("seen_before", [False, True])
def test_a_close_that_cannot_make_commits_durable_says_so_and_closes(
    operation: str, seen_before: bool, tmp_path: Path
) -> None:
    files = FaultyFileSystem(PosixFileSystem())
    db = lsm.open(tmp_path / "db", files=files)
    keyspace = db.keyspace("k")
    keyspace.put(b"synced", b"1", sync=True)
    keyspace.put(b"not yet", b"2")
    files.fail(operation, errno.EIO)
    if seen_before:
        with pytest.raises(lsm.PoisonedError):
            db.sync()
    with pytest.raises(lsm.PoisonedError, match="reopen the database"):
        db.close()
    assert db.closed
    db.close()
    files.heal()
    with lsm.open(tmp_path / "db", files=files) as again:
        assert again.keyspace("k")[b"synced"] == b"1"
