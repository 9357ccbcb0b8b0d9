"""Every sound frame of a damaged log, before and behind damage, of segments and ring, and which commits are missing.

Guarantees: a frame counts only where its checksum holds at its place in the stream; each sequence once. Holds the log
in memory: it is as large as `wal_bytes` allows. Changes nothing; one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from lsm.keyspace_record import KEYSPACE_CREATED, KEYSPACE_DROPPED, KeyspaceRecord
from lsm_tools.format_bytes import Faults
from lsm_tools.format_directory import Directory
from lsm_tools.format_frame import FRAME, TRAILER, Change, Frame, parse_changes
from lsm_tools.format_wal import EPOCH_SHIFT, RING_PAGE, SEGMENT_HEADER, RingFile, SegmentFile
from lsm_tools.repair_manifest import Known, KnownKeyspace
from lsm_tools.repair_report import LogReport, LostCommits

__all__ = ["Log", "read_log"]

TRAILER_FRAME = FRAME.size + TRAILER.size


class Log:
    """The frames by sequence; `created` and `dropped` are what its keyspace records say."""

    def __init__(self) -> None:
        self.frames: dict[int, Frame] = {}
        self.given: set[int] = set()  # sequences that were given to commits, whether their frames are there or not
        self.released = 0  # commits through here had left the log before it was damaged
        self.report = LogReport()
        self.created: dict[int, KnownKeyspace] = {}
        self.dropped: set[int] = set()
        self.torn: list[str] = []

    def add(self, frame: Frame, behind_damage: bool = False) -> None:
        self.given |= {frame.durable_through, frame.sequence}
        if not frame.is_trailer and frame.sequence not in self.frames:
            self.frames[frame.sequence] = frame
            self.report.frames_behind_damage += behind_damage

    def changes(self) -> Iterator[tuple[int, Change]]:
        """Every change, in commit order."""
        for sequence in sorted(self.frames):
            changes, problem = parse_changes(self.frames[sequence].payload)
            if problem is not None:
                self.torn.append(f"commit {sequence}: {problem}")
            for change in changes:
                yield sequence, change


def read_log(directory: Directory, faults: Faults, known: Known) -> Log:
    log = Log()
    database_id = known.database_id
    segments = _segments(directory, faults, database_id, log)
    _find_released(log, segments, known)
    for segment in segments:
        _read_segment(log, segment)
        segment.close()
    ring = directory.file("ring")
    if ring is not None:
        log.report.ring = _read_ring(log, ring.path, faults, database_id, segments)
    elif known.exact and not known.closed:
        # where the file system has no shared mappings there never was one
        log.report.missing.append("wal.ring")
    log.report.segments = len(segments)
    log.report.frames = len(log.frames)
    if log.frames:
        log.report.first_sequence, log.report.last_sequence = min(log.frames), max(log.frames)
    log.report.lost = list(_lost(log))
    _read_keyspaces(log)
    return log


# ---- segments


def _segments(directory: Directory, faults: Faults, database_id: bytes | None, log: Log) -> list[SegmentFile]:
    """Those that can be read, in order; damaged headers are made up from the neighbours'."""
    found: list[SegmentFile] = []
    for file in directory.of_kind("segment"):
        segment = SegmentFile(file.path, faults, number=file.number, database_id=database_id)
        if segment.header is not None and database_id not in (None, segment.header["database id"]):
            log.report.damaged.append(
                _damage(segment.path, 0, segment.size, "of another database; not used", harmless=True)
            )
            continue
        found.append(segment)
    for place, segment in enumerate(found):
        if segment.header is None:
            _borrow_header(segment, found[place - 1] if place else None, found[place + 1 :])
            lost = segment.header is None
            what = "the header is damaged" + (", and no frame can be told without it" if lost else "")
            size = segment.size if lost else SEGMENT_HEADER.size
            log.report.damaged.append(_damage(segment.path, 0, size, what, harmless=not lost))
    return [segment for segment in found if segment.header is not None]


def _borrow_header(segment: SegmentFile, before: SegmentFile | None, after: list[SegmentFile]) -> None:
    """Salt and place in the stream, from the segment before or behind; frames that verify prove it."""
    for header in _candidates(segment, before, after):
        segment.header = header
        if next(segment.later_frames(SEGMENT_HEADER.size), None) is not None:
            return
    segment.header = None


def _candidates(segment: SegmentFile, before: SegmentFile | None, after: list[SegmentFile]) -> Iterator[dict[str, Any]]:
    if before is not None and before.header is not None:
        for _ in before.frames():
            pass
        yield before.header | {"base": before.stream_end, "first sequence": before.last + 1}
    behind = after[0].header if after else None
    if behind is not None:
        base = behind["base"] - (segment.size - SEGMENT_HEADER.size - TRAILER_FRAME)
        if base >= 0:
            yield behind | {"base": base, "first sequence": 0}
        yield behind | {"base": 0, "first sequence": 0}


def _read_segment(log: Log, segment: SegmentFile) -> None:
    assert segment.header is not None
    for frame in segment.frames():
        log.add(frame)
    if segment.trailer is not None:
        log.add(segment.trailer)
    if segment.stop is None:
        return
    at, last = segment.end, segment.last
    for frame in segment.later_frames(segment.end):
        if frame.offset > at:
            log.report.damaged.append(_damage(segment.path, at, frame.offset - at, "no sound frame"))
        log.add(frame, behind_damage=True)
        at, last = frame.offset + frame.size, frame.sequence
    if at < segment.size:
        log.report.damaged.append(_damage(segment.path, at, segment.size - at, "no sound frame: a torn end, or rot"))
    # where the stream goes on, for the ring
    segment.end, segment.last = at, last


def _damage(path: str, offset: int, size: int, what: str, *, harmless: bool = False) -> dict[str, Any]:
    return {"file": os.path.basename(path), "offset": offset, "size": size, "what": what, "harmless": harmless}


# ---- ring


def _read_ring(log: Log, path: str, faults: Faults, database_id: bytes | None, segments: list[SegmentFile]) -> str:
    """Adds the ring's frames; what there is to say of it."""
    ring = RingFile(path, faults, database_id=database_id)
    note = "read"
    if ring.header is None:
        note = _borrow_ring(ring, segments)
        if ring.header is None:
            return note
    if database_id not in (None, ring.header.get("database id", database_id)):
        return "of another database; not used"
    log.given.add(ring.mark)
    before = len(log.frames)
    for segment in reversed(segments):
        assert segment.header is not None
        if segment.header["salt"] == ring.header["salt"] and segment.end:
            for frame in ring.frames(segment.stream_end, segment.last + 1):
                log.add(frame)
            break
    else:
        for frame in ring.frames(0, ring.header.get("opening's first sequence", 0)):
            log.add(frame)
    # where the way to the ring is damaged, its frames are found by their checksums
    for frame in ring.found_frames():
        log.add(frame, behind_damage=True)
    return f"{note}, {len(log.frames) - before:,} commits that no segment has"


def _borrow_ring(ring: RingFile, segments: list[SegmentFile]) -> str:
    """A ring whose header is damaged belongs to the last opening, if its frames say so."""
    size = ring.size - RING_PAGE
    if not segments or size <= 0 or size & (size - 1):
        return "damaged; not used"
    assert segments[-1].header is not None
    with open(ring.path, "rb") as file:
        file.seek(RING_PAGE)
        ring.data = file.read(size)
    if len(ring.data) != size:
        return "damaged; not used"
    ring.header = segments[-1].header
    return "its header is damaged"


# ---- what is missing


def _find_released(log: Log, segments: list[SegmentFile], known: Known) -> None:
    """What the first segment follows was in tables when it became the first; the manifest says which one that is."""
    firsts = {_header(segment)["segment number"]: _header(segment)["first sequence"] for segment in segments}
    log.given |= {first - 1 for first in firsts.values() if first}
    if known.exact:
        log.given.add(known.last_sequence)
        number = max(known.wal_start, 1)
        log.released = min(known.flushed.values(), default=0)
        if number not in firsts:
            log.report.missing.append(f"wal-{number:06d}.log")
    else:
        number = min(firsts, default=0)
    log.released = max(log.released, firsts.get(number, 0) - 1)


def _header(segment: SegmentFile) -> dict[str, Any]:
    assert segment.header is not None
    return segment.header


def _lost(log: Log) -> Iterator[LostCommits]:
    """Sequences that were given to commits of which there is no frame: within an epoch they have no gaps."""
    tops: dict[int, int] = {}
    for sequence in log.given:
        tops[sequence >> EPOCH_SHIFT] = max(tops.get(sequence >> EPOCH_SHIFT, 0), sequence)
    for epoch, top in sorted(tops.items()):
        at = max(log.released, epoch << EPOCH_SHIFT)
        there = [sequence for sequence in sorted(log.frames) if at < sequence <= top]
        for sequence in [*there, top + 1]:
            if sequence > at + 1:
                unsure = bool(log.report.missing) and at == log.released
                note = "were in a segment that is missing, or had left the log" if unsure else "no sound frame has them"
                yield LostCommits(at + 1, sequence - 1, not unsure, note)
            at = sequence


def _read_keyspaces(log: Log) -> None:
    for _, change in log.changes():
        if change.kind == KEYSPACE_CREATED:
            try:
                record = KeyspaceRecord.decode(change.key, change.value, "")
            except (ValueError, UnicodeDecodeError):
                continue
            log.created[change.keyspace] = KnownKeyspace(
                change.keyspace, record.name, record.composite, record.partitions
            )
        elif change.kind == KEYSPACE_DROPPED:
            log.dropped.add(change.keyspace)
