"""Values of 1 KB and 16 KB, per engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("workload", ["put_1k", "get_1k", "put_16k", "get_16k"])
def test_large_value(run_workload: Callable[[str], None], workload: str) -> None:
    run_workload(workload)
