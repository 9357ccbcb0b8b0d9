"""Segments and the ring of the write-ahead log as annotated rows: headers, frames, changes, trailers.

Guarantees: shows what is sound and marks what is not, then goes on behind it. Pure readers; one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from lsm_tools.format_bytes import Fault, Faults, Source
from lsm_tools.format_frame import FRAME, KINDS, TRAILER, Change, Frame, parse_changes
from lsm_tools.format_wal import RING_HEADER, RING_MARKS, RING_PAGE, SEGMENT_HEADER, RingFile, SegmentFile
from lsm_tools.inspect_rows import (
    Row,
    Shown,
    fault_row,
    field,
    layout_rows,
    note,
    section,
    sequence_text,
    text_of,
    time_text,
)

__all__ = ["wal_rows"]


def wal_rows(path: str, shown: Shown) -> Iterator[Row]:
    """The rows of a segment or of the ring."""
    with Source(path, Faults()) as source:
        front = source.read(0, 8)
    rows = _ring_rows if front == b"lsmrng\r\n" or path.endswith(".ring") else _segment_rows
    yield from rows(path, shown)


def _segment_rows(path: str, shown: Shown) -> Iterator[Row]:
    faults = Faults()
    segment = SegmentFile(path, faults)
    meaning = "a piece of the log of commits: a header, then one frame per commit"
    yield section(0, None, f"segment {os.path.basename(path)}", f"{segment.size:,} bytes", meaning)
    yield from _header_rows(segment.source, SEGMENT_HEADER.size, shown, faults)
    if segment.header is None:
        return
    changes = 0
    for place, frame in enumerate(_from(segment, max(shown.offset, SEGMENT_HEADER.size))):
        if place == shown.limit:
            yield note(1, f"... more frames follow: --offset {_offset_of(frame)} goes on there, --limit N shows more")
            break
        if isinstance(frame, Fault):
            yield fault_row(1, frame)
        else:
            data = segment.source.read(frame.offset, frame.size)
            yield from _frame_rows(frame, data, frame.offset, shown)
            changes += frame.change_count
    segment.close()


def _offset_of(item: Frame | Fault) -> int:
    return item.offset or 0


def _from(segment: SegmentFile, offset: int) -> Iterator[Frame | Fault]:
    """Sound frames from an offset on, and the stretches between them."""
    begun = offset > SEGMENT_HEADER.size
    for frame in segment.later_frames(offset):
        if frame.offset > offset and not begun:
            yield _gap(segment, offset, frame.offset)
        begun = False
        yield frame
        offset = frame.offset + frame.size
    if offset < segment.size:
        yield _gap(segment, offset, segment.size)


def _gap(segment: SegmentFile, start: int, stop: int) -> Fault:
    problem = segment.frame(start)
    what = problem if isinstance(problem, str) else "not reached"
    return Fault(segment.path, start, f"{what}; {stop - start} bytes that are no sound frame")


def _header_rows(source: Source, size: int, shown: Shown, faults: Faults) -> Iterator[Row]:
    if shown.keys or shown.offset:
        yield from (fault_row(1, fault) for fault in faults)
        return
    layout = SEGMENT_HEADER if size == SEGMENT_HEADER.size else RING_HEADER
    yield section(1, 0, layout.name, f"{SEGMENT_HEADER.size} bytes")
    data = source.read(0, SEGMENT_HEADER.size)
    verdict = "wrong" if any("checksum" in fault.what for fault in faults) else "right"
    yield from layout_rows(layout, data, 0, 2, {"header checksum": verdict})
    yield from (fault_row(2, fault) for fault in faults)


def _frame_rows(frame: Frame, data: bytes, offset: int, shown: Shown) -> Iterator[Row]:
    changes, problem = parse_changes(frame.payload) if not frame.is_trailer else ([], None)
    if shown.keys:
        yield from _key_rows(frame, changes, shown)
        return
    what = "trailer" if frame.is_trailer else f"frame of {len(changes)} change{'s' * (len(changes) != 1)}"
    meaning = "ends a finished segment" if frame.is_trailer else ""
    yield section(1, offset, f"{what}, {frame.size} bytes", f"sequence {sequence_text(frame.sequence)}", meaning)
    yield from layout_rows(FRAME, data, offset, 2, {"checksum": "right"})
    if frame.is_trailer:
        yield from layout_rows(TRAILER, frame.payload, offset + FRAME.size, 2)
    for change in changes:
        yield from _change_rows(frame, change, offset + FRAME.size, shown)
    if problem is not None:
        yield Row("fault", 2, offset + FRAME.size, b"", "", problem, "")


def _key_rows(frame: Frame, changes: list[Change], shown: Shown) -> Iterator[Row]:
    """One line for each change."""
    for change in changes:
        what = f"{KINDS[change.kind]} {text_of(change.key, shown.full)}"
        if change.value and change.kind == 1:
            what += f" = {text_of(change.value, shown.full)}"
        when = time_text(frame.time).partition("(")[2].rstrip(")")
        yield note(
            1, f"{frame.sequence >> 44}:{frame.sequence & ((1 << 44) - 1)}  {when}  keyspace {change.keyspace}  {what}"
        )


def _change_rows(frame: Frame, change: Change, base: int, shown: Shown) -> Iterator[Row]:
    payload, at = frame.payload, change.offset
    yield section(2, base + at, f"change: {KINDS[change.kind]}")
    extras = [text for bit, text in ((64, "an old value follows"), (128, "metadata follows")) if payload[at] & bit]
    kind = ", ".join([f"{change.kind} ({KINDS[change.kind]})", *extras])
    yield field(3, base + at, payload[at : at + 1], "kind", kind, "1: put, 2: delete, 7 to 9: of a keyspace")
    at += 1
    numbers = (
        ("keyspace id", change.keyspace, "a varint: seven bits a byte, the eighth says that more follow"),
        ("key bytes", len(change.key), ""),
        ("value bytes", len(change.value), "0 of a delete"),
    )
    for name, value, meaning in numbers:
        size = _varint_size(value)
        yield field(3, base + at, payload[at : at + size], name, str(value), meaning)
        at += size
    for name, data in (("key", change.key), ("value", change.value)):
        if data:
            meaning = "as the engine orders it" if name == "key" else _value_meaning(change)
            yield field(3, base + at, data, name, text_of(data, shown.full), meaning)
        at += len(data)
    for name, extra in (("old value", change.old), ("metadata", change.metadata)):
        if extra is not None:
            size = _varint_size(len(extra))
            yield field(3, base + at, payload[at : at + size], f"{name} bytes", str(len(extra)), "")
            yield field(3, base + at + size, extra, name, text_of(extra, shown.full), "")
            at += size + len(extra)


def _value_meaning(change: Change) -> str:
    if change.kind != 7 or len(change.value) < 8:
        return ""
    flags = int.from_bytes(change.value[2:4], "little")
    partitions = int.from_bytes(change.value[4:8], "little")
    return f"version 1, {'composite' if flags & 1 else 'plain'} keys, {partitions} partitions"


def _varint_size(value: int) -> int:
    return max(1, (value.bit_length() + 6) // 7)


def _ring_rows(path: str, shown: Shown) -> Iterator[Row]:
    faults = Faults()
    ring = RingFile(path, faults)
    meaning = "the newest commits on their way into a segment; shared memory, so that a killed process loses none"
    yield section(0, None, f"ring {os.path.basename(path)}", f"{ring.size:,} bytes", meaning)
    with Source(path, Faults()) as source:
        yield from _header_rows(source, RING_HEADER.size, shown, faults)
        page = source.read(0, RING_PAGE)
    if not shown.keys:
        yield section(1, RING_MARKS.start, "marks", "" if ring.mark else "do not count")
        yield from layout_rows(RING_MARKS, page, 0, 2)
    count = 0
    for frame in sorted(ring.found_frames(), key=lambda f: f.sequence):
        place = RING_PAGE + frame.stream % len(ring.data)
        if place < shown.offset:
            continue
        if count == shown.limit:
            yield note(1, "... more frames follow: --limit N shows more")
            return
        count += 1
        at = place - RING_PAGE
        yield from _frame_rows(frame, (ring.data + ring.data)[at : at + frame.size], place, shown)
