"""Work that a signal must not stop half-way: it runs in a thread of its own while the main thread waits.

Guarantees: an exception out of a signal handler (KeyboardInterrupt) reaches the caller at once; the work goes on to its
end behind it. Any thread; only the main one, the only one that signals interrupt, pays for a thread.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["uninterrupted"]

Result = TypeVar("Result")


def uninterrupted(work: Callable[[], Result]) -> Result:
    """The result of `work`, or what it raised."""
    if threading.get_ident() != threading.main_thread().ident:
        return work()
    results: list[Result] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)
        finally:
            done.set()

    try:
        # not threading.Thread, whose start a signal can stop half-way
        _thread.start_new_thread(run, ())
    except RuntimeError:  # the interpreter is ending and starts no more threads
        return work()
    done.wait()
    if failures:
        raise failures[0]
    return results[0]
