"""An open database behind its public face: engine, log, manifest, tables, and how they come together and apart.

Guarantees: a version edit that names a table is durable only after the log is, through that table; the manifest and
what readers see change together, under `_edits`. Used by lsm/database.py, and by the scheduler's threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from lsm import directory as names
from lsm.commits import commit_record
from lsm.engine import Engine, Table
from lsm.errors import (
    CorruptionError,
    DiskFullError,
    Error,
    FileError,
    KeyspaceOptionsError,
    NotADatabaseError,
    PoisonedError,
)
from lsm.exclusive import Exclusive
from lsm.files import DirectoryLock, Reserve, orphans, remove_orphans, writable
from lsm.filesystem import FileSystem
from lsm.keyspace_record import KEYSPACE_CREATED, KEYSPACE_DROPPED, KeyspaceRecord
from lsm.manifest import Manifest
from lsm.options import Options
from lsm.recovery import Recovered, check_beginning, recover
from lsm.version import (
    DatabaseVersion,
    KeyspaceCreated,
    KeyspaceVersion,
    PartitionVersion,
    TableMeta,
    VersionEdit,
)
from lsm.wal import Wal

__all__ = ["Store"]

COUNTER_BITS = 44  # of a sequence number, below its epoch
COUNTER_MASK = (1 << COUNTER_BITS) - 1
SHARED_FROM_BYTES = 32 << 20  # of tables, from which on it pays to open them with a thread per processor
OPEN_ATTEMPTS = 5  # of a reader beside a writer that removes what the reader's manifest still named


class Store:
    """Everything an open database consists of. Methods may be called from any thread."""

    def __init__(self, files: FileSystem, path: str, options: Options, *, durable_log: bool) -> None:
        """Opens or creates the database at `path`; raises what `lsm.open` documents, and then leaves nothing open."""
        self.files = files
        self.path = path
        self.options = options
        self.tables: dict[int, Table] = {}
        self.created = False  # by this opening
        self._began_at = self._found_last = 0  # sequences: what the first commit follows; the last that recovery found
        self._owed_through = 0  # the log has to be durable so far before the manifest's debts are paid
        self._dropped: list[int] = []  # tables whose files go when the manifest on disk does not name them any more
        # Order: _naming before _edits; a commit never waits under _edits, on which flushes depend.
        self._naming = Exclusive("creating or dropping a keyspace")
        self._edits = Exclusive("a change of the manifest")
        self._lock: DirectoryLock | None = None
        self.durable_log = durable_log
        self.reserve = Reserve(files, path, options.reserve_bytes if durable_log else 0)
        with contextlib.ExitStack() as undo:
            undo.callback(self._release_lock)
            if options.read_only:
                self._open_for_reading()
            else:
                self._open_for_writing(undo)
            undo.pop_all()

    # ---- opening

    def _open_for_writing(self, undo: contextlib.ExitStack) -> None:
        exists = Manifest.exists(self.files, self.path)
        if not exists and not self.options.create:
            raise NotADatabaseError(f"{self.path} holds no database; open it with create=True to make one")
        with writable(self.path):
            self.files.mkdir(self.path, exist_ok=True)
        if not exists and self.durable_log:
            self._sync_own_name()
        self._lock = DirectoryLock(self.files, self.path)
        # Between the look above and the lock another opener may have made the database.
        if not Manifest.exists(self.files, self.path):
            self._create()
            self.created = True
        version, self.manifest = Manifest.load(self.files, self.path)
        undo.callback(self.manifest.close)
        self.reserve.fill()
        self._build(version)
        recovered = recover(self)
        epoch = self.version.epoch
        if recovered.last_sequence & COUNTER_MASK > COUNTER_MASK // 2:
            epoch = max(epoch, (recovered.last_sequence >> COUNTER_BITS) + 1)
            if epoch > self.version.epoch:
                self.edit(VersionEdit(epoch=epoch))
        if self.durable_log and recovered.epoch < epoch:
            # The epoch of a log is durable before the log: a killed process may have left it in the cache.
            self.manifest.sync()
        last = max(recovered.last_sequence, epoch << COUNTER_BITS)
        self._began_at, self._found_last = last, recovered.last_sequence
        if self.durable_log and not recovered.inherited["inherited"] and version.wal_start_sequence != last + 1:
            # No segment is left that could say where the log goes on.
            self.edit(VersionEdit(wal_start_sequence=last + 1))
        self.log = Wal.create(
            self.files,
            self.path,
            version.database_id,
            epoch,
            last,
            recovered.next_segment,
            ring_bytes=self.options.wal_ring_bytes,
            segment_bytes=self.options.wal_segment_bytes,
            durable=self.durable_log,
            **recovered.inherited,
        )
        self.engine.attach(self.log)
        self.engine.spare = self.use_reserve
        if self.durable_log:
            self.engine.watch_log(max(self.options.wal_bytes // 4, 1 << 16))

    def _open_for_reading(self) -> None:
        """A moment of a database that may be open in another process: files may vanish under the reading of them."""
        for attempt in range(OPEN_ATTEMPTS):
            read = None
            try:
                version, self.manifest = Manifest.load(self.files, self.path, read_only=True)
                read = self.manifest
                self._build(version)
                recovered = recover(self)
                self._check_no_gap(version, recovered)
                break
            except (FileError, CorruptionError) as error:
                if attempt == OPEN_ATTEMPTS - 1:
                    if read is not None and self._has_moved_on(read):
                        text = "a writer changes it faster than this can be read; open it again"
                        raise FileError(errno.EAGAIN, text, self.path) from error
                    raise
                time.sleep(0.05 * (attempt + 1))
        self.log = Wal.create(
            self.files,
            self.path,
            version.database_id,
            max(self.version.epoch, recovered.last_sequence >> COUNTER_BITS),
            recovered.last_sequence,
            1,
            durable=False,
        )
        self.engine.attach(self.log)

    def _has_moved_on(self, read: Manifest) -> bool:
        """Whether a writer has changed what the reader began with: what it then misses is not lost."""
        now = self._manifest_now()
        return (now.number, now.size) != (read.number, read.size)

    def _manifest_now(self) -> Manifest:
        _, manifest = Manifest.load(self.files, self.path, read_only=True)
        manifest.close()
        return manifest

    def _check_no_gap(self, version: DatabaseVersion, recovered: Recovered) -> None:
        """Manifest and log were read one after the other: what a writer flushed between the two is in neither.

        Before it removes a segment it raises the log's start in the manifest, so a look at that tells.
        """
        segments = recovered.inherited.get("inherited")
        if segments and segments[0][0] <= version.wal_start:
            return check_beginning(version, self.path, segments)
        if self._manifest_now().version.wal_start > version.wal_start:
            raise FileError(errno.EAGAIN, "a writer flushes faster than this can be read; open it again", self.path)
        check_beginning(version, self.path, segments or [])

    def _sync_own_name(self) -> None:
        """Whoever made the directory: a power failure that took it would take all that is durable inside."""
        try:
            self.files.sync_dir(os.path.dirname(self.path))
        except FileError as error:
            if error.errno not in (errno.EACCES, errno.EPERM):  # a parent that may be entered but not read
                raise

    def _create(self) -> None:
        first = VersionEdit(
            database_id=os.urandom(16),
            hash_seed=int.from_bytes(os.urandom(8), "little"),
            epoch=1,
            next_file_number=1,
            next_keyspace_id=1,
            wal_start_sequence=(1 << COUNTER_BITS) + 1,
        )
        Manifest.create(self.files, self.path, first).close()

    def _build(self, version: DatabaseVersion) -> None:
        """An engine that shows what the manifest says."""
        o = self.options
        self.tables = {}
        self.engine = Engine(
            self.files,
            self.path,
            version.database_id,
            version.hash_seed,
            memtable_bytes=o.freeze_bytes,
            memtables_bytes=o.memtables_bytes,
            cache_bytes=o.cache_bytes,
            slow_tables=o.level0_slowdown_tables,
            stop_tables=o.level0_stop_tables,
            max_open_files=o.max_open_files,
            read_only=o.read_only,
        )
        self._next_file = version.next_file_number
        self._open([meta for partition in version.partitions() for meta in partition.all_tables()])
        for keyspace in version.keyspaces.values():
            self.engine.add_keyspace(keyspace.id, len(keyspace.partitions), keyspace.composite)
            for partition in keyspace.partitions:
                if partition.flushed_seq:
                    self.engine.set_flushed(keyspace.id, partition.index, partition.flushed_seq)
                if partition.table_count:
                    self._show(partition)

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # ---- versions

    @property
    def version(self) -> DatabaseVersion:
        return self.manifest.version

    def shown_version(self) -> DatabaseVersion:
        """The version whose tables are all open: `version` is ahead of it while an edit is being installed."""
        with self._edits():
            return self.manifest.version

    def _append(self, edit: VersionEdit, *, sync: bool) -> None:
        """To the manifest, under `_edits`. Where it is unknown what the manifest says, nothing may be written any more:
        readers' view and the manifest may differ until the database is opened anew."""
        try:
            if self.manifest.owes:
                self._sync_log(self._owed_through)
            self.manifest.append(edit, sync=sync or bool(self._dropped))
        except PoisonedError as error:
            self._fail(error)
            raise
        if not self.manifest.owes:
            self._owed_through = 0
        self._retire_dropped()

    def _retire_dropped(self) -> None:
        if self.manifest.settled:
            self.retire_tables(self._dropped)
            self._dropped.clear()

    def _fail(self, error: BaseException) -> None:
        if self.engine.failure is None:
            self.engine.failure = error

    def _append_logged(self, edit: VersionEdit, *, sync: bool, durable: bool = True) -> None:
        """What the log has, durably or not. Where the disk is full, also without the reserve, the manifest owes it."""
        if durable:
            with contextlib.suppress(DiskFullError):
                return self._with_reserve(lambda: self._append(edit, sync=sync))
        self.manifest.owe(edit)

    def _sync_log(self, sequence: int) -> None:
        """On a full disk with the reserve's help. 0: nothing that is not durable."""
        if sequence:
            self._with_reserve(lambda: self.log.sync_through(sequence))

    def _with_reserve(self, write: Callable[[], None]) -> None:
        """Once more where the disk is full and the reserve was still there."""
        try:
            write()
        except DiskFullError:
            if not self.use_reserve():
                raise
            write()

    def pay_manifest(self) -> None:
        """Writes what the manifest owes, if there is room by now."""
        with self._edits():
            if self.manifest.owes or self._dropped:
                with contextlib.suppress(DiskFullError):
                    self._append(VersionEdit(), sync=True)

    def remove_orphans(self) -> None:
        """Tables that no version names, and spare files; not while the manifest on disk may name others."""
        if self.manifest.settled:
            remove_orphans(self.files, self.path, self.version.table_numbers())

    def remove_orphans_of_others(self) -> None:
        """Those that openings before this one left."""
        if orphans(self.files, self.path, self.version.table_numbers()):
            self.manifest.sync()
            self.remove_orphans()

    def edit(self, edit: VersionEdit, *, sync: bool = True) -> None:
        """Records an edit that changes nothing readers see."""
        with self._edits():
            self._append(edit, sync=sync)

    def new_number(self) -> int:
        with self._edits():
            number = self._next_file
            self._next_file += 1
            return number

    def table_path(self, number: int) -> str:
        return f"{self.path}/{names.table_name(number)}"

    def partition(self, keyspace: int, index: int) -> PartitionVersion | None:
        """None where the keyspace is gone."""
        return _partition(self.shown_version(), keyspace, index)

    def raise_log_start(self, segment: int, sequence: int) -> bool:
        """Recovery begins at this segment of the log, with its first sequence, from here on; False where it did."""
        with self._edits():
            if segment <= self.version.wal_start:
                return False
            self._append(VersionEdit(wal_start=segment, wal_start_sequence=sequence), sync=True)
            return True

    def opened(self, keyspace: int, partition: int, metas: Iterable[TableMeta]) -> list[Table] | None:
        """Tables of the partition's version, open; None where the keyspace is gone."""
        with self._edits():
            if _partition(self.version, keyspace, partition) is None:
                return None
            return [self._table(meta) for meta in metas]

    def install(self, keyspace: int, partition: int, edit: VersionEdit, *, flushed: int = 0) -> bool:
        """Makes an edit durable and shows it to readers; False where the keyspace was dropped meanwhile."""
        with self._edits():
            before = _partition(self.version, keyspace, partition)
            if before is None:
                return False
            self._append(replace(edit, next_file_number=self._next_file), sync=True)
            after = _partition(self.version, keyspace, partition)
            assert after is not None
            self._show(after, flushed)
            self._retire(before, after)
            return True

    def show(self, keyspace: int, partition: int, *, flushed: int = 0) -> None:
        """Shows readers what the manifest says of the partition, where it is there still."""
        with self._edits():
            current = _partition(self.version, keyspace, partition)
            if current is not None:
                self._show(current, flushed)

    def _show(self, partition: PartitionVersion, flushed: int = 0) -> None:
        levels = [[self._table(meta) for meta in tables] for tables in partition.levels]
        self.engine.install(partition.keyspace, partition.index, levels, flushed)

    def _table(self, meta: TableMeta) -> Table:
        if meta.number not in self.tables:
            self._open([meta])
        return self.tables[meta.number]

    def _open(self, metas: Sequence[TableMeta]) -> None:
        numbers = [meta.number for meta in metas]
        large = sum(meta.file_bytes for meta in metas) >= SHARED_FROM_BYTES
        threads = (os.cpu_count() or 1) if large else 1
        try:
            tables = self.engine.open_tables([self.table_path(number) for number in numbers], numbers, threads)
        except FileError as error:
            if error.errno != errno.ENOENT:
                raise
            path = str(error.filename)
            raise CorruptionError(path, 0, "a table that the manifest names", None, "file is missing") from error
        self.tables.update(zip(numbers, tables, strict=True))

    def _retire(self, before: PartitionVersion, after: PartitionVersion) -> None:
        kept = {meta.number for meta in after.all_tables()}
        self.retire_tables(meta.number for meta in before.all_tables() if meta.number not in kept)

    def retire_tables(self, numbers: Iterable[int]) -> None:
        """Their files go when the last reader has."""
        for number in numbers:
            table = self.tables.pop(number, None)
            if table is not None:
                table.retire()

    # ---- keyspaces

    def find_keyspace(self, name: str, partitions: int | None, composite: bool | None) -> int | None:
        """The id of a keyspace, or None where there is none, or none that is durable. KeyspaceOptionsError where it has
        other options than those asked for."""
        known = self._named(name)
        if known is None or (self._owed_through and known.created_seq > self.log.durable_sequence):
            return None
        return self._known(known, partitions, composite)

    def _named(self, name: str) -> KeyspaceVersion | None:
        return next((k for k in self.version.keyspaces.values() if k.name == name), None)

    def keyspace(self, name: str, partitions: int | None, composite: bool | None) -> int:
        """The id of a keyspace, created where there is none; durable on return. DiskFullError: if it is there, then not
        durably."""
        with self._naming_section():
            known = self._named(name)
            if known is not None:
                found = self._known(known, partitions, composite)
                self._sync_log(known.created_seq)
                return found
            return self._create_keyspace(name, partitions or 1, bool(composite))

    def _naming_section(self) -> AbstractContextManager[object]:
        """ReentrantError in the middle of a change of the manifest too: whoever names waits for those to end."""
        self._edits()
        return self._naming()

    def _known(self, known: KeyspaceVersion, partitions: int | None, composite: bool | None) -> int:
        if partitions is not None and partitions != len(known.partitions):
            raise KeyspaceOptionsError(
                f"keyspace {known.name!r} has partitions={len(known.partitions)}, not {partitions}; "
                "leave the argument out, or choose another name"
            )
        if composite is not None and composite != known.composite:
            raise KeyspaceOptionsError(
                f"keyspace {known.name!r} has composite={known.composite}, not {composite}; "
                "leave the argument out, or choose another name"
            )
        return known.id

    def _create_keyspace(self, name: str, partitions: int, composite: bool) -> int:
        number = self.version.next_keyspace_id
        record = KeyspaceRecord(name, partitions, composite)

        def apply(sequence: int, durable: bool) -> None:
            created = KeyspaceCreated(number, name, composite, partitions, sequence)
            # First: from the edit on other threads find it.
            self.engine.add_keyspace(number, partitions, composite)
            edit = VersionEdit(created=(created,), next_keyspace_id=number + 1)
            self._append_logged(edit, sync=False, durable=durable)

        self._record(KEYSPACE_CREATED, number, name, record.encode(), apply)
        return number

    def _record(self, kind: int, number: int, name: str, value: bytes, apply: Callable[[int, bool], None]) -> None:
        """Logs what happens to a keyspace, then applies it under `_edits`; durable on return. Where the disk has no
        room for that it is made all the same, as any commit is, and DiskFullError says that it is not durable."""
        sequence = commit_record(self.engine, kind, number, name.encode(), value)
        refused = None
        try:
            try:
                self._sync_log(sequence)
            except DiskFullError as error:
                refused = error
            with self._edits():
                if refused is not None:
                    self._owed_through = sequence
                apply(sequence, refused is None)
        except BaseException as error:
            # The log has it and this opening does not: what is written from here on could lie under another name.
            self._fail(error)
            raise
        if refused is not None:
            raise refused

    def drop_keyspace(self, name: str) -> None:
        """KeyError where there is none of that name."""
        with self._naming_section():
            known = self._named(name)
            if known is None:
                raise KeyError(name)
            self._record(
                KEYSPACE_DROPPED, known.id, name, b"", lambda _, durable: self._apply_drop(known.id, durable=durable)
            )

    def _apply_drop(self, keyspace: int, *, durable: bool = True) -> None:
        """Under `_edits`."""
        dropped = [t.number for p in self.version.keyspaces[keyspace].partitions for t in p.all_tables()]
        self._append_logged(VersionEdit(dropped=(keyspace,)), sync=True, durable=durable)
        self.engine.drop_keyspace(keyspace)
        # Durable before a file goes: a manifest that names missing tables cannot be opened.
        self._dropped += dropped
        self._retire_dropped()

    def apply_record(self, path: str, kind: int, number: int, key: bytes, value: bytes, sequence: int) -> None:
        """A keyspace record of the log, met at recovery; what the manifest holds already is left alone."""
        known = self.version.keyspaces.get(number)
        if kind == KEYSPACE_CREATED and known is None and number >= self.version.next_keyspace_id:
            record = KeyspaceRecord.decode(key, value, path)
            created = KeyspaceCreated(number, record.name, record.composite, record.partitions, sequence)
            self.remember(VersionEdit(created=(created,), next_keyspace_id=number + 1))
            self.engine.add_keyspace(number, record.partitions, record.composite)
        elif kind == KEYSPACE_DROPPED and known is not None:
            if self.options.read_only:
                self.remember(VersionEdit(dropped=(number,)))
                self.engine.drop_keyspace(number)
            else:
                with self._edits():
                    self._apply_drop(number)

    def remember(self, edit: VersionEdit) -> None:
        """An edit of a reader stays in memory."""
        if self.options.read_only:
            self.manifest.version = self.manifest.version.apply(edit)
        else:
            with self._edits():
                self._append_logged(edit, sync=False)

    # ---- closing

    def use_reserve(self) -> bool:
        """Gives the space held in reserve to the log; False where it was given already."""
        self.engine.set_disk_low(True)
        return self.reserve.release()

    def refill_reserve(self) -> None:
        """Where there is room again."""
        if self.durable_log and self.reserve.refill():
            self.engine.set_disk_low(False)

    def close_files(self) -> None:
        """After the engine is shut: log sealed, manifest and lock let go of. Raises what keeps commits from being
        durable."""
        refused = None
        try:
            self.engine.close_files()
            try:
                self._with_reserve(self.log.sync)
            except (DiskFullError, PoisonedError) as error:
                refused = error
            self.log.close()
            if not self.options.read_only:
                self._record_close()
                self.remove_orphans()
        finally:
            self.manifest.close()
            self._release_lock()
        if isinstance(refused, PoisonedError) and self.log.durable_sequence < self.log.last_sequence:
            raise refused

    def _record_close(self) -> None:
        """The manifest's last word: from here on it can be told when its end, or the log's, is gone."""
        last = self.engine.sequence
        if last == self._began_at:
            last = self._found_last  # without a commit an epoch's first sequence is nowhere in the log
        if not self.durable_log or self.engine.failure is not None or self.log.poisoned is not None:
            return
        if self.version.closed and self.version.last_sequence == last:
            return
        with contextlib.suppress(DiskFullError, PoisonedError):
            self.manifest.append(VersionEdit(last_sequence=last, closed=True), sync=True)

    def abandon(self) -> None:
        """In the child of a fork: lets go of lock and mappings, touches no file."""
        self.engine.forked()
        with contextlib.suppress(Error, OSError):
            self.log.abandon_after_fork()
        with contextlib.suppress(Error, OSError):
            self.manifest.close()
        if self._lock is not None:
            self._lock.abandon()
            self._lock = None

    def facts(self) -> dict[str, Any]:
        """Levels and tables of every keyspace, for stats()."""
        return {k.name: self._keyspace_facts(k) for k in self.version.keyspaces.values()}

    def _keyspace_facts(self, keyspace: KeyspaceVersion) -> dict[str, Any]:
        levels: dict[int, dict[str, int]] = {}
        memory = entries = 0
        for partition in keyspace.partitions:
            size, nodes, *_ = self.engine.partition_state(keyspace.id, partition.index)
            memory += size
            entries += nodes
            for level, tables in enumerate(partition.levels):
                if tables:
                    _add_tables(levels.setdefault(level, {"level": level}), tables)
        return {
            "partitions": len(keyspace.partitions),
            "composite": keyspace.composite,
            "entries": entries + sum(level["entries"] for level in levels.values()),
            "levels": [levels[n] for n in sorted(levels)],
            "memtable_bytes": memory,
        }


def _partition(version: DatabaseVersion, keyspace: int, index: int) -> PartitionVersion | None:
    known = version.keyspaces.get(keyspace)
    return known.partitions[index] if known else None


def _add_tables(level: dict[str, int], tables: Iterable[TableMeta]) -> None:
    for meta in tables:
        for name, value in (
            ("tables", 1),
            ("bytes", meta.file_bytes),
            ("raw_bytes", meta.raw_bytes),
            ("entries", meta.entries),
            ("tombstones", meta.tombstones),
        ):
            level[name] = level.get(name, 0) + value
