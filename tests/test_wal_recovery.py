"""What is left of a log when its writer closes it, dies, or loses power: which frames come back, what is rot."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from wal_logs import (
    EPOCH,
    FIRST,
    SEGMENT_HEADER,
    TINY,
    TRAILER,
    crash,
    flip,
    frame_offsets,
    lose_power,
    new_log,
    payloads,
    reopen,
    ring,
    scan,
    segment,
)

import lsm
from lsm.errors import CorruptionError, ReadOnlyError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


# ---- closed logs


def test_a_closed_log_is_clean_and_needs_no_repair(place):
    log = new_log(place)
    log.append(b"a")
    log.close()
    before = segment(place).read_bytes()
    found = scan(place)
    assert (found.clean, found.last_sequence, found.epoch, found.next_segment_number) == (True, FIRST, EPOCH, 2)
    found.repair()
    assert segment(place).read_bytes() == before


def test_an_empty_directory_is_a_clean_log_without_commits(tmp_path):
    found = scan(tmp_path)
    assert (found.clean, found.last_sequence, found.epoch, found.next_segment_number) == (True, 0, 0, 1)
    assert (payloads(found), found.segments) == ([], [])


def test_a_closed_log_without_commits_keeps_its_place(place):
    new_log(place).close()
    found = scan(place)
    assert (found.clean, found.last_sequence) == (True, EPOCH << 44)
    log = reopen(place)
    assert log.append(b"x") == FIRST
    log.close()


def test_many_openings_are_one_log(place):
    expected = []
    for opening in range(6):
        log = reopen(place, **TINY) if opening else new_log(place, **TINY)
        for i in range(40):
            expected.append(b"%d %d" % (opening, i) * 30)
            log.append(expected[-1])
        if opening % 2:
            log.close()
        else:
            del log
    found = scan(place)
    assert payloads(found) == expected
    times = [when for _, when, *_ in found.frames()]
    assert times == sorted(times)
    sequences = [seq for seq, *_ in found.frames()]
    assert sequences == sorted(set(sequences))
    # three of the six were not closed, each was followed by a new epoch
    assert {seq >> 44 for seq in sequences} == {1, 2, 3, 4}


# ---- killed writers


SCRIPT = """
import os, signal, sys
from lsm.posix_files import PosixFileSystem
from lsm.wal import Wal
log = Wal.create(PosixFileSystem(), sys.argv[1], bytes(range(16)), 1, 0, 1, ring_bytes=4096, segment_bytes=8192)
log.begin()
for i in range(int(sys.argv[2])):
    log.append(b"%d." % i * (i % 97))
    if i % 1000 == 500:
        log.append(b"L" * 3000)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("count", [0, 1, 3, 40, 5000])
def test_everything_appended_survives_kill_9(place, count):
    place.mkdir()
    home = str(Path(lsm.__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, place, str(count)],
        env={**os.environ, "PYTHONPATH": home},
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    expected = []
    for i in range(count):
        expected.append(b"%d." % i * (i % 97))
        if i % 1000 == 500:
            expected.append(b"L" * 3000)
    found = scan(place)
    assert not found.clean
    assert payloads(found) == expected
    found.repair()
    assert payloads(scan(place)) == expected


KILLED_ANY_TIME = """
import mmap, sys
from lsm.posix_files import PosixFileSystem
from lsm.wal import Wal
counter = open(sys.argv[2], "r+b")
acknowledged = mmap.mmap(counter.fileno(), 16)
log = Wal.create(PosixFileSystem(), sys.argv[1], bytes(range(16)), 1, 0, 1, ring_bytes=16384, segment_bytes=65536)
log.durable_fd()
i = 0
while True:
    log.append(b"%d." % i * (i % 61) if i % 501 else b"L" * 9000)
    i += 1
    acknowledged[:8] = i.to_bytes(8, "little")
    acknowledged[8:] = (log.durable_sequence & (1 << 44) - 1).to_bytes(8, "little")
"""


@pytest.mark.parametrize("commits", [1, 300, 20_000])
def test_what_was_acknowledged_survives_kill_9_at_any_moment(place, tmp_path, commits):
    place.mkdir()
    counter = tmp_path / "acknowledged"
    counter.write_bytes(bytes(16))
    home = str(Path(lsm.__file__).resolve().parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_ANY_TIME, place, counter], env={**os.environ, "PYTHONPATH": home}
    ) as child:
        while int.from_bytes(counter.read_bytes()[:8], "little") < commits:
            assert child.poll() is None
        child.kill()
    acknowledged = int.from_bytes(counter.read_bytes()[:8], "little")
    found = scan(place)
    got = payloads(found)
    assert acknowledged <= len(got) <= acknowledged + 1
    assert got == [b"%d." % i * (i % 61) if i % 501 else b"L" * 9000 for i in range(len(got))]
    found.repair()
    assert payloads(scan(place)) == got


def test_repair_is_idempotent_and_leaves_a_clean_log(place):
    log = new_log(place, **TINY)
    for i in range(100):
        log.append(b"%d" % i * 60)
    target = crash(place, log)
    first = scan(target)
    before = payloads(first)
    assert not first.clean
    first.repair()
    first.repair()
    assert payloads(first) == before
    second = scan(target)
    assert second.clean
    assert payloads(second) == before == [b"%d" % i * 60 for i in range(100)]
    files = {p.name: p.read_bytes() for p in target.iterdir()}
    second.repair()
    assert {p.name: p.read_bytes() for p in target.iterdir()} == files
    assert not ring(target).exists()


def test_a_repair_that_was_killed_anywhere_is_finished_by_the_next(place):
    log = new_log(place, **TINY)
    for i in range(100):
        log.append(b"%d" % i * 60)
    target = crash(place, log)
    expected = payloads(scan(target))
    last = max(target.glob("*.log"))
    # the ring's frames half written, wholly written, sealed; the ring still there
    content = last.read_bytes()
    work = crash(target, log, "repaired")
    scan(work).repair()
    repaired = (work / last.name).read_bytes()
    for size in range(len(content), len(repaired) + 1, 37):
        last.write_bytes(repaired[:size])
        found = scan(target)
        assert payloads(found) == expected, size
    last.write_bytes(repaired)
    found = scan(target)
    found.repair()
    assert payloads(scan(target)) == expected


def test_a_read_only_scan_sees_the_rings_frames_and_changes_nothing(place):
    log = new_log(place)
    log.append(b"drained")
    log.sync()
    log.append(b"only in the ring")
    target = crash(place, log)
    before = {p.name: p.read_bytes() for p in target.iterdir()}
    found = scan(target, read_only=True)
    assert payloads(found) == [b"drained", b"only in the ring"]
    with pytest.raises(ReadOnlyError):
        found.repair()
    assert {p.name: p.read_bytes() for p in target.iterdir()} == before


def test_a_live_log_can_be_read_while_it_is_written(place):
    log = new_log(place, **TINY)
    rng = random.Random(1)
    model = []
    for i in range(300):
        model.append(rng.randbytes(rng.randrange(300)))
        log.append(model[-1])
        if i % 3 == 0:
            assert payloads(scan(place, live=True)) == model
    log.close()


def test_stale_bytes_of_the_ring_are_never_replayed(place):
    """Behind the newest frame the ring holds a whole frame of its last lap, at a place where a frame may begin."""
    log = new_log(place, **TINY)
    for i in range(40):
        log.append(b"%04d" % i * 20)
    stats = log.stats()
    assert stats["bytes"] == 40 * 128
    target = crash(place, log)
    behind = ring(target).read_bytes()[4096 + 8 * 128 : 4096 + 9 * 128]
    assert behind.endswith(b"0008" * 20)
    assert payloads(scan(target)) == [b"%04d" % i * 20 for i in range(40)]


def test_what_the_last_segment_lost_and_the_ring_still_has_comes_back(place):
    log = new_log(place, **TINY)
    for i in range(20):
        log.append(b"%03d" % i * 50)
    log.sync()
    target = crash(place, log)
    begins = frame_offsets(segment(target))
    for cut in range(1, 20):
        os.truncate(segment(target), begins[-cut] + 5)
        assert payloads(scan(target)) == [b"%03d" % i * 50 for i in range(20)]


def test_a_ring_of_another_opening_is_ignored(place):
    log = new_log(place)
    log.append(b"old")
    old_ring = ring(place).read_bytes()
    log.close()
    log = reopen(place)
    log.append(b"new")
    log.close()
    ring(place).write_bytes(old_ring)
    found = scan(place)
    assert payloads(found) == [b"old", b"new"]
    assert not found.clean
    found.repair()
    assert not ring(place).exists()


# ---- torn tails


def test_a_tail_torn_anywhere_in_the_last_frame_is_cut(place):
    log = new_log(place)
    for i in range(4):
        log.append(b"%d" % i * 20)
    log.sync()
    log.append(b"the last frame, never synced")
    log.rotate()  # drains it
    target = lose_power(place, log)
    segment(target, 2).unlink()
    content = segment(target).read_bytes()
    last = frame_offsets(segment(target))[-1]
    for size in range(last, len(content)):
        segment(target).write_bytes(content[:size])
        found = scan(target)
        assert payloads(found) == [b"%d" % i * 20 for i in range(4)], size
        assert found.last_sequence == FIRST + 3
        found.repair()
        assert segment(target).stat().st_size == last + TRAILER
        assert scan(target).clean
    segment(target).write_bytes(content)
    assert len(payloads(scan(target))) == 5


@pytest.mark.parametrize("size", [0, 1, 64, 127])
def test_a_segment_torn_at_its_creation_is_ignored_and_removed(place, size):
    log = new_log(place)
    log.append(b"a")
    log.rotate()
    target = lose_power(place, log)
    os.truncate(segment(target, 2), size)
    found = scan(target)
    assert payloads(found) == [b"a"]
    assert found.next_segment_number == 3
    found.repair()
    assert not segment(target, 2).exists()


def test_segments_behind_an_unsynced_hole_are_cut(place):
    log = new_log(place)
    for i in range(4):
        log.append(b"%d" % i)
        log.rotate()
    target = lose_power(place, log)
    os.truncate(segment(target, 2), SEGMENT_HEADER + 10)
    found = scan(target)
    assert payloads(found) == [b"0"]
    found.repair()
    assert sorted(os.listdir(target)) == ["wal-000001.log", "wal-000002.log"]
    assert payloads(scan(target)) == [b"0"]


def test_a_missing_trailer_of_a_middle_segment_loses_nothing(place):
    log = new_log(place)
    log.append(b"a")
    log.rotate()
    log.append(b"b")
    log.sync()
    target = lose_power(place, log)
    content = segment(target).read_bytes()
    for size in range(len(content) - TRAILER, len(content)):
        segment(target).write_bytes(content[:size])
        assert payloads(scan(target)) == [b"a", b"b"]


# ---- replay


def test_replay_starts_where_it_is_told(place):
    log = new_log(place, **TINY)
    for i in range(200):
        log.append(b"%d" % i * 40)
    log.close()
    found = scan(place)
    everything = list(found.frames())
    for start in (0, FIRST, FIRST + 1, FIRST + 77, FIRST + 199, FIRST + 200):
        assert list(found.frames(start)) == [frame for frame in everything if frame[0] >= start]


def test_a_frame_larger_than_the_readers_chunk_comes_back(place):
    log = new_log(place)
    big = random.Random(2).randbytes(5_000_000)
    log.append(b"before")
    log.append(big)
    log.append(b"after")
    log.close()
    assert payloads(scan(place)) == [b"before", big, b"after"]


def test_a_frame_that_rots_after_the_scan_is_not_returned(place):
    log = new_log(place)
    log.append(b"a")
    log.append(b"b" * 100)
    log.close()
    found = scan(place)
    flip(segment(place), frame_offsets(segment(place))[1] + 60)
    with pytest.raises(CorruptionError) as caught:
        payloads(found)
    assert caught.value.path == str(segment(place))
    assert caught.value.offset == SEGMENT_HEADER + 49
