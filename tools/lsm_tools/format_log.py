"""The write-ahead log as a whole, by the rules for recovery in docs/format/wal.md: which files count, where it ends.

Guarantees: `frames` gives the commits that a recovery would, in their order; what follows their end is a note where a
crash may have left it, and a Fault where something says that a missing commit had been durable. One pass, one thread.

    log = Log(directory, faults, database_id)        directory: format_directory.Directory
    for frame in log.frames(): log.path ...          format_frame.Frame; log.path is the file it lies in
    log.kept, log.dropped: [SegmentFile]; log.ring   after that; log.last, log.broken, log.notes: [Note]
    for path, frame in log.later_frames(): ...       sound frames behind the end, whatever lies between (after frames)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lsm_tools.format_bytes import Fault, Faults
from lsm_tools.format_directory import Directory
from lsm_tools.format_frame import Frame
from lsm_tools.format_wal import RING_MARKS, SEGMENT_HEADER, RingFile, SegmentFile

__all__ = ["Log", "Note"]


class Note(NamedTuple):
    """What is no fault, but what an open for writing will clear away or finish."""

    path: str
    offset: int | None
    what: str


class Log:
    """The log of one directory."""

    def __init__(self, directory: Directory, faults: Faults, database_id: bytes | None = None) -> None:
        self.faults = faults
        self.notes: list[Note] = []
        self.path = directory.path
        self.kept: list[SegmentFile] = []
        self.dropped: list[SegmentFile] = []
        self.last = 0
        self.broken = False
        self.ring_frames = 0
        self._segments = [
            SegmentFile(f.path, Faults(), number=f.number, database_id=database_id)
            for f in directory.of_kind("segment")
        ]
        ring = directory.file("ring")
        self.ring = None if ring is None else RingFile(ring.path, Faults(), database_id=database_id)
        if self.ring is not None and self.ring.faults:
            self.ring.header = None

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(s.size for s in self._segments) + (self.ring.size if self.ring is not None else 0)

    @property
    def tail(self) -> SegmentFile | None:
        return self.kept[-1] if self.kept else None

    @property
    def clean(self) -> bool:
        """Whether it was closed: sealed, nothing left over. After `frames`."""
        tail = self.tail
        return not self.dropped and self.ring is None and (tail is None or tail.trailer is not None)

    def close(self) -> None:
        for segment in self._segments:
            segment.close()

    def frames(self) -> Iterator[Frame]:
        """The commits that recovery would find, and then the verdict on what follows them."""
        skipped = False
        for segment in self._segments:
            if not self._follows(segment, skipped):
                self.dropped.append(segment)
                skipped = True
                continue
            skipped = False
            self.kept.append(segment)
            self.path = segment.path
            yield from segment.frames()
            self.last = segment.last
        yield from self._ring_frames()
        self._judge()

    def later_frames(self) -> Iterator[tuple[str, Frame]]:
        """Sound frames, trailers left out, that no recovery would find: behind damage, in files that do not count."""
        for segment in self.kept:
            if segment.trailer is None:
                yield from ((segment.path, f) for f in segment.later_frames(segment.end) if not f.is_trailer)
        for segment in self.dropped:
            yield from ((segment.path, f) for f in segment.later_frames(SEGMENT_HEADER.size) if not f.is_trailer)
        if self.ring is not None:
            yield from ((self.ring.path, f) for f in self.ring.found_frames() if f.sequence > self.last)

    def _follows(self, segment: SegmentFile, skipped: bool) -> bool:
        """Whether the run of frames goes on in this file."""
        tail, header = self.tail, segment.header
        if header is None or segment.faults:
            return False
        if tail is None or tail.header is None:
            return not skipped
        if header["salt"] == tail.header["salt"]:
            return bool(header["base"] == tail.stream_end and header["first sequence"] == tail.last + 1)
        if skipped or not segment.starts_opening or header["first sequence"] <= tail.last:
            return False
        return tail.trailer is not None or header["first sequence"] == tail.last + 1

    def _ring_frames(self) -> Iterator[Frame]:
        tail, ring = self.tail, self.ring
        if ring is None or ring.header is None or tail is None or tail.header is None or tail.trailer is not None:
            return
        if ring.header["salt"] == tail.header["salt"]:
            self.path = ring.path
            for frame in ring.frames(tail.stream_end, self.last + 1):
                self.last = frame.sequence
                self.ring_frames += 1
                yield frame

    # ---- torn tail, or rot

    def _judge(self) -> None:
        """What lies behind the end of the run; whatever it proves, a file of elsewhere is a fault."""
        self.faults.extend(fault for s in self.dropped if s.header is not None for fault in s.faults)
        proof = self._proof(self.last + 1)
        if proof is not None:
            self.broken = True
            self.faults.extend(self._causes(proof))
            return
        tail = self.tail
        if tail is not None and tail.trailer is None:
            if tail.size > tail.end:
                self.notes.append(Note(tail.path, tail.end, _remains(tail)))
            self.notes.append(Note(tail.path, tail.end, "was not closed; the next open for writing finishes it"))
        if self.ring is not None:
            what = f"{self.ring_frames} commits lie in the ring alone; the next open for writing moves them"
            self.notes.append(Note(self.ring.path, None, what))
        for segment in self.dropped:
            self.notes.append(Note(segment.path, None, "is no part of the log; the next open for writing removes it"))

    def _causes(self, proof: str) -> list[Fault]:
        """Where the log breaks off, and what is wrong there."""
        what = f"the log breaks off before commit {self.last + 1}, which was durable: {proof}"
        tail = self.tail
        if tail is not None and tail.trailer is None:
            causes = [Fault(tail.path, tail.end, f"{tail.stop or 'the file ends'}; {what}")]
        elif self.dropped:
            causes = [Fault(self.dropped[0].path, 0, what)]
        elif self.ring is not None:
            causes = [Fault(self.ring.path, RING_MARKS.offset_of("durable through"), what, self.last, self.ring.mark)]
        else:
            causes = []
        return causes + [fault for s in self.dropped if s.header is None for fault in s.faults]

    def _proof(self, lost: int) -> str | None:
        """What says that commit `lost` had been durable."""
        tail = self.tail
        if tail is not None and tail.trailer is None and (seen := _evidence(tail, tail.end, lost)):
            return seen
        behind = [s for s in self.dropped if tail is None or s.path > tail.path]
        for segment in behind:
            if seen := self._leftover_proves(segment, lost):
                return seen
        return self._ring_proves(lost)

    def _leftover_proves(self, segment: SegmentFile, lost: int) -> str | None:
        tail, header = self.tail, segment.header
        if header is None:
            return None
        if tail is not None and tail.header is not None and header["salt"] == tail.header["salt"]:
            return _evidence(segment, SEGMENT_HEADER.size, lost)
        if (tail is not None and tail.trailer is None) or segment.starts_opening:
            return f"{segment.path} is of a later opening"
        return _evidence(segment, SEGMENT_HEADER.size, header["opening's first sequence"])

    def _ring_proves(self, lost: int) -> str | None:
        tail, ring = self.tail, self.ring
        if ring is None or ring.header is None:
            return None
        same = tail is not None and tail.header is not None and tail.header["salt"] == ring.header["salt"]
        if ring.mark >= (lost if same else max(lost, ring.header["opening's first sequence"])):
            return f"{ring.path} says that the log was durable through {ring.mark}"
        if not same:
            return None
        for frame in ring.found_frames():
            if frame.durable_through >= lost:
                return f"commit {frame.sequence} in {ring.path} says so"
        return None


def _remains(tail: SegmentFile) -> str:
    """What the bytes behind the last frame of an unfinished segment are."""
    n = tail.size - tail.end
    if any(data.strip(b"\0") for _, data in tail.source.chunks(tail.end, tail.size)):
        return f"torn tail of {n} bytes: {tail.stop}"
    return f"{n} zeros ahead of the log"


def _evidence(segment: SegmentFile, offset: int, lost: int) -> str | None:
    """A sound frame at or behind an offset that could only be written after `lost` was durable."""
    for frame in segment.later_frames(offset):
        if frame.sequence >= lost and (frame.is_trailer or frame.durable_through >= lost):
            return f"{'the trailer' if frame.is_trailer else 'the frame'} at {frame.offset} of {segment.path} says so"
    return None
