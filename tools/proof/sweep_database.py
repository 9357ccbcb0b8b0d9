"""A database on a simulated disk, under the options of a seed, with its background in the caller's thread if asked.

Inline, a history is the same calls in the same order for the same seed; with threads of its own it is not, and finds
what only happens between threads. One thread drives it; the process's `os.urandom` is seeded meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from random import Random
from typing import Any
from unittest import mock

import lsm
from lsm.filesystem import FileSystem
from lsm.scheduler import Scheduler
from lsm.store import Store
from lsm.wal import Wal

__all__ = ["PATH", "background", "choose_options", "opened", "quiet", "seeded"]

PATH = "/db"


class EarlyOrLate:
    """A log that, asked to get on with a sync that nobody waits for yet, does it now or leaves it to who will wait.

    The log's own thread would do it sometime in between.
    """

    def __init__(self, log: Wal, random: Random) -> None:
        self._log = log
        self._random = random

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def wait_durable(self, sequence: int, timeout: float | None = None) -> bool:
        if timeout != 0:
            return self._log.wait_durable(sequence, timeout)
        if self._random.random() < 0.5:
            self._log.sync_through(sequence)
        return self._log.durable_sequence >= sequence


class InlineScheduler(Scheduler):
    """Has no threads that do anything: `round` does their work once."""

    def __init__(self, store: Store, *arguments: Any, **keywords: Any) -> None:
        store.log = EarlyOrLate(store.log, Random(store.log.last_sequence))  # type: ignore[assignment]
        super().__init__(store, *arguments, **keywords)

    def _flush_loop(self) -> None:
        pass

    def _compaction_loop(self) -> None:
        pass

    def round(self) -> None:
        """What the threads would do if both were woken now."""
        self._guarded(self._flush_round)
        self._guarded(self._compaction_round)


def choose_options(random: Random) -> dict[str, Any]:
    """So small that a few dozen commits freeze, flush, compact and rotate; never so small that a writer waits."""
    return {
        "memtable_bytes": random.choice((1024, 2048, 4096, 65536)),
        "memtables_bytes": 1 << 20,
        "cache_bytes": random.choice((0, 65536)),
        "wal_bytes": random.choice((8192, 16384, 1 << 20)),
        "wal_segment_bytes": random.choice((4096, 8192, 65536)),
        "wal_ring_bytes": random.choice((4096, 8192, 65536)),
        "block_bytes": random.choice((128, 1024)),
        "filter_bits_per_key": random.choice((0, 10)),
        "compression": random.choice(("auto", "lz4", "zstd", "none")),
        "table_bytes": random.choice((2048, 65536)),
        "level_base_bytes": random.choice((4096, 65536)),
        "level_multiplier": random.choice((2, 8)),
        "level0_compaction_tables": random.choice((1, 2, 4)),
        "level0_slowdown_tables": 10000,
        "level0_stop_tables": 10000,
        "flush_on_close_bytes": random.choice((0, 1024, 1 << 20)),
        "max_open_files": random.choice((16, 512)),
        "reserve_bytes": random.choice((0, 4096)),
    }


@contextlib.contextmanager
def seeded(random: Random) -> Iterator[None]:
    """Salts, ids and hash seeds come from this generator."""
    with mock.patch.object(os, "urandom", random.randbytes):
        yield


def opened(files: FileSystem, options: dict[str, Any], *, threads: bool) -> lsm.Database:
    """The database on this disk."""
    if threads:
        return lsm.open(PATH, files=files, **options)
    with mock.patch("lsm.database.Scheduler", InlineScheduler):
        return lsm.open(PATH, files=files, **options)


def background(db: lsm.Database) -> None:
    """One round of an inline background; nothing where the database has threads."""
    scheduler = db._scheduler
    if isinstance(scheduler, InlineScheduler):
        scheduler.round()


def quiet(db: lsm.Database, *, follows: bool) -> None:
    """Waits until the log's own thread has nothing to do, so that what comes next finds the same disk every time."""
    log = db._store.log
    while log.poisoned is None:
        facts = log.stats()
        waiting = (facts["bytes"] - facts["drained_bytes"]) * 4 >= facts["ring_bytes"] > 0
        if not waiting and not (follows and log.durable_sequence < log.last_sequence):
            return
        time.sleep(0.0001)
