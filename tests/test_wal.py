"""The open log: sequences, times, ring, segments, durability, waiting. Recovery has test_wal_recovery."""

from __future__ import annotations

import os
import random
import selectors
import signal
import threading
import time
import warnings
from pathlib import Path

import pytest
from disk import PATIENCE_SECONDS, eventually
from wal_logs import EPOCH, FILES, FIRST, TINY, new_log, payloads, reopen, ring, scan, segment

from lsm.errors import ClosedError, ForkedError, InvalidArgumentError
from lsm.memory_files import MemoryFileSystem
from lsm.wal import Wal


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(place: Path):
    log = new_log(place)
    yield log
    log.close()


def test_sequences_count_from_the_epoch_on(log):
    assert log.last_sequence == EPOCH << 44
    assert [log.append(b"x") for _ in range(3)] == [FIRST, FIRST + 1, FIRST + 2]
    assert log.last_sequence == FIRST + 2


def test_commit_times_are_wall_clock_and_never_decrease(place):
    before = time.time_ns() // 1000
    log = new_log(place, last_time_us=before + 3_600_000_000)
    log.append(b"x")
    log.append(b"y")
    log.close()
    assert [when for _, when, *_ in scan(place).frames()] == [before + 3_600_000_000] * 2
    # one of several: somebody may set the clock between two looks at it
    assert any(is_of_its_time(place.parent / f"other {attempt}") for attempt in range(20))


def is_of_its_time(place: Path) -> bool:
    """Whether the time of a commit lies between those before and after it."""
    log = new_log(place)
    before = time.time_ns() // 1000
    log.append(b"x")
    after = time.time_ns() // 1000
    log.close()
    return before <= log.last_time_us <= after


def test_frames_come_back_in_order_across_ring_wraps_and_rotations(place):
    log = new_log(place, **TINY)
    rng = random.Random(5)
    model = []
    for i in range(3000):
        payload = rng.randbytes(rng.choice([0, 1, 7, 100, 700, 1999, 2000, 2001, 5000]))
        assert log.append(payload, changes=i) == FIRST + i
        model.append(payload)
        if rng.random() < 0.01:
            log.sync()
    assert log.stats()["segments"] > 10
    assert log.stats()["large_frames"] > 100
    log.close()
    found = scan(place)
    assert payloads(found) == model
    assert [(seq, changes) for seq, _, _, changes, _ in found.frames()] == [(FIRST + i, i) for i in range(3000)]


def test_a_small_commit_makes_no_system_call(log):
    log.append_many(b"x" * 100, 1000)
    stats = log.stats()
    assert (stats["frames"], stats["drains"], stats["ring_stalls"]) == (1000, 0, 0)


def test_the_thread_drains_a_filling_ring_unasked(log):
    log.append_many(b"x" * 100, 4000)
    assert eventually(lambda: log.stats()["drains"] > 0)


def test_without_a_mapping_every_commit_is_written_at_once():
    files = MemoryFileSystem()
    files.mkdir("/log")
    log = Wal.create(files, "/log", bytes(16), 1, 0, 1)
    for i in range(5):
        log.append(b"abc")
        assert log.stats()["drained_bytes"] == (i + 1) * 51
    assert not files.exists("/log/wal.ring")
    log.close()


def test_the_ring_file_holds_no_hole(log, place):
    size = ring(place).stat().st_size
    assert size == 4096 + (1 << 20)
    assert ring(place).stat().st_blocks * 512 >= size


def test_close_leaves_segments_and_no_ring(log, place):
    log.append(b"x")
    log.close()
    assert os.listdir(place) == ["wal-000001.log"]


def test_a_closed_log_refuses(log):
    log.append(b"x")
    log.close()
    log.close()
    for call in (lambda: log.append(b"y"), log.sync, log.rotate, log.durable_fd, lambda: log.wait_durable(FIRST)):
        with pytest.raises(ClosedError):
            call()
    assert log.last_sequence == log.durable_sequence == FIRST


def test_a_log_without_files_only_counts(tmp_path):
    log = Wal.create(None, tmp_path, bytes(16), 3, 0, 1, durable=False)
    seq = log.append(b"x" * 5_000_000)
    assert seq == (3 << 44) + 1 == log.last_sequence == log.durable_sequence
    assert log.wait_durable(seq, 0)
    log.sync()
    log.rotate()
    assert (log.segments(), log.live_bytes, os.listdir(tmp_path)) == ([], 0, [])
    log.close()


def test_an_epoch_below_the_last_sequence_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match="epoch 1"):
        Wal.create(FILES, tmp_path, bytes(16), 1, (2 << 44) + 7, 1)


# ---- durability


def test_sync_makes_everything_so_far_durable(log):
    log.append(b"a")
    last = log.append(b"b")
    assert log.durable_sequence == FIRST - 1
    log.sync()
    assert log.durable_sequence == last


def test_a_sync_with_nothing_new_asks_no_disk(log):
    log.append(b"a")
    log.sync()
    fsyncs = log.stats()["fsyncs"]
    log.sync()
    log.sync_through(FIRST)
    assert log.stats()["fsyncs"] == fsyncs


def test_one_fsync_serves_everyone_who_waits(log):
    start = threading.Barrier(17)
    seqs = [log.append(b"x") for _ in range(16)]
    served = []

    def wait(seq: int) -> None:
        start.wait()
        served.append(log.wait_durable(seq, PATIENCE_SECONDS))

    threads = [threading.Thread(target=wait, args=(seq,)) for seq in seqs]
    for thread in threads:
        thread.start()
    start.wait()
    for thread in threads:
        thread.join()
    assert served == [True] * 16
    assert log.stats()["fsyncs"] == 1


def test_concurrent_syncs_share_fsyncs(log):
    def work() -> None:
        for _ in range(50):
            log.sync_through(log.append(b"x"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.durable_sequence == log.last_sequence == FIRST + 399
    assert log.stats()["fsyncs"] <= 400


def test_waiting_for_what_is_durable_needs_no_time(log):
    assert log.wait_durable(FIRST - 1, 0)
    log.append(b"x")
    assert log.wait_durable(FIRST, PATIENCE_SECONDS + 0.5)
    assert log.wait_durable(FIRST, 0)


def test_waiting_for_what_was_not_committed_is_refused(log):
    with pytest.raises(InvalidArgumentError, match="not committed"):
        log.wait_durable(FIRST)


def test_the_descriptor_wakes_a_selector_for_every_commit(log):
    fd = log.durable_fd()
    assert log.durable_fd() == fd
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        for _ in range(20):
            seq = log.append(b"x")
            while log.durable_sequence < seq:
                assert selector.select(PATIENCE_SECONDS), "no wake-up"
                os.read(fd, 4096)
        assert log.durable_sequence == log.last_sequence


def test_the_descriptor_brings_commits_from_before_its_first_use(log):
    seq = log.append(b"x")
    fd = log.durable_fd()
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        assert selector.select(PATIENCE_SECONDS)
    os.read(fd, 4096)
    assert log.durable_sequence == seq
    with pytest.raises(BlockingIOError):
        os.read(fd, 4096)


def test_a_following_log_keeps_pace_with_threads(log):
    log.durable_fd()
    threads = [threading.Thread(target=lambda: [log.append(b"y" * 50) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.wait_durable(log.last_sequence, PATIENCE_SECONDS)


def wait_again_and_again(log: Wal) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    for _ in range(100_000):
        log.wait_durable(log.append(b"x"))


def test_waiting_answers_ctrl_c(place):
    log = new_log(place)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            wait_again_and_again(log)
    finally:
        signal.signal(signal.SIGALRM, previous)
        log.close()


# ---- segments


def test_segments_tell_their_sequences(place):
    log = new_log(place)
    log.append(b"a")
    log.append(b"b")
    log.rotate()
    log.append(b"c")
    log.sync()
    assert log.segments() == [
        (1, FIRST, FIRST + 1, 128 + 2 * 49, False),
        (2, FIRST + 2, FIRST + 2, 128 + 49, True),
    ]
    assert log.live_bytes == 2 * 128 + 3 * 49
    log.close()


def test_rotating_an_empty_segment_does_nothing(log):
    log.rotate()
    log.append(b"x")
    log.rotate()
    log.rotate()
    assert [number for number, *_ in log.segments()] == [1, 2]


def test_release_removes_finished_durable_segments_oldest_first(place):
    log = new_log(place)
    for _ in range(4):
        log.append(b"x")
        log.rotate()
    assert log.release_through(FIRST + 3) == 0, "nothing is durable yet"
    log.sync()
    assert log.release_through(FIRST + 1) == 2
    assert [number for number, *_ in log.segments()] == [3, 4, 5]
    assert not segment(place, 2).exists()
    assert segment(place, 3).exists()
    assert log.release_through(1 << 60) == 2
    assert [number for number, *_ in log.segments()] == [5]
    log.append(b"y")
    log.close()
    assert payloads(scan(place)) == [b"y"]


def test_segments_of_earlier_openings_are_counted_and_released(place):
    log = new_log(place)
    log.append(b"a")
    log.close()
    log = reopen(place)
    log.append(b"b")
    log.sync()
    assert [(number, first) for number, first, *_ in log.segments()] == [(1, FIRST), (2, FIRST + 1)]
    assert log.release_through(FIRST) == 1
    assert not segment(place, 1).exists()
    log.close()
    assert payloads(scan(place)) == [b"b"]


# ---- processes


def test_a_forked_child_is_refused_and_leaves_the_parents_log_alone(place):
    log = new_log(place)
    log.append(b"a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            log.append(b"child")
        except ForkedError:
            with pytest.raises(ForkedError):
                log.segments()
            log.abandon_after_fork()
            log.close()
            del log
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log.append(b"b")
    log.sync()
    log.close()
    assert payloads(scan(place)) == [b"a", b"b"]


def test_a_log_that_is_dropped_unclosed_loses_nothing(place):
    log = new_log(place)
    log.append(b"a")
    del log
    assert payloads(scan(place)) == [b"a"]
