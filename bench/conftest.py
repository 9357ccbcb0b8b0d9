"""pytest's front end to the workloads: `pytest bench --benchmark-only [--bench-records 200000]`.

Each test is one workload on one engine; a round opens a new database in the state of the workload's group, untimed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bench.data import Data
from bench.engines import ENGINES, EngineInfo, MissingEngineError
from bench.engines.protocol import Engine
from bench.measure import chosen
from bench.workloads import GROUPS, WORKLOADS, load_for

RECORDS = 10_000
ROUNDS = 3
GROUP_OF = {workload.name: group for group in GROUPS for workload in group.workloads}
ROOT = str(Path(__file__).parent.parent)

# An installed lsm goes before the source tree, which has no compiled core unless it was built in place.
sys.path[:] = [entry for entry in sys.path if entry != ROOT] + [ROOT]
with contextlib.suppress(ImportError):
    import lsm  # noqa: F401


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bench-records", type=int, default=RECORDS, help=f"records of each benchmark's database (default {RECORDS})"
    )


@pytest.fixture(params=list(ENGINES))
def info(request: pytest.FixtureRequest) -> EngineInfo:
    """Every engine in turn; skipped where its package is missing."""
    info = ENGINES[request.param]
    try:
        info.load()
    except MissingEngineError as error:
        pytest.skip(str(error))
    return info


class OpenDatabase:
    """At most one database at a time, each in a directory of its own."""

    def __init__(self, info: EngineInfo, directory: Path) -> None:
        self._info = info
        self._paths = (directory / f"{number}" for number in count())
        self.path = directory
        self._engine: Engine | None = None

    def create(self) -> Engine:
        self.close()
        self.path = next(self._paths)
        return self.open()

    def open(self) -> Engine:
        self._engine = self._info.open(self.path)
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


@pytest.fixture
def database(info: EngineInfo, tmp_path: Path) -> Iterator[OpenDatabase]:
    database = OpenDatabase(info, tmp_path)
    yield database
    database.close()


@pytest.fixture
def run_workload(
    benchmark: Any, info: EngineInfo, database: OpenDatabase, request: pytest.FixtureRequest
) -> Callable[[str], None]:
    """Benchmarks the workload of a name, in that name's group of results."""
    records: int = request.config.getoption("--bench-records")

    def run(name: str) -> None:
        workload, group = WORKLOADS[name], GROUP_OF[name]
        if workload not in chosen(group, info):
            pytest.skip(f"{info.title} does not do this: {workload.title}")
        data = Data(group.records(records), group.value_bytes)
        given, load = workload.prepare(data), load_for(group.state, data)

        def setup() -> tuple[tuple[Engine, Any], dict[str, Any]]:
            engine = database.create()
            load.apply(engine)
            return (engine, given), {}

        benchmark.group = workload.title
        benchmark.extra_info.update(engine=info.title, records=data.records)
        operations = benchmark.pedantic(workload.run, setup=setup, rounds=ROUNDS)
        if benchmark.stats is not None:
            benchmark.extra_info["microseconds_per_operation"] = benchmark.stats.stats.median / operations * 1e6

    return run
