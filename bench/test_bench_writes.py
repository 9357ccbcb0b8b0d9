"""Puts, batches, deletes, and a fill to the end of its compactions, per engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("workload", ["put", "put_batch", "refill", "delete"])
def test_write(run_workload: Callable[[str], None], workload: str) -> None:
    run_workload(workload)
