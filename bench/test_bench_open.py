"""Opening a closed database, to the first record read from it, per engine."""

from __future__ import annotations

from typing import Any

import pytest

from bench.conftest import ROUNDS, OpenDatabase
from bench.data import Data
from bench.engines import EngineInfo
from bench.workloads import State, load_for


@pytest.mark.parametrize("state", [State.SETTLED, State.FILLED], ids=["settled", "log to replay"])
def test_open(
    benchmark: Any, info: EngineInfo, database: OpenDatabase, state: State, request: pytest.FixtureRequest
) -> None:
    if not info.features:
        pytest.skip(f"{info.title} keeps nothing on disk")
    data = Data(request.config.getoption("--bench-records"))
    load = load_for(state, data)

    def setup() -> None:
        engine = database.create()
        load.apply(engine)
        database.close()

    benchmark.group = f"open, {state.value}"
    found = benchmark.pedantic(lambda: database.open().get(data.keys[0]), setup=setup, rounds=ROUNDS)
    assert found == data.values[0]
