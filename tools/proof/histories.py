"""`prove.py histories`: threads that write and read the same keys, recorded, and every recording checked.

Guarantees: what `history_check` proves, for histories that end by a close and for such that end by SIGKILL, where the
recovered state is part of the history. Databases are opened in forked children only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lsm
from lsm.progress import Progress
from proof.forks import Send, fork, scratch, spare_time
from proof.history_check import Violation, check
from proof.history_record import History, Place, Read, Write
from proof.kills import OPTIONS

__all__ = ["Tally", "add_histories", "histories"]

THREADS = 4
KEYS = 8
HUNG_SECONDS = 60.0
SWITCH_SECONDS = 2e-5
"""Threads change places so often that calls of one fall between calls of the others."""

FOREVER = 1 << 40


@dataclass
class Tally:
    histories: int = 0
    killed: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, history: History) -> None:
        self.histories += 1
        self.killed += history.killed
        self.operations.update(read.kind for read in history.reads)
        self.operations["commit"] += len(history.writes)
        self.operations["commit without an answer"] += sum(write.sequence is None for write in history.writes)


class _Recorder:
    """Appends what a thread does to a file of its own: it outlives the process, not the machine."""

    def __init__(self, path: str) -> None:
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, record: Any) -> None:
        os.write(self.handle, pickle.dumps(record))


def _records(place: str) -> Iterator[Any]:
    """All whole records of all threads."""
    for path in sorted(Path(place).glob("thread-*")):
        with path.open("rb") as stream:
            while True:
                try:
                    yield pickle.load(stream)
                except (EOFError, pickle.UnpicklingError):
                    break


class _Actor:
    """One thread: random operations on the keys that all share."""

    def __init__(self, db: lsm.Database, thread: int, recorder: _Recorder, rng: random.Random) -> None:
        self.db, self.thread, self.recorder, self.rng = db, thread, recorder, rng
        self.keyspaces = {name: db.keyspace(name) for name in ("one", "two", "pairs")}
        self.number = itertools.count()

    def act(self) -> None:
        """One operation, or a snapshot with several."""
        chosen: Callable[[], None] = self.rng.choices(
            (self.commit, self.get, self.get_many, self.scan, self.snapshot), (40, 28, 8, 14, 6)
        )[0]
        chosen()

    def _place(self) -> Place:
        name = self.rng.choice(tuple(self.keyspaces))
        n = self.rng.randrange(KEYS)
        return name, (b"part%d" % (n % 2), b"%d" % n) if name == "pairs" else b"key%d" % n

    def commit(self) -> None:
        """A put, a delete, a put_many or a batch over several keyspaces."""
        places = list({self._place() for _ in range(self.rng.choice((1, 1, 2, 4)))})
        changes = {place: self._value() for place in places}
        key = (self.thread, next(self.number))
        self.recorder.add(("begin", key, time.perf_counter_ns(), changes))
        sequence = self._write(changes)
        self.recorder.add(("end", key, time.perf_counter_ns(), sequence))

    def _value(self) -> bytes | None:
        if self.rng.random() < 0.2:
            return None
        return b"%d.%d." % (self.thread, next(self.number)) + b"x" * self.rng.choice((0, 5, 5, 200))

    def _write(self, changes: dict[Place, bytes | None]) -> int:
        sync = self.rng.random() < 0.02
        ((name, key), value), *more = changes.items()
        if not more:
            keyspace = self.keyspaces[name]
            return keyspace.delete(key, sync=sync) if value is None else keyspace.put(key, value, sync=sync)
        with self.db.batch(sync=sync) as batch:
            for (name, key), value in changes.items():
                if value is None:
                    batch.delete(self.keyspaces[name], key)
                else:
                    batch.put(self.keyspaces[name], key, value)
        assert batch.sequence is not None
        return batch.sequence

    def _saw(self, kind: str, begin: int, seen: dict[Place, Any], **more: Any) -> None:
        self.recorder.add(Read(self.thread, begin, time.perf_counter_ns(), seen, kind=kind, **more))

    def get(self) -> None:
        name, key = self._place()
        begin = time.perf_counter_ns()
        value = self.keyspaces[name].get(key)
        self._saw("get", begin, {(name, key): value})

    def get_many(self) -> None:
        """Each key is read as by get: as many reads as keys."""
        name = self.rng.choice(tuple(self.keyspaces))
        keys = [key for n, key in (self._place() for _ in range(12)) if n == name]
        begin = time.perf_counter_ns()
        values = self.keyspaces[name].get_many(keys)
        end = time.perf_counter_ns()
        for key, value in zip(keys, values, strict=True):
            self.recorder.add(Read(self.thread, begin, end, {(name, key): value}, kind="get_many"))

    def scan(self) -> None:
        """Sees the moment of the call, however long the iteration takes."""
        name, whole, bounds = self._range()
        begin = time.perf_counter_ns()
        entries = self.keyspaces[name].scan(**bounds)
        end = time.perf_counter_ns()
        seen = {(name, key): value for key, value in entries}
        self.recorder.add(Read(self.thread, begin, end, seen, whole=(whole,), kind="scan"))

    def _range(self) -> tuple[str, tuple[str, Any, Any], dict[str, Any]]:
        name = self.rng.choice(tuple(self.keyspaces))
        reverse = self.rng.random() < 0.4
        if self.rng.random() < 0.5:
            return name, (name, None, None), {"reverse": reverse}
        if name == "pairs":
            pk = b"part%d" % self.rng.randrange(2)
            return name, (name, (pk, b""), (pk + b"\0", b"")), {"partition": pk, "reverse": reverse}
        first, last = sorted(b"key%d" % self.rng.randrange(KEYS + 1) for _ in range(2))
        return name, (name, first, last), {"start": first, "stop": last, "reverse": reverse}

    def snapshot(self) -> None:
        begin = time.perf_counter_ns()
        with self.db.snapshot() as snapshot:
            self._saw("snapshot", begin, {}, sequence=snapshot.sequence)
            for _ in range(self.rng.randrange(1, 6)):
                self._read_through(snapshot)

    def _read_through(self, snapshot: lsm.Snapshot) -> None:
        begin, sequence = time.perf_counter_ns(), snapshot.sequence
        if self.rng.random() < 0.5:
            name, key = self._place()
            value = snapshot.get(self.keyspaces[name], key)
            self._saw("snapshot get", begin, {(name, key): value}, sequence=sequence)
        else:
            name, whole, bounds = self._range()
            seen = {(name, key): value for key, value in snapshot.scan(self.keyspaces[name], **bounds)}
            self._saw("snapshot scan", begin, seen, sequence=sequence, whole=(whole,))


def _act_all(path: str, place: str, options: dict[str, Any], seed: int, operations: int) -> None:
    """The child: opens, lets all threads act, closes."""
    sys.setswitchinterval(SWITCH_SECONDS)
    db = lsm.open(path, **options)
    done = threading.Event()
    actors = [
        _Actor(db, thread, _Recorder(f"{place}/thread-{thread}"), random.Random(f"{seed} {thread}"))
        for thread in range(THREADS)
    ]
    threads = [threading.Thread(target=_repeat, args=(actor.act, operations)) for actor in actors]
    keeper = threading.Thread(target=_maintain, args=(db, done, random.Random(seed)))
    for thread in (*threads, keeper):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    keeper.join()
    db.close()


def _repeat(work: Callable[[], None], times: int) -> None:
    for _ in range(times):
        work()


def _maintain(db: lsm.Database, done: threading.Event, rng: random.Random) -> None:
    while not done.wait(rng.random() * 0.02):
        rng.choice((db.flush, db.compact, db.sync))()


@dataclass
class Series:
    """One directory and its histories, one after the other; each begins where the one before ended."""

    path: str
    options: dict[str, Any]
    rng: random.Random
    state: dict[Place, bytes] = field(default_factory=dict)
    base: int = 0

    def __post_init__(self) -> None:
        self.base, _, self.state = fork(self._inspect).answer()

    def _inspect(self, send: Send) -> None:
        spare_time(HUNG_SECONDS)
        last = 0
        if os.path.exists(self.path):
            with lsm.open(self.path, read_only=True, **self.options) as db:
                last = db.last_sequence
        with lsm.open(self.path, **self.options) as db:
            keyspaces = [db.keyspace("one"), db.keyspace("two", partitions=2), db.keyspace("pairs", composite=True)]
            state = {(keyspace.name, key): value for keyspace in keyspaces for key, value in keyspace.scan()}
            send((db.last_sequence, last, state))

    def history(self, place: str, operations: int, kill: bool) -> History:
        """Records one more; the files of the recording lie in `place`."""
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place)
        seed = self.rng.randrange(1 << 32)
        count = FOREVER if kill else operations
        child = fork(lambda send: _act_all(self.path, place, self.options, seed, count))
        if kill:
            _wait_for(place, self.rng.random() * operations)
            child.kill()
        for _ in child.messages():
            pass
        status = child.wait()
        assert status == (-9 if kill else 0), f"the child ended with status {status}"
        history = _gathered(place, self.base, self.state)
        self.base, history.recovered_sequence, self.state = fork(self._inspect).answer()
        history.recovered, history.killed = self.state, kill
        return history


def _wait_for(place: str, operations: float) -> None:
    """Until the threads have recorded about so many operations."""
    until = time.monotonic() + HUNG_SECONDS
    size = operations * THREADS * 250
    while sum(path.stat().st_size for path in Path(place).iterdir()) < size and time.monotonic() < until:
        time.sleep(0.001)


def _gathered(place: str, base: int, before: dict[Place, bytes]) -> History:
    history = History(base, before=before)
    writes: dict[Any, Write] = {}
    for record in _records(place):
        if isinstance(record, Read):
            history.reads.append(record)
        elif record[0] == "begin":
            _, key, begin, changes = record
            writes[key] = Write(key[0], begin, None, changes)
        else:
            _, key, end, sequence = record
            writes[key].end, writes[key].sequence = end, sequence
    history.writes = list(writes.values())
    return history


def histories(
    count: int, seed: int, *, operations: int = 150, progress: bool | None = False, names: tuple[str, ...] = ()
) -> Tally:
    """Records and checks so many histories, every other one killed."""
    rng = random.Random(seed)
    tally = Tally()
    place = tempfile.mkdtemp(prefix="histories-", dir=scratch())
    try:
        chosen = {name: OPTIONS[name] for name in names or OPTIONS}
        series = [Series(os.path.join(place, f"data {i}"), o, rng) for i, o in enumerate(chosen.values())]
        with Progress("histories", total=count, stream=sys.stderr, enabled=progress) as bar:
            for n in range(count):
                records, kill = os.path.join(place, "records"), rng.random() < 0.5
                history = series[n % len(series)].history(records, operations, kill)
                tally.add(history)
                found = check(history)
                if found:
                    tally.violations += _kept(history, found, n)
                bar.update(n + 1, n + 1)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return tally


def _kept(history: History, found: list[Violation], n: int) -> list[str]:
    handle, path = tempfile.mkstemp(prefix="history-", suffix=".pickle")
    with os.fdopen(handle, "wb") as stream:
        pickle.dump(history, stream)
    return [f"history {n}: {violation.kind}: {violation.text}; kept in {path}" for violation in found[:5]]


def add_histories(subparsers: Any) -> None:
    command = subparsers.add_parser("histories", help="Record what threads see, and check it.", description=__doc__)
    command.set_defaults(run=_run)
    command.add_argument("--count", type=int, default=200, metavar="N")
    command.add_argument("--operations", type=int, default=150, metavar="N", help="of each thread (default: 150)")
    command.add_argument("--seed", type=int, default=None, help="default: another one each time")
    command.add_argument("--check", metavar="FILE", help="check a history that was kept, instead")
    command.add_argument("--progress", action="store_true", default=None)
    command.add_argument("--json", action="store_true")


def _run(options: argparse.Namespace) -> int:
    if options.check:
        violations = check(pickle.loads(Path(options.check).read_bytes()))
        print("\n".join(f"{v.kind}: {v.text}" for v in violations) or "no violation")
        return 1 if violations else 0
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    begun = time.perf_counter()
    tally = histories(options.count, seed, operations=options.operations, progress=options.progress)
    facts = {**vars(tally), "operations": dict(tally.operations), "seed": seed}
    facts["seconds"] = round(time.perf_counter() - begun, 1)
    if options.json:
        print(json.dumps(facts))
    else:
        what = ", ".join(f"{count:,} {kind}" for kind, count in tally.operations.most_common())
        print(f"{tally.histories} histories, {tally.killed} of them killed, in {facts['seconds']} s: {what}")
        for text in tally.violations:
            print(text)
            print(f"  again: python tools/prove.py histories --seed {seed} --count {options.count} (moments differ)")
    return 1 if tally.violations else 0
