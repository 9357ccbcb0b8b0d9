"""Memory for what is large: grows and shrinks without losing a byte, whatever lies between malloc's and pages."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from children import environment

from lsm import large_memory

PAGED_FROM = 1 << 16
AROUND = (0, 1, 15, 16, 4096, PAGED_FROM - 17, PAGED_FROM - 16, PAGED_FROM - 15, PAGED_FROM, 1 << 20)


def expected(sizes: list[int]) -> bytes:
    held = b""
    for k, size in enumerate(sizes):
        held = held[:size] + bytes([k & 0xFF]) * (size - len(held))
    return held


@pytest.mark.parametrize("first", AROUND)
@pytest.mark.parametrize("second", AROUND)
def test_what_was_there_stays_where_it_grows_or_shrinks(first: int, second: int) -> None:
    for sizes in ([first, second], [first, second, first], [first, second, 1 << 21]):
        assert large_memory.grown(sizes) == expected(sizes)


@pytest.mark.parametrize("seed", range(20))
def test_many_steps(seed: int) -> None:
    chance = random.Random(seed)
    sizes = [int(2 ** chance.uniform(0, 19)) for _ in range(50)]
    assert large_memory.grown(sizes) == expected(sizes)


def test_nothing_is_nothing() -> None:
    assert large_memory.grown([]) == b""


@pytest.mark.parametrize("size", [(1 << 64) - 1, (1 << 64) - 17, 1 << 62])
def test_more_than_there_is_raises_and_keeps_what_was_there(size: int) -> None:
    for before in ([], [100], [1 << 20]):
        with pytest.raises(MemoryError):
            large_memory.grown([*before, size])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_goes_back_to_the_system() -> None:
    script = """
import threading
from lsm import large_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
def work():
    for _ in range(20):
        large_memory.grown([1 << 10, 1 << 18, 1 << 22, 10])
work()
before = resident()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
assert resident() - before < 4 << 20, resident() - before
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
