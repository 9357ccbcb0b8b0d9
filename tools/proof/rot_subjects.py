"""Databases to damage: every file as bytes, and the states that the prefixes of its commits left.

Guarantees: built with explicit flushes and compactions, so that two runs make the same files but for ids, salts and
times; each commit changes something, so that a state belongs to one prefix. One thread.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lsm
from proof.forks import Send, fork

__all__ = ["SUBJECTS", "Recipe", "State", "Subject", "build", "directory_bytes", "read_state"]

State = dict[str, dict[Any, bytes]]
"""Keyspace to key to value."""

SMALL: dict[str, Any] = {
    "memtable_bytes": 1 << 20,
    "block_bytes": 256,
    "table_bytes": 8192,
    "level_base_bytes": 1 << 20,
    "level0_compaction_tables": 100,
    "level0_slowdown_tables": 200,
    "level0_stop_tables": 300,
    "cache_bytes": 16384,
    "wal_segment_bytes": 4096,
    "wal_ring_bytes": 4096,
    "reserve_bytes": 4096,
    "flush_on_close_bytes": 1 << 30,
}


@dataclass(frozen=True)
class Recipe:
    """How a database comes to be, and how it ends: closed; or killed, with an unsynced tail; or killed, and its ring is
    gone, as after a power failure."""

    name: str
    options: dict[str, Any]
    partitions: int = 1
    composite: bool = False
    values: tuple[int, ...] = (10, 40)
    deletes: float = 0.15
    flushes: int = 3
    compact: bool = False
    commits: int = 72
    ending: str = "closed"


@dataclass
class Subject:
    """`states[n]` is what the first n commits left; a recovery must find one from `durable` on. `flushed`: so many were
    in the log durably when a table was last written."""

    recipe: Recipe
    files: dict[str, bytes]
    older: dict[str, list[bytes]]
    states: list[State]
    durable: int
    keys: dict[str, list[Any]] = field(default_factory=dict)
    flushed: int = 0


def _options(**changes: Any) -> dict[str, Any]:
    return {**SMALL, **changes}


_LZ4 = _options(compression="lz4")
_FORMS = (
    Recipe("lz4", _LZ4, compact=True),
    Recipe("zstd", _options(compression="zstd", block_bytes=128), values=(30, 90), compact=True),
    Recipe("composite", _LZ4, partitions=2, composite=True),
    Recipe("partitions", _options(compression="none", filter_bits_per_key=0), partitions=3),
    Recipe("values of kilobytes", _options(compression="auto"), values=(1024, 3000), commits=32, flushes=2),
    Recipe("values beyond a block", _LZ4, values=(5, 9000), commits=24, flushes=2),
    Recipe("tombstones", _options(compression="lz4"), deletes=0.5),
    Recipe("log alone", _options(compression="lz4"), flushes=0),
    Recipe("frames beside the ring", _LZ4, flushes=1, values=(200, 3000), commits=40),
)
SUBJECTS: tuple[Recipe, ...] = tuple(
    replace(form, name=f"{form.name}, {ending}", ending=ending)
    for form in _FORMS
    for ending in ("closed", "killed", "power failed")
    if ending != "power failed" or form.name in ("lz4", "values of kilobytes")
)


def directory_bytes(path: str) -> dict[str, bytes]:
    """Every file of a directory; one that goes meanwhile is left out."""
    found: dict[str, bytes] = {}
    for name in sorted(os.listdir(path)):
        with contextlib.suppress(FileNotFoundError):
            found[name] = (Path(path) / name).read_bytes()
    return found


def read_state(db: lsm.Database) -> State:
    """Everything in a database, by scans."""
    return {name: dict(db.keyspace(name).scan()) for name in db.keyspaces()}


class _Builder:
    """Runs commits, remembers the state after each."""

    def __init__(self, recipe: Recipe, path: str, seed: int) -> None:
        self.recipe, self.path = recipe, path
        self.rng = random.Random(seed)
        self.db = lsm.open(path, **recipe.options)
        self.states: list[State] = [{}]
        self.snapshots: list[Any] = []
        self.keyspaces: dict[str, Any] = {}
        self.number = 0
        self._create("first", recipe.partitions, recipe.composite)
        self._create("second", 1, False)

    def _create(self, name: str, partitions: int, composite: bool) -> None:
        self.keyspaces[name] = self.db.keyspace(name, partitions=partitions, composite=composite)
        self.states.append({**self.states[-1], name: {}})

    def _key(self, name: str) -> Any:
        number = self.rng.randrange(40)
        if name == "first" and self.recipe.composite:
            return b"part%d" % (number % 5), b"sort%d" % number
        return b"key-%04d" % number

    def _value(self) -> bytes:
        self.number += 1
        low, high = self.recipe.values
        size = self.rng.randrange(low, high)
        return b"%d:" % self.number + (self.rng.randbytes(size) if self.number % 2 else b"ab" * (size // 2))

    def commit(self) -> None:
        """One batch of 1 to 4 changes."""
        state = {name: dict(keys) for name, keys in self.states[-1].items()}
        with self.db.batch() as batch:
            for i in range(self.rng.choice((1, 1, 2, 4))):
                name = self.rng.choice(("first", "second"))
                key = self._key(name)
                present = [k for k in state[name] if k != key]
                if i and present and self.rng.random() < self.recipe.deletes * 2:
                    gone = self.rng.choice(present)
                    batch.delete(self.keyspaces[name], gone)
                    del state[name][gone]
                else:
                    state[name][key] = self._value()
                    batch.put(self.keyspaces[name], key, state[name][key])
        self.states.append(state)

    def run(self, commits: int) -> None:
        for _ in range(commits):
            self.commit()


def build(recipe: Recipe, path: str, seed: int = 1) -> Subject:
    """Makes the database at `path`, in a child that ends by closing it or is killed."""
    child = fork(lambda send: _build(recipe, path, seed, send))
    messages = child.messages()
    subject: Subject = next(messages)
    assert next(messages, None) is None
    status = child.wait()
    assert status == (0 if recipe.ending == "closed" else -signal.SIGKILL), status
    subject.files = directory_bytes(path)
    if recipe.ending == "power failed":
        del subject.files["wal.ring"], subject.older["wal.ring"]
    subject.older = {
        name: [content for content in copies if content != subject.files.get(name)]
        for name, copies in subject.older.items()
    }
    return subject


def _build(recipe: Recipe, path: str, seed: int, send: Send) -> None:
    builder = _Builder(recipe, path, seed)
    older: dict[str, list[bytes]] = {}
    flushed = 0
    parts = recipe.flushes + 1
    for part in range(parts):
        builder.run(recipe.commits // parts)
        _remember(older, path)
        if recipe.deletes >= 0.5 and not builder.snapshots:
            builder.snapshots.append(builder.db.snapshot())  # keeps versions and tombstones in tables
        if part < recipe.flushes:
            builder.db.flush()
            flushed = len(builder.states) - 1
            if recipe.compact and part == 1:
                builder.db.compact()
    builder.db.sync()
    _remember(older, path)
    durable = len(builder.states) - 1
    if recipe.ending != "closed":
        builder.run(8)
    keys = {name: sorted({k for s in builder.states for k in s.get(name, ())}) for name in builder.keyspaces}
    subject = Subject(recipe, {}, older, builder.states, durable, keys, flushed)
    if recipe.ending != "closed":
        send(subject)
        os.kill(os.getpid(), signal.SIGKILL)
    for snapshot in builder.snapshots:
        snapshot.close()
    builder.db.close()
    send(subject)


def _remember(older: dict[str, list[bytes]], path: str) -> None:
    for name, content in directory_bytes(path).items():
        copies = older.setdefault(name, [])
        if content not in copies:
            copies.append(content)
