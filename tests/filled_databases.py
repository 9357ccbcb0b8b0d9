"""Databases for the tests of offline tools: filled by random operations, closed or killed, and what they must hold.

`fill` is the whole workload and known from its seed: run here, or in a process that kills itself at the end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import children

import lsm

Model = dict[str, dict[Any, bytes]]

KEYSPACES = {"plain": (1, False), "parted": (3, False), "composite": (2, True), "dropped": (1, False)}


def fill(database: Any, seed: int, operations: int = 1200) -> Model:
    """Puts, deletes, batches, a held snapshot, a flush, a compaction, a keyspace dropped; what is there after it."""
    rng = random.Random(seed)
    keyspaces = {name: database.keyspace(name, partitions=n, composite=c) for name, (n, c) in KEYSPACES.items()}
    model: Model = {name: {} for name in KEYSPACES}
    for i in range(operations):
        if i == operations // 3:
            snapshot = database.snapshot()
        if i == operations // 2:
            database.flush()
        if i == operations * 3 // 4:
            snapshot.close()
            database.compact()
        with database.batch(sync=i % 500 == 7) as batch:
            for _ in range(rng.choice((1, 1, 1, 1, 5))):
                change(rng, batch, keyspaces, model)
    database.drop_keyspace("dropped")
    del model["dropped"]
    return model


def change(rng: random.Random, batch: Any, keyspaces: dict[str, Any], model: Model) -> None:
    name = rng.choice(list(KEYSPACES))
    key: Any = b"key%05d" % rng.randrange(600)
    if rng.random() < 0.1:
        key = bytes([rng.randrange(3), rng.randrange(256)])
    if KEYSPACES[name][1]:
        key = (rng.choice([b"\0", b"a\0b", b"user%d" % rng.randrange(20)]), key)
    if rng.random() < 0.2:
        batch.delete(keyspaces[name], key)
        model[name].pop(key, None)
    else:
        value = rng.randbytes(rng.randrange(60)) if rng.random() < 0.5 else b"v" * rng.choice((0, 3, 200, 3000))
        batch.put(keyspaces[name], key, value)
        model[name][key] = value


def make_closed(path: Path, options: dict[str, Any], seed: int = 1, operations: int = 1200) -> Model:
    """A database that was closed."""
    with lsm.open(path, **options) as database:
        return fill(database, seed, operations)


def make_killed(path: Path, options: dict[str, Any], seed: int = 1, operations: int = 1200) -> Model:
    """A database whose process was killed after the last operation."""
    done = children.run("import filled_databases as f; f.fill_and_die()", path, json.dumps(options), seed, operations)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with lsm.open(":memory:") as database:
        return fill(database, seed, operations)


def fill_and_die() -> None:
    """Kills this process when everything was written, and nothing was closed."""
    path, options, seed, operations = sys.argv[1:]
    database = lsm.open(path, **json.loads(options))
    fill(database, int(seed), int(operations))
    os.kill(os.getpid(), signal.SIGKILL)


def flip(path: Path, offset: int, bit: int = 4) -> None:
    """Changes one bit of a file."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << bit
    path.write_bytes(content)
