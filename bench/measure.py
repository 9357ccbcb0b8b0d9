"""Runs a group of workloads on one engine, in the process that calls; front ends decide which process that is."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import meter
from bench.data import KEY_BYTES, Data
from bench.engines import EngineInfo
from bench.engines.protocol import Engine
from bench.workloads import Extra, Group, Leaves, Workload, load_for

MB = 1_000_000
SAMPLED = 100  # records looked up after a group

Samples = dict[str, float]


class WrongAnswerError(Exception):
    """An engine did not hold what was written to it: its figures mean nothing."""


@dataclass(frozen=True)
class Timing:
    """Of one run: operations done, seconds on the clock, seconds of CPU over all threads of the process."""

    operations: int
    seconds: float
    cpu_seconds: float

    @property
    def microseconds(self) -> float:
        return self.seconds / self.operations * 1e6

    @property
    def cpu_microseconds(self) -> float:
        return self.cpu_seconds / self.operations * 1e6


def timed(run: Callable[[], int]) -> Timing:
    """One run with Python's cycle collector held off."""
    gc.collect()
    gc.disable()
    try:
        cpu = time.process_time()
        start = time.perf_counter()
        operations = run()
        seconds = time.perf_counter() - start
        return Timing(operations, seconds, time.process_time() - cpu)
    finally:
        gc.enable()


def chosen(group: Group, info: EngineInfo, names: Collection[str] | None = None) -> tuple[Workload, ...]:
    """The group's workloads that the engine can do and that are asked for."""
    able = (workload for workload in group.workloads if workload.needs <= info.features)
    return tuple(workload for workload in able if names is None or workload.name in names)


def run_group(
    group: Group,
    workloads: tuple[Workload, ...],
    info: EngineInfo,
    data: Data,
    path: Path,
    progress: Callable[[str], None],
) -> Samples:
    """Times `workloads` on a new database at `path`; row name -> value. A whole group yields its extra figures too."""
    progress("making records")
    inputs = {workload.name: workload.prepare(data) for workload in workloads}
    load = load_for(group.state, data)
    gc.collect()
    memory, written = meter.Memory(), meter.written_bytes()
    engine = info.open(path)
    try:
        progress("filling")
        load.apply(engine)
        samples = _run_workloads(workloads, engine, inputs, progress)
        extras = _extras_of_open(group, engine, data, memory, written)
        _check(group, engine, data)
    finally:
        engine.close()
    if workloads != chosen(group, info):
        return samples
    return samples | extras | _extras_of_closed(group, info, data, path)


def _run_workloads(
    workloads: tuple[Workload, ...], engine: Engine, inputs: dict[str, object], progress: Callable[[str], None]
) -> Samples:
    samples: Samples = {}
    for workload in workloads:
        progress(workload.title)
        timing = timed(partial(workload.run, engine, inputs[workload.name]))
        samples[workload.name] = timing.microseconds
        samples[f"{workload.name}_cpu"] = timing.cpu_microseconds
    return samples


def _extras_of_open(
    group: Group, engine: Engine, data: Data, memory: meter.Memory, written_before: int | None
) -> Samples:
    figures: dict[Extra, float | None] = {Extra.PEAK_MEMORY: memory.peak_growth() / MB}
    written = meter.written_bytes()
    if written is not None and written_before is not None:
        user_bytes = group.writes * data.records * (KEY_BYTES + data.value_bytes)
        figures[Extra.WRITE_AMPLIFICATION] = (written - written_before) / user_bytes
    if Extra.OWN_WRITE_AMPLIFICATION in group.extras:
        figures[Extra.OWN_WRITE_AMPLIFICATION] = engine.write_amplification()
    return {
        group.extras[extra]: value for extra, value in figures.items() if extra in group.extras and value is not None
    }


def _extras_of_closed(group: Group, info: EngineInfo, data: Data, path: Path) -> Samples:
    samples: Samples = {}
    if not info.features:
        return samples
    if Extra.DISK in group.extras:
        samples[group.extras[Extra.DISK]] = meter.disk_bytes(path) / MB
    if Extra.REOPEN in group.extras:
        samples[group.extras[Extra.REOPEN]] = reopen_milliseconds(info, path, data.keys[0])
    return samples


def reopen_milliseconds(info: EngineInfo, path: Path, key: bytes) -> float:
    """From the call that opens a closed database to the first record read from it."""
    start = time.perf_counter()
    engine = info.open(path)
    found = engine.get(key)
    milliseconds = (time.perf_counter() - start) * 1e3
    engine.close()
    if found is None:
        raise WrongAnswerError(f"{info.title} lost a record when it was closed and opened again")
    return milliseconds


def _check(group: Group, engine: Engine, data: Data) -> None:
    if group.leaves is Leaves.ANYTHING:
        return
    step = max(data.records // SAMPLED, 1)
    for key, value in list(zip(data.keys, data.values, strict=True))[::step]:
        expected = value if group.leaves is Leaves.RECORDS else None
        if engine.get(key) != expected:
            raise WrongAnswerError(f"after group {group.name!r}, the record of key {key.hex()} is not what was written")
