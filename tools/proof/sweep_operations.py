"""The table of operations that histories are made of. A new feature joins by one more entry.

Each entry acts on the database and tells the model what it committed; `promises` says what is durable when it returns.
One thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any

import lsm
from lsm.simulated_files import SimulatedFileSystem
from proof.sweep_database import background, opened, quiet
from proof.sweep_model import Created, Dropped, Model, Put

__all__ = ["OPERATIONS", "History", "Operation", "Promise", "StaleReadError", "act"]

NAMES = ("plain", "parts", "pairs", "pairs-parts", "late")
SHAPES = {"plain": (1, False), "parts": (3, False), "pairs": (1, True), "pairs-parts": (2, True), "late": (2, False)}
KEYS_MOST = 24


class Promise(Enum):
    """What survives a power failure once an operation has returned."""

    NOTHING = "nothing"
    EVERYTHING = "everything"


Held = dict[str, tuple[int, dict[Any, bytes]]]  # of each keyspace its id, for a name may come back, and what it held


class StaleReadError(AssertionError):
    """A read in the running database was wrong."""


@dataclass
class History:
    """A database at work, and what it must hold."""

    files: SimulatedFileSystem
    options: dict[str, Any]
    random: Random
    model: Model
    threads: bool
    db: lsm.Database
    snapshots: list[tuple[lsm.Snapshot, Held]] = field(default_factory=list)
    stamp: int = 0
    follows: bool = False  # the log syncs unasked

    def key(self, name: str) -> Any:
        number = self.random.randrange(KEYS_MOST)
        if self.model.state[name].composite:
            return (b"p%d" % (number % 5), b"s%02d" % number)
        return b"key-%02d" % number

    def value(self) -> bytes:
        """Unlike every other; mostly small, sometimes larger than a block, a ring or a segment."""
        self.stamp += 1
        length = self.random.choice((0, 10, 40, 40, 100, 100, 300, 900, 3000))
        if self.random.random() < 0.01:
            length = 10000
        head = b"%d:" % self.stamp
        return head + (self.random.randbytes(length) if self.stamp % 2 else head * (length // len(head)))

    def keyspace(self) -> str:
        return self.random.choice(sorted(self.model.state))

    def handle(self, name: str) -> lsm.Keyspace[Any]:
        return self.db.keyspace(name)

    def change(self) -> Put:
        name = self.keyspace()
        return Put(name, self.key(name), None if self.random.random() < 0.3 else self.value())

    def drop_snapshots(self) -> None:
        while self.snapshots:
            snapshot, held = self.snapshots.pop()
            check_snapshot(self, snapshot, held)
            snapshot.close()


def check_snapshot(run: History, snapshot: lsm.Snapshot, held: Held) -> None:
    """What a held snapshot shows has not changed; keyspaces dropped since cannot be asked."""
    for name in sorted(set(held) & set(run.model.state)):
        number, data = held[name]
        handle = run.handle(name)
        if handle.id == number and dict(snapshot.scan(handle)) != data:
            raise StaleReadError(f"a snapshot of {name} changed while it was held")


# ---- the operations


def put(run: History, *, sync: bool = False) -> None:
    name = run.keyspace()
    change = Put(name, run.key(name), run.value())
    run.model.commit(run.handle(name).put(change.key, change.value or b"", sync=sync), change)


def put_sync(run: History) -> None:
    put(run, sync=True)


def delete(run: History) -> None:
    name = run.keyspace()
    change = Put(name, run.key(name), None)
    run.model.commit(run.handle(name).delete(change.key), change)


def batch(run: History, *, sync: bool = False) -> None:
    changes = [run.change() for _ in range(run.random.randrange(1, 9))]
    with run.db.batch(sync=sync) as b:
        for change in changes:
            if change.value is None:
                b.delete(run.handle(change.keyspace), change.key)
            else:
                b.put(run.handle(change.keyspace), change.key, change.value)
    assert b.sequence is not None
    run.model.commit(b.sequence, *changes)


def batch_sync(run: History) -> None:
    batch(run, sync=True)


def put_many(run: History) -> None:
    name = run.keyspace()
    items = {run.key(name): run.value() for _ in range(run.random.randrange(1, 12))}
    sequence = run.handle(name).put_many(list(items.items()))
    run.model.commit(sequence, *(Put(name, key, value) for key, value in items.items()))


def sync(run: History) -> None:
    run.db.sync()


def wait_durable(run: History) -> None:
    run.db.wait_durable(run.db.last_sequence)


def flush(run: History) -> None:
    run.db.flush()


def compact(run: History) -> None:
    run.db.compact()


def compact_one(run: History) -> None:
    run.db.compact(run.handle(run.keyspace()))


def work_in_background(run: History) -> None:
    background(run.db)


def hold_snapshot(run: History) -> None:
    if len(run.snapshots) > 2:
        run.drop_snapshots()
    held = {name: (run.handle(name).id, dict(state.data)) for name, state in run.model.state.items()}
    run.snapshots.append((run.db.snapshot(), held))


def drop_snapshots(run: History) -> None:
    run.drop_snapshots()


def create_keyspace(run: History) -> None:
    absent = [name for name in NAMES if name not in run.model.state]
    if not absent:
        run.db.sync()
        return
    name = run.random.choice(absent)
    partitions, composite = SHAPES[name]
    run.db.keyspace(name, partitions=partitions, composite=composite)
    run.model.commit(run.db.last_sequence, Created(name, partitions, composite))


def drop_keyspace(run: History) -> None:
    if len(run.model.state) < 2:
        run.db.sync()
        return
    name = run.keyspace()
    run.db.drop_keyspace(name)
    run.model.commit(run.db.last_sequence, Dropped(name))


def follow(run: History) -> None:
    """From here on the log syncs unasked."""
    run.db.durable_fd()
    run.follows = True


def reopen(run: History) -> None:
    run.drop_snapshots()
    run.db.close()
    run.model.promise_all()
    run.files.note = note(run.model)
    run.follows = False
    run.db = opened(run.files, run.options, threads=run.threads)


def read_everything(run: History) -> None:
    for name, state in run.model.state.items():
        if dict(run.handle(name).scan()) != state.data:
            raise StaleReadError(f"{name} holds something else than what was put there")


@dataclass(frozen=True)
class Operation:
    """`do` may change nothing; every commit it makes it tells the model, with its sequence."""

    name: str
    weight: int
    do: Callable[[History], None]
    promises: Promise = Promise.NOTHING


OPERATIONS: tuple[Operation, ...] = (
    Operation("put", 30, put),
    Operation("put with sync", 8, put_sync, Promise.EVERYTHING),
    Operation("delete", 8, delete),
    Operation("batch", 12, batch),
    Operation("batch with sync", 4, batch_sync, Promise.EVERYTHING),
    Operation("put many", 8, put_many),
    Operation("sync", 4, sync, Promise.EVERYTHING),
    Operation("wait until durable", 2, wait_durable, Promise.EVERYTHING),
    Operation("flush", 4, flush, Promise.EVERYTHING),
    Operation("compact", 2, compact),
    Operation("compact one keyspace", 2, compact_one),
    Operation("work in background", 20, work_in_background),
    Operation("hold a snapshot", 3, hold_snapshot),
    Operation("drop snapshots", 2, drop_snapshots),
    Operation("create a keyspace", 5, create_keyspace, Promise.EVERYTHING),
    Operation("drop a keyspace", 2, drop_keyspace, Promise.EVERYTHING),
    Operation("follow durability", 1, follow),
    Operation("close and reopen", 4, reopen, Promise.EVERYTHING),
    Operation("read everything", 2, read_everything),
)


def note(model: Model) -> int:
    """What a moment has to remember: commits that returned, and commits that are durable."""
    return len(model.commits) << 32 | model.promised


def act(run: History) -> Operation:
    """One operation, chosen by weight; the promise it makes is noted once it has returned."""
    operation = run.random.choices(OPERATIONS, [each.weight for each in OPERATIONS])[0]
    if not run.model.state:
        operation = next(each for each in OPERATIONS if each.do is create_keyspace)
    operation.do(run)
    if not run.threads:
        quiet(run.db, follows=run.follows)
    if operation.promises is Promise.EVERYTHING:
        run.model.promise_all()
        if run.model.commits and run.db.durable_sequence < run.model.commits[-1].sequence:
            raise AssertionError(f"{operation.name} returned, but durable_sequence is behind")
    run.model.promise_through(run.db.durable_sequence)
    run.files.note = note(run.model)
    return operation
