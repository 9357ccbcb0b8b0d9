"""The public face of a database: `open`, `Database`, and what happens at exit and in forked children.

Guarantees: whatever is opened is closed at the latest when the interpreter ends; after a fork the child lets go and
the parent goes on. Any thread.
"""

from __future__ import annotations

import contextlib
import operator
import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from lsm.errors import ClosedError, ForkedError, InvalidArgumentError, ReentrantError
from lsm.filesystem import FileSystem
from lsm.keyspace import Batch, Keyspace, Snapshot, open_keyspace
from lsm.options import Options
from lsm.scheduler import Scheduler
from lsm.store import Store
from lsm.uninterrupted import uninterrupted
from lsm.version import MAX_PARTITIONS
from lsm.waiting import about_to_wait, refuse_to_wait

__all__ = ["Database", "open"]

MAX_NAME_BYTES = 1024
MEMORY = ":memory:"

Result = TypeVar("Result")


class _Running:
    """What has to be ended when a database is closed, dropped or forgotten."""

    def __init__(self, store: Store, scheduler: Scheduler | None) -> None:
        self.store = store
        self.scheduler = scheduler
        self.closed = False
        self.forked = False
        self.inside: set[int] = set()  # threads whose calls a close has to wait for
        self._closing = threading.Lock()

    def call(self, work: Callable[[], Result]) -> Result:
        """Runs work that needs files or log; a close waits for its end."""
        me = threading.get_ident()
        nested = me in self.inside
        self.store.engine.enter()
        self.inside.add(me)
        try:
            return work()
        finally:
            if not nested:
                self.inside.discard(me)
            self.store.engine.leave()

    def close(self) -> None:
        if threading.get_ident() in self.inside:
            raise ReentrantError("a signal handler or finalizer cannot close the database in the middle of a call")
        before = refuse_to_wait(False)  # what is forgotten nobody else will close
        try:
            with self._closing:
                if self.closed or self.forked:
                    return
                self.closed = True
                uninterrupted(self._end)
        finally:
            refuse_to_wait(before)

    @property
    def ended(self) -> bool:
        """Whether there is nothing left that a close would wait for."""
        return self.forked or (self.closed and not self._closing.locked())

    def _end(self) -> None:
        engine = self.store.engine
        try:
            if self.scheduler is not None:
                try:
                    self._flush_what_is_worth_it()
                finally:
                    self.scheduler.stop()
        finally:
            engine.shut()
            self.store.close_files()

    def _flush_what_is_worth_it(self) -> None:
        scheduler, store = self.scheduler, self.store
        if scheduler is None or store.engine.failure is not None or store.path == MEMORY:
            return
        small = store.engine.counters()["memtables"]["bytes"] < store.options.flush_on_close_bytes
        if small and len(store.log.segments()) < MANY_SEGMENTS:
            return
        # A close that finds no room to flush loses nothing: the log has it all.
        with contextlib.suppress(OSError):
            scheduler.flush()

    def abandon(self) -> None:
        self.forked = True
        self.store.abandon()


MANY_SEGMENTS = 16  # every opening that commits begins one; a program that opens for one put would pile them up
_open_databases: weakref.WeakSet[_Running] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for running in list(_open_databases):
        if not running.closed:
            running.abandon()


os.register_at_fork(after_in_child=_after_fork_in_child)


def open(path: str | os.PathLike[str], *, files: FileSystem | None = None, **options: Any) -> Database:
    """Opens the database in directory `path`, making it where there is none; ":memory:" keeps nothing.

    Options are keywords with units in their names, see lsm.options.Options. `files` replaces the operating system's
    file system. Raises LockedError (open elsewhere), NotADatabaseError (something else is there), ReadOnlyError (cannot
    be written), CorruptionError, UnsupportedVersionError, InvalidArgumentError, DiskFullError, FileError.
    """
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"path is a str or os.PathLike[str], not {type(path).__name__}")
    about_to_wait("a database to be opened")
    return Database(name, Options.from_keywords(options), files)


def _files_of_memory() -> FileSystem:
    from lsm.memory_files import MemoryFileSystem  # 100 KB of code that most programs never run

    return MemoryFileSystem()


def _files_of_the_system() -> FileSystem:
    from lsm.posix_files import PosixFileSystem

    return PosixFileSystem()


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a keyspace's name is a str, not {type(name).__name__}")


class Database:
    """An open database: keyspaces, batches, snapshots, and waiting for durability. A context manager that closes it."""

    def __init__(
        self, path: str, options: Options, files: FileSystem | None = None, *, compacting: bool = True
    ) -> None:
        """Use `lsm.open`. `compacting` False is for tools that merge tables themselves."""
        in_memory = path == MEMORY
        if files is None:
            files = _files_of_memory() if in_memory else _files_of_the_system()
        place = path if in_memory else os.path.abspath(path)
        self._store = Store(files, place, options, durable_log=not in_memory)
        scheduler = None if options.read_only else Scheduler(self._store, compacting=compacting)
        self._scheduler = scheduler
        self._running = _Running(self._store, scheduler)
        _open_databases.add(self._running)
        self._keyspaces: weakref.WeakValueDictionary[int, Keyspace] = weakref.WeakValueDictionary()
        self._finalizer = weakref.finalize(self, self._running.close)

    def __repr__(self) -> str:
        state = "closed" if self._running.closed else f"sequence {self._store.engine.sequence}"
        return f"<lsm.Database {self._store.path!r}, {state}>"

    @property
    def path(self) -> str:
        """The directory, absolute; ":memory:" where there is none."""
        return self._store.path

    def _check(self) -> None:
        if self._running.forked:
            raise ForkedError("this database was opened in the parent process; open it anew in this one")
        if self._running.closed:
            raise ClosedError("the database is closed; open it again to use it")

    # ---- keyspaces

    @overload
    def keyspace(self, name: str, *, partitions: int | None = None, composite: None = None) -> Keyspace: ...
    @overload
    def keyspace(
        self, name: str, *, partitions: int | None = None, composite: Literal[True]
    ) -> Keyspace[tuple[bytes, bytes]]: ...
    @overload
    def keyspace(self, name: str, *, partitions: int | None = None, composite: Literal[False]) -> Keyspace[bytes]: ...
    @overload
    def keyspace(self, name: str, *, partitions: int | None = None, composite: bool | None = None) -> Keyspace: ...
    def keyspace(self, name: str, *, partitions: int | None = None, composite: bool | None = None) -> Keyspace:
        """The keyspace `name`, created (durably) on first use with these options, which are remembered.

        partitions: hash partitions, 1 to 4,096, one by default; each is its own LSM tree. composite: keys are
        (partition key, sort key). Left out, whatever is remembered holds; KeyspaceOptionsError where it differs.
        """
        self._check()
        _check_name(name)
        if not 1 <= len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES or "\0" in name:
            raise InvalidArgumentError(f"a keyspace's name has 1 to {MAX_NAME_BYTES} bytes in UTF-8 and no NUL")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(
                "a keyspace's name is text that UTF-8 can hold, without lone surrogates"
            ) from None
        if partitions is not None:
            partitions = operator.index(partitions)
            if not 1 <= partitions <= MAX_PARTITIONS:
                raise InvalidArgumentError(f"partitions must be between 1 and {MAX_PARTITIONS}, not {partitions}")
        if composite is not None and not isinstance(composite, bool):
            raise TypeError(f"composite is True or False, not {composite!r}")
        number = self._store.find_keyspace(name, partitions, composite)
        if number is None:
            about_to_wait("a keyspace to be created")
            number = uninterrupted(
                lambda: self._running.call(lambda: self._store.keyspace(name, partitions, composite))
            )
        handle = self._keyspaces.get(number)
        if handle is None:
            handle = self._keyspaces[number] = open_keyspace(self._store.engine, name, number, self)
        return handle

    def keyspaces(self) -> list[str]:
        """Names of all keyspaces, sorted."""
        self._check()
        return sorted(k.name for k in self._store.version.keyspaces.values())

    def drop_keyspace(self, name: str) -> None:
        """Removes a keyspace and all it holds, durably; its space comes back, its name may be used again.

        KeyError where there is none. Handles of it raise KeyspaceDroppedError from here on. DiskFullError where the
        disk has no room even for that: it may be gone by then, but not durably.
        """
        self._check()
        _check_name(name)
        about_to_wait("a keyspace to be dropped")
        uninterrupted(lambda: self._running.call(lambda: self._store.drop_keyspace(name)))
        if self._scheduler is not None:
            self._store.engine.collect_garbage()

    # ---- commits

    def batch(self, *, sync: bool = False) -> Batch:
        """An atomic batch over any keyspaces; `with db.batch() as b:` commits at the end of the block."""
        self._check()
        return Batch(self._store.engine, sync, self)

    def snapshot(self) -> Snapshot:
        """The database as it is at this moment, for reads until it is closed."""
        self._check()
        return Snapshot(self._store.engine, self)

    @property
    def last_sequence(self) -> int:
        """Sequence number of the newest commit: an epoch above 44 bits of counter."""
        self._check()
        return self._store.engine.sequence

    @property
    def durable_sequence(self) -> int:
        """Commits up to this one survive a power failure."""
        self._check()
        return self._store.log.durable_sequence

    def wait_durable(self, sequence: int, timeout: float | None = None) -> bool:
        """Waits until commits through `sequence` survive a power failure; False where `timeout` seconds pass first."""
        self._check()
        if timeout is not None and timeout != timeout:
            raise InvalidArgumentError("timeout is a number of seconds or None, not NaN")
        number = operator.index(sequence)
        return self._running.call(lambda: self._store.log.wait_durable(number, timeout))

    def durable_fd(self) -> int:
        """A file descriptor that becomes readable whenever `durable_sequence` has advanced; read it to arm it again.

        From the first call on every commit is made durable without being asked for. For event loops. It belongs to the
        database: do not close it.
        """
        self._check()
        return self._running.call(self._store.log.durable_fd)

    def sync(self) -> None:
        """Every commit so far survives a power failure on return."""
        self._check()
        self._running.call(self._store.log.sync)

    # ---- maintenance

    def flush(self) -> None:
        """Writes all memtables to tables; everything committed so far is durable on return."""
        scheduler = self._working()
        uninterrupted(lambda: self._running.call(scheduler.flush))
        self._running.call(self._store.log.sync)

    def compact(self, keyspace: Keyspace | None = None) -> None:
        """Rewrites everything (or one keyspace) into its deepest level: no overwritten versions, no tombstones."""
        scheduler = self._working()
        uninterrupted(lambda: self._running.call(scheduler.flush))
        uninterrupted(lambda: self._running.call(lambda: scheduler.compact(None if keyspace is None else keyspace.id)))
        self._store.engine.collect_garbage()

    def settle(self, timeout: float | None = None) -> bool:
        """Flushes and waits until compaction owes nothing; False where `timeout` seconds pass first."""
        scheduler = self._working()
        uninterrupted(lambda: self._running.call(scheduler.flush))
        return scheduler.settle(timeout)

    def _working(self) -> Scheduler:
        self._check()
        if self._scheduler is None:
            self._store.engine.refuse_writes()
        assert self._scheduler is not None
        about_to_wait("flushes and compactions")
        return self._scheduler

    def stats(self) -> dict[str, Any]:
        """What the database holds, does and has done since it was opened; sizes in bytes, times in seconds."""
        self._check()
        about_to_wait("a look at all files")
        return self._running.call(self._facts)

    def _facts(self) -> dict[str, Any]:
        store = self._store
        counters = store.engine.counters()
        user_bytes = counters.pop("user_bytes")
        log = store.log.stats()
        written = log["bytes"]
        facts: dict[str, Any] = {
            "path": store.path,
            "sequence": {"last": store.engine.sequence, "durable": store.log.durable_sequence},
            "wal": {
                **log,
                "segments": len(store.log.segments()),
                "bytes": store.log.live_bytes,
                "logged_bytes": written,
            },
            **counters,
            "user_bytes": user_bytes,
        }
        if self._scheduler is not None:
            facts |= self._background_facts(self._scheduler)
            written += facts["flush"]["bytes_written"] + facts["compaction"]["bytes_written"]
        facts["write_amplification"] = written / user_bytes if user_bytes else 0.0
        facts["disk_bytes"] = self._disk_bytes()
        facts["keyspaces"] = store.facts()
        facts["failure"] = repr(store.engine.failure) if store.engine.failure is not None else None
        return facts

    @staticmethod
    def _background_facts(scheduler: Scheduler) -> dict[str, Any]:
        c = scheduler.counters
        return {
            "flush": {"done": c.flushes, "bytes_written": c.flush_bytes, "seconds": c.flush_seconds},
            "compaction": {
                "debt_bytes": scheduler.debt(),
                "running": list(c.running),
                "done": c.compactions,
                "moves": c.moves,
                "bytes_read": c.compaction_bytes_read,
                "bytes_written": c.compaction_bytes_written,
                "seconds": c.compaction_seconds,
            },
        }

    def _disk_bytes(self) -> int:
        """Of all files in the directory."""
        files, total = self._store.files, 0
        for name in files.listdir(self._store.path):
            with contextlib.suppress(OSError):
                handle = files.open(f"{self._store.path}/{name}", 1)
                try:
                    total += files.size(handle)
                finally:
                    files.close(handle)
        return total

    # ---- closing

    def close(self) -> None:
        """Makes every commit durable and lets go of files, memory and threads. Harmless when repeated.

        Memtables of `flush_on_close_bytes` and more together are written to tables; smaller ones stay in the log.
        PoisonedError, DiskFullError: not every commit is durable; the database is closed nonetheless.
        """
        if not self._running.ended:
            about_to_wait("a database to be closed")
        self._running.close()

    @property
    def closed(self) -> bool:
        return self._running.closed

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
