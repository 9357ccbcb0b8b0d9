"""Child processes for tests: fresh interpreters and forks, each with a limit after which it counts as hung.

A child finds the same `lsm` as the parent. The fork runs in the caller's thread and never returns into the test.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import lsm

HUNG_SECONDS = 600.0
TESTS = Path(__file__).parent


def environment() -> dict[str, str]:
    package_home = Path(lsm.__file__).resolve().parent.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(package_home), str(TESTS)])}


def run(script: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs a script in a new interpreter, to its end."""
    return subprocess.run(
        [*prefix, sys.executable, "-c", script, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HUNG_SECONDS,
        check=False,
    )


def assert_quiet(done: subprocess.CompletedProcess[str], stdout: str | None = None) -> None:
    """The child ended with status 0 and said nothing on stderr; its stderr is the message otherwise."""
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr}"
    assert done.stderr == "", done.stderr
    if stdout is not None:
        assert done.stdout == stdout


def start(*command: object) -> subprocess.Popen[bytes]:
    """Starts `python COMMAND...` with both ends of its standard streams in our hands."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def in_fork(work: Callable[[], object], user: int | None = None) -> str:
    """What `work()` returned in a forked child, as a string, or the class and message of what it raised."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        pid = os.fork()
    if pid == 0:
        _work_in_child(work, writer, user)
    os.close(writer)
    answer = _read_to_end(reader, pid)
    os.waitpid(pid, 0)
    return answer


def _work_in_child(work: Callable[[], object], writer: int, user: int | None) -> None:
    try:
        try:
            if user is not None:
                os.setgid(user)
                os.setuid(user)
            answer = str(work())
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
            if os.environ.get("LSM_TEST_TRACEBACKS"):
                traceback.print_exc()
        os.write(writer, answer.encode()[:60000])
    finally:
        os._exit(0)


def _read_to_end(reader: int, pid: int) -> str:
    answer = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while True:
            if not select.select([pipe], [], [], HUNG_SECONDS)[0]:
                os.kill(pid, signal.SIGKILL)
                return "hung"
            chunk = pipe.read(65536)
            if not chunk:
                return answer.decode()
            answer += chunk
