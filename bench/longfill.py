"""The long fill: one put per record, timed by tenths, to the end of its compactions, then what using it costs."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import meter
from bench.data import KEY_BYTES, Data, Pair, copies, zipfian_choices
from bench.engines import EngineInfo
from bench.engines.protocol import Engine
from bench.measure import MB, Samples, reopen_milliseconds, timed
from bench.workloads.reads import get_each
from bench.workloads.workload import BATCH
from bench.workloads.writes import delete_each, put_batches

TENTHS = 10
READS = 300_000
HOT_RECORDS = 200_000  # adjacent in key order, as one tenant's are: 23 MB of records, which every cache here holds
REWRITES = 200_000

Progress = Callable[[str], None]

TITLES = {
    "fill": ("put, one call each", "us"),
    "first_tenth": ("put, first tenth", "us"),
    "last_tenth": ("put, last tenth", "us"),
    "settle": ("until compaction owes nothing", "s"),
    "fill_settle": ("fill + settle, per record", "us"),
    "cpu": ("CPU time per record, fill", "us"),
    "cpu_settle": ("CPU time per record, fill + settle", "us"),
    "write_amplification": ("write amplification, by the kernel", "x"),
    "own_write_amplification": ("write amplification, by the engine", "x"),
    "get": ("get, random, present", "us"),
    "get_zipfian": ("get, zipfian over all", "us"),
    "get_hot": ("get, zipfian, hot set in the cache", "us"),
    "get_absent": ("get, absent", "us"),
    "put_batch": ("put, batches of 1,000", "us"),
    "delete": ("delete", "us"),
    "memory": ("peak memory", "MB"),
    "disk": ("disk after settle and close", "MB"),
    "open": ("open, settled", "ms"),
}


@dataclass(frozen=True)
class Inputs:
    """Made before the engine opens, so that their memory is not taken for the engine's."""

    reads: dict[str, list[bytes]]
    rewrites: list[list[Pair]]
    deletes: list[bytes]


def run_long_fill(info: EngineInfo, data: Data, path: Path, progress: Progress) -> Samples:
    progress("making records")
    inputs = _inputs(data)
    gc.collect()
    memory, written = meter.Memory(), meter.written_bytes()
    engine = info.open(path)
    try:
        samples = _fill(engine, data, progress)
        now = meter.written_bytes()
        if written is not None and now is not None:
            samples["write_amplification"] = (now - written) / (data.records * (KEY_BYTES + data.value_bytes))
        own = engine.write_amplification()
        if own is not None:
            samples["own_write_amplification"] = own
        samples |= _use(engine, inputs, progress)
        samples["memory"] = memory.peak_growth() / MB
    finally:
        engine.close()
    if info.features:
        samples["disk"] = meter.disk_bytes(path) / MB
        samples["open"] = reopen_milliseconds(info, path, inputs.reads["get"][-1])
    return samples


def _inputs(data: Data) -> Inputs:
    deletes = data.present("delete", min(REWRITES, data.records // 4))
    gone = set(deletes)
    again = copies(data.keys[:REWRITES])
    rewrites = [pair for pair in zip(again, data.values, strict=False) if pair[0] not in gone]
    hot = _adjacent(data)
    source = random.Random(f"{data.seed} hot")
    source.shuffle(hot)
    count = min(READS, data.records)
    reads = {
        "get": [key for key in data.present("get", count) if key not in gone],
        "get_zipfian": copies(zipfian_choices(source, data.present("popularity"), count)),
        "get_hot": copies(zipfian_choices(source, hot, count)),
        "get_absent": data.absent(count),
    }
    return Inputs(reads, [rewrites[i : i + BATCH] for i in range(0, len(rewrites), BATCH)], deletes)


def _adjacent(data: Data) -> list[bytes]:
    """About HOT_RECORDS keys that follow each other in key order."""
    if data.records <= HOT_RECORDS:
        return data.keys[:]
    bound = (HOT_RECORDS * (1 << 64) // data.records).to_bytes(8, "big")
    return [key for key in data.keys if key < bound]


def _fill(engine: Engine, data: Data, progress: Progress) -> Samples:
    """Tenth by tenth without a pause, then until the engine owes nothing."""
    values, samples = data.values, {}
    seconds, cpu_start = [], time.process_time()
    for tenth in range(TENTHS):
        start, stop = (data.records * edge // TENTHS for edge in (tenth, tenth + 1))
        pairs = zip(data.keys[start:stop], values[start:stop], strict=True)
        seconds.append(_put_all(engine, pairs))
        samples[f"tenth_{tenth + 1}"] = seconds[-1] / (stop - start) * 1e6
        progress(f"filled {stop:,} ({(stop - start) / seconds[-1]:,.0f} records/s)")
    cpu_filled = time.process_time()
    progress("waiting until compaction owes nothing")
    start_settle = time.perf_counter()
    engine.settle()
    settle = time.perf_counter() - start_settle
    per_record = 1e6 / data.records
    return samples | {
        "fill": sum(seconds) * per_record,
        "first_tenth": samples["tenth_1"],
        "last_tenth": samples[f"tenth_{TENTHS}"],
        "settle": settle,
        "fill_settle": (sum(seconds) + settle) * per_record,
        "cpu": (cpu_filled - cpu_start) * per_record,
        "cpu_settle": (time.process_time() - cpu_start) * per_record,
    }


def _put_all(engine: Engine, pairs: Iterable[Pair]) -> float:
    put = engine.put
    start = time.perf_counter()
    for key, value in pairs:
        put(key, value)
    return time.perf_counter() - start


def _use(engine: Engine, inputs: Inputs, progress: Progress) -> Samples:
    """Reads, then overwrites in batches, then deletes, each on some hundred thousand of the records."""
    samples: Samples = {}
    for row, keys in inputs.reads.items():
        progress(TITLES[row][0])
        if row == "get_hot":
            get_each(engine, keys)  # brings the hot set into the cache
        samples[row] = timed(partial(get_each, engine, keys)).microseconds
    progress(TITLES["put_batch"][0])
    samples["put_batch"] = timed(partial(put_batches, engine, inputs.rewrites)).microseconds
    progress(TITLES["delete"][0])
    samples["delete"] = timed(partial(delete_each, engine, inputs.deletes)).microseconds
    return samples
