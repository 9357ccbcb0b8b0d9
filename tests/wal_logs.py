"""Logs for tests: opened small, written, taken apart byte by byte.

Every log lives in a directory of its own under `tmp_path`; the database id is always the same.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lsm.posix_files import PosixFileSystem
from lsm.wal import Wal
from lsm.wal_format import LAYOUTS
from lsm.wal_recovery import RecoveredLog, scan_log

DATABASE = bytes(range(16))
FILES = PosixFileSystem()
TINY = {"ring_bytes": 4096, "segment_bytes": 8192}
EPOCH = 1
FIRST = (EPOCH << 44) + 1
FRAME_HEADER = 48
SEGMENT_HEADER = 128
TRAILER = FRAME_HEADER + 16


def new_log(directory: Path, **options: Any) -> Wal:
    """With its files, as after a first commit."""
    directory.mkdir(exist_ok=True)
    log = Wal.create(options.pop("files", FILES), directory, DATABASE, EPOCH, 0, 1, **options)
    log.begin()
    return log


def scan(directory: Path, **options: Any) -> RecoveredLog:
    return scan_log(options.pop("files", FILES), directory, DATABASE, **options)


def payloads(log: RecoveredLog, start: int = 0) -> list[bytes]:
    return [payload for *_, payload in log.frames(start)]


def segment(directory: Path, number: int = 1) -> Path:
    return directory / f"wal-{number:06d}.log"


def ring(directory: Path) -> Path:
    return directory / "wal.ring"


def reopen(directory: Path, **options: Any) -> Wal:
    """As an engine opens: scan, repair, a new epoch unless the log was closed."""
    log = scan(directory)
    log.repair()
    epoch = max(log.epoch + (not log.clean), EPOCH)
    opened = Wal.create(
        FILES,
        directory,
        DATABASE,
        epoch,
        log.last_sequence,
        log.next_segment_number,
        inherited=log.segments,
        last_time_us=log.last_time_us,
        **options,
    )
    opened.begin()
    return opened


def field(layout: str, name: str, content: bytes, at: int = 0) -> int:
    """A field of a header or frame that begins at `at`."""
    offset, size = LAYOUTS[layout][name]
    return int.from_bytes(content[at + offset : at + offset + size], "little")


def frame_offsets(path: Path) -> list[int]:
    """Where the frames of an intact segment begin, the trailer included."""
    content = path.read_bytes()
    at, found = SEGMENT_HEADER, []
    while at < len(content):
        found.append(at)
        at += FRAME_HEADER + field("frame", "payload bytes", content, at)
    assert at == len(content)
    return found


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def crash(place: Path, log: Wal, copy: str = "crashed") -> Path:
    """The files as a killed process leaves them; the log itself may go on."""
    target = place.parent / copy
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(place, target)
    return target


def lose_power(place: Path, log: Wal) -> Path:
    """As `crash`, and what only the ring held is gone, as is the ring."""
    target = crash(place, log)
    ring(target).unlink()
    return target


def durable_log(place: Path) -> list[bytes]:
    """Three sealed segments and one that is synced; closed."""
    log = new_log(place)
    expected = []
    for i in range(12):
        expected.append(b"%d" % i * 25)
        log.append(expected[-1])
        if i % 3 == 2:
            log.rotate()
            log.sync()
    log.close()
    return expected
