"""Children forked from a warm parent: they report through a pipe, have limits, and may die in any way.

Guarantees: whatever a child does (crash, hang, unbounded allocation), the parent gets its messages up to that moment
and how it ended. The parent must have no other threads and no open database.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Child", "Send", "fork", "limit_memory", "scratch", "spare_time"]

Send = Callable[[Any], None]
HEADER_BYTES = 4


def fork(work: Callable[[Send], None]) -> Child:
    """Starts `work(send)` in a forked child; what it sends are the parent's messages, its exceptions its last one."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        pid = os.fork()
    if pid == 0:
        os.close(reader)
        _in_child(work, writer)
    os.close(writer)
    return Child(pid, reader)


def _in_child(work: Callable[[Send], None], writer: int) -> None:
    status = 1
    try:
        work(lambda message: _send(writer, message))
        status = 0
    except BaseException:
        with contextlib.suppress(BaseException):
            _send(writer, Failed(traceback.format_exc()))
    finally:
        os._exit(status)


def _send(writer: int, message: Any) -> None:
    body = pickle.dumps(message)
    data = memoryview(len(body).to_bytes(HEADER_BYTES, "little") + body)
    while data:
        data = data[os.write(writer, data) :]


@dataclass
class Failed:
    """The last message of a child that raised."""

    trace: str


@dataclass
class Child:
    """A running child. Each method may be called once."""

    pid: int
    reader: int

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def messages(self) -> Iterator[Any]:
        """What it sends, until its end; RuntimeError with its traceback where it raised."""
        with os.fdopen(self.reader, "rb") as stream:
            while len(header := stream.read(HEADER_BYTES)) == HEADER_BYTES:
                size = int.from_bytes(header, "little")
                body = stream.read(size)
                if len(body) < size:
                    return  # killed while it sent
                message = pickle.loads(body)
                if isinstance(message, Failed):
                    raise RuntimeError(f"in a child:\n{message.trace}")
                yield message

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def answer(self) -> Any:
        """Its only message, after its end."""
        try:
            found = list(self.messages())
        finally:
            status = self.wait()
        if status or len(found) != 1:
            raise RuntimeError(f"a child ended with status {status} after {len(found)} messages")
        return found[0]


def limit_memory(more_bytes: int) -> None:
    """This process may take so much more address space than it has; beyond that allocations fail."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    limit = pages * resource.getpagesize() + more_bytes
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def spare_time(seconds: float) -> None:
    """Unless called again within this time, the process dies of SIGALRM; 0 takes that back."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def scratch() -> str | None:
    """A directory in memory for files that are made and thrown away by the thousand; None: the usual one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
