"""The write-ahead log checked frame by frame, and against the manifest: continuity in time, epoch and sequence.

Guarantees: reports what recovery would refuse, and what it would not notice: times and marks that go back, changes that
do not parse, keyspaces that never were, commits that neither log nor tables hold. One thread.
"""

from __future__ import annotations

import os
from typing import Final

from lsm_tools.format_directory import Directory
from lsm_tools.format_frame import FRAME, Change, Frame, parse_changes
from lsm_tools.format_log import Log, Note
from lsm_tools.format_manifest import State
from lsm_tools.format_wal import SEGMENT_HEADER, SegmentFile
from lsm_tools.verify_keys import split_composite
from lsm_tools.verify_report import FileChecked, Report, Step

__all__ = ["LogCheck"]

EPOCH_SHIFT: Final = 44
CREATED: Final = 7
DROPPED: Final = 8
OPTIONS: Final = 9
KNOWN: Final = (1, 2, CREATED, DROPPED, OPTIONS)
"""Kinds that this release writes."""


class LogCheck:
    """One pass over the log of a directory."""

    def __init__(self, report: Report, directory: Directory, state: State | None, step: Step) -> None:
        self.report = report
        self.state = state
        self.step = step
        manifest = directory.manifest
        known = manifest.header["database id"] if manifest is not None and manifest.header is not None else None
        self.log = Log(directory, report.faults, known)
        self._time = self._mark = 0
        self._epoch = 0
        self._directory = directory.path
        self._composite = {k.id: k.composite for k in state.keyspaces.values()} if state is not None else {}
        self._known = state.numbers.get("NEXT_KEYSPACE_ID", 1) if state is not None else 0

    def run(self) -> None:
        report, log = self.report, self.log
        for frame in log.frames():
            self._check_frame(frame)
            report.commits += 1
            self.step(frame.size, 1)
        report.notes += log.notes
        self._check_ring()
        for segment in log.kept + log.dropped:
            report.files.append(FileChecked(os.path.basename(segment.path), "segment", segment.size, segment.count))
        if log.ring is not None:
            report.files.append(FileChecked("wal.ring", "ring", log.ring.size, log.ring_frames))
        self._check_trailers()
        if self.state is not None:
            for segment in log.kept:
                self._check_segment(segment, self.state)
            self._check_continuity(self.state)
        log.close()

    # ---- frames

    def _check_frame(self, frame: Frame) -> None:
        if frame.time < self._time:
            self._fault(frame, "commit time", "commit time goes back", self._time, frame.time)
        if frame.sequence >> EPOCH_SHIFT < self._epoch:
            self._fault(frame, "sequence", "epoch goes back", self._epoch, frame.sequence >> EPOCH_SHIFT)
        if frame.durable_through < self._mark:
            self._fault(frame, "durable through", "durable mark goes back", self._mark, frame.durable_through)
        if frame.durable_through >= frame.sequence:
            self._fault(frame, "durable through", "a commit was durable before it was written", None, frame.sequence)
        self._time, self._mark = max(self._time, frame.time), max(self._mark, frame.durable_through)
        self._epoch = frame.sequence >> EPOCH_SHIFT
        changes, problem = parse_changes(frame.payload)
        if problem is not None:
            self._fault(frame, "payload bytes", problem)
        elif len(changes) != frame.change_count:
            self._fault(frame, "change count", "count of changes", frame.change_count, len(changes))
        if self.state is not None and not self.report.quick:
            for change in changes:
                self._check_change(frame, change, len(changes))

    def _check_change(self, frame: Frame, change: Change, count: int) -> None:
        problem = None
        if change.kind not in KNOWN:
            problem = f"kind {change.kind} is of a newer release"
        elif change.kind in (CREATED, DROPPED, OPTIONS):
            problem = self._keyspace_record(change, count)
        elif change.keyspace >= self._known:
            problem = f"keyspace {change.keyspace} was never made"
        elif self._composite.get(change.keyspace) and split_composite(change.key) is None:
            problem = "a key that is no pair of partition key and sort key"
        elif not change.key:
            problem = "an empty key"
        if problem is not None:
            offset = frame.offset + FRAME.size + change.offset
            self.report.faults.add(self.log.path, offset, f"commit {frame.sequence}: {problem}")

    def _keyspace_record(self, change: Change, count: int) -> str | None:
        if count != 1:
            return "a keyspace record does not stand alone in its frame"
        if change.kind == CREATED:
            if len(change.value) < 8:
                return f"a keyspace record of {len(change.value)} bytes"
            self._known = max(self._known, change.keyspace + 1)
            self._composite.setdefault(change.keyspace, bool(int.from_bytes(change.value[2:4], "little") & 1))
        return None

    def _fault(self, frame: Frame, field: str, what: str, expected: object = None, got: object = None) -> None:
        at = frame.offset + FRAME.offset_of(field)
        self.report.faults.add(self.log.path, at, f"commit {frame.sequence}: {what}", expected, got)

    # ---- files

    def _check_segment(self, segment: SegmentFile, state: State) -> None:
        assert segment.header is not None
        epoch, highest = segment.header["epoch"], state.numbers.get("EPOCH", 0)
        if epoch > highest:
            at = SEGMENT_HEADER.offset_of("epoch")
            self.report.faults.add(segment.path, at, "epoch is above the manifest's", highest, epoch)
        first = segment.header["first sequence"]
        if first >> EPOCH_SHIFT != epoch:
            at = SEGMENT_HEADER.offset_of("first sequence")
            self.report.faults.add(segment.path, at, "first sequence is of another epoch", epoch, first >> EPOCH_SHIFT)

    def _check_trailers(self) -> None:
        """Closing and repairing a log ends all its segments with trailers; only a crash leaves some of the last opening
        without."""
        tail = self.log.tail
        if tail is None or tail.header is None or self.log.broken:
            return
        closed = self.state is not None and self.state.closed
        for segment in self.log.kept:
            assert segment.header is not None
            if segment.trailer is not None:
                continue
            what = f"no trailer: {segment.stop or 'the file ends'}"
            if closed or tail.trailer is not None or segment.header["salt"] != tail.header["salt"]:
                self.report.faults.add(segment.path, segment.end, what)
            elif segment is not tail:
                self.report.notes.append(Note(segment.path, segment.end, what))

    def _check_ring(self) -> None:
        """A ring that cannot be read held nothing that was durable: what it says of itself is a note."""
        ring = self.log.ring
        if ring is None or ring.header is not None:
            return
        for fault in ring.faults:
            what = f"{fault.what}; what it held, and no segment has, was never synced, and is gone"
            self.report.notes.append(Note(fault.path, fault.offset, what))

    def _check_continuity(self, state: State) -> None:
        """The log begins where tables may lack something, and ends no earlier than what is known to be durable."""
        log, faults = self.log, self.report.faults
        missing = os.path.join(self._directory, f"wal-{max(state.wal_start, 1):06d}.log")
        if log.kept:
            head, needed = log.kept[0], state.numbers.get("WAL_START_SEQUENCE", 0)
            first = head.header["first sequence"] if head.header is not None else 0
            if first > needed if needed else not head.starts_opening and not state.wal_start:
                faults.add(missing, None, f"missing; the log begins with {os.path.basename(head.path)}", needed, first)
        durable = max((p.flushed for p in state.partitions()), default=0)
        durable = max([durable, *(k.created for k in state.keyspaces.values())])
        if state.closed:
            durable = max(durable, state.numbers.get("LAST_SEQUENCE", 0))
        last = max(log.last, state.numbers.get("WAL_START_SEQUENCE", 1) - 1)
        if last < durable and not log.broken:
            path, end = (log.kept[-1].path, log.kept[-1].end) if log.kept else (missing, None)
            faults.add(path, end, "the log ends before commits that were durable", durable, last)
            faults.extend(fault for s in log.dropped if s.header is None for fault in s.faults)
