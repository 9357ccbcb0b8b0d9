"""The picker: single decisions, then a whole life of a partition without files."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from lsm.options import CompactionOptions
from lsm.picker import (
    NO_SNAPSHOT,
    CompactionTask,
    Reason,
    debt,
    level_targets,
    pick,
    pick_database,
    pick_full,
    pick_range,
    score,
)
from lsm.version import PartitionFlushed, PartitionVersion, TableAdded, TableMeta, VersionEdit

OPTIONS = CompactionOptions(table_bytes=1000, level_base_bytes=4000, level_multiplier=8, level0_compaction_tables=4)


def table(number: int, keys: str = "az", size: int = 1000, seq: int | None = None, **more: int) -> TableMeta:
    """A table over keys[0]..keys[1]; sequences follow its number."""
    seq = number if seq is None else seq
    fields = {"entries": 10, "tombstones": 0, **more}
    smallest, largest = keys[0].encode(), keys[1].encode()
    return TableMeta(number, size, fields.pop("entries"), fields.pop("tombstones"), size, seq, seq, 0, 0, smallest,
                     largest, **fields)  # type: ignore[arg-type]  # fmt: skip


def partition(*levels: Sequence[TableMeta]) -> PartitionVersion:
    edit = VersionEdit(added=tuple(TableAdded(1, 0, level, t) for level, ts in enumerate(levels) for t in ts))
    return PartitionVersion(1, 0).apply(edit)


def chosen(task: CompactionTask | None) -> dict[int, list[int]] | None:
    return None if task is None else {level: [t.number for t in tables] for level, tables in task.inputs}


def test_level_targets_grow_by_the_multiplier_and_the_deepest_has_none() -> None:
    assert level_targets(CompactionOptions())[:4] == (0, 256 << 20, 2 << 30, 16 << 30)
    assert level_targets(CompactionOptions())[-1] == 2**63 - 1


def test_nothing_is_picked_of_an_empty_partition() -> None:
    assert pick(partition(), OPTIONS) is None
    assert debt(partition(), OPTIONS) == 0


def test_three_tables_in_level_0_may_stay() -> None:
    version = partition([table(n) for n in range(3)])
    assert pick(version, OPTIONS) is None
    assert score(version, OPTIONS) == (0.75,)


def test_four_tables_in_level_0_go_with_what_they_overlap() -> None:
    version = partition([table(n, "dm") for n in range(4, 8)], [table(1, "ac"), table(2, "df"), table(3, "xz")])
    task = pick(version, OPTIONS)
    assert task is not None
    assert chosen(task) == {0: [7, 6, 5, 4], 1: [2]}
    assert (task.output_level, task.reason, task.move, task.bottom) == (1, Reason.LEVEL0, False, True)


def test_large_tables_of_level_0_that_lie_apart_only_move() -> None:
    version = partition([table(4, "ab"), table(5, "cd"), table(6, "ef"), table(7, "gh")])
    task = pick(version, OPTIONS)
    assert task is not None
    assert task.move
    assert chosen(task) == {0: [7, 6, 5, 4]}


def test_small_tables_of_level_0_that_lie_apart_are_merged() -> None:
    version = partition([table(4, "ab", 100), table(5, "cd", 100), table(6, "ef", 100), table(7, "gh", 100)])
    task = pick(version, OPTIONS)
    assert task is not None
    assert not task.move


def test_tiny_flushes_above_a_large_level_1_are_merged_where_they_are() -> None:
    version = partition([table(n, "az", 10) for n in range(4, 8)], [table(1, "am", 2000), table(2, "nz", 2000)])
    task = pick(version, OPTIONS)
    assert task is not None
    assert chosen(task) == {0: [7, 6, 5, 4]}
    assert (task.output_level, task.bottom) == (0, False)


def test_a_merge_in_level_0_leaves_large_old_tables_out() -> None:
    small = [table(n, "az", 10) for n in range(4, 7)]
    version = partition([table(3, "az", 200), *small], [table(1, "az", 3000)])
    assert chosen(pick(version, OPTIONS)) == {0: [6, 5, 4]}


def test_level_0_has_one_task_at_a_time() -> None:
    version = partition([table(n) for n in range(8)])
    assert pick(version, OPTIONS, frozenset({0, 1, 2, 3})) is None


def test_garbage_in_level_0_waits_for_the_task_under_way_there() -> None:
    version = partition([table(4, "ac"), table(5, "xz", tombstones=9)])
    assert pick(version, OPTIONS, frozenset({4})) is None
    assert chosen(pick(version, OPTIONS)) == {0: [5]}


def test_a_merge_in_level_0_keeps_tombstones_above_an_older_table_there() -> None:
    small = [table(n, "xz", 10) for n in range(4, 7)]
    version = partition([table(3, "az", 200), *small], [table(1, "ac", 5000)])
    task = pick(version, replace(OPTIONS, level_base_bytes=9000))
    assert chosen(task) == {0: [6, 5, 4]}
    assert task is not None
    assert not task.bottom


def test_level_0_waits_for_a_busy_table_below_it() -> None:
    version = partition([table(n) for n in range(4, 8)], [table(1, "df")])
    assert pick(version, OPTIONS, frozenset({1})) is None


def test_a_flooded_level_0_stops_deeper_work_that_is_in_its_way() -> None:
    deep = [table(1, "ab", 9000), table(2, "cd", 9000)]
    flooded = partition([table(n) for n in range(4, 24)], deep)
    calm = partition([table(n) for n in range(4, 6)], deep)
    assert chosen(pick(calm, OPTIONS, frozenset({1}))) == {1: [2]}
    assert pick(flooded, OPTIONS, frozenset({1})) is None


def test_a_level_over_its_target_gives_the_table_with_least_below_it() -> None:
    level1 = [table(1, "ac", 2000), table(2, "df", 2000), table(3, "gi", 2000)]
    version = partition([], level1, [table(4, "ac", 5000), table(5, "df", 1000), table(6, "gi", 3000)])
    assert chosen(pick(version, OPTIONS)) == {1: [2], 2: [5]}


def test_further_tables_come_along_where_they_bring_no_more_from_below() -> None:
    version = partition([], [table(1, "ac", 3000), table(2, "df", 2000)], [table(3, "ag", 2000)])
    assert chosen(pick(version, OPTIONS)) == {1: [1, 2], 2: [3]}


def test_a_table_with_nothing_below_it_moves() -> None:
    version = partition([], [table(1, "ac", 3000), table(2, "df", 2000)], [table(3, "ac", 2000)])
    task = pick(version, OPTIONS)
    assert task is not None
    assert (task.move, task.output_level, chosen(task)) == (True, 2, {1: [2]})
    assert [[t.number for t in level] for level in version.apply(task.edit()).levels] == [[], [1], [3, 2]]


def test_a_table_above_many_grandparents_does_not_move() -> None:
    version = partition([], [table(1, "ac", 5000)], [], [table(3, "ac", 11000)])
    task = pick(version, OPTIONS)
    assert task is not None
    assert not task.move


def test_a_task_above_older_data_is_not_at_the_bottom() -> None:
    version = partition([table(n, "az") for n in range(4, 8)], [], [table(1, "mn")])
    task = pick(version, OPTIONS)
    assert task is not None
    assert not task.bottom


def test_tombstones_are_compacted_for_themselves() -> None:
    version = partition([], [table(5, "ac", tombstones=5)], [table(1, "ac"), table(2, "df")])
    task = pick(version, OPTIONS)
    assert task is not None
    assert (chosen(task), task.reason, task.bottom) == ({1: [5], 2: [1]}, Reason.GARBAGE, True)


def test_tombstones_go_before_a_level_that_is_too_large() -> None:
    version = partition([], [table(5, "ac", tombstones=5), table(6, "df", 9000)], [table(1, "ac"), table(2, "df")])
    assert chosen(pick(version, OPTIONS)) == {1: [5], 2: [1]}


def test_few_tombstones_do_not_rewrite_a_large_level() -> None:
    version = partition([table(5, "az", 10, tombstones=10)], [table(1, "az", 2 << 20)])
    assert pick(version, replace(OPTIONS, level_base_bytes=4 << 20)) is None


def test_reads_that_skip_tombstones_may_ask_for_it_all_the_same() -> None:
    options = replace(OPTIONS, level_base_bytes=4 << 20)
    version = partition([table(5, "az", 10, tombstones=1)], [table(1, "az", 2 << 20)])
    task = pick(version, options, hot=frozenset({5}))
    assert task is not None
    assert (chosen(task), task.reason) == ({0: [5], 1: [1]}, Reason.READS)


def test_a_chosen_table_of_level_0_brings_the_older_ones_it_overlaps() -> None:
    level0 = [table(4, "ac"), table(5, "bf"), table(6, "ek", tombstones=9), table(3, "xz")]
    assert chosen(pick(partition(level0), OPTIONS)) == {0: [6, 5, 4]}


def test_tombstones_at_the_bottom_are_cleaned_in_place() -> None:
    version = partition([], [], [table(5, "ac", tombstones=5), table(6, "df")])
    task = pick(version, OPTIONS)
    assert task is not None
    assert (chosen(task), task.output_level, task.bottom, task.move) == ({2: [5]}, 2, True, False)


def test_old_versions_at_the_bottom_are_cleaned_like_tombstones() -> None:
    assert chosen(pick(partition([], [table(5, shadowed=6)]), OPTIONS)) == {1: [5]}


def test_tombstones_that_a_snapshot_may_need_are_left_until_it_has_gone() -> None:
    version = partition([], [], [table(5, "ac", seq=50, tombstones=5)])
    assert pick(version, OPTIONS, oldest_snapshot=49) is None
    assert debt(version, OPTIONS, oldest_snapshot=49) == 0
    assert chosen(pick(version, OPTIONS, oldest_snapshot=50)) == {2: [5]}


def test_a_full_compaction_takes_everything_to_the_deepest_level_in_use() -> None:
    version = partition([table(5), table(6)], [table(3, "ac")], [], [table(1, "mp"), table(2, "xz")])
    task = pick_full(version, OPTIONS)
    assert task is not None
    assert chosen(task) == {0: [6, 5], 1: [3], 3: [1, 2]}
    assert (task.output_level, task.bottom, task.reason) == (3, True, Reason.MANUAL)


def test_a_full_compaction_of_level_0_alone_goes_to_level_1() -> None:
    task = pick_full(partition([table(5)]), OPTIONS)
    assert task is not None
    assert task.output_level == 1


def test_a_full_compaction_has_nothing_to_do_twice() -> None:
    assert pick_full(partition([], [], [table(1, "ac"), table(2, "df")]), OPTIONS) is None
    assert pick_full(partition(), OPTIONS) is None


def test_a_full_compaction_waits_for_busy_tables() -> None:
    assert pick_full(partition([table(5)], [table(3)]), OPTIONS, frozenset({3})) is None


def test_a_range_takes_what_lies_under_the_tables_it_meets() -> None:
    version = partition([], [table(5, "cf"), table(6, "xz")], [table(3, "ad"), table(4, "fh"), table(7, "ik")])
    assert chosen(pick_range(version, OPTIONS, b"d", b"e")) == {1: [5], 2: [3, 4]}


def test_a_range_without_tables_needs_nothing() -> None:
    assert pick_range(partition([], [table(5, "cf")], [table(1, "ab")]), OPTIONS, b"x", None) is None


def test_the_partition_with_the_fullest_level_comes_first() -> None:
    calm = partition([table(n) for n in range(3)])
    due = partition([table(n) for n in range(10, 14)])
    urgent = partition([table(n) for n in range(20, 29)])
    task = pick_database([calm, due, urgent], OPTIONS)
    assert task is not None
    assert 20 in task.numbers
    second = pick_database([calm, due, urgent], OPTIONS, task.numbers)
    assert second is not None
    assert 10 in second.numbers


# A life of one partition without files: flushes, snapshots, several compactions at once that end in any order.

ENTRY_BYTES = 100
Versions = list[tuple[int, bool]]  # newest first: sequence, tombstone
Contents = dict[bytes, Versions]


@dataclass
class Tree:
    options: CompactionOptions
    random: random.Random
    version: PartitionVersion = field(default_factory=lambda: PartitionVersion(1, 0))
    contents: dict[int, Contents] = field(default_factory=dict)
    history: dict[bytes, Versions] = field(default_factory=dict)
    snapshots: list[int] = field(default_factory=list)
    running: list[tuple[CompactionTask, VersionEdit]] = field(default_factory=list)
    seq: int = 0
    next_number: int = 1
    flushed_bytes: int = 0
    written_bytes: int = 0

    def flush(self, writes: Sequence[tuple[bytes, bool]]) -> None:
        contents: Contents = {}
        for key, tombstone in writes:
            self.seq += 1
            contents.setdefault(key, []).insert(0, (self.seq, tombstone))
            self.history.setdefault(key, []).insert(0, (self.seq, tombstone))
        visible = {key: self.kept(versions, bottom=False) for key, versions in contents.items()}
        meta = self.table(dict(sorted(visible.items())))
        self.flushed_bytes += meta.file_bytes
        edit = VersionEdit(added=(TableAdded(1, 0, 0, meta),), flushed=(PartitionFlushed(1, 0, self.seq),))
        self.version = self.version.apply(edit)

    def oldest(self) -> int:
        return min(self.snapshots, default=NO_SNAPSHOT)

    def busy(self) -> frozenset[int]:
        return frozenset().union(*(task.numbers for task, _ in self.running))

    def pick(self) -> CompactionTask | None:
        return pick(self.version, self.options, self.busy(), oldest_snapshot=self.oldest())

    def start(self, task: CompactionTask) -> None:
        assert self.busy().isdisjoint(task.numbers)
        self.running.append((task, task.edit(() if task.move else list(self.outputs(task)))))

    def finish_one(self) -> None:
        task, edit = self.running.pop(self.random.randrange(len(self.running)))
        self.version = self.version.apply(edit)
        if not task.move:
            self.written_bytes += sum(a.table.file_bytes for a in edit.added)
            for number in task.numbers:
                del self.contents[number]

    def kept(self, versions: Versions, bottom: bool) -> Versions:
        """Newest of each stripe between snapshots; a tombstone that everyone sees goes where nothing is below."""
        kept: Versions = []
        stripes = set()
        for seq, tombstone in versions:
            stripe = sum(s < seq for s in self.snapshots)
            if stripe not in stripes:
                stripes.add(stripe)
                kept.append((seq, tombstone))
        if bottom and kept and kept[-1][1] and kept[-1][0] <= self.oldest():
            kept.pop()
        return kept

    def outputs(self, task: CompactionTask) -> Iterator[TableMeta]:
        merged: Contents = {}
        for t in task.tables:
            for key, versions in self.contents[t.number].items():
                merged.setdefault(key, []).extend(versions)
        part: Contents = {}
        for key in sorted(merged):
            kept = self.kept(sorted(merged[key], reverse=True), task.bottom)
            if kept:
                part[key] = kept
            if sum(map(len, part.values())) * ENTRY_BYTES >= task.table_bytes:
                yield self.table(part)
                part = {}
        if part:
            yield self.table(part)

    def table(self, contents: Contents) -> TableMeta:
        number, self.next_number = self.next_number, self.next_number + 1
        self.contents[number] = contents
        versions = [v for each in contents.values() for v in each]
        seqs = [seq for seq, _ in versions]
        return TableMeta(
            number, len(versions) * ENTRY_BYTES, len(versions), sum(dead for _, dead in versions), len(versions),
            min(seqs), max(seqs), 0, 0, min(contents), max(contents), shadowed=len(versions) - len(contents),
        )  # fmt: skip

    def check(self) -> None:
        """Every key's versions are met newest first, and every reader finds what it should."""
        order = [self.contents[t.number] for t in self.version.all_tables()]
        for key, history in self.history.items():
            found = [version for contents in order for version in contents.get(key, ())]
            assert found == sorted(found, reverse=True), key
            for reader in (*self.snapshots, NO_SNAPSHOT):
                got = next((v for v in found if v[0] <= reader), (0, True))
                want = next((v for v in history if v[0] <= reader), (0, True))
                assert got == want or (got[1] and want[1]), key

    def settle(self) -> None:
        while self.running:
            self.finish_one()
        for _ in range(10_000):
            task = self.pick()
            assert (task is None) == (debt(self.version, self.options, oldest_snapshot=self.oldest()) == 0)
            if task is None:
                return
            self.start(task)
            self.finish_one()
        raise AssertionError("compaction does not come to an end")


def writes(rng: random.Random, kind: str, round: int, n: int) -> list[tuple[bytes, bool]]:
    if kind == "sequential":
        return [(b"%08d" % (round * n + i), False) for i in range(n)]
    if kind == "queue":  # what the round before has put is deleted
        put = [(b"%08d" % (round * n + i), False) for i in range(n)]
        return put + [(b"%08d" % ((round - 1) * n + i), True) for i in range(n) if round]
    dead = {"random": 0.0, "deletes": 0.5}[kind]
    return [(b"%08d" % rng.randrange(600), rng.random() < dead) for _ in range(n)]


def live(tree: Tree, kind: str, rounds: int, workers: int, per_flush: int = 40, snapshots: bool = False) -> None:
    for round in range(rounds):
        tree.flush(writes(tree.random, kind, round, tree.random.randint(1, per_flush)))
        if snapshots and tree.random.random() < 0.2:
            tree.snapshots.append(tree.seq)
        if tree.snapshots and tree.random.random() < 0.2:
            tree.snapshots.pop(tree.random.randrange(len(tree.snapshots)))
        while len(tree.running) < workers and (task := tree.pick()):
            tree.start(task)
        while tree.running and tree.random.random() < 0.7:
            tree.finish_one()
        tree.check()


SMALL = CompactionOptions(table_bytes=1000, level_base_bytes=6000, level_multiplier=4, level0_compaction_tables=4)


@pytest.mark.parametrize("kind", ["random", "deletes", "sequential", "queue"])
@pytest.mark.parametrize("snapshots", [False, True])
@pytest.mark.parametrize("workers", [1, 4])
def test_data_stays_right_and_compaction_ends(kind: str, snapshots: bool, workers: int) -> None:
    for seed in range(3):
        tree = Tree(SMALL, random.Random(seed))
        live(tree, kind, 60, workers, snapshots=snapshots)
        tree.settle()
        tree.check()


@pytest.mark.parametrize("kind", ["deletes", "queue"])
def test_no_table_of_mostly_garbage_is_left_once_snapshots_have_gone(kind: str) -> None:
    tree = Tree(SMALL, random.Random(1))
    live(tree, kind, 60, 2, snapshots=True)
    tree.snapshots.clear()
    tree.settle()
    assert not [t for t in tree.version.all_tables() if 2 * (t.tombstones + t.shadowed) >= t.entries]


def test_a_full_compaction_leaves_no_tombstone_and_one_version_of_each_key() -> None:
    tree = Tree(SMALL, random.Random(2))
    live(tree, "deletes", 50, 2)
    while tree.running:
        tree.finish_one()
    task = pick_full(tree.version, SMALL)
    assert task is not None
    tree.start(task)
    tree.finish_one()
    tree.check()
    assert sum(t.tombstones + t.shadowed for t in tree.version.all_tables()) == 0
    assert pick_full(tree.version, SMALL) is None


def test_ranges_compacted_beside_other_work_keep_the_data_right() -> None:
    rng = random.Random(3)
    tree = Tree(SMALL, rng)
    for _ in range(120):
        live(tree, "random", 1, 3)
        low = rng.randrange(600)
        span = (b"%08d" % low, b"%08d" % (low + rng.randrange(1, 200)))
        task = pick_range(tree.version, SMALL, *span, tree.busy())
        if task:
            tree.start(task)
        tree.check()
    tree.settle()
    tree.check()


def test_sequential_data_is_never_rewritten() -> None:
    tree = Tree(SMALL, random.Random(4))
    for round in range(100):
        tree.flush(writes(tree.random, "sequential", round, 10))
        tree.settle()
    assert tree.written_bytes == 0


def test_write_amplification_of_random_keys_is_bounded() -> None:
    tree = Tree(CompactionOptions(1000, 10_000, 8), random.Random(5))
    for _ in range(400):
        tree.flush([(b"%08d" % tree.random.randrange(10**7), False) for _ in range(25)])
        tree.settle()
    assert 1 + tree.written_bytes / tree.flushed_bytes < 20


def test_write_amplification_of_tiny_flushes_onto_much_data_is_bounded() -> None:
    tree = Tree(CompactionOptions(20_000, 200_000, 8), random.Random(6))
    tree.flush([(b"%08d" % i, False) for i in range(0, 19_000, 10)])
    task = pick_full(tree.version, tree.options)
    assert task is not None
    tree.start(task)
    tree.finish_one()
    tree.flushed_bytes = tree.written_bytes = 0
    for _ in range(300):
        tree.flush([(b"%08d" % tree.random.randrange(19_000), False) for _ in range(4)])
        tree.settle()
    assert tree.written_bytes / tree.flushed_bytes < 25


def test_a_snapshot_that_stays_does_not_keep_compaction_busy() -> None:
    tree = Tree(SMALL, random.Random(7))
    live(tree, "random", 20, 1)
    tree.snapshots.append(tree.seq)
    live(tree, "deletes", 40, 1)
    tree.settle()
    written = tree.written_bytes
    tree.settle()
    assert tree.written_bytes == written
