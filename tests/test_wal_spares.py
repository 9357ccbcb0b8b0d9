"""A log that is written fast writes its files anew: what they held before counts neither as commits nor as damage."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from children import environment
from disk import eventually, sizes
from wal_logs import FILES, FIRST, SEGMENT_HEADER, TINY, new_log, payloads, reopen, scan, segment

import lsm
from lsm.errors import CorruptionError, FileError
from lsm.faulty_files import FaultyFileSystem
from lsm.simulated_files import SimulatedFileSystem
from lsm.wal import Wal


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


def spares(place: Path) -> list[str]:
    return sorted(sizes(place, ".spare"))


def payload(number: int) -> bytes:
    return b"%d." % number * (number % 40)


def rolled(log: Wal, start: int, segments: int) -> int:
    """Appends until so many more segments were begun, and syncs; the number of the next payload."""
    until = log.stats()["segments_created"] + segments
    while log.stats()["segments_created"] < until:
        log.append(payload(start))
        start += 1
    log.sync()
    return start


def with_spares(place: Path, **options) -> tuple[Wal, int, int]:
    """A log that keeps two spare files; the first payload still in it, and the next."""
    log = new_log(place, **{**TINY, **options})
    following = rolled(log, 0, 4)
    released = log.segments()[3][1] - 1
    assert log.release_through(released, spares=True) == 3
    return log, released - FIRST + 1, following


# ---- keeping and taking


def test_two_files_are_kept_and_taken_by_the_next_segments(place):
    log, first, following = with_spares(place)
    assert spares(place) == ["wal-000001.spare", "wal-000002.spare"]
    inodes = {(place / name).stat().st_ino for name in spares(place)}
    following = rolled(log, following, 2)
    assert spares(place) == []
    assert {segment(place, number).stat().st_ino for number in (6, 7)} == inodes
    rolled(log, following, 2)
    log.close()
    found = scan(place)
    assert found.clean
    assert payloads(found)[: following - first] == [payload(n) for n in range(first, following)]


def test_nothing_is_kept_unless_asked_for(place):
    log = new_log(place, **TINY)
    rolled(log, 0, 4)
    assert log.release_through(log.segments()[3][1] - 1) == 3
    assert spares(place) == []
    log.close()


def test_short_segments_are_not_kept(place):
    log = new_log(place)
    for number in range(4):
        log.append(payload(number))
        log.rotate()
    log.sync()
    assert log.release_through(FIRST + 3, spares=True) == 4
    assert spares(place) == []
    log.close()


def test_what_no_segment_takes_goes(place):
    log, _, following = with_spares(place)
    assert log.shrink_spares() == 2  # segments began since it was looked last
    following = rolled(log, following, 1)
    assert log.shrink_spares() == 1
    assert log.shrink_spares() == 0
    assert spares(place) == []
    log.close()


def test_all_go_at_once_where_that_is_asked_for(place):
    log, _, _ = with_spares(place)
    assert log.shrink_spares(True) == 0
    assert spares(place) == []
    log.close()


def test_close_leaves_none(place):
    log, first, following = with_spares(place)
    log.close()
    assert spares(place) == []
    assert payloads(scan(place)) == [payload(n) for n in range(first, following)]


@pytest.mark.parametrize("operation", ["rename", "open"])
def test_where_a_spare_cannot_be_had_a_new_file_is(place, operation):
    files = FaultyFileSystem(FILES)
    log, first, following = with_spares(place, files=files)
    files.fail(operation, errno.EACCES, times=1)
    following = rolled(log, following, 3)
    log.close()
    assert payloads(scan(place)) == [payload(n) for n in range(first, following)]
    assert spares(place) == []


def test_where_a_file_cannot_be_renamed_it_is_removed(place):
    files = FaultyFileSystem(FILES)
    log = new_log(place, files=files, **TINY)
    rolled(log, 0, 4)
    files.fail("rename", errno.EACCES)
    assert log.release_through(log.segments()[3][1] - 1, spares=True) == 3
    assert not sizes(place, "000001.log")
    assert spares(place) == []
    log.close()


def test_files_of_earlier_openings_are_not_written_anew(place):
    """Somebody may have linked to the files of a closed database, to keep them."""
    log = new_log(place, **TINY)
    rolled(log, 0, 3)
    log.close()
    log = reopen(place, **TINY)
    log.append(b"next")
    log.sync()
    assert log.release_through(log.last_sequence - 1, spares=True) == 4
    assert spares(place) == []
    log.close()


@pytest.mark.parametrize("kept", [True, False])
def test_a_release_that_could_not_be_made_durable_is_finished_by_the_next(place, kept):
    files = FaultyFileSystem(FILES)
    log = new_log(place, files=files, **TINY)
    rolled(log, 0, 4)
    upto = log.segments()[3][1] - 1
    files.fail("sync_dir", errno.EMFILE, times=1)
    with pytest.raises(FileError):
        log.release_through(upto, spares=kept)
    assert len(log.segments()) == 5
    assert log.release_through(upto, spares=kept) == 3
    assert spares(place) == (["wal-000002.spare", "wal-000003.spare"] if kept else [])
    log.close()
    assert spares(place) == []


def test_the_log_takes_the_room_of_its_spares_on_a_full_disk():
    disk = SimulatedFileSystem()
    disk.mkdir("/log", exist_ok=True)
    log = Wal.create(disk, "/log", bytes(16), 1, 0, 1, ring_bytes=4096, segment_bytes=1 << 16)
    following = rolled(log, 0, 4)
    log.release_through(log.segments()[3][1] - 1, spares=True)
    assert [name for name in disk.listdir("/log") if name.endswith(".spare")]
    disk.capacity = disk.used_bytes
    for number in range(following, following + 20):
        log.append(payload(number) * 10)
    log.sync()
    assert not [name for name in disk.listdir("/log") if name.endswith(".spare")]
    log.close()


# ---- what a file held before


def left_behind(place: Path, target: Path) -> tuple[list[bytes], Path]:
    """What a killed process leaves whose current segment was another before: its commits, and that segment."""
    log, first, following = with_spares(place)
    log.append(payload(following))
    following += 1
    log.rotate()
    for _ in range(10):
        log.append(payload(following))
        following += 1
    log.sync()
    shutil.copytree(place, target)
    log.close()
    current = max(target.glob("wal-*.log"))
    assert current.stat().st_size > 8000  # ten small frames, and what was there
    return [payload(n) for n in range(first, following)], current


def test_stale_frames_behind_the_end_are_neither_commits_nor_damage(place, tmp_path):
    commits, _ = left_behind(place, tmp_path / "left")
    found = scan(tmp_path / "left")
    assert payloads(found) == commits
    log = reopen(tmp_path / "left")
    log.append(b"next")
    log.close()
    assert payloads(scan(tmp_path / "left")) == [*commits, b"next"]


def test_any_torn_end_in_front_of_stale_frames_is_cut_or_refused_as_rot(place, tmp_path):
    """Everything was synced, so what later frames know to be durable cannot be cut; the last ones can."""
    left = tmp_path / "left"
    commits, current = left_behind(place, left)
    content = current.read_bytes()
    (left / "wal.ring").unlink()
    for offset in range(SEGMENT_HEADER, SEGMENT_HEADER + 800, 5):
        damaged = bytearray(content)
        damaged[offset] ^= 0x55
        current.write_bytes(damaged)
        with contextlib.suppress(CorruptionError):
            found = payloads(scan(left))
            assert found == commits[: len(found)]
            assert len(commits) - len(found) <= 11


def test_a_new_name_with_the_old_header_does_not_count(place, tmp_path):
    """What a power failure leaves of a segment whose name arrived and whose header did not."""
    log, first, following = with_spares(place)
    left = tmp_path / "left"
    shutil.copytree(place, left)
    log.close()
    os.rename(left / "wal-000002.spare", segment(left, 6))
    assert payloads(scan(left)) == [payload(n) for n in range(first, following)]
    reopen(left).close()
    assert payloads(scan(left)) == [payload(n) for n in range(first, following)]


def test_stale_bytes_are_searched_in_one_pass(place, tmp_path):
    """Bytes that look like long frames at every place must not be checksummed at every place."""
    log = new_log(place, segment_bytes=1 << 22, ring_bytes=1 << 16)
    for _ in range(200):
        log.append(os.urandom(40_000))
    log.sync()
    log.release_through(log.segments()[-1][1] - 1, spares=True)
    log.append(b"last")
    log.rotate()
    log.append(b"end")
    log.sync()
    left = tmp_path / "left"
    shutil.copytree(place, left)
    log.close()
    begun = time.process_time()
    assert payloads(scan(left))[-2:] == [b"last", b"end"]
    assert time.process_time() - begun < 20  # 0.02 s here; with a checksum at every place that may be one, minutes


# ---- databases

FAST: dict[str, Any] = {
    "memtable_bytes": 1 << 16,
    "wal_segment_bytes": 1 << 14,
    "wal_ring_bytes": 1 << 12,
    "compression": "none",
}

WRITER = """
import sys
import lsm
from test_wal_spares import FAST
with lsm.open(sys.argv[1], **FAST) as db:
    ks = db.keyspace("k")
    n = len(list(ks.scan(values=False)))
    while True:
        ks.put(b"%08d" % n, b"%d." % n * (n % 50))
        n += 1
        if n % 1000 == 0:
            print(n, flush=True)
"""


def test_kills_of_a_fast_writer_lose_nothing_and_leave_nothing(tmp_path):
    path, acknowledged = tmp_path / "data", 0
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment()
        )
        assert child.stdout is not None
        for _ in range(4):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        child.communicate()
        with lsm.open(path, **FAST) as db:
            assert not spares(path)
            ks = db.keyspace("k")
            found = [int(key) for key in ks.scan(values=False)]
            assert found == list(range(len(found)))
            assert len(found) >= acknowledged
            assert all(ks[b"%08d" % n] == b"%d." % n * (n % 50) for n in found[::97])


def test_a_fast_writer_uses_files_again_and_gives_them_back(tmp_path):
    path = tmp_path / "data"
    with lsm.open(path, **FAST) as db:
        ks = db.keyspace("k")
        seen = False
        for n in range(200_000):
            ks.put(b"%08d" % n, bytes(50))
            if n % 100 == 0:
                seen = seen or bool(spares(path))
                if seen:
                    break
        assert seen
        assert eventually(lambda: not spares(path))
        ks.put(b"after", b"1", sync=True)
    with lsm.open(path) as db:
        assert db.keyspace("k")[b"after"] == b"1"


def test_a_flush_that_is_asked_for_leaves_none(tmp_path):
    path = tmp_path / "data"
    with lsm.open(path, **FAST) as db:
        ks = db.keyspace("k")
        for n in range(5000):
            ks.put(b"%08d" % n, bytes(50))
        db.flush()
        assert not spares(path)


def test_a_reader_beside_a_fast_writer_sees_a_prefix(tmp_path):
    path = tmp_path / "data"
    with lsm.open(path, **FAST) as db:
        ks = db.keyspace("k")
        written = 0
        for _ in range(15):
            for _ in range(1500):
                ks.put(b"%08d" % written, b"%d" % written)
                written += 1
            with lsm.open(path, read_only=True) as reader:
                found = list(reader.keyspace("k").scan())
            assert [int(value) for _, value in found] == list(range(len(found)))
            assert len(found) == written
