"""Point reads, scans and seeks, per engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    "workload", ["get", "get_recent", "get_zipfian", "get_absent", "get_many", "get_busy", "scan", "seek"]
)
def test_read(run_workload: Callable[[str], None], workload: str) -> None:
    run_workload(workload)
