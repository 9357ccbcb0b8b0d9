"""The life of one partition without files: a writer, a flush thread and a compaction thread on a clock of their own.

Guarantees: the decisions are those of lsm.picker, unchanged; equal settings give equal results. The speeds of writer
and compaction are assumptions. One thread.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lsm.options import CompactionOptions
from lsm.picker import CompactionTask, pick
from lsm.version import PartitionFlushed, PartitionVersion, TableAdded, TableMeta, VersionEdit
from lsm_tools.simulate_tables import (
    RecordSize,
    Segment,
    SimulatedTable,
    cut,
    merged,
    meta_of,
    table_of,
)
from lsm_tools.simulate_workload import Workload

__all__ = ["Sample", "Settings", "Simulation", "Step", "simulate"]

NODE_BYTES: Final = 44  # of a memtable entry beside key and value: headers, padding, its share of the hash index
FRAME_BYTES: Final = 48  # of a log frame
CHANGE_BYTES: Final = 6  # of a change in it, beside key and value
NANOSECONDS_PER_BYTE: Final = 60  # a writer's delay just below a full stop, as ext/lsm/commits.pyx has it
FALSE_POSITIVES: Final = 0.01  # of a filter with 10 bits per key


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes are bytes. freeze_bytes: a memtable is flushed at this size. batch_records: records of a commit.

    write_rate and compaction_rate: bytes a second that the writer puts, and that compaction reads and writes; 0:
    without limit, so that compaction is never behind.
    """

    compaction: CompactionOptions = field(default_factory=CompactionOptions)
    freeze_bytes: int = 40 << 20
    level0_stop_tables: int = 36
    size: RecordSize = field(default_factory=lambda: RecordSize(16, 100))
    batch_records: int = 1
    write_rate: float = 60e6
    compaction_rate: float = 200e6
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. read: tables whose keys may hold a key that a get asks for. blocks: it reads of those, with filters.
    space: bytes stored for each byte of live data if it lay alone in one level; None where hardly any is left."""

    operations: int
    seconds: float
    write: float
    read: float
    blocks: float
    space: float | None
    stored_bytes: int
    level0: int


@dataclass(frozen=True, slots=True)
class Step:
    """A flush or a compaction. inputs and outputs: (level, tables, bytes)."""

    operations: int
    seconds: float
    reason: str
    move: bool
    inputs: tuple[tuple[int, int, int], ...]
    outputs: tuple[int, int, int]


@dataclass
class Simulation:
    """What came of it. `largest_compaction` and all sizes in bytes; stalls in seconds of the writer."""

    samples: list[Sample] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    version: PartitionVersion = field(default_factory=lambda: PartitionVersion(1, 0))
    user_bytes: int = 0
    log_bytes: int = 0
    flushes: int = 0
    flush_bytes: int = 0
    compactions: int = 0
    moves: int = 0
    compaction_bytes_read: int = 0
    compaction_bytes_written: int = 0
    largest_compaction: int = 0
    peak_level0: int = 0
    slowed_seconds: float = 0.0
    stopped_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def write_amplification(self) -> float:
        """As `db.stats()` has it: log, flushes and compactions for each byte of the user's."""
        written = self.log_bytes + self.flush_bytes + self.compaction_bytes_written
        return written / self.user_bytes if self.user_bytes else 0.0


def simulate(workload: Workload, settings: Settings) -> Simulation:
    """Writes the whole workload, then lets compaction end."""
    return _Life(workload, settings).run()


class _Life:
    def __init__(self, workload: Workload, settings: Settings) -> None:
        self.workload = workload
        self.settings = settings
        self.size = settings.size
        self.result = Simulation()
        self.version = PartitionVersion(1, 0)
        self.tables: dict[int, SimulatedTable] = {}
        self.chance = random.Random(settings.seed)
        self.next_number = 1
        self.now = 0.0
        self.operations = 0
        self.running: tuple[float, CompactionTask] | None = None  # when it ends

    def run(self) -> Simulation:
        for start, stop in self._memtables():
            self._write(start, stop)
            self._flush(start, stop)
            self._start_compaction()
            self._sample()
        while self.running is not None:
            self._end_compaction()
            self._sample()
        self.result.version = self.version
        self.result.seconds = self.now
        return self.result

    # ---- the writer

    def _memtables(self) -> Iterator[tuple[int, int]]:
        """Stretches of operations that fill a memtable: an overwrite takes the place of the older value."""
        start, total = 0, self.workload.operations
        step = 1024
        while start < total:
            low, high = start, min(total, start + step)
            while high < total and self._memtable_bytes(start, high) < self.settings.freeze_bytes:
                low, high = high, min(total, start + 2 * (high - start))
            while high - low > 1 and self._memtable_bytes(start, high) >= self.settings.freeze_bytes:
                middle = (low + high) // 2
                if self._memtable_bytes(start, middle) < self.settings.freeze_bytes:
                    low = middle
                else:
                    high = middle
                if high - low <= 1:
                    break
            step = max(1, high - start)
            yield start, high
            start = high

    def _memtable_bytes(self, start: int, stop: int) -> float:
        counts = self.workload.counts(*self.workload.span(start, stop), start, stop)
        entries = counts.live + counts.tombstones
        return entries * (self.size.key + NODE_BYTES) + counts.live * self.size.value

    def _write(self, start: int, stop: int) -> None:
        """The clock goes on while a memtable fills; compactions end on the way."""
        result, options = self.result, self.settings.compaction
        count, deletes = stop - start, self.workload.deleted(start, stop)
        user = count * self.size.key + (count - deletes) * self.size.value
        result.user_bytes += round(user)
        result.log_bytes += round(user + count * (CHANGE_BYTES + FRAME_BYTES / self.settings.batch_records))
        while self.running is not None and len(self.version.levels[0]) >= self.settings.level0_stop_tables:
            result.stopped_seconds += max(0.0, self.running[0] - self.now)
            self._end_compaction()
        until = self.now
        if self.settings.write_rate:
            until += user / self.settings.write_rate
        over = len(self.version.levels[0]) - options.level0_slowdown_tables
        if over > 0:
            pressure = over / max(1, self.settings.level0_stop_tables - options.level0_slowdown_tables)
            slowed = user * NANOSECONDS_PER_BYTE * 1e-9 * min(1.0, pressure)
            result.slowed_seconds += slowed
            until += slowed
        while self.running is not None and self.running[0] <= until:
            self._end_compaction()
        self.now = until
        self.operations = stop

    def _flush(self, start: int, stop: int) -> None:
        low, high = self.workload.span(start, stop)
        bottom = self.version.table_count == 0
        segment = Segment(*self._trimmed(low, high, stop - start), start, stop, stop if bottom else -1)
        table = table_of([segment], self.workload, self.size)
        if table.counts.live + table.counts.tombstones < 0.5:
            return
        meta = self._new(table)
        edit = VersionEdit(added=(TableAdded(1, 0, 0, meta),), flushed=(PartitionFlushed(1, 0, stop),))
        self.version = self.version.apply(edit)
        self.result.flushes += 1
        self.result.flush_bytes += meta.file_bytes
        self.result.peak_level0 = max(self.result.peak_level0, len(self.version.levels[0]))
        self._note("memtable full", False, (), (0, 1, meta.file_bytes))

    def _trimmed(self, low: float, high: float, count: int) -> tuple[float, float]:
        """The lowest and highest of so many random keys are not quite the bounds."""
        if self.workload.ordered or count < 2:
            return low, high
        return low + min(0.1, self.chance.expovariate(count)), high - min(0.1, self.chance.expovariate(count))

    def _new(self, table: SimulatedTable) -> TableMeta:
        number = self.next_number
        self.next_number += 1
        self.tables[number] = table
        return meta_of(table, number, self.size)

    # ---- compaction

    def _start_compaction(self) -> None:
        """One at a time, as the engine's thread does it."""
        while self.running is None:
            task = pick(self.version, self.settings.compaction)
            if task is None:
                return
            seconds = 0.0
            if self.settings.compaction_rate and not task.move:
                seconds = 2 * task.input_bytes / self.settings.compaction_rate
            self.running = (self.now + seconds, task)
            if seconds == 0.0:
                self._finish()

    def _end_compaction(self) -> None:
        assert self.running is not None
        self.now = max(self.now, self.running[0])
        self._finish()
        self._start_compaction()

    def _finish(self) -> None:
        assert self.running is not None
        task, self.running = self.running[1], None
        outputs = () if task.move else tuple(self._new(t) for t in self._outputs(task))
        self.version = self.version.apply(task.edit(outputs))
        result = self.result
        written = sum(t.file_bytes for t in outputs)
        if task.move:
            result.moves += 1
            outputs = task.tables
        else:
            result.compactions += 1
            result.compaction_bytes_read += task.input_bytes
            result.compaction_bytes_written += written
            result.largest_compaction = max(result.largest_compaction, task.input_bytes)
            for number in task.numbers:
                del self.tables[number]
        inputs = tuple((level, len(tables), sum(t.file_bytes for t in tables)) for level, tables in task.inputs)
        made = (task.output_level, len(outputs), sum(t.file_bytes for t in outputs))
        self._note(task.reason, task.move, inputs, made)

    def _outputs(self, task: CompactionTask) -> list[SimulatedTable]:
        inputs = [self.tables[t.number] for t in task.tables]
        segments = merged(inputs, bottom=task.bottom)
        return cut(segments, self.workload, self.size, task.table_bytes)

    # ---- what is told

    def _note(
        self, reason: str, move: bool, inputs: tuple[tuple[int, int, int], ...], outputs: tuple[int, int, int]
    ) -> None:
        self.result.steps.append(Step(self.operations, self.now, reason, move, inputs, outputs))

    def _sample(self) -> None:
        stored = sum(t.file_bytes for t in self.version.all_tables())
        live = self.workload.counts(*self.workload.span(0, self.operations), 0, self.operations, self.operations)
        alone = self.size.stored(live)
        read = sum(self._share_of_keys(t) for t in self.version.all_tables())
        self.result.samples.append(
            Sample(
                self.operations,
                self.now,
                self.result.write_amplification,
                read,
                1 + max(0.0, read - 1) * FALSE_POSITIVES,
                stored / alone if alone * 100 > stored else None,
                stored,
                len(self.version.levels[0]),
            )
        )

    def _share_of_keys(self, meta: TableMeta) -> float:
        low, high = self.tables[meta.number].span
        first, last = self.workload.span(0, self.operations)
        return min(1.0, (high - low) / (last - first))
