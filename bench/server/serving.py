"""One server, started on a free port in a fresh directory and stopped with all its processes, come what may."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.server.engines import Engine
from bench.server.wire import Caller, WrongAnswerError

__all__ = ["Server", "ServerFailedError", "serving"]

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class ServerFailedError(Exception):
    """A server that ended or never answered; the message ends with what it wrote."""


@dataclass(frozen=True)
class Server:
    """start_seconds: from starting the process to its first answer."""

    port: int
    pid: int
    start_seconds: float
    directory: Path


@contextmanager
def serving(engine: Engine, where: Path | None = None) -> Iterator[Server]:
    """Raises MissingEngineError, ServerFailedError."""
    directory = Path(tempfile.mkdtemp(prefix="bench-server-", dir=where))
    try:
        with _process(engine, _free_port(), directory) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _process(engine: Engine, port: int, directory: Path) -> Iterator[Server]:
    command = engine.command(port, directory)
    with (directory / "output").open("wb") as output:
        begun = time.perf_counter()
        # A session of its own: Ctrl-C is ours to pass on, and its descendants can be ended with it.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _await_answer(process, port, engine.title, directory / "output")
        yield Server(port, process.pid, time.perf_counter() - begun, directory)
        if process.poll() is not None:
            raise ServerFailedError(_ended(process, engine.title, directory / "output"))
    finally:
        _stop(process)


def _await_answer(process: subprocess.Popen[bytes], port: int, title: str, output: Path) -> None:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise ServerFailedError(_ended(process, title, output))
        call = Caller(port, timeout=5.0)
        with contextlib.suppress(OSError, WrongAnswerError, ValueError), contextlib.closing(call):
            call("ListTables", {})
            return
        time.sleep(0.002)
    raise ServerFailedError(f"{title} did not answer ListTables within {START_SECONDS:.0f} s{_tail(output)}")


def _ended(process: subprocess.Popen[bytes], title: str, output: Path) -> str:
    return f"{title} ended with status {process.returncode}{_tail(output)}"


def _tail(output: Path) -> str:
    text = output.read_text(errors="replace").strip()
    return f": ...{text[-400:]}" if len(text) > 400 else f": {text}" if text else ""


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        break
    with contextlib.suppress(ProcessLookupError):  # descendants that outlived it
        os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
