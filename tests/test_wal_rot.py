"""Damaged logs: rot in what was durable raises and names the place, damage in a torn tail is cut."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from wal_logs import (
    DATABASE,
    EPOCH,
    FILES,
    FRAME_HEADER,
    SEGMENT_HEADER,
    TINY,
    TRAILER,
    crash,
    durable_log,
    flip,
    frame_offsets,
    lose_power,
    new_log,
    payloads,
    ring,
    scan,
    segment,
)

from lsm.checksum import crc32c
from lsm.errors import CorruptionError, UnsupportedVersionError
from lsm.wal import Wal
from lsm.wal_format import LAYOUTS
from lsm.wal_recovery import scan_log


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_flipped_byte_in_a_durable_frame_is_corruption(place):
    durable_log(place)
    for number in (1, 2, 4):
        path = segment(place, number)
        content = path.read_bytes()
        for offset in range(SEGMENT_HEADER, len(content) - TRAILER, 11):
            flip(path, offset)
            with pytest.raises(CorruptionError) as caught:
                scan(place)
            assert caught.value.path == str(path), offset
            assert offset - 200 < caught.value.offset <= offset
            path.write_bytes(content)


def test_a_flipped_byte_in_a_header_is_corruption(place):
    durable_log(place)
    for number in (1, 2, 4):
        path = segment(place, number)
        content = path.read_bytes()
        for offset in range(SEGMENT_HEADER):
            flip(path, offset)
            with pytest.raises(CorruptionError) as caught:
                scan(place)
            assert caught.value.path == str(path), offset
            path.write_bytes(content)


def test_a_flipped_byte_in_a_trailer_loses_no_frame(place):
    expected = durable_log(place)
    for number in (1, 5):
        path = segment(place, number)
        content = path.read_bytes()
        for offset in range(len(content) - TRAILER, len(content)):
            flip(path, offset)
            found = scan(place)
            assert payloads(found) == expected
            assert found.clean == (number == 1)
            path.write_bytes(content)


def test_a_trailer_lost_before_a_new_epoch_is_corruption(place):
    new_log(place).close()
    log = Wal.create(FILES, place, DATABASE, EPOCH + 1, EPOCH << 44, 2)
    log.begin()
    log.append(b"x")
    log.close()
    assert payloads(scan(place)) == [b"x"]
    os.truncate(segment(place), SEGMENT_HEADER)
    with pytest.raises(CorruptionError) as caught:
        scan(place)
    assert caught.value.path == str(segment(place))


def test_a_missing_segment_is_corruption(place):
    durable_log(place)
    for number in (2, 3, 4):
        content = segment(place, number).read_bytes()
        segment(place, number).unlink()
        with pytest.raises(CorruptionError):
            scan(place)
        segment(place, number).write_bytes(content)


def test_a_flip_in_what_was_never_synced_is_cut(place):
    log = new_log(place)
    log.append(b"synced")
    log.sync()
    for i in range(5):
        log.append(b"%d" % i * 30)
    log.rotate()
    target = lose_power(place, log)
    content = segment(target).read_bytes()
    ends = frame_offsets(segment(target))
    for offset in range(ends[1], len(content), 7):
        flip(segment(target), offset)
        found = scan(target)
        whole = sum(end <= offset for end in ends) - 1
        assert payloads(found) == [b"synced", *(b"%d" % i * 30 for i in range(5))][:whole]
        segment(target).write_bytes(content)


def test_the_mark_of_a_later_frame_proves_an_earlier_one_durable(place):
    log = new_log(place)
    log.append(b"first")
    log.sync()
    log.append(b"second, which says that the first was durable")
    log.rotate()
    target = lose_power(place, log)
    segment(target, 2).unlink()
    flip(segment(target), SEGMENT_HEADER + FRAME_HEADER)
    with pytest.raises(CorruptionError) as caught:
        scan(target)
    assert (caught.value.path, caught.value.offset) == (str(segment(target)), SEGMENT_HEADER)
    assert caught.value.expected != caught.value.got


def test_the_rings_mark_proves_the_last_frame_durable(place):
    log = new_log(place)
    log.append(b"only")
    log.sync()
    target = crash(place, log)
    content = bytearray(ring(target).read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    ring(target).write_bytes(content)
    assert payloads(scan(target)) == [b"only"]
    os.truncate(segment(target), SEGMENT_HEADER)
    with pytest.raises(CorruptionError):
        scan(target)
    mark = LAYOUTS["ring header"]["durable through"][0]
    flip(ring(target), mark)  # the two copies disagree: no mark
    assert payloads(scan(target)) == []


def test_a_newer_format_is_refused_with_its_number(place):
    durable_log(place)
    content = bytearray(segment(place, 2).read_bytes())
    content[8] = 9
    content[12:16] = crc32c(bytes(content[16:128]), crc32c(bytes(content[:12]))).to_bytes(4, "little")
    segment(place, 2).write_bytes(content)
    with pytest.raises(UnsupportedVersionError) as caught:
        scan(place)
    assert (caught.value.path, caught.value.found, caught.value.supported) == (str(segment(place, 2)), 9, 1)


def test_a_segment_of_another_database_is_refused(place):
    durable_log(place)
    with pytest.raises(CorruptionError) as caught:
        scan_log(FILES, place, bytes(16))
    assert (caught.value.offset, caught.value.expected, caught.value.got) == (16, "00" * 16, DATABASE.hex())


def test_random_damage_never_yields_anything_but_a_prefix(place):
    rng = random.Random(3)
    log = new_log(place, **TINY)
    model = []
    for i in range(120):
        model.append(rng.randbytes(rng.randrange(400)))
        log.append(model[-1])
        if i == 60:
            log.sync()
    for attempt in range(150):
        target = crash(place, log)
        victim = rng.choice(sorted(target.iterdir()))
        content = bytearray(victim.read_bytes())
        at = rng.randrange(len(content))
        if rng.random() < 0.3:
            del content[at:]
        else:
            content[at : at + rng.choice([1, 8, 512])] = rng.randbytes(rng.choice([1, 8, 512]))
        victim.write_bytes(content)
        try:
            found = scan(target)
            got = payloads(found)
        except CorruptionError:
            continue
        assert got == model[: len(got)], attempt
        assert len(got) >= 61
        found.repair()
        assert payloads(scan(target)) == got
