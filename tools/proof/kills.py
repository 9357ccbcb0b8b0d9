"""`prove.py kills`: processes killed with SIGKILL at random moments under load, on the real disk.

Guarantees: after every kill the same directory is opened again and must hold every acknowledged commit, batches whole,
exactly the commits up to one sequence, and no file that nothing names. Children are forked from one warm parent, which
never opens a database itself.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import lsm
from lsm import directory as names
from lsm.progress import Progress
from proof.forks import Child, Send, fork, spare_time
from proof.kill_commands import Loads, Tools
from proof.kill_workload import Owned, make_keyspaces, perform, split_state

__all__ = ["OPTIONS", "Lost", "Tally", "World", "add_kills", "kills"]

HUNG_SECONDS = 60.0
THREADS = 4
WORDS = 2 * THREADS + 1  # phase, then count and last sequence of each thread

SMALL: dict[str, Any] = {
    "memtable_bytes": 8192,
    "memtables_bytes": 65536,
    "block_bytes": 256,
    "table_bytes": 8192,
    "level_base_bytes": 16384,
    "level0_compaction_tables": 2,
    "cache_bytes": 16384,
    "wal_segment_bytes": 8192,
    "wal_ring_bytes": 4096,
    "wal_bytes": 65536,
    "reserve_bytes": 4096,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "small": {**SMALL, "compression": "lz4"},
    "zstd, flush on close": {**SMALL, "compression": "zstd", "flush_on_close_bytes": 0},
    "log of many segments": {**SMALL, "memtable_bytes": 65536, "wal_segment_bytes": 4096, "wal_bytes": 131072},
    "default": {"reserve_bytes": 4096},
}


class Phase(IntEnum):
    """What a child is at, as it says itself."""

    STARTING = 0
    OPENING = 1
    WRITING = 2
    FLUSHING = 3
    COMPACTING = 4
    SYNCING = 5
    CLOSING = 6


class Lost(Exception):
    """The contract was broken; the message says how, and where the directory was kept."""


@dataclass
class Tally:
    kills: int = 0
    commits: int = 0
    unacknowledged: int = 0
    by_phase: Counter[str] = field(default_factory=Counter)
    by_world: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "by_phase": dict(self.by_phase), "by_world": dict(self.by_world)}


# ---- the process that is killed


class Board:
    """Words in memory that parent and child share: what was acknowledged outlives the child."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 4096)
        self.words = memoryview(self.memory).cast("Q")

    def clear(self) -> None:
        self.words[:WORDS] = memoryview(bytes(8 * WORDS)).cast("Q")

    def phase(self) -> Phase:
        return Phase(self.words[0])

    def enter(self, phase: Phase) -> None:
        self.words[0] = phase

    def acknowledge(self, thread: int, count: int, sequence: int) -> None:
        if sequence:
            self.words[2 * thread + 2] = sequence
        self.words[2 * thread + 1] = count

    def acknowledged(self, thread: int) -> tuple[int, int]:
        return self.words[2 * thread + 1], self.words[2 * thread + 2]


def _live(path: str, options: dict[str, Any], board: Board, starts: list[int], seed: int) -> None:
    """Opens, writes with all threads beside maintenance, closes, and again, until it is killed."""
    rng = random.Random(seed)
    counts = list(starts)
    while True:
        board.enter(Phase.OPENING)
        db = lsm.open(path, **options)
        board.enter(Phase.WRITING)
        episode = rng.choice((5, 30, 200, 2000))
        done = threading.Event()
        workers = [
            threading.Thread(target=_write, args=(db, board, thread, counts, counts[thread] + episode))
            for thread in range(THREADS)
        ]
        keeper = threading.Thread(target=_maintain, args=(db, board, done, random.Random(seed + 1)))
        for thread in (*workers, keeper):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        keeper.join()
        board.enter(Phase.CLOSING)
        db.close()


def _write(db: lsm.Database, board: Board, thread: int, counts: list[int], stop: int) -> None:
    while counts[thread] < stop:
        sequence = perform(db, thread, counts[thread])
        counts[thread] += 1
        board.acknowledge(thread, counts[thread], sequence)


def _maintain(db: lsm.Database, board: Board, done: threading.Event, rng: random.Random) -> None:
    works: list[tuple[Phase, Callable[[], Any]]] = [
        (Phase.FLUSHING, db.flush),
        (Phase.COMPACTING, db.compact),
        (Phase.SYNCING, db.sync),
    ]
    while not done.wait(rng.random() * 0.004):
        phase, work = rng.choice(works)
        board.enter(phase)
        work()
        board.enter(Phase.WRITING)


# ---- the directory it leaves


@dataclass
class Found:
    """How many operations of each thread are there; the last sequence before and after the open that repaired."""

    counts: list[int]
    last: int
    base: int


@dataclass
class World:
    """One directory, through many kills."""

    name: str
    path: str
    options: dict[str, Any]
    rng: random.Random
    board: Board = field(default_factory=Board)
    owned: list[Owned] = field(default_factory=lambda: [Owned(thread) for thread in range(THREADS)])
    base: int = 0

    def __post_init__(self) -> None:
        self.base = fork(self._make).answer()

    def _make(self, send: Send) -> None:
        with lsm.open(self.path, **self.options) as db:
            make_keyspaces(db)
            send(db.last_sequence)

    def kill(self, tally: Tally) -> None:
        """One life, its end, and the inspection. Raises Lost."""
        starts = [owned.count for owned in self.owned]
        self.board.clear()
        for thread, start in enumerate(starts):
            self.board.acknowledge(thread, start, 0)
        seed = self.rng.randrange(1 << 32)
        child = fork(lambda send: _live(self.path, self.options, self.board, starts, seed))
        _let_live(child, self.board, self.rng)
        tally.kills += 1
        tally.by_phase[self.board.phase().name.lower()] += 1
        tally.by_world[self.name] += 1
        for owned in self.owned:
            owned.advance_to(self.board.acknowledged(owned.thread)[0])
        acknowledged = sum(owned.count for owned in self.owned)
        found: Found = fork(self._inspect).answer()
        for owned, count in zip(self.owned, found.counts, strict=True):
            owned.advance_to(count)
        self._check_sequences(found, sum(found.counts) - sum(starts))
        tally.commits += sum(found.counts) - sum(starts)
        tally.unacknowledged += sum(found.counts) - acknowledged
        self.base = found.base

    def _check_sequences(self, found: Found, commits: int) -> None:
        """Sequences have no gap: as many commits as there are numbers, so exactly those up to the last are there."""
        highest = max(self.board.acknowledged(owned.thread)[1] for owned in self.owned)
        if found.last < highest:
            raise Lost(f"sequence {highest:#x} was acknowledged, the last recovered is {found.last:#x}")
        begun = max(self.base, found.last >> 44 << 44)
        if commits != found.last - begun:
            raise Lost(f"{commits} commits where sequences say {found.last - begun}")

    def _inspect(self, send: Send) -> None:
        """Reads what the kill left without changing it, then opens for good: both must find the same."""
        spare_time(HUNG_SECONDS)
        with lsm.open(self.path, read_only=True, **self.options) as db:
            last = db.last_sequence
            counts = self._counts(split_state(db, THREADS))
        with lsm.open(self.path, **self.options) as db:
            again = self._counts(split_state(db, THREADS))
            base = db.last_sequence
            check_files(self.path, db)
        if again != counts:
            raise Lost(f"read only {counts} operations were there, after recovery {again}")
        send(Found(counts, last, base))

    def _counts(self, states: list[dict[tuple[str, Any], bytes]]) -> list[int]:
        return [self._count(owned, state) for owned, state in zip(self.owned, states, strict=True)]

    def _count(self, owned: Owned, state: dict[tuple[str, Any], bytes]) -> int:
        """Every acknowledged operation, and at most the one that was under way."""
        if state == owned.state:
            return owned.count
        more = Owned(owned.thread, owned.count, dict(owned.state))
        more.advance()
        if state == more.state:
            return more.count
        wrong = {key for key in state.keys() | owned.state.keys() if state.get(key) != owned.state.get(key)}
        raise Lost(f"thread {owned.thread} after {owned.count} operations differs at {sorted(map(str, wrong))[:6]}")


def _let_live(child: Child, board: Board, rng: random.Random) -> None:
    """Until a random moment, or shortly after a phase began that is rare; then kills."""
    how = rng.random()
    if how < 0.2:
        time.sleep(rng.random() * 0.01)
    else:
        phases = (Phase.WRITING,) if how < 0.6 else (Phase.OPENING, Phase.FLUSHING, Phase.COMPACTING, Phase.CLOSING)
        wanted = rng.choice(phases)
        until = time.monotonic() + 0.3
        while board.phase() != wanted and time.monotonic() < until:
            time.sleep(0.0002)
        time.sleep(rng.random() * (0.04 if wanted is Phase.WRITING else 0.004))
    child.kill()
    for _ in child.messages():
        raise AssertionError("a child that lives until it is killed sends nothing")
    status = child.wait()
    if status != -9:
        raise Lost(f"the child ended by itself, status {status}")


def check_files(path: str, db: lsm.Database, patience: float = 5.0) -> None:
    """Every file is one that the open database has a use for, once what its background is at has ended."""
    until = time.monotonic() + patience
    while (strange := [name for name in os.listdir(path) if not _is_needed(name, db)]) and time.monotonic() < until:
        time.sleep(0.002)
        db._store.engine.collect_garbage()
    if strange:
        raise Lost(f"nothing names {', '.join(strange)}, and the directory has them")


def _is_needed(name: str, db: lsm.Database) -> bool:
    store, kind = db._store, names.parse(name)
    if kind is None:
        return False
    if kind[0] == "table":
        return kind[1] in store.version.table_numbers()
    if kind[0] == "segment":
        return kind[1] in {number for number, *_ in store.log.segments()}
    return kind[0] != "manifest" or kind[1] == store.manifest.number


# ---- the run


def kills(count: int, seed: int, *, progress: bool | None = False, options: dict[str, Any] | None = None) -> Tally:
    """Kills so many processes; six of seven under load, the seventh in a command of `lsm`. Ctrl-C ends it early."""
    rng = random.Random(seed)
    tally = Tally()
    place = tempfile.mkdtemp(prefix="kills-")
    try:
        chosen = OPTIONS if options is None else {"given": options}
        worlds: list[Any] = [
            World(name, os.path.join(place, f"world {i}"), o, rng) for i, (name, o) in enumerate(chosen.items())
        ]
        others: list[Any] = [Loads(os.path.join(place, "loads"), rng), Tools(os.path.join(place, "tools"), rng)]
        with Progress("kills", total=count, stream=sys.stderr, enabled=progress) as bar:
            for n in range(count):
                victim = rng.choice(others if n % 7 == 6 else worlds)
                try:
                    victim.kill(tally)
                except (Lost, AssertionError, RuntimeError) as broken:
                    kept = tempfile.mkdtemp(prefix="killed-")
                    shutil.copytree(place, kept, dirs_exist_ok=True)
                    tally.findings.append(f"kill {n}, {victim.name}: {broken}; directories kept in {kept}")
                    break
                bar.update(n + 1, n + 1)
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return tally


def add_kills(subparsers: Any) -> None:
    command = subparsers.add_parser("kills", help="Kill processes under load.", description=__doc__)
    command.set_defaults(run=_run)
    command.add_argument("--count", type=int, default=2000, metavar="N")
    command.add_argument("--seed", type=int, default=None, help="default: another one each time")
    command.add_argument("--progress", action="store_true", default=None)
    command.add_argument("--json", action="store_true")


def _run(options: argparse.Namespace) -> int:
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    begun = time.perf_counter()
    tally = kills(options.count, seed, progress=options.progress)
    seconds = time.perf_counter() - begun
    if options.json:
        print(json.dumps({**tally.as_json(), "seed": seed, "seconds": round(seconds, 1)}))
        return 1 if tally.findings else 0
    print(
        f"{tally.kills:,} kills in {seconds:.0f} s; {tally.commits:,} commits found again, "
        f"{tally.unacknowledged:,} of them not yet acknowledged"
    )
    for title, counts in (("while", tally.by_phase), ("in", tally.by_world)):
        print(f"  {title}: " + ", ".join(f"{name} {n:,}" for name, n in counts.most_common()))
    for finding in tally.findings:
        print(finding)
        print(f"  again: python tools/prove.py kills --seed {seed} --count {options.count} (moments differ)")
    return 1 if tally.findings else 0
