"""Point reads, scans and seeks, alone and beside a thread that keeps the interpreter busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.data import Data
from bench.engines.protocol import Engine, Feature
from bench.workloads.workload import OPERATIONS, Workload

KEYS_A_CALL = 100
SEEKS = 50_000
SEEK_LENGTH = 10
BUSY_SECONDS = 1.0
BUSY_CHUNK = 10  # gets between looks at the clock


def get_each(engine: Engine, keys: list[bytes]) -> int:
    get = engine.get
    for key in keys:
        get(key)
    return len(keys)


def get_lists(engine: Engine, lists: list[list[bytes]]) -> int:
    get_many = engine.get_many
    for keys in lists:
        get_many(keys)
    return sum(map(len, lists))


def scan_all(engine: Engine, records: int) -> int:
    seen = 0
    for _ in engine.scan():
        seen += 1
    if seen != records:
        raise AssertionError(f"the scan yielded {seen} records of {records}")
    return seen


def seek_each(engine: Engine, keys: list[bytes]) -> int:
    seek = engine.seek
    for key in keys:
        seek(key, SEEK_LENGTH)
    return len(keys)


def get_beside_busy_thread(engine: Engine, keys: list[bytes]) -> int:
    """As many gets as fit in a second while another thread computes; an engine that lets go of the GIL waits for it."""
    get = engine.get
    done = 0
    with _busy_thread():
        end = time.perf_counter() + BUSY_SECONDS
        while time.perf_counter() < end:
            at = done % len(keys)
            for key in keys[at : at + BUSY_CHUNK]:
                get(key)
                done += 1
    return done


@contextmanager
def _busy_thread() -> Iterator[None]:
    stopped = False

    def compute() -> None:
        number = 1
        while not stopped:
            number = number * 1_103_515_245 + 12_345 & 0x7FFFFFFF

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stopped = True
        thread.join()


def _operations(data: Data) -> int:
    return min(data.records, OPERATIONS)


def _present(data: Data) -> list[bytes]:
    return data.present("get", OPERATIONS)


def _lists(data: Data) -> list[list[bytes]]:
    keys = data.present("get many", OPERATIONS)
    return [keys[i : i + KEYS_A_CALL] for i in range(0, len(keys), KEYS_A_CALL)]


ORDER = frozenset({Feature.ORDER})

GET = Workload("get", "get, random, present", _present, get_each)
GET_RECENT = Workload("get_recent", "get, random, just written", _present, get_each)
GET_ZIPFIAN = Workload("get_zipfian", "get, zipfian", lambda data: data.zipfian("get", _operations(data)), get_each)
GET_ABSENT = Workload("get_absent", "get, absent", lambda data: data.absent(_operations(data)), get_each)
GET_MANY = Workload("get_many", "get, 100 keys a call", _lists, get_lists)
GET_BUSY = Workload("get_busy", "get beside a thread that computes", _present, get_beside_busy_thread)
SCAN = Workload("scan", "scan all, per record", lambda data: data.records, scan_all, ORDER)
SEEK = Workload("seek", "seek + next 10", lambda data: data.present("seek", SEEKS), seek_each, ORDER)
GET_1K = Workload("get_1k", "get, 1 KB values", _present, get_each)
GET_16K = Workload("get_16k", "get, 16 KB values", _present, get_each)
