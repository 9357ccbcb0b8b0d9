"""Threads that start at one moment, and whose exceptions are the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def together(*workers: Callable[[], object]) -> None:
    """Runs each in a thread of its own and raises what the first of them raised."""
    barrier = threading.Barrier(len(workers))

    def at_once(worker: Callable[[], object]) -> None:
        barrier.wait()
        worker()

    with ThreadPoolExecutor(len(workers)) as pool:
        for future in [pool.submit(at_once, worker) for worker in workers]:
            future.result()
