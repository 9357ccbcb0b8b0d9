"""The names of the tests: the same in every process, or workers that share the suite refuse to run it."""

from __future__ import annotations

import subprocess
import sys
import time

from children import HUNG_SECONDS, TESTS, environment


def collect(hash_seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "-p", "no:xdist", str(TESTS)]
    return subprocess.Popen(
        command,
        cwd=TESTS.parent,
        env={**environment(), "PYTHONHASHSEED": str(hash_seed), "PYTEST_ADDOPTS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_names_depend_neither_on_the_clock_nor_on_the_order_of_sets() -> None:
    names = []
    with collect(1) as first:
        time.sleep(1.1)  # gzip writes whole seconds
        with collect(2) as second:
            for each in (first, second):
                printed, _ = each.communicate(timeout=HUNG_SECONDS)
                assert each.returncode == 0, printed[-10_000:]
                names.append([line for line in printed.splitlines() if "::" in line])
    assert len(names[0]) > 5000
    assert names[0] == names[1]
