"""A writer that acknowledges each commit through its standard output, until somebody kills it.

Run as `python writer_process.py PATH OPTIONS MODE STARTS`: OPTIONS is JSON; STARTS are the first operation numbers of
the threads, as JSON. Each acknowledgement is 16 bytes: thread and operation number, sent after the call returned.
Verified by `test_kill.py`, which knows from `Workload` what every operation writes.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import sys
import threading
from typing import Any

ACK = struct.Struct("<QQ")
WINDOW = 10
MANY = 5
READY, OPENING = (1 << 40, 0), (1 << 40, 1)


def value_of(thread: int, number: int) -> bytes:
    """Between 8 and 3,000 bytes that tell whose they are."""
    length = (thread * 7919 + number * 104729) % 400 if number % 50 else 3000
    return struct.pack("<II", thread, number) + bytes([number & 255]) * length


def key_of(thread: int, number: int, part: int = 0) -> bytes:
    return struct.pack(">HQB", thread, number, part)


class Workload:
    """The operations of one thread; operation n is known from n alone, so that the verifier needs no record of it."""

    def __init__(self, database: Any, thread: int) -> None:
        self.database, self.thread = database, thread
        self.log = database.keyspace("log", partitions=3)
        self.many = database.keyspace("many")
        self.side = database.keyspace("side", composite=True, partitions=2)
        self.live = database.keyspace("live")

    def run(self, n: int, sync: bool) -> None:
        """Operation n: a single put, a put_many, or a batch over three keyspaces with a delete."""
        t, value = self.thread, value_of(self.thread, n)
        if n % 3 == 0:
            self.log.put(key_of(t, n), value, sync=sync)
        elif n % 3 == 1:
            pairs = [(key_of(t, n, part), value) for part in range(MANY)]
            self.many.put_many(pairs, sync=sync)
        else:
            with self.database.batch(sync=sync) as b:
                b.put(self.log, key_of(t, n), value)
                b.put(self.side, (struct.pack(">H", t), struct.pack(">Q", n)), value)
                b.put(self.live, key_of(t, n), b"")
                b.delete(self.live, key_of(t, n - 3 * WINDOW) if n >= 3 * WINDOW else b"none")


def acknowledge(thread: int, number: int) -> None:
    os.write(1, ACK.pack(thread, number))


def work(database: Any, thread: int, n: int, mode: str) -> None:
    workload = Workload(database, thread)
    while True:
        workload.run(n, sync=mode == "synced" or (mode == "mixed" and n % 17 == 0))
        acknowledge(thread, n)
        n += 1


def make_and_drop(database: Any, begin: int) -> None:
    """Makes keyspaces n with a record in each, from begin on, and drops keyspaces n - 3, each acknowledged."""
    for n in itertools.count(begin):
        database.keyspace(f"n{n}").put(b"key", b"%d" % n)
        acknowledge(0, n)
        if n - 3 >= begin:
            database.drop_keyspace(f"n{n - 3}")
            acknowledge(1, n - 3)


def main() -> None:
    import lsm

    path, options, mode, starts = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
    acknowledge(*OPENING)
    database = lsm.open(path, **options)
    acknowledge(*READY)
    if mode == "open":
        sys.stdin.read()
    elif mode == "keyspaces":
        make_and_drop(database, starts[0])
    for thread, start in enumerate(starts[1:], 1):
        threading.Thread(target=work, args=(database, thread, start, mode), daemon=True).start()
    work(database, 0, starts[0], mode)


if __name__ == "__main__":
    main()
