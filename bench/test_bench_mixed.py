"""Reads and writes in turn, per engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("workload", ["mixed", "seek_live", "put_seek"])
def test_mixed(run_workload: Callable[[str], None], workload: str) -> None:
    run_workload(workload)
