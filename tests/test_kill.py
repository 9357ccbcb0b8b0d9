"""kill -9 in the middle of everything: what was acknowledged is there, batches are whole, and nothing has a hole.

A killed process is what `sync=False` promises to survive; the same rounds run synced, with one thread and with several,
and with kills during recovery. The children are `writer_process.py`.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import struct
import time
from typing import Any

import pytest
from children import HUNG_SECONDS, start
from model import TINY, scaled
from writer_process import ACK, MANY, OPENING, READY, WINDOW, key_of, value_of

import lsm

WRITER = os.path.join(os.path.dirname(__file__), "writer_process.py")
OPTIONS = {
    "tiny": TINY,
    "segments-rotate": {"wal_segment_bytes": 8192, "wal_ring_bytes": 4096},
    "default": {},
    "flush-and-compact": {**TINY, "memtable_bytes": 16384, "wal_bytes": 32768, "compression": "zstd"},
}


class Acknowledgements:
    """Reads a child's pipe and remembers the last number of each thread."""

    def __init__(self, child, threads: int) -> None:
        self.child, self.last, self.pending = child, [-1] * threads, b""
        self.count = 0
        self.control: list[Any] = []

    def read(self) -> bool:
        """Takes what is there, or waits for it; False at the end."""
        if not select.select([self.child.stdout], [], [], HUNG_SECONDS)[0]:
            raise AssertionError("the writer hangs")
        chunk = os.read(self.child.stdout.fileno(), 1 << 16)
        whole = (self.pending + chunk)[: (len(self.pending) + len(chunk)) // ACK.size * ACK.size]
        self.pending = (self.pending + chunk)[len(whole) :]
        for thread, number in ACK.iter_unpack(whole):
            if thread == READY[0]:
                self.control.append((thread, number))
            else:
                assert number > self.last[thread]
                self.last[thread] = number
                self.count += 1
        return bool(chunk)

    def read_until(self, count: int) -> None:
        while self.count < count:
            assert self.read(), f"the writer ended by itself: {self.child.wait()}"

    def read_until_told(self, what: tuple[int, int]) -> None:
        while what not in self.control:
            assert self.read(), f"the writer ended by itself: {self.child.wait()}"


def kill(child, acknowledgements: Acknowledgements) -> None:
    """Kills the child and reads what it had acknowledged before it died."""
    child.send_signal(signal.SIGKILL)
    while acknowledgements.read():
        pass
    child.wait()
    child.stdout.close()
    child.stdin.close()


def numbers(keyspace, thread: int) -> list[int]:
    prefix = struct.pack(">H", thread)
    return [struct.unpack(">HQB", key)[1] for key in keyspace.scan(prefix=prefix, values=False)]


def count_of(total: int, remainder: int) -> list[int]:
    """The operation numbers below total that leave this remainder by three."""
    return list(range(remainder, total, 3))


def verify_thread(database, thread: int, acknowledged: int) -> int:
    """Checks that the thread's operations 0..n-1 are there, whole and in no other number, and returns n."""
    log, many, side, live = (database.keyspace(name) for name in ("log", "many", "side", "live"))
    singles = numbers(log, thread)
    groups = numbers(many, thread)
    total = max([*singles, *groups], default=-1) + 1
    assert acknowledged + 1 <= total <= acknowledged + 2, (
        "acknowledged operations are lost, or others came from nowhere"
    )
    assert singles == sorted(count_of(total, 0) + count_of(total, 2)), "holes among single puts and batches"
    assert groups == [n for n in count_of(total, 1) for _ in range(MANY)], "holes among put_many, or torn ones"
    batches = count_of(total, 2)
    partition = struct.pack(">H", thread)
    assert [struct.unpack(">Q", sk)[0] for (_, sk) in side.scan(partition=partition, values=False)] == batches
    assert numbers(live, thread) == batches[-WINDOW:], "deletes of batches are lost"
    for key, value in log.scan(prefix=partition):
        assert value == value_of(thread, struct.unpack(">HQB", key)[1])
    assert all(log.get(key_of(thread, n)) == value_of(thread, n) for n in singles[-20:])
    return total


def round_of_kill(path, options, mode, starts, operations) -> list[int]:
    """Starts a writer, kills it after this many acknowledgements, reopens, verifies; gives where to go on."""
    child = start(WRITER, path, json.dumps(options), mode, json.dumps(starts))
    acknowledgements = Acknowledgements(child, len(starts))
    acknowledgements.last = [first - 1 for first in starts]
    try:
        acknowledgements.read_until(operations)
    finally:
        kill(child, acknowledgements)
    with lsm.open(path, **options) as database:
        return [verify_thread(database, thread, last) for thread, last in enumerate(acknowledgements.last)]


@pytest.mark.parametrize("mode", ["unsynced", "mixed"])
@pytest.mark.parametrize("options", list(OPTIONS.values()), ids=list(OPTIONS))
def test_everything_acknowledged_outlives_kill(path, options, mode):
    rng, starts = random.Random(), [0]
    for _ in range(scaled(3)):
        starts = round_of_kill(path, options, mode, starts, rng.randrange(1, 1500))


@pytest.mark.parametrize("mode", ["unsynced", "mixed"])
@pytest.mark.parametrize("options", list(OPTIONS.values()), ids=list(OPTIONS))
def test_everything_acknowledged_to_many_threads_outlives_kill(path, options, mode):
    rng, starts = random.Random(), [0] * 4
    for _ in range(scaled(2)):
        starts = round_of_kill(path, options, mode, starts, rng.randrange(1, 3000))


@pytest.mark.parametrize("threads", [1, 4])
def test_every_synced_commit_outlives_kill(path, threads):
    starts = [0] * threads
    for _ in range(scaled(2)):
        starts = round_of_kill(path, TINY, "synced", starts, random.randrange(1, 150))


def test_kill_right_after_the_first_commits(path):
    starts = [0]
    for operations in [1, 1, 2, 3, 1]:
        starts = round_of_kill(path, TINY, "unsynced", starts, operations)


def kill_while_opening(path, options, delay: float) -> None:
    child = start(WRITER, path, json.dumps(options), "open", "[]")
    acknowledgements = Acknowledgements(child, 0)
    try:
        acknowledgements.read_until_told(OPENING)
        time.sleep(delay)
    finally:
        kill(child, acknowledgements)


@pytest.mark.parametrize("recovery", ["replays into memory", "flushes while it replays"])
def test_kills_during_recovery_lose_nothing(path, recovery):
    large = {"wal_bytes": 1 << 30, "memtable_bytes": 64 << 20}
    child = start(WRITER, path, json.dumps(large), "unsynced", "[0, 0]")
    acknowledgements = Acknowledgements(child, 2)
    try:
        acknowledgements.read_until(6000)
    finally:
        kill(child, acknowledgements)
    options = large if recovery == "replays into memory" else TINY
    for n in range(scaled(10)):
        kill_while_opening(path, options, delay=0.004 * n)
    with lsm.open(path, **options) as database:
        for thread, last in enumerate(acknowledgements.last):
            verify_thread(database, thread, last)


def test_kills_while_the_directory_is_being_made_leave_it_openable(path):
    for n in range(scaled(10)):
        kill_while_opening(path, {}, delay=0.002 * n)
        with lsm.open(path) as database:
            assert list(database.keyspaces()) == []
        if n % 2:
            for name in os.listdir(path):
                os.unlink(path / name)
            os.rmdir(path)


def test_killed_opener_leaves_no_lock(path):
    child = start(WRITER, path, "{}", "open", "[]")
    acknowledgements = Acknowledgements(child, 0)
    try:
        acknowledgements.read_until_told(READY)
    finally:
        kill(child, acknowledgements)
    with lsm.open(path) as database:
        database.keyspace("plain").put(b"a", b"")


def verify_keyspaces(database, begin: int, made: int, dropped: int) -> None:
    """Numbers up to `made` were made and those up to `dropped` dropped, each with an answer; one more may have been."""
    unsure = dropped + 1 if made - 3 > dropped else None
    names = {int(name[1:]) for name in database.keyspaces()}
    assert names - {made + 1, unsure} == set(range(max(begin, dropped + 1), made + 1)) - {unsure}
    for n in names - {made + 1}:
        assert list(database.keyspace(f"n{n}").items()) == [(b"key", b"%d" % n)]


def test_keyspaces_made_and_dropped_outlive_kill(path):
    for turn in range(scaled(4)):
        begin = 1000 * turn
        child = start(WRITER, path, json.dumps(TINY), "keyspaces", json.dumps([begin]))
        acknowledgements = Acknowledgements(child, 2)
        acknowledgements.last = [begin - 1, begin - 1]
        try:
            acknowledgements.read_until(random.randrange(1, 40))
        finally:
            kill(child, acknowledgements)
        with lsm.open(path, **TINY) as database:
            verify_keyspaces(database, begin, *acknowledgements.last)
            for name in list(database.keyspaces()):
                database.drop_keyspace(name)


def test_sequences_after_a_kill_are_new(path):
    """No number is given to two commits: also a commit that nobody saw may have taken one."""
    highest, starts = 0, [0]
    for _ in range(3):
        starts = round_of_kill(path, TINY, "unsynced", starts, 100)
        with lsm.open(path, **TINY) as database:
            recovered = database.last_sequence
            taken = database.keyspace("sequences").put(b"a", b"")
            assert taken > recovered >= highest
            highest = taken
