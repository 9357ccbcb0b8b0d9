"""Tables coming into being: written, their names made durable, named by the manifest, or removed again.

Guarantees: no half file stays behind; a file goes only where the manifest surely does not name it; no table is named
before the log is durable through it. Called by the scheduler's sections, and by recovery, which is alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from lsm.compaction import TableFormat, write_memtable
from lsm.engine import Memtable
from lsm.errors import DiskFullError, FileError
from lsm.version import PartitionFlushed, TableAdded, TableMeta, VersionEdit

if TYPE_CHECKING:
    from lsm.store import Store

Info = dict[str, Any] | None
"""Of a table written; None where nothing was left to write."""

__all__ = ["Info", "flush_memtable", "install_tables", "remove_tables", "write_table"]


def flush_memtable(
    store: Store, keyspace: int, index: int, memtable: Memtable, form: TableFormat, sync_log: Callable[[int], Any]
) -> tuple[bool, TableMeta | None]:
    """Turns the oldest frozen memtable of a partition into a table of level 0.

    `sync_log` makes the log durable through a sequence: what is durable stays a prefix of the commit order. Answers
    whether the partition is there still, and the table, None where snapshots and later versions need nothing of it.
    """
    version = store.partition(keyspace, index)
    if version is None:
        return False, None
    number = store.new_number()
    path = store.table_path(number)
    snapshots = store.engine.snapshots()
    bottom = version.table_count == 0
    write = partial(write_memtable, store.engine, memtable, path, number, form, snapshots, bottom)
    info = write_table(store, path, write)
    meta = TableMeta(**info) if info else None
    outputs = [meta] if meta else []
    try:
        sync_log(memtable.last_sequence)
    except BaseException:
        remove_tables(store, outputs)
        raise
    edit = VersionEdit(
        added=tuple(TableAdded(keyspace, index, 0, output) for output in outputs),
        flushed=(PartitionFlushed(keyspace, index, memtable.last_sequence),),
    )
    return install_tables(store, keyspace, index, edit, outputs, flushed=1), meta


def write_table(store: Store, path: str, write: Callable[[], Info]) -> Info:
    """Runs a table writer; leaves no half file behind, and the name of a whole one durable."""
    try:
        result = write()
        store.files.sync_dir(store.path)
        return result
    except BaseException:
        with contextlib.suppress(FileError):
            store.files.unlink(path, missing_ok=True)
        raise


def install_tables(
    store: Store, keyspace: int, index: int, edit: VersionEdit, outputs: list[TableMeta], flushed: int = 0
) -> bool:
    """Installs an edit that names `outputs`; False where the keyspace was dropped meanwhile.

    Their files go where the manifest surely does not name them: after any other failure it may.
    """
    try:
        if store.install(keyspace, index, edit, flushed=flushed):
            return True
    except DiskFullError:
        named = store.version.table_numbers()
        remove_tables(store, [meta for meta in outputs if meta.number not in named])
        raise
    remove_tables(store, outputs)
    return False


def remove_tables(store: Store, outputs: Iterable[TableMeta]) -> None:
    """Unlinks files that the manifest does not name; one that cannot go now is an orphan that the next open removes."""
    for meta in outputs:
        with contextlib.suppress(FileError):
            store.files.unlink(store.table_path(meta.number), missing_ok=True)
