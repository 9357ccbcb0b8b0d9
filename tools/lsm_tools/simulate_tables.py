"""Tables without files: ranges of keys, each with the stretch of operations that it holds; and what merging them gives.

Guarantees: pure. It rests on one fact of leveled compaction: of every key, each table holds one stretch of operations
without a gap, and what lies deeper holds an older one; so the union of merged stretches is a stretch again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from lsm.version import TableMeta
from lsm_tools.simulate_workload import Counts, Workload

__all__ = ["RecordSize", "Segment", "SimulatedTable", "cut", "merged", "meta_of"]

KEY_BITS: Final = 56
LEAST_RECORDS: Final = 0.5  # an expectation below it is no table
LEAST_ROOM: Final = 64.0  # bytes: no record goes in


@dataclass(frozen=True, slots=True)
class RecordSize:
    """Bytes of a record: in the API, and about in a table. `ratio`: raw to stored; filter and framing do not shrink."""

    key: int
    value: int
    ratio: float = 1.0
    overhead: float = 3.0

    def stored(self, counts: Counts) -> float:
        raw = (counts.live + counts.tombstones) * self.key + counts.live * self.value
        return raw / self.ratio + (counts.live + counts.tombstones) * self.overhead


@dataclass(frozen=True, slots=True)
class Segment:
    """Keys [low, high) with operations [start, stop); tombstones older than `cleaned` were dropped, -1: none."""

    low: float
    high: float
    start: int
    stop: int
    cleaned: int = -1

    def counts(self, workload: Workload) -> Counts:
        return workload.counts(self.low, self.high, self.start, self.stop, self.cleaned)


@dataclass(frozen=True, slots=True)
class SimulatedTable:
    """Neighbouring segments, in key order."""

    segments: tuple[Segment, ...]
    counts: Counts
    stored: float

    @property
    def span(self) -> tuple[float, float]:
        return self.segments[0].low, self.segments[-1].high


def table_of(segments: Sequence[Segment], workload: Workload, size: RecordSize) -> SimulatedTable:
    each = [segment.counts(workload) for segment in segments]
    counts = Counts(sum(c.live for c in each), sum(c.tombstones for c in each))
    return SimulatedTable(tuple(segments), counts, size.stored(counts))


def merged(inputs: Sequence[SimulatedTable], *, bottom: bool) -> list[Segment]:
    """What the inputs hold together, in key order. bottom: their tombstones go."""
    given = [segment for table in inputs for segment in table.segments]
    bounds = sorted({s.low for s in given} | {s.high for s in given})
    out: list[Segment] = []
    given.sort(key=lambda s: s.low)
    active: list[Segment] = []
    at = 0
    for low, high in pairwise(bounds):
        while at < len(given) and given[at].low <= low:
            active.append(given[at])
            at += 1
        active = [s for s in active if s.high > low]
        if active:
            _append(out, _union(active, low, high, bottom))
    return out


def _union(parts: list[Segment], low: float, high: float, bottom: bool) -> Segment:
    stop = max(s.stop for s in parts)
    cleaned = stop if bottom else max(s.cleaned for s in parts)
    return Segment(low, high, min(s.start for s in parts), stop, cleaned)


def _append(out: list[Segment], segment: Segment) -> None:
    """Segments that differ only in their keys, and touch, are one."""
    last = out[-1] if out else None
    same = last and (last.start, last.stop, last.cleaned) == (segment.start, segment.stop, segment.cleaned)
    if last and same and last.high == segment.low:
        out[-1] = Segment(last.low, segment.high, last.start, last.stop, last.cleaned)
    else:
        out.append(segment)


def cut(segments: Sequence[Segment], workload: Workload, size: RecordSize, table_bytes: int) -> list[SimulatedTable]:
    """Tables of about `table_bytes`."""
    tables: list[SimulatedTable] = []
    taken: list[Segment] = []
    room = float(table_bytes)
    for segment in segments:
        left: Segment | None = segment
        while left is not None:
            part, left = _split(left, _end(left, workload, size, room))
            taken.append(part)
            room -= size.stored(part.counts(workload))
            if left is not None or room < LEAST_ROOM:
                _close(tables, taken, workload, size)
                taken, room = [], float(table_bytes)
    _close(tables, taken, workload, size)
    return tables


def _end(segment: Segment, workload: Workload, size: RecordSize, room: float) -> float:
    """Where a table with so much room left has to end within the segment, or the segment's own end."""
    stored = size.stored(segment.counts(workload))
    share = room / stored if stored > room else 1.0
    end = segment.low + (segment.high - segment.low) * share
    return end if segment.low < end else segment.high


def _close(tables: list[SimulatedTable], taken: list[Segment], workload: Workload, size: RecordSize) -> None:
    if taken:
        table = table_of(taken, workload, size)
        if table.counts.live + table.counts.tombstones >= LEAST_RECORDS:
            tables.append(table)


def _split(segment: Segment, at: float) -> tuple[Segment, Segment | None]:
    if at >= segment.high:
        return segment, None
    first = Segment(segment.low, at, segment.start, segment.stop, segment.cleaned)
    return first, Segment(at, segment.high, segment.start, segment.stop, segment.cleaned)


def meta_of(table: SimulatedTable, number: int, size: RecordSize) -> TableMeta:
    """What the picker sees of it."""
    low, high = table.span
    counts = table.counts
    smallest, largest = _key(low), max(_key(low), _key(high) - 1)
    return TableMeta(
        number=number,
        file_bytes=max(1, round(table.stored)),
        entries=max(1, round(counts.live + counts.tombstones)),
        tombstones=round(counts.tombstones),
        raw_bytes=round(size.key * (counts.live + counts.tombstones) + size.value * counts.live),
        min_seq=min(s.start for s in table.segments),
        max_seq=max(s.stop for s in table.segments) - 1,
        min_time=0,
        max_time=0,
        smallest=smallest.to_bytes(8, "big"),
        largest=largest.to_bytes(8, "big"),
    )


def _key(at: float) -> int:
    return int(at * (1 << KEY_BITS))
