"""Recovery: from manifest and log to the state that a prefix of the commits left, every durable one included.

Guarantees: nothing is changed before the log was found sound; running it again, also after a crash inside it, gives the
same state. One thread, while the database opens.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lsm.births import flush_memtable
from lsm.compaction import TableFormat
from lsm.compression import flush_codec
from lsm.errors import DiskFullError
from lsm.replay import Replay
from lsm.wal_recovery import RecoveredLog, scan_log

if TYPE_CHECKING:
    from lsm.store import Store

__all__ = ["Recovered", "recover"]


@dataclass
class Recovered:
    """clean: the log was sealed by a close, its epoch goes on. inherited: what the next opening of the log needs."""

    last_sequence: int = 0
    clean: bool = True
    next_segment: int = 1
    inherited: dict[str, Any] = field(default_factory=dict)


def recover(store: Store) -> Recovered:
    """Replays the log into the store's engine. Raises CorruptionError where durable commits are damaged or missing."""
    if not store.durable_log:
        return Recovered(store.version.last_sequence)
    options = store.options
    log = scan_log(
        store.files, store.path, store.version.database_id, read_only=options.read_only, live=options.read_only
    )
    if not options.read_only:
        log.repair()
    start = min((p.flushed_seq for p in store.version.partitions()), default=0)
    replay = Replay(store.engine, log, start, store.version.next_keyspace_id)
    while (step := replay.step()) is not None:
        if step[0] == "record":
            store.apply_record(*step[1:])
        else:
            replay.keep_in_memory = options.read_only or not _flush_full(store)
    last = max(log.last_sequence, replay.sequence)
    store.engine.show_through(last)
    return Recovered(last, log.clean, log.next_segment_number, _inherited(log))


def _inherited(log: RecoveredLog) -> dict[str, Any]:
    return {"inherited": log.segments, "last_time_us": log.last_time_us}


def _flush_full(store: Store) -> bool:
    """Frozen memtables become tables before replay goes on: its memory stays bounded, whatever the log's length.

    The log was made durable by its repair, so no table outruns it. False where the disk is full: memory must do.
    """
    try:
        _flush_frozen(store)
    except DiskFullError:
        if not store.use_reserve():
            return False
        with contextlib.suppress(DiskFullError):
            _flush_frozen(store)
    return True


def _flush_frozen(store: Store) -> None:
    o = store.options
    form = TableFormat(o.block_bytes, o.filter_bits_per_key, flush_codec(o.compression))
    for keyspace, partition, *_ in store.engine.pending(2**64 - 1):
        for memtable in store.engine.frozen(keyspace, partition):
            flush_memtable(store, keyspace, partition, memtable, form, _already_durable)
    store.engine.collect_garbage()


def _already_durable(sequence: int) -> None:
    """Nothing to sync: the repair of the log made what is replayed durable."""
