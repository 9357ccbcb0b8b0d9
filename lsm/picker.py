"""Chooses what to compact: a pure function of (version, options, what is under way) to a task or None.

Guarantees: what a task leaves behind keeps every key's newer data above its older data; tasks given out one after
another never collide while each one's tables are in `busy` until its edit is applied; without new data picking ends,
and then `debt` is 0. Any thread, no lock.

Leveled compaction. A table with half of its records tombstones or shadowed versions is compacted for itself, but only
once every snapshot sees all of it: then each such task brings it deeper or, at the bottom, rids it of them, and ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lsm.options import CompactionOptions
from lsm.version import (
    MAX_LEVELS,
    PartitionVersion,
    TableAdded,
    TableMeta,
    TableRemoved,
    VersionEdit,
    overlapping,
)

__all__ = [
    "NO_SNAPSHOT",
    "CompactionTask",
    "Reason",
    "debt",
    "level_targets",
    "pick",
    "pick_database",
    "pick_down",
    "pick_full",
    "pick_in_place",
    "pick_range",
    "score",
]

NO_SNAPSHOT: Final = 2**64 - 1  # as `oldest_snapshot`: nobody looks at the past
UNBOUNDED: Final = 2**63 - 1
GRANDPARENT_TABLES: Final = 10
EXPANSION_TABLES: Final = 25
GARBAGE_COST_RATIO: Final = 16
GARBAGE_COST_FLOOR_BYTES: Final = 1 << 20

Busy = frozenset[int]
Tables = tuple[TableMeta, ...]


class Reason(StrEnum):
    """Why a compaction runs, as `stats()` shows it."""

    LEVEL0 = "level 0 has too many tables"
    SIZE = "level is larger than its target"
    GARBAGE = "table holds mostly tombstones and old versions"
    READS = "reads skip many tombstones"
    MANUAL = "asked for"


@dataclass(frozen=True, slots=True)
class CompactionTask:
    """Merge `inputs` into tables of about `table_bytes` at `output_level`.

    inputs: (level, tables) from the shallowest, level 0 newest first, deeper levels in key order. A reference with
    bounds counts only between them. move: no merge, the tables go to `output_level` as they are. bottom: nothing older
    lies below, so tombstones that every snapshot sees may vanish. An output never ends between two versions of one key.
    """

    keyspace: int
    partition: int
    inputs: tuple[tuple[int, Tables], ...]
    output_level: int
    reason: Reason
    move: bool
    bottom: bool
    table_bytes: int

    @property
    def tables(self) -> Tables:
        return tuple(t for _, tables in self.inputs for t in tables)

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset(t.number for t in self.tables)

    @property
    def input_bytes(self) -> int:
        return _bytes(self.tables)

    @property
    def key_range(self) -> tuple[bytes, bytes]:
        """[first, end) of all inputs; every output lies within."""
        return _hull(self.tables)

    def edit(self, outputs: Sequence[TableMeta] = ()) -> VersionEdit:
        """The version edit that puts `outputs` (of a move: the inputs) in the place of the inputs."""
        where = (self.keyspace, self.partition)
        outputs = self.tables if self.move else outputs
        return VersionEdit(
            removed=tuple(TableRemoved(*where, t.number) for t in self.tables),
            added=tuple(TableAdded(*where, self.output_level, t) for t in outputs),
        )


def level_targets(options: CompactionOptions) -> tuple[int, ...]:
    """Bytes that each level may hold; level 0 is judged by its tables (0 here), the deepest holds what comes."""
    sizes = [options.level_base_bytes * options.level_multiplier**n for n in range(MAX_LEVELS - 2)]
    return (0, *sizes, UNBOUNDED)


def score(version: PartitionVersion, options: CompactionOptions, busy: Busy = frozenset()) -> tuple[float, ...]:
    """Per level, how full it is; tables under way do not count. Level 0 is due at 1, deeper levels above 1."""
    targets = level_targets(options)
    scores = [len(version.levels[0]) / options.level0_compaction_tables]
    for level in range(1, len(version.levels)):
        scores.append(sum(t.file_bytes for t in version.levels[level] if t.number not in busy) / targets[level])
    return tuple(scores)


def pick(
    version: PartitionVersion,
    options: CompactionOptions,
    busy: Busy = frozenset(),
    *,
    oldest_snapshot: int = NO_SNAPSHOT,
    hot: frozenset[int] = frozenset(),
) -> CompactionTask | None:
    """The most useful task that touches no table of `busy`, or None.

    `oldest_snapshot` is the lowest sequence anybody may still look at; ask again when it has risen. `hot` are tables
    whose tombstones reads had to skip in numbers.
    """
    scores = score(version, options, busy)
    flood = len(version.levels[0]) >= options.level0_slowdown_tables
    if flood:
        task = _pick_level0(version, options, busy)
        waiting = busy.isdisjoint(t.number for t in version.levels[0])
        if task or waiting:
            return task  # waiting: on deeper tasks, which must not be followed by more of them
    for task in _garbage_tasks(version, options, oldest_snapshot, hot):
        if busy.isdisjoint(task.numbers) and not _collides_at_level0(version, task, busy):
            return task
    for level in sorted(range(len(scores)), key=lambda n: -scores[n]):
        if _is_due(level, scores[level]):
            choose = _pick_level0(version, options, busy) if level == 0 else _pick_level(version, options, level, busy)
            if choose:
                return choose
    return None


def pick_database(
    partitions: Iterable[PartitionVersion],
    options: CompactionOptions,
    busy: Busy = frozenset(),
    *,
    oldest_snapshot: int = NO_SNAPSHOT,
    hot: frozenset[int] = frozenset(),
) -> CompactionTask | None:
    """The task of the partition that needs one most. Table numbers are the database's, so one `busy` serves all."""
    ranked = []
    for version in partitions:
        scores = score(version, options, busy)
        if any(map(_is_due, range(len(scores)), scores)) or _has_garbage(version, oldest_snapshot, hot):
            flood = len(version.levels[0]) >= options.level0_slowdown_tables
            ranked.append((flood, max(scores), version))
    for _, _, version in sorted(ranked, key=lambda r: r[:2], reverse=True):
        task = pick(version, options, busy, oldest_snapshot=oldest_snapshot, hot=hot)
        if task:
            return task
    return None


def pick_full(
    version: PartitionVersion,
    options: CompactionOptions,
    busy: Busy = frozenset(),
    *,
    rewrite: frozenset[int] = frozenset(),
) -> CompactionTask | None:
    """All tables into the deepest level in use, at least level 1. None: they lie there, hold no garbage and are not of
    those to `rewrite`, or one of them is busy (wait for it, then ask again)."""
    return pick_range(version, options, None, None, busy, rewrite=rewrite)


def pick_range(
    version: PartitionVersion,
    options: CompactionOptions,
    start: bytes | None,
    stop: bytes | None,
    busy: Busy = frozenset(),
    *,
    rewrite: frozenset[int] = frozenset(),
) -> CompactionTask | None:
    """All tables that may hold keys in [start, stop) into the deepest level that has any, at least level 1."""
    inputs: list[tuple[int, Tables]] = []
    level0 = [t for t in version.levels[0] if _meets(t, start, stop)]
    if level0:
        inputs.append((0, _with_older(version.levels[0], level0)))
    for level in range(1, len(version.levels)):
        chosen = tuple(t for t in version.levels[level] if _meets(t, start, stop))
        if inputs:
            # What lies under a chosen table comes along, else it would end up above newer data.
            above = [t for _, tables in inputs for t in tables]
            chosen = overlapping(version.levels[level], *_hull([*above, *chosen]))
        if chosen:
            inputs.append((level, chosen))
    if not inputs:
        return None
    lies_there = len(inputs) == 1 and inputs[0][0] > 0
    if lies_there and not any(_garbage(t) or t.number in rewrite for t in inputs[0][1]):
        return None
    task = _task(version, options, inputs, max(1, inputs[-1][0]), Reason.MANUAL)
    free = busy.isdisjoint(task.numbers) and not _collides_at_level0(version, task, busy)
    return task if free else None


def pick_down(
    version: PartitionVersion, options: CompactionOptions, level: int, start: bytes | None, stop: bytes | None
) -> CompactionTask | None:
    """The tables of one level that may hold keys in [start, stop), and what they overlap in the next, into the next.

    Of level 0 come older tables along that overlap them. None: there are no such tables. Nothing may be under way.
    """
    chosen = tuple(t for t in version.tables(level) if _meets(t, start, stop))
    if not chosen:
        return None
    if level == 0:
        chosen = _with_older(version.levels[0], list(chosen))
    below = overlapping(version.tables(level + 1), *_hull(chosen))
    alone = level > 0 and not below
    return _task(version, options, [(level, chosen), (level + 1, below)], level + 1, Reason.MANUAL, may_move=alone)


def pick_in_place(version: PartitionVersion, options: CompactionOptions, level: int, tables: Tables) -> CompactionTask:
    """`tables` of a level written anew where they are: all of level 0, or neighbours of a deeper one. Nothing may be
    under way."""
    return _task(version, options, [(level, tables)], level, Reason.MANUAL)


def debt(
    version: PartitionVersion,
    options: CompactionOptions,
    *,
    oldest_snapshot: int = NO_SNAPSHOT,
    hot: frozenset[int] = frozenset(),
) -> int:
    """Bytes that compaction has still to read, estimated; 0 exactly where `pick` finds nothing to do."""
    targets = level_targets(options)
    owed = arriving = 0
    if len(version.levels[0]) >= options.level0_compaction_tables:
        task = _pick_level0(version, options, frozenset())
        owed = max(1, task.input_bytes) if task else 0
        arriving = _bytes(version.levels[0]) if task and task.output_level else 0
    for level in range(1, len(version.levels)):
        held = version.level_bytes(level)
        excess = held + arriving - targets[level]
        arriving = max(0, excess)
        if excess > 0:
            fan = min(float(options.level_multiplier), version.level_bytes(level + 1) / max(1, held))
            owed += excess + int(excess * fan)
    garbage = _garbage_tasks(version, options, oldest_snapshot, hot)
    return owed + sum(max(1, task.input_bytes) for task in garbage)


def _is_due(level: int, value: float) -> bool:
    return value >= 1 if level == 0 else value > 1


def _pick_level0(version: PartitionVersion, options: CompactionOptions, busy: Busy) -> CompactionTask | None:
    """Level 0 has one task at a time: outputs of two could overlap in level 1."""
    level0 = version.levels[0]
    if not busy.isdisjoint(t.number for t in level0):
        return None
    apart = tuple(t for t in level0 if _lies_apart(version, options, t))
    if apart:
        return _task(version, options, [(0, apart)], 1, Reason.LEVEL0, move=True)
    below = overlapping(version.tables(1), *_hull(level0))
    if len(level0) > 1 and _bytes(below) > options.level_multiplier * _bytes(level0):
        return _merge_level0(version, options)
    if not busy.isdisjoint(t.number for t in below):
        return None
    return _task(version, options, [(0, level0), (1, below)], 1, Reason.LEVEL0)


def _lies_apart(version: PartitionVersion, options: CompactionOptions, table: TableMeta) -> bool:
    """Whether a level-0 table may go to level 1 as it is: large enough to stay, alone in its range, free of garbage."""
    if table.file_bytes * 4 < options.table_bytes or _garbage_rules(table):
        return False
    return not any(_overlap(table, t) for t in version.levels[0] if t is not table) and not overlapping(
        version.tables(1), table.first, table.end
    )


def _merge_level0(version: PartitionVersion, options: CompactionOptions) -> CompactionTask:
    """Small flushes above a large level 1: merge the newest of them where they are, at the least cost per table gone.

    A run of the newest tables, so that the merged table takes their place in the order of sequences.
    """
    level0 = version.levels[0]
    count = min(range(2, len(level0) + 1), key=lambda n: (_bytes(level0[:n]) / (n - 1), -n))
    return _task(version, options, [(0, level0[:count])], 0, Reason.LEVEL0)


def _pick_level(version: PartitionVersion, options: CompactionOptions, level: int, busy: Busy) -> CompactionTask | None:
    """The table with the least bytes below it per byte of its own; of equals the oldest file, so all have a turn."""
    best: tuple[float, int, TableMeta] | None = None
    below = version.tables(level + 1)
    for table in version.levels[level]:
        if table.number not in busy:
            met = overlapping(below, table.first, table.end)
            rank = (_bytes(met) / max(1, table.file_bytes), table.number)
            if busy.isdisjoint(t.number for t in met) and (best is None or rank < best[:2]):
                best = (*rank, table)
    return _descend(version, options, level, best[2], busy, Reason.SIZE) if best else None


def _descend(
    version: PartitionVersion, options: CompactionOptions, level: int, seed: TableMeta, busy: Busy, reason: Reason
) -> CompactionTask:
    """A table of a sorted level into the next; further tables come along where they bring no more from below."""
    run: Tables = (seed,)
    below = overlapping(version.tables(level + 1), seed.first, seed.end)
    if below:
        wider = overlapping(version.levels[level], *_hull((seed, *below)))
        fits = _bytes(wider) + _bytes(below) <= EXPANSION_TABLES * options.table_bytes
        free = busy.isdisjoint(t.number for t in wider)
        if fits and free and overlapping(version.tables(level + 1), *_hull(wider)) == below:
            run = wider
    return _task(version, options, [(level, run), (level + 1, below)], level + 1, reason, may_move=not below)


def _task(
    version: PartitionVersion,
    options: CompactionOptions,
    inputs: list[tuple[int, Tables]],
    output_level: int,
    reason: Reason,
    *,
    move: bool = False,
    may_move: bool = False,
) -> CompactionTask:
    inputs = [(level, tables) for level, tables in inputs if tables]
    tables = [t for _, chosen in inputs for t in chosen]
    first, end = _hull(tables)
    bottom = _is_bottom(version, inputs, output_level, first, end)
    if may_move:
        cleans = bottom and any(map(_garbage_rules, tables))
        grandparents = overlapping(version.tables(output_level + 1), first, end)
        move = not cleans and _bytes(grandparents) <= GRANDPARENT_TABLES * options.table_bytes
    return CompactionTask(
        version.keyspace,
        version.index,
        tuple(inputs),
        output_level,
        reason,
        move,
        bottom,
        options.table_bytes if output_level else UNBOUNDED,
    )


def _is_bottom(
    version: PartitionVersion, inputs: list[tuple[int, Tables]], output_level: int, first: bytes, end: bytes
) -> bool:
    if any(overlapping(tables, first, end) for tables in version.levels[output_level + 1 :]):
        return False
    if inputs[0][0] > 0:
        return True
    # Where a run of level 0 is merged in place, older tables of level 0 stay under it.
    chosen = inputs[0][1]
    older = version.levels[0][version.levels[0].index(chosen[-1]) + 1 :]
    return not any(_overlap(t, c) for t in older for c in chosen)


def _garbage(table: TableMeta) -> bool:
    return table.tombstones + table.shadowed > 0


def _garbage_rules(table: TableMeta) -> bool:
    return 0 < table.entries <= 2 * (table.tombstones + table.shadowed)


def _has_garbage(version: PartitionVersion, oldest_snapshot: int, hot: frozenset[int]) -> bool:
    return any(_is_garbage_due(t, oldest_snapshot, hot) for t in version.all_tables())


def _is_garbage_due(table: TableMeta, oldest_snapshot: int, hot: frozenset[int]) -> bool:
    if table.max_seq > oldest_snapshot:
        return False
    return _garbage_rules(table) or (table.number in hot and _garbage(table))


def _garbage_tasks(
    version: PartitionVersion, options: CompactionOptions, oldest_snapshot: int, hot: frozenset[int]
) -> Iterator[CompactionTask]:
    for level, tables in enumerate(version.levels):
        for table in tables:
            if _is_garbage_due(table, oldest_snapshot, hot):
                task = _garbage_task(version, options, level, table, table.number in hot)
                if task:
                    yield task


def _garbage_task(
    version: PartitionVersion, options: CompactionOptions, level: int, table: TableMeta, hot: bool
) -> CompactionTask | None:
    """None where it would rewrite far more than it cleans and no read asks for it; size will bring the table down."""
    reason = Reason.READS if hot else Reason.GARBAGE
    if level == 0:
        chosen = _with_older(version.levels[0], [table])
        below = overlapping(version.tables(1), *_hull(chosen))
        task = _task(version, options, [(0, chosen), (1, below)], 1, reason)
    elif _lies_at_bottom(version, level, table):
        return _task(version, options, [(level, (table,))], level, reason)
    else:
        chosen = (table,)
        below = overlapping(version.tables(level + 1), table.first, table.end)
        task = _descend(version, options, level, table, frozenset(), reason)
    worth = max(GARBAGE_COST_RATIO * _bytes(chosen), GARBAGE_COST_FLOOR_BYTES)
    return task if hot or _bytes(below) <= worth else None


def _lies_at_bottom(version: PartitionVersion, level: int, table: TableMeta) -> bool:
    return not any(overlapping(tables, table.first, table.end) for tables in version.levels[level + 1 :])


def _collides_at_level0(version: PartitionVersion, task: CompactionTask, busy: Busy) -> bool:
    """A second task out of level 0 could write into the gaps of the first one's range in level 1."""
    return task.inputs[0][0] == 0 and not busy.isdisjoint(t.number for t in version.levels[0])


def _with_older(level0: Tables, chosen: list[TableMeta]) -> Tables:
    """`chosen` of level 0 and every older table that overlaps one of them, newest first."""
    taken: list[TableMeta] = []
    for table in level0:
        if table in chosen or any(_overlap(table, newer) for newer in taken):
            taken.append(table)
    return tuple(taken)


def _meets(table: TableMeta, start: bytes | None, stop: bytes | None) -> bool:
    return (stop is None or table.first < stop) and (start is None or start < table.end)


def _overlap(a: TableMeta, b: TableMeta) -> bool:
    return a.first < b.end and b.first < a.end


def _hull(tables: Iterable[TableMeta]) -> tuple[bytes, bytes]:
    tables = tuple(tables)
    return min(t.first for t in tables), max(t.end for t in tables)


def _bytes(tables: Iterable[TableMeta]) -> int:
    return sum(t.file_bytes for t in tables)
