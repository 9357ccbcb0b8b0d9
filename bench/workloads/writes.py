"""Writes that survive a killed process: single puts, batches, deletes, and a fill to the end of its compactions."""

from __future__ import annotations

from bench.data import Data, Pair
from bench.engines.protocol import Engine, Feature
from bench.workloads.workload import BATCH, Workload


def put_each(engine: Engine, pairs: list[Pair]) -> int:
    put = engine.put
    for key, value in pairs:
        put(key, value)
    return len(pairs)


def put_batches(engine: Engine, batches: list[list[Pair]]) -> int:
    put_batch = engine.put_batch
    for batch in batches:
        put_batch(batch)
    return sum(map(len, batches))


def delete_each(engine: Engine, keys: list[bytes]) -> int:
    delete = engine.delete
    for key in keys:
        delete(key)
    return len(keys)


def fill_refill_settle(engine: Engine, inputs: tuple[list[Pair], list[list[Pair]]]) -> int:
    """Counted per record of the fill: one put, its overwrite in a batch, and its share of the compactions."""
    pairs, batches = inputs
    put_each(engine, pairs)
    put_batches(engine, batches)
    engine.settle()
    return len(pairs)


def _refill_inputs(data: Data) -> tuple[list[Pair], list[list[Pair]]]:
    return data.pairs, data.batches(BATCH, "refill")


DISK = frozenset({Feature.DISK})

PUT = Workload("put", "put, one call each", lambda data: data.pairs, put_each)
PUT_BATCH = Workload("put_batch", "put, batches of 1,000", lambda data: data.batches(BATCH), put_batches)
REFILL = Workload("refill", "fill + batch refill + settle", _refill_inputs, fill_refill_settle, DISK)
DELETE = Workload("delete", "delete", lambda data: data.present("delete"), delete_each)
PUT_1K = Workload("put_1k", "put, 1 KB values", lambda data: data.pairs, put_each)
PUT_16K = Workload("put_16k", "put, 16 KB values", lambda data: data.pairs, put_each)
