"""What the threads of a process that will be killed do: operation n of thread t is known from t and n alone.

Guarantees: every operation is one commit that changes what its thread owns, and nothing of another thread's; what a
thread owns stays bounded, so that the same directory serves thousands of kills. `perform` may run in any thread.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from typing import Any

import lsm

__all__ = ["Change", "Owned", "changes", "make_keyspaces", "perform", "split_state"]

Change = tuple[str, Any, bytes | None]
"""Keyspace, key, value. Keyspace "" says that keyspace `key` was made (a value) or dropped (None)."""

SLOTS = 48
MANY = 3
EXTRA_EVERY = 24
SYNC_EVERY = 29


def _value(thread: int, n: int) -> bytes:
    """From a few bytes to more than a block, half of them incompressible."""
    length = (thread * 7919 + n * 104729) % 300 if n % 40 else 2500
    head = struct.pack("<II", thread, n)
    return head + (random.Random(n).randbytes(length) if n % 2 else bytes([n & 255]) * length)


def _key(thread: int, slot: int, part: int = 0) -> bytes:
    return struct.pack(">HHB", thread, slot % SLOTS, part)


def _extra(thread: int) -> str:
    return f"extra {thread}"


def changes(thread: int, n: int) -> list[Change]:
    """What operation n of a thread writes."""
    value = _value(thread, n)
    turn, kind = divmod(n, EXTRA_EVERY)
    if thread == 0 and kind == EXTRA_EVERY - 1:
        return [("", _extra(thread), b"" if turn % 2 == 0 else None)]
    if n % 4 == 0:
        return [("log", _key(thread, n), value)]
    if n % 4 == 1:
        return [("many", _key(thread, n // 4, part), value) for part in range(MANY)]
    if n % 4 == 2:
        return [
            ("log", _key(thread, n), value),
            ("side", (struct.pack(">H", thread), _key(thread, n)), value),
            ("live", _key(thread, n), value[:9]),
            ("live", _key(thread, n - 12), None),
        ]
    return [("log", _key(thread, n - 3), None)]


def make_keyspaces(db: lsm.Database) -> None:
    """The keyspaces that all operations need."""
    db.keyspace("log", partitions=3)
    db.keyspace("many")
    db.keyspace("side", composite=True, partitions=2)
    db.keyspace("live")


def perform(db: lsm.Database, thread: int, n: int) -> int:
    """Carries operation n out; its sequence, or 0 where the call does not tell."""
    todo = changes(thread, n)
    sync = n % SYNC_EVERY == thread
    name, key, value = todo[0]
    if name == "":
        if value is None:
            db.drop_keyspace(key)
        else:
            db.keyspace(key)
        return 0
    keyspace = db.keyspace(name)
    if n % 4 == 1:
        return keyspace.put_many([(key, value) for _, key, value in todo if value is not None], sync=sync)
    if len(todo) == 1:
        return keyspace.delete(key, sync=sync) if value is None else keyspace.put(key, value, sync=sync)
    with db.batch(sync=sync) as batch:
        for name, key, value in todo:
            if value is None:
                batch.delete(db.keyspace(name), key)
            else:
                batch.put(db.keyspace(name), key, value)
    return batch.sequence or 0


@dataclass
class Owned:
    """What one thread's first `count` operations left."""

    thread: int
    count: int = 0
    state: dict[tuple[str, Any], bytes] = field(default_factory=dict)

    def advance(self) -> None:
        """One operation more."""
        for name, key, value in changes(self.thread, self.count):
            if value is None:
                self.state.pop((name, key), None)
            else:
                self.state[name, key] = value
        self.count += 1

    def advance_to(self, count: int) -> None:
        while self.count < count:
            self.advance()


def split_state(db: lsm.Database, threads: int) -> list[dict[tuple[str, Any], bytes]]:
    """All that is in a database, by the thread that owns it."""
    found: list[dict[tuple[str, Any], bytes]] = [{} for _ in range(threads)]
    for name in ("log", "many", "side", "live"):
        for key, value in db.keyspace(name).scan():
            owner = key[0] if isinstance(key, tuple) else key
            found[int.from_bytes(owner[:2], "big")][name, key] = value
    for name in db.keyspaces():
        if name.startswith("extra "):
            found[int(name[6:])]["", name] = b""
    return found
