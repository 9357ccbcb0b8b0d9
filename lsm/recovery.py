"""Recovery: from manifest and log to the state that a prefix of the commits left, every durable one included.

Guarantees: nothing is changed before the log was found sound; running it again, also after a crash inside it, gives the
same state. One thread, while the database opens.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lsm import directory as names
from lsm.births import flush_memtable
from lsm.compaction import TableFormat
from lsm.compression import flush_codec
from lsm.errors import CorruptionError, DiskFullError
from lsm.replay import Replay
from lsm.version import DatabaseVersion, VersionError
from lsm.version_edit import VersionEdit
from lsm.wal_format import LAYOUTS
from lsm.wal_recovery import RecoveredLog, scan_log

if TYPE_CHECKING:
    from lsm.store import Store
    from lsm.wal import Segment

__all__ = ["Recovered", "check_beginning", "recover"]

_FIRST_SEQUENCE_AT = LAYOUTS["segment header"]["first sequence"][0]


@dataclass
class Recovered:
    """clean: the log was sealed by a close, its epoch goes on. epoch: the highest of its files.
    inherited: what the next opening of the log needs."""

    last_sequence: int = 0
    clean: bool = True
    epoch: int = 0
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
    _check_end(store.version, store.path, log)
    clean = log.clean and (bool(log.segments) or _never_begun(store))
    if not options.read_only:
        _check_epoch(store, log)
        check_beginning(store.version, store.path, log.segments)
        store.remove_orphans_of_others()
        if not clean:
            # Before the repair removes what says so: commits may be lost whose sequences were given.
            store.edit(VersionEdit(epoch=store.version.epoch + 1))
        log.repair()
    start = min((p.flushed_seq for p in store.version.partitions()), default=0)
    replay = Replay(store.engine, log, start, store.version.next_keyspace_id)
    while (step := replay.step()) is not None:
        if step[0] == "record":
            _apply_record(store, replay.place, step)
        else:
            replay.keep_in_memory = options.read_only or not _flush_full(store)
    version = store.version
    last = max(log.last_sequence, replay.sequence, version.durable_sequence(), version.wal_start_sequence - 1)
    store.engine.show_through(last)
    return Recovered(last, clean, log.epoch, log.next_segment_number, _inherited(log))


def _never_begun(store: Store) -> bool:
    """Whether a log without segments is whole: nothing ever was in it, as a new database or the last close says.
    Otherwise its files were taken away."""
    version = store.version
    untouched = version.closed and not version.wal_start and version.last_sequence < version.wal_start_sequence
    return store.created or untouched


def _apply_record(store: Store, place: tuple[str, int], step: tuple[Any, ...]) -> None:
    path, offset = place
    try:
        store.apply_record(path, *step[1:])
    except VersionError as error:
        raise CorruptionError(path, offset, "a keyspace that can be", str(error), "keyspace record") from error


def check_beginning(version: DatabaseVersion, path: str, segments: list[Segment]) -> None:
    """Raises CorruptionError where the log begins behind commits that no table holds."""
    if segments and 0 < version.wal_start_sequence < segments[0][1]:
        number, first = segments[0][:2]
        file = f"{path}/{names.segment_name(number)}"
        start = version.wal_start_sequence
        raise CorruptionError(file, _FIRST_SEQUENCE_AT, start, first, "segments before it are missing")


def _check_end(version: DatabaseVersion, path: str, log: RecoveredLog) -> None:
    """Raises CorruptionError where the log ends before what the manifest knows to have been durable in it."""
    if not version.wal_start_sequence:
        return
    durable, last = version.durable_sequence(), max(log.last_sequence, version.wal_start_sequence - 1)
    if last >= durable:
        return
    what = f"the log was durable through {durable:#x}; here it ends"
    if log.segments:
        number, *_, size, _ = log.segments[-1]
        raise CorruptionError(f"{path}/{names.segment_name(number)}", size, durable, last, what)
    raise CorruptionError(f"{path}/{names.segment_name(max(version.wal_start, 1))}", 0, durable, last, what)


def _check_epoch(store: Store, log: RecoveredLog) -> None:
    """Raises CorruptionError where the log is of an epoch that was durable in the manifest before it began."""
    if log.epoch > store.version.epoch:
        what = "the log is of a later epoch: this is an old manifest"
        raise CorruptionError(store.manifest.path, 0, log.epoch, store.version.epoch, what)


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
