"""Reads and writes in turn, on a database whose memtable is being written."""

from __future__ import annotations

from bench.data import Data, Pair
from bench.engines.protocol import Engine, Feature
from bench.workloads.reads import SEEK_LENGTH
from bench.workloads.workload import OPERATIONS, Workload

LIVE_OPERATIONS = 20_000
SEEKS_A_PUT = 19  # 95 in 100
PUT_SEEKS = 10_000
SHORT_SEEK = 3

SeekRound = tuple[list[bytes], Pair]
PutGet = tuple[bytes, bytes, bytes]


def half_put_half_get(engine: Engine, steps: list[PutGet]) -> int:
    put, get = engine.put, engine.get
    for key, value, wanted in steps:
        put(key, value)
        get(wanted)
    return 2 * len(steps)


def seek_with_puts(engine: Engine, rounds: list[SeekRound]) -> int:
    put, seek = engine.put, engine.seek
    for starts, (key, value) in rounds:
        put(key, value)
        for start in starts:
            seek(start, SEEK_LENGTH)
    return len(rounds) * (SEEKS_A_PUT + 1)


def put_then_seek(engine: Engine, pairs: list[Pair]) -> int:
    """One operation is the put and the seek at its key."""
    put, seek = engine.put, engine.seek
    for key, value in pairs:
        put(key, value)
        seek(key, SHORT_SEEK)
    return len(pairs)


def _mixed_inputs(data: Data) -> list[PutGet]:
    count = min(data.records, OPERATIONS) // 2
    puts = data.zipfian_pairs("mixed puts", count)
    gets = data.zipfian("mixed gets", count)
    return [(key, value, wanted) for (key, value), wanted in zip(puts, gets, strict=True)]


def _live_inputs(data: Data) -> list[SeekRound]:
    rounds = max(min(data.records, LIVE_OPERATIONS) // (SEEKS_A_PUT + 1), 1)
    starts = data.zipfian("live seeks", rounds * SEEKS_A_PUT)
    puts = data.zipfian_pairs("live puts", rounds)
    return [(starts[i * SEEKS_A_PUT : (i + 1) * SEEKS_A_PUT], pair) for i, pair in enumerate(puts)]


def _put_seek_inputs(data: Data) -> list[Pair]:
    return data.zipfian_pairs("put then seek", min(data.records, PUT_SEEKS))


ORDER = frozenset({Feature.ORDER})

MIXED = Workload("mixed", "half put, half get, zipfian", _mixed_inputs, half_put_half_get)
SEEK_LIVE = Workload("seek_live", "95% seek + 10, 5% put, memtable live", _live_inputs, seek_with_puts, ORDER)
PUT_SEEK = Workload("put_seek", "put then seek + 3, alternating", _put_seek_inputs, put_then_seek, ORDER)
