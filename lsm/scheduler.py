"""The background of an open database: one thread that flushes, one that compacts.

Guarantees: flushes go oldest first within a partition; one compaction at a time; neither holds the GIL in its loops.
A full disk is waited out, any other failure poisons the database. Started and stopped by lsm/database.py.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from lsm import compression
from lsm.births import flush_memtable, install_tables, remove_tables, write_table
from lsm.compaction import Compaction, TableFormat
from lsm.compression import Codec
from lsm.dictionaries import dictionary_for
from lsm.engine import Memtable, Table
from lsm.errors import ClosedError, DiskFullError, ReentrantError
from lsm.exclusive import Exclusive
from lsm.picker import (
    NO_SNAPSHOT,
    CompactionTask,
    debt,
    pick_database,
    pick_full,
)
from lsm.store import Store
from lsm.uninterrupted import uninterrupted
from lsm.version import PartitionVersion, TableMeta

__all__ = ["Counters", "Scheduler"]

# bits of Engine.wait_for_work, as ext/lsm/core.pxd has them
FLUSH, COMPACT, GARBAGE, STOP = 1, 2, 4, 8

IDLE_SECONDS = 5.0
POLL_SECONDS = 0.005
RETRY_SECONDS = 0.5
SKIPS = 4096  # tombstones stepped over by scans in a partition before it is tidied
SPARES_SECONDS = 0.25  # memory and log files that writers left and no other took for so long go back to the system
COMPACTION_NICENESS = 10
MERGE_NICENESS = 19  # of native loops, which hold nothing that others wait for
QUIET_SHARE = 4  # where nobody writes, level 0 is merged if it has at least a quarter of the bytes below
SETTLED_SHARE = 16  # and a sixteenth where somebody waits for it: every read would look into its tables


@dataclass
class Counters:
    """What the background has done since the database was opened."""

    flushes: int = 0
    flush_bytes: int = 0
    flush_seconds: float = 0.0
    compactions: int = 0
    compaction_bytes_read: int = 0
    compaction_bytes_written: int = 0
    compaction_seconds: float = 0.0
    moves: int = 0
    running: list[str] = field(default_factory=list)


class Scheduler:
    """Owns the two threads. `stop` ends them; whoever calls flush or compact works in their own thread."""

    def __init__(self, store: Store, *, compacting: bool = True) -> None:
        """`compacting` False: tables are merged only by who calls `carry_out` or `compact`."""
        self.store = store
        self.engine = store.engine
        self.counters = Counters()
        self._flushing = Exclusive("a flush")
        self._compacting = Exclusive("a compaction")
        self._running: Compaction | None = None
        self._stopped = False
        self._found_full: set[str] = set()
        self._hot: set[int] = set()
        options = store.options
        self._picker_options = options.compaction()
        self._quiet_sequence = -1
        self._quiet_since = 0.0
        self._threads = [threading.Thread(target=self._flush_loop, name="lsm-flush", daemon=True)]
        if compacting:
            self._threads.append(threading.Thread(target=self._compaction_loop, name="lsm-compact", daemon=True))
        # A commit made by a thread that is at this work (by a finalizer, say) must not wait for the work to end.
        self.engine.exempt = (self._flushing, self._compacting, self)
        for thread in self._threads:
            thread.start()

    @property
    def owned(self) -> bool:
        """Whether this is one of the two threads: also outside of their sections they must not wait for each other."""
        return threading.get_ident() in {thread.ident for thread in self._threads}

    def stop(self) -> None:
        """A running flush is finished, a running compaction given up. Returns when both threads have ended."""
        self._stopped = True
        with contextlib.suppress(ClosedError):
            self.engine.stop()
        running = self._running
        if running is not None:
            running.cancel()
        for thread in self._threads:
            if thread.ident != threading.get_ident():
                thread.join()
        # A caller's own flush or compaction ends too: after the close its half files may carry another's names.
        for work in (self._flushing, self._compacting):
            with contextlib.suppress(ReentrantError), work():
                pass

    # ---- the threads

    def _flush_loop(self) -> None:
        wait = shrink_at = 0.0
        while not self._stopped:
            if self.engine.wait_for_work(wait, FLUSH | GARBAGE) & STOP:
                return
            wait = self._guarded(self._flush_round)
            now = time.monotonic()
            if now >= shrink_at:
                shrink_at = now + SPARES_SECONDS if self._shrink_spares() else 0.0
            if shrink_at:
                wait = min(wait, shrink_at - now)

    def _compaction_loop(self) -> None:
        if sys.platform == "linux":
            # A nice value is a thread's own on Linux: what compaction takes, writers and flushes do not miss.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), COMPACTION_NICENESS)
        wait = 0.0
        while not self._stopped:
            if self.engine.wait_for_work(wait, COMPACT) & STOP:
                return
            wait = self._guarded(self._compaction_round)

    def _guarded(self, work: Callable[[], None]) -> float:
        """Runs one round; how many seconds to wait for the next where nothing asks for one before."""
        try:
            if self.engine.failure is None:
                work()
            self._set_disk_full(work, False)
            return IDLE_SECONDS
        except ClosedError:
            return IDLE_SECONDS
        except DiskFullError:
            self._set_disk_full(work, True)
            return RETRY_SECONDS
        except BaseException as error:
            self._fail(error)
            return IDLE_SECONDS

    def _set_disk_full(self, work: Callable[[], None], full: bool) -> None:
        """Writers that wait for room are told when there is none: when flushes or compaction found the disk full."""
        (self._found_full.add if full else self._found_full.discard)(work.__name__)
        if self._stopped:
            return
        with contextlib.suppress(ClosedError):
            self.engine.set_disk_full(bool(self._found_full))
            if full:
                self.store.log.shrink_spares(True)
        if not self._found_full:
            self.store.refill_reserve()

    def _fail(self, error: BaseException) -> None:
        if self.engine.failure is None and not self._stopped:
            self.engine.failure = error

    # ---- flushing

    def _flush_round(self) -> None:
        self.store.pay_manifest()
        self.engine.collect_garbage()
        self.flush_frozen()
        self._free_log()
        self._free_memory()
        self._tidy_tombstones()
        self.flush_frozen()
        self.engine.collect_garbage()

    def flush_frozen(self) -> None:
        """Flushes every frozen memtable, of the partition with the oldest first."""
        with self._flushing():
            while True:
                # What the manifest does not know any more is being dropped: it has nowhere to be flushed to.
                waiting = [p for p in self.engine.pending(NO_SNAPSHOT) if p[3] and self.store.partition(p[0], p[1])]
                if not waiting or self._stopped:
                    return
                keyspace, partition, *_ = min(waiting, key=lambda p: p[2])
                flushed = self._flush_oldest(keyspace, partition)
                # At once: its bytes count as free by now, and writers take as many more during the next flush.
                self.engine.collect_garbage()
                if flushed:
                    # After it: removing a log file takes half as long as a flush, and writers may wait for the memory.
                    self._release_log()

    def _flush_oldest(self, keyspace: int, partition: int) -> bool:
        oldest = self.engine.frozen(keyspace, partition)[:1]
        return any(self._flush(keyspace, partition, memtable) for memtable in oldest)

    def _flush(self, keyspace: int, partition: int, memtable: Memtable) -> bool:
        """Whether the manifest has come to know that the memtable is in tables."""
        store = self.store
        version = store.partition(keyspace, partition)
        if version is None:
            return False
        if version.flushed_seq >= memtable.last_sequence:
            # An earlier attempt recorded its table and failed before readers were shown it.
            store.show(keyspace, partition, flushed=1)
            return False
        started = time.perf_counter()
        # Not waited for: the log's own thread syncs while the table is being built, which then waits the less.
        store.log.wait_durable(memtable.last_sequence, 0)
        form = self._format(compression.flush_codec(store.options.compression))
        shown, meta = flush_memtable(store, keyspace, partition, memtable, form, store.log.sync_through)
        if not shown:
            return False
        self.counters.flushes += 1
        self.counters.flush_bytes += meta.file_bytes if meta else 0
        self.counters.flush_seconds += time.perf_counter() - started
        self.engine.ask(COMPACT)
        return True

    def _release_log(self) -> None:
        """Gives back the log segments that no memtable needs."""
        needed = self.engine.unflushed_from(0, 0, 0)
        segments = self.store.log.segments()
        start = next(((s[0], s[1]) for s in segments if s[4] or s[2] >= needed), None)
        if start is not None and self.store.raise_log_start(*start):
            self.store.log.release_through(needed - 1, spares=not self._found_full)

    def _shrink_spares(self, everything: bool = False) -> bool:
        """Whether some are left."""
        memory = self.engine.shrink_spares(everything)
        return bool(self.store.log.shrink_spares(everything) or memory)

    def _free_log(self) -> None:
        """Beyond the log's budget the partitions with the oldest unflushed data flush, whatever their size."""
        log = self.store.log
        budget = self.store.options.wal_bytes
        excess = log.live_bytes - budget
        if excess <= 0:
            return
        log.rotate()
        boundary = 0
        for _, _, last, size, _ in log.segments():
            if excess <= 0:
                break
            boundary = max(boundary, last)
            excess -= size
        for keyspace, partition, first, *_ in self.engine.pending(NO_SNAPSHOT):
            if first and first <= boundary:
                self.engine.freeze(keyspace, partition)
        self.flush_frozen()
        log.seal()
        self._release_log()

    def _free_memory(self) -> None:
        """Many small memtables together: the largest flush until half of the budget is free."""
        counters = self.engine.counters()["memtables"]
        used, budget = counters["bytes"], counters["budget_bytes"]
        if used * 4 < budget * 3 or counters["frozen"]:
            return
        for keyspace, partition, _, _, size, _ in sorted(self.engine.pending(NO_SNAPSHOT), key=lambda p: -p[4]):
            if used * 2 < budget:
                break
            if self.engine.freeze(keyspace, partition):
                used -= size
        self.flush_frozen()

    def _tidy_tombstones(self) -> None:
        """Where scans step over piles of tombstones the memtable is flushed, and tables that hold some compacted."""
        for keyspace, partition, _, _, _, skipped in self.engine.pending(SKIPS):
            if not skipped:
                continue
            self.engine.forget_skips(keyspace, partition)
            _, _, tombstones, _, frozen, _ = self.engine.partition_state(keyspace, partition)
            if tombstones and not frozen:
                self.engine.freeze(keyspace, partition)
            version = self.store.partition(keyspace, partition)
            if version is not None:
                self._hot.update(t.number for t in version.all_tables() if t.tombstones)
                self.engine.ask(COMPACT)

    # ---- compacting

    def _oldest_snapshot(self) -> int:
        snapshots: list[int] = self.engine.snapshots()
        return snapshots[0] if snapshots else NO_SNAPSHOT

    def _pick(self) -> CompactionTask | None:
        return pick_database(
            self.store.shown_version().partitions(),
            self._picker_options,
            oldest_snapshot=self._oldest_snapshot(),
            hot=frozenset(self._hot),
        )

    def _compaction_round(self) -> None:
        while not self._stopped and self.engine.failure is None:
            with self._compacting():
                task = self._pick()
                if task is None:
                    self._hot.clear()
                    break
                self.run(task)
        if not self._stopped and self.engine.failure is None and self._is_quiet():
            self._merge_level0(QUIET_SHARE)

    def _is_quiet(self) -> bool:
        """Whether nothing was committed for a while."""
        now, sequence = time.monotonic(), self.engine.sequence
        if sequence != self._quiet_sequence:
            self._quiet_sequence, self._quiet_since = sequence, now
        return now - self._quiet_since >= IDLE_SECONDS

    def carry_out(self, task: CompactionTask) -> None:
        """Runs a task that the caller thought of, in the caller's thread. ClosedError where the database is closed
        meanwhile: then nothing has changed."""
        with self._compacting():
            self.run(task)

    @property
    def entries_read(self) -> int:
        """By the compaction that is running; 0 where none is."""
        running = self._running
        return 0 if running is None else running.entries_read

    def run(self, task: CompactionTask) -> None:
        """Carries a task out; under `_compacting`. Tables that lack the zstd they are to have are not moved."""
        started = time.perf_counter()
        self.counters.running.append(task.reason)
        try:
            tables = self.store.opened(task.keyspace, task.partition, task.tables) or []
            codec = self._codec_for(task, tables)
            if not task.move:
                self._merge(task, self._format_for(task, tables, codec))
            elif codec == Codec.ZSTD and not all(compression.is_zstd(t.codec) for t in task.tables):
                self._rewrite(task, self._format_for(task, tables, codec))
            else:
                self.store.install(task.keyspace, task.partition, task.edit())
                self.counters.moves += 1
        finally:
            self.counters.running.remove(task.reason)
            self.counters.compaction_seconds += time.perf_counter() - started
        self.engine.ask(GARBAGE)

    def _rewrite(self, task: CompactionTask, form: TableFormat) -> None:
        """A move whose tables are to be compressed anew: one by one, for together they may span tables that stay."""
        for level, metas in task.inputs:
            for meta in metas:
                self._merge(replace(task, move=False, inputs=((level, (meta,)),)), form)

    def _merge(self, task: CompactionTask, form: TableFormat) -> None:
        store = self.store
        runs: list[list[Table]] = []
        for level, metas in task.inputs:
            tables = store.opened(task.keyspace, task.partition, metas)
            if tables is None:
                return  # the keyspace was dropped meanwhile
            runs.extend([[table] for table in tables] if level == 0 else [tables])
        job = Compaction(self.engine, runs, self.engine.snapshots(), task.bottom, task.table_bytes)
        self._running = job
        outputs: list[TableMeta] = []
        try:
            if self._stopped:
                raise ClosedError("the database is being closed")
            self._write_outputs(job, outputs, form, task)
        except BaseException:
            remove_tables(self.store, outputs)
            raise
        finally:
            self._running = None
        if not install_tables(self.store, task.keyspace, task.partition, task.edit(outputs), outputs):
            return
        self.counters.compactions += 1
        self.counters.compaction_bytes_read += task.input_bytes
        self.counters.compaction_bytes_written += sum(m.file_bytes for m in outputs)

    def _may_take_its_time(self, task: CompactionTask) -> bool:
        """In the background, until level 0 slows writers down."""
        version = self.store.partition(task.keyspace, task.partition)
        behind = version is None or len(version.levels[0]) >= self._picker_options.level0_slowdown_tables
        return self.owned and not behind

    def _codec_for(self, task: CompactionTask, tables: list[Table]) -> Codec:
        version = self.store.partition(task.keyspace, task.partition)
        deepest = version is not None and task.output_level >= len(version.levels) - 1
        return compression.choose(
            self.store.options.compression,
            task.output_level,
            deepest,
            lambda: compression.saving(compression.sample(tables)),
        )

    def _format_for(self, task: CompactionTask, tables: list[Table], codec: Codec) -> TableFormat:
        if codec != Codec.ZSTD:
            return self._format(codec)
        dictionary = dictionary_for(self.store.options, tables, task.tables, task.table_bytes)
        return self._format(Codec.ZSTD_DICTIONARY if dictionary else codec, dictionary)

    def _format(self, codec: Codec, dictionary: bytes = b"") -> TableFormat:
        o = self.store.options
        size = compression.block_bytes(codec, o.block_bytes)
        return TableFormat(size, o.filter_bits_per_key, codec, o.zstd_level, dictionary)

    def _write_outputs(
        self, job: Compaction, outputs: list[TableMeta], form: TableFormat, task: CompactionTask
    ) -> None:
        native = not any(compression.is_zstd(codec) for codec in (form.codec, *(t.codec for t in task.tables)))
        while True:
            number = self.store.new_number()
            path = self.store.table_path(number)
            niceness = MERGE_NICENESS if native and self._may_take_its_time(task) else 0
            info = write_table(self.store, path, partial(job.write_table, path, number, form, niceness))
            if info is None:
                return
            outputs.append(TableMeta(**info))

    # ---- asked for by the user

    def flush(self) -> None:
        """Everything committed so far is in tables on return, and its log given back. In the caller's thread; raises
        what went wrong."""
        for keyspace, partition, *_ in self.engine.pending(NO_SNAPSHOT):
            self.engine.freeze(keyspace, partition)
        self.flush_frozen()
        self.store.log.rotate()
        self.store.log.seal()
        self._release_log()
        self._shrink_spares(True)

    def compact(self, keyspace: int | None = None) -> None:
        """Everything of the keyspace (or of all) into its deepest level, compressed as the options say."""
        for version in list(self.store.shown_version().partitions()):
            if keyspace is None or version.keyspace == keyspace:
                self._compact_partition(version)

    def _compact_partition(self, version: PartitionVersion) -> None:
        with self._compacting():
            current = self.store.partition(version.keyspace, version.index)
            task = pick_full(current, self._picker_options, rewrite=self._unwanted(current)) if current else None
            if task is not None:
                self.run(task)

    def _unwanted(self, version: PartitionVersion) -> frozenset[int]:
        chosen = self.store.options.compression
        return frozenset(
            table.number
            for level, tables in enumerate(version.levels)
            for table in tables
            if compression.unwanted(chosen, level, table.codec)
        )

    def debt(self) -> int:
        """Bytes that flushes and compaction still have to read."""
        oldest = self._oldest_snapshot()
        hot = frozenset(self._hot)
        owed = sum(
            debt(p, self._picker_options, oldest_snapshot=oldest, hot=hot)
            for p in self.store.shown_version().partitions()
        )
        return owed + sum(p[4] for p in self.engine.pending(NO_SNAPSHOT) if p[3])

    def settle(self, timeout: float | None = None) -> bool:
        """After a flush: waits until nothing is owed; False where that takes longer than `timeout` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        self.engine.ask(COMPACT)
        while self.debt():
            if self.engine.failure is not None:
                raise self.engine.failure
            left = 1.0 if until is None else until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, POLL_SECONDS))
            if self._stopped:
                raise ClosedError("the database was closed")
        uninterrupted(lambda: self._merge_level0(SETTLED_SHARE))
        self.engine.collect_garbage()
        return True

    def _merge_level0(self, share: int) -> None:
        """Level 0 below its trigger is no debt; where it has at least such a share of what is below, merging it frees
        most of what overwriting left behind. Done when asked to settle, and when nobody writes."""
        for version in list(self.store.shown_version().partitions()):
            level0 = version.level_bytes(0)
            deeper = sum(map(version.level_bytes, range(1, len(version.levels))))
            if level0 and version.table_count > 1 and level0 * share >= deeper:
                self._compact_partition(version)
