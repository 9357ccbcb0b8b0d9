"""Puts that survive a power failure, per engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("workload", ["sync_1", "sync_8", "sync_loop"])
def test_durable_put(run_workload: Callable[[str], None], workload: str) -> None:
    run_workload(workload)
