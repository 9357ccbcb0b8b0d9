"""Carrying out what `lsm compact` plans, on a database of its own whose background merges nothing.

Guarantees: whenever the process dies, each partition is as before or after one of the steps, and opens with everything;
Ctrl-C gives up the step under way and closes the database. Steps run in a second thread, so that signals are heard.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lsm.database import Database
from lsm.errors import ClosedError
from lsm.options import CompactionOptions, Options
from lsm.progress import Progress
from lsm.version import PartitionVersion
from lsm_tools.compact_plan import Request, next_task, scope

__all__ = ["Outcome", "compact", "opened"]

TICK_SECONDS = 0.05


@dataclass
class Outcome:
    """What was done; `complete` False: stopped before all of it was."""

    steps: int = 0
    moves: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    complete: bool = False


@contextmanager
def opened(path: str, options: Options) -> Iterator[Database]:
    """The database at `path`, open for this alone. LockedError where it is open elsewhere."""
    db = Database(os.fspath(path), options, compacting=False)
    try:
        yield db
    finally:
        db.close()


def compact(db: Database, request: Request, keyspaces: frozenset[int], bar: Progress) -> Outcome:
    """Compacts the partitions of `keyspaces`. KeyboardInterrupt ends it between two steps, or gives one up."""
    work = _Work(db, request, keyspaces)
    thread = threading.Thread(target=work.run, name="lsm-compact-tool", daemon=True)
    thread.start()
    try:
        with bar:
            while thread.is_alive():
                thread.join(TICK_SECONDS)
                bar.update(*work.progress())
            bar.update(*work.progress())
    except KeyboardInterrupt:
        work.stopped = True
        db.close()
        thread.join()
        return work.outcome()
    if work.failure is not None:
        raise work.failure
    return work.outcome()


class _Work:
    """The steps, one after the other. `progress` and `stopped` are for another thread."""

    def __init__(self, db: Database, request: Request, keyspaces: frozenset[int]) -> None:
        scheduler = db._scheduler
        assert scheduler is not None
        self.stopped = False
        self.failure: BaseException | None = None
        self._store, self._scheduler = db._store, scheduler
        self._flush: Callable[[], None] = db.flush
        self._options: CompactionOptions = db._store.options.compaction()
        self._request = request
        self._keyspaces = keyspaces
        self._passed = 0  # entries of the steps before the one under way
        self._complete = False
        self.total = 0

    def run(self) -> None:
        try:
            request = self._request
            if not request.levels or 0 in request.levels:
                self._flush()
            request = replace(request, since=self._store.new_number())
            partitions = [p for p in self._store.version.partitions() if p.keyspace in self._keyspaces]
            self.total = sum(t.entries for p in partitions for t in scope(p, request))
            for partition in partitions:
                self._compact(partition, request)
            self._complete = not self.stopped
        except ClosedError:
            pass
        except BaseException as error:
            self.failure = error

    def _compact(self, partition: PartitionVersion, request: Request) -> None:
        while not self.stopped:
            current = self._store.partition(partition.keyspace, partition.index)
            task = next_task(current, self._options, request) if current is not None else None
            if task is None:
                return
            self._scheduler.carry_out(task)
            self._passed += sum(t.entries for t in task.tables)

    def progress(self) -> tuple[int, int]:
        """How far of `total`, and the entries read; the latter are more where tables came along."""
        done = self._passed + self._scheduler.entries_read
        return (self.total if self._complete else done), done

    def outcome(self) -> Outcome:
        counters = self._scheduler.counters
        return Outcome(
            counters.compactions,
            counters.moves,
            counters.compaction_bytes_read,
            counters.compaction_bytes_written,
            self._complete,
        )
