"""A log that is synced all the time has zeros ahead of its frames, and none of them is ever taken for more."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
from wal_logs import (
    DATABASE,
    EPOCH,
    FILES,
    FIRST,
    SEGMENT_HEADER,
    TRAILER,
    new_log,
    payloads,
    reopen,
    ring,
    scan,
    segment,
)

from lsm.errors import CorruptionError, FileError
from lsm.faulty_files import FaultyFileSystem
from lsm.wal import Wal

OFTEN = 40  # syncs in a row, more than the log waits for
PAYLOAD = b"commit"
FRAMES = OFTEN * (48 + len(PAYLOAD))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


def synced_often(place: Path, **options) -> Wal:
    log = new_log(place, **options)
    for _ in range(OFTEN):
        log.append(PAYLOAD)
        log.sync()
    return log


def stretched(place: Path) -> bool:
    return segment(place).stat().st_size > SEGMENT_HEADER + FRAMES


@pytest.fixture
def killed(place: Path, tmp_path: Path) -> Path:
    """What a process leaves that died after many syncs."""
    log = synced_often(place)
    if not stretched(place):
        pytest.skip("this file system keeps no room for a file")
    left = tmp_path / "left"
    shutil.copytree(place, left)
    log.close()
    return left


def test_behind_the_frames_there_are_zeros_only(killed):
    content = segment(killed).read_bytes()
    assert content[SEGMENT_HEADER + FRAMES :].strip(b"\0") == b""
    assert len(content) <= SEGMENT_HEADER + FRAMES + (1 << 20)


def test_a_log_that_is_synced_now_and_then_has_none(place):
    log = new_log(place)
    for _ in range(3):
        log.append(PAYLOAD)
        log.sync()
    assert segment(place).stat().st_size == SEGMENT_HEADER + 3 * (48 + len(PAYLOAD))
    log.close()


def test_zeros_count_as_no_bytes_of_the_log(place):
    log = synced_often(place)
    assert [s[3] for s in log.segments()] == [SEGMENT_HEADER + FRAMES]
    log.close()


def test_closing_cuts_them(place):
    synced_often(place).close()
    assert segment(place).stat().st_size == SEGMENT_HEADER + FRAMES + TRAILER
    assert scan(place).clean


def test_a_finished_segment_has_none(place):
    log = new_log(place, segment_bytes=8192, ring_bytes=4096)
    for _ in range(300):
        log.append(bytes(50))
        log.sync()
    for number, *_, size, current in log.segments():
        if not current:
            assert segment(place, number).stat().st_size == size + TRAILER
    assert segment(place, log.segments()[-1][0]).stat().st_size <= 8192 + 98
    log.close()
    assert payloads(scan(place)) == [bytes(50)] * 300


def test_after_a_kill_every_commit_comes_back_and_the_zeros_go(killed):
    log = scan(killed)
    assert payloads(log) == [PAYLOAD] * OFTEN
    log.repair()
    assert segment(killed).stat().st_size == SEGMENT_HEADER + FRAMES + TRAILER
    again = reopen(killed)
    assert again.append(b"next") > FIRST + OFTEN - 1
    again.close()
    assert payloads(scan(killed)) == [PAYLOAD] * OFTEN + [b"next"]


@pytest.mark.parametrize("behind", [0, 1, 47, 48, 4096, 500_000])
def test_a_bit_that_rots_among_the_zeros_costs_no_commit(killed, behind):
    with segment(killed).open("r+b") as file:
        file.seek(SEGMENT_HEADER + FRAMES + behind)
        file.write(b"\1")
    log = scan(killed)
    log.repair()
    assert payloads(scan(killed)) == [PAYLOAD] * OFTEN


def test_zeros_instead_of_durable_commits_are_corruption(killed):
    frame = 48 + len(PAYLOAD)
    ring(killed).unlink()  # it has these commits too
    with segment(killed).open("r+b") as file:
        file.seek(SEGMENT_HEADER + FRAMES - 2 * frame)
        file.write(bytes(frame))
    with pytest.raises(CorruptionError, match="was durable") as found:
        scan(killed)
    assert (found.value.path, found.value.offset) == (str(segment(killed)), SEGMENT_HEADER + FRAMES - 2 * frame)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.ENOTSUP, errno.EIO])
def test_where_no_room_can_be_had_the_log_goes_on(place, error):
    files = FaultyFileSystem(FILES)
    files.fail("allocate", error)
    log = synced_often(place, files=files)
    assert files.calls("allocate") == 1
    log.close()
    assert payloads(scan(place)) == [PAYLOAD] * OFTEN
    assert segment(place).stat().st_size == SEGMENT_HEADER + FRAMES + TRAILER


def test_an_opening_ends_before_its_sequence_numbers_do(place):
    place.mkdir()
    near = (EPOCH << 44) | ((1 << 44) - (1 << 32) - 2)
    log = Wal.create(FILES, place, DATABASE, EPOCH, near, 1)
    assert log.append(b"one") == near + 1
    log.append(b"two")
    log.sync()
    with pytest.raises(FileError, match="open the database anew") as refusal:
        log.append(b"three")
    assert refusal.value.errno == errno.EOVERFLOW
    log.close()
    assert payloads(scan(place)) == [b"one", b"two"]


def test_a_log_without_files_ends_there_too():
    near = (EPOCH << 44) | ((1 << 44) - (1 << 32) - 2)
    log = Wal.create(None, "memory", DATABASE, EPOCH, near, 1, durable=False)
    log.append(b"one")
    log.append(b"two")
    with pytest.raises(FileError, match="open the database anew"):
        log.append(b"three")
    log.close()
