"""`lsm serve` on a disk whose syncs fail from SIGUSR1 on, that is full from SIGUSR2 on, and that SIGURG heals.

From SIGWINCH on nothing of its files lies in the system's memory: whoever does not want to wait reads nothing. Each is
in force when its line has come on stdout; `turn` waits for it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import lsm
from lsm.cli import main
from lsm.faulty_files import FaultyFileSystem
from lsm.posix_files import PosixFileSystem

if TYPE_CHECKING:
    from server.serving import Server

FILES = FaultyFileSystem(PosixFileSystem())

DONE = "turned\n"
TURNS: dict[int, Callable[[], object]] = {
    signal.SIGUSR1: partial(FILES.fail, "sync", errno.EIO),
    signal.SIGUSR2: partial(FILES.fail, "write", errno.ENOSPC),
    signal.SIGWINCH: partial(FILES.fail, "read_nowait", errno.EAGAIN),
    signal.SIGURG: FILES.heal,
}


def turn(server: Server, number: int) -> None:
    """Sends the signal, and returns when it has had its effect."""
    server.process.send_signal(number)
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == DONE


def turned(number: int, _: object) -> None:
    TURNS[number]()
    os.write(1, DONE.encode())


if __name__ == "__main__":
    for number in TURNS:
        signal.signal(number, turned)
    lsm.open = partial(lsm.open, files=FILES)
    sys.exit(main())
