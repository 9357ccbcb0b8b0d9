"""`lsm load` from a standard input that stays open, interrupted when it has read what came of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import HUNG_SECONDS, environment
from disk import eventually


def interrupted_when(
    told: Callable[[bytes], bool], directory: Path, data: bytes, *options: str
) -> tuple[Path, int, bytes, bytes]:
    """The database, status, stdout and stderr of the first load whose stderr is as wanted.

    Nothing tells from outside that a process has taken all that was sent and waits for more: who interrupts too early
    tries again, more patiently.
    """
    for seconds in (0.5, 2, 8, 32, 128):
        path = directory / f"db {seconds}"
        command = [sys.executable, "-m", "lsm", "load", str(path), "-", *options]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe) as load:
            assert load.stdin is not None
            load.stdin.write(data)
            load.stdin.flush()
            begun = eventually((path / "CURRENT").exists)
            time.sleep(seconds)
            load.send_signal(signal.SIGINT)
            out, err = load.communicate(timeout=HUNG_SECONDS)
        assert begun, err
        if told(err):
            return path, load.returncode, out, err
    pytest.fail(f"interrupted after {seconds} s it says {err!r}")
