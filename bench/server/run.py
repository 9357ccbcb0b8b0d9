"""Rounds over the servers: in each round every one is started, loaded, checked, measured cell by cell, and stopped."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from bench.progress import Progress
from bench.server.engines import ENGINES, MissingEngineError
from bench.server.load import Load, NoClientError, compile_client, run_client
from bench.server.operations import OPERATIONS
from bench.server.processes import cpu_seconds, resident_bytes
from bench.server.results import Results, Sample, Visit
from bench.server.serving import Server, ServerFailedError, serving
from bench.server.wire import Caller, WrongAnswerError, counted, create_and_load, members_expected, write_requests

__all__ = ["Plan", "measure"]

WARM_CONNECTIONS = 8
CELL_WARM_SECONDS = 0.2
SHORTEST_SHARE = 0.9  # an answer shorter than so much of the mean has left something out


@dataclass(frozen=True)
class Plan:
    engines: list[str]
    operations: list[str]
    connections: list[int]
    seconds: float = 3.0
    rounds: int = 3
    warm: float = 3.0
    items: int = 10_000
    directory: Path | None = None


@dataclass(frozen=True)
class Bench:
    """What all servers are measured with: the client, and the file of requests for each operation."""

    plan: Plan
    client: Path
    requests: dict[str, Path]

    def load(self, port: int, operation: str, connections: int, seconds: float) -> Load:
        return run_client(self.client, port, connections, seconds, self.requests[operation])


def measure(plan: Plan, results: Results) -> None:
    """Fills the results. Raises NoClientError where there is no client to measure with."""
    for engine in plan.engines:
        if why := _missing(engine):
            results.missing[engine] = why
            print(f"skipping {ENGINES[engine].title}: {why}", file=sys.stderr)
    engines = [engine for engine in plan.engines if engine not in results.missing]
    progress = Progress(len(engines) * plan.rounds * len(plan.operations))
    with tempfile.TemporaryDirectory(prefix="bench-server-") as scratch:
        bench = _prepare(plan, Path(scratch))
        for number in range(1, plan.rounds + 1):
            for engine in engines:
                _visit(bench, engine, results, progress, f"round {number}/{plan.rounds}")
    progress.clear()


def _missing(engine: str) -> str | None:
    try:
        ENGINES[engine].command(0, Path())
    except MissingEngineError as error:
        return str(error)
    return None


def _prepare(plan: Plan, scratch: Path) -> Bench:
    files = {}
    for name in plan.operations:
        files[name] = scratch / f"{name}.requests"
        write_requests(files[name], OPERATIONS[name].requests(plan.items))
    return Bench(plan, compile_client(scratch), files)


def _visit(bench: Bench, engine: str, results: Results, progress: Progress, label: str) -> None:
    """One life of one server; what goes wrong is noted, and the run goes on."""
    title = ENGINES[engine].title
    progress.begin(f"{label}, {title}")
    try:
        with serving(ENGINES[engine], bench.plan.directory) as server:
            idle = resident_bytes(server.pid)
            with contextlib.closing(Caller(server.port)) as call:
                create_and_load(call, bench.plan.items)
                wrong = _wrong_operations(call, bench.plan)
                for name in bench.plan.operations:
                    if name not in wrong:  # all before the first is measured: compilers at run time take their time
                        bench.load(server.port, name, WARM_CONNECTIONS, bench.plan.warm)
                for name in bench.plan.operations:
                    progress.begin(f"{label}, {title}, {OPERATIONS[name].title}")
                    samples = wrong.get(name) or _measure_operation(bench, name, server, call)
                    for connections, sample in samples.items():
                        results.samples[engine, name, connections].append(sample)
                    progress.end()
            results.visits[engine].append(
                Visit(server.start_seconds * 1e3, idle / 1e6, resident_bytes(server.pid) / 1e6)
            )
    except (ServerFailedError, NoClientError, WrongAnswerError, OSError) as error:
        results.failures.append(f"{title}, {label}: {error}")
        progress.say(f"failed: {results.failures[-1]}")


def _wrong_operations(call: Caller, plan: Plan) -> dict[str, dict[int, Sample]]:
    """The operations that a server does wrongly, before it is measured: no figures, but what it answered."""
    wrong = {}
    for name in plan.operations:
        try:
            with members_expected(name):
                OPERATIONS[name].check(call, plan.items)
        except WrongAnswerError as error:
            wrong[name] = {connections: Sample(fault=str(error)) for connections in plan.connections}
    return wrong


def _measure_operation(bench: Bench, name: str, server: Server, call: Caller) -> dict[int, Sample]:
    """All cells of an operation. Updates are counted: where the table does not agree, none of the cells is valid."""
    samples: dict[int, Sample] = {}
    before = counted(call) if name == "update" else (0, 0)
    answered = 0
    for connections in bench.plan.connections:
        samples[connections], answers = _cell(bench, name, server, connections)
        answered += answers
    fault = _uncounted(before, counted(call), answered) if name == "update" else None
    return {connections: replace(sample, fault=sample.fault or fault) for connections, sample in samples.items()}


def _cell(bench: Bench, operation: str, server: Server, connections: int) -> tuple[Sample, int]:
    """One cell, and how many requests were answered, warming up included."""
    os.sync()  # what was written before shall not slow this
    warm = bench.load(server.port, operation, connections, CELL_WARM_SECONDS)
    before = cpu_seconds(server.pid)
    load = bench.load(server.port, operation, connections, bench.plan.seconds)
    cpu = cpu_seconds(server.pid) - before
    sample = Sample(
        rate=load.rate,
        p50=load.p50 / 1e3,
        p99=load.p99 / 1e3,
        cpu=cpu / max(load.answers, 1) * 1e6,
        answers=load.answers,
        fault=warm.fault() or load.fault() or _cut_short(load),
    )
    return sample, warm.answers + load.answers


def _cut_short(load: Load) -> str | None:
    mean = load.body_bytes / load.answers
    if load.body_least < SHORTEST_SHARE * mean:
        return f"answers of {load.body_least:,} bytes among others of {mean:,.0f}"
    return None


def _uncounted(before: tuple[int, int], after: tuple[int, int], answered: int) -> str | None:
    """Every update that was acknowledged is in a counter, once, and no item has come or gone."""
    if after[0] != before[0]:
        return f"the table had {before[0]:,} items and has {after[0]:,} after updates of them"
    if after[1] - before[1] != answered:
        return f"{answered:,} updates were acknowledged, {after[1] - before[1]:,} were carried out"
    return None
