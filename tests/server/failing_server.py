"""`lsm serve` on a disk whose syncs fail from SIGUSR1 on, that is full from SIGUSR2 on, and that SIGURG heals.

From SIGWINCH on nothing of its files lies in the system's memory: whoever does not want to wait reads nothing.
"""

from __future__ import annotations

import errno
import signal
import sys
from functools import partial

import lsm
from lsm.cli import main
from lsm.faulty_files import FaultyFileSystem
from lsm.posix_files import PosixFileSystem

FILES = FaultyFileSystem(PosixFileSystem())

if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: FILES.fail("sync", errno.EIO))
    signal.signal(signal.SIGUSR2, lambda *_: FILES.fail("write", errno.ENOSPC))
    signal.signal(signal.SIGWINCH, lambda *_: FILES.fail("read_nowait", errno.EAGAIN))
    signal.signal(signal.SIGURG, lambda *_: FILES.heal())
    lsm.open = partial(lsm.open, files=FILES)
    sys.exit(main())
